//! The unit of a segment: some rows with one checksum.
//!
//! ```text
//! magic 4 | rows u32 | crc u32 | crc of these 12 bytes u32
//! keys, 32 bytes each | marks, 1 byte each | rows | zeros up to a multiple of 64
//! ```
//!
//! Numbers are little-endian. `crc` is CRC-32 (crc32fast) over the segment's number, the block's place, the
//! count of rows and all that follows: a block that was copied elsewhere is no block there. The head has a checksum of its own,
//! so that a block that was cut short is told from one that is damaged. A block holds about 128 KiB: a single
//! vector is read with its whole block, as its checksum must be seen to hold.

use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::Precision;
use crate::embeddings::vault::precision::Mark;

const MAGIC: [u8; 4] = *b"PGVB";
/// The length of the head.
pub(super) const HEAD_BYTES: usize = 16;
/// Blocks begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 64;
const KEY_BYTES: usize = 32;
/// How large a block becomes, unless a single row is larger.
const TARGET_BYTES: usize = 128 << 10;
const MAX_ROWS: usize = 4096;

/// What the rows of a segment are like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// How exactly vectors are kept.
    pub(super) precision: Precision,
    /// How long they are.
    pub(super) dimensions: usize,
}

impl Shape {
    /// Returns the bytes of a row.
    pub(super) const fn row_bytes(self) -> usize {
        self.precision.row_bytes(self.dimensions)
    }

    /// Returns how many rows a block has at most.
    pub(super) fn rows_per_block(self) -> usize {
        (TARGET_BYTES / (KEY_BYTES + 1 + self.row_bytes())).clamp(1, MAX_ROWS)
    }

    /// Returns the bytes of a block of so many rows, without the zeros at its end.
    const fn filled_bytes(self, rows: usize) -> usize {
        HEAD_BYTES.saturating_add(rows.saturating_mul(KEY_BYTES + 1 + self.row_bytes()))
    }

    /// Returns the bytes of a block of so many rows.
    pub(super) const fn block_bytes(self, rows: usize) -> usize {
        let alignment = 64;
        self.filled_bytes(rows).saturating_add(alignment - 1) / alignment * alignment
    }

    /// Reads a row into `into`.
    pub(super) fn decode(self, row: &[u8], mark: Mark, into: &mut [f32]) {
        if mark.is_zero() {
            into.fill(0.0);
        } else {
            self.precision.decode(row, into);
        }
    }
}

/// The head of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// How many rows there are.
    pub(super) rows: usize,
    crc: u32,
}

impl Head {
    /// Reads a head; `None` when it is none.
    pub(super) fn parse(bytes: &[u8], shape: Shape) -> Option<Self> {
        let head = bytes.get(..HEAD_BYTES)?;
        let sum = number(head, 12)?;
        let rows = usize::try_from(number(head, 4)?).ok()?;
        let is_good = head.starts_with(&MAGIC)
            && crc32fast::hash(head.get(..12)?) == sum
            && (1..=shape.rows_per_block()).contains(&rows);
        is_good.then_some(Self {
            rows,
            crc: number(head, 8)?,
        })
    }
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(four.try_into().ok()?))
}

fn checksum(segment: u32, offset: u64, rows: u32, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&offset.to_le_bytes());
    hasher.update(&rows.to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

/// A block whose checksum holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    /// How many rows there are.
    pub(super) rows: usize,
    row_bytes: usize,
    keys: &'a [u8],
    marks: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Block<'a> {
    /// Reads the block that stands at `offset` of a segment and begins with `bytes`.
    pub(super) fn parse(
        bytes: &'a [u8],
        shape: Shape,
        segment: u32,
        offset: u64,
    ) -> Result<Self, &'static str> {
        Self::check(bytes, shape, segment, offset)?;
        Self::view(bytes, shape).ok_or("the file ends before the block does")
    }

    /// Checks the block that stands at `offset` of a segment and begins with `bytes`.
    pub(super) fn check(
        bytes: &[u8],
        shape: Shape,
        segment: u32,
        offset: u64,
    ) -> Result<(), &'static str> {
        let head = Head::parse(bytes, shape).ok_or("no block begins there")?;
        let body = bytes
            .get(HEAD_BYTES..shape.filled_bytes(head.rows))
            .ok_or("the file ends before the block does")?;
        let rows = u32::try_from(head.rows).unwrap_or(u32::MAX);
        let is_good = checksum(segment, offset, rows, body) == head.crc;
        is_good.then_some(()).ok_or("its checksum does not hold")
    }

    /// Reads a block that was checked.
    pub(super) fn view(bytes: &'a [u8], shape: Shape) -> Option<Self> {
        let rows = Head::parse(bytes, shape)?.rows;
        let body = bytes.get(HEAD_BYTES..shape.filled_bytes(rows))?;
        let (keys, rest) = body.split_at_checked(rows * KEY_BYTES)?;
        let (marks, payload) = rest.split_at_checked(rows)?;
        Some(Self {
            rows,
            row_bytes: shape.row_bytes(),
            keys,
            marks,
            payload,
        })
    }

    /// Returns the key of a row.
    pub(super) fn key(&self, row: usize) -> Option<VectorKey> {
        let bytes = self.keys.as_chunks::<KEY_BYTES>().0.get(row)?;
        Some(VectorKey(*bytes))
    }

    /// Returns what is noted beside a row.
    pub(super) fn mark(&self, row: usize) -> Mark {
        Mark(self.marks.get(row).copied().unwrap_or_default())
    }

    /// Returns the bytes of a row.
    pub(super) fn row(&self, row: usize) -> Option<&'a [u8]> {
        let start = row.checked_mul(self.row_bytes)?;
        self.payload.get(start..start.checked_add(self.row_bytes)?)
    }
}

