//! Arrow's arrays, taken out of the bytes of a batch and read row by row.

use crate::embeddings::exchange::batch::Cell;
use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::framing::MAX_BODY;
use crate::embeddings::exchange::input::read_exactly;
use crate::embeddings::exchange::npy::rounded;
use crate::embeddings::exchange::vector::{MAX_DIMENSIONS, too_long};
use arrow_ipc::{Buffer, CompressionType, Field, FieldNode, Precision, RecordBatch, Type};
use bytes::Bytes;
use half::f16;
use serde_json::Value;
use std::collections::VecDeque;

/// The deepest nesting of a column.
const MAX_DEPTH: usize = 16;

/// A column of a schema.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) name: String,
    kind: Option<Kind>,
    /// How many arrays and buffers it has.
    arrays: usize,
    buffers: usize,
}

/// What a column that is read holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Float(Float),
    Integer {
        size: usize,
        is_signed: bool,
    },
    /// Offsets of so many bytes.
    Text(usize),
    /// Lists of one length.
    Fixed(usize, Float),
    /// Lists with offsets of so many bytes.
    List(usize, Float),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Float {
    Half,
    Single,
    Double,
}

impl Shape {
    /// Reads a field of a schema.
    pub(super) fn of(field: &Field<'_>) -> Result<Self, Fault> {
        let name = field.name().unwrap_or_default().to_owned();
        let Some((arrays, buffers)) = parts(field, 0) else {
            return Err(Fault::Unsupported {
                what: format!("`{name}` is of a type that cannot be read"),
                instead: "leave the column out, or cast it to text".to_owned(),
            });
        };
        Ok(Self {
            kind: kind_of(field)?,
            name,
            arrays,
            buffers,
        })
    }

    /// Returns whether the column is read, and not passed over.
    pub(super) const fn is_read(&self) -> bool {
        self.kind.is_some()
    }

    /// Takes the column out of a batch; `None` when it is passed over.
    pub(super) fn take(&self, from: &mut Buffers) -> Result<Option<Array>, Fault> {
        let Some(kind) = self.kind else {
            for _ in 0..self.arrays {
                from.node()?;
            }
            for _ in 0..self.buffers {
                from.pass()?;
            }
            return Ok(None);
        };
        let length = from.node()?;
        let mut array = Array {
            name: self.name.clone(),
            kind,
            length,
            validity: Bytes::new(),
            offsets: Bytes::new(),
            holes: Bytes::new(),
            values: Bytes::new(),
        };
        if kind == Kind::Null {
            return Ok(Some(array));
        }
        array.validity = from.buffer()?;
        if matches!(kind, Kind::Text(_) | Kind::List(..)) {
            array.offsets = from.buffer()?;
        }
        if matches!(kind, Kind::List(..) | Kind::Fixed(..)) {
            from.node()?;
            array.holes = from.buffer()?;
        }
        array.values = from.buffer()?;
        Ok(Some(array))
    }
}

/// Returns how many arrays and buffers a field has; `None` when that depends on the batch.
fn parts(field: &Field<'_>, depth: usize) -> Option<(usize, usize)> {
    if MAX_DEPTH < depth {
        return None;
    }
    if field.dictionary().is_some() {
        return Some((1, 2));
    }
    let own = match field.type_type() {
        Type::Null => 0,
        Type::FixedSizeList | Type::Struct_ => 1,
        Type::Utf8 | Type::LargeUtf8 | Type::Binary | Type::LargeBinary => 3,
        Type::Int
        | Type::FloatingPoint
        | Type::Bool
        | Type::Decimal
        | Type::Date
        | Type::Time
        | Type::Timestamp
        | Type::Interval
        | Type::Duration
        | Type::FixedSizeBinary
        | Type::List
        | Type::LargeList
        | Type::Map => 2,
        _ => return None,
    };
    let mut sum: (usize, usize) = (1, own);
    for child in field.children().into_iter().flatten() {
        let (arrays, buffers) = parts(&child, depth + 1)?;
        sum = (sum.0.checked_add(arrays)?, sum.1.checked_add(buffers)?);
    }
    Some(sum)
}

