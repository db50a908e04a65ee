//! Looking after snapshots: what differs, what is damaged, what goes.

use crate::embeddings::name::check_collection;
use crate::embeddings::snapshots::{Error, Snapshots};
use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::{
    Collected, Collecting, Deleted, Manifest, SnapshotDiff, Verification,
};
use std::collections::HashSet;

/// From which share of unused vectors on a segment is written again.
const DEAD_SHARE: f64 = 0.2;

impl Snapshots {
    /// Returns in what two snapshots differ. Blocks.
    ///
    /// # Errors
    ///
    /// Those of names and of the vault.
    pub fn diff(
        &self,
        before: &str,
        after: &str,
    ) -> Result<(Manifest, Manifest, SnapshotDiff), Error> {
        let (before, after) = (self.manifest(before)?, self.manifest(after)?);
        let found = self.vault.diff(&before.id, &after.id)?;
        Ok((before, after, found))
    }

    /// Reads and checks a snapshot, or everything. Blocks.
    ///
    /// # Errors
    ///
    /// Those of names and of the vault; what is damaged is in the result.
    pub fn verify(&self, name: Option<&str>) -> Result<Verification, Error> {
        let id = name.map(|name| self.manifest(name)).transpose()?;
        let id = id.as_ref().map(|manifest| &manifest.id);
        let mut found = self.vault.verify(id)?;
        found.problems.extend(self.index_faults(id)?);
        Ok(found)
    }

    /// Deletes an item from every snapshot of a collection, or the pieces it was cut into, and from their indexes.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// Those of the vault.
    pub fn delete_item(&self, collection: &str, item: &str) -> Result<Deleted, Error> {
        check_collection(collection)?;
        let _deleting = self.indexes.deleting();
        let all = self.vault.list(Some(collection))?;
        let shrinking = self.shrinking(&all, item);
        let ids: Vec<_> = all.into_iter().map(|manifest| manifest.id).collect();
        let deleted = self.vault.delete_item(&ids, item, self.clock.now())?;
        // Where the item was, the vault has taken the index out of the manifest: one of what is left comes back.
        self.shrink(shrinking);
        self.forget_names();
        self.remove_other_indexes()?;
        Ok(deleted)
    }

    /// Makes the index of all vectors anew from their files. Blocks.
    ///
    /// # Errors
    ///
    /// Those of the vault.
    pub fn rebuild(&self) -> Result<(), Error> {
        Ok(self.vault.rebuild()?)
    }

    /// Removes vectors that neither a snapshot nor a draft nor a migration uses, nor a query of the last 30
    /// days, and files of imports and indexes that nothing uses. Blocks.
    ///
    /// # Errors
    ///
    /// Those of drafts and of the vault.
    pub fn collect_garbage(&self, is_dry_run: bool) -> Result<Collected, Error> {
        let mut needed: HashSet<VectorKey> = self.imports.keys()?;
        for head in self.drafts.list()?.iter().filter(|head| head.is_complete) {
            needed.extend(self.draft_keys(head)?);
        }
        needed.extend(self.migration_keys()?);
        let now = self.clock.now();
        needed.extend(self.queries.recent(now)?);
        let is_needed = |key: &VectorKey| needed.contains(key);
        let collected = self.vault.collect_garbage(&Collecting {
            is_needed: &is_needed,
            dead_share: DEAD_SHARE,
            is_dry_run,
        })?;
        if !is_dry_run {
            self.queries.forget_old(now)?;
            self.imports.remove_leftovers()?;
            self.remove_other_indexes()?;
        }
        Ok(collected)
    }
}
