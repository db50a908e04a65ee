//! Some items with their vectors on both sides, in memory: what pairs and pictures are made of.

use super::draw::{draw_sorted, read_rows};
use super::evidence::Context;
use crate::embeddings::Error;
use crate::embeddings::rows::Matrix;

/// Items by their units, and their vectors.
#[derive(Debug, Default)]
pub(super) struct Sample {
    pub(super) units: Vec<usize>,
    pub(super) a: Matrix,
    pub(super) b: Matrix,
}

impl Sample {
    /// Draws so many items; all when there are no more.
    pub(super) fn new(context: &Context<'_>, count: usize, seed: u64) -> Result<Self, Error> {
        let units = draw_sorted(context.aligned.rows.len(), count, seed);
        let [a, b] = read(context, &units)?;
        Ok(Self { units, a, b })
    }
}

/// Reads the vectors of units on both sides.
pub(super) fn read(context: &Context<'_>, units: &[usize]) -> Result<[Matrix; 2], Error> {
    Ok([read_side(context, 0, units)?, read_side(context, 1, units)?])
}

/// Reads the vectors of units on one side.
pub(super) fn read_side(
    context: &Context<'_>,
    side: usize,
    units: &[usize],
) -> Result<Matrix, Error> {
    let Some(subject) = context.sides.get(side) else {
        return Ok(Matrix::default());
    };
    let rows = units.iter().filter_map(|unit| {
        let rows = context.aligned.rows.get(*unit)?;
        rows.get(side).copied()
    });
    let mut values = Vec::with_capacity(units.len() * subject.rows.dimensions());
    read_rows(subject.rows, rows, &mut values)?;
    Ok(Matrix::new(subject.rows.dimensions(), values).unwrap_or_default())
}
