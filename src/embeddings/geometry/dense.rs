//! Small helpers between rows of numbers and faer's matrices.

use crate::embeddings::registers::settled;
use faer::linalg::matmul::{matmul, triangular};
use faer::traits::RealField;
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// Numbers a product is made in.
pub(super) trait Number: RealField + Copy {
    fn of(value: f32) -> Self;
    fn narrowed(value: f64) -> Self;
    fn wide(self) -> f64;
    fn exponential(self) -> Self;
    /// The square root; of what rounding made negative, 0.
    fn root(self) -> Self;
}

impl Number for f32 {
    fn of(value: f32) -> Self {
        value
    }

    fn narrowed(value: f64) -> Self {
        narrow(value)
    }

    fn wide(self) -> f64 {
        f64::from(self)
    }

    fn exponential(self) -> Self {
        self.exp()
    }

    fn root(self) -> Self {
        self.max(0.0).sqrt()
    }
}

impl Number for f64 {
    fn of(value: f32) -> Self {
        Self::from(value)
    }

    fn narrowed(value: f64) -> Self {
        value
    }

    fn wide(self) -> f64 {
        self
    }

    fn exponential(self) -> Self {
        self.exp()
    }

    fn root(self) -> Self {
        self.max(0.0).sqrt()
    }
}

/// The nearest `f32`.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding is what it is for"
)]
pub(super) const fn narrow(value: f64) -> f32 {
    value as f32
}

/// Rows of `columns` numbers as a matrix; numbers after the last whole row are left out.
pub(super) fn rows_of<T>(values: &[T], columns: usize) -> MatRef<'_, T> {
    let rows = values.len().checked_div(columns).unwrap_or(0);
    let whole = values.get(..rows * columns).unwrap_or_default();
    MatRef::from_row_major_slice(whole, rows, columns)
}

/// Returns `x′·y`, row by row, for rows side by side.
pub(super) fn cross_product<T: Number>(x: MatRef<'_, T>, y: MatRef<'_, T>) -> Vec<T> {
    let (rows, columns) = (x.ncols(), y.ncols());
    let mut product = vec![T::of(0.0); rows * columns];
    let into = MatMut::from_row_major_slice_mut(&mut product, rows, columns);
    matmul(into, Accum::Replace, x.transpose(), y, T::of(1.0), Par::Seq);
    settled(product)
}

/// Returns the lower triangle of `x·x′`, row by row; what is above it is 0.
pub(super) fn lower_gram<T: Number>(x: MatRef<'_, T>) -> Vec<T> {
    let size = x.nrows();
    let mut product = vec![T::of(0.0); size * size];
    triangular::matmul(
        MatMut::from_row_major_slice_mut(&mut product, size, size),
        triangular::BlockStructure::TriangularLower,
        Accum::Replace,
        x,
        triangular::BlockStructure::Rectangular,
        x.transpose(),
        triangular::BlockStructure::Rectangular,
        T::of(1.0),
        Par::Seq,
    );
    settled(product)
}

/// The whole of a symmetric matrix of which the lower triangle is known, row by row.
pub(super) fn symmetric(lower: &[f64], size: usize) -> Mat<f64> {
    let lower = rows_of(lower, size);
    Mat::from_fn(size, size, |row, column| {
        lower[(row.max(column), row.min(column))]
    })
}

/// Σ of the products of two lists.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| x * y).sum()
}

/// Σ of the products of the entries of two matrices of one shape.
pub(super) fn entries_dot(x: MatRef<'_, f64>, y: MatRef<'_, f64>) -> f64 {
    x.col_iter()
        .zip(y.col_iter())
        .map(|(x, y)| x.iter().zip(y.iter()).map(|(x, y)| x * y).sum::<f64>())
        .sum()
}

/// Adds `other` to `sums`, `sign` times.
pub(super) fn add_scaled(sums: &mut [f64], other: &[f64], sign: f64) {
    for (sum, value) in sums.iter_mut().zip(other) {
        *sum += sign * value;
    }
}

/// The values of a matrix, row by row.
pub(super) fn row_major(matrix: MatRef<'_, f64>) -> Vec<f64> {
    let rows = matrix.row_iter();
    rows.flat_map(|row| row.iter().copied()).collect()
}

/// A figure, unless it is none.
pub(super) fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}
