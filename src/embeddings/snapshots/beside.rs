//! `FILE.manifest.json`, which stands beside an exported file: the snapshot's manifest, and how the files
//! were when they were written, so that who reads them sees whether they still belong together.

use crate::embeddings::exchange::Digest;
use crate::embeddings::vault::{Manifest, VaultError, read_manifest};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::Path;

/// Under which key the files stand in the manifest.
const KEY: &str = "exported";

/// The files of an export as they were written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exported {
    /// The file with the vectors.
    pub file: Digest,
    /// The file beside it that names them, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ids: Option<Digest>,
}

/// The manifest beside a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Beside {
    /// What was exported.
    pub manifest: Manifest,
    /// How its files were; `None` where a promptgate wrote it that did not say so.
    pub exported: Option<Exported>,
}

impl Beside {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// `Io`, `NewerFormat`; `Damaged` also where what it says is not what its snapshot's identity was made of.
    pub fn read(path: &Path) -> Result<Self, VaultError> {
        let (manifest, value) = read_manifest(path)?;
        let exported = value.get(KEY).map(Exported::deserialize).transpose();
        let exported = exported
            .map_err(|error| VaultError::damaged(path, format!("at `{KEY}`"), error.to_string()))?;
        Ok(Self { manifest, exported })
    }

    /// Returns it as it is written.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut value = json!(self.manifest);
        if let (Some(fields), Some(exported)) = (value.as_object_mut(), &self.exported) {
            fields.insert(KEY.to_owned(), json!(exported));
        }
        value
    }
}
