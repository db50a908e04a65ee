//! What a comparison found. Every form of the report is made from this alone; the same snapshots,
//! queries and settings give the same bytes.

use crate::embeddings::item::Span;
use crate::embeddings::name::SnapshotId;
use crate::embeddings::space::{SettingChange, Space, SpaceId};
use crate::stats::Estimate;
use serde::{Deserialize, Serialize};

/// The version of this format.
pub const REPORT_FORMAT: u32 = 1;

/// A whole report. `a` is what is there today, `b` what may take its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ComparisonReport {
    /// [`REPORT_FORMAT`].
    pub format: u32,
    /// The one.
    pub a: SnapshotFacts,
    /// The other.
    pub b: SnapshotFacts,
    /// In which settings of space and pipeline they differ.
    pub settings: Vec<SettingChange>,
    /// Which items are compared.
    pub alignment: Alignment,
    /// What follows, in words.
    pub verdict: Verdict,
    /// What else follows: the verdict first, then what holds besides.
    pub findings: Vec<Verdict>,
    /// The gates that were asked for.
    pub gates: Vec<GateResult>,
    /// Every figure.
    pub figures: Vec<Figure>,
    /// What the providers' own noise does to the figures.
    pub noise: Vec<Noise>,
    /// How many items (or queries) keep which share of their neighbours.
    pub histograms: Vec<Histogram>,
    /// Which score in B lets through what a score in A lets through; empty without queries.
    pub thresholds: Vec<Threshold>,
    /// Scores of pairs in both, for the scatter; the same pairs in both.
    pub scatter: Vec<ScorePair>,
    /// The monotone line through [`Self::scatter`]: score in A, score in B.
    pub scatter_line: Vec<(f64, f64)>,
    /// Densities of scores.
    pub densities: Vec<Density>,
    /// Query by query; those that changed most first.
    pub queries: Vec<QueryChange>,
    /// The items whose neighbours changed most.
    pub movers: Vec<ItemChange>,
    /// A's clusters, and what became of them.
    pub clusters: Vec<ClusterChange>,
    /// Where items are on a plane, in A and in B.
    pub projection: Projection,
    /// How it was made.
    pub method: Method,
}

/// A snapshot as a report names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SnapshotFacts {
    /// `docs@1`.
    pub name: String,
    /// Its identity.
    pub id: SnapshotId,
    /// Its space.
    pub space_id: SpaceId,
    /// The space in clear.
    pub space: Space,
    /// The pipeline's identity.
    pub pipeline_id: String,
    /// Items in it.
    pub items: usize,
    /// The length of its vectors.
    pub dimensions: usize,
    /// How its vectors are kept: `f32`, `f16`, `int8`, `binary`.
    pub precision: String,
}

/// Which items the two have in common, and what was found before any figure.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Alignment {
    /// Whether items were matched by where they stand in their sources, because the chunks are others.
    pub is_by_span: bool,
    /// Items in both, with the same text: those that are compared.
    pub compared: usize,
    /// Items in A only.
    pub only_a: usize,
    /// Items in B only.
    pub only_b: usize,
    /// Items in both with different texts; a change of content, which is not compared.
    pub changed_text: usize,
    /// Vectors of A, then of B, that are zero: left out.
    pub zero: [usize; 2],
    /// Vectors that are not of length 1 (beyond 1e-3, as int8 beyond 1e-2), though their space says so.
    pub not_unit: [usize; 2],
    /// Items whose text another item has too.
    pub duplicates: [usize; 2],
    /// Items whose text was longer than the model reads, where that is known.
    pub truncated: [Option<usize>; 2],
    /// How many items are at random in a list of the headline's length: `k / (n - 1)`.
    pub chance: f64,
}

/// What a comparison says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerdictKind {
    /// Numerics only: swap; one index may hold both.
    Identical,
    /// Each finds the other's vectors nearly as well as its own.
    Compatible,
    /// As good, with other answers.
    SameQuality,
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// It changes, and nobody can say whether for the better without labels.
    UnknownDirection,
    /// Vectors of the two must not stand in one index.
    MixedIndexForbidden,
    /// B is no better by an amount that would pay for it.
    NotWorthIt,
    /// The queries are too few to say.
    CannotDecide,
}

