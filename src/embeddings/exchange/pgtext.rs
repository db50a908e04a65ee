//! What PostgreSQL's `COPY` reads and writes: its text format, and its CSV.
//!
//! Columns have no names there: they are told in the options, or are the usual ones.

use crate::embeddings::exchange::cells;
use crate::embeddings::exchange::columns::of_copy;
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::fields::Layout;
use crate::embeddings::exchange::input::{Input, Lines};
use crate::embeddings::exchange::table::{self, Bounded};
use crate::embeddings::exchange::{
    Column, Fields, Output, ReadOptions, Record, Sink, Source, Texts, WriteOptions, vector,
};
use csv::StringRecord;
use std::io::Write as _;

/// Names of the columns and what they are, once the first row has told how many there are.
pub(super) struct Shape {
    declared: Vec<Column>,
    fields: Fields,
    is_numbered: bool,
    pub(super) rows: u64,
    pub(super) columns: Vec<Column>,
    names: Vec<String>,
    pub(super) layout: Layout,
}

impl Shape {
    pub(super) fn new(options: &ReadOptions) -> Self {
        Self {
            declared: options.columns.clone(),
            fields: options.fields.clone(),
            is_numbered: options.is_numbered,
            rows: 0,
            columns: Vec::new(),
            names: Vec::new(),
            layout: Layout::default(),
        }
    }

    /// Holds the number of columns of a row against that of the first.
    pub(super) fn check(&mut self, count: usize) -> Result<(), Fault> {
        if self.columns.is_empty() {
            self.columns = of_copy(&self.declared, count)?;
            self.names = self
                .columns
                .iter()
                .map(|column| column.name.clone())
                .collect();
            let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
            self.layout = Layout::of(&self.fields, &names)?;
        }
        let expected = self.columns.len();
        if count == expected {
            return Ok(());
        }
        Err(Fault::Broken(format!(
            "the row has {count} columns, not {expected}"
        )))
    }

    /// Reads the cells of a row.
    pub(super) fn record(&mut self, row: &[Option<&str>]) -> Result<Record, Fault> {
        self.check(row.len())?;
        let number = self.is_numbered.then_some(self.rows);
        self.rows += 1;
        cells::read(&self.layout, &self.names, row, number)
    }
}

/// Text of `COPY`.
pub(super) struct PgText {
    lines: Lines,
    shape: Shape,
    is_done: bool,
}

impl PgText {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Self {
        Self {
            lines: Lines::new(input),
            shape: Shape::new(options),
            is_done: false,
        }
    }
}

impl Source for PgText {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        let line = match self.lines.read()? {
            Some(line) if !self.is_done => line,
            Some([]) | None => return Ok(None),
            Some(_) => return Err(Fault::broken("something follows the end mark `\\.`")),
        };
        if line == b"\\." {
            self.is_done = true;
            return self.read();
        }
        let cells: Result<Vec<_>, _> = line.split(|byte| *byte == b'\t').map(unescape).collect();
        let cells = cells?;
        let row: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
        self.shape.record(&row).map(Some)
    }

    fn place(&self) -> Place {
        Place::Line(self.lines.number())
    }
}

/// Reads a cell; `\N` is none.
fn unescape(cell: &[u8]) -> Result<Option<String>, Fault> {
    if cell == b"\\N" {
        return Ok(None);
    }
    let mut bytes = Vec::with_capacity(cell.len());
    let mut rest = cell.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        let escaped = rest
            .next()
            .ok_or_else(|| Fault::broken("a cell ends in a lone backslash"))?;
        bytes.push(match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => digits(escaped - b'0', 8, 2, &mut rest),
            b'x' if rest.peek().is_some_and(u8::is_ascii_hexdigit) => digits(0, 16, 2, &mut rest),
            other => other,
        });
    }
    let text = String::from_utf8(bytes);
    text.map(Some)
        .map_err(|_| Fault::broken("it is no UTF-8 text"))
}

