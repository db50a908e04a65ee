//! One object that gives a dozen figures: sums over pairs of rows, those of an item in A and in B.
//!
//! It adds up, so blocks, threads and folds are looked at apart and merged, and a fold taken out again
//! gives the error of every figure for free.

use crate::embeddings::Matrix;
use crate::embeddings::Rows;
use crate::embeddings::geometry::dense::{add_row, add_scaled, dot, rows_of, square};
use crate::embeddings::geometry::shape::{BLOCK, Shape, add_cross, subtract_outer};
use faer::{Mat, MatRef};
use serde::{Deserialize, Serialize};

/// Sums over pairs of rows: the vector of an item in A, and the one in B. The two sides may be of
/// different lengths.
///
/// Zero rows and rows with values that are not finite are the caller's to leave out, on both sides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moments {
    pub(super) a: Shape,
    pub(super) b: Shape,
    is_exact: bool,
    /// Σ a·b′, row by row.
    pub(super) cross: Vec<f64>,
    /// Σ a·|b|²
    pub(super) a_by_b: Vec<f64>,
    /// Σ b·|a|²
    pub(super) b_by_a: Vec<f64>,
    /// Σ |a|²·|b|²
    pub(super) squares: f64,
}

impl Moments {
    /// Returns the sums over no pairs. Products are made in `f32` and added up in `f64`: figures are right
    /// to about 1e-5. They take 8·(a² + b² + a·b) bytes.
    #[must_use]
    pub fn new(a_dimensions: usize, b_dimensions: usize) -> Self {
        Self::of_sides(Shape::new(a_dimensions), Shape::new(b_dimensions), false)
    }

    /// Returns the sums over no pairs, whose products are made in `f64`: half as fast, right to about
    /// 1e-10. For fits, and for sets that are small.
    #[must_use]
    pub fn exact(a_dimensions: usize, b_dimensions: usize) -> Self {
        Self::of_sides(Shape::exact(a_dimensions), Shape::exact(b_dimensions), true)
    }

    /// Returns the exact sums over two matrices whose rows belong together. `None` when they differ in
    /// rows, or have none.
    #[must_use]
    pub fn of(a: &Matrix, b: &Matrix) -> Option<Self> {
        let mut moments = Self::exact(a.dimensions(), b.dimensions());
        moments.add(a.values(), b.values())?;
        (moments.count() > 0).then_some(moments)
    }

    fn of_sides(a: Shape, b: Shape, is_exact: bool) -> Self {
        Self {
            is_exact,
            cross: vec![0.0; a.dimensions() * b.dimensions()],
            a_by_b: vec![0.0; a.dimensions()],
            b_by_a: vec![0.0; b.dimensions()],
            squares: 0.0,
            a,
            b,
        }
    }

