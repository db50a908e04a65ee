//! Why two snapshots cannot be compared, and what is wrong with what they were to be compared by.

use crate::domain::Blame;

/// Why a comparison cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// There is nothing that both have.
    #[error("`{a}` and `{b}` have nothing in common that could be compared: {reason}")]
    NothingInCommon {
        /// The name of the one.
        a: String,
        /// The name of the other.
        b: String,
        /// What was found instead.
        reason: String,
    },
    /// Other chunks can be compared only through queries.
    #[error(
        "`{a}` and `{b}` were chunked differently, and there are no queries to compare them by"
    )]
    ChunksNeedQueries {
        /// The name of the one.
        a: String,
        /// The name of the other.
        b: String,
    },
    /// Two things that belong together have different sizes.
    #[error("`{name}` has {found} {of} where {expected} are needed")]
    WrongSize {
        /// Of which snapshot, or which list.
        name: String,
        /// What was counted.
        of: &'static str,
        /// How many there are.
        found: usize,
        /// How many there must be.
        expected: usize,
    },
    /// A setting of the comparison makes no sense.
    #[error("`{setting}` cannot be {value}")]
    InvalidSetting {
        /// Its name.
        setting: &'static str,
        /// What was given.
        value: String,
    },
    /// A gate cannot be read.
    #[error("`{gate}` is no gate: {reason}")]
    InvalidGate {
        /// As it was written.
        gate: String,
        /// What is wrong.
        reason: String,
        /// What was probably meant.
        suggestion: Option<String>,
    },
    /// A line of queries or labels cannot be read.
    #[error("line {line} of the {file}: {reason}")]
    InvalidLine {
        /// `queries`, `labels`.
        file: &'static str,
        /// Its number, from 1.
        line: usize,
        /// What is wrong.
        reason: String,
        /// What to write instead.
        cure: &'static str,
    },
    /// Nobody waits for the answer any more.
    #[error("the comparison was stopped")]
    Stopped,
}

impl CompareError {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NothingInCommon { .. } | Self::ChunksNeedQueries { .. } => "nothing_to_compare",
            Self::WrongSize { .. } | Self::InvalidSetting { .. } => "invalid_request",
            Self::InvalidGate { .. } => "invalid_gate",
            Self::InvalidLine { .. } => "invalid_queries",
            Self::Stopped => "stopped",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::NothingInCommon { .. }
            | Self::ChunksNeedQueries { .. }
            | Self::WrongSize { .. }
            | Self::InvalidSetting { .. }
            | Self::InvalidGate { .. }
            | Self::InvalidLine { .. }
            | Self::Stopped => Blame::Client,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NothingInCommon { .. } => Some(
                "compare snapshots of the same items, or of chunks that keep where they stand in their sources"
                    .to_owned(),
            ),
            Self::ChunksNeedQueries { .. } => {
                Some("give queries: `--queries queries.jsonl`".to_owned())
            }
            Self::InvalidGate { suggestion, .. } => suggestion.clone(),
            Self::InvalidLine { cure, .. } => Some((*cure).to_owned()),
            Self::WrongSize { .. } | Self::InvalidSetting { .. } | Self::Stopped => None,
        }
    }
}