/// Reads at most `most` further digits of a byte's number.
fn digits(
    first: u8,
    radix: u8,
    most: usize,
    rest: &mut std::iter::Peekable<impl Iterator<Item = u8>>,
) -> u8 {
    let mut number = first;
    for _ in 0..most {
        let digit = rest
            .peek()
            .and_then(|byte| char::from(*byte).to_digit(radix.into()));
        let Some(digit) = digit.and_then(|digit| u8::try_from(digit).ok()) else {
            break;
        };
        number = number.wrapping_mul(radix).wrapping_add(digit);
        rest.next();
    }
    number
}

/// CSV of `COPY`, without a line of names.
pub(super) struct PgCsv {
    rows: csv::Reader<Bounded>,
    row: StringRecord,
    shape: Shape,
}

impl PgCsv {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Self {
        Self {
            rows: table::reader(input, b',', false),
            row: StringRecord::new(),
            shape: Shape::new(options),
        }
    }
}

impl Source for PgCsv {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        self.rows.get_mut().renew();
        let is_read = self.rows.read_record(&mut self.row);
        if !is_read.map_err(|error| table::fault(&error))? {
            return Ok(None);
        }
        let row = table::cells_of(&self.row);
        self.shape.record(&row).map(Some)
    }

    fn place(&self) -> Place {
        let start = self.row.position().map(csv::Position::line);
        Place::Line(start.unwrap_or_else(|| self.rows.position().line()))
    }
}

/// Text for `COPY`; alone, or within a script.
pub(super) struct PgTextSink {
    output: Output,
    texts: Texts,
}

impl PgTextSink {
    pub(super) const fn new(output: Output, options: &WriteOptions) -> Self {
        Self {
            output,
            texts: options.texts,
        }
    }
}

impl Sink for PgTextSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        let line = line(record, self.texts)?;
        self.output
            .write_all(line.as_bytes())
            .map_err(Fault::writing)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.output.flush().map_err(Fault::writing)
    }
}

/// Returns a record as a line of `COPY`, with its end.
pub(super) fn line(record: &Record, texts: Texts) -> Result<String, Fault> {
    let mut line = String::new();
    for cell in cells::write(record, texts)? {
        match cell {
            None => line.push_str("\\N"),
            Some(text) => escape(&text, &mut line)?,
        }
        line.push('\t');
    }
    match &record.vector {
        None => line.push_str("\\N"),
        Some(values) => line.push_str(&vector::to_list(values)),
    }
    line.push('\n');
    Ok(line)
}

fn escape(text: &str, into: &mut String) -> Result<(), Fault> {
    for c in text.chars() {
        match c {
            '\0' => return Err(nul()),
            '\\' => into.push_str("\\\\"),
            '\n' => into.push_str("\\n"),
            '\r' => into.push_str("\\r"),
            '\t' => into.push_str("\\t"),
            other => into.push(other),
        }
    }
    Ok(())
}

/// Returns the fault of a text that PostgreSQL cannot hold.
pub(super) fn nul() -> Fault {
    Fault::Unsupported {
        what: "the text holds a zero byte, which PostgreSQL cannot keep".to_owned(),
        instead: "take it out of the text, or export to another format".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{escape, unescape};
    use proptest::prelude::*;

    #[test]
    fn cells_are_unescaped_as_the_server_does() {
        for (cell, text) in [
            (&b"\\N"[..], None),
            (b"", Some("")),
            (b"a\\tb\\\\c\\n", Some("a\tb\\c\n")),
            (b"\\101\\x41\\x4", Some("AA\u{4}")),
            (b"\\q\\.", Some("q.")),
        ] {
            assert_eq!(unescape(cell).unwrap().as_deref(), text);
        }
        assert!(unescape(b"a\\").is_err());
        assert!(unescape(b"\\xff").is_err());
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[^\0]*") {
            let mut cell = String::new();
            escape(&text, &mut cell).unwrap();
            prop_assert!(!cell.contains(['\t', '\n', '\r']));
            let read = unescape(cell.as_bytes()).unwrap();
            prop_assert_eq!(read, Some(text));
        }
    }
}
