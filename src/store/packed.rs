//! The compressed form of a sealed segment: independent zstd chunks and a table of them.
//!
//! ```text
//! chunks | per chunk: compressed length u32, crc u32 | chunk bytes u32 | chunk count u32
//!        | logical length u32 | crc of table and these three u32 | magic 8
//! ```
//!
//! Chunks are independent, so that an entry is read without unpacking the file, and a damaged chunk
//! costs the entries in it and no others.

use crate::store::frame::u32_at;
use bytes::Bytes;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

const MAGIC: &[u8; 8] = b"PGATEZ01";
const FOOTER_BYTES: u64 = 24;
/// Uncompressed bytes in each chunk but the last.
pub(super) const CHUNK_BYTES: u32 = 256 << 10;
const LEVEL: i32 = 3;

#[derive(Debug, Clone, Copy)]
struct Chunk {
    start: u64,
    length: u32,
    crc: u32,
}

/// A compressed segment open for reading.
#[derive(Debug)]
pub(super) struct Packed {
    file: File,
    chunks: Vec<Chunk>,
    chunk_bytes: u32,
    length: u32,
}

impl Packed {
    /// Reads the table of `file`.
    pub(super) fn open(file: File) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the chunk table is damaged");
        let file_bytes = file.metadata()?.len();
        let footer_at = file_bytes.checked_sub(FOOTER_BYTES).ok_or_else(damaged)?;
        let mut footer = [0; 24];
        file.read_exact_at(&mut footer, footer_at)?;
        let number = |at| u32_at(&footer, at).unwrap_or(0);
        let (chunk_bytes, count, length) = (number(0), number(4), number(8));
        let table_bytes = u64::from(count) * 8;
        let table_at = footer_at.checked_sub(table_bytes).ok_or_else(damaged)?;
        let mut table = vec![0; usize::try_from(table_bytes).map_err(|_| damaged())?];
        file.read_exact_at(&mut table, table_at)?;
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&table);
        hasher.update(footer.get(..12).unwrap_or_default());
        let is_good = footer.ends_with(MAGIC)
            && hasher.finalize() == number(12)
            && 0 < chunk_bytes
            && length.div_ceil(chunk_bytes) == count;
        if !is_good {
            return Err(damaged());
        }
        let mut start = 0;
        let chunks = table.chunks_exact(8).map(|entry| {
            let length = u32_at(entry, 0).unwrap_or(0);
            let chunk = Chunk {
                start,
                length,
                crc: u32_at(entry, 4).unwrap_or(0),
            };
            start += u64::from(length);
            chunk
        });
        let chunks = chunks.collect();
        Ok(Self {
            file,
            chunks,
            chunk_bytes,
            length,
        })
    }

    /// Returns the uncompressed length in bytes.
    pub(super) const fn len(&self) -> u32 {
        self.length
    }

    /// Reads up to `length` uncompressed bytes from `offset`; damaged chunks read as zeros.
    pub(super) fn read(&self, offset: u32, length: usize) -> io::Result<Bytes> {
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let end = offset.saturating_add(length).min(self.length);
        let mut bytes = Vec::new();
        let mut at = offset;
        while at < end {
            let index = at / self.chunk_bytes;
            let chunk = self.chunk(index)?;
            let from = usize::try_from(at % self.chunk_bytes).unwrap_or(usize::MAX);
            let wanted = usize::try_from(end - at).unwrap_or(usize::MAX);
            let to = from.saturating_add(wanted).min(chunk.len());
            bytes.extend_from_slice(chunk.get(from..to).unwrap_or_default());
            at = (index + 1).saturating_mul(self.chunk_bytes);
        }
        Ok(Bytes::from(bytes))
    }

    fn chunk(&self, index: u32) -> io::Result<Vec<u8>> {
        let logical = self.chunk_bytes.min(self.length - index * self.chunk_bytes);
        let logical = usize::try_from(logical).unwrap_or(0);
        let chunk = usize::try_from(index).ok().and_then(|i| self.chunks.get(i));
        let Some(chunk) = chunk else {
            return Ok(Vec::new());
        };
        let mut compressed = vec![0; usize::try_from(chunk.length).unwrap_or(0)];
        self.file.read_exact_at(&mut compressed, chunk.start)?;
        if crc32fast::hash(&compressed) == chunk.crc
            && let Ok(bytes) = zstd::bulk::decompress(&compressed, logical)
            && bytes.len() == logical
        {
            return Ok(bytes);
        }
        Ok(vec![0; logical])
    }
}

