//! Why a migration does not go on, and whose fault it is.

use crate::domain::Blame;
use crate::embeddings::migrate::{State, Verb};
use std::time::Duration;

/// Why something about a migration cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The collection has no migration.
    #[error("`{collection}` has no migration")]
    NotFound {
        /// The collection.
        collection: String,
    },
    /// Another migration of the collection is under way.
    #[error("`{collection}` is being migrated to `{model}` already (`{id}`, {state})")]
    Open {
        /// The collection.
        collection: String,
        /// The migration.
        id: String,
        /// To which model.
        model: String,
        /// How far it is.
        state: State,
    },
    /// The verb does not lead on from the state.
    #[error("`{verb}` does not lead on from `{state}`{}", if *is_paused { ", which is paused" } else { "" })]
    Transition {
        /// What was wanted.
        verb: Verb,
        /// Where the migration is.
        state: State,
        /// Whether it is paused.
        is_paused: bool,
        /// Whether both versions are written after the cut-over.
        is_dual: bool,
    },
    /// Somebody else took a step meanwhile.
    #[error("the migration of `{collection}` went on meanwhile")]
    WentOn {
        /// The collection.
        collection: String,
    },
    /// The new version has not all vectors.
    #[error("{missing} of the {total} texts of `{base}` have no vector of the new version yet")]
    Missing {
        /// How many.
        missing: u64,
        /// Of how many different texts.
        total: u64,
        /// The snapshot whose texts they are.
        base: String,
    },
    /// Somebody else asks for texts, and has no answer yet.
    #[error("{texts} of the texts are being asked for elsewhere, and no answer came within {} s", waited.as_secs())]
    Awaited {
        /// How many.
        texts: u64,
        /// How long they were waited for.
        waited: Duration,
    },
    /// The comparison does not say what was asked for.
    #[error("the gates of `{snapshot}` are not met: {}", failed.join("; "))]
    Gates {
        /// The snapshot of the new version, which was made.
        snapshot: String,
        /// The gates with their reasons.
        failed: Vec<String>,
    },
    /// The old model answers no more.
    #[error("the old model `{model}` cannot be asked: {problem}")]
    Retired {
        /// The model.
        model: String,
        /// Why.
        problem: String,
    },
    /// Both versions are one.
    #[error("`{snapshot}` is in the space of `{model}` already")]
    SameSpace {
        /// The snapshot.
        snapshot: String,
        /// The model.
        model: String,
    },
    /// The texts are not kept.
    #[error("`{snapshot}` keeps no texts, so that nothing can be embedded anew")]
    NoTexts {
        /// The snapshot.
        snapshot: String,
    },
}

impl MigrateError {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "migration_not_found",
            Self::Open { .. } => "migration_open",
            Self::Transition { .. } | Self::WentOn { .. } => "migration_state",
            Self::Missing { .. } => "vectors_missing",
            Self::Awaited { .. } => "texts_awaited",
            Self::Gates { .. } => "gates_not_met",
            Self::Retired { .. } => "old_model_retired",
            Self::SameSpace { .. } => "embedding_space_same",
            Self::NoTexts { .. } => "texts_not_kept",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Retired { .. } | Self::Awaited { .. } => Blame::Provider,
            _ => Blame::Client,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotFound { collection } => {
                return Some(format!(
                    "begin one: `promptgate embeddings migrate start {collection} --to-model MODEL`"
                ));
            }
            Self::Open { collection, .. } => {
                return Some(format!(
                    "`migrate status {collection}` shows it; `migrate rollback {collection}` ends it"
                ));
            }
            Self::Transition {
                is_paused: true, ..
            } => "`migrate resume` lets it go on",
            Self::Transition { state, is_dual, .. } => {
                return Some(match state.next_verbs(*is_dual) {
                    [] => "it is over; `migrate start` begins another".to_owned(),
                    next => format!("from here: `{}`", next.join("`, `")),
                });
            }
            Self::WentOn { collection } => {
                return Some(format!("see `migrate status {collection}`"));
            }
            Self::Missing { .. } => {
                "`migrate backfill` makes them; not even `--force` serves without"
            }
            Self::Awaited { .. } => {
                "`migrate status` says how the background stands; `migrate pause` stops it"
            }
            Self::Gates { .. } => {
                "the snapshot is kept and not served; `--force` serves it all the same"
            }
            Self::Retired { .. } => {
                "queries cannot be embedded in the old space any more: fit an adapter between the two versions (`promptgate embeddings adapter fit`)"
            }
            Self::SameSpace { .. } => "name another model, or other dimensions: `--to-model MODEL`",
            Self::NoTexts { .. } => {
                "make a snapshot with the new model from the corpus: `snapshot create --from FILE`"
            }
        };
        Some(hint.to_owned())
    }
}
