//! How a store is kept.

use crate::domain::Durability;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What happens to calls while the journal cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFull {
    /// They are refused.
    #[default]
    Reject,
    /// They are served, counted, and the gap is written down once there is space.
    ServeUnrecorded,
}

/// Where and how a store is kept.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory; created when it is missing.
    pub dir: PathBuf,
    /// What a record survives.
    pub durability: Durability,
    /// What happens while the journal cannot be written.
    pub on_full: OnFull,
    /// From this size on a segment is sealed, in bytes.
    pub segment_bytes: u32,
    /// Space held back for the outcomes of running calls, in bytes; 0 for none.
    pub ballast_bytes: u64,
    /// How old a sealed segment is when it is compressed; `None` for never.
    pub compress_after: Option<Duration>,
    /// The memory sled may use to cache the index, in bytes.
    pub index_cache_bytes: u64,
    /// How long a query waits for the index to catch up with the journal.
    pub query_deadline: Duration,
    /// How long `durable` waits for the disk.
    pub sync_deadline: Duration,
}

impl Config {
    /// Returns the defaults for a store in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            durability: Durability::Os,
            on_full: OnFull::Reject,
            segment_bytes: 64 << 20,
            ballast_bytes: 64 << 20,
            compress_after: Some(Duration::from_secs(600)),
            index_cache_bytes: 4 << 20,
            query_deadline: Duration::from_secs(10),
            sync_deadline: Duration::from_secs(10),
        }
    }
}
