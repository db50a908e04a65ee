//! A picture of both spaces: the first two principal axes of A, and B turned onto A before it is drawn.
//!
//! Without the turn arrows from A to B would show nothing but that two spaces have different axes.

use crate::embeddings::geometry::dense::{dot, rows_of};
use crate::embeddings::geometry::fit::{Direction, turn_and_strength};
use crate::embeddings::geometry::moments::Moments;
use crate::embeddings::geometry::span::in_own_span;
use crate::embeddings::registers::settled;
use crate::embeddings::{Matrix, Rows};
use faer::{Mat, Side};

/// Points on a plane.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// The share of A's variance that the plane shows.
    pub shown: f64,
    /// Where the rows of A are.
    pub a: Vec<[f64; 2]>,
    /// Where the rows of B are once B is moved, turned and scaled onto A (centred Procrustes).
    pub b: Vec<[f64; 2]>,
}

/// Returns both on the plane of A's first two principal axes.
///
/// Each axis points to where its largest component is positive. `None` when the rows differ in number, with
/// fewer than three, when A has fewer than two dimensions, or a side no spread.
#[must_use]
pub fn pca_plane(a: &Matrix, b: &Matrix) -> Option<Plane> {
    if a.len() < 3 || a.dimensions() < 2 {
        return None;
    }
    // Neither the axes nor the turn leave the span of the rows.
    let (a, b) = (&*in_own_span(a), &*in_own_span(b));
    let moments = Moments::of(a, b)?;
    let centred = moments.a.centred()?;
    let split = settled(centred.self_adjoint_eigen(Side::Lower)).ok()?;
    let values: Vec<f64> = split.S().column_vector().iter().rev().copied().collect();
    let whole: f64 = values.iter().map(|value| value.max(0.0)).sum();
    let spread = moments.b.spread()?;
    if whole <= 0.0 || spread <= 0.0 {
        return None;
    }
    let last = a.dimensions() - 1;
    let axis = |back: usize| -> Vec<f64> {
        let axis: Vec<f64> = split.U().col(last - back).iter().copied().collect();
        pointed(axis)
    };
    let (first, second) = (axis(0), axis(1));
    let (turned, strength) = turn_and_strength(&moments, Direction::BToA, true)?;
    // The axes of the plane as B sees them.
    let plane = Mat::from_fn(a.dimensions(), 2, |row, column| {
        let axis = if column == 0 { &first } else { &second };
        axis.get(row).copied().unwrap_or(0.0) * strength / spread
    });
    let seen = settled(rows_of(&turned.matrix, a.dimensions()) * plane);
    let of_b = |column: usize| -> Vec<f64> { seen.col(column).iter().copied().collect() };
    Some(Plane {
        shown: values
            .iter()
            .take(2)
            .map(|value| value.max(0.0))
            .sum::<f64>()
            / whole,
        a: project(a, &moments.a.mean()?, [&first, &second]),
        b: project(b, &moments.b.mean()?, [&of_b(0), &of_b(1)]),
    })
}

/// An axis with the sign that makes its largest component positive.
fn pointed(mut axis: Vec<f64>) -> Vec<f64> {
    let largest = axis.iter().copied().reduce(|best, value| {
        if value.abs() > best.abs() {
            value
        } else {
            best
        }
    });
    if largest.is_some_and(|largest| largest < 0.0) {
        for value in &mut axis {
            *value = -*value;
        }
    }
    axis
}

fn project(rows: &Matrix, mean: &[f64], axes: [&[f64]; 2]) -> Vec<[f64; 2]> {
    let each = rows.values().chunks_exact(rows.dimensions().max(1));
    each.map(|row| {
        let moved: Vec<f64> = row
            .iter()
            .zip(mean)
            .map(|(value, mean)| f64::from(*value) - mean)
            .collect();
        axes.map(|axis| dot(&moved, axis))
    })
    .collect()
}
