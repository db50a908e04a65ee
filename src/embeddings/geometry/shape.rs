//! The moments of one set of vectors, and what they tell about its shape.

use crate::embeddings::geometry::dense::{
    Number, add_row, add_scaled, cross_product, dot, finite, lower_gram, rows_of, square, symmetric,
};
use crate::embeddings::registers::settled;
use faer::{Mat, MatRef, Side};
use serde::{Deserialize, Serialize};

/// So many rows are multiplied in `f32` before their products go to the sums in `f64`.
pub(super) const BLOCK: usize = 2_048;

/// Sums over the rows of one set of vectors. They add up: sets that were looked at apart can be merged,
/// and taken out again.
///
/// Zero rows and rows with values that are not finite are the caller's to leave out: a zero row has no
/// direction, and one NaN makes every figure `None`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    dimensions: usize,
    is_exact: bool,
    pub(super) count: u64,
    /// Σ x
    pub(super) sum: Vec<f64>,
    /// Σ x·x′, the lower triangle.
    pub(super) products: Vec<f64>,
    /// Σ x/|x|
    directions: Vec<f64>,
    /// Σ x·|x|²
    pub(super) by_square: Vec<f64>,
    /// Σ |x|
    norms: f64,
    /// Σ |x|²
    pub(super) squares: f64,
    /// Σ |x|⁴
    pub(super) fourths: f64,
}