/// A verdict with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Which.
    pub kind: VerdictKind,
    /// One sentence.
    pub sentence: String,
    /// The rule that fired, with its numbers.
    pub rule: String,
    /// What to do.
    pub advice: Option<String>,
    /// How many more queries would decide, where that is the matter.
    pub more_queries: Option<u64>,
}

/// Whether a gate lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateOutcome {
    /// It holds, and the figure's error cannot change that.
    Passed,
    /// It does not.
    Failed,
    /// The figure's error leaves both open.
    CannotDecide,
}

/// A gate and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// As it was written: `overlap@10 < 0.95`.
    pub gate: String,
    /// What came of it.
    pub outcome: GateOutcome,
    /// Why, with numbers.
    pub reason: String,
    /// How many more queries would decide.
    pub more_queries: Option<u64>,
}

/// What a figure tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureGroup {
    /// How much the answers to queries change.
    Queries,
    /// How much the neighbours of items change.
    Items,
    /// How good the answers are, by labels.
    Labels,
    /// Whether one index may hold both.
    Cross,
    /// Geometry: describes, decides nothing.
    Descriptor,
}

/// A figure with its error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Its stable name: `query.overlap@10`, `item.rbo`, `label.ndcg@10.delta`, `cka.debiased`.
    pub id: String,
    /// Its name for people.
    pub title: String,
    /// What it tells.
    pub group: FigureGroup,
    /// The figure, and the interval it lies in; an interval of no width where none is known.
    pub estimate: Estimate,
    /// Whether the interval is one.
    pub has_interval: bool,
    /// The figure of A alone and of B alone, where it compares two.
    pub sides: Option<[f64; 2]>,
    /// What chance alone gives.
    pub chance: Option<f64>,
    /// What the provider's noise alone gives: the same texts embedded twice.
    pub noise: Option<f64>,
    /// From how many queries or items it is.
    pub n: usize,
    /// p value of "no difference", adjusted for the number of figures (Holm), where it was tested.
    pub p_value: Option<f64>,
    /// Queries on which B wins, loses, ties.
    pub win_loss_tie: Option<[usize; 3]>,
    /// The smallest difference it would have seen in four of five cases.
    pub detectable: Option<f64>,
}

/// The noise floor of a side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Noise {
    /// 0 for A, 1 for B.
    pub side: usize,
    /// How many texts were embedded again.
    pub texts: usize,
    /// overlap@k of the two times.
    pub overlap: Estimate,
    /// Share of texts with the same nearest neighbour.
    pub top1: f64,
    /// The largest difference in one dimension.
    pub max_deviation: f64,
}

/// Counts in bins of the same width over [0, 1].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// `query.overlap@10`, `item.overlap@10`.
    pub id: String,
    /// Counts; bin i of n is [i/n, (i+1)/n), the last one with 1.
    pub counts: Vec<usize>,
    /// The same from embedding texts twice with A, where that was done.
    pub noise: Option<Vec<usize>>,
}

/// A row of the threshold map.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// A score in A.
    pub a: f64,
    /// The score in B above which as many pairs are.
    pub b: f64,
    /// The interval of `b`, from resampled queries.
    pub b_interval: [f64; 2],
    /// Pairs per query above `a` in A.
    pub per_query: f64,
    /// Pairs per query above the unchanged `a` in B.
    pub per_query_unchanged: f64,
    /// Whether B's lists end above the unchanged `a`: more pairs pass, and more hits, than were counted.
    #[serde(default)]
    pub has_more_unchanged: bool,
    /// Share of queries with a relevant item above it, in A; in B unchanged; in B mapped; with labels.
    pub hits: Option<[f64; 3]>,
}

/// A pair's scores.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScorePair {
    /// In A.
    pub a: f64,
    /// In B.
    pub b: f64,
    /// Whether the pair is of neighbours in A; else it was drawn at random.
    pub is_near: bool,
}

