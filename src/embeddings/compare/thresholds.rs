//! Which score in B lets through as much as a score in A: a threshold that stays where it was lets
//! through something else, even after a good change.

use super::evidence::{Evidence, List};
use super::labels::Labels;
use super::report::Threshold;
use crate::stats::{Random, quantile};

/// How many resamples of the queries stand behind an interval.
const RESAMPLES: u64 = 200;
/// With fewer rows than this in steps of 0.05, the steps are of 0.01.
const FEWEST_ROWS: usize = 5;

/// Scores of one side, highest first, each with its query.
struct Scores {
    sorted: Vec<(f64, usize)>,
    /// Below this, some lists end before their scores do.
    floor: f64,
}

impl Scores {
    fn new(lists: &[List], base: usize) -> Self {
        let with_query = lists.iter().enumerate().flat_map(|(query, list)| {
            let scores = list.iter().map(|ranked| f64::from(ranked.score));
            scores.map(move |score| (score, query))
        });
        let mut sorted: Vec<(f64, usize)> = with_query.collect();
        sorted.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        let ends = lists.iter().filter(|list| list.len() + 1 < base);
        let ends = ends.filter_map(|list| list.last()).map(|last| f64::from(last.score));
        Self {
            sorted,
            floor: ends.fold(-1.0, f64::max),
        }
    }

    /// How many scores, each counted as often as its query, are at least each of the descending `starts`.
    fn above(&self, starts: &[f64], weights: &[u32]) -> Vec<u64> {
        let mut scores = self.sorted.iter().peekable();
        let mut seen = 0;
        let counts = starts.iter().map(|start| {
            while let Some((_, query)) = scores.next_if(|(score, _)| start <= score) {
                seen += u64::from(weights.get(*query).copied().unwrap_or(0));
            }
            seen
        });
        counts.collect()
    }

    /// The scores above which there are as many as each of the ascending `counts`, between neighbours;
    /// `None` where there are not so many.
    fn reaching(&self, counts: &[u64], weights: &[u32]) -> Vec<Option<f64>> {
        let mut found = Vec::with_capacity(counts.len());
        let mut wanted = counts.iter().peekable();
        let mut seen = 0;
        let mut scores = self.sorted.iter().peekable();
        while let Some((score, query)) = scores.next() {
            seen += u64::from(weights.get(*query).copied().unwrap_or(0));
            let next = scores.peek().map_or(*score, |(next, _)| *next);
            while wanted.next_if(|count| **count <= seen).is_some() {
                found.push(Some(f64::midpoint(*score, next)));
            }
        }
        found.resize(counts.len(), None);
        found
    }
}

/// Returns the map, from the highest threshold down to where the lists still see everything; empty without
/// queries.
pub(super) fn map(evidence: &Evidence, labels: &Labels, base: usize, seed: u64) -> Vec<Threshold> {
    let [a, b] = &evidence.answers;
    let queries = a.queries.len();
    let (in_a, in_b) = (Scores::new(&a.queries, base), Scores::new(&b.queries, base));
    let ones = vec![1; queries];
    let rows = rows(&in_a, &in_b, &ones);
    let starts: Vec<f64> = rows.iter().map(|row| row.0).collect();
    let intervals = intervals(&in_a, &in_b, &starts, queries, seed);
    let unchanged = in_b.above(&starts, &ones);
    let rows = rows.into_iter().zip(intervals).zip(unchanged);
    let rows = rows.map(|(((at, b, count), interval), unchanged)| Threshold {
        a: at,
        b,
        b_interval: interval.unwrap_or([b, b]),
        per_query: count as f64 / queries as f64,
        per_query_unchanged: unchanged as f64 / queries as f64,
        hits: hits(evidence, labels, [at, at, b]),
    });
    rows.collect()
}

/// Thresholds in A, what they are in B, and how many pairs are above.
fn rows(in_a: &Scores, in_b: &Scores, ones: &[u32]) -> Vec<(f64, f64, u64)> {
    let mut rows = Vec::new();
    for step in [5_u32, 1] {
        let starts = (1..100).rev().filter(|hundredth| hundredth % step == 0);
        let starts = starts.map(|hundredth| f64::from(hundredth) / 100.0);
        let starts: Vec<f64> = starts.filter(|start| in_a.floor < *start).collect();
        let counts = in_a.above(&starts, ones);
        let found = in_b.reaching(&counts, ones);
        let all = starts.into_iter().zip(found).zip(counts);
        rows = all
            .filter_map(|((a, b), count)| Some((a, b?, count)))
            .filter(|(_, b, count)| 0 < *count && in_b.floor < *b)
            .collect();
        if FEWEST_ROWS <= rows.len() {
            break;
        }
    }
    rows
}

/// The 95 % interval of each row from resampled queries.
fn intervals(
    in_a: &Scores,
    in_b: &Scores,
    starts: &[f64],
    queries: usize,
    seed: u64,
) -> Vec<Option<[f64; 2]>> {
    let mut drawn = vec![Vec::new(); starts.len()];
    for resample in 0..RESAMPLES {
        let mut random = Random::from_seed(seed ^ (resample + 1).wrapping_mul(0x9E37_79B9));
        let mut weights = vec![0_u32; queries];
        for _ in 0..queries {
            if let Some(weight) = weights.get_mut(random.below(queries)) {
                *weight += 1;
            }
        }
        let counts = in_a.above(starts, &weights);
        let found = in_b.reaching(&counts, &weights);
        for ((drawn, found), count) in drawn.iter_mut().zip(found).zip(counts) {
            drawn.extend(found.filter(|_| 0 < count));
        }
    }
    let interval = |values: &Vec<f64>| Some([quantile(values, 0.025)?, quantile(values, 0.975)?]);
    drawn.iter().map(interval).collect()
}

/// The shares of labelled queries with something relevant above a score in A, in B, in B.
fn hits(evidence: &Evidence, labels: &Labels, least: [f64; 3]) -> Option<[f64; 3]> {
    let [a, b] = &evidence.answers;
    let share = |lists: &[List], least: f64| {
        let judged = labels.judged.iter();
        let hits = judged.filter(|judged| {
            let list = lists.get(judged.place).map_or(&[][..], Vec::as_slice);
            let above = list.iter().take_while(|ranked| least <= f64::from(ranked.score));
            above.into_iter().any(|ranked| judged.grades.contains_key(&ranked.unit))
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
