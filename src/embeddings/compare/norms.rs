//! The look at every vector before any figure: which have no direction, and which are not as long as
//! their space says.

use super::report::SnapshotFacts;
use crate::embeddings::Error;
use crate::embeddings::rows::Rows;
use crate::embeddings::search::dot::dot;

/// How many values are read at once.
const BLOCK_VALUES: usize = 1 << 20;
/// How far from 1 a length may be.
const UNIT: f64 = 1e-3;
/// The same of vectors kept as int8. A step is at most 1/127, and a step over √12 is what rounding moves a length
/// by: 0.0023, of which this is more than four.
const UNIT_OF_INT8: f64 = 1e-2;

/// What was found on a side.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Norms {
    /// Rows that cannot be ranked: all zero, or not finite.
    pub(super) unusable: Vec<usize>,
    /// How many of them are not finite.
    pub(super) not_finite: usize,
    /// How many of the others are not of length 1, where they were to be.
    pub(super) not_unit: usize,
    /// How far from 1 a squared length may be.
    unit_square: Option<f64>,
}

/// Returns how far from 1 the lengths of a side may be; `None` where nobody said that they are 1, and for bits,
/// which have no length of their own.
pub(super) fn unit(facts: &SnapshotFacts) -> Option<f64> {
    match facts.precision.as_str() {
        _ if !facts.space.normalised => None,
        "binary" => None,
        "int8" => Some(UNIT_OF_INT8),
        _ => Some(UNIT),
    }
}

/// Looks at every row once; with `unit`, also whether its length is as far as that from 1.
pub(super) fn norms(rows: &dyn Rows, unit: Option<f64>) -> Result<Norms, Error> {
    let dimensions = rows.dimensions().max(1);
    let block = (BLOCK_VALUES / dimensions).max(1);
    // The square of a length near 1 is twice as far off.
    let mut found = Norms {
        unit_square: unit.map(|unit| 2.0 * unit),
        ..Norms::default()
    };
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
            let square = f64::from(dot(vector, vector));
            if !square.is_finite() {
                self.not_finite += 1;
                self.unusable.push(first + row);
            } else if square <= 0.0 {
                self.unusable.push(first + row);
            } else if self
                .unit_square
                .is_some_and(|far| far < (square - 1.0).abs())
            {
                self.not_unit += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{norms, unit};
    use crate::embeddings::Matrix;
    use crate::embeddings::render::fixtures;

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
        let rows = Matrix::new(2, values).unwrap();
        for (unit, not_unit) in [(Some(1e-3), 1), (Some(20.0), 0), (None, 0)] {
            let found = norms(&rows, unit).unwrap();
            assert_eq!((found.unusable, found.not_finite), (vec![1, 3], 1));
            assert_eq!(found.not_unit, not_unit, "{unit:?}");
        }
    }
    #[test]
    fn lengths_are_looked_at_where_they_were_promised_and_as_finely_as_they_are_kept() {
        let mut facts = fixtures::small().a;
        for (precision, is_normalised, wanted) in [
            ("f32", true, Some(1e-3)),
            ("f16", true, Some(1e-3)),
            ("int8", true, Some(1e-2)),
            ("binary", true, None),
            ("f32", false, None),
        ] {
            facts.precision = precision.to_owned();
            facts.space.normalised = is_normalised;
            assert_eq!(unit(&facts), wanted, "{precision} {is_normalised}");
        }
    }
}
