//! A figure over time, and when it left its course.
//!
//! Each chart is a rule for one series against what is normal for it. They raise a false alarm once in a
//! few hundred points; for 0/1 outcomes, watched for ever, [`anytime`](super::anytime) promises more.

use super::Interval;
use super::distributions::is_share;
use serde::{Deserialize, Serialize};

/// What a series is when nothing is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Normal {
    /// Its mean.
    pub mean: f64,
    /// The standard deviation of its points.
    pub deviation: f64,
}

/// A statistic at each point, and the first alarm.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Chart {
    /// The statistic, one value for each point of the series.
    pub values: Vec<f64>,
    /// The index of the first point that raised an alarm.
    pub alarm: Option<usize>,
}

/// A smoothed series within limits that widen to their full width.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SmoothedChart {
    /// The smoothed values and the first that left its limits.
    pub chart: Chart,
    /// The limits at each point.
    pub limits: Vec<Interval>,
}

/// Returns the lower cumulative sum (Page, 1954): Sₜ = max(0, Sₜ₋₁ − (xₜ − μ)/σ − k), an alarm above h.
/// Usual: `slack` (k) 0.5, `limit` (h) 4.
///
/// It finds small lasting drops. For a rise, hand in the series and the mean with the other sign.
/// `None` when a figure is not finite, the deviation or the limit is not above 0, or the slack is
/// negative.
#[must_use]
pub fn cusum_low(series: &[f64], normal: Normal, slack: f64, limit: f64) -> Option<Chart> {
    if !(is_usable(series, normal) && is_tolerance(slack) && is_positive(limit)) {
        return None;
    }
    let mut sum = 0.0_f64;
    let sums = series.iter().map(|value| {
        sum = (sum - (value - normal.mean) / normal.deviation - slack).max(0.0);
        sum
    });
    Some(Chart::with_limit(sums.collect(), limit))
}

/// Returns the exponentially weighted mean (Roberts, 1959): zₜ = λxₜ + (1−λ)zₜ₋₁ from z₀ = μ, with
/// limits μ ± Lσ√(λ/(2−λ)·(1 − (1−λ)^2t)). Usual: `weight` (λ) 0.2, `width` (L) 3.
///
/// `None` when a figure is not finite, the deviation or the width is not above 0, or the weight is not
/// above 0 and at most 1.
#[must_use]
pub fn ewma(series: &[f64], normal: Normal, weight: f64, width: f64) -> Option<SmoothedChart> {
    if !(is_usable(series, normal) && is_positive(width) && is_positive(weight) && weight <= 1.0) {
        return None;
    }
    let mut smoothed = normal.mean;
    let mut forgotten = 1.0;
    let mut values = Vec::with_capacity(series.len());
    let mut limits = Vec::with_capacity(series.len());
    for value in series {
        smoothed = weight * value + (1.0 - weight) * smoothed;
        forgotten *= (1.0 - weight).powi(2);
        let spread = (weight / (2.0 - weight) * (1.0 - forgotten)).sqrt();
        values.push(smoothed);
        limits.push(Interval::around(
            normal.mean,
            width * normal.deviation * spread,
        )?);
    }
    let alarm = values
        .iter()
        .zip(&limits)
        .position(|(value, limits)| !limits.contains(*value));
    Some(SmoothedChart {
        chart: Chart { values, alarm },
        limits,
    })
}

/// Returns the test of Page and Hinkley for a drop: mₜ = Σ(x̄ᵢ − xᵢ − δ) with the running mean x̄ᵢ, the
/// statistic mₜ − min m, an alarm above λ. It needs no normal course: the series' own past is one.
///
/// `tolerance` (δ) is the drop that does not matter, `limit` (λ) how much more of it, summed up, does.
/// `None` when a figure is not finite, the tolerance is negative, or the limit is not above 0.
#[must_use]
pub fn page_hinkley(series: &[f64], tolerance: f64, limit: f64) -> Option<Chart> {
    if !(are_finite(series) && is_tolerance(tolerance) && is_positive(limit)) {
        return None;
    }
    let (mut total, mut sum, mut lowest) = (0.0, 0.0, f64::INFINITY);
    let mut values = Vec::with_capacity(series.len());
    for (value, count) in series.iter().zip(1_u32..) {
        total += value;
        sum += total / f64::from(count) - value - tolerance;
        lowest = lowest.min(sum);
        values.push(sum - lowest);
    }
    Some(Chart::with_limit(values, limit))
}

