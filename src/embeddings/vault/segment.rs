//! A file of vectors of one space, one precision and one length: a header, then blocks.
//!
//! ```text
//! magic 8 | format u32 | precision u8 | zeros 3 | dimensions u32 | number u32 | length of the space's name u8
//! the space's name | zeros | crc of the 124 bytes before u32
//! ```
//!
//! Blocks are appended and never changed. Rows are removed by writing those that stay elsewhere and removing
//! the file; who has it open can read it to the end.

use crate::embeddings::space::SpaceId;
use crate::embeddings::vault::block::{ALIGNMENT, Block, HEAD_BYTES, Head, Shape};
use crate::embeddings::vault::{Precision, VaultError};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"PGATEV01";
/// The version of segments.
const FORMAT: u32 = 1;
/// The length of the header.
pub(super) const HEADER_BYTES: u64 = 128;
const SUM_AT: usize = 124;
/// How much is read at a time.
const WINDOW_BYTES: usize = 1 << 20;

/// A segment open for reading.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its number, unique in the vault.
    pub(super) number: u32,
    /// Its file.
    pub(super) path: PathBuf,
    /// The space of its vectors.
    pub(super) space: SpaceId,
    /// What its rows are like.
    pub(super) shape: Shape,
    file: File,
}

/// Returns the file of a segment.
pub(super) fn path_of(dir: &Path, space: &SpaceId, number: u32) -> PathBuf {
    dir.join(space.short()).join(format!("{number:06}.seg"))
}

/// Returns the number in a file's name, when it is a segment's.
pub(super) fn number_of(path: &Path) -> Option<u32> {
    let name = path.file_name()?.to_str()?;
    name.strip_suffix(".seg")?.parse().ok()
}

/// Checks that a name is that of a space: it becomes a directory.
pub(super) fn check_space(space: &SpaceId) -> Result<(), VaultError> {
    let digits = space.0.strip_prefix("space-");
    let is_name = digits.is_some_and(|digits| {
        digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    });
    is_name
        .then_some(())
        .ok_or_else(|| VaultError::InvalidSpace {
            name: space.0.clone(),
        })
}

/// Returns the header of a segment.
pub(super) fn header(space: &SpaceId, shape: Shape, number: u32) -> Vec<u8> {
    let dimensions = u32::try_from(shape.dimensions).unwrap_or(u32::MAX);
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT.to_le_bytes());
    bytes.extend([shape.precision.code(), 0, 0, 0]);
    bytes.extend(dimensions.to_le_bytes());
    bytes.extend(number.to_le_bytes());
    bytes.push(u8::try_from(space.0.len()).unwrap_or(u8::MAX));
    bytes.extend(space.0.as_bytes());
    bytes.resize(SUM_AT, 0);
    bytes.extend(crc32fast::hash(&bytes).to_le_bytes());
    bytes
}

fn parse(path: &Path, bytes: &[u8]) -> Result<(u32, SpaceId, Shape), VaultError> {
    let damaged = |problem: &str| VaultError::damaged(path, "in its header", problem);
    let number = |at: usize| {
        let four = bytes.get(at..at + 4).and_then(|four| four.try_into().ok());
        four.map_or(0, u32::from_le_bytes)
    };
    let sum = crc32fast::hash(bytes.get(..SUM_AT).unwrap_or_default());
    if !bytes.starts_with(MAGIC) {
        return Err(damaged("it is no file of vectors"));
    }
    if sum != number(SUM_AT) {
        return Err(damaged("its checksum does not hold"));
    }
    if number(8) != FORMAT {
        return Err(VaultError::NewerFormat {
            path: path.to_owned(),
            found: number(8),
            known: FORMAT,
        });
    }
    let length = usize::from(bytes.get(24).copied().unwrap_or_default());
    let space = bytes.get(25..25 + length).map(String::from_utf8_lossy);
    let precision = Precision::from_code(bytes.get(12).copied().unwrap_or_default());
    let (Some(space), Some(precision)) = (space, precision) else {
        return Err(damaged("it names no precision that is known"));
    };
    let shape = Shape {
        precision,
        dimensions: usize::try_from(number(16)).unwrap_or(0),
    };
    Ok((number(20), SpaceId(space.into_owned()), shape))
}

