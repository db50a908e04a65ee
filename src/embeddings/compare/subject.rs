//! What is compared: the two sides, the queries they are asked, and how closely to look.

use super::gate::Gate;
use super::report::{Noise, SnapshotFacts};
use crate::embeddings::Error;
use crate::embeddings::item::Span;
use crate::embeddings::rows::{Matrix, Rows};
use crate::embeddings::space::TextHash;
use std::fmt;

/// Reads the text of an item by its row; `None` where only its hash is kept.
pub type ReadText<'a> = dyn Fn(usize) -> Result<Option<String>, Error> + Sync + 'a;

/// A side: an opened snapshot. Everything in it stands in the order of its rows.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// What the report says of it.
    pub facts: &'a SnapshotFacts,
    /// Its pipeline in clear.
    pub pipeline: &'a serde_json::Value,
    /// The items' names.
    pub ids: &'a [&'a str],
    /// Hashes of the items' own texts, without what a space writes before them; empty where they are not
    /// known, and then items of the same name are taken to be the same.
    pub hashes: &'a [TextHash],
    /// Where the items stand in their sources; empty where none does.
    pub spans: &'a [Option<Span>],
    /// Their vectors.
    pub rows: &'a dyn Rows,
    /// Their texts.
    pub text: &'a ReadText<'a>,
    /// How many texts were longer than the model reads, where that is known.
    pub truncated: Option<usize>,
    /// The provider's noise, where it was measured when the snapshot was made.
    pub noise: Option<&'a Noise>,
    /// How many texts kept which share of their ten nearest then, in the bins of [`share_counts`](super::share_counts).
    pub noise_counts: Option<&'a [usize]>,
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Subject");
        fields.field("facts", self.facts).finish_non_exhaustive()
    }
}

/// What a label points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// An item by its name.
    Item(String),
    /// A place in a source: whatever chunk holds it.
    Span(Span),
}

/// Something that answers a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Relevant {
    /// What.
    pub target: Target,
    /// How well; 0 is not at all.
    pub grade: f64,
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// Its name.
    pub id: String,
    /// Its text, where it may be shown.
    pub text: Option<String>,
    /// What answers it; empty where nobody has said.
    pub relevant: Vec<Relevant>,
    /// The item whose own text it is, if it is one: it does not answer itself.
    pub item: Option<String>,
}

/// Where queries come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuerySource {
    /// A file.
    File,
    /// Recorded requests.
    Calls,
    /// The items' own texts.
    Items,
}

impl QuerySource {
    /// Returns its name in reports.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Calls => "calls",
            Self::Items => "items",
        }
    }
}

/// Queries with their vectors on both sides.
#[derive(Debug, Clone, Copy)]
pub struct Queries<'a> {
    /// The queries.
    pub list: &'a [Query],
    /// Their vectors in A's space, made as A's space makes vectors of queries.
    pub a: &'a Matrix,
    /// The same for B.
    pub b: &'a Matrix,
    /// Where they come from.
    pub from: QuerySource,
    /// How they were drawn, for the report, where they were.
    pub told: Option<&'a str>,
}

/// How closely to look.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The length of the lists of the headline.
    pub k: usize,
    /// The seed of everything drawn.
    pub seed: u64,
    /// Of how many items the neighbours are looked at.
    pub sampled_items: usize,
    /// How sure the intervals are.
    pub confidence: f64,
    /// The smallest difference of nDCG that counts.
    pub margin: f64,
    /// How many resamples stand behind an interval.
    pub resamples: usize,
    /// How many threads may compute.
    pub threads: usize,
    /// Of how many rows the geometry is taken, when there are more.
    pub geometry_rows: usize,
    /// How many queries and items are listed.
    pub listed: usize,
    /// Whether to stop as soon as the headline is known to a hundredth, or the gates are decided.
    pub is_stopping_early: bool,
    /// Whether texts may be shown.
    pub is_showing_texts: bool,
    /// What must hold.
    pub gates: Vec<Gate>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            k: 10,
            seed: 1,
            sampled_items: 1_000,
            confidence: 0.95,
            margin: 0.01,
            resamples: 10_000,
            threads: 2,
            geometry_rows: 50_000,
            listed: 100,
            is_stopping_early: false,
            is_showing_texts: true,
            gates: Vec::new(),
        }
    }
}

/// What a comparison is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Step {
    /// `queries`, `waiting` (for a provider that could not answer `done` times, of `total`), `alignment`, `neighbours`,
    /// `labels`, `geometry`, `clusters`, `report`.
    pub stage: &'static str,
    /// How much of the stage is done.
    pub done: usize,
    /// Of how much.
    pub total: usize,
}
