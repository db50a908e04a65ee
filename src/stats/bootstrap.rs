//! The bootstrap: an interval for a mean from resamples of the sample, without an assumed shape.

use super::Interval;
use super::distributions::{is_open_share, normal_cdf, normal_quantile};
use super::random::Random;
use super::sample::mean;

/// How many resamples the figures in reports are made from.
pub const RESAMPLES: usize = 10_000;

/// Returns the percentile interval of the mean from [`RESAMPLES`] resamples.
///
/// `None` without values, with one that is not finite, or with a confidence that is not between 0 and 1.
/// For 0/1 outcomes [`bootstrap_share`](super::bootstrap_share) gives the limit without chance.
#[must_use]
pub fn bootstrap_percentile(values: &[f64], confidence: f64, seed: u64) -> Option<Interval> {
    let tail = tail(confidence)?;
    let means = resampled_means(values, seed)?;
    Some(Interval {
        low: quantile(&means, tail)?,
        high: quantile(&means, 1.0 - tail)?,
    })
}

/// Returns the interval of the mean, corrected for bias and skewness (`BCa`; Efron, 1987).
///
/// `None` as for [`bootstrap_percentile`]. When all values are alike, it is that value.
#[must_use]
pub fn bootstrap_bca(values: &[f64], confidence: f64, seed: u64) -> Option<Interval> {
    let tail = tail(confidence)?;
    let means = resampled_means(values, seed)?;
    let centre = mean(values)?;
    let below = means.partition_point(|resampled| *resampled < centre);
    let up_to = means.partition_point(|resampled| *resampled <= centre);
    let count = means.len() as f64;
    // Half of those that are equal lie below. An end would have no quantile.
    let share = (below + up_to) as f64 / (2.0 * count);
    let bias = normal_quantile(share.clamp(0.5 / count, 1.0 - 0.5 / count))?;
    let acceleration = acceleration(values, centre);
    let adjusted = |share: f64| -> Option<f64> {
        let shifted = bias + normal_quantile(share)?;
        let share = normal_cdf(bias + shifted / (1.0 - acceleration * shifted));
        quantile(&means, share)
    };
    let (low, high) = (adjusted(tail)?, adjusted(1.0 - tail)?);
    Some(Interval {
        low: low.min(high),
        high: low.max(high),
    })
}

/// The value below which the `share` of the sorted `values` lies, between neighbours by a straight line.
pub(super) fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let place = share.clamp(0.0, 1.0) * (values.len().checked_sub(1)?) as f64;
    let part = place.fract();
    // Counting up to the place instead of casting to it: a place is never off by a rounding.
    let index = (0..values.len())
        .collect::<Vec<_>>()
        .partition_point(|i| (*i as f64) <= place);
    let low = *values.get(index.checked_sub(1)?)?;
    let high = values.get(index).copied().unwrap_or(low);
    Some(low + (high - low) * part)
}

/// The means of the resamples, sorted.
fn resampled_means(values: &[f64], seed: u64) -> Option<Vec<f64>> {
    mean(values)?;
    let mut random = Random::from_seed(seed);
    let mut means: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn = (0..values.len()).filter_map(|_| values.get(random.below(values.len())));
            drawn.sum::<f64>() / values.len() as f64
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    Some(means)
}

/// How the error of the mean changes with the mean, by leaving out one value at a time.
fn acceleration(values: &[f64], centre: f64) -> f64 {
    let cubes: f64 = values.iter().map(|value| (value - centre).powi(3)).sum();
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    if acceleration.is_finite() {
        acceleration
    } else {
        0.0
    }
}

fn tail(confidence: f64) -> Option<f64> {
    is_open_share(confidence).then(|| (1.0 - confidence) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::{bootstrap_bca, bootstrap_percentile, quantile};
    use crate::stats::testing::{assert_close, assert_interval, assert_within};

    const DIFFERENCES: [f64; 10] = [0.1, 0.1, 0.0, 0.2, 0.0, -0.1, 0.3, 0.0, 0.2, 0.1];

    #[test]
    fn intervals_are_where_others_find_them() {
        let percentile = bootstrap_percentile(&DIFFERENCES, 0.95, 0).unwrap();
        assert_within(percentile.low, 0.02, 0.011);
        assert_within(percentile.high, 0.16, 0.011);
        let corrected = bootstrap_bca(&DIFFERENCES, 0.95, 0).unwrap();
        assert_within(corrected.low, 0.03, 0.011);
        assert_within(corrected.high, 0.16, 0.011);
    }

    #[test]
    fn a_seed_repeats_its_interval() {
        let first = bootstrap_bca(&DIFFERENCES, 0.9, 7);
        assert_eq!(first, bootstrap_bca(&DIFFERENCES, 0.9, 7));
    }

    #[test]
    fn values_that_are_alike_have_no_width() {
        assert_interval(bootstrap_bca(&[0.5; 4], 0.95, 1).unwrap(), 0.5, 0.5);
        assert_interval(bootstrap_percentile(&[0.5], 0.95, 1).unwrap(), 0.5, 0.5);
    }

    #[test]
    fn nonsense_has_no_interval() {
        for call in [bootstrap_percentile, bootstrap_bca] {
            assert_eq!(call(&[], 0.95, 1), None);
            assert_eq!(call(&[1.0, f64::NAN], 0.95, 1), None);
            assert_eq!(call(&[1.0], 1.0, 1), None);
        }
    }

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [1.0, 2.0, 4.0];
        for (share, expected) in [(0.0, 1.0), (0.25, 1.5), (0.5, 2.0), (0.75, 3.0), (1.0, 4.0)] {
            assert_close(quantile(&values, share).unwrap(), expected);
        }
        assert_eq!(quantile(&[], 0.5), None);
    }
}
