//! What can go wrong in the store.

use crate::domain::{Blame, CallId};
use crate::store::frame::Position;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Another process works in the directory.
    #[error("data directory `{}` is in use by {holder}", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
        /// What the holder wrote into the lock file.
        holder: String,
    },
    /// The directory was written by a newer program.
    #[error("data directory has layout {found}, this program knows layouts up to {known}")]
    NewerLayout {
        /// The layout found.
        found: u32,
        /// The newest one known here.
        known: u32,
    },
    /// A file of the store that must be readable is not.
    #[error("`{}` is not readable as a file of the store: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
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
    /// The journal takes no entry now: the disk is full or failing.
    #[error("the journal cannot be written: {cause}")]
    JournalFull {
        /// The first failure since it last worked.
        cause: String,
    },
    /// An outcome came for a call that is not open: unknown, or ended already.
    #[error("call `{id}` is not open; it was never begun or has its outcome already")]
    NotOpen {
        /// The call.
        id: CallId,
    },
    /// A second intent came for one call.
    #[error("call `{id}` has begun already")]
    AlreadyOpen {
        /// The call.
        id: CallId,
    },
    /// An entry is larger than the journal can hold.
    #[error("an entry of {bytes} bytes is larger than the journal holds")]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// An entry cannot be written as JSON.
    #[error("an entry cannot be written as JSON: {source}")]
    Encode {
        /// The serialiser's words.
        source: serde_json::Error,
    },
    /// The disk did not confirm an entry in time.
    #[error("the disk has not confirmed entry {position} within {waited:?}")]
    NotDurable {
        /// The entry.
        position: Position,
        /// How long was waited.
        waited: Duration,
    },
    /// An entry of the journal was damaged and cannot be read.
    #[error("the journal's entry {position} is damaged or missing")]
    Damaged {
        /// The entry.
        position: Position,
    },
    /// The index has not read the journal to its end yet.
    #[error("the index is behind the journal after {waited:?}")]
    IndexBehind {
        /// How long was waited.
        waited: Duration,
    },
    /// sled failed.
    #[error("the {what} failed: {source}")]
    Sled {
        /// Which database.
        what: &'static str,
        /// sled's own words.
        source: sled::Error,
    },
    /// A call or a run was asked for by something that is no id.
    #[error("`{text}` is not a {of} id or its first 8 or more hex digits")]
    BadId {
        /// What was asked for.
        of: IdOf,
        /// The text.
        text: String,
    },
    /// More than one call or run has an id that starts so.
    #[error("`{prefix}` is the beginning of {count} {of} ids")]
    AmbiguousId {
        /// What was asked for.
        of: IdOf,
        /// The digits given.
        prefix: String,
        /// How many match (counted up to 100).
        count: usize,
    },
    /// A bundle was asked for by something that is no hash.
    #[error("`{text}` is not the beginning of a bundle hash (4 to 64 hex digits)")]
    BadHash {
        /// The text.
        text: String,
    },
    /// The store is closed.
    #[error("the store is closed")]
    Closed,
}

/// What has an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdOf {
    /// A call.
    Call,
    /// A run of evals.
    Run,
}

impl fmt::Display for IdOf {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Call => "call",
            Self::Run => "run",
        })
    }
}

impl Error {
    /// Returns a closure for `map_err` that says what was tried with which file.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io {
            doing,
            path,
            source,
        }
    }

    /// Returns a closure for `map_err` that says which database failed.
    pub(super) fn sled(what: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |source| Self::Sled { what, source }
    }

    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "store_locked",
            Self::NewerLayout { .. } => "store_layout_newer",
            Self::Unreadable { .. } => "store_unreadable",
            Self::Io { .. } => "store_io",
            Self::JournalFull { .. } => "journal_full",
            Self::NotOpen { .. } => "call_not_open",
            Self::AlreadyOpen { .. } => "call_already_open",
            Self::TooLarge { .. } => "entry_too_large",
            Self::Encode { .. } => "entry_not_encodable",
            Self::NotDurable { .. } => "not_durable",
            Self::Damaged { .. } => "entry_damaged",
            Self::IndexBehind { .. } => "index_behind",
            Self::Sled { .. } => "index_failed",
            Self::BadId { of: IdOf::Call, .. } => "call_id_invalid",
            Self::BadId { of: IdOf::Run, .. } => "run_id_invalid",
            Self::AmbiguousId { of: IdOf::Call, .. } => "call_id_ambiguous",
            Self::AmbiguousId { of: IdOf::Run, .. } => "run_id_ambiguous",
            Self::BadHash { .. } => "bundle_hash_invalid",
            Self::Closed => "store_closed",
        }
    }

    /// Whether another process holds the data directory.
    #[must_use]
    pub const fn is_locked(&self) -> bool {
        matches!(self, Self::Locked { .. })
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::BadId { .. } | Self::AmbiguousId { .. } | Self::BadHash { .. } => Blame::Client,
            _ => Blame::Gateway,
        }
    }

    /// Returns what can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Locked { .. } => {
                "stop the other process, or give this one its own data directory"
            }
            Self::NewerLayout { .. } => "start the newer promptgate, or restore an older backup",
            Self::JournalFull { .. } => {
                "free space on the disk; calls are recorded again by themselves"
            }
            Self::IndexBehind { .. } => "ask again; the index is reading the journal",
            Self::Sled { .. } => "run `promptgate store rebuild`; the journal has everything",
            Self::BadId { of: IdOf::Call, .. } => {
                "copy the id from `promptgate calls list` or from `x-request-id`"
            }
            Self::BadId { of: IdOf::Run, .. } => "copy the id from `promptgate evals list`",
            Self::AmbiguousId { .. } => "give more digits of the id",
            _ => return None,
        };
        Some(hint.to_owned())
    }

    /// Returns after how long a retry makes sense, where it does.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::JournalFull { .. } => Some(Duration::from_secs(5)),
            Self::IndexBehind { .. } => Some(Duration::from_secs(1)),
            _ => None,
        }
    }
}
