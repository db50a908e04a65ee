//! Whose neighbours are nearest: a concentrated new topic has its own.

use crate::embeddings::geometry::dense::{cross_product, rows_of};
use crate::embeddings::geometry::two_sample::splits::{Splits, pooled};
use crate::embeddings::{Matrix, Rows};
use serde::{Deserialize, Serialize};

/// The test of Schilling (1986) and Henze (1988).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NearTest {
    /// The share of the nearest rows, by cosine, that are of a row's own window.
    pub own: f64,
    /// That share when nothing differs.
    pub expected: f64,
    /// The chance of a share as high when nothing differs; `None` without permutations.
    pub p_value: Option<f64>,
}

/// Returns the test by the `k` nearest of each row of both windows; 15 are usual.
///
/// `None` when a window has fewer than two rows or more than 2 000, when the dimensions differ, `k` is 0 or
/// not below the number of rows, or a row is zero or not finite.
#[must_use]
pub fn nearest_neighbour_test(
    reference: &Matrix,
    current: &Matrix,
    k: usize,
    (permutations, seed): (usize, u64),
) -> Option<NearTest> {
    let pool = pooled(reference, current)?;
    let lists = nearest(&pool, k)?;
    let splits = Splits::new(reference.len(), current.len(), permutations, seed);
    let shares: Vec<f64> = splits
        .iter()
        .map(|split| own_share(&lists, split))
        .collect();
    let (n, m) = (reference.len() as f64, current.len() as f64);
    let all = n + m;
    Some(NearTest {
        own: *shares.first()?,
        expected: (n * (n - 1.0) + m * (m - 1.0)) / (all * (all - 1.0)),
        p_value: splits.p_value(&shares),
    })
}

fn own_share(lists: &[Vec<usize>], split: &[bool]) -> f64 {
    let (mut own, mut all) = (0_usize, 0);
    for (list, label) in lists.iter().zip(split) {
        let labels = list.iter().filter_map(|row| split.get(*row));
        own += labels.filter(|other| *other == label).count();
        all += list.len();
    }
    own as f64 / all as f64
}

/// The `k` nearest rows of each row, itself left out, in no order.
fn nearest(rows: &Matrix, k: usize) -> Option<Vec<Vec<usize>>> {
    let count = rows.len();
    if k == 0 || k >= count {
        return None;
    }
    let unit = unit_rows(rows)?;
    let products = similarities(&unit, &unit, rows.dimensions());
    let mut lists = Vec::with_capacity(count);
    for (row, products) in products.chunks_exact(count).enumerate() {
        let mut others: Vec<(usize, f32)> = products
            .iter()
            .copied()
            .enumerate()
            .filter(|(other, _)| *other != row)
            .collect();
        others.select_nth_unstable_by(k - 1, |one, other| {
            other.1.total_cmp(&one.1).then_with(|| one.0.cmp(&other.0))
        });
        lists.push(others.into_iter().take(k).map(|(other, _)| other).collect());
    }
    Some(lists)
}

/// All rows at length 1; `None` when one is zero or not finite.
pub(super) fn unit_rows(rows: &Matrix) -> Option<Vec<f32>> {
    let mut unit = rows.values().to_vec();
    for row in unit.chunks_exact_mut(rows.dimensions().max(1)) {
        let square: f64 = row.iter().map(|value| f64::from(*value).powi(2)).sum();
        if !(square > 0.0 && square.is_finite()) {
            return None;
        }
        let scale = 1.0 / square.sqrt();
        for value in row {
            *value = super::super::dense::narrow(f64::from(*value) * scale);
        }
    }
    Some(unit)
}

/// The products of each of `x` with each of `y`, row by row.
pub(super) fn similarities(x: &[f32], y: &[f32], dimensions: usize) -> Vec<f32> {
    let (x, y) = (rows_of(x, dimensions), rows_of(y, dimensions));
    cross_product(x.transpose(), y.transpose())
}
