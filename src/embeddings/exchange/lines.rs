//! Records as lines of JSON.

use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::input::{Input, Lines};
use crate::embeddings::exchange::{
    Fields, Output, ReadOptions, Record, Sink, Source, Texts, VectorText, WriteOptions, object,
};
use bytes::Bytes;
use std::io::Write as _;

/// Lines that are read; empty ones are passed over.
pub(super) struct JsonLines {
    lines: Lines,
    fields: Fields,
    is_numbered: bool,
    rows: u64,
}

impl JsonLines {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Self {
        Self {
            lines: Lines::new(input),
            fields: options.fields.clone(),
            is_numbered: options.is_numbered,
            rows: 0,
        }
    }
}

impl Source for JsonLines {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        while let Some(line) = self.lines.read()? {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let number = self.is_numbered.then_some(self.rows);
            self.rows += 1;
            let line = Bytes::copy_from_slice(line);
            return object::read(&line, &self.fields, number).map(Some);
        }
        Ok(None)
    }

    fn place(&self) -> Place {
        Place::Line(self.lines.number())
    }
}

/// Lines that are written.
pub(super) struct JsonLinesSink {
    output: Output,
    texts: Texts,
    vectors: VectorText,
}

impl JsonLinesSink {
    pub(super) const fn new(output: Output, options: &WriteOptions) -> Self {
        Self {
            output,
            texts: options.texts,
            vectors: options.vectors,
        }
    }
}

impl Sink for JsonLinesSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        let mut line = object::line(record, self.texts, self.vectors)?;
        line.push(b'\n');
        self.output.write_all(&line).map_err(Fault::writing)
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.output.flush().map_err(Fault::writing)
    }
}
