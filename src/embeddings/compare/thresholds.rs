//! Which score in B lets through as much as a score in A: a threshold that stays where it was lets
//! through something else, even after a good change.

use super::evidence::{Evidence, List};
use super::labels::Labels;
use super::report::Threshold;
use crate::embeddings::geometry::{EqualRate, equal_rate};

/// How many resamples of the queries stand behind an interval.
const RESAMPLES: usize = 200;
/// With fewer rows than this in steps of 0.05, the steps are of 0.01.
const FEWEST_ROWS: usize = 5;

/// Scores of one side, query by query.
struct Scores {
    lists: Vec<Vec<f32>>,
    /// Below this, some lists end before their scores do.
    floor: f64,
}

impl Scores {
    fn new(lists: &[List], base: usize) -> Self {
        let scores = |list: &List| list.iter().map(|ranked| ranked.score).collect();
        let ends = lists.iter().filter(|list| list.len() + 1 < base);
        let ends = ends
            .filter_map(|list| list.last())
            .map(|last| f64::from(last.score));
        Self {
            floor: ends.fold(-1.0, f64::max),
            lists: lists.iter().map(scores).collect(),
        }
    }
}

/// Returns the map, from the highest threshold down to where the lists still see everything; empty without
/// queries.
pub(super) fn map(evidence: &Evidence, labels: &Labels, base: usize, seed: u64) -> Vec<Threshold> {
    let [a, b] = &evidence.answers;
    let (in_a, in_b) = (Scores::new(&a.queries, base), Scores::new(&b.queries, base));
    let rows = rows(&in_a, &in_b, seed).into_iter().filter_map(|row| {
        let b = row.b?;
        Some(Threshold {
            a: row.a,
            b,
            b_interval: row.b_interval.unwrap_or([b, b]),
            per_query: row.per_query,
            per_query_unchanged: row.per_query_unchanged,
            hits: hits(evidence, labels, [row.a, row.a, b]),
        })
    });
    rows.collect()
}

/// Thresholds in A that both sides' lists reach down to, in the coarser steps that give enough of them.
fn rows(in_a: &Scores, in_b: &Scores, seed: u64) -> Vec<EqualRate> {
    let mut rows = Vec::new();
    for step in [5_u32, 1] {
        let starts = (1..100).rev().filter(|hundredth| hundredth % step == 0);
        let starts = starts.map(|hundredth| f64::from(hundredth) / 100.0);
        let starts: Vec<f64> = starts.filter(|start| in_a.floor < *start).collect();
        let found = equal_rate(&in_a.lists, &in_b.lists, &starts, RESAMPLES, seed);
        rows = found.unwrap_or_default();
        rows.retain(|row| row.b.is_some_and(|b| in_b.floor < b));
        if FEWEST_ROWS <= rows.len() {
            break;
        }
    }
    rows
}

/// The shares of labelled queries with something relevant above a score in A, in B, in B.
fn hits(evidence: &Evidence, labels: &Labels, least: [f64; 3]) -> Option<[f64; 3]> {
    let [a, b] = &evidence.answers;
    let share = |lists: &[List], least: f64| {
        let judged = labels.judged.iter();
        let hits = judged.filter(|judged| {
            let list = lists.get(judged.place).map_or(&[][..], Vec::as_slice);
            let mut above = list
                .iter()
                .take_while(|ranked| least <= f64::from(ranked.score));
            above.any(|ranked| judged.grades.contains_key(&ranked.unit))
        });
        hits.count() as f64 / labels.judged.len() as f64
    };
    let [in_a, unchanged, mapped] = least;
    (!labels.judged.is_empty()).then(|| {
        [
            share(&a.queries, in_a),
            share(&b.queries, unchanged),
            share(&b.queries, mapped),
        ]
    })
}
