//! The vault: vectors in flat files, and snapshots, which say what they are vectors of.
//!
//! ```text
//! data/embeddings/segments/<space>/NNNNNN.seg    vectors with their keys, appended only
//! data/embeddings/snapshots/<collection>/N.json  manifests
//! data/embeddings/items/snap-….items             ids, hashes and texts of a snapshot
//! data/embeddings/erasing.json                   vectors that are being erased
//! data/tables/                                   the store's: where each key's vector stands; made from the segments
//! ```
//!
//! Everything here blocks; async callers use `spawn_blocking`.

mod error;
mod manifest;
mod precision;

mod block;
mod gather;
mod index;
mod opened;
mod put;
mod segment;
mod writer;

mod canonical;
mod catalogue;
mod diff;
mod erase;
mod garbage;
mod items;
mod seal;
mod snapshot;
mod verify;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub(in crate::embeddings) use canonical::item_hash;
pub use catalogue::{Unreadable, check_target, read_manifest};
pub use error::VaultError;
pub use manifest::{
    Counts, IndexFacts, MANIFEST_FORMAT, Manifest, NewItem, NewSnapshot, NoiseFloor, Redaction,
    Sealed, Source, SourceKind, Spent, TextStorage,
};
pub use precision::Precision;
pub use seal::items_hash;
pub use snapshot::Snapshot;

use crate::domain::Timestamp;
use crate::embeddings::name::{Selector, SnapshotId, SnapshotName};
use crate::embeddings::space::{SettingChange, SpaceId, VectorKey};
use crate::store::Store;
use block::Shape;
use catalogue::Catalogue;
use erase::Erasure;
use opened::Opened;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Beyond which difference in a dimension a vector that came again counts as another one.
pub const DEVIATION_ALERT: f32 = 1e-3;

/// Says where a label of a collection points: collection, label.
pub type Labels<'a> = dyn Fn(&str, &str) -> Option<Selector> + 'a;

/// Reads the text of an item that is to be, by its row; `None` where it came without one.
pub type ReadNewText<'a> = dyn Fn(usize) -> Result<Option<String>, VaultError> + 'a;

/// From this size on a segment is full.
const SEGMENT_BYTES: u64 = 256 << 20;

/// The vectors and snapshots of one data directory.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    store: Arc<Store>,
    segment_bytes: u64,
    catalogue: Catalogue,
    opened: OnceLock<Opened>,
    opening: Mutex<()>,
    /// Held while a snapshot is made, or items of one are changed.
    sealing: Mutex<()>,
    /// Held while files of vectors are rewritten.
    cleaning: Mutex<()>,
}

/// What became of vectors that were put.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Put {
    /// How many were new and are kept now.
    pub written: usize,
    /// How many were there already (or came twice); the first one stays.
    pub known: usize,
    /// How many of those differ from the first one by more than [`DEVIATION_ALERT`] in some dimension.
    pub deviating: usize,
    /// The largest such difference, what rounding may account for taken off.
    pub max_deviation: f32,
}

/// What was seen of vectors of a space that came more than once, since they were kept.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Deviations {
    /// How often a text's vector came again.
    pub observed: u64,
    /// How often it was another one by more than [`DEVIATION_ALERT`].
    pub deviating: u64,
    /// The largest difference in a dimension.
    pub max_deviation: f32,
}

/// In what two snapshots differ, without a look at their vectors.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SnapshotDiff {
    /// In which settings of space, pipeline and storage.
    pub settings: Vec<SettingChange>,
    /// Items in both, with the same text.
    pub unchanged: usize,
    /// Ids of items in the second only, in its order.
    pub added: Vec<String>,
    /// Ids of items in the first only.
    pub removed: Vec<String>,
    /// Ids of items in both with different texts.
    pub changed_text: Vec<String>,
    /// Of those, the ones whose texts differ only in ends of lines or in how Unicode writes the same characters.
    pub changed_form: Vec<String>,
}

/// What a check of the vault found.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Verification {
    /// Snapshots looked at.
    pub snapshots: usize,
    /// Segments read.
    pub segments: usize,
    /// Vectors read.
    pub vectors: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Everything that is not as it should be.
    pub problems: Vec<Fault>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The file, or the snapshot.
    pub place: String,
    /// What is wrong.
    pub problem: String,
}

/// How garbage is collected.
#[derive(Clone, Copy)]
pub struct Collecting<'a> {
    /// Whether a vector that no snapshot uses is needed all the same: by a draft.
    pub is_needed: &'a (dyn Fn(&VectorKey) -> bool + Sync),
    /// From which share of unused vectors on a segment is rewritten, 0 to 1.
    pub dead_share: f64,
    /// Whether it is only counted what would be done.
    pub is_dry_run: bool,
}

