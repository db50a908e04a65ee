//! Which requests are new: far from everything that was known, or dense where nothing was.
//!
//! Distance finds scattered oddities; the density gap finds a new topic, and its examples are right where
//! those by distance mostly are not. Show both where they differ.

use crate::embeddings::geometry::dense::{Number, cross_product, dot, narrow, rows_of};
use crate::embeddings::geometry::pairs::EXACT_ROWS;
use crate::embeddings::geometry::two_sample::near::{similarities, unit_rows};
use crate::embeddings::geometry::two_sample::splits::pooled;
use crate::embeddings::{Matrix, Rows};
use crate::stats::{MannWhitney, conformal_p_values, mann_whitney};

/// How far the rows of the current window are from the reference, beside how far the reference's own are.
#[derive(Debug, Clone, PartialEq)]
pub struct Novelty {
    /// The cosine distance of each current row to its nearest in the reference.
    pub distances: Vec<f64>,
    /// The conformal p value of each: the share of the reference that is as far from the rest of it.
    pub p_values: Vec<f64>,
    /// Whether the current rows are farther than the reference's own.
    pub rank_sum: MannWhitney,
}

/// Returns the novelty of the current rows. A reference's own distances are those to its other rows.
///
/// `None` when a window has fewer than two rows or more than 2 000, when the dimensions differ, or a row
/// is zero or not finite.
#[must_use]
pub fn novelty(reference: &Matrix, current: &Matrix) -> Option<Novelty> {
    pooled(reference, current)?;
    let distances = nearest_distances(reference, current)?;
    let own = nearest(reference, None)?;
    Some(Novelty {
        p_values: conformal_p_values(&own, &distances)?,
        rank_sum: mann_whitney(&own, &distances)?,
        distances,
    })
}

/// Returns the cosine distance of each row to its nearest in the reference. `None` when the dimensions
/// differ, the reference is empty, or a row is zero or not finite.
#[must_use]
pub fn nearest_distances(reference: &Matrix, rows: &Matrix) -> Option<Vec<f64>> {
    if reference.is_empty() || reference.dimensions() != rows.dimensions() {
        return None;
    }
    nearest(rows, Some(reference))
}

/// Returns for each current row how much denser it is around it now than it was.
///
/// That is the cosine with the k-th nearest of the other current rows, less that with the k-th nearest of
/// the reference. The highest are the examples of a new topic; a `k` of 8 is usual.
///
/// `None` as for [`novelty`], with a `k` of 0, or when a window has no `k` (other) rows.
#[must_use]
pub fn density_gaps(reference: &Matrix, current: &Matrix, k: usize) -> Option<Vec<f64>> {
    pooled(reference, current)?;
    let place = k.checked_sub(1)?;
    if current.len() <= k || reference.len() < k {
        return None;
    }
    let (known, unit) = (unit_rows(reference)?, unit_rows(current)?);
    let among = similarities(&unit, &unit, current.dimensions());
    let before = similarities(&unit, &known, current.dimensions());
    let falling = |one: &f32, other: &f32| other.total_cmp(one);
    let rows = among
        .chunks_exact(current.len())
        .zip(before.chunks_exact(reference.len()));
    let gaps = rows.enumerate().map(|(row, (among, before))| {
        let others = among.iter().enumerate().filter(|(other, _)| *other != row);
        let mut others: Vec<f32> = others.map(|(_, value)| *value).collect();
        let mut before = before.to_vec();
        let (_, now, _) = others.select_nth_unstable_by(place, falling);
        let (_, then, _) = before.select_nth_unstable_by(place, falling);
        f64::from(*now) - f64::from(*then)
    });
    Some(gaps.collect())
}

/// The cosine distance of each row to its nearest among others, or among the other rows.
fn nearest(rows: &Matrix, others: Option<&Matrix>) -> Option<Vec<f64>> {
    let size = rows.dimensions();
    let own = wide_units(rows)?;
    let known = others.map_or_else(|| Some(own.clone()), wide_units)?;
    let is_same = others.is_none();
    if rows.len() <= EXACT_ROWS {
        return Some(nearest_in(&own, &known, size, is_same));
    }
    let narrowed = |values: &[f64]| -> Vec<f32> { values.iter().copied().map(narrow).collect() };
    Some(nearest_in(
        &narrowed(&own),
        &narrowed(&known),
        size,
        is_same,
    ))
}

fn nearest_in<T: Number>(x: &[T], y: &[T], size: usize, is_same: bool) -> Vec<f64> {
    let (rows, known) = (rows_of(x, size), rows_of(y, size));
    let products = cross_product(rows.transpose(), known.transpose());
    let each = products.chunks_exact(known.nrows().max(1)).enumerate();
    each.map(|(row, products)| {
        let others = products.iter().enumerate();
        let others = others.filter(|(other, _)| !(is_same && *other == row));
        let nearest = others.map(|(_, product)| product.wide()).reduce(f64::max);
        1.0 - nearest.unwrap_or(-1.0)
    })
    .collect()
}

/// All rows at length 1; `None` when one is zero or not finite.
fn wide_units(rows: &Matrix) -> Option<Vec<f64>> {
    let mut values: Vec<f64> = rows.values().iter().copied().map(f64::from).collect();
    for row in values.chunks_exact_mut(rows.dimensions().max(1)) {
        let norm = dot(row, row).sqrt();
        if !(norm > 0.0 && norm.is_finite()) {
            return None;
        }
        for value in row {
            *value /= norm;
        }
    }
    Some(values)
}
