//! Reading Git: commits and trees straight from the object database.
//!
//! Nothing is ever checked out and nothing of a repository is executed: no hooks, no filters, no
//! submodules, no symlinks; configuration outside the repository and the environment are not read.
//!
//! **Invariant**: a [`Repository`] only reads. Whatever is fetched is fetched by somebody else.

mod history;
mod repository;
mod tree;

pub use history::{BlobId, Change, Commit, HistoryReader, Trail};
pub use repository::{CommitId, Repository, blob_id};
pub use tree::{File, Limits, Skipped, Tree};

use crate::domain::Blame;
use std::path::PathBuf;

/// What can go wrong when a repository is read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no repository at or above the path, or it cannot be opened.
    #[error("no Git repository at `{}`: {reason}", path.display())]
    NotARepository {
        /// Where it was looked for.
        path: PathBuf,
        /// The library's words.
        reason: String,
    },
    /// The reference names no commit.
    #[error("Git reference `{reference}` names no commit")]
    UnknownReference {
        /// As it was asked for.
        reference: String,
    },
    /// The commit has no directory at the path.
    #[error("commit {commit} has no directory `{path}`")]
    NoSuchDirectory {
        /// The commit.
        commit: CommitId,
        /// The path below the repository's root.
        path: String,
    },
    /// An object is missing or damaged.
    #[error("object {id} cannot be read: {reason}")]
    Object {
        /// The object's id.
        id: String,
        /// The library's words.
        reason: String,
    },
    /// A shallow clone: the commits before this one are not here.
    #[error("the clone has no history before commit {commit}: it is shallow")]
    ShallowHistory {
        /// The oldest commit that is here.
        commit: CommitId,
    },
    /// The tree has more files than the limit.
    #[error("commit {commit} has more than {limit} files below `{path}`")]
    TooManyFiles {
        /// The commit.
        commit: CommitId,
        /// The directory that was read.
        path: String,
        /// The limit, in files.
        limit: usize,
    },
}

impl Error {
    /// Returns the stable code of the kind of error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::NotARepository { .. } => "git_not_a_repository",
            Self::UnknownReference { .. } => "git_reference_not_found",
            Self::NoSuchDirectory { .. } => "git_directory_not_found",
            Self::Object { .. } => "git_object_unreadable",
            Self::ShallowHistory { .. } => "git_history_shallow",
            Self::TooManyFiles { .. } => "git_too_many_files",
        }
    }

    /// Returns whose fault it is: a reference is a client's choice, the rest is the repository's state.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::UnknownReference { .. } => Blame::Client,
            Self::NotARepository { .. }
            | Self::NoSuchDirectory { .. }
            | Self::Object { .. }
            | Self::ShallowHistory { .. }
            | Self::TooManyFiles { .. } => Blame::Gateway,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotARepository { .. } => {
                Some("name a clone, or a directory inside one".to_owned())
            }
            Self::UnknownReference { .. } => {
                Some("use a branch, a tag or a commit that this clone has".to_owned())
            }
            Self::NoSuchDirectory { .. } => {
                Some("check the path below the repository's root".to_owned())
            }
            Self::Object { .. } => {
                Some("run `git fsck`; a shallow or partial clone lacks objects".to_owned())
            }
            Self::ShallowHistory { .. } => {
                Some("fetch the whole history: `git fetch --unshallow`".to_owned())
            }
            Self::TooManyFiles { .. } => Some("point the source at a smaller directory".to_owned()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::tree::tests::{commit_all, git, repository_with};
}
