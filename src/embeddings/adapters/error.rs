//! Why an adapter cannot be fitted, kept or used.

use crate::domain::Blame;
use std::io;
use std::path::{Path, PathBuf};

/// Why something with an adapter cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum AdapterError {
    /// Both sides are of one space.
    #[error("`{first}` and `{second}` are in one embedding space: there is nothing to adapt")]
    SameSpace {
        /// The one snapshot.
        first: String,
        /// The other.
        second: String,
    },
    /// There are too few texts that both sides have.
    #[error(
        "`{first}` and `{second}` have {found} texts in common to fit on (every fifth is held out to judge by), and between these models it takes {least}"
    )]
    TooFewPairs {
        /// The one snapshot.
        first: String,
        /// The other.
        second: String,
        /// How many there are.
        found: usize,
        /// How many it takes.
        least: usize,
    },
    /// There are too few queries to judge by.
    #[error("{found} queries are there to judge by, and it takes {least}")]
    TooFewQueries {
        /// How many there are.
        found: usize,
        /// How many it takes.
        least: usize,
    },
    /// The numbers give no map.
    #[error("no map can be fitted on these {pairs} pairs")]
    Unfit {
        /// How many there are.
        pairs: usize,
    },
    /// Vectors came that are on the side it maps to.
    #[error(
        "`{adapter}` maps from {from} to {to}, and the vectors of `{given}` are of {to} already"
    )]
    WrongDirection {
        /// The adapter.
        adapter: String,
        /// The space it maps from.
        from: String,
        /// The space it maps to.
        to: String,
        /// What was given.
        given: String,
    },
    /// Vectors are not as long as the map takes them.
    #[error("`{adapter}` maps {needed} dimensions, and the vectors of `{given}` have {found}")]
    Dimensions {
        /// The adapter.
        adapter: String,
        /// What was given.
        given: String,
        /// How many there are.
        found: usize,
        /// How many it maps.
        needed: usize,
    },
    /// It cannot be called that.
    #[error("`{name}` is no name of an adapter")]
    InvalidName {
        /// What was written.
        name: String,
    },
    /// There is none of that name.
    #[error("there is no adapter `{name}`")]
    NotFound {
        /// The name.
        name: String,
        /// Those there are.
        choices: Vec<String>,
    },
    /// The name is the beginning of several.
    #[error("`{name}` is the beginning of {count} adapters' names")]
    Ambiguous {
        /// The name.
        name: String,
        /// How many.
        count: usize,
    },
    /// Snapshots have vectors that it made.
    #[error("`{adapter}` made the vectors of {}", snapshots.join(", "))]
    InUse {
        /// The adapter.
        adapter: String,
        /// The snapshots.
        snapshots: Vec<String>,
    },
    /// A file is not what was written.
    #[error("`{}` is damaged: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file is from a later version of this program.
    #[error("`{}` has format {found}, this program knows formats up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest that is known.
        known: u32,
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
}

impl AdapterError {
    /// Returns a closure for `map_err` that says what was tried with which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// Says that a file is not what was written.
    pub(super) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }

    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::SameSpace { .. } => "adapter_spaces_equal",
            Self::TooFewPairs { .. } => "adapter_too_few_pairs",
            Self::TooFewQueries { .. } => "adapter_too_few_queries",
            Self::Unfit { .. } => "adapter_unfit",
            Self::WrongDirection { .. } => "adapter_wrong_direction",
            Self::Dimensions { .. } => "embedding_dimensions_conflict",
            Self::InvalidName { .. } => "invalid_request",
            Self::NotFound { .. } | Self::Ambiguous { .. } => "adapter_not_found",
            Self::InUse { .. } => "adapter_in_use",
            Self::Damaged { .. } | Self::NewerFormat { .. } => "adapter_damaged",
            Self::Io { .. } => "embeddings_io",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Damaged { .. } | Self::NewerFormat { .. } | Self::Io { .. } => Blame::Gateway,
            Self::SameSpace { .. }
            | Self::TooFewPairs { .. }
            | Self::TooFewQueries { .. }
            | Self::Unfit { .. }
            | Self::WrongDirection { .. }
            | Self::Dimensions { .. }
            | Self::InvalidName { .. }
            | Self::NotFound { .. }
            | Self::Ambiguous { .. }
            | Self::InUse { .. } => Blame::Client,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::SameSpace { .. } => "name a snapshot of the old model and one of the new model",
            Self::TooFewPairs { .. } => {
                "embed more texts of the old snapshot with the new model; pairs are items with the same id and text in both"
            }
            Self::TooFewQueries { .. } => {
                "give more queries (where some have labels, only those count), or leave `--queries` out: texts that are held out judge then"
            }
            Self::Unfit { .. } => {
                "see whether the vectors of both snapshots differ at all, and try another `--kind`"
            }
            Self::WrongDirection { .. } => {
                "name a snapshot of the side it maps from (`adapter eval` takes the old one first), or fit the other direction with `--maps`"
            }
            Self::Dimensions { .. } => "fit the adapter again with these vectors",
            Self::InvalidName { .. } | Self::Ambiguous { .. } => {
                "write `adapter-` and at least 6 hex digits, as `adapter list` shows them"
            }
            Self::NotFound { choices, .. } if !choices.is_empty() => {
                return Some(format!("there are {}", choices.join(", ")));
            }
            Self::NotFound { .. } => "fit one: `promptgate embeddings adapter fit OLD NEW`",
            Self::InUse { .. } => "searches in them need it: it stays as long as they do",
            Self::Damaged { .. } => {
                "remove it with `promptgate embeddings adapter delete`, and fit it again"
            }
            Self::NewerFormat { .. } => {
                "use the version of promptgate that wrote it, or a later one"
            }
            Self::Io { .. } => return None,
        };
        Some(hint.to_owned())
    }
}
