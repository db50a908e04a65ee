//! What happened to prompts, labels, embeddings and keys: who may ask later gets it in order of time.
//!
//! The journal stores these events as JSON, version 1. A field may be added with a default; none
//! changes its meaning.

use crate::domain::{BundleHash, KeyId, PromptKey, Timestamp};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEvent {
    /// A UUID version 7: its order is time.
    pub id: Uuid,
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: Audited,
}

impl AuditEvent {
    /// Returns the event that `what` happens now.
    #[must_use]
    pub fn now(at: Timestamp, what: Audited) -> Self {
        let id = Uuid::now_v7();
        Self { id, at, what }
    }
}

/// What can happen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Audited {
    /// Prompts began to be served.
    PromptsLoaded {
        /// Where they come from, without credentials.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// The commit they are from, or that the directory is based on.
        commit: Option<String>,
        /// How many there are.
        prompts: usize,
        /// Those that were another version before; empty at a start, which compares with nothing.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        changed: Vec<VersionChange>,
        /// Those that are gone.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        removed: Vec<PromptKey>,
        /// Those that have problems and stay as they were.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        held: Vec<PromptKey>,
        /// The commit served before, when the new one does not descend from it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rewritten_from: Option<String>,
    },
    /// A set of prompts has problems; what was served before is served on.
    PromptsRefused {
        /// Where it comes from, without credentials.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        source: Option<String>,
        /// The commit.
        commit: Option<String>,
        /// The stable code of the reason.
        code: String,
        /// The reason in words.
        message: String,
        /// What is wrong, with path and line, the first fifty.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        problems: Vec<String>,
    },
    /// `releases.yaml` gives a label another meaning.
    LabelMoved {
        /// The label.
        label: String,
        /// The prompt, or `*` for all that have no entry of their own.
        prompt: String,
        /// What it said before; `None` when it is new.
        from: Option<String>,
        /// What it says now; `None` when it is gone.
        to: Option<String>,
        /// The commit that was loaded.
        commit: Option<String>,
        /// Whether the file is not as in that commit.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        dirty: bool,
    },
    /// Somebody put a version in force past Git.
    OverrideSet {
        /// The label.
        label: String,
        /// The prompt.
        prompt: PromptKey,
        /// What Git says.
        from: String,
        /// What is in force.
        to: String,
        /// Why.
        reason: String,
        /// Until when.
        expires: Timestamp,
    },
    /// An override ended.
    OverrideEnded {
        /// The label.
        label: String,
        /// The prompt.
        prompt: PromptKey,
        /// What was in force.
        to: String,
        /// How it ended.
        end: OverrideEnd,
    },
    /// A migration of a collection to another embedding version went on, or back.
    MigrationMoved {
        /// The collection.
        collection: String,
        /// The migration.
        migration: String,
        /// Its state before; `None` at its beginning.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
        /// Its state now.
        to: String,
        /// Who did it, as they call themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
        /// What is served under the label `production` now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serving: Option<String>,
        /// Whether gates were overridden.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        forced: bool,
        /// Whether it was a pause, or the end of one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        paused: Option<bool>,
        /// Whether both versions are written after it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        both: bool,
    },
    /// `embeddings.toml` lets a label of a collection lead elsewhere.
    EmbeddingLabelMoved {
        /// The collection.
        collection: String,
        /// The label.
        label: String,
        /// Where it led before; `None` when it is new.
        from: Option<String>,
        /// Where it leads now; `None` when it is gone.
        to: Option<String>,
    },
    /// An item was deleted from the snapshots of a collection.
    EmbeddingItemDeleted {
        /// The collection.
        collection: String,
        /// SHA-256 (hex) of its id, as in the snapshots' manifests: the id itself is gone.
        item: String,
        /// From which snapshots.
        snapshots: Vec<String>,
        /// How many vectors were erased.
        vectors: usize,
    },
    /// A key was made.
    KeyCreated {
        /// The key.
        key: KeyId,
        /// What people call it.
        name: String,
    },
    /// A key was taken back.
    KeyRevoked {
        /// The key.
        key: KeyId,
        /// What people call it.
        name: String,
    },
}

impl Audited {
    /// The name of every kind, as in JSON.
    pub const KINDS: [&'static str; 10] = [
        "prompts_loaded",
        "prompts_refused",
        "label_moved",
        "override_set",
        "override_ended",
        "migration_moved",
        "embedding_label_moved",
        "embedding_item_deleted",
        "key_created",
        "key_revoked",
    ];

    /// Returns the kind's name.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PromptsLoaded { .. } => "prompts_loaded",
            Self::PromptsRefused { .. } => "prompts_refused",
            Self::LabelMoved { .. } => "label_moved",
            Self::OverrideSet { .. } => "override_set",
            Self::OverrideEnded { .. } => "override_ended",
            Self::MigrationMoved { .. } => "migration_moved",
            Self::EmbeddingLabelMoved { .. } => "embedding_label_moved",
            Self::EmbeddingItemDeleted { .. } => "embedding_item_deleted",
            Self::KeyCreated { .. } => "key_created",
            Self::KeyRevoked { .. } => "key_revoked",
        }
    }

    /// Whether the event is about `prompt`.
    #[must_use]
    pub fn is_about(&self, prompt: &PromptKey) -> bool {
        match self {
            Self::PromptsLoaded {
                changed,
                removed,
                held,
                ..
            } => {
                changed.iter().any(|change| change.prompt == *prompt)
                    || removed.contains(prompt)
                    || held.contains(prompt)
            }
            // Why one prompt has problems may lie in the file of another.
            Self::PromptsRefused { .. } => true,
            Self::LabelMoved { prompt: named, .. } => named == "*" || named == prompt.as_str(),
            Self::OverrideSet { prompt: named, .. } | Self::OverrideEnded { prompt: named, .. } => {
                named == prompt
            }
            Self::MigrationMoved { .. }
            | Self::EmbeddingLabelMoved { .. }
            | Self::EmbeddingItemDeleted { .. }
            | Self::KeyCreated { .. }
            | Self::KeyRevoked { .. } => false,
        }
    }
}

/// A prompt that is another version than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionChange {
    /// The prompt.
    pub prompt: PromptKey,
    /// What it was; `None` when it is new.
    pub from: Option<BundleHash>,
    /// What it is.
    pub to: BundleHash,
}

/// How an override ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OverrideEnd {
    /// Somebody took it back.
    Removed,
    /// Its time was over.
    Expired,
    /// Git says the same now.
    CaughtUp,
    /// Another override took its place.
    Replaced,
}

#[cfg(test)]
mod tests {
    use super::{AuditEvent, Audited, OverrideEnd};
    use crate::domain::{PromptKey, Timestamp};

    #[test]
    fn events_are_flat_and_read_back() {
        let event = AuditEvent::now(
            Timestamp(7),
            Audited::OverrideEnded {
                label: "production".to_owned(),
                prompt: PromptKey::parse("a/b").unwrap(),
                to: "v6".to_owned(),
                end: OverrideEnd::CaughtUp,
            },
        );
        let json = serde_json::to_value(&event).unwrap();
        assert_eq!(json["kind"], "override_ended");
        assert_eq!(json["end"], "caught_up");
        assert_eq!(json["at"], 7);
        let again: AuditEvent = serde_json::from_value(json).unwrap();
        assert_eq!(again, event);
        assert!(Audited::KINDS.contains(&event.what.kind()));
    }
}
