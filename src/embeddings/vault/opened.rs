//! The vault once it is used: its segments, the index over them, and who may write.
//!
//! Locks are taken in this order: writer, touched, segments.

use crate::embeddings::space::{SpaceId, VectorKey};
use crate::embeddings::vault::gather::{Segments, gather};
use crate::embeddings::vault::index::{Index, Place, TABLE};
use crate::embeddings::vault::segment::{Segment, entries, number_of};
use crate::embeddings::vault::writer::Writer;
use crate::embeddings::vault::{Precision, VaultError};
use crate::store::{Store, Table};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};

/// The name of the table of what was seen of vectors that came again.
const DEVIATIONS: &str = "embeddings.deviations";

/// The open vault.
#[derive(Debug)]
pub(super) struct Opened {
    /// Where each vector stands.
    pub(super) index: Index,
    /// What was seen of vectors that came again.
    pub(super) deviations: Table,
    segments: RwLock<Segments>,
    writer: Mutex<Writer>,
    is_collecting: AtomicBool,
    /// Keys that somebody relied on since collecting garbage began.
    touched: Mutex<HashSet<VectorKey>>,
}

impl Opened {
    /// Opens what is in `dir`, the directory of segments.
    pub(super) fn load(dir: &Path, store: &Store, segment_bytes: u64) -> Result<Self, VaultError> {
        let mut segments = BTreeMap::new();
        let mut newest = 0;
        for path in files(dir)? {
            let Some(number) = number_of(&path) else {
                continue;
            };
            newest = newest.max(number);
            match Segment::open(&path) {
                Ok(Some(segment)) => {
                    segments.insert(number, Arc::new(segment));
                }
                // A crash came when it was made: nothing is in it.
                Ok(None) => fs::remove_file(&path).map_err(VaultError::io("remove", &path))?,
                Err(error @ VaultError::Damaged { .. }) => {
                    tracing::error!(%error, "vectors cannot be read; those that are used are missed");
                }
                Err(error) => return Err(error),
            }
        }
        let index = Index::open(store.table(TABLE)?, &segments)?;
        let durability = store.durability();
        let writer = Writer::new(dir.to_owned(), durability, segment_bytes, newest, &segments)?;
        Ok(Self {
            index,
            deviations: store.table(DEVIATIONS)?,
            segments: RwLock::new(segments),
            writer: Mutex::new(writer),
            is_collecting: AtomicBool::new(false),
            touched: Mutex::default(),
        })
    }

    /// Returns the one who appends.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the segments; while they are held, none is added or removed.
    pub(super) fn segments(&self) -> RwLockReadGuard<'_, Segments> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a segment.
    pub(super) fn add_segment(&self, segment: Arc<Segment>) {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        segments.insert(segment.number, segment);
    }

    /// Changes where vectors stand and takes a segment away, as one step for those who read.
    pub(super) fn replace_segment(
        &self,
        number: u32,
        change: impl FnOnce() -> Result<(), VaultError>,
    ) -> Result<(), VaultError> {
        let mut segments = self
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        change()?;
        segments.remove(&number);
        Ok(())
    }

    /// Returns the keys touched since collecting began.
    pub(super) fn touched(&self) -> MutexGuard<'_, HashSet<VectorKey>> {
        self.touched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that somebody is about to rely on vectors that are kept: what is touched is not collected.
    pub(super) fn touch<'a>(&self, keys: impl IntoIterator<Item = &'a VectorKey>) {
        if self.is_collecting.load(Ordering::SeqCst) {
            self.touched().extend(keys);
        }
    }

    /// Begins or ends collecting garbage.
    pub(super) fn set_collecting(&self, is_collecting: bool) {
        self.touched().clear();
        self.is_collecting.store(is_collecting, Ordering::SeqCst);
    }

    /// Returns where the vectors of keys stand, as finely as `least` or finer, and their precisions.
    pub(super) fn find(
        &self,
        keys: &[VectorKey],
        least: Precision,
    ) -> Result<Vec<Option<(Precision, Place)>>, VaultError> {
        self.touch(keys);
        keys.iter()
            .map(|key| self.index.finest(key, least))
            .collect()
    }

    /// Returns where the vectors of keys stand that are kept exactly so; the segments are those of this vault.
    pub(super) fn places(
        &self,
        segments: &Segments,
        keys: &[VectorKey],
        precision: Precision,
    ) -> Result<Vec<Option<Place>>, VaultError> {
        let counts = segments.values().map(|segment| {
            let row = u64::try_from(segment.shape.block_bytes(1)).unwrap_or(u64::MAX);
            Ok(segment.bytes()? / row.max(1))
        });
        let about = counts.sum::<Result<u64, VaultError>>()?;
        self.index.places(keys, precision, about)
    }

    /// Reads vectors, the finest there is of each.
    pub(super) fn vectors(
        &self,
        keys: &[VectorKey],
        least: Precision,
    ) -> Result<Vec<Option<Vec<f32>>>, VaultError> {
        self.touch(keys);
        let segments = self.segments();
        let mut numbers = Vec::new();
        let mut places = Vec::new();
        for (number, key) in keys.iter().enumerate() {
            if let Some((_, place)) = self.index.finest(key, least)? {
                numbers.push(number);
                places.push(place);
            }
        }
        let mut vectors = vec![None; keys.len()];
        gather(&segments, &places, &mut Vec::new(), |number, row| {
            let place = numbers.get(number).and_then(|at| vectors.get_mut(*at));
            if let Some(vector) = place {
                *vector = Some(row.to_vec());
            }
        })?;
        Ok(vectors)
    }

    /// Returns how long the vectors of a space are, when there are any.
    pub(super) fn dimensions(&self, space: &SpaceId) -> Option<usize> {
        let segments = self.segments();
        let found = segments.values().find(|segment| segment.space == *space);
        found.map(|segment| segment.shape.dimensions)
    }
}

/// Returns the files of segments in `dir`.
pub(super) fn files(dir: &Path) -> Result<Vec<PathBuf>, VaultError> {
    let mut files = Vec::new();
    for path in entries(dir)? {
        if path.is_dir() {
            files.extend(entries(&path)?);
        }
    }
    Ok(files)
}
