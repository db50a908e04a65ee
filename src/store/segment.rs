//! One file of the journal: its names, its header, and reading it plain or packed.
//!
//! `journal/0000000007.pgj` is segment 7 as it was written, `.pgz` the same compressed. The header
//! lists the calls that were open when the segment began, so that a start reads one segment only:
//!
//! ```text
//! magic 8 | version u16 | flags u16 | number u32 | salt u32 | header length u32 | crc u32
//! then per open call: id 16 | segment u32 | offset u32
//! ```

use crate::domain::CallId;
use crate::store::Error;
use crate::store::frame::{Position, put, u32_at};
use crate::store::packed::Packed;
use bytes::Bytes;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use uuid::Uuid;

const MAGIC: &[u8; 8] = b"PGATEJNL";
const FORMAT: u16 = 1;
const FIXED_BYTES: usize = 28;
const OPEN_BYTES: usize = 24;
/// The header was rebuilt after damage and does not know which calls were open.
const WITHOUT_OPEN_CALLS: u16 = 1;
/// A header larger than this is damage (2.7 million open calls).
const MAX_HEADER_BYTES: u32 = 64 << 20;

/// What the start of a segment says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    /// The store's salt.
    pub(super) salt: u32,
    /// The calls open when the segment began; `None` when that is not known.
    pub(super) open: Option<Vec<(CallId, Position)>>,
    /// The header's length: where the first entry stands.
    pub(super) bytes: u32,
}

impl Header {
    /// Writes the header of a new segment.
    pub(super) fn encode(number: u32, salt: u32, open: &[(CallId, Position)]) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        for (id, position) in open {
            bytes.extend_from_slice(id.0.as_bytes());
            bytes.extend_from_slice(&position.segment.to_le_bytes());
            bytes.extend_from_slice(&position.offset.to_le_bytes());
        }
        finish(&mut bytes, number, salt, 0);
        bytes
    }

    /// Writes a header of `length` bytes (at least 28) in place of a damaged one.
    pub(super) fn encode_rebuilt(number: u32, salt: u32, length: u32) -> Vec<u8> {
        let length = usize::try_from(length).unwrap_or(0).max(FIXED_BYTES);
        let mut bytes = vec![0; length];
        finish(&mut bytes, number, salt, WITHOUT_OPEN_CALLS);
        bytes
    }

    /// Reads the header of segment `number`; `None` when it is damaged.
    pub(super) fn read(source: &Source, number: u32) -> io::Result<Option<Self>> {
        let fixed = source.read(0, FIXED_BYTES)?;
        let Some(length) = u32_at(&fixed, 20).filter(|length| *length <= MAX_HEADER_BYTES) else {
            return Ok(None);
        };
        let bytes = source.read(0, usize::try_from(length).unwrap_or(0))?;
        Ok(Self::parse(&bytes, number))
    }

    fn parse(bytes: &[u8], number: u32) -> Option<Self> {
        let length = u32_at(bytes, 20)?;
        let flags = u16::from_le_bytes(bytes.get(10..12)?.try_into().ok()?);
        let is_good = bytes.get(..8)? == MAGIC
            && bytes.get(8..10)? == FORMAT.to_le_bytes()
            && u32_at(bytes, 12)? == number
            && usize::try_from(length).ok()? == bytes.len()
            && u32_at(bytes, 24)? == checksum(bytes);
        let open = bytes.get(FIXED_BYTES..)?.chunks_exact(OPEN_BYTES);
        let open = open.filter_map(|entry| {
            let id = Uuid::from_slice(entry.get(..16)?).ok()?;
            let position = Position {
                segment: u32_at(entry, 16)?,
                offset: u32_at(entry, 20)?,
            };
            Some((CallId(id), position))
        });
        is_good.then(|| Self {
            salt: u32_at(bytes, 16).unwrap_or(0),
            open: (flags & WITHOUT_OPEN_CALLS == 0).then(|| open.collect()),
            bytes: length,
        })
    }
}

fn finish(bytes: &mut [u8], number: u32, salt: u32, flags: u16) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    put(bytes, 0, MAGIC);
    put(bytes, 8, &FORMAT.to_le_bytes());
    put(bytes, 10, &flags.to_le_bytes());
    put(bytes, 12, &number.to_le_bytes());
    put(bytes, 16, &salt.to_le_bytes());
    put(bytes, 20, &length.to_le_bytes());
    let sum = checksum(bytes);
    put(bytes, 24, &sum.to_le_bytes());
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(bytes.get(..24).unwrap_or_default());
    hasher.update(bytes.get(FIXED_BYTES..).unwrap_or_default());
    hasher.finalize()
}