/// The distribution of scores: `top1`, `topk` or `random` pairs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Density {
    /// Of which pairs.
    pub of: String,
    /// 0 for A, 1 for B.
    pub side: usize,
    /// The 5 %, 25 %, 50 %, 75 %, 95 % quantiles.
    pub quantiles: [f64; 5],
    /// Share of pairs in 40 bins from -1 to 1.
    pub shares: Vec<f64>,
}

/// An answer: an item and its score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hit {
    /// The item.
    pub id: String,
    /// The beginning of its text, where texts are kept.
    pub text: Option<String>,
    /// Cosine.
    pub score: f64,
    /// Its grade, where it is labelled; 0 for not relevant.
    pub relevance: Option<f64>,
    /// Where it stands, when it is a chunk.
    pub span: Option<Span>,
}

/// A query in both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct QueryChange {
    /// Its id.
    pub id: String,
    /// Its text, where texts may be shown.
    pub text: Option<String>,
    /// Share of the first k that both have.
    pub overlap: f64,
    /// Rank-biased overlap, extrapolated (p = 0.9).
    pub rbo: f64,
    /// Whether the first answer is the same.
    pub is_top1_same: bool,
    /// nDCG@k in A and B, with labels.
    pub ndcg: Option<[f64; 2]>,
    /// The first rank of a relevant item in A and B (from 1), within the depth looked at.
    pub first_relevant: Option<[Option<usize>; 2]>,
    /// Whether its relevant answers came in, went out, or neither.
    pub fate: Fate,
    /// The first answers in A.
    pub a: Vec<Hit>,
    /// The first answers in B.
    pub b: Vec<Hit>,
}

/// What became of a query's relevant answers among the first k.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// None in A, some in B.
    Gained,
    /// Some in A, none in B.
    Lost,
    /// As before, or not known.
    Kept,
}

/// An item whose neighbours changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemChange {
    /// Its id.
    pub id: String,
    /// The beginning of its text.
    pub text: Option<String>,
    /// Share of the nearest k that both have.
    pub overlap: f64,
    /// Rank-biased overlap (p = 0.9).
    pub rbo: f64,
    /// Its nearest in A.
    pub a: Vec<Hit>,
    /// Its nearest in B.
    pub b: Vec<Hit>,
}

/// A cluster of A, carried to B by the ids of its items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClusterChange {
    /// Its number.
    pub cluster: usize,
    /// Words that are typical of it.
    pub words: Vec<String>,
    /// Items in it.
    pub items: usize,
    /// Mean overlap@k of its items (those that were looked at).
    pub overlap: Option<f64>,
    /// Mean share of an item's nearest k that are in the same cluster, in A and B.
    pub cohesion: Option<[f64; 2]>,
    /// Mean difference of nDCG of the queries whose relevant items are in it.
    pub ndcg_delta: Option<f64>,
    /// Queries behind that.
    pub queries: usize,
}

/// Items on a plane: the first two principal axes of A, and B turned onto them (centred Procrustes).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    /// Share of A's variance that the plane shows.
    pub shown: f64,
    /// The points.
    pub points: Vec<ProjectedItem>,
}

/// An item on the plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectedItem {
    /// Its id.
    pub id: String,
    /// The beginning of its text.
    pub text: Option<String>,
    /// Where it is in A.
    pub a: [f64; 2],
    /// Where it is in B.
    pub b: [f64; 2],
    /// Its cluster in A.
    pub cluster: usize,
}

/// How a comparison was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Method {
    /// The length of the lists of the headline.
    pub k: usize,
    /// The seed of everything drawn.
    pub seed: u64,
    /// Queries compared, and how they were come by: `file`, `calls`, `items`.
    pub queries: usize,
    /// Where the queries came from.
    pub queries_from: String,
    /// Queries with labels.
    pub labelled: usize,
    /// Items whose neighbours were looked at.
    pub sampled_items: usize,
    /// Whether it stopped early because the answer was clear.
    pub stopped_early: bool,
    /// The smallest difference of nDCG that counts.
    pub margin: f64,
    /// What was done, in sentences: tests, intervals, corrections.
    pub notes: Vec<String>,
}
