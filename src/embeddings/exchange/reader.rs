//! Records out of a file, each checked.

use crate::embeddings::exchange::error::{Error, Fault, Place};
use crate::embeddings::exchange::{Column, Fields, Format, Record, vector};
use std::fmt;
use std::path::PathBuf;

/// The longest name of a record, in bytes.
const MAX_ID: usize = 4096;

/// How a file is to be read; the default guesses.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// The format, where it is not to be guessed.
    pub format: Option<Format>,
    /// How long every vector must be; else as long as the first.
    pub dimensions: Option<usize>,
    /// The names of fields.
    pub fields: Fields,
    /// The columns of a PostgreSQL copy, which does not name them.
    pub columns: Vec<Column>,
    /// The file with the names (`.jsonl`, or `.txt` with one name a line) beside bare vectors.
    pub ids: Option<PathBuf>,
    /// Whether rows are named by their numbers, from 0.
    pub is_numbered: bool,
}

/// What a format gives: records in their order.
pub(super) trait Source: Send {
    /// Returns the next record; `None` behind the last.
    fn read(&mut self) -> Result<Option<Record>, Fault>;

    /// Returns where the record that was read last stands.
    fn place(&self) -> Place;

    /// Returns what a reader should know that is no fault.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Records of a file, in its order. Behind the first error there are none.
pub struct Reader {
    file: String,
    format: Format,
    source: Box<dyn Source>,
    dimensions: Option<usize>,
    is_done: bool,
}

impl Reader {
    pub(super) fn new(
        file: String,
        format: Format,
        source: Box<dyn Source>,
        dimensions: Option<usize>,
    ) -> Self {
        Self {
            file,
            format,
            source,
            dimensions,
            is_done: false,
        }
    }

    /// Returns the format of the file.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// Returns how long the vectors are: what was declared, or what the first one had.
    #[must_use]
    pub const fn dimensions(&self) -> Option<usize> {
        self.dimensions
    }

    /// Returns what one should know that is no error, in whole sentences: columns that were left out, rows
    /// that were named by their numbers. Complete when all records are read.
    #[must_use]
    pub fn notes(&self) -> Vec<String> {
        self.source.notes()
    }

    fn checked(&mut self) -> Result<Option<Record>, Fault> {
        let Some(record) = self.source.read()? else {
            return Ok(None);
        };
        check(&record, &mut self.dimensions)?;
        Ok(Some(record))
    }
}

/// Checks a record, and its vector against those before it.
pub(super) fn check(record: &Record, dimensions: &mut Option<usize>) -> Result<(), Fault> {
    if record.id.is_empty() {
        return Err(Fault::field("id", "is empty"));
    }
    if MAX_ID < record.id.len() {
        return Err(Fault::TooLarge {
            what: "an id".to_owned(),
            limit: format!("{MAX_ID} bytes"),
        });
    }
    let Some(values) = &record.vector else {
        return Ok(());
    };
    if values.is_empty() {
        return Err(Fault::broken("the vector is empty"));
    }
    if vector::MAX_DIMENSIONS < values.len() {
        return Err(vector::too_long());
    }
    let expected = *dimensions.get_or_insert(values.len());
    if values.len() != expected {
        return Err(Fault::Dimensions {
            expected,
            found: values.len(),
        });
    }
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(place) => Err(Fault::Broken(format!(
            "the vector holds at position {place} what is no finite `f32`"
        ))),
    }
}

impl Iterator for Reader {
    type Item = Result<Record, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let read = self.checked();
        self.is_done = !matches!(read, Ok(Some(_)));
        let place = self.source.place();
        read.map_err(|fault| Error::new(&self.file, place, fault))
            .transpose()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Reader")
            .field("file", &self.file)
            .field("format", &self.format)
            .field("dimensions", &self.dimensions)
            .finish_non_exhaustive()
    }
}
