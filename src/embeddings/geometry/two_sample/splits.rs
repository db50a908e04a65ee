//! Ways to split pooled windows again, at random or all of them.

use crate::embeddings::geometry::null::shuffle;
use crate::embeddings::geometry::two_sample::MOST_WINDOW;
use crate::embeddings::{Matrix, Rows};
use crate::stats::Random;

/// Up to so many rows together, all splits may be counted.
const MOST_COUNTED: u32 = 16;

/// Who is in the current window: the true split, then others.
pub(super) struct Splits {
    pub(super) observed: Vec<bool>,
    pub(super) others: Vec<Vec<bool>>,
    /// Whether the others are all splits there are, the true one among them.
    pub(super) is_exact: bool,
}

impl Splits {
    /// `permutations` random splits, or all when they are no more than that.
    pub(super) fn new(reference: usize, current: usize, permutations: usize, seed: u64) -> Self {
        let mut observed = vec![false; reference];
        observed.resize(reference + current, true);
        if let Some(others) = all(reference + current, current, permutations) {
            return Self {
                observed,
                others,
                is_exact: true,
            };
        }
        let mut random = Random::from_seed(seed);
        let mut labels = observed.clone();
        let others = (0..permutations).map(|_| {
            shuffle(&mut labels, &mut random);
            labels.clone()
        });
        Self {
            others: others.collect(),
            observed,
            is_exact: false,
        }
    }

    /// The true split first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Vec<bool>> {
        std::iter::once(&self.observed).chain(&self.others)
    }

    /// The chance of a statistic as high as the first of `statistics`, which are in the order of
    /// [`Self::iter`]. `None` without other splits.
    pub(super) fn p_value(&self, statistics: &[f64]) -> Option<f64> {
        let (observed, others) = statistics.split_first()?;
        // Equal splits differ in their last bits.
        let least = observed - 1e-9 * observed.abs();
        let as_high = others.iter().filter(|value| **value >= least).count() as f64;
        let count = others.len() as f64;
        match (others.is_empty(), self.is_exact) {
            (true, _) => None,
            (false, true) => Some(as_high / count),
            (false, false) => Some((1.0 + as_high) / (1.0 + count)),
        }
    }
}

/// All splits, if they are few.
fn all(rows: usize, current: usize, most: usize) -> Option<Vec<Vec<bool>>> {
    let count = u32::try_from(rows)
        .ok()
        .filter(|rows| *rows <= MOST_COUNTED)?;
    let masks = 0..1_u32 << count;
    let splits = masks.filter(|mask| mask.count_ones() as usize == current);
    let splits: Vec<Vec<bool>> = splits
        .take(most.saturating_add(1))
        .map(|mask| (0..count).map(|bit| mask >> bit & 1 == 1).collect())
        .collect();
    (splits.len() <= most).then_some(splits)
}

/// The rows of both windows, the reference first; `None` when they are no two windows of one space, or a
/// window has fewer than two rows or too many.
pub(super) fn pooled(reference: &Matrix, current: &Matrix) -> Option<Matrix> {
    let is_window = |rows: &Matrix| (2..=MOST_WINDOW).contains(&rows.len());
    let is_usable = is_window(reference)
        && is_window(current)
        && reference.dimensions() == current.dimensions();
    is_usable.then_some(())?;
    let mut values = reference.values().to_vec();
    values.extend_from_slice(current.values());
    let is_finite = values.iter().all(|value| value.is_finite());
    is_finite
        .then(|| Matrix::new(reference.dimensions(), values))
        .flatten()
}
