//! Every version that was ever served, kept so that it can be rendered again.

use crate::domain::{BundleHash, PromptKey};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use serde::Deserialize;

/// Keeps versions. The application implements it over its store.
pub trait BundleArchive: Send + Sync {
    /// Stores `json` under `hash`, durably, in place of what is there.
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot.
    fn put(&self, hash: &BundleHash, json: &[u8]) -> Result<(), String>;

    /// Returns what is stored under hashes that start with `hex_prefix` (4 to 64 digits).
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot be read.
    fn find(&self, hex_prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String>;
}

/// Keeps nothing, for commands that only look at files.
#[derive(Debug, Clone, Copy)]
pub struct NoArchive;

impl BundleArchive for NoArchive {
    fn put(&self, _: &BundleHash, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn find(&self, _: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
        Ok(Vec::new())
    }
}

#[derive(Deserialize)]
struct Names {
    names: Vec<PromptKey>,
}

/// Returns the names that a stored version was served under; none when it is damaged.
pub(super) fn names_of(json: &[u8]) -> Vec<PromptKey> {
    serde_json::from_slice::<Names>(json).map_or_else(|_| Vec::new(), |stored| stored.names)
}

/// Stores `bundle` as a version of `key`, unless it is.
///
/// The same content may be served under several names, and a name is what a caller is allowed:
/// a version is found only under names that it was served as.
pub(super) fn keep(
    archive: &dyn BundleArchive,
    key: &PromptKey,
    bundle: &Bundle,
) -> Result<(), Error> {
    let hash = bundle.hash();
    let stored = archive.find(&hash.to_hex()).map_err(Error::Archive)?;
    let mut names: Vec<PromptKey> = stored.iter().flat_map(|(_, json)| names_of(json)).collect();
    if names.contains(key) {
        return Ok(());
    }
    names.push(key.clone());
    names.sort();
    names.dedup();
    archive
        .put(&hash, &bundle.to_json(&names)?)
        .map_err(Error::Archive)
}