impl Shape {
    /// Returns the sums over no rows of `dimensions` values. Products are made in `f32` and added up in
    /// `f64`: figures are right to about 1e-5.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            is_exact: false,
            count: 0,
            sum: vec![0.0; dimensions],
            products: vec![0.0; dimensions * dimensions],
            directions: vec![0.0; dimensions],
            by_square: vec![0.0; dimensions],
            norms: 0.0,
            squares: 0.0,
            fourths: 0.0,
        }
    }

    /// Returns the sums over no rows, whose products are made in `f64`: half as fast, right to about
    /// 1e-10. For fits, and for sets that are small.
    #[must_use]
    pub fn exact(dimensions: usize) -> Self {
        Self {
            is_exact: true,
            ..Self::new(dimensions)
        }
    }

    /// Returns how long a row is.
    #[must_use]
    pub const fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Returns how many rows were added.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Adds rows. `None`, and nothing is added, when they are no whole number of rows.
    #[must_use]
    pub fn add(&mut self, rows: &[f32]) -> Option<()> {
        let is_whole = 0 < self.dimensions && rows.len().is_multiple_of(self.dimensions);
        if !is_whole {
            return None;
        }
        for block in rows.chunks(BLOCK * self.dimensions) {
            if self.is_exact {
                let wide: Vec<f64> = block.iter().copied().map(f64::from).collect();
                self.add_products(&wide);
            } else {
                self.add_products(block);
            }
            for row in block.chunks_exact(self.dimensions) {
                self.add_row(row);
            }
        }
        Some(())
    }

    /// Adds what another set has. `None`, and nothing changes, when its rows are of another length.
    #[must_use]
    pub fn merge(&mut self, other: &Self) -> Option<()> {
        self.combine(other, 1.0)
    }

    /// Takes out what was added or merged before. `None`, and nothing changes, when the rows are of
    /// another length or more than there are.
    #[must_use]
    pub fn remove(&mut self, other: &Self) -> Option<()> {
        self.combine(other, -1.0)
    }

    /// Returns the mean of the rows; `None` without rows.
    #[must_use]
    pub fn mean(&self) -> Option<Vec<f64>> {
        let n = self.rows()?;
        let mean: Vec<f64> = self.sum.iter().map(|sum| sum / n).collect();
        mean.iter().all(|value| value.is_finite()).then_some(mean)
    }

    /// Returns the mean length of the rows; `None` without rows.
    #[must_use]
    pub fn mean_norm(&self) -> Option<f64> {
        finite(self.norms / self.rows()?)
    }

    /// Returns the mean cosine of two different rows. Near 0 the directions are spread out; the nearer to
    /// 1, the narrower the cone they lie in. `None` with fewer than two rows.
    #[must_use]
    pub fn mean_pair_cosine(&self) -> Option<f64> {
        let n = self.rows().filter(|n| *n >= 2.0)?;
        let together = dot(&self.directions, &self.directions);
        finite((together - n) / (n * (n - 1.0)))
    }

    /// Returns the variances along the principal axes (with n − 1), the largest first. `None` with fewer
    /// than two rows.
    #[must_use]
    pub fn spectrum(&self) -> Option<Vec<f64>> {
        let n = self.rows().filter(|n| *n >= 2.0)?;
        let values = settled(self.centred()?.self_adjoint_eigenvalues(Side::Lower)).ok()?;
        let falling = values.iter().rev();
        Some(falling.map(|value| value.max(0.0) / (n - 1.0)).collect())
    }

    /// Returns the squared distance of Fréchet from the normal distribution of one set to that of another
    /// of the same space: |μ₁ − μ₂|² + tr(Σ₁ + Σ₂ − 2·(Σ₁^½ Σ₂ Σ₁^½)^½).
    ///
    /// `None` when the rows are of different lengths, or with fewer than two in either.
    #[must_use]
    pub fn frechet(&self, other: &Self) -> Option<f64> {
        let (here, there) = (self.covariance()?, other.covariance()?);
        let apart = self.centroid_distance(other)?;
        let split = settled(here.self_adjoint_eigen(Side::Lower)).ok()?;
        let roots: Vec<f64> = split
            .S()
            .column_vector()
            .iter()
            .map(|value| value.max(0.0).sqrt())
            .collect();
        let axes = split.U();
        let scaled = Mat::from_fn(axes.nrows(), axes.ncols(), |row, column| {
            axes[(row, column)] * roots.get(column).copied().unwrap_or(0.0)
        });
        // The eigenvalues of Σ₁^½ Σ₂ Σ₁^½ are those of S·U′Σ₂U·S.
        let inner = scaled.transpose() * &there * &scaled;
        let values = settled(inner.self_adjoint_eigenvalues(Side::Lower)).ok()?;
        let shared: f64 = values.iter().map(|value| value.max(0.0).sqrt()).sum();
        let trace = |matrix: &Mat<f64>| matrix.diagonal().column_vector().iter().sum::<f64>();
        let distance = apart * apart + trace(&here) + trace(&there) - 2.0 * shared;
        finite(distance.max(0.0))
    }

    /// Returns how far the means of two sets of one space are apart (Euclidean). `None` when the rows are
    /// of different lengths, or there are none.
    #[must_use]
    pub fn centroid_distance(&self, other: &Self) -> Option<f64> {
        let (here, there) = self.means(other)?;
        let squares: f64 = here.iter().zip(&there).map(|(x, y)| (x - y).powi(2)).sum();
        finite(squares.sqrt())
    }

    /// Returns one minus the cosine of the means of two sets of one space: 0 to 2. `None` as for
    /// [`Self::centroid_distance`], or when a mean is zero.
    #[must_use]
    pub fn centroid_cosine_distance(&self, other: &Self) -> Option<f64> {
        let (here, there) = self.means(other)?;
        let lengths = (dot(&here, &here) * dot(&there, &there)).sqrt();
        (lengths > 0.0).then(|| 1.0 - dot(&here, &there) / lengths)
    }

    /// n, unless it is 0.
    pub(super) fn rows(&self) -> Option<f64> {
        (self.count > 0).then_some(self.count as f64)
    }

    /// Σ (x − μ)(x − μ)′
    pub(super) fn centred(&self) -> Option<Mat<f64>> {
        let mean = self.mean()?;
        let n = self.rows()?;
        let mut whole = symmetric(&self.products, self.dimensions);
        subtract_outer(&mut whole, &mean, &mean, n);
        Some(whole)
    }

    /// Σ |x − μ|²
    pub(super) fn spread(&self) -> Option<f64> {
        let n = self.rows()?;
        finite((self.squares - dot(&self.sum, &self.sum) / n).max(0.0))
    }

    fn covariance(&self) -> Option<Mat<f64>> {
        let n = self.rows().filter(|n| *n >= 2.0)?;
        Some(self.centred()? * faer::Scale(1.0 / (n - 1.0)))
    }

    fn means(&self, other: &Self) -> Option<(Vec<f64>, Vec<f64>)> {
        let means = (self.mean()?, other.mean()?);
        (self.dimensions == other.dimensions).then_some(means)
    }

    fn add_products<T: Number>(&mut self, block: &[T]) {
        let rows = rows_of(block, self.dimensions);
        let product = lower_gram(rows.transpose());
        for (sum, value) in self.products.iter_mut().zip(product) {
            *sum += value.wide();
        }
    }

    fn add_row(&mut self, row: &[f32]) {
        let square = square(row);
        let norm = square.sqrt();
        let per_norm = if norm > 0.0 { 1.0 / norm } else { 0.0 };
        add_row(&mut self.sum, row, 1.0);
        add_row(&mut self.directions, row, per_norm);
        add_row(&mut self.by_square, row, square);
        self.norms += norm;
        self.squares += square;
        self.fourths += square * square;
        self.count += 1;
    }

    fn combine(&mut self, other: &Self, sign: f64) -> Option<()> {
        if self.dimensions != other.dimensions {
            return None;
        }
        self.count = if sign > 0.0 {
            self.count.checked_add(other.count)?
        } else {
            self.count.checked_sub(other.count)?
        };
        for (sums, values) in [
            (&mut self.sum, &other.sum),
            (&mut self.products, &other.products),
            (&mut self.directions, &other.directions),
            (&mut self.by_square, &other.by_square),
        ] {
            add_scaled(sums, values, sign);
        }
        self.norms += sign * other.norms;
        self.squares += sign * other.squares;
        self.fourths += sign * other.fourths;
        Some(())
    }
}

