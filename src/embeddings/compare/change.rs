//! How much two lists of answers to the same question differ, question by question.

use super::evidence::{List, units};
use crate::embeddings::ranking::{
    is_top1_same, jaccard, kendall_of_union, overlap, overlap_by_depth, rbo_ext,
};

/// How much each rank counts less than the one before it.
pub(super) const PERSISTENCE: f64 = 0.9;
/// Lengths of lists that are looked at besides the headline's.
const LENGTHS: [usize; 5] = [1, 5, 10, 20, 100];

/// Differences, question by question.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Changes {
    /// The lengths of lists, ascending, and the share that both have at each.
    pub(super) overlaps: Vec<(usize, Vec<f64>)>,
    /// Share of what either has at the headline's length.
    pub(super) jaccard: Vec<f64>,
    /// Rank-biased overlap.
    pub(super) rbo: Vec<f64>,
    /// Kendall's tau over what either has; those where it is defined.
    pub(super) tau: Vec<f64>,
    /// 1 where the first answer is the same.
    pub(super) top1: Vec<f64>,
    /// How far the first answer stands above the last, in A and B.
    pub(super) gaps: Vec<[f64; 2]>,
}

impl Changes {
    /// Compares lists pair by pair, the headline at `k`; no list can be longer than `longest`.
    pub(super) fn new(a: &[List], b: &[List], k: usize, longest: usize) -> Self {
        let mut lengths: Vec<usize> = LENGTHS.into_iter().filter(|k| *k <= longest).collect();
        lengths.push(k);
        lengths.sort_unstable();
        lengths.dedup();
        let mut changes = Self {
            overlaps: lengths
                .into_iter()
                .map(|length| (length, Vec::new()))
                .collect(),
            ..Self::default()
        };
        for (a, b) in a.iter().zip(b) {
            changes.add(a, b, k);
        }
        changes
    }

    fn add(&mut self, a: &List, b: &List, k: usize) {
        let (in_a, in_b) = (units(a), units(b));
        let common = overlap_by_depth(&in_a, &in_b);
        for (length, shares) in &mut self.overlaps {
            let found = common.get(*length - 1).or(common.last());
            shares.push(found.map_or(0.0, |found| *found as f64 / *length as f64));
        }
        let first = |list: &[usize]| -> Vec<usize> { list.iter().take(k).copied().collect() };
        let (in_a, in_b) = (first(&in_a), first(&in_b));
        self.jaccard.push(jaccard(&in_a, &in_b, k));
        self.rbo.push(rbo_ext(&in_a, &in_b, PERSISTENCE));
        self.tau.extend(kendall_of_union(&in_a, &in_b));
        self.top1.push(f64::from(is_top1_same(&in_a, &in_b)));
        self.gaps.push([gap(a, k), gap(b, k)]);
    }

    /// Returns the shares at a length.
    pub(super) fn overlap_at(&self, k: usize) -> &[f64] {
        let found = self.overlaps.iter().find(|(length, _)| *length == k);
        found.map_or(&[], |(_, shares)| shares)
    }
}

/// Returns only the shares of the first `k`, pair by pair.
pub(super) fn shares_at(a: &[List], b: &[List], k: usize) -> Vec<f64> {
    let first =
        |list: &List| -> Vec<usize> { list.iter().take(k).map(|ranked| ranked.unit).collect() };
    a.iter()
        .zip(b)
        .map(|(a, b)| overlap(&first(a), &first(b), k))
        .collect()
}

fn gap(list: &List, k: usize) -> f64 {
    let last = list.get(k.saturating_sub(1)).or(list.last());
    match (list.first(), last) {
        (Some(first), Some(last)) => f64::from(first.score) - f64::from(last.score),
        _ => 0.0,
    }
}