impl Segment {
    /// Opens a segment; `None` when a crash left not even a whole header.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, VaultError> {
        let file = File::open(path).map_err(VaultError::io("open", path))?;
        let length = file.metadata().map_err(VaultError::io("read", path))?.len();
        if length < HEADER_BYTES {
            return Ok(None);
        }
        let mut bytes = vec![0; usize::try_from(HEADER_BYTES).unwrap_or(0)];
        file.read_exact_at(&mut bytes, 0)
            .map_err(VaultError::io("read", path))?;
        let (number, space, shape) = parse(path, &bytes)?;
        if number_of(path) != Some(number) {
            let problem = format!("it was written as number {number}");
            return Err(VaultError::damaged(path, "in its header", problem));
        }
        Ok(Some(Self {
            number,
            path: path.to_owned(),
            space,
            shape,
            file,
        }))
    }

    /// Returns how long the file is, in bytes.
    pub(super) fn bytes(&self) -> Result<u64, VaultError> {
        let metadata = self.file.metadata();
        Ok(metadata.map_err(VaultError::io("read", &self.path))?.len())
    }

    /// Reads `length` bytes from `offset`.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>, VaultError> {
        let mut bytes = vec![0; length];
        let read = self.file.read_exact_at(&mut bytes, offset);
        match read {
            Ok(()) => Ok(bytes),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.damaged(offset, "the file ends before the block does"))
            }
            Err(error) => Err(VaultError::io("read", &self.path)(error)),
        }
    }

    /// Reads the block in `bytes`, which stands at `offset`.
    pub(super) fn block<'a>(&self, bytes: &'a [u8], offset: u64) -> Result<Block<'a>, VaultError> {
        let block = Block::parse(bytes, self.shape, self.number, offset);
        block.map_err(|problem| self.damaged(offset, problem))
    }

    /// Returns that a block is damaged.
    pub(super) fn damaged(&self, offset: u64, problem: &str) -> VaultError {
        let place = format!("in the block at byte {offset}");
        VaultError::damaged(&self.path, place, problem)
    }
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub(super) enum Found<'a> {
    /// A block.
    Block {
        /// Where it begins.
        offset: u64,
        /// The block.
        block: Block<'a>,
    },
    /// Bytes that are no block, or one whose checksum does not hold.
    Damage {
        /// The first.
        offset: u64,
        /// What is wrong with them.
        problem: &'static str,
    },
    /// What a crash in the middle of an append leaves: a block that was not written to its end, or nothing
    /// but zeros. Nobody was told that it is kept.
    Torn {
        /// Where it begins.
        offset: u64,
    },
}

/// Goes through the blocks of a segment in order.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    segment: &'a Segment,
    at: u64,
    end: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl<'a> Walk<'a> {
    /// Begins at `from`, the beginning of a block.
    pub(super) fn new(segment: &'a Segment, from: u64) -> Result<Self, VaultError> {
        Ok(Self {
            segment,
            at: from.max(HEADER_BYTES),
            end: segment.bytes()?,
            window: Vec::new(),
            window_at: 0,
        })
    }

    /// Returns where the next block begins.
    pub(super) const fn at(&self) -> u64 {
        self.at
    }

    /// Returns what comes next; `None` at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<Found<'_>>, VaultError> {
        let (offset, left) = (self.at, self.end.saturating_sub(self.at));
        if left == 0 {
            return Ok(None);
        }
        let shape = self.segment.shape;
        let head = Head::parse(self.bytes(offset, HEAD_BYTES)?, shape);
        let Some(head) = head else {
            if left < u64::try_from(HEAD_BYTES).unwrap_or(0) || self.is_zero_from(offset)? {
                self.at = self.end;
                return Ok(Some(Found::Torn { offset }));
            }
            self.at = self.next_block(offset)?;
            let problem = "no block begins there";
            return Ok(Some(Found::Damage { offset, problem }));
        };
        let length = shape.block_bytes(head.rows);
        let bytes = u64::try_from(length).unwrap_or(u64::MAX);
        if left < bytes {
            self.at = self.end;
            return Ok(Some(Found::Torn { offset }));
        }
        self.at = offset + bytes;
        let (number, end) = (self.segment.number, self.end);
        let checked = Block::check(self.bytes(offset, length)?, shape, number, offset);
        if let Err(problem) = checked {
            // The keys of a block are never all zero.
            let body = offset + u64::try_from(HEAD_BYTES).unwrap_or(0);
            if self.at == end && self.is_zero_from(body)? {
                return Ok(Some(Found::Torn { offset }));
            }
            return Ok(Some(Found::Damage { offset, problem }));
        }
        let block = Block::view(self.bytes(offset, length)?, shape);
        Ok(block.map(|block| Found::Block { offset, block }))
    }

    /// Returns up to `length` bytes from `offset`, fewer at the end of the file.
    fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8], VaultError> {
        let left = usize::try_from(self.end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let length = length.min(left);
        let start = offset.checked_sub(self.window_at);
        let start = start.and_then(|start| usize::try_from(start).ok());
        let is_there = start.is_some_and(|start| start + length <= self.window.len());
        if !is_there {
            self.window = self
                .segment
                .read(offset, length.max(WINDOW_BYTES).min(left))?;
            self.window_at = offset;
        }
        let start = usize::try_from(offset - self.window_at).unwrap_or(0);
        Ok(self.window.get(start..start + length).unwrap_or_default())
    }

    fn is_zero_from(&mut self, offset: u64) -> Result<bool, VaultError> {
        let mut at = offset;
        while at < self.end {
            let bytes = self.bytes(at, WINDOW_BYTES)?;
            if bytes.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        }
        Ok(true)
    }

    /// Returns where, behind damage at `offset`, the next block stands, or the end.
    fn next_block(&mut self, offset: u64) -> Result<u64, VaultError> {
        let shape = self.segment.shape;
        let mut at = offset + ALIGNMENT;
        while at < self.end {
            if Head::parse(self.bytes(at, HEAD_BYTES)?, shape).is_some() {
                return Ok(at);
            }
            at += ALIGNMENT;
        }
        Ok(self.end)
    }
}

/// Makes names in `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> Result<(), VaultError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(VaultError::io("sync", dir))
}

/// Returns the files and directories in `dir`, none when it is not there.
pub(super) fn entries(dir: &Path) -> Result<Vec<PathBuf>, VaultError> {
    let read = match fs::read_dir(dir) {
        Ok(read) => read,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(VaultError::io("read", dir)(error)),
    };
    let paths = read.map(|entry| Ok(entry?.path()));
    let mut paths = paths
        .collect::<io::Result<Vec<PathBuf>>>()
        .map_err(VaultError::io("read", dir))?;
    paths.sort();
    Ok(paths)
}