/// Returns how many dimensions a spectrum has by (Σλ)²/Σλ²: all when they are equal, 1 when one has
/// everything. `None` when there is no variance.
#[must_use]
pub fn participation_ratio(spectrum: &[f64]) -> Option<f64> {
    let sum: f64 = spectrum.iter().sum();
    finite(sum * sum / dot(spectrum, spectrum))
}

/// Returns how many dimensions a spectrum has by the exponential of its entropy (Roy and Vetterli, 2007).
/// `None` when there is no variance.
#[must_use]
pub fn effective_rank(spectrum: &[f64]) -> Option<f64> {
    let sum: f64 = spectrum.iter().sum();
    let shares = spectrum.iter().map(|value| value / sum);
    let entropy: f64 = shares
        .filter(|share| *share > 0.0)
        .map(|share| -share * share.ln())
        .sum();
    (sum > 0.0).then(|| finite(entropy.exp())).flatten()
}

/// Returns how evenly a spectrum uses all its dimensions (`IsoScore`; Rudman and others, 2022): 0 for one
/// dimension, 1 for all alike. `None` with fewer than two dimensions, or without variance.
#[must_use]
pub fn iso_score(spectrum: &[f64]) -> Option<f64> {
    let n = spectrum.len() as f64;
    let length = dot(spectrum, spectrum).sqrt();
    if spectrum.len() < 2 || length <= 0.0 {
        return None;
    }
    let scale = n.sqrt() / length;
    let squares: f64 = spectrum
        .iter()
        .map(|value| (value * scale - 1.0).powi(2))
        .sum();
    let room = n - n.sqrt();
    let defect = squares / (2.0 * room);
    let used = (n - defect * room).powi(2) / (n * n);
    finite((n * used - 1.0) / (n - 1.0))
}

/// Takes n·x·y′ out of a matrix.
pub(super) fn subtract_outer(matrix: &mut Mat<f64>, x: &[f64], y: &[f64], n: f64) {
    for (column, y) in matrix.col_iter_mut().zip(y) {
        for (entry, x) in column.iter_mut().zip(x) {
            *entry -= n * x * y;
        }
    }
}

/// Adds `x′·y` to sums, in `f32` or wide.
pub(super) fn add_cross(sums: &mut [f64], x: (&[f32], usize), y: (&[f32], usize), is_exact: bool) {
    fn add<T: Number>(sums: &mut [f64], x: MatRef<'_, T>, y: MatRef<'_, T>) {
        for (sum, value) in sums.iter_mut().zip(cross_product(x, y)) {
            *sum += value.wide();
        }
    }
    if is_exact {
        let wide = |rows: &[f32]| -> Vec<f64> { rows.iter().copied().map(f64::from).collect() };
        let (wide_x, wide_y) = (wide(x.0), wide(y.0));
        add(sums, rows_of(&wide_x, x.1), rows_of(&wide_y, y.1));
    } else {
        add(sums, rows_of(x.0, x.1), rows_of(y.0, y.1));
    }
}
