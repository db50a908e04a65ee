//! How sure a share of successes is: intervals for 0/1 outcomes of one version.
//!
//! The textbook interval (p ± z·√(p(1−p)/n)) is not here: at 95 % it covers 88 % where pass rates
//! live. [`wilson`] is the one to print; [`upper_bound_exact`] the one for suites without a failure.

use super::Interval;
use super::distributions::{binomial_quantile, is_open_share, z_two_sided};
use super::special::beta_quantile;

/// Returns the score interval of Wilson (1927); `None` without trials, with more successes than
/// trials, or with a confidence that is not between 0 and 1.
#[must_use]
pub fn wilson(successes: u64, n: u64, confidence: f64) -> Option<Interval> {
    let p = share(successes, n)?;
    let (z, n) = (z_two_sided(confidence)?, n as f64);
    let square = z * z;
    let middle = 2.0 * n * p + square;
    let reach = z * (square + 4.0 * n * p * (1.0 - p)).sqrt();
    let scale = 2.0 * (n + square);
    // At the ends the formula gives 0 and 1 up to rounding.
    Some(Interval {
        low: if successes == 0 {
            0.0
        } else {
            ((middle - reach) / scale).min(p)
        },
        high: if p >= 1.0 {
            1.0
        } else {
            ((middle + reach) / scale).max(p)
        },
    })
}

/// Returns the exact interval of Clopper and Pearson (1934), which never covers less than it says.
/// `None` as for [`wilson`].
#[must_use]
pub fn clopper_pearson(successes: u64, n: u64, confidence: f64) -> Option<Interval> {
    share(successes, n)?;
    let tail = tail(confidence)?;
    let (hits, misses) = (successes as f64, (n - successes) as f64);
    Some(Interval {
        low: if successes == 0 {
            0.0
        } else {
            beta_quantile(hits, misses + 1.0, tail)
        },
        high: if successes == n {
            1.0
        } else {
            beta_quantile(hits + 1.0, misses, 1.0 - tail)
        },
    })
}

/// Returns the equal-tailed interval of Jeffreys' prior, Beta(½, ½). `None` as for [`wilson`].
///
/// Its ends are not moved to 0 and 1 when all outcomes are alike; [`wilson`] does that.
#[must_use]
pub fn jeffreys(successes: u64, n: u64, confidence: f64) -> Option<Interval> {
    share(successes, n)?;
    let tail = tail(confidence)?;
    let (a, b) = (successes as f64 + 0.5, (n - successes) as f64 + 0.5);
    Some(Interval {
        low: beta_quantile(a, b, tail),
        high: beta_quantile(a, b, 1.0 - tail),
    })
}

/// Returns the rate of failures that is not exceeded with one-sided `confidence`, exact: after 30 trials
/// without a failure 9.5 % at 0.95. `None` as for [`wilson`].
#[must_use]
pub fn upper_bound_exact(failures: u64, n: u64, confidence: f64) -> Option<f64> {
    share(failures, n)?;
    if !is_open_share(confidence) {
        return None;
    }
    if failures == n {
        return Some(1.0);
    }
    Some(beta_quantile(
        failures as f64 + 1.0,
        (n - failures) as f64,
        confidence,
    ))
}

/// Returns what the percentile bootstrap of a 0/1 mean tends to with ever more resamples: quantiles of a
/// binomial, without any chance. `None` as for [`wilson`].
#[must_use]
pub fn bootstrap_share(successes: u64, n: u64, confidence: f64) -> Option<Interval> {
    let p = share(successes, n)?;
    let tail = tail(confidence)?;
    Some(Interval {
        low: binomial_quantile(tail, n, p) as f64 / n as f64,
        high: binomial_quantile(1.0 - tail, n, p) as f64 / n as f64,
    })
}

/// The share of successes; `None` when it is none.
pub(super) fn share(successes: u64, n: u64) -> Option<f64> {
    (0 < n && successes <= n).then(|| successes as f64 / n as f64)
}