/// Returns the limits of the share that passes among `n` when the normal one is `p`: three standard
/// errors to both sides, within 0 and 1. `None` without cases, or with a share that is none.
#[must_use]
pub fn p_chart(p: f64, n: u64) -> Option<Interval> {
    if !is_share(p) || n == 0 {
        return None;
    }
    let reach = 3.0 * (p * (1.0 - p) / n as f64).sqrt();
    Some(Interval::around(p, reach)?.clamped(0.0, 1.0))
}

impl Chart {
    fn with_limit(values: Vec<f64>, limit: f64) -> Self {
        let alarm = values.iter().position(|value| *value > limit);
        Self { values, alarm }
    }
}

fn is_usable(series: &[f64], normal: Normal) -> bool {
    are_finite(series) && normal.mean.is_finite() && is_positive(normal.deviation)
}

fn are_finite(series: &[f64]) -> bool {
    series.iter().all(|value| value.is_finite())
}

fn is_tolerance(figure: f64) -> bool {
    0.0 <= figure && figure.is_finite()
}

fn is_positive(figure: f64) -> bool {
    0.0 < figure && figure.is_finite()
}

#[cfg(test)]
mod tests {
    use super::{Normal, cusum_low, ewma, p_chart, page_hinkley};
    use crate::stats::testing::{assert_interval, assert_within};

    const SERIES: [f64; 10] = [0.82, 0.80, 0.81, 0.79, 0.83, 0.74, 0.73, 0.75, 0.72, 0.74];
    const NORMAL: Normal = Normal {
        mean: 0.81,
        deviation: 0.02,
    };

    #[track_caller]
    fn assert_values(actual: &[f64], expected: &[f64]) {
        for (actual, expected) in actual.iter().zip(expected) {
            assert_within(*actual, *expected, 6e-7);
        }
    }

    #[test]
    fn charts_have_their_reference_values() {
        let sums = cusum_low(&SERIES, NORMAL, 0.5, 4.0).unwrap();
        assert_values(
            &sums.values,
            &[0.0, 0.0, 0.0, 0.5, 0.0, 3.0, 6.5, 9.0, 13.0, 16.0],
        );
        assert_eq!((sums.values.len(), sums.alarm), (10, Some(6)));
        let smoothed = ewma(&SERIES, NORMAL, 0.2, 3.0).unwrap();
        assert_values(
            &smoothed.chart.values,
            &[
                0.812, 0.8096, 0.80968, 0.805_744, 0.810_595, 0.796_476, 0.783_181,
            ],
        );
        let lower: Vec<f64> = smoothed.limits.iter().map(|limits| limits.low).collect();
        assert_values(
            &lower,
            &[
                0.798, 0.794_633, 0.79282, 0.791_755, 0.791_104, 0.790_699, 0.790_445,
            ],
        );
        assert_eq!(smoothed.chart.alarm, Some(6));
        let drops = page_hinkley(&SERIES, 0.005, 0.1).unwrap();
        assert_values(
            &drops.values,
            &[
                0.0, 0.005, 0.0, 0.01, 0.0, 0.053_333, 0.106_905, 0.135_655, 0.187_321, 0.215_321,
            ],
        );
        assert_eq!(drops.alarm, Some(6));
        assert_interval(p_chart(0.9, 200).unwrap(), 0.836_360_389_7, 0.963_639_610_3);
    }

    #[test]
    fn a_steady_series_raises_no_alarm() {
        let steady = [0.81; 50];
        assert_eq!(cusum_low(&steady, NORMAL, 0.5, 4.0).unwrap().alarm, None);
        assert_eq!(ewma(&steady, NORMAL, 0.2, 3.0).unwrap().chart.alarm, None);
        assert_eq!(page_hinkley(&steady, 0.005, 0.1).unwrap().alarm, None);
        assert_eq!(cusum_low(&[], NORMAL, 0.5, 4.0).unwrap().values, [0.0; 0]);
    }

    #[test]
    fn nonsense_has_no_chart() {
        let flat = Normal {
            deviation: 0.0,
            ..NORMAL
        };
        assert_eq!(cusum_low(&SERIES, flat, 0.5, 4.0), None);
        assert_eq!(cusum_low(&SERIES, NORMAL, -0.5, 4.0), None);
        assert_eq!(cusum_low(&[f64::NAN], NORMAL, 0.5, 4.0), None);
        assert_eq!(ewma(&SERIES, flat, 0.2, 3.0), None);
        assert_eq!(ewma(&SERIES, NORMAL, 1.1, 3.0), None);
        assert_eq!(ewma(&SERIES, NORMAL, f64::NAN, 3.0), None);
        assert_eq!(page_hinkley(&SERIES, 0.005, 0.0), None);
        assert_eq!(page_hinkley(&SERIES, f64::NAN, 0.1), None);
        assert_eq!(p_chart(1.1, 200), None);
        assert_eq!(p_chart(0.9, 0), None);
    }
}
