//! Why a snapshot cannot be made, found or asked, and whose fault it is.

use crate::domain::{Blame, PicoDollars};
use crate::embeddings;
use crate::embeddings::migrate::MigrateError;
use crate::embeddings::snapshots::import_error::ImportError;
use crate::embeddings::space::SettingChange;
use crate::embeddings::vault::VaultError;
use crate::proxy;
use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why something about snapshots cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name is wrong, or spaces would be mixed.
    #[error(transparent)]
    Room(#[from] embeddings::Error),
    /// The vault failed, or has no such thing.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A call could not be made, or has no answer.
    #[error(transparent)]
    Proxy(#[from] Box<proxy::Error>),
    /// A provider did not answer in time, although it was asked for one text alone.
    #[error("{0}, with one text alone")]
    TooSlow(Box<proxy::Error>),
    /// A migration does not go on.
    #[error(transparent)]
    Migrate(#[from] MigrateError),
    /// Vectors from elsewhere are not taken.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// Something that was said makes no sense.
    #[error("`{what}` {problem}")]
    Invalid {
        /// What.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// What to do.
        hint: Option<String>,
    },
    /// A space or a pipeline is not declared.
    #[error("no {kind} `{name}` is declared")]
    NotDeclared {
        /// `space` or `pipeline`.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is near.
        hint: Option<String>,
    },
    /// Nothing says which model makes the vectors.
    #[error("nothing says which model embeds `{collection}`")]
    NoModel {
        /// The collection.
        collection: String,
    },
    /// Two pipelines would be mixed.
    #[error("`{first}` is cut otherwise than what is added: {}", in_words(changes))]
    PipelineMismatch {
        /// The snapshot.
        first: String,
        /// In what they differ.
        changes: Vec<SettingChange>,
    },
    /// There is no such draft.
    #[error("there is no draft `{id}`")]
    DraftNotFound {
        /// Its id.
        id: String,
    },
    /// A part of a corpus came out of turn.
    #[error(
        "draft `{id}` has {expected} sources, and the next ones were sent as if it had {found}"
    )]
    DraftOffset {
        /// The draft.
        id: String,
        /// How many it has.
        expected: u64,
        /// How many the client thinks it has.
        found: u64,
    },
    /// A draft cannot be changed while its vectors are made.
    #[error("draft `{id}` is being embedded")]
    DraftBusy {
        /// The draft.
        id: String,
    },
    /// A draft did not come whole.
    #[error("draft `{id}` did not come whole")]
    DraftIncomplete {
        /// The draft.
        id: String,
    },
    /// There is nothing to go on with.
    #[error("`{collection}` has no draft to go on with")]
    NothingToResume {
        /// The collection.
        collection: String,
    },
    /// There are several drafts to go on with, or none of that name.
    #[error("it is not clear which draft of `{collection}` is meant")]
    SeveralDrafts {
        /// The collection.
        collection: String,
        /// The drafts, in words.
        choices: Vec<String>,
    },
    /// A limit was set for what has no price.
    #[error("no price is known of `{model}`, so that no limit of cost can be kept")]
    NoPrice {
        /// The model.
        model: String,
    },
    /// A snapshot has no texts that could be embedded again.
    #[error(
        "`{name}` keeps only the hashes of its texts, so that nothing can be embedded again from it"
    )]
    TextsNotKept {
        /// The snapshot.
        name: String,
    },
    /// A text has nothing in it.
    #[error("item `{id}` has no text")]
    EmptyText {
        /// Its id.
        id: String,
    },
    /// Texts are longer than the provider takes.
    #[error(
        "{count} texts are longer than the {limit} tokens that `{model}` takes; the first is item `{first}`"
    )]
    TooLong {
        /// How many.
        count: u64,
        /// The first of them.
        first: String,
        /// The limit.
        limit: u32,
        /// The model.
        model: String,
    },
    /// The money is spent.
    #[error("the limit of {} is reached: {} are spent, {done} of {total} texts are embedded", limit.to_short(), spent.to_short())]
    Budget {
        /// The limit.
        limit: PicoDollars,
        /// What was spent.
        spent: PicoDollars,
        /// How many texts have their vectors.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// It was asked to stop.
    #[error("stopped: {done} of {total} texts are embedded, and kept")]
    Stopped {
        /// How many texts have their vectors.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// A request for `embed:…` does not say which side its texts are on.
    #[error(
        "`{name}` embeds queries otherwise than documents, and the request does not say which these are"
    )]
    SideMissing {
        /// The name.
        name: String,
    },
    /// A request asks for another length than its space has.
    #[error("`dimensions` is {asked}, and `{name}` has vectors of {has}")]
    DimensionsConflict {
        /// The name.
        name: String,
        /// What was asked.
        asked: u64,
        /// What the space says.
        has: String,
    },
    /// Tokens came where a prefix is to be written before a text.
    #[error("`{name}` writes a prefix before every text, which cannot be done before tokens")]
    TokensWithPrefix {
        /// The name.
        name: String,
    },
    /// The caller's key does not allow the name.
    #[error("the key may not use model `{name}`")]
    Forbidden {
        /// The name.
        name: String,
    },
    /// A file could not be used.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// Another index is being built.
    #[error("another index is being built")]
    IndexBusy,
    /// What is kept of monitors and canaries, or the records they read, cannot be used.
    #[error("what is kept of drift: {problem}")]
    Kept {
        /// What is wrong.
        problem: String,
    },
    /// There is no such monitor.
    #[error("there is no monitor `{name}`")]
    NoMonitor {
        /// Its name.
        name: String,
        /// Those there are.
        choices: Vec<String>,
    },
    /// A monitor cannot look now.
    #[error("monitor `{name}` cannot look yet: {problem}")]
    NotYet {
        /// The monitor.
        name: String,
        /// What is missing.
        problem: String,
        /// What to do.
        hint: String,
    },
    /// There is no such canary.
    #[error("there is no canary `{name}`")]
    NoCanary {
        /// Its name.
        name: String,
        /// Those there are.
        choices: Vec<String>,
    },
    /// A canary is being worked on.
    #[error("canary `{name}` is at work")]
    CanaryBusy {
        /// The canary.
        name: String,
    },
    /// What a snapshot that was made for somebody else ended with.
    #[error("texts could not be embedded: {}", .0.message)]
    Told(Told),
    /// An answer took too long.
    #[error("the new version did not answer within {} s", waited.as_secs())]
    Late {
        /// How long it was waited for.
        waited: Duration,
    },
    /// The process stops.
    #[error("the gateway is stopping")]
    Stopping,
}

