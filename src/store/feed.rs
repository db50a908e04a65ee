//! Ended calls on their way from the journal to the indexer, by memory.

use crate::store::row::IndexedRow;
use crate::store::runs::PlacedEntry;

/// How much the indexer may be behind before it is sent to read the files, in bytes.
const FEED_BYTES: usize = 16 << 20;
/// This many rows are indexed without waiting for more.
pub(super) const FEED_ROWS: usize = 512;

/// What the indexer has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// Ended calls in the order of their outcomes.
    pub(super) rows: Vec<IndexedRow>,
    /// Entries of runs, in their order.
    pub(super) entries: Vec<PlacedEntry>,
    bytes: usize,
    /// Some were dropped: the files have to be read instead.
    pub(super) is_lost: bool,
    /// Somebody waits for the index.
    pub(super) is_wanted: bool,
}

impl Feed {
    /// Adds a row; whether the indexer should be woken.
    pub(super) fn push(&mut self, row: IndexedRow) -> bool {
        if self.is_lost {
            return false;
        }
        self.bytes += row.row.memory_bytes();
        self.rows.push(row);
        if FEED_BYTES < self.bytes {
            self.lose();
            return true;
        }
        self.rows.len() == 1 || self.rows.len() == FEED_ROWS
    }

    /// Adds an entry of a run; whether the indexer should be woken.
    pub(super) fn push_entry(&mut self, entry: PlacedEntry) -> bool {
        if self.is_lost {
            return false;
        }
        self.bytes += entry.memory_bytes();
        self.entries.push(entry);
        if FEED_BYTES < self.bytes {
            self.lose();
            return true;
        }
        self.entries.len() == 1 && self.rows.is_empty()
    }

    /// Whether there is nothing to take.
    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.entries.is_empty()
    }

    /// Sends the indexer to the files.
    pub(super) fn lose(&mut self) {
        *self = Self {
            is_lost: true,
            is_wanted: self.is_wanted,
            ..Self::default()
        };
    }
}
