//! What the provider's own noise does: the same texts embedded twice with one version.

use super::evidence::Context;
use super::interval::of_shares;
use super::report::Noise;
use crate::stats::Estimate;

/// How many neighbours noise is measured over.
pub(super) const MEASURED: usize = 10;

/// Returns the mean share of `k` neighbours that texts keep when they are embedded again, with its 95 %
/// interval; `None` without texts.
#[must_use]
pub fn kept_share(shares: &[f64], k: usize) -> Option<Estimate> {
    of_shares(shares, k, None, 0.95, None)
}

/// The noise of both sides, where it is known.
#[derive(Debug, Default)]
pub(super) struct Floors {
    /// What the report says.
    pub(super) noise: Vec<Noise>,
    /// How many texts kept which share of their neighbours in A.
    pub(super) counts: Option<Vec<usize>>,
}

impl Floors {
    /// Takes what is known of the sides.
    pub(super) fn new(context: &Context<'_>) -> Self {
        let sides = context.sides.iter().enumerate();
        let noise = sides.filter_map(|(side, subject)| {
            let known = subject.noise?.clone();
            Some(Noise { side, ..known })
        });
        let [a, _] = context.sides;
        Self {
            noise: noise.collect(),
            counts: a.noise_counts.map(<[usize]>::to_vec),
        }
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
