//! From scores of A to scores of B: the same threshold means something else in another space.

use crate::stats::{Random, quantile};
use serde::{Deserialize, Serialize};

/// With fewer queries than this above a threshold, resamples of them do not show how far it may be off: those of one
/// query are all alike.
const FEWEST_QUERIES: usize = 6;

/// A threshold of A, and the one of B that lets through as many pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EqualRate {
    /// The threshold in A.
    pub a: f64,
    /// The one in B. `None` when nothing reaches `a` in A, or B has fewer scores than reach it.
    pub b: Option<f64>,
    /// The 95 % interval of `b`, from resampled queries; `None` where fewer than six queries have a pair above it on
    /// either side, or most resamples have none.
    pub b_interval: Option<[f64; 2]>,
    /// Pairs per query that reach `a` in A.
    pub per_query: f64,
    /// Pairs per query that reach the unchanged `a` in B.
    pub per_query_unchanged: f64,
}

/// Returns the best line through `points` that never falls (pool adjacent violators; Barlow and others,
/// 1972).
///
/// It has one point for each x, by x, those of one x as their mean. Points that are not finite are left
/// out.
#[must_use]
pub fn isotonic(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<(f64, f64)> = points
        .iter()
        .copied()
        .filter(|(x, y)| x.is_finite() && y.is_finite())
        .collect();
    sorted.sort_by(|one, other| one.0.total_cmp(&other.0));
    // Each pool: the mean of its y, their number, and the x it spans.
    let mut pools: Vec<(f64, f64, Vec<f64>)> = Vec::new();
    for same in sorted.chunk_by(|one, other| one.0 >= other.0) {
        let count = same.len() as f64;
        let mean = same.iter().map(|(_, y)| y).sum::<f64>() / count;
        let xs = same.iter().take(1).map(|(x, _)| *x).collect();
        let mut pool = (mean, count, xs);
        while let Some(last) = pools.pop_if(|last| last.0 >= pool.0) {
            let count = last.1 + pool.1;
            let mean = (last.0 * last.1 + pool.0 * pool.1) / count;
            let mut xs = last.2;
            xs.append(&mut pool.2);
            pool = (mean, count, xs);
        }
        pools.push(pool);
    }
    let spread = pools
        .into_iter()
        .flat_map(|(mean, _, xs)| xs.into_iter().map(move |x| (x, mean)));
    spread.collect()
}

/// Returns where a line of [`isotonic`] is at `x`: straight between its points, flat beyond them. `None`
/// for an empty line.
#[must_use]
pub fn at(line: &[(f64, f64)], x: f64) -> Option<f64> {
    let after = line.partition_point(|point| point.0 < x);
    match (
        after.checked_sub(1).and_then(|before| line.get(before)),
        line.get(after),
    ) {
        (Some(before), Some(after)) if before.0 < after.0 => {
            let part = (x - before.0) / (after.0 - before.0);
            Some(before.1 + (after.1 - before.1) * part)
        }
        (Some(point), None) | (_, Some(point)) => Some(point.1),
        (None, None) => None,
    }
}

/// Returns the values below which these shares of the scores lie, between neighbours by a straight line.
/// `None` without scores, or with one that is not finite.
#[must_use]
pub fn quantiles(scores: &[f64], shares: &[f64]) -> Option<Vec<f64>> {
    shares
        .iter()
        .map(|share| quantile(scores, *share))
        .collect()
}

