//! A snapshot open for reading: ids and hashes in memory, texts and vectors in their files.

use crate::embeddings::Error;
use crate::embeddings::item::Span;
use crate::embeddings::rows::{Matrix, Rows};
use crate::embeddings::space::TextHash;
use crate::embeddings::vault::{Manifest, VaultError};
use serde_json::Value;

/// A snapshot open for reading. Row i is item i. What is collected or deleted meanwhile stays readable here.
#[derive(Debug)]
pub struct Snapshot {
    manifest: Manifest,
    rows: usize,
}

impl Snapshot {
    /// Returns what the snapshot is.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the id of an item.
    #[must_use]
    pub fn id(&self, row: usize) -> Option<&str> {
        let _ = row;
        None
    }

    /// Returns the row of the item with an id.
    #[must_use]
    pub fn row_of(&self, id: &str) -> Option<usize> {
        let _ = id;
        None
    }

    /// Returns the hash of an item's text as it was sent.
    #[must_use]
    pub fn text_hash(&self, row: usize) -> Option<TextHash> {
        let _ = row;
        None
    }

    /// Returns where an item stands in its source.
    #[must_use]
    pub fn span(&self, row: usize) -> Option<Span> {
        let _ = row;
        None
    }

    /// Reads an item's text; `None` where texts are not kept.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn text(&self, row: usize) -> Result<Option<String>, VaultError> {
        let _ = row;
        Ok(None)
    }

    /// Reads what else is known of an item.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn metadata(&self, row: usize) -> Result<Option<Value>, VaultError> {
        let _ = row;
        Ok(None)
    }

    /// Reads all vectors into memory.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn load(&self) -> Result<Matrix, Error> {
        Ok(Matrix::default())
    }
}

impl Rows for Snapshot {
    fn len(&self) -> usize {
        self.rows
    }

    fn dimensions(&self) -> usize {
        usize::try_from(self.manifest.dimensions).unwrap_or(0)
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), Error> {
        let _ = into;
        Err(Error::NoSuchRow { row: first })
    }
}
