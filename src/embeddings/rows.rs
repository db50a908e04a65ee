//! Vectors in rows, wherever they are: in memory, or in files that are read block by block.

use crate::embeddings::Error;

/// Rows of vectors that can be read in any order, by several threads at once.
pub trait Rows: Sync {
    /// Returns how many rows there are.
    fn len(&self) -> usize;

    /// Returns how long a row is.
    fn dimensions(&self) -> usize;

    /// Reads the rows from `first` on into `into`, whose length is a multiple of [`Rows::dimensions`] and
    /// does not reach beyond the last row.
    ///
    /// # Errors
    ///
    /// What reading files gives; a checksum that does not hold.
    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), Error>;

    /// Returns whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the rows, if they are in memory: nobody has to copy them then.
    fn in_memory(&self) -> Option<&[f32]> {
        None
    }
}

/// Rows in memory.
///
/// Invariant: the number of values is a multiple of the dimensions.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    dimensions: usize,
    values: Vec<f32>,
}

impl Matrix {
    /// Returns a matrix of `values`, row by row; `None` when they are no whole number of rows.
    #[must_use]
    pub fn new(dimensions: usize, values: Vec<f32>) -> Option<Self> {
        let is_whole = match dimensions {
            0 => values.is_empty(),
            _ => values.len().is_multiple_of(dimensions),
        };
        is_whole.then_some(Self { dimensions, values })
    }

    /// Returns a row.
    #[must_use]
    pub fn row(&self, index: usize) -> Option<&[f32]> {
        let start = index.checked_mul(self.dimensions)?;
        self.values.get(start..start.checked_add(self.dimensions)?)
    }

    /// Returns all values, row by row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// Takes all values, row by row.
    #[must_use]
    pub fn into_values(self) -> Vec<f32> {
        self.values
    }
}

impl Rows for Matrix {
    fn len(&self) -> usize {
        self.values.len().checked_div(self.dimensions).unwrap_or(0)
    }

    fn dimensions(&self) -> usize {
        self.dimensions
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), Error> {
        let start = first.saturating_mul(self.dimensions);
        let values = self.values.get(start..start.saturating_add(into.len()));
        into.copy_from_slice(values.ok_or(Error::NoSuchRow { row: first })?);
        Ok(())
    }

    fn in_memory(&self) -> Option<&[f32]> {
        Some(&self.values)
    }
}

/// Returns the cosine of the angle between two vectors, in double precision; `None` when their lengths differ
/// or one has no direction.
#[must_use]
pub fn cosine(one: &[f32], other: &[f32]) -> Option<f64> {
    if one.len() != other.len() {
        return None;
    }
    let (mut product, mut one_square, mut other_square) = (0.0, 0.0, 0.0);
    for (x, y) in one.iter().zip(other) {
        let (x, y) = (f64::from(*x), f64::from(*y));
        product += x * y;
        one_square += x * x;
        other_square += y * y;
    }
    let cosine = product / (one_square * other_square).sqrt();
    cosine.is_finite().then_some(cosine)
}
