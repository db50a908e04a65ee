//! Tests by the distances of all pairs: maximum mean discrepancy and energy distance.
//!
//! One matrix of all pairs serves every split: what a split needs of it are the sums within and between its
//! parts, and these are one product with a matrix of zeros and ones.

use crate::embeddings::geometry::dense::{Number, finite, lower_gram, rows_of};
use crate::embeddings::geometry::pairs::EXACT_ROWS;
use crate::embeddings::geometry::two_sample::splits::{Splits, pooled};
use crate::embeddings::registers::leave_wide_vectors;
use crate::embeddings::{Matrix, Rows};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, MatMut, Par};
use serde::{Deserialize, Serialize};

/// A distance of two windows, and its chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KernelTest {
    /// The estimate without bias: about 0 when nothing differs, also below.
    pub unbiased: f64,
    /// The estimate with bias, which is never below 0.
    pub biased: f64,
    /// The chance of an unbiased estimate as high when nothing differs; `None` without permutations.
    pub p_value: Option<f64>,
    /// The deviation of the unbiased estimate when nothing differs, by the permutations.
    pub deviation: Option<f64>,
    /// Whether all splits were counted, and not a sample of them.
    pub is_exact: bool,
}

/// Returns the squared maximum mean discrepancy (Gretton and others, 2012) of the windows with the kernel
/// e^(−γ·|x − y|²); `gamma` is [`median_gamma`] when not given. About 200 permutations are usual.
///
/// `None` when a window has fewer than two rows or more than 2 000, when the dimensions differ, a value is
/// not finite, γ is not above 0, or all rows are alike.
#[must_use]
pub fn mmd(
    reference: &Matrix,
    current: &Matrix,
    gamma: Option<f64>,
    (permutations, seed): (usize, u64),
) -> Option<KernelTest> {
    let pool = pooled(reference, current)?;
    let splits = Splits::new(reference.len(), current.len(), permutations, seed);
    if pool.len() <= EXACT_ROWS {
        let wide: Vec<f64> = pool.values().iter().copied().map(f64::from).collect();
        mmd_in(squares(&wide, pool.dimensions()), gamma, &splits)
    } else {
        mmd_in(squares(pool.values(), pool.dimensions()), gamma, &splits)
    }
}

/// Returns the squared energy distance of the windows (Székely and Rizzo, 2013),
/// 2·E|x − y| − E|x − x′| − E|y − y′|; the biased estimate counts each row's distance to itself.
///
/// `None` as for [`mmd`].
#[must_use]
pub fn energy_distance(
    reference: &Matrix,
    current: &Matrix,
    (permutations, seed): (usize, u64),
) -> Option<KernelTest> {
    let pool = pooled(reference, current)?;
    let splits = Splits::new(reference.len(), current.len(), permutations, seed);
    if pool.len() <= EXACT_ROWS {
        let wide: Vec<f64> = pool.values().iter().copied().map(f64::from).collect();
        energy_in(squares(&wide, pool.dimensions()), &splits)
    } else {
        energy_in(squares(pool.values(), pool.dimensions()), &splits)
    }
}

/// Returns γ = 1/(2·σ²) with σ the median distance of two rows of the pooled windows. `None` as for
/// [`mmd`].
#[must_use]
pub fn median_gamma(reference: &Matrix, current: &Matrix) -> Option<f64> {
    let pool = pooled(reference, current)?;
    let wide: Vec<f64> = pool.values().iter().copied().map(f64::from).collect();
    gamma_of(&squares(&wide, pool.dimensions()), pool.len())
}

/// The squared distances of all pairs, below the diagonal of a whole table, row by row; 0 elsewhere. The
/// table of products becomes it in place.
fn squares<T: Number>(values: &[T], dimensions: usize) -> Vec<T> {
    let rows = rows_of(values, dimensions);
    let mut table = lower_gram(rows);
    let size = rows.nrows();
    let own: Vec<T> = table.iter().step_by(size + 1).copied().collect();
    for ((row, products), square) in table.chunks_exact_mut(size.max(1)).enumerate().zip(&own) {
        for (product, other) in products.iter_mut().zip(&own).take(row) {
            let distance = *square + *other - *product - *product;
            *product = if distance > T::of(0.0) {
                distance
            } else {
                T::of(0.0)
            };
        }
        if let Some(diagonal) = products.get_mut(row) {
            *diagonal = T::of(0.0);
        }
    }
    table
}

/// The rows of a table up to its diagonal.
fn below<T>(table: &[T], size: usize) -> impl Iterator<Item = &[T]> {
    let rows = table.chunks_exact(size.max(1)).enumerate();
    rows.map(|(row, values)| values.get(..row).unwrap_or_default())
}

fn below_mut<T>(table: &mut [T], size: usize) -> impl Iterator<Item = &mut [T]> {
    let rows = table.chunks_exact_mut(size.max(1)).enumerate();
    rows.map(|(row, values)| values.get_mut(..row).unwrap_or_default())
}

