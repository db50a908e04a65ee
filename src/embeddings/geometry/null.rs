//! What a score of two spaces is when they have nothing to do with each other: the same rows, with B's in
//! a random order.
//!
//! Global scores rise with dimensions and fall with rows; without their null they say little.

use crate::embeddings::Matrix;
use crate::embeddings::Rows;
use crate::embeddings::geometry::moments::Moments;
use crate::embeddings::geometry::span::in_own_span;
use crate::stats::{Random, mean, quantile};
use std::thread;

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

/// Returns the Procrustes similarity that chance gives `rows` rows: the mean of some random orders of the rows
/// of B, which are a sample, brought to the larger number by its root.
///
/// The sum of a matrix's many singular values hardly varies, so few orders say it: three to a hundredth. The
/// entries of the matrix between two unrelated spaces shrink with the root of the number of rows, and with
/// them the sum. `None` as for [`permutation_null`].
#[must_use]
pub fn procrustes_chance(
    a: &Matrix,
    b: &Matrix,
    (orders, seed): (u64, u64),
    rows: usize,
) -> Option<f64> {
    let (a, b) = (&*in_own_span(a), &*in_own_span(b));
    let mut moments = Moments::new(a.dimensions(), b.dimensions());
    moments.add(a.values(), b.values())?;
    let score = |number: u64| {
        let mut order: Vec<usize> = (0..b.len()).collect();
        shuffle(&mut order, &mut Random::from_seed(seed ^ number << 20));
        let rows = order.iter().filter_map(|row| b.row(*row));
        let shuffled: Vec<f32> = rows.flatten().copied().collect();
        moments
            .paired_anew(a.values(), &shuffled)?
            .procrustes_similarity()
    };
    let values: Option<Vec<f64>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..orders)
            .map(|number| scope.spawn(move || score(number)))
            .collect();
        let values = threads.into_iter().map(|thread| thread.join().ok()?);
        values.collect()
    });
    let shrunk = (a.len().checked_sub(1)? as f64 / rows.checked_sub(1)?.max(1) as f64).sqrt();
    Some(mean(&values?)? * shrunk.min(1.0))
}

/// Returns the mean canonical correlation that chance gives unrelated spaces of so many dimensions and rows.
///
/// By Wachter's law (1980) of the squares. `None` where there are no more rows than dimensions of both.
#[must_use]
pub fn cca_chance(dimensions: [usize; 2], rows: usize) -> Option<f64> {
    const STEPS: u32 = 2_000;
    let n = rows.checked_sub(1)?;
    let [few, many] = [dimensions.into_iter().min()?, dimensions.into_iter().max()?];
    if few == 0 || n <= few + many {
        return None;
    }
    let [p, q] = [few, many].map(|count| count as f64 / n as f64);
    let (one, other) = ((q * (1.0 - p)).sqrt(), (p * (1.0 - q)).sqrt());
    let [low, high] = [(one - other).powi(2), (one + other).powi(2)];
    let (middle, radius) = (f64::midpoint(low, high), (high - low) / 2.0);
    // In angles the density has no corners.
    let (mut whole, mut sum) = (0.0, 0.0);
    for step in 0..STEPS {
        let angle = (f64::from(step) + 0.5) / f64::from(STEPS) * std::f64::consts::PI;
        let square = (middle + radius * angle.cos()).clamp(f64::MIN_POSITIVE, 1.0);
        let weight = angle.sin().powi(2) / (square * (1.0 - square));
        whole += weight;
        sum += weight * square.sqrt();
    }
    Some(sum / whole)
}

/// Puts a list into a random order (Fisher and Yates).
pub(super) fn shuffle<T>(list: &mut [T], random: &mut Random) {
    for end in (1..list.len()).rev() {
        list.swap(end, random.below(end + 1));
    }
}
