//! The look at every vector before any figure: which have no direction, and which are not as long as
//! their space says.

use crate::embeddings::Error;
use crate::embeddings::rows::Rows;

/// How many values are read at once.
const BLOCK_VALUES: usize = 1 << 20;
/// How far from 1 a length may be, squared: twice 1e-3.
const UNIT_SQUARE: f64 = 2e-3;

/// What was found on a side.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Norms {
    /// Rows that cannot be ranked: all zero, or not finite.
    pub(super) unusable: Vec<usize>,
    /// How many of them are not finite.
    pub(super) not_finite: usize,
    /// How many of the others are not of length 1.
    pub(super) not_unit: usize,
}

/// Looks at every row once.
pub(super) fn norms(rows: &dyn Rows) -> Result<Norms, Error> {
    let dimensions = rows.dimensions().max(1);
    let block = (BLOCK_VALUES / dimensions).max(1);
    let mut found = Norms::default();
    if let Some(values) = rows.in_memory() {
        found.look(values, dimensions, 0);
        return Ok(found);
    }
    let mut values = vec![0.0; block.min(rows.len()) * dimensions];
    let mut first = 0;
    while first < rows.len() {
        let count = block.min(rows.len() - first);
        if let Some(part) = values.get_mut(..count * dimensions) {
            rows.read(first, part)?;
            found.look(part, dimensions, first);
        }
        first += count;
    }
    Ok(found)
}

impl Norms {
    fn look(&mut self, values: &[f32], dimensions: usize, first: usize) {
        for (row, vector) in values.chunks_exact(dimensions).enumerate() {
            let square = f64::from(square(vector));
            if !square.is_finite() {
                self.not_finite += 1;
                self.unusable.push(first + row);
            } else if square <= 0.0 {
                self.unusable.push(first + row);
            } else if UNIT_SQUARE < (square - 1.0).abs() {
                self.not_unit += 1;
            }
        }
    }
}

/// The squared length, in eight sums that a processor adds at once.
fn square(vector: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let whole = vector.chunks_exact(8);
    let rest: f32 = whole.remainder().iter().map(|value| value * value).sum();
    for eight in whole {
        for (sum, value) in sums.iter_mut().zip(eight) {
            *sum += value * value;
        }
    }
    rest + sums.iter().sum::<f32>()
}

#[cfg(test)]
mod tests {
    use super::{Norms, norms};
    use crate::embeddings::Matrix;

    #[test]
    fn odd_vectors_are_counted() {
        let values = vec![
            1.0,
            0.0,
            0.0,
            0.0,
            0.6,
            0.8,
            f32::NAN,
            1.0,
            3.0,
            4.0,
            0.7075,
            0.7075,
        ];
        let found = norms(&Matrix::new(2, values).unwrap()).unwrap();
        let expected = Norms {
            unusable: vec![1, 3],
            not_finite: 1,
            not_unit: 1,
        };
        assert_eq!(found, expected);
    }
}