fn kind_of(field: &Field<'_>) -> Result<Option<Kind>, Fault> {
    if field.dictionary().is_some() {
        return Ok(None);
    }
    let child = || {
        let mut children = field.children().into_iter().flatten();
        children.next().filter(|child| child.dictionary().is_none())
    };
    let float = |field: Field<'_>| {
        let kind = field.type_as_floating_point()?;
        match kind.precision() {
            Precision::HALF => Some(Float::Half),
            Precision::SINGLE => Some(Float::Single),
            Precision::DOUBLE => Some(Float::Double),
            _ => None,
        }
    };
    Ok(match field.type_type() {
        Type::Null => Some(Kind::Null),
        Type::Bool => Some(Kind::Bool),
        Type::Utf8 => Some(Kind::Text(4)),
        Type::LargeUtf8 => Some(Kind::Text(8)),
        Type::FloatingPoint => float(*field).map(Kind::Float),
        Type::List => child().and_then(float).map(|float| Kind::List(4, float)),
        Type::LargeList => child().and_then(float).map(|float| Kind::List(8, float)),
        Type::FixedSizeList => {
            let size = field
                .type_as_fixed_size_list()
                .map_or(0, |list| list.listSize());
            let size = usize::try_from(size).unwrap_or_default();
            if MAX_DIMENSIONS < size {
                return Err(too_long());
            }
            child()
                .and_then(float)
                .map(|float| Kind::Fixed(size, float))
        }
        Type::Int => field.type_as_int().and_then(|number| {
            let size = usize::try_from(number.bitWidth() / 8).ok()?;
            let is_signed = number.is_signed();
            matches!(size, 1 | 2 | 4 | 8).then_some(Kind::Integer { size, is_signed })
        }),
        _ => None,
    })
}

/// The arrays and buffers of a batch, in their order.
pub(super) struct Buffers {
    body: Bytes,
    nodes: VecDeque<i64>,
    buffers: VecDeque<(i64, i64)>,
    compression: Option<CompressionType>,
    /// How many bytes may still come out of compressed buffers.
    left: u64,
}

impl Buffers {
    pub(super) fn new(batch: &RecordBatch<'_>, body: Bytes) -> Result<Self, Fault> {
        let node = |node: &FieldNode| node.length();
        let buffer = |buffer: &Buffer| (buffer.offset(), buffer.length());
        let compression = batch.compression().map(|compression| compression.codec());
        Ok(Self {
            body,
            nodes: batch.nodes().into_iter().flatten().map(node).collect(),
            buffers: batch.buffers().into_iter().flatten().map(buffer).collect(),
            compression,
            left: MAX_BODY,
        })
    }

    /// Takes the next array's length.
    fn node(&mut self) -> Result<usize, Fault> {
        let length = self.nodes.pop_front();
        let length = length.and_then(|length| usize::try_from(length).ok());
        length.ok_or_else(|| Fault::broken("a batch lacks an array"))
    }

    /// Passes over the next buffer.
    fn pass(&mut self) -> Result<(), Fault> {
        let passed = self.buffers.pop_front().map(|_| ());
        passed.ok_or_else(lacks_buffer)
    }

    /// Takes the next buffer, decompressed.
    fn buffer(&mut self) -> Result<Bytes, Fault> {
        let (start, length) = self.buffers.pop_front().ok_or_else(lacks_buffer)?;
        let range = usize::try_from(start)
            .ok()
            .zip(usize::try_from(length).ok());
        let range = range.and_then(|(start, length)| Some(start..start.checked_add(length)?));
        let range = range.filter(|range| range.end <= self.body.len());
        let bytes = self.body.slice(range.ok_or_else(lacks_buffer)?);
        match self.compression {
            Some(codec) if !bytes.is_empty() => self.decompressed(codec, &bytes),
            _ => Ok(bytes),
        }
    }

    fn decompressed(&mut self, codec: CompressionType, bytes: &Bytes) -> Result<Bytes, Fault> {
        let (head, packed) = bytes.split_first_chunk::<8>().ok_or_else(lacks_buffer)?;
        let length = i64::from_le_bytes(*head);
        if length == -1 {
            return Ok(bytes.slice(8..));
        }
        let length = u64::try_from(length).map_err(|_| lacks_buffer())?;
        self.left = self
            .left
            .checked_sub(length)
            .ok_or_else(|| Fault::TooLarge {
                what: "a batch".to_owned(),
                limit: "2 GiB when it is decompressed".to_owned(),
            })?;
        let read = match codec {
            CompressionType::ZSTD => {
                let mut packed =
                    zstd::stream::read::Decoder::with_buffer(packed).map_err(Fault::reading)?;
                read_exactly(&mut packed, length)
            }
            CompressionType::LZ4_FRAME => {
                read_exactly(&mut lz4_flex::frame::FrameDecoder::new(packed), length)
            }
            _ => return Err(Fault::broken("a batch is compressed in an unknown way")),
        };
        match read {
            Err(Fault::Io { .. }) => Err(Fault::broken("a compressed buffer is damaged")),
            other => other.map(Bytes::from),
        }
    }
}

fn lacks_buffer() -> Fault {
    Fault::broken("a batch lacks a buffer, or the buffer stands outside of it")
}

