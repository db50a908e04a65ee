//! What the journal keeps of syncs: what began to be served, and what was refused.

use crate::domain::{BundleHash, PromptKey, Timestamp};
use crate::prompts::problem::Problem;
use serde::Serialize;
use uuid::Uuid;

/// Problems of a refused commit that are written down.
pub(super) const MAX_PROBLEMS: usize = 50;

/// One thing that happened to the prompts. Stored as JSON, version 1: a field may be added, none
/// changes its meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SyncEvent {
    /// A UUID version 7: its order is time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// Where the prompts come from, without credentials.
    pub source: String,
    /// The commit, or the one that a directory is based on.
    pub commit: Option<String>,
    /// What.
    #[serde(flatten)]
    pub what: Happening,
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Happening {
    /// Prompts began to be served.
    PromptsLoaded {
        /// How many there are.
        prompts: usize,
        /// Those that were another version before.
        changed: Vec<VersionChange>,
        /// Those that are gone.
        removed: Vec<PromptKey>,
        /// Those that have problems and stay as they were.
        held: Vec<PromptKey>,
        /// The commit served before, when the new one does not descend from it.
        rewritten_from: Option<String>,
    },
    /// A commit has problems; what was served before is served on.
    PromptsRefused {
        /// The stable code of the reason.
        code: &'static str,
        /// The reason in words.
        message: String,
        /// What is wrong, the first fifty.
        problems: Vec<Problem>,
    },
}

/// A prompt that is another version than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VersionChange {
    /// The prompt.
    pub prompt: PromptKey,
    /// What it was; `None` when it is new.
    pub from: Option<BundleHash>,
    /// What it is.
    pub to: BundleHash,
}

impl SyncEvent {
    pub(super) fn now(source: String, commit: Option<String>, what: Happening) -> Self {
        Self {
            id: Uuid::now_v7(),
            at: super::now(),
            source,
            commit,
            what,
        }
    }
}
