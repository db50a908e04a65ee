//! Two versions on different cases. It sees far less than pairs do; use it only where pairs cannot be.

use super::distributions::{t_two_sided, t_two_sided_quantile};
use super::proportion::{share, wilson};
use super::sample::{mean, standard_error};
use super::special::ln_choose;
use super::{Estimate, Interval};
use serde::{Deserialize, Serialize};

/// Tables that are this much likelier than the observed one still count as equally likely.
const SLACK: f64 = 1e-7;

/// How many of how many passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Passed {
    /// How many passed.
    pub successes: u64,
    /// Of how many.
    pub total: u64,
}

/// The test of Welch (1947).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Welch {
    /// The difference of the means, candidate − baseline, with its interval.
    pub difference: Estimate,
    /// The standard error of the difference.
    pub standard_error: f64,
    /// The degrees of freedom.
    pub freedom: f64,
    /// The two-sided chance of such a difference when the means are equal.
    pub p_value: f64,
}

impl Passed {
    /// Returns the share that passed; `None` without cases, or with more successes than cases.
    #[must_use]
    pub fn share(self) -> Option<f64> {
        share(self.successes, self.total)
    }
}

/// Returns the interval of the difference of two shares, candidate − baseline, from Wilson's intervals
/// of both (method 10 of Newcombe, 1998, for independent samples).
///
/// `None` when a side has no share, or the confidence is not between 0 and 1.
#[must_use]
pub fn newcombe_hybrid(candidate: Passed, baseline: Passed, confidence: f64) -> Option<Estimate> {
    let (new, old) = (candidate.share()?, baseline.share()?);
    let of_new = wilson(candidate.successes, candidate.total, confidence)?;
    let of_old = wilson(baseline.successes, baseline.total, confidence)?;
    let down = (new - of_new.low).hypot(of_old.high - old);
    let up = (of_new.high - new).hypot(old - of_old.low);
    let value = new - old;
    Some(Estimate {
        value,
        interval: Interval {
            low: value - down,
            high: value + up,
        }
        .clamped(-1.0, 1.0),
    })
}

/// Returns the two-sided chance of Fisher's exact test: that of all tables no likelier than this one.
///
/// `None` when a side has no share.
#[must_use]
pub fn fisher_exact(candidate: Passed, baseline: Passed) -> Option<f64> {
    let observed = ln_table(candidate, baseline, candidate.successes)? + SLACK;
    let chances = tables(candidate, baseline)?
        .filter_map(|successes| ln_table(candidate, baseline, successes))
        .filter(|chance| *chance <= observed);
    Some(chances.map(f64::exp).sum::<f64>().min(1.0))
}

/// Returns the one-sided chance of Fisher's exact test that the candidate passes so few when it is no
/// worse.
///
/// `None` when a side has no share.
#[must_use]
pub fn fisher_worse(candidate: Passed, baseline: Passed) -> Option<f64> {
    let chances = tables(candidate, baseline)?
        .take_while(|successes| *successes <= candidate.successes)
        .filter_map(|successes| ln_table(candidate, baseline, successes));
    Some(chances.map(f64::exp).sum::<f64>().min(1.0))
}

/// Returns Welch's test of two samples of scores.
///
/// `None` when a side has fewer than two values or one that is not
/// finite, when neither side has any spread, or with a confidence that is not between 0 and 1.
#[must_use]
pub fn welch(candidate: &[f64], baseline: &[f64], confidence: f64) -> Option<Welch> {
    let value = mean(candidate)? - mean(baseline)?;
    let [new, old] = [
        standard_error(candidate)?.powi(2),
        standard_error(baseline)?.powi(2),
    ];
    let error = (new + old).sqrt();
    let freedom = (new + old).powi(2)
        / (new.powi(2) / (candidate.len() - 1) as f64 + old.powi(2) / (baseline.len() - 1) as f64);
    let reach = t_two_sided_quantile(confidence, freedom)? * error;
    Some(Welch {
        difference: Estimate {
            value,
            interval: Interval::around(value, reach)?,
        },
        standard_error: error,
        freedom,
        p_value: t_two_sided(value / error, freedom),
    })
}

/// The numbers of successes of the candidate that the margins allow.
fn tables(candidate: Passed, baseline: Passed) -> Option<std::ops::RangeInclusive<u64>> {
    candidate.share()?;
    baseline.share()?;
    let successes = candidate.successes.checked_add(baseline.successes)?;
    Some(successes.saturating_sub(baseline.total)..=successes.min(candidate.total))
}

