//! Appending vectors: the one who does it, under a lock.

use crate::domain::Durability;
use crate::embeddings::space::{SpaceId, VectorKey};
use crate::embeddings::vault::block::{Builder, Shape};
use crate::embeddings::vault::gather::Segments;
use crate::embeddings::vault::index::Place;
use crate::embeddings::vault::opened::Opened;
use crate::embeddings::vault::precision::Mark;
use crate::embeddings::vault::segment::{HEADER_BYTES, Segment, header, path_of, sync_dir};
use crate::embeddings::vault::{Precision, VaultError};
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

/// How much is written at a time.
const WRITE_BYTES: usize = 4 << 20;

/// A segment that is appended to.
#[derive(Debug)]
struct Active {
    segment: Arc<Segment>,
    file: File,
    /// Where the next block goes.
    end: u64,
    /// Up to where everything is in the index, or was given up.
    settled: u64,
}

/// The one who appends.
#[derive(Debug)]
pub(super) struct Writer {
    dir: PathBuf,
    durability: Durability,
    segment_bytes: u64,
    newest: u32,
    active: HashMap<(SpaceId, Precision), Active>,
}

/// A vector to append: its key, what is noted beside it, and its values or its row as it stands elsewhere.
#[derive(Debug, Clone, Copy)]
pub(super) struct NewRow<'a> {
    /// The key.
    pub(super) key: VectorKey,
    /// What is noted beside it.
    pub(super) mark: Mark,
    /// The vector.
    pub(super) content: Content<'a>,
}

/// The two forms of a vector to append.
#[derive(Debug, Clone, Copy)]
pub(super) enum Content<'a> {
    /// Its values, which were checked.
    Values(&'a [f32]),
    /// Its row in a block of the same shape.
    Row(&'a [u8]),
}

/// Where appended vectors stand.
#[derive(Debug, Default)]
pub(super) struct Appended {
    /// Of each its place.
    pub(super) places: Vec<(VectorKey, Place)>,
    /// Up to where the segments go.
    pub(super) marks: Vec<(u32, u64)>,
}

impl Writer {
    /// Returns the one who appends below `dir`; `newest` is the highest number a file has.
    pub(super) fn new(
        dir: PathBuf,
        durability: Durability,
        segment_bytes: u64,
        newest: u32,
        segments: &Segments,
    ) -> Result<Self, VaultError> {
        let mut active = HashMap::new();
        // The last of each kind is gone on with.
        for segment in segments.values() {
            let file = OpenOptions::new().write(true).open(&segment.path);
            let file = file.map_err(VaultError::io("open", &segment.path))?;
            let end = segment.bytes()?;
            let is_aligned = end.is_multiple_of(64);
            let kind = (segment.space.clone(), segment.shape.precision);
            active.remove(&kind);
            if is_aligned && end < segment_bytes {
                let segment = Arc::clone(segment);
                let settled = end;
                active.insert(
                    kind,
                    Active {
                        segment,
                        file,
                        end,
                        settled,
                    },
                );
            }
        }
        Ok(Self {
            dir,
            durability,
            segment_bytes,
            newest,
            active,
        })
    }

    /// Appends rows, durably when it returns, and says where they stand. The index does not know them yet.
    ///
    /// After an error nothing of it is kept.
    pub(super) fn append<'a>(
        &mut self,
        vault: &Opened,
        space: &SpaceId,
        shape: Shape,
        rows: impl IntoIterator<Item = NewRow<'a>>,
    ) -> Result<Appended, VaultError> {
        let kind = (space.clone(), shape.precision);
        let mut appended = Appended::default();
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let mut active = match self.active.remove(&kind) {
                Some(active) => active,
                None => self.create(vault, space, shape)?,
            };
            let written = active.fill(&mut rows, self.segment_bytes, &mut appended.places);
            let synced = written.and_then(|()| self.sync(&active));
            if let Err(error) = synced {
                // What was not told to be kept goes; where even that fails, the next start cuts or finds it.
                let _ = active.file.set_len(active.settled);
                return Err(VaultError::io("write", &active.segment.path)(error));
            }
            active.settled = active.end;
            appended.marks.push((active.segment.number, active.end));
            if active.end < self.segment_bytes {
                self.active.insert(kind.clone(), active);
            }
        }
        Ok(appended)
    }

    /// Appends no more to a segment.
    pub(super) fn retire(&mut self, number: u32) {
        self.active
            .retain(|_, active| active.segment.number != number);
    }

    fn sync(&self, active: &Active) -> io::Result<()> {
        match self.durability {
            Durability::Os => Ok(()),
            Durability::Disk => active.file.sync_data(),
        }
    }

    fn create(
        &mut self,
        vault: &Opened,
        space: &SpaceId,
        shape: Shape,
    ) -> Result<Active, VaultError> {
        let number = self.newest + 1;
        let path = path_of(&self.dir, space, number);
        let parent = self.dir.join(space.short());
        fs::create_dir_all(&parent).map_err(VaultError::io("create", &parent))?;
        let file = OpenOptions::new().write(true).create_new(true).open(&path);
        let file = file.map_err(VaultError::io("create", &path))?;
        self.newest = number;
        let written = file.write_all_at(&header(space, shape, number), 0);
        written.map_err(VaultError::io("write", &path))?;
        if self.durability == Durability::Disk {
            file.sync_all().map_err(VaultError::io("sync", &path))?;
            sync_dir(&parent)?;
            sync_dir(&self.dir)?;
        }
        let segment = Segment::open(&path)?;
        let unreadable = || VaultError::damaged(&path, "in its header", "it was not written");
        let segment = Arc::new(segment.ok_or_else(unreadable)?);
        vault.add_segment(Arc::clone(&segment));
        Ok(Active {
            segment,
            file,
            end: HEADER_BYTES,
            settled: HEADER_BYTES,
        })
    }
}

