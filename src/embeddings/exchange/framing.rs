//! Arrow's messages: heads (FlatBuffers) and the bytes behind them, read and written.
//!
//! Heads are read by Arrow's own verified accessors; the arrays are taken apart here, because the library
//! reserves what a head claims. Lengths of a head are held against the bytes that come.

use crate::embeddings::exchange::Texts;
use crate::embeddings::exchange::batch::Block as Rows;
use crate::embeddings::exchange::cells;
use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::input::{read_array, read_exactly, too_long};
use arrow_ipc::{
    Block, Buffer, Endianness, Field, FieldArgs, FieldNode, FixedSizeListArgs, FloatingPointArgs,
    Footer, FooterArgs, Message, MessageArgs, MessageHeader, MetadataVersion, Precision,
    RecordBatch, RecordBatchArgs, Schema, SchemaArgs, Type, Utf8Args,
};
use bytes::Bytes;
use flatbuffers::{FlatBufferBuilder, WIPOffset};
use std::io::Read;

/// What a file begins and ends with.
pub(super) const MAGIC: &[u8; 6] = b"ARROW1";

/// What every message begins with.
const MARK: [u8; 4] = [0xff; 4];

/// The longest head.
const MAX_HEAD: u32 = 64 << 20;

/// The most bytes behind a head: a batch is held as a whole.
pub(super) const MAX_BODY: u64 = 2 << 30;

/// Reads the head of the next message; `None` at the end.
pub(super) fn read_head(input: &mut impl Read) -> Result<Option<Vec<u8>>, Fault> {
    let mut first = [0; 4];
    let read = input.read(&mut first).map_err(Fault::reading)?;
    if read == 0 {
        return Ok(None);
    }
    if let Some(rest) = first.get_mut(read..) {
        input.read_exact(rest).map_err(Fault::reading)?;
    }
    if first == MARK {
        first = read_array(input)?;
    }
    match u32::from_le_bytes(first) {
        0 => Ok(None),
        length if MAX_HEAD < length => Err(too_long("a head")),
        length => read_exactly(input, length.into()).map(Some),
    }
}

/// Returns the message that a head is.
pub(super) fn message(head: &[u8]) -> Result<Message<'_>, Fault> {
    arrow_ipc::root_as_message(head).map_err(|_| Fault::broken("the head of a message is damaged"))
}

/// Reads the bytes behind a head.
pub(super) fn read_body(input: &mut impl Read, message: &Message<'_>) -> Result<Bytes, Fault> {
    match u64::try_from(message.bodyLength()) {
        Ok(length) if length <= MAX_BODY => read_exactly(input, length).map(Bytes::from),
        Ok(_) => Err(Fault::TooLarge {
            what: "a batch".to_owned(),
            limit: "2 GiB: write smaller ones (`max_chunksize`)".to_owned(),
        }),
        Err(_) => Err(Fault::broken("a message has a negative length")),
    }
}

/// Returns a head as it stands in a file: mark, length, and filled up to whole words.
fn framed(head: &[u8]) -> Vec<u8> {
    let length = head.len().next_multiple_of(8);
    let mut bytes = MARK.to_vec();
    bytes.extend(i32::try_from(length).unwrap_or(i32::MAX).to_le_bytes());
    bytes.extend(head);
    bytes.resize(length + 8, 0);
    bytes
}

/// The mark behind the last message.
pub(super) const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// Returns the message with the schema of what is written.
pub(super) fn schema_message(texts: Texts, dimensions: usize) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let schema = schema(&mut builder, texts, dimensions);
    let arguments = MessageArgs {
        version: MetadataVersion::V5,
        header_type: MessageHeader::Schema,
        header: Some(schema.as_union_value()),
        ..MessageArgs::default()
    };
    let message = Message::create(&mut builder, &arguments);
    builder.finish(message, None);
    framed(builder.finished_data())
}

fn schema<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    texts: Texts,
    dimensions: usize,
) -> WIPOffset<Schema<'a>> {
    let mut fields = Vec::new();
    for name in cells::columns(texts) {
        fields.push(match name {
            "embedding" => vector_field(builder, dimensions),
            _ => text_field(builder, name),
        });
    }
    let arguments = SchemaArgs {
        endianness: Endianness::Little,
        fields: Some(builder.create_vector(&fields)),
        ..SchemaArgs::default()
    };
    Schema::create(builder, &arguments)
}

fn text_field<'a>(builder: &mut FlatBufferBuilder<'a>, name: &str) -> WIPOffset<Field<'a>> {
    let kind = arrow_ipc::Utf8::create(builder, &Utf8Args {});
    let children: [WIPOffset<Field<'a>>; 0] = [];
    let arguments = FieldArgs {
        name: Some(builder.create_string(name)),
        nullable: name != "id",
        type_type: Type::Utf8,
        type_: Some(kind.as_union_value()),
        children: Some(builder.create_vector(&children)),
        ..FieldArgs::default()
    };
    Field::create(builder, &arguments)
}