/// A column of a batch.
#[derive(Debug)]
pub(super) struct Array {
    name: String,
    kind: Kind,
    length: usize,
    validity: Bytes,
    offsets: Bytes,
    /// Which numbers of the lists are there.
    holes: Bytes,
    values: Bytes,
}

impl Array {
    /// Returns what stands at a row.
    pub(super) fn cell(&self, row: usize) -> Result<Cell, Fault> {
        if self.length <= row {
            return Err(Fault::field(
                &self.name,
                "has fewer values than the batch has rows",
            ));
        }
        if self.kind == Kind::Null || !is_set(&self.validity, row) {
            return Ok(Cell::Null);
        }
        let cell = match self.kind {
            Kind::Null => Some(Cell::Null),
            Kind::Bool => self.bit(row).map(|bit| Cell::Plain(Value::from(bit))),
            Kind::Float(float) => self
                .float(float, row)
                .map(|value| Cell::Plain(Value::from(value))),
            Kind::Integer { size, is_signed } => {
                self.integer(size, is_signed, row).map(Cell::Plain)
            }
            Kind::Text(size) => return self.text(size, row),
            Kind::Fixed(size, float) => {
                let start = row.checked_mul(size);
                let end = start.and_then(|start| start.checked_add(size));
                return self.list(float, start.zip(end));
            }
            Kind::List(size, float) => return self.list(float, self.range(size, row)),
        };
        cell.ok_or_else(|| self.short())
    }

    fn short(&self) -> Fault {
        Fault::field(&self.name, "reaches beyond its batch")
    }

    fn bit(&self, row: usize) -> Option<bool> {
        let byte = self.values.get(row / 8)?;
        Some(byte >> (row % 8) & 1 == 1)
    }

    fn float(&self, float: Float, place: usize) -> Option<f32> {
        Some(match float {
            Float::Half => f16::from_le_bytes(word(&self.values, place)?).to_f32(),
            Float::Single => f32::from_le_bytes(word(&self.values, place)?),
            Float::Double => rounded(f64::from_le_bytes(word(&self.values, place)?)),
        })
    }

    fn integer(&self, size: usize, is_signed: bool, row: usize) -> Option<Value> {
        let values = &self.values;
        Some(match (size, is_signed) {
            (1, true) => i8::from_le_bytes(word(values, row)?).into(),
            (2, true) => i16::from_le_bytes(word(values, row)?).into(),
            (4, true) => i32::from_le_bytes(word(values, row)?).into(),
            (8, true) => i64::from_le_bytes(word(values, row)?).into(),
            (1, false) => u8::from_le_bytes(word(values, row)?).into(),
            (2, false) => u16::from_le_bytes(word(values, row)?).into(),
            (4, false) => u32::from_le_bytes(word(values, row)?).into(),
            (8, false) => u64::from_le_bytes(word(values, row)?).into(),
            _ => return None,
        })
    }

    /// Returns where the value of a row begins and ends.
    fn range(&self, size: usize, row: usize) -> Option<(usize, usize)> {
        let end = |place| match size {
            4 => usize::try_from(i32::from_le_bytes(word(&self.offsets, place)?)).ok(),
            _ => usize::try_from(i64::from_le_bytes(word(&self.offsets, place)?)).ok(),
        };
        Some((end(row)?, end(row.checked_add(1)?)?))
    }

    fn text(&self, size: usize, row: usize) -> Result<Cell, Fault> {
        let range = self.range(size, row);
        let bytes = range.and_then(|(start, end)| self.values.get(start..end));
        let text = std::str::from_utf8(bytes.ok_or_else(|| self.short())?);
        let text = text.map_err(|_| Fault::field(&self.name, "is no UTF-8 text"))?;
        Ok(Cell::Text(text.to_owned()))
    }

    fn list(&self, float: Float, range: Option<(usize, usize)>) -> Result<Cell, Fault> {
        let (start, end) = range.ok_or_else(|| self.short())?;
        if end.saturating_sub(start) > MAX_DIMENSIONS {
            return Err(too_long());
        }
        let mut values = Vec::with_capacity(end.saturating_sub(start));
        for place in start..end {
            if !is_set(&self.holes, place) {
                return Err(Fault::field(
                    &self.name,
                    "has a hole: one of its numbers is null",
                ));
            }
            values.push(self.float(float, place).ok_or_else(|| self.short())?);
        }
        Ok(Cell::Vector(values))
    }
}

/// Whether a bit is set; without bits all are.
fn is_set(bits: &Bytes, place: usize) -> bool {
    bits.is_empty()
        || bits
            .get(place / 8)
            .is_some_and(|byte| byte >> (place % 8) & 1 == 1)
}

fn word<const N: usize>(bytes: &Bytes, place: usize) -> Option<[u8; N]> {
    let start = place.checked_mul(N)?;
    bytes.get(start..)?.first_chunk().copied()
}