impl Active {
    /// Appends rows while there are any and the segment is not full.
    fn fill<'a>(
        &mut self,
        rows: &mut impl Iterator<Item = NewRow<'a>>,
        segment_bytes: u64,
        places: &mut Vec<(VectorKey, Place)>,
    ) -> io::Result<()> {
        let shape = self.segment.shape;
        let mut builder = Builder::new(shape);
        let mut keys = Vec::new();
        let mut bytes = Vec::new();
        let mut is_last = false;
        while !is_last {
            match rows.next() {
                Some(row) => {
                    keys.push((row.key, row.mark));
                    match row.content {
                        Content::Values(values) => builder.push(row.key, row.mark, values),
                        Content::Row(stored) => builder.copy(row.key, row.mark, stored),
                    }
                }
                None => is_last = true,
            }
            if builder.rows() == 0 || !(is_last || builder.is_full()) {
                continue;
            }
            let offset = self.end + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            self.place(offset, &keys, places)?;
            keys.clear();
            builder.finish(self.segment.number, offset, &mut bytes);
            let end = self.end + u64::try_from(bytes.len()).unwrap_or(u64::MAX);
            is_last |= segment_bytes <= end;
            if WRITE_BYTES <= bytes.len() {
                self.write(&mut bytes)?;
            }
        }
        self.write(&mut bytes)
    }

    fn place(
        &self,
        offset: u64,
        keys: &[(VectorKey, Mark)],
        places: &mut Vec<(VectorKey, Place)>,
    ) -> io::Result<()> {
        for (row, (key, mark)) in keys.iter().enumerate() {
            let place = Place::new(self.segment.number, offset, keys.len(), row, *mark);
            let place = place.ok_or(io::ErrorKind::FileTooLarge)?;
            places.push((*key, place));
        }
        Ok(())
    }

    fn write(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += u64::try_from(bytes.len()).unwrap_or(0);
        bytes.clear();
        Ok(())
    }
}
