//! Records into a file, each checked.

use crate::embeddings::exchange::digest::{Digest, Witness};
use crate::embeddings::exchange::error::{Error, Fault, Place};
use crate::embeddings::exchange::{Format, Record, Texts, reader};
use std::fmt;
use std::io::Write;
use std::path::PathBuf;

/// Where bytes go.
pub(super) type Output = Box<dyn Write + Send>;

/// How JSON shows a vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VectorText {
    /// As a list of numbers.
    #[default]
    List,
    /// As base64 of little-endian `f32`: half the size.
    Base64,
}

/// How a file is to be written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Whether the texts are written.
    pub texts: Texts,
    /// How long every vector is; else as long as the first. What has no rows needs it.
    pub dimensions: Option<usize>,
    /// How many records come; numpy's arrays say it first and need it.
    pub rows: Option<u64>,
    /// How JSON shows a vector.
    pub vectors: VectorText,
    /// The table that a script for `psql` makes; `embeddings` when it is empty.
    pub table: String,
}

/// What a format does with records.
pub(super) trait Sink: Send {
    /// Writes a record that was checked.
    fn write(&mut self, record: &Record) -> Result<(), Fault>;

    /// Writes what is still held, and the end.
    fn finish(&mut self) -> Result<(), Fault>;
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// How many records.
    pub records: u64,
    /// How long their vectors are, if any has one.
    pub dimensions: Option<usize>,
    /// The files, where the writer was opened by path: the records, and then the names beside bare vectors.
    pub files: Vec<WrittenFile>,
}

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenFile {
    /// Where it is.
    pub path: PathBuf,
    /// What was written.
    pub digest: Digest,
}

/// A file under its first and its last name, and what is written into it.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) part: PathBuf,
    pub(super) whole: PathBuf,
    pub(super) witness: Witness,
}

/// Takes records for a file. The file has its name only after [`Writer::finish`]: until then it is called
/// `.part`, so that half a file is never taken for a whole one.
pub struct Writer {
    file: String,
    format: Format,
    sink: Box<dyn Sink>,
    dimensions: Option<usize>,
    records: u64,
    parts: Vec<Part>,
}

impl Writer {
    pub(super) fn new(
        file: String,
        format: Format,
        sink: Box<dyn Sink>,
        dimensions: Option<usize>,
    ) -> Self {
        Self {
            file,
            format,
            sink,
            dimensions,
            records: 0,
            parts: Vec::new(),
        }
    }

    pub(super) fn with_parts(mut self, parts: Vec<Part>) -> Self {
        self.parts = parts;
        self
    }

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// A record that cannot be in this file (no id, a vector of another length, a value that is not finite,
    /// no vector where there must be one), and what the disk says.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        self.records += 1;
        let written =
            reader::check(record, &mut self.dimensions).and_then(|()| self.sink.write(record));
        written.map_err(|fault| Error::new(&self.file, Place::Row(self.records), fault))
    }

    /// Writes the end of the file and gives it its name.
    ///
    /// # Errors
    ///
    /// Fewer or more records than were declared, and what the disk says.
    pub fn finish(mut self) -> Result<Written, Error> {
        let finished = self.sink.finish().and_then(|()| self.rename());
        match finished {
            Ok(files) => Ok(Written {
                records: self.records,
                dimensions: self.dimensions,
                files,
            }),
            Err(fault) => Err(Error::new(&self.file, Place::Whole, fault)),
        }
    }

    fn rename(&self) -> Result<Vec<WrittenFile>, Fault> {
        let mut files = Vec::with_capacity(self.parts.len());
        for Part {
            part,
            whole,
            witness,
        } in &self.parts
        {
            std::fs::rename(part, whole).map_err(Fault::writing)?;
            files.push(WrittenFile {
                path: whole.clone(),
                digest: witness.digest(),
            });
        }
        Ok(files)
    }
}

impl Drop for Writer {
    /// Takes away what did not become whole. What did has another name by now.
    fn drop(&mut self) {
        for one in &self.parts {
            let _ = std::fs::remove_file(&one.part);
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Writer")
            .field("file", &self.file)
            .field("format", &self.format)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
