//! Deleting an item: from snapshots, and its vector from the files.
//!
//! What is to be done is first written down, so that a crash at any step is made good at the next start. Every
//! step may be done twice.

use crate::domain::Timestamp;
use crate::embeddings::files::write_durably;
use crate::embeddings::item::Span;
use crate::embeddings::name::SnapshotId;
use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::catalogue::Catalogue;
use crate::embeddings::vault::garbage::{OnDamage, clean, used};
use crate::embeddings::vault::items::{self, Items};
use crate::embeddings::vault::opened::Opened;
use crate::embeddings::vault::segment::{Found, HEADER_BYTES, Segment, Walk};
use crate::embeddings::vault::{Deleted, Precision, VaultError, canonical};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What is being erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Erasure {
    format: u32,
    snapshots: Vec<SnapshotId>,
    item: String,
    /// The ids of what goes: the item, and the pieces it was cut into. Empty in files that were written before
    /// there was this list: then it is the item alone.
    #[serde(default)]
    ids: BTreeSet<String>,
    at: Timestamp,
    /// The keys of its vectors.
    keys: BTreeSet<[u8; 32]>,
}

impl Erasure {
    /// Finds the item in the snapshots, and the items that were cut from it.
    ///
    /// # Errors
    ///
    /// `NoSuchItem`, `NoSuchId`, `Io`, `Damaged`.
    pub(super) fn plan(
        catalogue: &Catalogue,
        snapshots: &[SnapshotId],
        item: &str,
        at: Timestamp,
    ) -> Result<Self, VaultError> {
        let (mut keys, mut ids) = (BTreeSet::new(), BTreeSet::new());
        for id in snapshots {
            catalogue.of(id)?;
            Items::open(&catalogue.items(id))?.heads(|head| {
                let is_piece = |span: &Span| span.source == item;
                if head.id == item || head.span.as_ref().is_some_and(is_piece) {
                    keys.insert(head.key);
                    ids.insert(head.id);
                }
                Ok(())
            })?;
        }
        if keys.is_empty() {
            return Err(VaultError::NoSuchItem {
                id: item.to_owned(),
            });
        }
        Ok(Self {
            format: 1,
            snapshots: snapshots.to_vec(),
            item: item.to_owned(),
            ids,
            at,
            keys,
        })
    }

    /// Reads what a crash left to be done.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, VaultError> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(VaultError::io("read", path)(error)),
        };
        let erasure = serde_json::from_slice(&text);
        let erasure = erasure.map_err(|error| {
            VaultError::damaged(path, "as a list of what is erased", error.to_string())
        })?;
        Ok(Some(erasure))
    }

    /// Writes down what is to be done.
    pub(super) fn write(&self, path: &Path) -> Result<(), VaultError> {
        let text = serde_json::to_vec(self).map_err(|error| {
            VaultError::damaged(path, "before it is written", error.to_string())
        })?;
        write_durably(path, &text).map_err(VaultError::io("write", path))
    }

    /// Whether an item is one that goes.
    fn has(&self, id: &str) -> bool {
        id == self.item || self.ids.contains(id)
    }

    /// Takes the item and its pieces out of the snapshots. Returns the names of those they were in.
    pub(super) fn redact(&self, catalogue: &Catalogue) -> Result<Vec<String>, VaultError> {
        let mut names = Vec::new();
        let all = self.ids.iter().map(String::as_str);
        let all = all.chain(std::iter::once(self.item.as_str()));
        let hashes: BTreeSet<String> = all.map(canonical::item_hash).collect();
        for id in &self.snapshots {
            let path = catalogue.items(id);
            let (gone, left): (Vec<_>, Vec<_>) = Items::open(&path)?
                .all()?
                .into_iter()
                .partition(|(head, _)| self.has(&head.id));
            // The marks come first: where the items are no more, they are all made.
            for mut manifest in catalogue.of(id)? {
                let before = manifest.redacted.len();
                for (head, _) in &gone {
                    manifest.mark(canonical::item_hash(&head.id), self.at);
                }
                if before < manifest.redacted.len() {
                    manifest.items = u64::try_from(left.len()).unwrap_or(u64::MAX);
                    manifest.items_left_hash = Some(items::hash(left.as_slice()));
                    // It was over items that are no longer all there.
                    manifest.index = None;
                    catalogue.write(&manifest)?;
                }
                if manifest
                    .redacted
                    .iter()
                    .any(|one| hashes.contains(&one.item))
                {
                    names.push(manifest.name());
                }
            }
            if !gone.is_empty() {
                items::write(&path, left.as_slice())?;
            }
        }
        Ok(names)
    }

    /// Erases the vectors that no item has any more. Returns how many keys that were.
    pub(super) fn erase(&self, vault: &Opened, catalogue: &Catalogue) -> Result<usize, VaultError> {
        let used: HashSet<VectorKey> = used(catalogue)?.into_iter().map(|(key, _)| key).collect();
        let keys: HashSet<VectorKey> = self.keys.iter().map(|key| VectorKey(*key)).collect();
        let unused: HashSet<VectorKey> = keys.difference(&used).copied().collect();
        let segments: Vec<Arc<Segment>> = vault.segments().values().cloned().collect();
        for segment in segments {
            if has_any(&segment, &unused)? {
                let stays = |key: &VectorKey, _: Precision| !unused.contains(key);
                clean(vault, &segment, &stays, OnDamage::Drop)?;
            }
        }
        let unused: Vec<VectorKey> = unused.into_iter().collect();
        vault.forget_deviations(&unused)?;
        Ok(unused.len())
    }

    /// Returns what was done.
    pub(super) fn carry_out(
        &self,
        vault: &Opened,
        catalogue: &Catalogue,
    ) -> Result<Deleted, VaultError> {
        Ok(Deleted {
            snapshots: self.redact(catalogue)?,
            items: self.ids.len().max(1),
            vectors: self.erase(vault, catalogue)?,
        })
    }
}

/// Returns whether a segment has rows with some of the keys, also such as nothing points to.
fn has_any(segment: &Segment, keys: &HashSet<VectorKey>) -> Result<bool, VaultError> {
    let mut walk = Walk::new(segment, HEADER_BYTES)?;
    while let Some(found) = walk.next()? {
        if let Found::Block { block, .. } = found {
            let mut found = (0..block.rows).filter_map(|row| block.key(row));
            if found.any(|key| keys.contains(&key)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
