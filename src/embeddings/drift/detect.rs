//! Is a window of the traffic another than the reference, where, and by how much.
//!
//! Two tests that see different things: the kernel test a concentrated shift, the rank sum of novelties
//! scattered oddities. Their chances are adjusted together (Holm). Novelty is measured against one half of
//! the reference and held against the other half's, so that both samples are strangers to what they are
//! measured by.

use crate::embeddings::drift::retrieval::Retrieval;
use crate::embeddings::geometry::two_sample::{density_gaps, mmd, nearest_distances};
use crate::embeddings::{Matrix, Rows as _};
use crate::stats::{
    Estimate, Passed, Random, holm, mann_whitney, newcombe_hybrid, quantile, wilson,
};
use serde::{Deserialize, Serialize};

/// The neighbour by which density is measured.
pub(super) const NEIGHBOUR: usize = 8;
/// The share of the known that lies below what counts as new.
const KNOWN: f64 = 0.99;
/// The confidence of intervals.
const CONFIDENCE: f64 = 0.95;
/// The fewest rows of a window and of a reference.
pub const FEWEST: usize = 40;
/// How often the windows are split anew for the shift of the centroid.
const CENTROID_SPLITS: usize = 99;

/// What is new: one thing that many ask, or many odd things.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Dense where nothing was: a new topic.
    Topic,
    /// Far from everything that was known.
    Scattered,
}

/// The part of the window that lies where the reference does not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// By what it was found.
    pub kind: Kind,
    /// The share of the window that lies there.
    pub share: Estimate,
    /// The share of the reference that does.
    pub before: f64,
    /// By how much the share grew.
    pub excess: Estimate,
    /// The rows of the window that lie there, as many as the excess says; the newest kind first.
    pub rows: Vec<usize>,
    /// The same by the other measure, where that shows other rows.
    pub others: Vec<usize>,
}

/// What a look at a window came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Rows of the reference.
    pub reference: usize,
    /// Rows of the window.
    pub current: usize,
    /// The chance of a shift as large by the kernel test.
    pub p_shift: f64,
    /// The chance of so much novelty.
    pub p_novelty: f64,
    /// The smaller of both, adjusted for their being two.
    pub p_value: f64,
    /// The kernel test's shift, in standard deviations of what chance gives.
    pub shift_deviations: Option<f64>,
    /// The shift of the centroid, in standard deviations of what chance gives.
    pub centroid_deviations: Option<f64>,
    /// The chance that a text of the window is farther from the known than a known one is: 0.5 when nothing
    /// changed.
    pub auc: f64,
    /// Where it is new; `None` when no part of the window is.
    pub region: Option<Region>,
    /// What becomes of searches, where a snapshot is searched.
    #[serde(default)]
    pub retrieval: Option<Retrieval>,
}

/// Returns how many permutations it takes to tell at the level `alpha`.
#[must_use]
pub fn permutations_for(alpha: f64) -> usize {
    // The least chance of a test with n permutations is 1/(n + 1), which Holm takes two or three times.
    [199, 499, 999, 1_999, 3_999]
        .into_iter()
        .find(|count| 4.0 / alpha <= (*count + 1) as f64)
        .unwrap_or(3_999)
}

/// Looks at a window of one space beside the reference.
///
/// `None` when either has fewer than [`FEWEST`] rows or more than 2 000, their dimensions differ, a row is zero
/// or not finite, or all rows are alike.
#[must_use]
pub fn examine(
    reference: &Matrix,
    current: &Matrix,
    (permutations, seed): (usize, u64),
) -> Option<Finding> {
    if reference.len() < FEWEST || current.len() < FEWEST {
        return None;
    }
    let shift = mmd(reference, current, None, (permutations, seed))?;
    let (base, calibration) = halves(reference)?;
    let known = nearest_distances(&base, &calibration)?;
    let far = nearest_distances(&base, current)?;
    let rank_sum = mann_whitney(&known, &far)?;
    // Only farther is new.
    let half = rank_sum.p_value / 2.0;
    let p_novelty = if 0.5 <= rank_sum.auc {
        half
    } else {
        1.0 - half
    };
    let p_shift = shift.p_value?;
    let adjusted = holm(&[p_shift, p_novelty])?;
    let deviations = shift.deviation.filter(|deviation| 0.0 < *deviation);
    Some(Finding {
        reference: reference.len(),
        current: current.len(),
        p_shift,
        p_novelty,
        p_value: adjusted.into_iter().fold(1.0, f64::min),
        shift_deviations: deviations.map(|deviation| shift.unbiased / deviation),
        centroid_deviations: centroid_shift(reference, current, seed),
        auc: rank_sum.auc,
        region: region(&base, &calibration, current, (&known, &far)),
        retrieval: None,
    })
}

/// Every other row to each side, so that both span the time of the reference.
fn halves(rows: &Matrix) -> Option<(Matrix, Matrix)> {
    let even: Vec<usize> = (0..rows.len()).step_by(2).collect();
    let odd: Vec<usize> = (1..rows.len()).step_by(2).collect();
    Some((picked(rows, &even)?, picked(rows, &odd)?))
}