fn gamma_of<T: Number>(squares: &[T], size: usize) -> Option<f64> {
    let mut keys = Vec::with_capacity(size * size.saturating_sub(1) / 2);
    for row in below(squares, size) {
        keys.extend(row.iter().map(|square| square.key()));
    }
    // The median of the distances, not of their squares: between two in the middle they differ.
    let distance = |key: T::Key| T::of_key(key).root().wide();
    let (middle, is_even) = (keys.len() / 2, keys.len().is_multiple_of(2));
    if keys.is_empty() {
        return None;
    }
    let (lower, upper, _) = keys.select_nth_unstable(middle);
    let upper = distance(*upper);
    let sigma = if is_even {
        f64::midpoint(distance(lower.iter().copied().max()?), upper)
    } else {
        upper
    };
    (sigma.is_finite() && sigma > 0.0).then(|| 1.0 / (2.0 * sigma * sigma))
}

fn mmd_in<T: Number>(
    mut squares: Vec<T>,
    gamma: Option<f64>,
    splits: &Splits,
) -> Option<KernelTest> {
    let gamma = match gamma {
        Some(gamma) => gamma,
        None => gamma_of(&squares, splits.observed.len())?,
    };
    if !(gamma.is_finite() && gamma > 0.0) {
        return None;
    }
    let factor = T::narrowed(-gamma);
    for row in below_mut(&mut squares, splits.observed.len()) {
        T::exponentials(row, factor);
    }
    test_of(&squares, splits, 1.0, 1.0)
}

fn energy_in<T: Number>(mut squares: Vec<T>, splits: &Splits) -> Option<KernelTest> {
    for square in below_mut(&mut squares, splits.observed.len()).flatten() {
        *square = square.root();
    }
    test_of(&squares, splits, 0.0, -1.0)
}

/// What lies within and between the parts of a split, each pair once.
struct Sums {
    current: f64,
    reference: f64,
    between: f64,
}

/// The test by a function of pairs (a table as [`squares`] makes it), with its value for a row and itself,
/// times `sign`.
fn test_of<T: Number>(pairs: &[T], splits: &Splits, own: f64, sign: f64) -> Option<KernelTest> {
    let current = splits
        .observed
        .iter()
        .filter(|is_current| **is_current)
        .count() as f64;
    let reference = splits.observed.len() as f64 - current;
    let sums = sums_of(pairs, splits);
    let unbiased = |sums: &Sums| {
        2.0 * sums.current / (current * (current - 1.0))
            + 2.0 * sums.reference / (reference * (reference - 1.0))
            - 2.0 * sums.between / (current * reference)
    };
    let biased = |sums: &Sums| {
        (2.0 * sums.current + own * current) / (current * current)
            + (2.0 * sums.reference + own * reference) / (reference * reference)
            - 2.0 * sums.between / (current * reference)
    };
    let statistics: Vec<f64> = sums.iter().map(|sums| sign * unbiased(sums)).collect();
    let others = statistics.get(1..).unwrap_or_default();
    Some(KernelTest {
        unbiased: finite(*statistics.first()?)?,
        biased: finite((sign * biased(sums.first()?)).max(0.0))?,
        p_value: splits.p_value(&statistics),
        deviation: crate::stats::variance(others).map(f64::sqrt),
        is_exact: splits.is_exact,
    })
}

/// The sums of every split. With L the pairs below the diagonal and z the split as zeros and ones, the
/// pairs within are z′·L·z, and those that touch a row are L·1 + L′·1.
fn sums_of<T: Number>(pairs: &[T], splits: &Splits) -> Vec<Sums> {
    let size = splits.observed.len();
    let mut touching = vec![0.0; size];
    for (row, values) in below(pairs, size).enumerate() {
        let mut own = 0.0;
        for (value, sum) in values.iter().zip(&mut touching) {
            *sum += value.wide();
            own += value.wide();
        }
        if let Some(sum) = touching.get_mut(row) {
            *sum += own;
        }
    }
    let columns = splits.iter().count();
    let mut members = Vec::with_capacity(size * columns);
    for split in splits.iter() {
        members.extend(split.iter().map(|is_in| T::of(f32::from(u8::from(*is_in)))));
    }
    let mut within = vec![T::of(0.0); size * columns];
    triangular::matmul(
        MatMut::from_column_major_slice_mut(&mut within, size, columns),
        BlockStructure::Rectangular,
        Accum::Replace,
        rows_of(pairs, size),
        BlockStructure::StrictTriangularLower,
        rows_of(&members, size).transpose(),
        BlockStructure::Rectangular,
        T::of(1.0),
        Par::Seq,
    );
    leave_wide_vectors();
    let all = touching.iter().sum::<f64>() / 2.0;
    let each = splits.iter().zip(within.chunks_exact(size));
    each.map(|(split, within)| {
        let (mut current, mut touched) = (0.0, 0.0);
        for ((is_in, within), touching) in split.iter().zip(within).zip(&touching) {
            if *is_in {
                current += within.wide();
                touched += touching;
            }
        }
        let between = touched - 2.0 * current;
        Sums {
            current,
            between,
            reference: all - current - between,
        }
    })
    .collect()
}
