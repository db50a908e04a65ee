//! What a score of two spaces is when they have nothing to do with each other: the same rows, with B's in
//! a random order.
//!
//! Global scores rise with dimensions and fall with rows; without their null they say little.

use crate::embeddings::Matrix;
use crate::embeddings::Rows;
use crate::embeddings::geometry::moments::Moments;
use crate::stats::{Random, mean, quantile};

/// A score beside what chance gives.
#[derive(Debug, Clone, PartialEq)]
pub struct Null {
    /// The score.
    pub score: f64,
    /// Its mean under chance.
    pub mean: f64,
    /// What chance exceeds once in twenty times.
    pub high: f64,
    /// The chance of such a score or a higher one: (1 + as high)/(1 + tried).
    pub p_value: f64,
}

/// Returns a score of two spaces, and the same from `permutations` random orders of B's rows.
///
/// A hundred orders of a sample of 2 000 rows are usual. `None` when the rows differ in number, without
/// permutations, or when the score is `None` anywhere.
#[must_use]
pub fn permutation_null(
    a: &Matrix,
    b: &Matrix,
    permutations: usize,
    seed: u64,
    score: impl Fn(&Moments) -> Option<f64>,
) -> Option<Null> {
    let moments = Moments::of(a, b)?;
    let observed = score(&moments)?;
    let mut random = Random::from_seed(seed);
    let mut order: Vec<usize> = (0..b.len()).collect();
    let mut values = Vec::with_capacity(permutations);
    for _ in 0..permutations {
        shuffle(&mut order, &mut random);
        let rows = order.iter().filter_map(|row| b.row(*row));
        let shuffled: Vec<f32> = rows.flatten().copied().collect();
        values.push(score(&moments.paired_anew(a.values(), &shuffled)?)?);
    }
    let as_high = values.iter().filter(|value| **value >= observed).count();
    Some(Null {
        score: observed,
        mean: mean(&values)?,
        high: quantile(&values, 0.95)?,
        p_value: (1 + as_high) as f64 / (1 + permutations) as f64,
    })
}

/// Puts a list into a random order (Fisher and Yates).
pub(super) fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for end in (1..list.len()).rev() {
        list.swap(end, random.below(end + 1));
    }
}