/// What collecting garbage did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// Segments looked at.
    pub segments: usize,
    /// Segments rewritten or removed.
    pub rewritten: usize,
    /// Vectors that nothing uses, found.
    pub dead: u64,
    /// Vectors that were removed.
    pub removed: u64,
    /// By how many bytes the files became smaller.
    pub freed_bytes: u64,
}

/// What deleting an item did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// The snapshots it was removed from, by name.
    pub snapshots: Vec<String>,
    /// How many items went: it, and the pieces it was cut into.
    pub items: usize,
    /// Vectors erased; 0 when another item has the same text.
    pub vectors: usize,
}

impl std::fmt::Debug for Collecting<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Collecting")
            .field("dead_share", &self.dead_share)
            .field("is_dry_run", &self.is_dry_run)
            .finish_non_exhaustive()
    }
}

impl Vault {
    /// Returns the vault in `dir` (`data/embeddings`). An erasure that a crash cut short is finished; besides
    /// that nothing is opened before it is needed.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`, `Store`, only where an erasure is to be finished.
    pub fn open(dir: impl Into<PathBuf>, store: Arc<Store>) -> Result<Self, VaultError> {
        Self::open_with(dir.into(), store, SEGMENT_BYTES)
    }

    fn open_with(dir: PathBuf, store: Arc<Store>, segment_bytes: u64) -> Result<Self, VaultError> {
        let vault = Self {
            catalogue: Catalogue::new(&dir),
            dir,
            store,
            segment_bytes,
            opened: OnceLock::new(),
            opening: Mutex::default(),
            sealing: Mutex::default(),
            cleaning: Mutex::default(),
        };
        if let Some(erasure) = Erasure::read(&vault.erasing())? {
            erasure.carry_out(vault.opened()?, &vault.catalogue)?;
            vault.end_erasure()?;
        }
        Ok(vault)
    }

    /// Returns which keys have a vector that is kept at `precision` or finer.
    ///
    /// # Errors
    ///
    /// `Io`, `Store`.
    pub fn held(&self, keys: &[VectorKey], precision: Precision) -> Result<Vec<bool>, VaultError> {
        if self.is_unused() {
            return Ok(vec![false; keys.len()]);
        }
        let found = self.opened()?.find(keys, precision)?;
        Ok(found.iter().map(Option::is_some).collect())
    }

    /// Keeps vectors, durably (as the store is configured) when it returns. Of a key that has a vector at this
    /// precision, the first one stays, and it is noted how far the new one is from it.
    ///
    /// # Errors
    ///
    /// `NotFinite`, `NotRepresentable`, `Dimensions`, `InvalidSpace`: nothing is kept then. `Io`, `Store`.
    pub fn put(
        &self,
        space: &SpaceId,
        dimensions: usize,
        precision: Precision,
        rows: &[(VectorKey, &[f32])],
    ) -> Result<Put, VaultError> {
        let shape = Shape {
            precision,
            dimensions,
        };
        self.opened()?.put(space, shape, rows)
    }

    /// Returns what [`Self::put`] would make of vectors, and keeps nothing.
    ///
    /// # Errors
    ///
    /// As [`Self::put`].
    pub fn weigh(
        &self,
        space: &SpaceId,
        dimensions: usize,
        precision: Precision,
        rows: &[(VectorKey, &[f32])],
    ) -> Result<Put, VaultError> {
        let shape = Shape {
            precision,
            dimensions,
        };
        self.opened()?.weigh(space, shape, rows)
    }

    /// Returns the vectors of keys, the finest that is kept of each.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`, `Store`.
    pub fn vectors(&self, keys: &[VectorKey]) -> Result<Vec<Option<Vec<f32>>>, VaultError> {
        if self.is_unused() {
            return Ok(vec![None; keys.len()]);
        }
        self.opened()?.vectors(keys, Precision::Binary)
    }

    /// Returns what was seen of a space's vectors that came more than once. It is a monitor: a crash may cost
    /// what was seen in the second before it.
    ///
    /// # Errors
    ///
    /// `Io`, `Store`.
    pub fn deviations(&self, space: &SpaceId) -> Result<Deviations, VaultError> {
        if self.is_unused() {
            return Ok(Deviations::default());
        }
        self.opened()?.deviations_of(space)
    }

    /// Returns how often the vector of a key came again, and the largest difference in a dimension.
    ///
    /// # Errors
    ///
    /// `Io`, `Store`.
    pub fn deviation(&self, key: &VectorKey) -> Result<(u64, f32), VaultError> {
        if self.is_unused() {
            return Ok((0, 0.0));
        }
        self.opened()?.deviation_of(key)
    }

