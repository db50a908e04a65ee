//! Arrow's files and streams: batches of columns, one batch at a time.
//!
//! A file is read like the stream that is in it: what stands at its end only helps those who jump about.

use crate::embeddings::exchange::batch::{self, Block, Cell};
use crate::embeddings::exchange::columnar::{Array, Buffers, Shape};
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::fields::Layout;
use crate::embeddings::exchange::input::{Input, read_array};
use crate::embeddings::exchange::{
    Output, ReadOptions, Record, Sink, Source, Texts, WriteOptions, framing,
};
use arrow_ipc::{Endianness, MessageHeader};
use std::io::{BufReader, Read as _, Write as _};

/// How many bytes make a batch.
const BATCH: usize = 4 << 20;

/// A file or a stream that is read.
pub(super) struct ArrowSource {
    input: BufReader<Input>,
    shapes: Vec<Shape>,
    names: Vec<String>,
    layout: Layout,
    is_numbered: bool,
    notes: Vec<String>,
    arrays: Vec<Array>,
    rows: usize,
    next: usize,
    row: u64,
    is_file: bool,
}

impl ArrowSource {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Result<Self, Fault> {
        let mut input = BufReader::with_capacity(1 << 16, input);
        let is_file = std::io::BufRead::fill_buf(&mut input)
            .map_err(Fault::reading)?
            .starts_with(framing::MAGIC);
        if is_file {
            read_array::<8>(&mut input)?;
        }
        let head = framing::read_head(&mut input)?;
        let head = head.ok_or_else(|| Fault::broken("it holds no schema"))?;
        let message = framing::message(&head)?;
        let schema = message
            .header_as_schema()
            .ok_or_else(|| Fault::broken("it does not begin with a schema"))?;
        if schema.endianness() != Endianness::Little {
            return Err(Fault::Unsupported {
                what: "its numbers are big-endian".to_owned(),
                instead: "write it on a machine that is not, or as Parquet".to_owned(),
            });
        }
        let mut shapes = Vec::new();
        for field in schema.fields().into_iter().flatten() {
            shapes.push(Shape::of(&field)?);
        }
        let is_read = |shape: &&Shape| shape.is_read();
        let read = shapes
            .iter()
            .filter(is_read)
            .map(|shape| shape.name.clone());
        let names: Vec<String> = read.collect();
        let refs: Vec<&str> = names.iter().map(String::as_str).collect();
        let layout = Layout::of(&options.fields, &refs)?;
        let left_out = shapes.iter().filter(|shape| !shape.is_read());
        let left_out: Vec<String> = left_out.map(|shape| format!("`{}`", shape.name)).collect();
        let note = || {
            let names = left_out.join(", ");
            format!(
                "Columns of other types than text, number, boolean and list of floats were left out: {names}."
            )
        };
        Ok(Self {
            layout,
            names,
            input,
            is_numbered: options.is_numbered,
            notes: (!left_out.is_empty()).then(note).into_iter().collect(),
            shapes,
            arrays: Vec::new(),
            rows: 0,
            next: 0,
            row: 0,
            is_file,
        })
    }

    /// Checks that a file ends as it should; a stream may end anywhere.
    fn check_end(&mut self) -> Result<(), Fault> {
        if !self.is_file {
            return Ok(());
        }
        let mut end = [0; 6];
        let mut byte = [0];
        while self.input.read(&mut byte).map_err(Fault::reading)? != 0 {
            end.rotate_left(1);
            if let Some(last) = end.last_mut() {
                [*last] = byte;
            }
        }
        if end == *framing::MAGIC {
            return Ok(());
        }
        Err(Fault::broken("the file ends too early"))
    }

    /// Reads the next batch; tells whether there is one.
    fn fill(&mut self) -> Result<bool, Fault> {
        while let Some(head) = framing::read_head(&mut self.input)? {
            let message = framing::message(&head)?;
            let body = framing::read_body(&mut self.input, &message)?;
            match message.header_type() {
                MessageHeader::RecordBatch => {}
                // Columns of words are left out, and so are the words.
                MessageHeader::DictionaryBatch => continue,
                _ => return Err(Fault::broken("a message is no batch")),
            }
            let batch = message
                .header_as_record_batch()
                .ok_or_else(|| Fault::broken("the head of a message is damaged"))?;
            self.rows = usize::try_from(batch.length())
                .map_err(|_| Fault::broken("a batch has a negative length"))?;
            self.next = 0;
            let mut buffers = Buffers::new(&batch, body)?;
            self.arrays.clear();
            for shape in &self.shapes {
                let array = shape.take(&mut buffers)?;
                self.arrays.extend(array);
            }
            if 0 < self.rows {
                return Ok(true);
            }
        }
        self.check_end()?;
        Ok(false)
    }
}

impl Source for ArrowSource {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        let number = self.is_numbered.then_some(self.row);
        self.row += 1;
        if self.rows <= self.next && !self.fill()? {
            return Ok(None);
        }
        let row = self.arrays.iter().map(|array| array.cell(self.next));
        let row: Vec<Cell> = row.collect::<Result<_, _>>()?;
        self.next += 1;
        batch::read(&self.layout, &self.names, row, number).map(Some)
    }

    fn place(&self) -> Place {
        Place::Row(self.row)
    }

    fn notes(&self) -> Vec<String> {
        self.notes.clone()
    }
}

/// A file or a stream that is written. Its head waits for the first vector, whose length it says.
pub(super) struct ArrowSink {
    output: Output,
    is_file: bool,
    block: Block,
    texts: Texts,
    dimensions: Option<usize>,
    is_begun: bool,
    written: usize,
    batches: Vec<framing::Stand>,
}

impl ArrowSink {
    pub(super) fn file(output: Output, options: &WriteOptions) -> Self {
        Self::new(output, true, options)
    }

    pub(super) fn stream(output: Output, options: &WriteOptions) -> Self {
        Self::new(output, false, options)
    }

    fn new(output: Output, is_file: bool, options: &WriteOptions) -> Self {
        Self {
            output,
            is_file,
            block: Block::new(options.texts, BATCH),
            texts: options.texts,
            dimensions: options.dimensions,
            is_begun: false,
            written: 0,
            batches: Vec::new(),
        }
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.written += bytes.len();
        self.output.write_all(bytes).map_err(Fault::writing)
    }

    fn flush(&mut self) -> Result<(), Fault> {
        let dimensions = self.dimensions.unwrap_or(0);
        if !self.is_begun {
            self.is_begun = true;
            if self.is_file {
                self.put(b"ARROW1\0\0")?;
            }
            self.put(&framing::schema_message(self.texts, dimensions))?;
        }
        if !self.block.vectors.is_empty() {
            let (head, body) = framing::batch_message(&self.block, dimensions)?;
            self.batches.push((self.written, head.len(), body.len()));
            self.put(&head)?;
            self.put(&body)?;
        }
        self.block.clear();
        Ok(())
    }
}

impl Sink for ArrowSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        batch::learn_length(&mut self.dimensions, record, self.is_begun)?;
        if self.block.push(record)? {
            self.flush()?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), Fault> {
        self.flush()?;
        self.put(&framing::END)?;
        if self.is_file {
            let footer = framing::footer(self.texts, self.dimensions.unwrap_or(0), &self.batches);
            self.put(&footer)?;
        }
        self.output.flush().map_err(Fault::writing)
    }
}
