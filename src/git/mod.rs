//! Git: commits and trees straight from the object database, and bare copies of remotes.
//!
//! Nothing is ever checked out and nothing of a repository is executed: no hooks, no filters, no
//! submodules, no symlinks; configuration outside the repository and the environment are not read.
//!
//! **Invariants**
//! - A [`Repository`] only reads. A [`Mirror`] is the only thing that is written, and is ours alone.
//! - A fetch is bounded in bytes and in time, and credentials go to the configured host only.

mod bounds;
mod bundle;
mod error;
mod history;
mod location;
mod mirror;
mod repository;
mod transport;
mod tree;

pub use bounds::FetchLimits;
pub use error::{Error, RemoteFault};
pub use history::{BlobId, Change, Commit, HistoryReader, Trail};
pub use location::{Location, LocationError, RemoteUrl, Scheme};
pub use mirror::{Mirror, Remote};
pub use repository::{CommitId, Repository, blob_id};
pub use transport::{Login, Token};
pub use tree::{Entry, File, Limits, Skipped, Tree};

#[cfg(test)]
pub(crate) mod tests {
    pub(crate) use super::tree::tests::{commit_all, git, repository_with};
}