/// Returns for each threshold of A the threshold of B that as many pairs reach: `t_B = Q_B(1 − F_A(t_A))`.
///
/// It is counted over the scores of all queries, with an interval from `resamples` of the queries.
///
/// `a` and `b` hold, for the same queries in the same order, the scores of what was found. A threshold is
/// known down to the lowest score that is held. `None` without queries, with a different number of them,
/// or with a score that is not finite.
#[must_use]
pub fn equal_rate(
    a: &[Vec<f32>],
    b: &[Vec<f32>],
    thresholds: &[f64],
    resamples: usize,
    seed: u64,
) -> Option<Vec<EqualRate>> {
    let is_finite = |lists: &[Vec<f32>]| lists.iter().flatten().all(|score| score.is_finite());
    if a.is_empty() || a.len() != b.len() || !is_finite(a) || !is_finite(b) {
        return None;
    }
    let queries = a.len();
    let falling = Falling::new(b);
    let above: Vec<Vec<u32>> = thresholds.iter().map(|least| above(a, *least)).collect();
    let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); thresholds.len()];
    let mut random = Random::from_seed(seed);
    for _ in 0..resamples {
        let mut weights = vec![0_u32; queries];
        for _ in 0..queries {
            if let Some(weight) = weights.get_mut(random.below(queries)) {
                *weight += 1;
            }
        }
        let reached: Vec<u64> = above.iter().map(|of| weighted(of, &weights)).collect();
        let most = reached.iter().copied().max().unwrap_or_default();
        let in_b = falling.running_up_to(most, &weights);
        for (count, drawn) in reached.iter().zip(&mut drawn) {
            drawn.extend(falling.score_at(&in_b, *count));
        }
    }
    let rows = thresholds.iter().zip(&above).zip(drawn);
    let rows = rows.map(|((threshold, above), drawn)| {
        let pairs = above.iter().map(|count| *count as usize).sum::<usize>();
        let b_score = pairs
            .checked_sub(1)
            .and_then(|last| falling.scores.get(last))
            .map(|score| f64::from(*score));
        let is_known = 2 * drawn.len() > resamples
            && FEWEST_QUERIES <= above.iter().filter(|count| 0 < **count).count()
            && b_score.is_some_and(|score| FEWEST_QUERIES <= seen_above(b, score));
        let ends = quantiles(&drawn, &[0.025, 0.975]).filter(|_| is_known);
        let unchanged = falling.reaching(*threshold);
        EqualRate {
            a: *threshold,
            b: b_score,
            b_interval: ends.and_then(|ends| ends.try_into().ok()),
            per_query: pairs as f64 / queries as f64,
            per_query_unchanged: unchanged as f64 / queries as f64,
        }
    });
    Some(rows.collect())
}

/// How many scores of each query reach the threshold.
fn above(lists: &[Vec<f32>], threshold: f64) -> Vec<u32> {
    let of_list = |list: &Vec<f32>| {
        let reaching = list.iter().filter(|score| f64::from(**score) >= threshold);
        u32::try_from(reaching.count()).unwrap_or(u32::MAX)
    };
    lists.iter().map(of_list).collect()
}

/// How many queries have a score that reaches the threshold.
fn seen_above(lists: &[Vec<f32>], threshold: f64) -> usize {
    let reaches = |list: &&Vec<f32>| list.iter().any(|score| f64::from(*score) >= threshold);
    lists.iter().filter(reaches).count()
}

/// The sum of counts, each query so many times.
fn weighted(counts: &[u32], weights: &[u32]) -> u64 {
    let pairs = counts.iter().zip(weights);
    pairs
        .map(|(count, weight)| u64::from(*count) * u64::from(*weight))
        .sum()
}

/// All scores, the highest first, and the query of each.
struct Falling {
    scores: Vec<f32>,
    queries: Vec<u32>,
}

impl Falling {
    fn new(lists: &[Vec<f32>]) -> Self {
        let each = (0_u32..).zip(lists);
        let mut scores: Vec<(f32, u32)> = each
            .flat_map(|(query, list)| list.iter().map(move |score| (*score, query)))
            .collect();
        scores.sort_unstable_by(|one, other| other.0.total_cmp(&one.0));
        let (scores, queries) = scores.into_iter().unzip();
        Self { scores, queries }
    }

    /// How many scores reach the threshold.
    fn reaching(&self, threshold: f64) -> usize {
        self.scores
            .partition_point(|score| f64::from(*score) >= threshold)
    }

    /// How many of the first scores there are up to each, when each query counts so many times, until there are so
    /// many.
    fn running_up_to(&self, most: u64, weights: &[u32]) -> Vec<u64> {
        let mut sums = Vec::new();
        let mut sum = 0;
        for query in &self.queries {
            let weight = weights.get(*query as usize).copied().unwrap_or_default();
            sum += u64::from(weight);
            sums.push(sum);
            if most <= sum {
                break;
            }
        }
        sums
    }

    /// The score that as many scores reach.
    fn score_at(&self, running: &[u64], count: u64) -> Option<f64> {
        let place = running.partition_point(|sum| *sum < count);
        let is_reached = 0 < count && place < running.len();
        let score = self.scores.get(place).filter(|_| is_reached);
        score.map(|score| f64::from(*score))
    }
}
