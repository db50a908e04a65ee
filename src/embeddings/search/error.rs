//! Why a search cannot be done.

use crate::domain::Blame;

/// What can go wrong with a search.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Queries and rows are of different lengths.
    #[error("a query of {query} dimensions cannot be compared with rows of {base}")]
    Dimensions {
        /// How long a query is.
        query: usize,
        /// How long a row is.
        base: usize,
    },
    /// A thread of the search stopped in the middle.
    #[error("a thread of the search stopped in the middle")]
    Stopped,
}

impl Error {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dimensions { .. } => "embedding_dimensions_mismatch",
            Self::Stopped => "internal_error",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Dimensions { .. } => Blame::Client,
            Self::Stopped => Blame::Gateway,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Dimensions { .. } => {
                Some("embed the query with the space of the snapshot it is for".to_owned())
            }
            Self::Stopped => None,
        }
    }
}
