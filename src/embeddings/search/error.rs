//! Why a search cannot be done.

use crate::domain::Blame;
use std::io;
use std::path::PathBuf;

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
    /// A thread of the search, or the making of an index, stopped in the middle.
    #[error("the search, or the making of its index, stopped in the middle")]
    Stopped,
    /// The file of an index cannot be read or written.
    #[error("the index `{}` cannot be read or written: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file of an index is not what was written.
    #[error("the index `{}` is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The index is one of other rows.
    #[error("the index `{}` is not one of `{wanted}`, but of `{found}`", path.display())]
    OtherRows {
        /// Which file.
        path: PathBuf,
        /// The snapshot that is searched.
        wanted: String,
        /// The snapshot the index is of.
        found: String,
    },
}

impl Error {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dimensions { .. } => "embedding_dimensions_mismatch",
            Self::Stopped | Self::File { .. } => "internal_error",
            Self::Damaged { .. } | Self::OtherRows { .. } => "embedding_index_unusable",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Dimensions { .. } => Blame::Client,
            Self::Stopped | Self::File { .. } | Self::Damaged { .. } | Self::OtherRows { .. } => {
                Blame::Gateway
            }
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Dimensions { .. } => {
                Some("embed the query with the space of the snapshot it is for".to_owned())
            }
            Self::Damaged { .. } | Self::OtherRows { .. } => {
                Some("delete the file: an index can always be made anew".to_owned())
            }
            Self::Stopped | Self::File { .. } => None,
        }
    }
}
