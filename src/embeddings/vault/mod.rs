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
mod snapshot;

pub use error::VaultError;
pub use manifest::{
    Counts, IndexFacts, MANIFEST_FORMAT, Manifest, NewItem, NewSnapshot, NoiseFloor, Redaction,
    Sealed, Source, SourceKind, Spent, TextStorage,
};
pub use precision::Precision;
pub use snapshot::Snapshot;

use crate::domain::Timestamp;
use crate::embeddings::name::{Selector, SnapshotId, SnapshotName};
use crate::embeddings::space::{SettingChange, SpaceId, VectorKey};
use crate::store::Store;
use std::path::PathBuf;
use std::sync::Arc;

/// Beyond which difference in a dimension a vector that came again counts as another one.
pub const DEVIATION_ALERT: f32 = 1e-3;

/// Says where a label of a collection points: collection, label.
pub type Labels<'a> = dyn Fn(&str, &str) -> Option<Selector> + 'a;

/// The vectors and snapshots of one data directory.
#[derive(Debug)]
pub struct Vault {
    dir: PathBuf,
    store: Arc<Store>,
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
        Ok(Self {
            dir: dir.into(),
            store,
        })
    }

    /// Returns which keys have a vector that is kept at `precision` or finer.
    ///
    /// # Errors
    ///
    /// `Io`, `Store`.
    pub fn held(&self, keys: &[VectorKey], precision: Precision) -> Result<Vec<bool>, VaultError> {
        self.unfinished(&(keys, precision))
    }

    /// Keeps vectors, durably (as the store is configured) when it returns. Of a key that has a vector, the
    /// first one stays, and it is noted how far the new one is from it.
    ///
    /// # Errors
    ///
    /// `NotFinite`, `NotRepresentable`, `Dimensions`: nothing is kept then. `Io`, `Store`.
    pub fn put(
        &self,
        space: &SpaceId,
        dimensions: usize,
        precision: Precision,
        rows: &[(VectorKey, &[f32])],
    ) -> Result<Put, VaultError> {
        self.unfinished(&(space, dimensions, precision, rows))
    }

    /// Returns the vectors of keys as they are kept, the finest of each.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`, `Store`.
    pub fn vectors(&self, keys: &[VectorKey]) -> Result<Vec<Option<Vec<f32>>>, VaultError> {
        self.unfinished(&keys)
    }

    /// Returns what was seen of a space's vectors that came more than once.
    ///
    /// # Errors
    ///
    /// `Store`.
    pub fn deviations(&self, space: &SpaceId) -> Result<Deviations, VaultError> {
        self.unfinished(&space)
    }

    /// Makes a snapshot, immutable and with a number of its own. If its collection has one with the same
    /// content, that one is given back.
    ///
    /// # Errors
    ///
    /// `MissingVectors`, `DuplicateItem`, `Empty`, `Io`, `Store`.
    pub fn seal(&self, draft: &NewSnapshot) -> Result<Sealed, VaultError> {
        self.unfinished(&draft)
    }

    /// Returns the snapshots of a collection, or all: by collection and number.
    ///
    /// # Errors
    ///
    /// `Io`. A damaged manifest is logged and left out; `verify` names it.
    pub fn list(&self, collection: Option<&str>) -> Result<Vec<Manifest>, VaultError> {
        self.unfinished(&collection)
    }

    /// Returns the manifest a name leads to.
    ///
    /// # Errors
    ///
    /// `NoSuchSnapshot`, `AmbiguousId`, `Io`, `Damaged`.
    pub fn manifest(
        &self,
        name: &SnapshotName,
        labels: &Labels<'_>,
    ) -> Result<Manifest, VaultError> {
        let _ = labels("", "");
        self.unfinished(&name)
    }

    /// Returns the manifest with an identity.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`.
    pub fn manifest_of(&self, id: &SnapshotId) -> Result<Manifest, VaultError> {
        self.unfinished(&id)
    }

    /// Opens a snapshot for reading.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `MissingVectors`, `Io`, `Damaged`, `Store`.
    pub fn open_snapshot(&self, id: &SnapshotId) -> Result<Snapshot, VaultError> {
        self.unfinished(&id)
    }

    /// Writes into the manifests with an identity what the provider's noise is.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`, `Damaged`.
    pub fn set_noise(&self, id: &SnapshotId, noise: &NoiseFloor) -> Result<(), VaultError> {
        self.unfinished(&(id, noise))
    }

    /// Writes into the manifests with an identity which index there is.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`, `Damaged`.
    pub fn set_index(&self, id: &SnapshotId, index: Option<&IndexFacts>) -> Result<(), VaultError> {
        self.unfinished(&(id, index))
    }

    /// Returns in what two snapshots differ, without reading vectors.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Io`, `Damaged`.
    pub fn diff(
        &self,
        before: &SnapshotId,
        after: &SnapshotId,
    ) -> Result<SnapshotDiff, VaultError> {
        self.unfinished(&(before, after))
    }

    /// Reads and checks a snapshot, or everything.
    ///
    /// # Errors
    ///
    /// `NoSuchId`, `Store`. What is found damaged is in the result.
    pub fn verify(&self, id: Option<&SnapshotId>) -> Result<Verification, VaultError> {
        self.unfinished(&id)
    }

    /// Removes vectors that no snapshot uses.
    ///
    /// # Errors
    ///
    /// `Damaged` when a manifest or a list of items cannot be read, as nobody knows then what is used;
    /// `Busy`, `Io`, `Store`.
    pub fn collect_garbage(&self, collecting: &Collecting<'_>) -> Result<Collected, VaultError> {
        self.unfinished(&collecting)
    }

    /// Deletes an item from snapshots: its id, text and hashes, and its vector where no other item in the
    /// vault has the same text. The manifests keep a mark.
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
        self.unfinished(&(snapshots, item, at))
    }

    fn unfinished<T>(&self, what: &impl std::fmt::Debug) -> Result<T, VaultError> {
        tracing::error!(?what, dir = %self.dir.display(), store = ?self.store.durability());
        Err(VaultError::Busy)
    }
}