/// Writes the compressed form chunk by chunk.
#[derive(Debug)]
pub(super) struct Packer<W> {
    writer: W,
    table: Vec<u8>,
    length: u32,
    count: u32,
}

impl<W: Write> Packer<W> {
    /// Starts at the writer's place, which must be the start of a file.
    pub(super) const fn new(writer: W) -> Self {
        Self {
            writer,
            table: Vec::new(),
            length: 0,
            count: 0,
        }
    }

    /// Compresses the next chunk: `CHUNK_BYTES` long, but for the last.
    pub(super) fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        let compressed = zstd::bulk::compress(chunk, LEVEL)?;
        let too_long = |_| io::Error::new(io::ErrorKind::InvalidInput, "a chunk is too long");
        let length = u32::try_from(compressed.len()).map_err(too_long)?;
        self.table.extend_from_slice(&length.to_le_bytes());
        let crc = crc32fast::hash(&compressed);
        self.table.extend_from_slice(&crc.to_le_bytes());
        self.length += u32::try_from(chunk.len()).map_err(too_long)?;
        self.count += 1;
        self.writer.write_all(&compressed)
    }

    /// Writes the table and hands the writer back.
    pub(super) fn finish(mut self) -> io::Result<W> {
        let mut footer = Vec::with_capacity(24);
        for number in [CHUNK_BYTES, self.count, self.length] {
            footer.extend_from_slice(&number.to_le_bytes());
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.table);
        hasher.update(&footer);
        footer.extend_from_slice(&hasher.finalize().to_le_bytes());
        footer.extend_from_slice(MAGIC);
        self.writer.write_all(&self.table)?;
        self.writer.write_all(&footer)?;
        self.writer.flush()?;
        Ok(self.writer)
    }
}

#[cfg(test)]
mod tests {
    use super::{CHUNK_BYTES, Packed, Packer};
    use std::io::{Seek as _, SeekFrom, Write as _};

    fn sample(length: usize) -> Vec<u8> {
        let numbers = (0_u32..).flat_map(|n| (n / 3).to_le_bytes());
        numbers.take(length).collect()
    }

    fn pack(bytes: &[u8]) -> std::fs::File {
        let mut packer = Packer::new(tempfile::tempfile().unwrap());
        for chunk in bytes.chunks(CHUNK_BYTES as usize) {
            packer.push(chunk).unwrap();
        }
        packer.finish().unwrap()
    }

    #[test]
    fn any_range_reads_as_the_plain_bytes() {
        let bytes = sample(CHUNK_BYTES as usize * 2 + 1000);
        let packed = Packed::open(pack(&bytes)).unwrap();
        for (offset, length) in [
            (0, 10),
            (262_140, 10),
            (262_144, 262_144),
            (100, 600_000),
            (525_000, 5000),
        ] {
            let end = (offset + length).min(bytes.len());
            let read = packed.read(u32::try_from(offset).unwrap(), length).unwrap();
            assert_eq!(read, bytes[offset..end], "{offset}+{length}");
        }
        assert!(packed.read(packed.len(), 10).unwrap().is_empty());
    }

    #[test]
    fn a_damaged_chunk_costs_only_itself() {
        let bytes = sample(CHUNK_BYTES as usize * 2);
        let mut file = pack(&bytes);
        file.seek(SeekFrom::Start(1000)).unwrap();
        file.write_all(&[0xff; 8]).unwrap();
        let packed = Packed::open(file).unwrap();
        assert_eq!(packed.read(0, 4).unwrap(), [0, 0, 0, 0][..]);
        let second = packed.read(CHUNK_BYTES, 100).unwrap();
        assert_eq!(second, bytes[CHUNK_BYTES as usize..][..100]);
    }

    #[test]
    fn a_damaged_table_is_an_error() {
        let file = pack(&sample(1000));
        file.set_len(file.metadata().unwrap().len() - 1).unwrap();
        assert!(Packed::open(file).is_err());
    }
}
