//! Small helpers between rows of numbers and faer's matrices.

use crate::embeddings::registers::{settled, wide};
use faer::linalg::matmul::{matmul, triangular};
use faer::traits::RealField;
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// Numbers a product is made in.
pub(super) trait Number: RealField + Copy {
    fn of(value: f32) -> Self;
    fn narrowed(value: f64) -> Self;
    fn wide(self) -> f64;
    /// e to the power of each value times a factor; for products of at most 0.
    fn exponentials(values: &mut [Self], factor: Self);
    /// A key that is ordered as values from 0 on are.
    type Key: Ord + Copy;
    fn key(self) -> Self::Key;
    fn of_key(key: Self::Key) -> Self;
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

    fn exponentials(values: &mut [Self], factor: Self) {
        for value in values {
            *value = narrow_exponential(*value * factor);
        }
    }

    type Key = u32;

    fn key(self) -> u32 {
        self.to_bits()
    }

    fn of_key(key: u32) -> Self {
        Self::from_bits(key)
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

    fn exponentials(values: &mut [Self], factor: Self) {
        for value in values {
            *value = (*value * factor).exp();
        }
    }

    type Key = u64;

    fn key(self) -> u64 {
        self.to_bits()
    }

    fn of_key(key: u64) -> Self {
        Self::from_bits(key)
    }

    fn root(self) -> Self {
        self.max(0.0).sqrt()
    }
}

/// Returns e^x for an x of at most 0, right to 2e-7 of it and 0 below 1e-37: a few additions and products, so
/// that a loop of them is vector code. Taylor's series of what is left once the whole powers of two are off,
/// which are written into the exponent.
fn narrow_exponential(x: f32) -> f32 {
    // A float this large has no digits behind the point: adding it rounds, and its last bits count.
    const ROUNDING: f32 = 12_582_912.0;
    // ln 2 in two parts, so that a product with the first is exact.
    const LN_2: [f32; 2] = [355.0 / 512.0, -2.121_944_4e-4];
    let x = x.max(-87.0);
    let rounded = x * std::f32::consts::LOG2_E + ROUNDING;
    let whole = rounded - ROUNDING;
    let rest = x - whole * LN_2[0] - whole * LN_2[1];
    let mut series = 1.0 / 5_040.0;
    for factor in [
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        series = series * rest + factor;
    }
    let exponent = rounded.to_bits().wrapping_sub(ROUNDING.to_bits());
    series * f32::from_bits(exponent.wrapping_add(127) << 23)
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

/// Σ of the products of two lists, as far as both reach.
pub(super) fn dot(x: &[f64], y: &[f64]) -> f64 {
    let both = x.len().min(y.len());
    let (x, y) = (
        x.get(..both).unwrap_or_default(),
        y.get(..both).unwrap_or_default(),
    );
    sum(x, y, |x, y| x * y)
}

/// Σ of the squares of a row, in double precision, where no square of a value overflows or becomes 0: it is finite
/// when all values are, and 0 when they are.
pub(in crate::embeddings) fn square(row: &[f32]) -> f64 {
    sum(row, row, |x, y| f64::from(x) * f64::from(y))
}

/// Adds up what `of` makes of the pairs of two lists of one length, in eight sums that do not wait for one another.
fn sum<T: Copy>(x: &[T], y: &[T], of: impl Fn(T, T) -> f64) -> f64 {
    wide(
        #[inline(always)]
        || {
            let (xs, x_rest) = x.as_chunks::<8>();
            let (ys, y_rest) = y.as_chunks::<8>();
            let mut sums = [0.0; 8];
            for (x, y) in xs.iter().zip(ys) {
                for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
                    *sum += of(*x, *y);
                }
            }
            let rest = x_rest.iter().zip(y_rest).map(|(x, y)| of(*x, *y));
            let rest: f64 = rest.sum();
            sums.iter().sum::<f64>() + rest
        },
    )
}

/// Adds a row, so many times.
pub(super) fn add_row(sums: &mut [f64], row: &[f32], times: f64) {
    wide(
        #[inline(always)]
        || {
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value) * times;
            }
        },
    );
}

/// Σ of the products of the entries of two matrices of one shape, walked along the memory of the first.
pub(super) fn entries_dot(x: MatRef<'_, f64>, y: MatRef<'_, f64>) -> f64 {
    if x.col_stride() == 1 && x.row_stride() != 1 {
        return entries_dot(x.transpose(), y.transpose());
    }
    x.col_iter()
        .zip(y.col_iter())
        .map(|(x, y)| x.iter().zip(y.iter()).map(|(x, y)| x * y).sum::<f64>())
        .sum()
}

/// Returns `x′·M·y` of a matrix of which the rows are known one after the other.
pub(super) fn form(matrix: &[f64], x: &[f64], y: &[f64]) -> f64 {
    let rows = matrix.chunks_exact(y.len().max(1));
    rows.zip(x).map(|(row, x)| x * dot(row, y)).sum()
}

/// Returns the sum of the squares of all entries of a symmetric matrix `M` of which the lower triangle is known,
/// row by row, and `x′·M·x`.
pub(super) fn squares_and_form(lower: &[f64], x: &[f64]) -> (f64, f64) {
    let (mut squares, mut sum) = (0.0, 0.0);
    for (place, (row, own)) in lower.chunks_exact(x.len().max(1)).zip(x).enumerate() {
        let (below, rest) = row.split_at_checked(place).unwrap_or_default();
        let diagonal = rest.first().copied().unwrap_or_default();
        squares += 2.0 * dot(below, below) + diagonal * diagonal;
        sum += own * (2.0 * dot(below, x) + diagonal * own);
    }
    (squares, sum)
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

#[cfg(test)]
mod tests {
    use super::narrow_exponential;

    #[test]
    fn exponentials_are_right_to_their_last_digit_but_one() {
        for step in 0_u16..60_000 {
            let x = -f32::from(step) / 700.0;
            let exact = f64::from(x).exp();
            let error = (f64::from(narrow_exponential(x)) / exact - 1.0).abs();
            assert!(error < 2e-7, "{x}: {error}");
        }
        assert!(narrow_exponential(-1e6) < 2e-38);
    }
}