/// An error as it is told to who follows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The stable code.
    pub code: String,
    /// In words.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

fn in_words(changes: &[SettingChange]) -> String {
    let words = changes
        .iter()
        .map(|change| format!("{}: {} -> {}", change.setting, change.before, change.after));
    words.collect::<Vec<_>>().join("; ")
}

impl Error {
    /// Something that was said makes no sense.
    pub(crate) fn invalid(what: &str, problem: impl Into<String>, hint: Option<&str>) -> Self {
        Self::Invalid {
            what: what.to_owned(),
            problem: problem.into(),
            hint: hint.map(str::to_owned),
        }
    }

    /// Returns a closure for `map_err` that says what was tried with which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// Returns the error as it is told.
    #[must_use]
    pub fn told(&self) -> Told {
        Told {
            code: self.kind().to_owned(),
            message: self.to_string(),
            hint: self.hint(),
        }
    }

    /// Returns the stable code of the error.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Room(error) => error.kind(),
            Self::Vault(error) => error.kind(),
            Self::Proxy(error) | Self::TooSlow(error) => error.kind(),
            Self::Import(error) => error.kind(),
            Self::Migrate(error) => error.kind(),
            Self::Invalid { .. } | Self::TokensWithPrefix { .. } => "invalid_request",
            Self::NotDeclared { .. } => "embedding_not_declared",
            Self::NoModel { .. } => "missing_model",
            Self::PipelineMismatch { .. } => "embedding_pipeline_mismatch",
            Self::DraftNotFound { .. } => "draft_not_found",
            Self::DraftOffset { .. } => "draft_out_of_turn",
            Self::DraftBusy { .. } => "draft_busy",
            Self::DraftIncomplete { .. } => "draft_incomplete",
            Self::NothingToResume { .. } => "nothing_to_resume",
            Self::SeveralDrafts { .. } => "draft_ambiguous",
            Self::NoPrice { .. } => "price_unknown",
            Self::TextsNotKept { .. } => "texts_not_kept",
            Self::EmptyText { .. } => "text_empty",
            Self::TooLong { .. } => "text_too_long",
            Self::Budget { .. } => "budget_exceeded",
            Self::Stopped { .. } => "stopped",
            Self::SideMissing { .. } => "embedding_side_missing",
            Self::DimensionsConflict { .. } => "embedding_dimensions_conflict",
            Self::Forbidden { .. } => "model_forbidden",
            Self::Io { .. } => "embeddings_io",
            Self::IndexBusy => "embeddings_busy",
            Self::Told(_) => "not_embedded",
            Self::Kept { .. } => "drift_state",
            Self::NoMonitor { .. } => "monitor_not_found",
            Self::NotYet { .. } => "drift_not_yet",
            Self::Late { .. } => "timeout",
            Self::NoCanary { .. } => "canary_not_found",
            Self::CanaryBusy { .. } => "canary_busy",
            Self::Stopping => "shutting_down",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self {
            Self::Room(error) => error.blame(),
            Self::Vault(error) => error.blame(),
            Self::Proxy(error) | Self::TooSlow(error) => error.blame(),
            Self::Migrate(error) => error.blame(),
            Self::Late { .. } => Blame::Provider,
            Self::Io { .. } | Self::Kept { .. } | Self::Stopping => Blame::Gateway,
            _ => Blame::Client,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Room(error) => error.hint(),
            Self::Vault(error) => error.hint(),
            Self::Proxy(error) => error.hint(),
            Self::Migrate(error) => error.hint(),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::NotDeclared { kind, name, hint } => {
                let usual = || format!("declare it in embeddings.toml: `[{kind}s.{name}]`");
                hint.clone().or_else(|| Some(usual()))
            }
            Self::NoModel { collection } => Some(format!(
                "say `--model openai/text-embedding-3-small`, or declare `[collections.{collection}]` with a `space` in embeddings.toml"
            )),
            Self::Told(told) => told.hint.clone(),
            Self::SeveralDrafts { choices, .. } => Some(format!(
                "say which: `--resume=DRAFT`; there are: {}",
                choices.join(", ")
            )),
            Self::NoMonitor { choices, .. } | Self::NoCanary { choices, .. }
                if !choices.is_empty() =>
            {
                Some(format!("there are: {}", choices.join(", ")))
            }
            other => other.plain_hint().map(str::to_owned),
        }
    }

    /// What to do where that is always the same.
    fn plain_hint(&self) -> Option<&str> {
        Some(match self {
            Self::Import(error) => error.hint(),
            Self::PipelineMismatch { .. } => {
                "make a new snapshot of the whole corpus, or add with the same chunker"
            }
            Self::DraftNotFound { .. }
            | Self::DraftOffset { .. }
            | Self::DraftIncomplete { .. } => {
                "run the same `snapshot create` again; what was embedded is not paid twice"
            }
            Self::DraftBusy { .. } => "wait for it; the same `snapshot create` shows how far it is",
            Self::NothingToResume { .. } => "say which corpus: `--from FILE`",
            Self::NoPrice { .. } => {
                "add `[[prices.override]]` to promptgate.toml, or leave `--max-cost` out"
            }
            Self::TextsNotKept { .. } => {
                "plan it from the corpus: `promptgate embeddings snapshot create … --from FILE --dry-run`"
            }
            Self::EmptyText { .. } => "give it a text, leave it out, or say `--skip-empty`",
            Self::TooLong { .. } => {
                "cut the corpus: `--chunker tokens --size 512`, or leave these out"
            }
            Self::Budget { .. } => {
                "the same command with a larger `--max-cost` goes on; what is embedded is kept"
            }
            Self::Stopped { .. } => "the same command goes on; what is embedded is not paid twice",
            Self::SideMissing { .. } => "send `\"input_type\": \"query\"` or `\"document\"`",
            Self::DimensionsConflict { .. } => {
                "leave `dimensions` out: the name decides it; another length is another space"
            }
            Self::TokensWithPrefix { .. } => "send texts in place of tokens",
            Self::Forbidden { .. } => "ask for a key with a wider `--model` scope",
            Self::TooSlow(_) => {
                "give the provider longer (`[providers.NAME.deadlines]` in promptgate.toml: `first_byte`, `total`), or cut the texts smaller; what is embedded is kept"
            }
            Self::IndexBusy => "try again when it is done",
            Self::NoMonitor { .. } => {
                "begin one: `promptgate embeddings drift start NAME --prompt PROMPT --model MODEL`"
            }
            Self::NoCanary { .. } => {
                "begin one: `promptgate embeddings canary start NAME --snapshot SNAPSHOT`"
            }
            Self::CanaryBusy { .. } => "ask again when that is done",
            Self::NotYet { hint, .. } => hint,
            _ => return None,
        })
    }

    /// Returns the request's field that is at fault.
    #[must_use]
    pub fn param(&self) -> Option<String> {
        match self {
            Self::Proxy(error) => error.param(),
            Self::Invalid { what, .. } => Some(what.clone()),
            Self::SideMissing { .. } => Some("input_type".to_owned()),
            Self::DimensionsConflict { .. } => Some("dimensions".to_owned()),
            Self::TokensWithPrefix { .. } => Some("input".to_owned()),
            Self::Forbidden { .. } | Self::NoModel { .. } => Some("model".to_owned()),
            _ => None,
        }
    }
}
