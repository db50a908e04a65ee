//! Finding the nearest vectors: exactly, by a graph, or by small codes that are then checked.
//!
//! The exact scan is the truth the other two are measured against; gates and comparisons use nothing
//! else. Its answer is that of a plain loop over all rows, bit for bit, whatever the number of threads,
//! the size of blocks or the machine: products of matrices only find candidates, and every candidate is
//! scored again by the one loop in [`dot`].

mod asked;
pub mod codes;
pub mod dot;
pub mod dump;
pub mod error;
pub mod exact;
mod graph;
pub mod index;
mod leading;
#[cfg(test)]
mod samples;
pub mod searcher;
mod shortlist;
mod shrink;
mod sieve;
mod top;

pub use codes::{Codes, Kind};
pub use dump::Identity;
pub use error::Error;
pub use exact::{Found, nearest, scan};
pub use index::{Built, Index, Recall, Settings};
pub use searcher::{Answer, Chosen, Searcher, Why};

use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::fmt;

/// What makes two vectors near.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The cosine of the angle between them, from -1 to 1.
    #[default]
    Cosine,
    /// Their product.
    Dot,
    /// How far their ends are apart; the score is minus that distance.
    Euclidean,
}

/// A row that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// Its number in the base, from 0.
    pub row: usize,
    /// How near it is; higher is nearer.
    pub score: f32,
}

impl Neighbour {
    /// Returns the order of answers: the nearer first, of two equally near the smaller row.
    #[must_use]
    pub fn rank(&self, other: &Self) -> Ordering {
        let by_score = other.score.total_cmp(&self.score);
        by_score.then(self.row.cmp(&other.row))
    }
}

/// Says of a query and a row, by their numbers, whether the row may not be an answer to the query.
pub type Skip<'a> = &'a (dyn Fn(usize, usize) -> bool + Sync);

/// Which rows may be found.
#[derive(Clone, Copy)]
pub enum Keep<'a> {
    /// These, in ascending order.
    Rows(&'a [usize]),
    /// Those of which this is true.
    If(&'a (dyn Fn(usize) -> bool + Sync)),
}

impl Keep<'_> {
    /// Returns whether a row may be found.
    #[must_use]
    pub fn has(&self, row: usize) -> bool {
        match self {
            Self::Rows(rows) => rows.binary_search(&row).is_ok(),
            Self::If(is_kept) => is_kept(row),
        }
    }
}

impl fmt::Debug for Keep<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rows(rows) => formatter.debug_tuple("Rows").field(&rows.len()).finish(),
            Self::If(_) => formatter.write_str("If"),
        }
    }
}

/// How to search.
#[derive(Clone, Copy)]
pub struct Scan<'a> {
    /// What is near.
    pub metric: Metric,
    /// How many rows are wanted; fewer come when there are fewer.
    pub k: usize,
    /// How many threads work; the answer does not depend on it.
    pub threads: usize,
    /// Which rows are left out: a row itself, say.
    pub skip: Option<Skip<'a>>,
}

impl Scan<'_> {
    /// Returns a search by cosine for `k` rows on one thread that leaves nothing out.
    #[must_use]
    pub const fn new(k: usize) -> Self {
        Self {
            metric: Metric::Cosine,
            k,
            threads: 1,
            skip: None,
        }
    }
}

impl fmt::Debug for Scan<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scan")
            .field("metric", &self.metric)
            .field("k", &self.k)
            .field("threads", &self.threads)
            .field("skip", &self.skip.is_some())
            .finish()
    }
}
