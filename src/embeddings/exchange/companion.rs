//! The file beside bare vectors that says what they are: a line for each row.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::input::{self, Lines, utf8};
use crate::embeddings::exchange::writer::Output;
use crate::embeddings::exchange::{Fields, ReadOptions, Record, Texts, object};
use bytes::Bytes;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// Returns where the companion of a file is written: `docs.npy.ids.jsonl` for `docs.npy`. The whole name is in
/// it, so that `docs.fvecs` beside it has another one.
pub(super) fn path_beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".ids.jsonl");
    name.into()
}

/// Returns the file with the names of bare vectors: the one that was said, or one that stands beside them.
#[must_use]
pub fn companion_of(vectors: &Path, options: &ReadOptions) -> Option<PathBuf> {
    if options.is_numbered {
        return None;
    }
    options.ids.clone().or_else(|| find_beside(vectors))
}

/// Names and what else is known, row by row.
pub(super) struct Companion {
    lines: Option<Lines>,
    file: String,
    is_plain: bool,
    fields: Fields,
    rows: u64,
}

impl Companion {
    /// Rows that are named by their numbers.
    pub(super) fn none() -> Self {
        Self {
            lines: None,
            file: String::new(),
            is_plain: false,
            fields: Fields::default(),
            rows: 0,
        }
    }

    /// Opens the file that was named, or one that stands beside the vectors.
    pub(super) fn open(vectors: &Path, options: &ReadOptions) -> Result<Self, Fault> {
        let Some(path) = companion_of(vectors, options) else {
            return Ok(Self::none());
        };
        let input = input::open(&path)?.input;
        Ok(Self {
            lines: Some(Lines::new(input)),
            file: path.display().to_string(),
            is_plain: path.extension().is_some_and(|ending| ending == "txt"),
            fields: options.fields.clone(),
            rows: 0,
        })
    }

    /// Returns whether there is a file.
    pub(super) const fn is_there(&self) -> bool {
        self.lines.is_some()
    }

    /// Returns the record of the next row, without its vector.
    pub(super) fn read(&mut self) -> Result<Record, Fault> {
        let row = self.rows;
        self.rows += 1;
        let Some(lines) = &mut self.lines else {
            return Ok(Record {
                id: row.to_string(),
                ..Record::default()
            });
        };
        let Some(line) = lines.read()? else {
            let why = format!(
                "`{}` ends after {row} lines, before the vectors do",
                self.file
            );
            return Err(Fault::Broken(why));
        };
        let read = if self.is_plain {
            utf8(line).map(named)
        } else {
            of_json(line, &self.fields)
        };
        let number = lines.number();
        read.map_err(|fault| Fault::Broken(format!("`{}`, line {number}: {fault}", self.file)))
    }

    /// Checks that no line is left when the vectors are at their end.
    pub(super) fn check_end(&mut self) -> Result<(), Fault> {
        let Some(lines) = &mut self.lines else {
            return Ok(());
        };
        let rows = self.rows;
        while let Some(line) = lines.read()? {
            if !line.trim_ascii().is_empty() {
                let why = format!("`{}` has more lines than the {rows} vectors", self.file);
                return Err(Fault::Broken(why));
            }
        }
        Ok(())
    }

    /// Says how rows got their names: a file that merely lies there may be another's.
    pub(super) fn notes(&self) -> Vec<String> {
        vec![match self.lines {
            Some(_) => format!("Rows are named by `{}`.", self.file),
            None => "Rows are named by their numbers, from 0.".to_owned(),
        }]
    }
}

fn find_beside(path: &Path) -> Option<PathBuf> {
    let beside = |ending: &str| path.with_extension(ending);
    let dir = path.parent()?;
    let usual = [
        path_beside(path),
        beside("ids.jsonl"),
        beside("ids.txt"),
        dir.join("ids.jsonl"),
        dir.join("ids.txt"),
    ];
    usual.into_iter().find(|path| path.is_file())
}

fn named(id: &str) -> Record {
    Record {
        id: id.to_owned(),
        ..Record::default()
    }
}

/// Reads an object, or a bare name.
fn of_json(line: &[u8], fields: &Fields) -> Result<Record, Fault> {
    let line = Bytes::copy_from_slice(line.trim_ascii());
    if line.starts_with(b"{") {
        return object::read(&line, fields, None);
    }
    object::id_of("id", &line).map(|id| named(&id))
}

/// Writes a line for each row.
pub(super) struct CompanionSink {
    output: Output,
    texts: Texts,
}

impl CompanionSink {
    pub(super) const fn new(output: Output, texts: Texts) -> Self {
        Self { output, texts }
    }

    pub(super) fn write(&mut self, record: &Record) -> Result<(), Fault> {
        let mut line = object::line_without_vector(record, self.texts)?;
        line.push(b'\n');
        self.output.write_all(&line).map_err(Fault::writing)
    }

    pub(super) fn finish(&mut self) -> Result<(), Fault> {
        self.output.flush().map_err(Fault::writing)
    }
}