/// The rows of these numbers.
pub(super) fn picked(rows: &Matrix, which: &[usize]) -> Option<Matrix> {
    let mut values = Vec::with_capacity(which.len() * rows.dimensions());
    for row in which {
        values.extend_from_slice(rows.row(*row)?);
    }
    Matrix::new(rows.dimensions(), values)
}

/// The part of the window that is new, by the measure that tells it better.
fn region(
    base: &Matrix,
    calibration: &Matrix,
    current: &Matrix,
    (known, far): (&[f64], &[f64]),
) -> Option<Region> {
    let scattered = beyond(Kind::Scattered, known, far);
    let parts = current.len().div_ceil(calibration.len().max(1));
    let size = current.len() / parts.max(1);
    let gaps_known = gaps_in_parts(base, calibration, calibration.len().div_ceil(size.max(1)));
    let gaps = gaps_in_parts(base, current, parts);
    let topic = gaps_known
        .zip(gaps)
        .and_then(|(known, gaps)| beyond(Kind::Topic, &known, &gaps));
    // What is surely dense is a topic, though its texts be far from the known too.
    let is_weaker = |topic: &Region, scattered: &Region| {
        topic.excess.interval.low <= 0.0 && topic.excess.value < scattered.excess.value
    };
    let (mut best, other) = match (topic, scattered) {
        (Some(topic), Some(scattered)) if is_weaker(&topic, &scattered) => (scattered, Some(topic)),
        (Some(topic), scattered) => (topic, scattered),
        (None, scattered) => (scattered?, None),
    };
    let others = other.map(|other| other.rows).unwrap_or_default();
    best.others = others
        .into_iter()
        .filter(|row| !best.rows.contains(row))
        .collect();
    Some(best)
}

/// The density gaps in parts of about equal size: how dense a window is grows with its size.
fn gaps_in_parts(base: &Matrix, rows: &Matrix, parts: usize) -> Option<Vec<f64>> {
    let mut gaps = vec![0.0; rows.len()];
    for part in 0..parts {
        let which: Vec<usize> = (part..rows.len()).step_by(parts).collect();
        let found = density_gaps(base, &picked(rows, &which)?, NEIGHBOUR)?;
        for (row, gap) in which.iter().zip(found) {
            *gaps.get_mut(*row)? = gap;
        }
    }
    Some(gaps)
}

/// The rows that are newer than nearly everything known; `None` when there are no more than are always.
fn beyond(kind: Kind, known: &[f64], values: &[f64]) -> Option<Region> {
    let least = quantile(known, KNOWN)?;
    let passed = |values: &[f64]| Passed {
        successes: values.iter().filter(|value| least < **value).count() as u64,
        total: values.len() as u64,
    };
    let (now, before) = (passed(values), passed(known));
    let excess = newcombe_hybrid(now, before, CONFIDENCE)?;
    if excess.value <= 0.0 {
        return None;
    }
    let mut ranked: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    ranked.retain(|(_, value)| least < *value);
    ranked.sort_by(|one, other| other.1.total_cmp(&one.1).then(one.0.cmp(&other.0)));
    let wanted = excess.value * values.len() as f64;
    let places = ranked.iter().enumerate();
    let taken = places.take_while(|(place, _)| (*place as f64) < wanted);
    Some(Region {
        kind,
        share: Estimate {
            value: now.share()?,
            interval: wilson(now.successes, now.total, CONFIDENCE)?,
        },
        before: before.share()?,
        excess,
        rows: taken.map(|(_, (row, _))| *row).collect(),
        others: Vec::new(),
    })
}

/// The distance of the centroids, less what chance gives, in its standard deviations.
fn centroid_shift(reference: &Matrix, current: &Matrix, seed: u64) -> Option<f64> {
    let size = reference.dimensions();
    let (n, m) = (reference.len(), current.len());
    let rows: Vec<&[f32]> = [reference, current]
        .into_iter()
        .flat_map(|rows| rows.values().chunks_exact(size.max(1)))
        .collect();
    let mut all = vec![0.0_f64; size];
    add(&mut all, &rows);
    let distance = |of_current: &[&[f32]]| {
        let mut sum = vec![0.0_f64; size];
        add(&mut sum, of_current);
        let pairs = sum.iter().zip(&all);
        let squares = pairs.map(|(own, all)| (own / m as f64 - (all - own) / n as f64).powi(2));
        squares.sum::<f64>().sqrt()
    };
    let observed = distance(rows.get(n..)?);
    let mut random = Random::from_seed(seed);
    let mut order = rows.clone();
    let mut by_chance = Vec::with_capacity(CENTROID_SPLITS);
    for _ in 0..CENTROID_SPLITS {
        // A random choice of the window's rows; the order of the others does not matter.
        for place in 0..m {
            order.swap(place, place + random.below(n + m - place));
        }
        by_chance.push(distance(order.get(..m)?));
    }
    let mean = crate::stats::mean(&by_chance)?;
    let deviation = crate::stats::variance(&by_chance)?.sqrt();
    (0.0 < deviation).then(|| (observed - mean) / deviation)
}

fn add(sum: &mut [f64], rows: &[&[f32]]) {
    for row in rows {
        for (sum, value) in sum.iter_mut().zip(*row) {
            *sum += f64::from(*value);
        }
    }
}