    /// Makes a snapshot, immutable and with a number of its own. If its collection has one with the same
    /// content, that one is given back. Vectors that are only kept finer are first written as it wants them.
    ///
    /// # Errors
    ///
    /// `MissingVectors`, `DuplicateItem`, `Empty`, `InvalidCollection`, `TooMany`, `Io`, `Damaged`, `Store`.
    pub fn seal(&self, draft: &NewSnapshot) -> Result<Sealed, VaultError> {
        let item = |row: usize| draft.items.get(row);
        self.seal_reading(draft, &|row| {
            Ok(item(row).and_then(|item| item.item.text.clone()))
        })
    }

    /// Makes a snapshot as [`Self::seal`] does, of items whose texts are elsewhere: each is read, by its row,
    /// when it is written, so that only one part of the file is in memory at a time.
    ///
    /// # Errors
    ///
    /// As [`Self::seal`]; those of reading.
    pub fn seal_reading(
        &self,
        draft: &NewSnapshot,
        text: &ReadNewText<'_>,
    ) -> Result<Sealed, VaultError> {
        let _sealing = lock(&self.sealing);
        seal::seal(self.opened()?, &self.catalogue, draft, text)
    }

    /// Returns the snapshots of a collection, or all: by collection and number.
    ///
    /// # Errors
    ///
    /// `Io`. A damaged manifest is logged and left out; `verify` names it.
    pub fn list(&self, collection: Option<&str>) -> Result<Vec<Manifest>, VaultError> {
        self.catalogue.list(collection)
    }

