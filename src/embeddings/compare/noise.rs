//! What the provider's own noise does: the same texts embedded twice with one version.

use super::change::Changes;
use super::draw::read_rows;
use super::evidence::{Context, Stack};
use super::interval::of_shares;
use super::report::Noise;
use crate::embeddings::Error;
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::stats::{Estimate, mean};

/// Returns the mean share of `k` neighbours that texts keep when they are embedded again, with its 95 %
/// interval; `None` without texts.
#[must_use]
pub fn kept_share(shares: &[f64], k: usize) -> Option<Estimate> {
    of_shares(shares, k, None, 0.95, None)
}

/// The noise of both sides.
#[derive(Debug, Default)]
pub(super) struct Floors {
    /// What the report says.
    pub(super) noise: Vec<Noise>,
    /// Text by text, the share of neighbours that A kept; where it was measured now.
    pub(super) shares: Option<Vec<f64>>,
}

impl Floors {
    /// Measures it where texts were embedded again, and takes what is known elsewhere.
    pub(super) fn new(context: &Context<'_>) -> Result<Self, Error> {
        let mut floors = Self::default();
        for (side, subject) in context.sides.iter().enumerate() {
            if let Some(again) = subject.again {
                let (noise, shares) = measure(context, side, again.rows, again.vectors)?;
                floors.noise.extend(noise);
                if side == 0 {
                    floors.shares = Some(shares);
                }
            } else if let Some(known) = subject.noise {
                floors.noise.push(Noise {
                    side,
                    ..known.clone()
                });
            }
        }
        Ok(floors)
    }

    /// Returns the lower of the sides' overlaps; `None` when none is known.
    pub(super) fn overlap(&self) -> Option<f64> {
        let overlaps = self.noise.iter().map(|noise| noise.overlap.value);
        overlaps.min_by(f64::total_cmp)
    }

    /// Returns the lower share of texts that keep their first neighbour.
    pub(super) fn top1(&self) -> Option<f64> {
        let shares = self.noise.iter().map(|noise| noise.top1);
        shares.min_by(f64::total_cmp)
    }
}

fn measure(
    context: &Context<'_>,
    side: usize,
    rows: &[usize],
    vectors: &Matrix,
) -> Result<(Option<Noise>, Vec<f64>), Error> {
    let (Some(subject), Some(units)) = (context.sides.get(side), context.aligned.units.get(side))
    else {
        return Ok((None, Vec::new()));
    };
    let (mut first, mut second) = (Stack::default(), Stack::default());
    let mut largest = 0.0_f64;
    for (row, vector) in rows.iter().zip(0..vectors.len()) {
        let Some((unit, vector)) = units.get(*row).copied().flatten().zip(vectors.row(vector))
        else {
            continue;
        };
        let start = first.values.len();
        read_rows(subject.rows, [*row], &mut first.values)?;
        second.values.extend_from_slice(vector);
        first.left_out.push(Some(unit));
        second.left_out.push(Some(unit));
        let stored = first.values.get(start..).unwrap_or_default();
        for (one, other) in stored.iter().zip(vector) {
            largest = largest.max(f64::from((one - other).abs()));
        }
    }
    let k = context.k();
    let before = context.answer(side, first, context.depth())?;
    let after = context.answer(side, second, context.depth())?;
    let changes = Changes::new(&before, &after, k, k);
    let shares = changes.overlap_at(k).to_vec();
    let overlap = of_shares(&shares, k, None, context.settings.confidence, None);
    let noise = overlap
        .zip(mean(&changes.top1))
        .map(|(overlap, top1)| Noise {
            side,
            texts: shares.len(),
            overlap,
            top1,
            max_deviation: largest,
        });
    Ok((noise, shares))
}