/// The logarithm of the chance that of all successes so many fall to the candidate.
fn ln_table(candidate: Passed, baseline: Passed, successes: u64) -> Option<f64> {
    candidate.share()?;
    baseline.share()?;
    let all = candidate.successes.checked_add(baseline.successes)? as f64;
    let (new, old) = (candidate.total as f64, baseline.total as f64);
    let hits = successes as f64;
    Some(ln_choose(new, hits) + ln_choose(old, all - hits) - ln_choose(new + old, all))
}

#[cfg(test)]
mod tests {
    use super::{Passed, fisher_exact, fisher_worse, newcombe_hybrid, welch};
    use crate::stats::testing::{assert_close, assert_interval};
    use proptest::prelude::*;

    const fn passed(successes: u64, total: u64) -> Passed {
        Passed { successes, total }
    }

    #[test]
    fn shares_have_their_reference_values() {
        for (better, worse, low, high, two_sided, one_sided) in [
            (
                passed(92, 100),
                passed(85, 100),
                -0.020_219_352_1,
                0.161_517_510_3,
                0.182_660_698_5,
                0.091_330_349_3,
            ),
            (
                passed(9, 10),
                passed(5, 10),
                -0.002_356_109_4,
                0.675_912_153_3,
                0.140_866_873_1,
                0.070_433_436_5,
            ),
            (
                passed(18, 20),
                passed(12, 20),
                0.029_360_758_2,
                0.525_279_160_9,
                0.064_833_161_6,
                0.032_416_580_8,
            ),
        ] {
            let estimate = newcombe_hybrid(better, worse, 0.95).unwrap();
            assert_interval(estimate.interval, low, high);
            assert_close(fisher_exact(better, worse).unwrap(), two_sided);
            assert_close(fisher_exact(worse, better).unwrap(), two_sided);
            assert_close(fisher_worse(worse, better).unwrap(), one_sided);
        }
    }

    #[test]
    fn scores_have_their_reference_values() {
        let baseline = [0.8, 0.6, 1.0, 0.4, 0.9, 0.7, 0.5, 1.0, 0.3, 0.6];
        let candidate = [0.9, 0.7, 1.0, 0.6, 0.9, 0.6, 0.8, 1.0, 0.5, 0.7];
        let result = welch(&candidate, &baseline, 0.95).unwrap();
        assert_close(result.difference.value, 0.09);
        assert_close(result.standard_error, 0.095_277_372_85);
        assert_close(result.p_value, 0.358_565_844_3);
        assert!(result.difference.interval.contains(0.0));
    }

    #[test]
    fn nonsense_has_no_figures() {
        for (one, other) in [(passed(0, 0), passed(1, 2)), (passed(1, 2), passed(3, 2))] {
            assert_eq!(newcombe_hybrid(one, other, 0.95), None);
            assert_eq!(fisher_exact(one, other), None);
            assert_eq!(fisher_worse(one, other), None);
        }
        assert_eq!(newcombe_hybrid(passed(1, 2), passed(1, 2), f64::NAN), None);
        assert_eq!(welch(&[1.0], &[1.0, 2.0], 0.95), None);
        assert_eq!(welch(&[1.0, 1.0], &[2.0, 2.0], 0.95), None);
        assert_eq!(welch(&[1.0, f64::NAN], &[2.0, 3.0], 0.95), None);
    }

    proptest! {
        #[test]
        fn turning_the_sides_turns_the_sign(
            n in 1..80_u64, m in 1..80_u64, k in 0..80_u64, l in 0..80_u64,
        ) {
            prop_assume!(k <= n && l <= m);
            let (one, other) = (passed(k, n), passed(l, m));
            let there = newcombe_hybrid(one, other, 0.95).unwrap();
            let back = newcombe_hybrid(other, one, 0.95).unwrap().interval.negated();
            prop_assert!((there.interval.low - back.low).abs() < 1e-12);
            prop_assert!((there.interval.high - back.high).abs() < 1e-12);
            prop_assert!(there.interval.contains(there.value));
            let exact = fisher_exact(one, other).unwrap();
            prop_assert!((exact - fisher_exact(other, one).unwrap()).abs() < 1e-9);
            let sides = fisher_worse(one, other).unwrap() + fisher_worse(other, one).unwrap();
            // Both one-sided chances count the observed table.
            prop_assert!(sides >= 1.0 - 1e-9);
        }
    }
}
