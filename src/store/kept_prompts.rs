//! What a data directory keeps of prompts, for commands that must not wait for who holds the store.
//!
//! Versions are files that never change, and numbers are only appended to, so both may be read while a
//! server writes.

use crate::domain::BundleHash;
use crate::store::numbers::Numbers;
use crate::store::{Error, bundles};
use std::path::{Path, PathBuf};

/// Versions of prompts and their numbers, to be read only. The directory need not be there.
#[derive(Debug)]
pub struct KeptPrompts {
    bundles: PathBuf,
    numbers: Numbers,
}

impl KeptPrompts {
    /// Looks into the data directory `dir`, without taking its lock.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        Self {
            bundles: dir.join(bundles::DIR),
            numbers: Numbers::new(dir.join(super::numbers::DIR)),
        }
    }

    /// Returns the versions whose hash begins with 4 to 64 hex digits; see `Store::bundle`.
    ///
    /// # Errors
    ///
    /// `BadHash`, `Io`.
    pub fn bundle(&self, prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, Error> {
        bundles::find(&self.bundles, prefix)
    }

    /// Returns the entries that were kept under `line`; see `Store::numbers`.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.numbers.read(line)
    }
}
