//! What can go wrong when a repository is read or fetched.

use crate::domain::Blame;
use crate::git::CommitId;
use std::path::PathBuf;

/// Why a remote gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RemoteFault {
    /// It cannot be reached, or broke off.
    Unreachable,
    /// It wants other credentials.
    Refused,
    /// It did not answer in time.
    TooSlow,
    /// It sent more than may be received.
    TooLarge,
    /// It sent what cannot be taken.
    Unusable,
}

/// What can go wrong when a repository is read or fetched.
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
    /// The files are larger, all together, than the limit.
    #[error("commit {commit} has more than {limit} bytes in files below `{path}`")]
    TreeTooLarge {
        /// The commit.
        commit: CommitId,
        /// The directory that was read.
        path: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The remote gave nothing.
    #[error("`{url}` {}: {reason}", fault.as_str())]
    Remote {
        /// The remote, without credentials.
        url: String,
        /// What is wrong, as a kind.
        fault: RemoteFault,
        /// What is wrong, in words of the library or of `ssh`, without credentials.
        reason: String,
    },
    /// The copy of a remote cannot be written.
    #[error("the copy of the repository at `{}` cannot be written: {reason}", path.display())]
    Mirror {
        /// Where it is.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The bytes are no bundle that fits the repository.
    #[error("the Git bundle cannot be taken: {reason}")]
    Bundle {
        /// What is wrong with it.
        reason: String,
    },
}

impl RemoteFault {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Unreachable => "cannot be reached",
            Self::Refused => "wants other credentials",
            Self::TooSlow => "did not answer in time",
            Self::TooLarge => "sends more than may be received",
            Self::Unusable => "sent what cannot be used",
        }
    }
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
            Self::TreeTooLarge { .. } => "git_tree_too_large",
            Self::Remote { fault, .. } => match fault {
                RemoteFault::Unreachable => "git_remote_unreachable",
                RemoteFault::Refused => "git_remote_refused",
                RemoteFault::TooSlow => "git_remote_too_slow",
                RemoteFault::TooLarge => "git_remote_too_large",
                RemoteFault::Unusable => "git_remote_unusable",
            },
            Self::Mirror { .. } => "git_mirror_unwritable",
            Self::Bundle { .. } => "git_bundle_invalid",
        }
    }

    /// Returns whose fault it is: a reference or a bundle is a client's choice, the rest is the
    /// repository's state.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::UnknownReference { .. } | Self::Bundle { .. } => Blame::Client,
            Self::NotARepository { .. }
            | Self::NoSuchDirectory { .. }
            | Self::Object { .. }
            | Self::ShallowHistory { .. }
            | Self::TooManyFiles { .. }
            | Self::TreeTooLarge { .. }
            | Self::Remote { .. }
            | Self::Mirror { .. } => Blame::Gateway,
        }
    }

    /// Returns what to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::NotARepository { .. } => "name a clone, or a directory inside one",
            Self::UnknownReference { .. } => "use a branch, a tag or a commit that this clone has",
            Self::NoSuchDirectory { .. } => "check the path below the repository's root",
            Self::Object { .. } => "run `git fsck`; a shallow or partial clone lacks objects",
            Self::ShallowHistory { .. } => "fetch the whole history: `git fetch --unshallow`",
            Self::TooManyFiles { .. } | Self::TreeTooLarge { .. } => {
                "point the source at a smaller directory"
            }
            Self::Remote { fault, .. } => match fault {
                RemoteFault::Unreachable => {
                    "check `prompts.git` and the network; for ssh, the host must be in `known_hosts`"
                }
                RemoteFault::Refused => {
                    "check `prompts.token` and `prompts.username`, or `prompts.ssh_key`"
                }
                RemoteFault::TooSlow => "raise `prompts.fetch_deadline` if the repository is large",
                RemoteFault::TooLarge => {
                    "raise `prompts.max_fetch` or `prompts.max_object`, or keep the prompts in a smaller repository"
                }
                RemoteFault::Unusable => {
                    "the URL must be the one that `git clone` takes; redirects are not followed"
                }
            },
            Self::Mirror { .. } => "check the space and the rights of the data directory",
            Self::Bundle { .. } => {
                "make it with `promptgate prompts push` or `git bundle create FILE BRANCH`"
            }
        };
        Some(hint.to_owned())
    }
}