/// What a two-sided confidence leaves out on each side.
fn tail(confidence: f64) -> Option<f64> {
    is_open_share(confidence).then(|| (1.0 - confidence) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::{bootstrap_share, clopper_pearson, jeffreys, upper_bound_exact, wilson};
    use crate::stats::distributions::binomial_exactly;
    use crate::stats::testing::{assert_close, assert_interval, assert_within};
    use proptest::prelude::*;

    #[test]
    fn intervals_have_their_reference_values() {
        for (k, n, score, exact) in [
            (
                7,
                10,
                [0.396_778_147_5, 0.892_208_732_6],
                [0.347_547_149_9, 0.933_260_488_9],
            ),
            (
                85,
                100,
                [0.767_164_404_1, 0.906_940_147_2],
                [0.764_692_499_9, 0.913_545_614_4],
            ),
            (
                50,
                100,
                [0.403_831_530_4, 0.596_168_469_6],
                [0.398_321_129_5, 0.601_678_870_5],
            ),
            (
                190,
                200,
                [0.910_421_851_9, 0.972_617_354_4],
                [0.909_972_462_3, 0.975_765_834_5],
            ),
            (0, 30, [0.0, 0.113_513_393_2], [0.0, 0.115_703_308_2]),
            (30, 30, [0.886_486_606_8, 1.0], [0.884_296_691_8, 1.0]),
            (1, 1, [0.206_549_314_4, 1.0], [0.025, 1.0]),
        ] {
            assert_interval(wilson(k, n, 0.95).unwrap(), score[0], score[1]);
            assert_interval(clopper_pearson(k, n, 0.95).unwrap(), exact[0], exact[1]);
        }
        for (k, n, low, high) in [
            (7, 10, 0.394_181_681_9, 0.907_305_406_1),
            (85, 100, 0.770_469_340_8, 0.909_630_483_6),
            (50, 100, 0.403_173_950_9, 0.596_826_049_1),
            (190, 200, 0.913_124_911_9, 0.974_006_602_8),
        ] {
            assert_interval(jeffreys(k, n, 0.95).unwrap(), low, high);
        }
        let none = jeffreys(0, 30, 0.95).unwrap();
        assert_within(none.low, 1.62e-5, 1e-7);
        assert_close(none.high, 0.079_678_173_8);
    }

    #[test]
    fn no_failure_still_leaves_a_bound() {
        assert_close(upper_bound_exact(0, 30, 0.95).unwrap(), 0.095_033_852_9);
        assert_close(upper_bound_exact(3, 3, 0.95).unwrap(), 1.0);
    }

    #[test]
    fn the_bootstrap_of_a_share_is_binomial() {
        for (k, n, low, high) in [
            (14, 20, 0.5, 0.9),
            (85, 100, 0.78, 0.92),
            (48, 50, 0.9, 1.0),
        ] {
            assert_interval(bootstrap_share(k, n, 0.95).unwrap(), low, high);
        }
    }

    #[test]
    fn nonsense_has_no_interval() {
        for call in [wilson, clopper_pearson, jeffreys, bootstrap_share] {
            assert_eq!(call(0, 0, 0.95), None);
            assert_eq!(call(3, 2, 0.95), None);
            for confidence in [0.0, 1.0, -1.0, f64::NAN] {
                assert_eq!(call(1, 2, confidence), None);
            }
        }
        assert_eq!(upper_bound_exact(0, 0, 0.95), None);
        assert_eq!(upper_bound_exact(0, 9, f64::NAN), None);
    }

    /// How often the interval holds the truth, summed over all outcomes.
    fn coverage(n: u64, p: f64, covers: impl Fn(u64) -> bool) -> f64 {
        (0..=n)
            .filter(|k| covers(*k))
            .map(|k| binomial_exactly(k, n, p))
            .sum()
    }

    #[test]
    fn wilson_covers_where_the_textbook_does_not() {
        for (n, p, score, textbook) in [
            (20, 0.9, 0.957, 0.876),
            (100, 0.95, 0.965, 0.878),
            (200, 0.98, 0.932, 0.908),
        ] {
            let covers = |k| wilson(k, n, 0.95).unwrap().contains(p);
            assert_within(coverage(n, p, covers), score, 1.5e-3);
            let covers = |k: u64| {
                let seen = k as f64 / n as f64;
                let reach = 1.959_963_985 * (seen * (1.0 - seen) / n as f64).sqrt();
                (seen - p).abs() <= reach
            };
            assert_within(coverage(n, p, covers), textbook, 6e-4);
            let covers = |k| clopper_pearson(k, n, 0.95).unwrap().contains(p);
            assert!(coverage(n, p, covers) >= 0.95);
        }
    }

    proptest! {
        #[test]
        fn intervals_hold_the_share_and_narrow_with_n(
            n in 1..2_000_u64, part in 0.0..=1.0_f64, confidence in 0.5..0.999_f64,
        ) {
            let k = (0..=n).rev().find(|k| *k as f64 <= part * n as f64).unwrap();
            for call in [wilson, clopper_pearson] {
                let interval = call(k, n, confidence).unwrap();
                prop_assert!(interval.contains(k as f64 / n as f64));
                prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
                let more = call(2 * k, 2 * n, confidence).unwrap();
                prop_assert!(more.width() < interval.width());
                let surer = call(k, n, f64::midpoint(1.0, confidence)).unwrap();
                prop_assert!(interval.width() < surer.width());
                let other = call(n - k, n, confidence).unwrap();
                prop_assert!((other.low - (1.0 - interval.high)).abs() < 1e-9);
            }
        }
    }
}
