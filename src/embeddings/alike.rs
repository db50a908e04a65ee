//! Pairs of items that are suspiciously alike: nearer to each other than the items of their collection are.

use crate::embeddings::rows::{Matrix, Rows as _};
use serde::{Deserialize, Serialize};

/// From here on two items are called alike, whatever the others are: two texts of one language and one trade are
/// near each other in any model.
const LEAST: f64 = 0.9;
/// Never above: what is nearly equal is alike however near all are.
const MOST: f64 = 0.99;
/// Pairs from which on their spread says something.
const FEWEST_PAIRS: usize = 10;
/// Where there are fewer.
const USUAL: f64 = 0.95;
/// By how many standard deviations a pair lies above the others.
const DEVIATIONS: f64 = 4.0;
/// The standard deviation of a normal distribution over its median absolute deviation.
const OF_MEDIAN_DEVIATION: f64 = 1.482_6;
/// Pairs that are told at most, the most alike first.
const TOLD: usize = 1_000;

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlikePairs {
    /// From which cosine on pairs are told.
    pub threshold: f64,
    /// Whether it was made from the pairs themselves: median + 4 deviations, from 0.9 to 0.99.
    pub is_calibrated: bool,
    /// The median cosine of all pairs; `None` without a pair.
    pub median: Option<f64>,
    /// The deviation, by the median of absolute deviations: a few pairs that are alike do not raise it.
    pub deviation: Option<f64>,
    /// How many pairs there are.
    pub compared: u64,
    /// The pairs at or above the threshold, by their rows, the most alike first; 1 000 at most.
    pub pairs: Vec<(usize, usize, f64)>,
    /// The pair that is most alike, told or not.
    pub nearest: Option<(usize, usize, f64)>,
}

/// Compares all rows with each other; those without a direction are like none. `threshold` in place of the calibrated
/// one.
#[must_use]
pub fn alike_pairs(rows: &Matrix, threshold: Option<f64>) -> AlikePairs {
    let units: Vec<Option<Vec<f64>>> = (0..rows.len()).map(|row| unit(rows.row(row)?)).collect();
    let mut all = Vec::new();
    for (later, other) in units.iter().enumerate() {
        for (earlier, one) in units.iter().take(later).enumerate() {
            if let (Some(one), Some(other)) = (one, other) {
                let dot: f64 = one.iter().zip(other).map(|(a, b)| a * b).sum();
                all.push((earlier, later, dot.clamp(-1.0, 1.0)));
            }
        }
    }
    let cosines: Vec<f64> = all.iter().map(|(_, _, cosine)| *cosine).collect();
    let median = median(&cosines);
    let deviation = median.and_then(|median| spread(&cosines, median));
    let own = median
        .zip(deviation)
        .filter(|_| FEWEST_PAIRS <= cosines.len());
    let own = own.map(|(median, deviation)| (median + DEVIATIONS * deviation).clamp(LEAST, MOST));
    let is_calibrated = threshold.is_none() && own.is_some();
    let threshold = threshold.or(own).unwrap_or(USUAL);
    let nearest = all
        .iter()
        .copied()
        .min_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    all.retain(|(_, _, cosine)| threshold <= *cosine);
    all.sort_by(|a, b| b.2.total_cmp(&a.2).then((a.0, a.1).cmp(&(b.0, b.1))));
    all.truncate(TOLD);
    AlikePairs {
        threshold,
        is_calibrated,
        median,
        deviation,
        compared: u64::try_from(cosines.len()).unwrap_or(u64::MAX),
        pairs: all,
        nearest,
    }
}

fn spread(cosines: &[f64], centre: f64) -> Option<f64> {
    let away = cosines.iter().map(|cosine| (cosine - centre).abs());
    let away: Vec<f64> = away.collect();
    Some(OF_MEDIAN_DEVIATION * median(&away)?)
}

fn median(values: &[f64]) -> Option<f64> {
    crate::stats::quantile(values, 0.5)
}

fn unit(row: &[f32]) -> Option<Vec<f64>> {
    let wide: Vec<f64> = row.iter().copied().map(f64::from).collect();
    let length = wide.iter().map(|x| x * x).sum::<f64>().sqrt();
    let has_direction = length.is_finite() && 0.0 < length;
    has_direction.then(|| wide.iter().map(|x| x / length).collect())
}

#[cfg(test)]
mod tests {
    use super::alike_pairs;
    use crate::embeddings::Matrix;

    fn matrix(rows: &[[f32; 3]]) -> Matrix {
        Matrix::new(3, rows.concat()).unwrap()
    }

    /// Six that differ, and a seventh that is nearly the first.
    const ROWS: [[f32; 3]; 7] = [
        [1.0, 0.0, 0.0],
        [0.0, 2.0, 0.0],
        [0.0, 0.0, 1.0],
        [1.0, 1.0, 0.0],
        [0.0, 1.0, 1.0],
        [-1.0, 0.2, 0.5],
        [3.0, 0.1, 0.1],
    ];

    #[test]
    fn a_pair_that_lies_above_all_others_is_found() {
        let found = alike_pairs(&matrix(&ROWS), None);
        assert_eq!(found.compared, 21);
        assert!(found.is_calibrated && (0.9..=0.99).contains(&found.threshold));
        let [(one, other, cosine)] = found.pairs.as_slice() else {
            panic!("{found:?}");
        };
        assert_eq!((*one, *other), (0, 6));
        assert!((cosine - 3.0 / 9.02_f64.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn few_pairs_have_the_usual_threshold() {
        let found = alike_pairs(&matrix(&[ROWS[0], ROWS[1], ROWS[6]]), None);
        assert!(!found.is_calibrated && (found.threshold - 0.95).abs() < 1e-12);
        assert_eq!(found.pairs.len(), 1);
        let strict = alike_pairs(&matrix(&ROWS), Some(0.9999));
        let (one, other, _) = strict.nearest.unwrap();
        assert_eq!((strict.pairs.len(), one, other), (0, 0, 6), "told or not");
        let said = alike_pairs(&matrix(&ROWS), Some(0.7));
        assert!(!said.is_calibrated && 1 < said.pairs.len());
    }

    #[test]
    fn nothing_is_like_what_has_no_direction() {
        let found = alike_pairs(&matrix(&[[0.0; 3], [0.0; 3], [f32::NAN, 1.0, 0.0]]), None);
        assert_eq!((found.compared, found.pairs.len()), (0, 0));
        assert_eq!((found.median, found.nearest), (None, None));
    }
}
