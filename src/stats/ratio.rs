//! A candidate over a baseline, for money and time: what matters there is "twice as much", not "two more".

use super::bootstrap;
use super::distributions::{is_open_share, normal_quantile};
use super::random::Random;
use super::sample::mean;
use super::{Estimate, Interval};

/// Resamples for the ratio of percentiles; each sorts both samples.
const RESAMPLES: usize = 1_000;

/// Returns mean(candidate) / mean(baseline) over the same cases in the same order, with the interval of the
/// delta method on the logarithm (the covariance of the pairs counts, and no end is below 0).
///
/// `None` with fewer than two cases, lists of different lengths, means that are not above 0, or a
/// confidence that is not between 0 and 1.
#[must_use]
pub fn ratio_of_means(candidate: &[f64], baseline: &[f64], confidence: f64) -> Option<Estimate> {
    let n = candidate.len();
    if n < 2 || n != baseline.len() || !is_open_share(confidence) {
        return None;
    }
    let (new, old) = (mean(candidate)?, mean(baseline)?);
    if !(0.0 < new && 0.0 < old) {
        return None;
    }
    // var(ln(x̄/ȳ)) ≈ Σ((xᵢ−x̄)/x̄ − (yᵢ−ȳ)/ȳ)² / (n(n−1))
    let pairs = candidate.iter().zip(baseline);
    let squares: f64 = pairs
        .map(|(x, y)| ((x - new) / new - (y - old) / old).powi(2))
        .sum();
    let error = (squares / (n as f64 * (n - 1) as f64)).sqrt();
    let z = normal_quantile(f64::midpoint(1.0, confidence))?;
    let value = new / old;
    Some(Estimate {
        value,
        interval: Interval {
            low: value * (-z * error).exp(),
            high: value * (z * error).exp(),
        },
    })
}

/// Returns the ratio of a percentile (`share` of 0 to 1) of both samples, cases paired as above, with the percentile
/// interval of a seeded bootstrap over cases.
///
/// `None` as for [`ratio_of_means`], or when the baseline's percentile is not above 0.
#[must_use]
pub fn ratio_of_quantiles(
    candidate: &[f64],
    baseline: &[f64],
    (share, confidence): (f64, f64),
    seed: u64,
) -> Option<Estimate> {
    let n = candidate.len();
    if n < 2 || n != baseline.len() || !is_open_share(confidence) {
        return None;
    }
    let value = of_quantiles(candidate, baseline, share)?;
    let mut random = Random::from_seed(seed);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| {
            let places: Vec<usize> = (0..n).map(|_| random.below(n)).collect();
            let pick = |values: &[f64]| -> Vec<f64> {
                places
                    .iter()
                    .filter_map(|place| values.get(*place).copied())
                    .collect()
            };
            of_quantiles(&pick(candidate), &pick(baseline), share)
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let tail = (1.0 - confidence) / 2.0;
    Some(Estimate {
        value,
        interval: Interval {
            low: bootstrap::quantile(&ratios, tail)?.min(value),
            high: bootstrap::quantile(&ratios, 1.0 - tail)?.max(value),
        },
    })
}

/// Returns the value below which the `share` of the values lies, between neighbours by a straight line. `None` without
/// values, or with one that is not finite.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    if sorted.iter().any(|value| !value.is_finite()) {
        return None;
    }
    sorted.sort_by(f64::total_cmp);
    bootstrap::quantile(&sorted, share)
}

/// Returns the slope of the least-squares line through `points`. `None` with fewer than three points, one that is not
/// finite, or all at one x.
#[must_use]
pub fn slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.len() < 3 {
        return None;
    }
    let (xs, ys): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let (x_mean, y_mean) = (mean(&xs)?, mean(&ys)?);
    let spread: f64 = xs.iter().map(|x| (x - x_mean).powi(2)).sum();
    let together: f64 = points
        .iter()
        .map(|(x, y)| (x - x_mean) * (y - y_mean))
        .sum();
    (0.0 < spread).then(|| together / spread)
}

fn of_quantiles(candidate: &[f64], baseline: &[f64], share: f64) -> Option<f64> {
    let (new, old) = (quantile(candidate, share)?, quantile(baseline, share)?);
    (0.0 < old).then(|| new / old)
}

#[cfg(test)]
mod tests {
    use super::{quantile, ratio_of_means, ratio_of_quantiles, slope};

    #[test]
    fn a_ratio_counts_that_the_cases_are_the_same() {
        let base = [1.0, 2.0, 4.0, 8.0, 16.0];
        let double: Vec<f64> = base.iter().map(|value| value * 2.0).collect();
        let exact = ratio_of_means(&double, &base, 0.95).unwrap();
        assert!((exact.value - 2.0).abs() < 1e-12);
        assert!(
            exact.interval.width() < 1e-12,
            "each case doubles: nothing is uncertain"
        );
        // x = [2, 4], y = [1, 3]: ratio 1.5; terms (−1/3 + 1/2)², twice; error √(2·(1/6)²/2) = 1/6.
        let two = ratio_of_means(&[2.0, 4.0], &[1.0, 3.0], 0.95).unwrap();
        let end = 1.5 * (1.959_963_984_540_054_f64 / 6.0).exp();
        assert!((two.interval.high - end).abs() < 1e-9, "{two:?} {end}");
        for (x, y) in [
            (&[1.0][..], &[1.0][..]),
            (&[1.0, 2.0], &[0.0, 0.0]),
            (&[1.0, 2.0], &[1.0]),
        ] {
            assert!(ratio_of_means(x, y, 0.95).is_none());
        }
    }

    #[test]
    fn percentiles_are_between_neighbours() {
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.5), Some(2.0));
        assert_eq!(quantile(&[1.0, 2.0], 0.75), Some(1.75));
        assert_eq!(quantile(&[], 0.5), None);
        assert_eq!(quantile(&[f64::NAN], 0.5), None);
        let base: Vec<f64> = (1..=40).map(f64::from).collect();
        let slower: Vec<f64> = base.iter().map(|value| value * 1.5).collect();
        let ratio = ratio_of_quantiles(&slower, &base, (0.95, 0.95), 7).unwrap();
        assert!((ratio.value - 1.5).abs() < 1e-9);
        assert!(
            ratio.interval.width() < 1e-9,
            "every case is slower by the same part"
        );
        let again = ratio_of_quantiles(&slower, &base, (0.95, 0.95), 7);
        assert_eq!(again, Some(ratio));
    }

    #[test]
    fn a_line_is_found() {
        let line = slope(&[(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)]).unwrap();
        assert!((line - 2.0).abs() < 1e-12);
        assert_eq!(slope(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
    }
}
