//! Tables with a line of names: CSV and TSV.
//!
//! An empty cell is an absent one: a table cannot tell an empty text from none.

use crate::embeddings::exchange::cells;
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::fields::Layout;
use crate::embeddings::exchange::input::{Input, MAX_LINE, too_long};
use crate::embeddings::exchange::{
    Output, ReadOptions, Record, Sink, Source, Texts, WriteOptions, vector,
};
use csv::{ErrorKind, StringRecord};
use std::io::{self, Read};

/// A table that is read.
pub(super) struct Table {
    rows: csv::Reader<Bounded>,
    row: StringRecord,
    names: Vec<String>,
    layout: Layout,
    is_numbered: bool,
    count: u64,
}

impl Table {
    pub(super) fn new(input: Input, delimiter: u8, options: &ReadOptions) -> Result<Self, Fault> {
        let mut rows = reader(input, delimiter, true);
        let header = rows.headers().map_err(|error| fault(&error))?.clone();
        let names: Vec<String> = header.iter().map(|name| name.trim().to_owned()).collect();
        for (place, name) in names.iter().enumerate() {
            if names.iter().take(place).any(|before| before == name) {
                return Err(Fault::field(name, "is the name of two columns"));
            }
        }
        let refs: Vec<&str> = names.iter().map(String::as_str).collect();
        Ok(Self {
            layout: Layout::of(&options.fields, &refs)?,
            names,
            rows,
            row: StringRecord::new(),
            is_numbered: options.is_numbered,
            count: 0,
        })
    }
}

impl Source for Table {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        self.rows.get_mut().renew();
        let is_read = self.rows.read_record(&mut self.row);
        if !is_read.map_err(|error| fault(&error))? {
            return Ok(None);
        }
        let number = self.is_numbered.then_some(self.count);
        self.count += 1;
        let row: Vec<Option<&str>> = cells_of(&self.row);
        cells::read(&self.layout, &self.names, &row, number).map(Some)
    }

    fn place(&self) -> Place {
        let start = self.row.position().map(csv::Position::line);
        Place::Line(start.unwrap_or_else(|| self.rows.position().line()))
    }
}

/// Returns the cells of a row; empty ones are absent.
pub(super) fn cells_of(row: &StringRecord) -> Vec<Option<&str>> {
    row.iter()
        .map(|cell| Some(cell).filter(|cell| !cell.is_empty()))
        .collect()
}

/// Returns the reader of a table, whose rows are as long as the first.
pub(super) fn reader(input: Input, delimiter: u8, has_names: bool) -> csv::Reader<Bounded> {
    csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .has_headers(has_names)
        .from_reader(Bounded {
            input,
            left: MAX_LINE,
        })
}

/// Bytes of which only so many are given before somebody says that a row has begun: a quote that is never
/// closed would read the whole file into one cell.
pub(super) struct Bounded {
    input: Input,
    left: usize,
}

impl Bounded {
    /// Says that a row begins.
    pub(super) const fn renew(&mut self) {
        self.left = MAX_LINE;
    }
}

impl Read for Bounded {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge));
        }
        let read = self.input.read(into)?;
        self.left = self.left.saturating_sub(read);
        Ok(read)
    }
}

/// Returns what is wrong with a table.
pub(super) fn fault(error: &csv::Error) -> Fault {
    match error.kind() {
        ErrorKind::Io(error) if error.kind() == io::ErrorKind::FileTooLarge => too_long("a row"),
        ErrorKind::Io(error) => Fault::reading(io::Error::new(error.kind(), error.to_string())),
        ErrorKind::Utf8 { .. } => Fault::broken("it is no UTF-8 text"),
        ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Fault::Broken(format!("the row has {len} cells, not {expected_len}")),
        _ => Fault::Broken(error.to_string()),
    }
}

/// A table that is written.
pub(super) struct TableSink {
    rows: csv::Writer<Output>,
    texts: Texts,
}

impl TableSink {
    /// Returns a table; a copy of PostgreSQL has no line of names.
    pub(super) fn new(
        output: Output,
        delimiter: u8,
        has_names: bool,
        options: &WriteOptions,
    ) -> Result<Self, Fault> {
        let mut rows = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .from_writer(output);
        if has_names {
            let names = rows.write_record(cells::columns(options.texts));
            names.map_err(|error| written(&error))?;
        }
        Ok(Self {
            rows,
            texts: options.texts,
        })
    }
}

impl Sink for TableSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        let mut row = cells::write(record, self.texts)?;
        row.push(record.vector.as_deref().map(vector::to_list));
        let row = row.iter().map(|cell| cell.as_deref().unwrap_or_default());
        self.rows.write_record(row).map_err(|error| written(&error))
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.rows.flush().map_err(Fault::writing)
    }
}

fn written(error: &csv::Error) -> Fault {
    match error.kind() {
        ErrorKind::Io(error) => Fault::writing(io::Error::new(error.kind(), error.to_string())),
        _ => Fault::Broken(error.to_string()),
    }
}