    /// Returns how many pairs were added.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.a.count()
    }

    /// Returns A alone.
    #[must_use]
    pub const fn a(&self) -> &Shape {
        &self.a
    }

    /// Returns B alone.
    #[must_use]
    pub const fn b(&self) -> &Shape {
        &self.b
    }

    /// Adds pairs of rows. `None`, and nothing is added, when the sides are not the same whole number of
    /// rows.
    #[must_use]
    pub fn add(&mut self, a_rows: &[f32], b_rows: &[f32]) -> Option<()> {
        self.check(a_rows, b_rows)?;
        self.a.add(a_rows)?;
        self.b.add(b_rows)?;
        self.add_pairs(a_rows, b_rows);
        Some(())
    }

    /// Adds what other pairs gave. `None`, and nothing changes, when their dimensions are others.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> Option<()> {
        self.combine(other, 1.0)
    }

    /// Takes out pairs that were added or merged before. `None`, and nothing changes, when their
    /// dimensions are others, or they are more than there are.
    #[must_use]
    pub fn remove(&mut self, other: &Self) -> Option<()> {
        self.combine(other, -1.0)
    }

    /// Returns these sums with B's rows in another order: each side alone stays as it is, and what is
    /// between them is made anew. `None` when the rows are not those that were added, by their number.
    pub(super) fn paired_anew(&self, a_rows: &[f32], b_rows: &[f32]) -> Option<Self> {
        self.check(a_rows, b_rows)?;
        let mut moments = Self::of_sides(self.a.clone(), self.b.clone(), self.is_exact);
        moments.add_pairs(a_rows, b_rows);
        Some(moments)
    }

    /// Σ (a − μ)(b − ν)′
    pub(super) fn centred_cross(&self) -> Option<Mat<f64>> {
        let mut cross = self.raw_cross().to_owned();
        let n = self.a.rows()?;
        subtract_outer(&mut cross, &self.a.mean()?, &self.b.mean()?, n);
        Some(cross)
    }

    /// Σ a·b′
    pub(super) fn raw_cross(&self) -> MatRef<'_, f64> {
        rows_of(&self.cross, self.b.dimensions())
    }

    fn check(&self, a_rows: &[f32], b_rows: &[f32]) -> Option<()> {
        let rows = |values: &[f32], dimensions: usize| -> Option<usize> {
            let rows = values.len().checked_div(dimensions)?;
            (rows * dimensions == values.len()).then_some(rows)
        };
        let a = rows(a_rows, self.a.dimensions())?;
        let b = rows(b_rows, self.b.dimensions())?;
        (a == b).then_some(())
    }

    fn add_pairs(&mut self, a_rows: &[f32], b_rows: &[f32]) {
        let (a_size, b_size) = (self.a.dimensions(), self.b.dimensions());
        let a_blocks = a_rows.chunks(BLOCK * a_size);
        for (a, b) in a_blocks.zip(b_rows.chunks(BLOCK * b_size)) {
            add_cross(&mut self.cross, (a, a_size), (b, b_size), self.is_exact);
            for (a, b) in a.chunks_exact(a_size).zip(b.chunks_exact(b_size)) {
                let (a_square, b_square) = (square(a), square(b));
                add_row(&mut self.a_by_b, a, b_square);
                add_row(&mut self.b_by_a, b, a_square);
                self.squares += a_square * b_square;
            }
        }
    }

    fn combine(&mut self, other: &Self, sign: f64) -> Option<()> {
        let is_alike = self.a.dimensions() == other.a.dimensions()
            && self.b.dimensions() == other.b.dimensions();
        let has_them = sign > 0.0 || other.count() <= self.count();
        if !is_alike || !has_them {
            return None;
        }
        if sign > 0.0 {
            self.a.merge(&other.a)?;
            self.b.merge(&other.b)?;
        } else {
            self.a.remove(&other.a)?;
            self.b.remove(&other.b)?;
        }
        add_scaled(&mut self.cross, &other.cross, sign);
        add_scaled(&mut self.a_by_b, &other.a_by_b, sign);
        add_scaled(&mut self.b_by_a, &other.b_by_a, sign);
        self.squares += sign * other.squares;
        Some(())
    }
}

/// What the unbiased estimator of HSIC needs of two sides.
pub(super) struct Kernels<'a> {
    pub(super) n: f64,
    /// ‖Σ x·y′‖², and (Σx)′(Σ x·y′)(Σy)
    pub(super) cross: (f64, f64),
    pub(super) x: (&'a [f64], f64),
    pub(super) y: (&'a [f64], f64),
    /// Σ x·|y|² and Σ y·|x|²
    pub(super) by_other: (&'a [f64], &'a [f64]),
    pub(super) squares: f64,
}

impl Kernels<'_> {
    /// HSIC of Song and others (2012) for linear kernels, from sums alone.
    pub(super) fn hsic(&self) -> Option<f64> {
        let n = self.n;
        if n < 4.0 {
            return None;
        }
        let (x_sum, x_squares) = self.x;
        let (y_sum, y_squares) = self.y;
        let both = self.cross.0 - self.squares;
        let x_all = dot(x_sum, x_sum) - x_squares;
        let y_all = dot(y_sum, y_sum) - y_squares;
        let chained =
            self.cross.1 - dot(x_sum, self.by_other.0) - dot(y_sum, self.by_other.1) + self.squares;
        let value = both + x_all * y_all / ((n - 1.0) * (n - 2.0)) - 2.0 / (n - 2.0) * chained;
        let value = value / (n * (n - 3.0));
        value.is_finite().then_some(value)
    }
}