    /// Returns the snapshots of a collection, or all, and beside them those whose manifests cannot be read.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn survey(
        &self,
        collection: Option<&str>,
    ) -> Result<(Vec<Manifest>, Vec<Unreadable>), VaultError> {
        self.catalogue.survey(collection)
    }

    /// Returns the newest snapshot of a collection that is as it is wanted.
    ///
    /// # Errors
    ///
    /// `Damaged`, `NewerFormat` where one that may be it cannot be read; `Io`.
    pub fn newest_that(
        &self,
        collection: &str,
        is_wanted: &dyn Fn(&Manifest) -> bool,
    ) -> Result<Option<Manifest>, VaultError> {
        self.catalogue.newest_that(collection, is_wanted)
    }

    /// Returns the newest snapshot of a collection.
    ///
    /// # Errors
    ///
    /// As [`Self::newest_that`].
    pub fn newest(&self, collection: &str) -> Result<Option<Manifest>, VaultError> {
        self.newest_that(collection, &|_| true)
    }

    /// Returns the manifest a name leads to.
    ///
    /// # Errors
    ///
    /// `NoSuchSnapshot`, `NoTarget`, `AmbiguousId`; `Damaged`, `NewerFormat` where it cannot be read: no older one
    /// takes its place. `Io`.
    pub fn manifest(
        &self,
        name: &SnapshotName,
        labels: &Labels<'_>,
    ) -> Result<Manifest, VaultError> {
        self.catalogue.find(name, labels)
    }

    /// Returns the manifest with an identity; of several collections that have it, the first's.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`.
    pub fn manifest_of(&self, id: &SnapshotId) -> Result<Manifest, VaultError> {
        let first = self.catalogue.of(id)?.into_iter().next();
        first.ok_or_else(|| VaultError::NoSuchId { id: id.clone() })
    }

    /// Opens a snapshot for reading.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `MissingVectors`, `Io`, `Damaged`, `Store`.
    pub fn open_snapshot(&self, id: &SnapshotId) -> Result<Snapshot, VaultError> {
        snapshot::open(self.opened()?, &self.catalogue, id)
    }

    /// Writes into the manifests with an identity what the provider's noise is.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`.
    pub fn set_noise(&self, id: &SnapshotId, noise: &NoiseFloor) -> Result<(), VaultError> {
        self.change(id, |manifest| manifest.noise = Some(noise.clone()))
    }

    /// Writes into the manifests with an identity which index there is.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`.
    pub fn set_index(&self, id: &SnapshotId, index: Option<&IndexFacts>) -> Result<(), VaultError> {
        self.change(id, |manifest| manifest.index = index.cloned())
    }

    /// Returns in what two snapshots differ, without reading vectors.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `MissingVectors`, `Io`, `Damaged`, `Store`.
    pub fn diff(
        &self,
        before: &SnapshotId,
        after: &SnapshotId,
    ) -> Result<SnapshotDiff, VaultError> {
        diff::diff(&self.open_snapshot(before)?, &self.open_snapshot(after)?)
    }

    /// Reads and checks a snapshot with all its vectors, or everything.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`, `Store`. What is found damaged is in the result.
    pub fn verify(&self, id: Option<&SnapshotId>) -> Result<Verification, VaultError> {
        verify::verify(self.opened()?, &self.catalogue, &self.segments_dir(), id)
    }

    /// Makes the index of vectors anew from their files.
    ///
    /// # Errors
    ///
    /// `Busy`, `Io`, `Store`.
    pub fn rebuild(&self) -> Result<(), VaultError> {
        let _cleaning = self.try_clean()?;
        let opened = self.opened()?;
        let _writer = opened.writer();
        let segments = opened.segments().clone();
        opened.index.rebuild(&segments)
    }

    /// Removes a snapshot, named by number or identity, from its collection; the number is not given again. Its
    /// vectors go when garbage is collected.
    ///
    /// # Errors
    ///
    /// `NoSuchSnapshot`, `AmbiguousId`, `Io`.
    pub fn remove_snapshot(&self, name: &SnapshotName) -> Result<Manifest, VaultError> {
        let _sealing = lock(&self.sealing);
        // What a label or `latest` means may have moved since it was looked at.
        let manifest = match &name.selector {
            Some(Selector::Number(_) | Selector::Hash(_)) => {
                self.catalogue.find(name, &|_, _| None)?
            }
            None | Some(Selector::Latest | Selector::Label(_)) => {
                return Err(VaultError::NoSuchSnapshot {
                    name: name.clone(),
                    choices: Vec::new(),
                });
            }
        };
        self.catalogue.set_aside(&manifest)?;
        Ok(manifest)
    }

    /// Removes vectors that no snapshot uses.
    ///
    /// # Errors
    ///
    /// `Damaged` when a manifest or a list of items cannot be read, as nobody knows then what is used;
    /// `Busy`, `Io`, `Store`.
    pub fn collect_garbage(&self, collecting: &Collecting<'_>) -> Result<Collected, VaultError> {
        let _cleaning = self.try_clean()?;
        let collected = garbage::collect(self.opened()?, &self.catalogue, collecting)?;
        if !collecting.is_dry_run {
            let _sealing = lock(&self.sealing);
            garbage::remove_leftovers(&self.catalogue)?;
        }
        Ok(collected)
    }

    /// Deletes an item from snapshots, or the pieces it was cut into: id, text and hashes, and its vector where no
    /// other item in the vault has the same text. The manifests keep a mark. When it returns, or else after the next start, all of it is done.
    ///
    /// # Errors
    ///
    /// `NoSuchItem`, `NoSuchId`, `Busy`, `Io`, `Damaged`, `Store`.
    pub fn delete_item(
        &self,
        snapshots: &[SnapshotId],
        item: &str,
        at: Timestamp,
    ) -> Result<Deleted, VaultError> {
        let _cleaning = self.try_clean()?;
        let _sealing = lock(&self.sealing);
        // While one cannot be read nobody knows what it has: before anything is done, not in the middle.
        self.catalogue.all()?;
        let erasure = Erasure::plan(&self.catalogue, snapshots, item, at)?;
        erasure.write(&self.erasing())?;
        let deleted = erasure.carry_out(self.opened()?, &self.catalogue)?;
        self.end_erasure()?;
        Ok(deleted)
    }

    fn change(&self, id: &SnapshotId, change: impl Fn(&mut Manifest)) -> Result<(), VaultError> {
        let _sealing = lock(&self.sealing);
        for mut manifest in self.catalogue.of(id)? {
            change(&mut manifest);
            self.catalogue.write(&manifest)?;
        }
        Ok(())
    }

    fn segments_dir(&self) -> PathBuf {
        self.dir.join("segments")
    }

    fn erasing(&self) -> PathBuf {
        self.dir.join("erasing.json")
    }

    fn end_erasure(&self) -> Result<(), VaultError> {
        let path = self.erasing();
        std::fs::remove_file(&path).map_err(VaultError::io("remove", &path))?;
        segment::sync_dir(&self.dir)
    }

    fn try_clean(&self) -> Result<MutexGuard<'_, ()>, VaultError> {
        match self.cleaning.try_lock() {
            Ok(guard) => Ok(guard),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(std::sync::TryLockError::WouldBlock) => Err(VaultError::Busy),
        }
    }

    /// Whether nothing was ever kept: who only asks pays for no database then.
    fn is_unused(&self) -> bool {
        self.opened.get().is_none() && !self.segments_dir().exists()
    }

    fn opened(&self) -> Result<&Opened, VaultError> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let _opening = lock(&self.opening);
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let opened = Opened::load(&self.segments_dir(), &self.store, self.segment_bytes)?;
        Ok(self.opened.get_or_init(|| opened))
    }
}

fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