/// Returns the path of segment `number` as it is written.
pub(super) fn plain_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.pgj"))
}

/// Returns the path of segment `number` compressed.
pub(super) fn packed_path(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:010}.pgz"))
}

/// Returns the numbers of all segments in `dir`, ascending.
pub(super) fn numbers(dir: &Path) -> Result<Vec<u32>, Error> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let entry = entry.map_err(Error::io("list", dir))?;
        let name = entry.file_name();
        let Some((stem, extension)) = name.to_str().and_then(|name| name.split_once('.')) else {
            continue;
        };
        let number = stem.parse::<u32>().ok().filter(|_| stem.len() == 10);
        if let Some(number) = number.filter(|_| extension == "pgj" || extension == "pgz") {
            numbers.push(number);
        }
    }
    numbers.sort_unstable();
    numbers.dedup();
    Ok(numbers)
}

/// A segment open for reading, by uncompressed offsets.
#[derive(Debug)]
pub(super) enum Source {
    /// As it was written; may still grow.
    Plain(File),
    /// Compressed.
    Packed(Packed),
}

impl Source {
    /// Opens segment `number`; `None` when there is no such file.
    pub(super) fn open(dir: &Path, number: u32) -> Result<Option<Self>, Error> {
        // Twice, as it may be compressed between the two looks. The plain file is preferred: it is
        // removed only once the packed one is complete.
        for _ in 0..2 {
            let plain = plain_path(dir, number);
            match File::open(&plain) {
                Ok(file) => return Ok(Some(Self::Plain(file))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("open", &plain)(error)),
            }
            let packed = packed_path(dir, number);
            match File::open(&packed) {
                Ok(file) => {
                    let packed = Packed::open(file).map_err(Error::io("open", &packed))?;
                    return Ok(Some(Self::Packed(packed)));
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("open", &packed)(error)),
            }
        }
        Ok(None)
    }

    /// Returns the uncompressed length in bytes.
    pub(super) fn len(&self) -> io::Result<u32> {
        match self {
            Self::Plain(file) => Ok(u32::try_from(file.metadata()?.len()).unwrap_or(u32::MAX)),
            Self::Packed(packed) => Ok(packed.len()),
        }
    }

    /// Reads up to `length` bytes from `offset`; fewer only at the end. Bytes of a compressed
    /// segment that are damaged read as zeros, which are no entry.
    pub(super) fn read(&self, offset: u32, length: usize) -> io::Result<Bytes> {
        match self {
            Self::Plain(file) => {
                let available = file.metadata()?.len().saturating_sub(u64::from(offset));
                let length = length.min(usize::try_from(available).unwrap_or(usize::MAX));
                let mut bytes = vec![0; length];
                let mut filled = 0;
                while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                    let at = u64::from(offset) + u64::try_from(filled).unwrap_or(u64::MAX);
                    match file.read_at(rest, at) {
                        Ok(0) => break,
                        Ok(count) => filled += count,
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Err(error),
                    }
                }
                bytes.truncate(filled);
                Ok(Bytes::from(bytes))
            }
            Self::Packed(packed) => packed.read(offset, length),
        }
    }
}

/// Makes names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::Header;
    use crate::domain::CallId;
    use crate::store::frame::Position;

    #[test]
    fn headers_read_as_written_and_damage_is_noticed() {
        let open = vec![(
            CallId::fresh(),
            Position {
                segment: 1,
                offset: 28,
            },
        )];
        let bytes = Header::encode(2, 5, &open);
        let header = Header::parse(&bytes, 2).unwrap();
        assert_eq!(header.open, Some(open));
        assert_eq!(header.salt, 5);
        assert!(Header::parse(&bytes, 3).is_none());
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&damaged, 2).is_none(), "bit {bit}");
        }
        let rebuilt = Header::encode_rebuilt(2, 5, 60);
        assert_eq!(Header::parse(&rebuilt, 2).unwrap().open, None);
        assert_eq!(rebuilt.len(), 60);
    }
}