/// A block that is being filled.
#[derive(Debug)]
pub(super) struct Builder {
    shape: Shape,
    keys: Vec<u8>,
    marks: Vec<u8>,
    payload: Vec<u8>,
}

impl Builder {
    /// Returns an empty one.
    pub(super) const fn new(shape: Shape) -> Self {
        Self {
            shape,
            keys: Vec::new(),
            marks: Vec::new(),
            payload: Vec::new(),
        }
    }

    /// Returns how many rows are in it.
    pub(super) const fn rows(&self) -> usize {
        self.marks.len()
    }

    /// Returns whether it takes no more rows.
    pub(super) fn is_full(&self) -> bool {
        self.shape.rows_per_block() <= self.rows()
    }

    /// Adds a vector that was checked.
    pub(super) fn push(&mut self, key: VectorKey, mark: Mark, vector: &[f32]) {
        self.keys.extend_from_slice(&key.0);
        self.marks.push(mark.0);
        self.shape.precision.encode(vector, &mut self.payload);
    }

    /// Adds a row as it stands in another block.
    pub(super) fn copy(&mut self, key: VectorKey, mark: Mark, row: &[u8]) {
        self.keys.extend_from_slice(&key.0);
        self.marks.push(mark.0);
        self.payload.extend_from_slice(row);
    }

    /// Appends the block to `into`, as it stands at `offset` of a segment, and is empty again.
    pub(super) fn finish(&mut self, segment: u32, offset: u64, into: &mut Vec<u8>) {
        let rows = u32::try_from(self.rows()).unwrap_or(u32::MAX);
        let start = into.len();
        let end = start + self.shape.block_bytes(self.rows());
        into.reserve(end - start);
        into.extend_from_slice(&[0; HEAD_BYTES]);
        into.append(&mut self.keys);
        into.append(&mut self.marks);
        into.append(&mut self.payload);
        let body = into.get(start + HEAD_BYTES..).unwrap_or_default();
        let crc = checksum(segment, offset, rows, body);
        into.resize(end, 0);
        let mut head = [MAGIC, rows.to_le_bytes(), crc.to_le_bytes()].concat();
        head.extend(crc32fast::hash(&head).to_le_bytes());
        if let Some(place) = into.get_mut(start..start + HEAD_BYTES) {
            place.copy_from_slice(&head);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Block, Builder, Shape};
    use crate::embeddings::space::VectorKey;
    use crate::embeddings::vault::Precision;
    use crate::embeddings::vault::precision::Mark;

    #[test]
    fn every_flipped_bit_is_found_and_a_moved_block_is_none() {
        let shape = Shape {
            precision: Precision::F16,
            dimensions: 3,
        };
        let mut builder = Builder::new(shape);
        for n in 1..=2_u8 {
            let vector = [f32::from(n), 0.0, -0.5];
            builder.push(VectorKey([n; 32]), Mark::of(&vector), &vector);
        }
        let mut bytes = Vec::new();
        builder.finish(7, 128, &mut bytes);
        assert_eq!(bytes.len() % 64, 0);
        let block = Block::parse(&bytes, shape, 7, 128).unwrap();
        assert_eq!(block.key(1), Some(VectorKey([2; 32])));
        assert!(block.mark(1).is_not_unit());
        let mut vector = [0.0_f32; 3];
        shape.decode(block.row(1).unwrap(), block.mark(1), &mut vector);
        assert_eq!(
            vector.map(f32::to_bits),
            [2.0_f32, 0.0, -0.5].map(f32::to_bits)
        );
        assert_eq!(block.key(2), None);
        assert!(Block::parse(&bytes, shape, 7, 192).is_err());
        assert!(Block::parse(&bytes, shape, 8, 128).is_err());
        for bit in 0..shape.filled_bytes(2) * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Block::parse(&damaged, shape, 7, 128).is_err(), "bit {bit}");
        }
    }
}
