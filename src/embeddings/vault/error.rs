//! What can go wrong where vectors are kept, and whose fault it is.

use crate::domain::Blame;
use crate::embeddings::name::{SnapshotId, SnapshotName};
use crate::embeddings::vault::Precision;
use crate::store;
use std::io;
use std::path::{Path, PathBuf};

/// Why the vault cannot do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// The operating system refused something.
    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On which file.
        path: PathBuf,
        /// The operating system's answer.
        source: io::Error,
    },
    /// A file is damaged.
    #[error("`{}` is damaged {place}: {problem}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it: `in its header`, `in the block at byte 128`.
        place: String,
        /// What is wrong there.
        problem: String,
    },
    /// A file was written by a newer program.
    #[error("`{}` has format {found}, this program knows formats up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// A vector has a value that is no number, or an infinite one.
    #[error("vector {row} has {value} in dimension {dimension}; only finite numbers are kept")]
    NotFinite {
        /// Which of the given vectors, from 0.
        row: usize,
        /// Which of its values, from 0.
        dimension: usize,
        /// The value.
        value: f32,
    },
    /// A vector cannot be kept as exactly as the precision promises.
    #[error("vector {row} cannot be kept as {precision}: {problem}")]
    NotRepresentable {
        /// Which of the given vectors, from 0.
        row: usize,
        /// The precision that was asked for.
        precision: Precision,
        /// Why not.
        problem: String,
    },
    /// A vector is of another length than its space's.
    #[error(
        "a vector of {found} dimensions does not belong to `{space}`, whose vectors have {expected}"
    )]
    Dimensions {
        /// The space, as people write it.
        space: String,
        /// How long its vectors are.
        expected: usize,
        /// How long the vector is.
        found: usize,
    },
    /// A snapshot needs vectors that are not kept.
    #[error(
        "{missing} of the snapshot's vectors are not kept; the first is that of item `{first}`"
    )]
    MissingVectors {
        /// How many.
        missing: usize,
        /// The first item without one.
        first: String,
    },
    /// A collection cannot be called that.
    #[error("`{name}` is no name of a collection")]
    InvalidCollection {
        /// What was given.
        name: String,
    },
    /// Something is not the name of a space.
    #[error("`{name}` is no name of an embedding version")]
    InvalidSpace {
        /// What was given.
        name: String,
    },
    /// Two items of a snapshot have the same id.
    #[error("the id `{id}` is given to more than one item")]
    DuplicateItem {
        /// The id.
        id: String,
    },
    /// A snapshot would hold nothing.
    #[error("a snapshot of `{collection}` would have no items")]
    Empty {
        /// The collection.
        collection: String,
    },
    /// A name leads to no snapshot.
    #[error("there is no snapshot `{name}`")]
    NoSuchSnapshot {
        /// The name.
        name: SnapshotName,
        /// What the collection has instead.
        choices: Vec<String>,
    },
    /// A label leads to no snapshot.
    #[error("the label `{label}` leads to `{target}`, and there is no such snapshot")]
    NoTarget {
        /// The label, with its collection: `docs@production`.
        label: String,
        /// Where it leads: `docs@9`.
        target: String,
        /// What the collection has instead.
        choices: Vec<String>,
    },
    /// An identity leads to no snapshot.
    #[error("there is no snapshot `{id}`")]
    NoSuchId {
        /// The identity.
        id: SnapshotId,
    },
    /// The beginning of an identity leads to more than one snapshot.
    #[error("`{name}` is the beginning of {count} snapshots' identities")]
    AmbiguousId {
        /// The name.
        name: SnapshotName,
        /// How many begin so.
        count: usize,
    },
    /// An item is in none of the snapshots.
    #[error("no item `{id}` is in the given snapshots")]
    NoSuchItem {
        /// Its id.
        id: String,
    },
    /// More would be kept than the format counts.
    #[error("{what} are more than a snapshot holds")]
    TooMany {
        /// Of what.
        what: &'static str,
    },
    /// Garbage is being collected already, or something else that must be done alone.
    #[error("the vault is cleaned by another request")]
    Busy,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl VaultError {
    /// Returns a closure for `map_err` that says what was tried with which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// Returns that a file is damaged somewhere.
    pub(in crate::embeddings) fn damaged(
        path: &Path,
        place: impl Into<String>,
        problem: impl Into<String>,
    ) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            place: place.into(),
            problem: problem.into(),
        }
    }

    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Io { .. } => "embeddings_io",
            Self::Damaged { .. } => "embeddings_damaged",
            Self::NewerFormat { .. } => "embeddings_format_newer",
            Self::NotFinite { .. } => "vector_not_finite",
            Self::NotRepresentable { .. } => "vector_not_representable",
            Self::Dimensions { .. } => "vector_dimensions",
            Self::MissingVectors { .. } => "vectors_missing",
            Self::InvalidCollection { .. } | Self::InvalidSpace { .. } => "invalid_request",
            Self::DuplicateItem { .. } => "item_duplicate",
            Self::Empty { .. } => "snapshot_empty",
            Self::NoSuchSnapshot { .. } | Self::NoTarget { .. } | Self::NoSuchId { .. } => {
                "snapshot_not_found"
            }
            Self::AmbiguousId { .. } => "snapshot_ambiguous",
            Self::NoSuchItem { .. } => "item_not_found",
            Self::TooMany { .. } => "snapshot_too_large",
            Self::Busy => "embeddings_busy",
            Self::Store(error) => error.kind(),
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Io { .. } | Self::Damaged { .. } | Self::NewerFormat { .. } => Blame::Gateway,
            // A model that answers with such a vector is the provider's.
            Self::NotFinite { .. } | Self::Dimensions { .. } => Blame::Provider,
            Self::NotRepresentable { .. }
            | Self::MissingVectors { .. }
            | Self::InvalidCollection { .. }
            | Self::InvalidSpace { .. }
            | Self::DuplicateItem { .. }
            | Self::Empty { .. }
            | Self::NoSuchSnapshot { .. }
            | Self::NoTarget { .. }
            | Self::NoSuchId { .. }
            | Self::AmbiguousId { .. }
            | Self::NoSuchItem { .. }
            | Self::TooMany { .. }
            | Self::Busy => Blame::Client,
            Self::Store(error) => error.blame(),
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Damaged { .. } => {
                "run `promptgate embeddings snapshot verify`; restore the file from a backup, or move it away and embed its texts again"
            }
            Self::NewerFormat { .. } => "start the newer promptgate, or restore an older backup",
            Self::NotRepresentable { .. } => "keep such vectors whole: `--precision f32`",
            Self::Dimensions { .. } => {
                "the model or its `dimensions` has changed: give the space a `revision` of its own"
            }
            Self::MissingVectors { .. } => {
                "create the snapshot again; what is missing is embedded then"
            }
            Self::InvalidCollection { .. } => {
                "use letters, digits, `-`, `_` and `.`, in parts divided by `/`"
            }
            Self::DuplicateItem { .. } => "give every item an id of its own",
            Self::NoTarget { label, choices, .. } => {
                let collection = label.split('@').next().unwrap_or_default();
                let mut hint =
                    format!("mend `labels` of `[collections.{collection}]` in embeddings.toml");
                if !choices.is_empty() {
                    hint = format!("{hint}; there are {}", choices.join(", "));
                }
                return Some(hint);
            }
            Self::NoSuchSnapshot { choices, .. } if !choices.is_empty() => {
                return Some(format!("there are {}", choices.join(", ")));
            }
            Self::NoSuchSnapshot { .. } | Self::NoSuchId { .. } => {
                "see `promptgate embeddings snapshot list`"
            }
            Self::AmbiguousId { .. } => "give more digits",
            Self::Busy => "try again when it is done",
            // The vault's table is made from its segments, not from the journal.
            Self::Store(store::Error::Sled { .. }) => "run `promptgate embeddings store rebuild`",
            Self::Store(error) => return error.hint(),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