fn vector_field<'a>(
    builder: &mut FlatBufferBuilder<'a>,
    dimensions: usize,
) -> WIPOffset<Field<'a>> {
    let float = FloatingPointArgs {
        precision: Precision::SINGLE,
    };
    let kind = arrow_ipc::FloatingPoint::create(builder, &float);
    let none: [WIPOffset<Field<'a>>; 0] = [];
    let arguments = FieldArgs {
        name: Some(builder.create_string("element")),
        nullable: false,
        type_type: Type::FloatingPoint,
        type_: Some(kind.as_union_value()),
        children: Some(builder.create_vector(&none)),
        ..FieldArgs::default()
    };
    let element = Field::create(builder, &arguments);
    let list = FixedSizeListArgs {
        listSize: list_size(dimensions),
    };
    let kind = arrow_ipc::FixedSizeList::create(builder, &list);
    let arguments = FieldArgs {
        name: Some(builder.create_string("embedding")),
        nullable: true,
        type_type: Type::FixedSizeList,
        type_: Some(kind.as_union_value()),
        children: Some(builder.create_vector(&[element])),
        ..FieldArgs::default()
    };
    Field::create(builder, &arguments)
}

/// A list of no numbers is refused by some readers; where there are no vectors, any length is right.
fn list_size(dimensions: usize) -> i32 {
    i32::try_from(dimensions.max(1)).unwrap_or(i32::MAX)
}

/// Arrays on their way into a message.
#[derive(Default)]
struct Body {
    bytes: Vec<u8>,
    nodes: Vec<FieldNode>,
    buffers: Vec<Buffer>,
}

impl Body {
    fn node(&mut self, length: usize, nulls: usize) {
        self.nodes
            .push(FieldNode::new(signed(length), signed(nulls)));
    }

    fn buffer(&mut self, bytes: impl IntoIterator<Item = u8>) {
        let start = self.bytes.len();
        self.bytes.extend(bytes);
        let length = self.bytes.len() - start;
        self.buffers
            .push(Buffer::new(signed(start), signed(length)));
        self.bytes.resize(self.bytes.len().next_multiple_of(64), 0);
    }

    /// Adds which rows are there, a bit for each.
    fn validity(&mut self, rows: impl Iterator<Item = bool> + Clone) {
        let nulls = rows.clone().filter(|is_there| !is_there).count();
        let rows: Vec<bool> = rows.collect();
        self.node(rows.len(), nulls);
        if nulls == 0 {
            return self.buffer([]);
        }
        let bits = |chunk: &[bool]| {
            let bits = chunk.iter().rev();
            bits.fold(0, |byte: u8, is_there| (byte << 1) | u8::from(*is_there))
        };
        self.buffer(rows.chunks(8).map(bits));
    }

    fn texts(&mut self, column: &[Option<String>]) -> Result<(), Fault> {
        self.validity(column.iter().map(Option::is_some));
        let mut ends = vec![0_i32];
        let mut end = 0;
        for text in column {
            end += text.as_ref().map_or(0, String::len);
            ends.push(i32::try_from(end).map_err(|_| too_long("the texts of a batch"))?);
        }
        self.buffer(ends.into_iter().flat_map(i32::to_le_bytes));
        self.buffer(column.iter().flatten().flat_map(|text| text.bytes()));
        Ok(())
    }

    fn vectors(&mut self, column: &[Option<Vec<f32>>], dimensions: usize) {
        self.validity(column.iter().map(Option::is_some));
        self.node(column.len() * dimensions, 0);
        self.buffer([]);
        let none = vec![0.0; dimensions];
        let rows = column.iter().map(|row| row.as_ref().unwrap_or(&none));
        self.buffer(rows.flatten().flat_map(|value| value.to_le_bytes()));
    }
}

fn signed(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Returns the head and the body of a batch.
pub(super) fn batch_message(rows: &Rows, dimensions: usize) -> Result<(Vec<u8>, Vec<u8>), Fault> {
    let mut body = Body::default();
    for column in &rows.columns {
        body.texts(column)?;
    }
    body.vectors(&rows.vectors, dimensions.max(1));
    let mut builder = FlatBufferBuilder::new();
    let arguments = RecordBatchArgs {
        length: signed(rows.vectors.len()),
        nodes: Some(builder.create_vector(&body.nodes)),
        buffers: Some(builder.create_vector(&body.buffers)),
        ..RecordBatchArgs::default()
    };
    let batch = RecordBatch::create(&mut builder, &arguments);
    let arguments = MessageArgs {
        version: MetadataVersion::V5,
        header_type: MessageHeader::RecordBatch,
        header: Some(batch.as_union_value()),
        bodyLength: signed(body.bytes.len()),
        ..MessageArgs::default()
    };
    let message = Message::create(&mut builder, &arguments);
    builder.finish(message, None);
    Ok((framed(builder.finished_data()), body.bytes))
}

/// Where a batch stands in a file: its first byte, and how long its head and its body are.
pub(super) type Stand = (usize, usize, usize);

/// Returns what stands behind the last message of a file.
pub(super) fn footer(texts: Texts, dimensions: usize, batches: &[Stand]) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let schema = schema(&mut builder, texts, dimensions);
    let block = |(start, head, body): &Stand| {
        Block::new(
            signed(*start),
            i32::try_from(*head).unwrap_or(i32::MAX),
            signed(*body),
        )
    };
    let blocks: Vec<Block> = batches.iter().map(block).collect();
    let arguments = FooterArgs {
        version: MetadataVersion::V5,
        schema: Some(schema),
        dictionaries: Some(builder.create_vector::<Block>(&[])),
        recordBatches: Some(builder.create_vector(&blocks)),
        ..FooterArgs::default()
    };
    let footer = Footer::create(&mut builder, &arguments);
    builder.finish(footer, None);
    let footer = builder.finished_data();
    let length = i32::try_from(footer.len()).unwrap_or(i32::MAX);
    [footer, &length.to_le_bytes(), MAGIC].concat()
}
