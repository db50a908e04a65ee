//! What can go wrong with embeddings, and whose fault it is.

use crate::domain::Blame;
use crate::embeddings::adapters::AdapterError;
use crate::embeddings::compare::CompareError;
use crate::embeddings::space::SettingChange;
use crate::embeddings::vault::VaultError;

/// Why something about embeddings cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A collection cannot be called that.
    #[error("`{name}` is no name of a collection")]
    InvalidName {
        /// What was written.
        name: String,
    },
    /// The part behind `@` says nothing.
    #[error("`{name}` names no snapshot")]
    InvalidSelector {
        /// What was written.
        name: String,
    },
    /// Vectors of two spaces would be mixed.
    #[error(
        "`{first}` and `{second}` are in different embedding spaces: {}",
        in_words(changes)
    )]
    SpaceMismatch {
        /// The one side, as it was named.
        first: String,
        /// The other.
        second: String,
        /// In what the spaces differ.
        changes: Vec<SettingChange>,
    },
    /// Two snapshots cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// A row was asked for that is not there.
    #[error("there is no row {row}")]
    NoSuchRow {
        /// Its number, from 0.
        row: usize,
    },
    /// Where vectors are kept, something failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// An adapter cannot be made or used.
    #[error(transparent)]
    Adapter(#[from] AdapterError),
    /// A search cannot be done.
    #[error(transparent)]
    Search(#[from] crate::embeddings::search::Error),
    /// A file of vectors cannot be read or written.
    #[error(transparent)]
    Exchange(#[from] crate::embeddings::exchange::Error),
}

/// `model: "a" -> "b"; dimensions: null -> 256`.
fn in_words(changes: &[SettingChange]) -> String {
    let words = changes
        .iter()
        .map(|change| format!("{}: {} -> {}", change.setting, change.before, change.after));
    words.collect::<Vec<_>>().join("; ")
}

impl Error {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Compare(error) => error.kind(),
            Self::InvalidName { .. } | Self::InvalidSelector { .. } => "invalid_request",
            Self::SpaceMismatch { .. } => "embedding_space_mismatch",
            Self::NoSuchRow { .. } => "internal_error",
            Self::Vault(error) => error.kind(),
            Self::Adapter(error) => error.kind(),
            Self::Search(error) => error.kind(),
            Self::Exchange(error) => error.kind(),
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Compare(error) => error.blame(),
            Self::InvalidName { .. }
            | Self::InvalidSelector { .. }
            | Self::SpaceMismatch { .. } => Blame::Client,
            Self::NoSuchRow { .. } => Blame::Gateway,
            Self::Vault(error) => error.blame(),
            Self::Adapter(error) => error.blame(),
            Self::Search(error) => error.blame(),
            Self::Exchange(error) => error.blame(),
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Compare(error) => error.hint(),
            Self::InvalidName { .. } => Some(
                "use letters, digits, `-`, `_` and `.`, in parts divided by `/`".to_owned(),
            ),
            Self::InvalidSelector { .. } => Some(
                "write `docs@2`, `docs@latest`, `docs@production` or `docs@snap-4f2a91`".to_owned(),
            ),
            Self::SpaceMismatch { .. } => Some(
                "search each in its own space, or fit an adapter (`promptgate embeddings adapter fit`)"
                    .to_owned(),
            ),
            Self::NoSuchRow { .. } => None,
            Self::Vault(error) => error.hint(),
            Self::Adapter(error) => error.hint(),
            Self::Search(error) => error.hint(),
            Self::Exchange(error) => error.hint(),
        }
    }
}
