//! What must survive a restart: which commit was good, and which prompts were held back at which version.

use crate::domain::{BundleHash, PromptKey, Timestamp};
use crate::prompts::archive::BundleArchive;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Under which name it is kept.
const STATE: &str = "prompts.sync";

/// The format's number.
const VERSION: u32 = 1;

/// Stored as JSON in the archive.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    version: u32,
    /// Of which source all this is true.
    pub(super) source: String,
    /// The commit that was served last.
    pub(super) commit: Option<String>,
    /// Since when.
    pub(super) applied: Option<Timestamp>,
    /// Prompts that were served at an older version than the commit holds.
    pub(super) held: BTreeMap<PromptKey, BundleHash>,
    /// The commit that was refused last, so that it is told once.
    pub(super) refused: Option<String>,
    /// The sequence number of the last bundle that was taken.
    pub(super) sequence: u64,
}

impl Kept {
    /// Reads what was kept of `source`; nothing when it is of another one, or cannot be read.
    pub(super) fn recall(archive: &dyn BundleArchive, source: &str) -> Self {
        let fresh = Self {
            version: VERSION,
            source: source.to_owned(),
            ..Self::default()
        };
        let text = match archive.state(STATE) {
            Ok(Some(text)) => text,
            Ok(None) => return fresh,
            Err(problem) => {
                tracing::warn!(problem, "what was served before is not known");
                return fresh;
            }
        };
        let kept = serde_json::from_str::<Self>(&text).ok();
        match kept.filter(|kept| kept.version == VERSION) {
            Some(kept) if kept.source == source => kept,
            // What was pushed once is old, whatever the config says now.
            Some(Self { sequence, .. }) => Self { sequence, ..fresh },
            None => fresh,
        }
    }

    pub(super) fn keep(&self, archive: &dyn BundleArchive) -> Result<(), String> {
        let text = serde_json::to_string(self).map_err(|error| error.to_string())?;
        archive.put_state(STATE, &text)
    }
}
