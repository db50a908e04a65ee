//! Evidence that may be weighed at any time: e-values, and two ratios that practice treats as such.

use super::evidence_of;
use crate::stats::distributions::{is_open_share, times_ln};
use crate::stats::special::{beta_below, ln_beta, root_of_increasing};
use crate::stats::{Pairs, Passed};
use serde::{Deserialize, Serialize};
use std::f64::consts::LN_2;

/// The evidence that a candidate is not worse than allowed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ToPromote {
    /// The logarithm of the likelihood of both arms, each predicted from its own past.
    pub ln_numerator: f64,
    /// The logarithm of the largest likelihood of both arms with the candidate worse by the margin or
    /// more.
    pub ln_denominator: f64,
    /// The e-value: promote at 1/α and above.
    pub evidence: f64,
}

/// A generalised likelihood ratio and the threshold it must pass.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LikelihoodRatio {
    /// The statistic.
    pub statistic: f64,
    /// What it must exceed to stop.
    pub threshold: f64,
    /// Whether it does.
    pub is_decided: bool,
}

/// Returns the evidence that changes go one way more than the other, from paired outcomes.
///
/// E = B(½+b, ½+c)/B(½, ½)·2^(b+c): the e-value against a fair coin, mixed over Beta(½, ½). Reject at
/// 1/α and above. `None` when the pairs make no sense.
#[must_use]
pub fn mcnemar_evidence(pairs: Pairs) -> Option<f64> {
    Some(evidence_of(ln_mcnemar(pairs)?))
}

/// Returns the evidence that the candidate regresses more than it improves.
///
/// As [`mcnemar_evidence`], mixed only over the half where regressions are likelier. `None` when the
/// pairs make no sense.
#[must_use]
pub fn mcnemar_regression_evidence(pairs: Pairs) -> Option<f64> {
    let ln_both = ln_mcnemar(pairs)?;
    let (regressed, improved) = (pairs.regressed as f64, pairs.improved as f64);
    let half = beta_below(improved + 0.5, regressed + 0.5, 0.5);
    Some(evidence_of(ln_both + LN_2 + half.ln()))
}

/// Returns the likelihood ratio of the mixture test (mSPRT; Johari et al., 2022) for a difference.
///
/// Λ = √(V/(V+τ²))·exp(τ²d²/(2V(V+τ²))), and min(1, 1/Λ) is a p-value at any time. `variance` (V) is
/// that of the difference's estimate, `mixing` is τ², the variance of the differences one expects.
/// `None` unless both variances are above 0 and the difference is finite.
#[must_use]
pub fn mixture_ratio(difference: f64, variance: f64, mixing: f64) -> Option<f64> {
    if !difference.is_finite() || !is_variance(variance) || !is_variance(mixing) {
        return None;
    }
    let sum = variance + mixing;
    let exponent = mixing * difference * difference / (2.0 * variance * sum);
    Some(evidence_of((variance / sum).ln() / 2.0 + exponent))
}

/// Returns how far the interval of the mixture test reaches to each side of a difference. `None` as for
/// [`mixture_ratio`], or with an `alpha` that is not between 0 and 1.
#[must_use]
pub fn mixture_reach(variance: f64, mixing: f64, alpha: f64) -> Option<f64> {
    if !is_open_share(alpha) || !is_variance(variance) || !is_variance(mixing) {
        return None;
    }
    let sum = variance + mixing;
    let level = ((sum / variance).sqrt() / alpha).ln();
    Some((2.0 * variance * sum / mixing * level).sqrt())
}

/// Returns the evidence that the candidate's pass rate is more than the baseline's − `margin`.
///
/// By universal inference (Wasserman et al., 2020). Numerator: each arm's outcomes, predicted one by
/// one from those before (Krichevsky and Trofimov). Denominator: the best that any pair of rates with
/// the candidate worse by the margin can do. An arm without outcomes is allowed, more successes than
/// outcomes are not; `None` also with a margin that is not from 0 to below 1.
#[must_use]
pub fn non_inferiority_evidence(
    candidate: Passed,
    baseline: Passed,
    margin: f64,
) -> Option<ToPromote> {
    let (new, old) = (Counts::of(candidate)?, Counts::of(baseline)?);
    if !(0.0..1.0).contains(&margin) {
        return None;
    }
    let ln_numerator = new.ln_predicted() + old.ln_predicted();
    let ln_denominator = ln_worse_by(margin, new, old);
    Some(ToPromote {
        ln_numerator,
        ln_denominator,
        evidence: evidence_of(ln_numerator - ln_denominator),
    })
}

/// Returns the generalised likelihood ratio that two arms differ (Garivier and Kaufmann, 2016).
///
/// d²/(2(v₁/n₁ + v₀/n₀)), with the threshold ln((ln t + 1)/α), t both arms' outcomes. The variances are
/// plugged in; see [`smoothed_variance`](super::smoothed_variance). `None` when an arm has no outcomes,
/// an `alpha` is not between 0 and 1, or nothing varies.
#[must_use]
pub fn likelihood_ratio(
    candidate: (Passed, f64),
    baseline: (Passed, f64),
    alpha: f64,
) -> Option<LikelihoodRatio> {
    let ((new, new_variance), (old, old_variance)) = (candidate, baseline);
    let difference = new.share()? - old.share()?;
    let variance = new_variance / new.total as f64 + old_variance / old.total as f64;
    let total = new.total as f64 + old.total as f64;
    if !is_open_share(alpha) || !is_variance(variance) {
        return None;
    }
    let statistic = difference * difference / (2.0 * variance);
    let threshold = ((total.ln() + 1.0) / alpha).ln();
    Some(LikelihoodRatio {
        statistic,
        threshold,
        is_decided: statistic > threshold,
    })
}

/// What one arm has seen.
#[derive(Clone, Copy)]
struct Counts {
    passed: f64,
    failed: f64,
}

impl Counts {
    fn of(arm: Passed) -> Option<Self> {
        Some(Self {
            passed: arm.successes as f64,
            failed: arm.total.checked_sub(arm.successes)? as f64,
        })
    }

    fn ln_predicted(self) -> f64 {
        ln_beta(self.passed + 0.5, self.failed + 0.5) - ln_beta(0.5, 0.5)
    }

    fn ln_likelihood(self, rate: f64) -> f64 {
        times_ln(self.passed, rate) + times_ln(self.failed, 1.0 - rate)
    }

    /// How the log-likelihood grows with the rate.
    fn slope(self, rate: f64) -> f64 {
        let part = |count: f64, rate: f64| if count <= 0.0 { 0.0 } else { count / rate };
        part(self.passed, rate) - part(self.failed, 1.0 - rate)
    }

    /// The likeliest rate; without outcomes any is, and `fallback` is taken.
    fn rate_or(self, fallback: f64) -> f64 {
        let total = self.passed + self.failed;
        if total > 0.0 {
            self.passed / total
        } else {
            fallback
        }
    }
}

/// The largest log-likelihood with the candidate's rate at most the baseline's − `margin`.
fn ln_worse_by(margin: f64, new: Counts, old: Counts) -> f64 {
    let (new_rate, old_rate) = (new.rate_or(0.0), old.rate_or(1.0));
    if new_rate <= old_rate - margin {
        return new.ln_likelihood(new_rate) + old.ln_likelihood(old_rate);
    }
    // On the edge the sum is concave in the baseline's rate, so its slope falls through zero once.
    let rate = root_of_increasing(margin, 1.0, |rate| {
        -(new.slope(rate - margin) + old.slope(rate))
    });
    // An end of the range may be best, where the slope is not defined.
    [margin, rate, 1.0]
        .into_iter()
        .map(|rate| new.ln_likelihood((rate - margin).max(0.0)) + old.ln_likelihood(rate))
        .fold(f64::NEG_INFINITY, f64::max)
}

fn ln_mcnemar(pairs: Pairs) -> Option<f64> {
    let discordant = pairs.discordant()? as f64;
    let (regressed, improved) = (pairs.regressed as f64, pairs.improved as f64);
    Some(ln_beta(0.5 + regressed, 0.5 + improved) - ln_beta(0.5, 0.5) + discordant * LN_2)
}

fn is_variance(variance: f64) -> bool {
    0.0 < variance && variance.is_finite()
}

#[cfg(test)]
mod tests {
    use super::{
        likelihood_ratio, mcnemar_evidence, mcnemar_regression_evidence, mixture_ratio,
        mixture_reach, non_inferiority_evidence,
    };
    use crate::stats::random::Random;
    use crate::stats::testing::{assert_close, assert_within};
    use crate::stats::{Pairs, Passed};
    use proptest::prelude::*;

    fn pairs(regressed: u64, improved: u64) -> Pairs {
        Pairs {
            regressed,
            improved,
            total: regressed + improved + 1,
        }
    }

    const fn passed(successes: u64, total: u64) -> Passed {
        Passed { successes, total }
    }

    #[test]
    fn evidence_from_pairs_has_its_reference_values() {
        for (b, c, evidence) in [
            (3, 12, 3.627_441_406),
            (1, 8, 5.585_937_5),
            (10, 25, 3.702_612_654),
            (0, 6, 14.437_5),
        ] {
            assert_close(mcnemar_evidence(pairs(b, c)).unwrap(), evidence);
        }
        assert_within(mcnemar_evidence(pairs(2, 30)).unwrap(), 333_092.161_1, 1e-3);
        assert_close(mcnemar_evidence(pairs(0, 0)).unwrap(), 1.0);
    }

    #[test]
    fn one_sided_evidence_knows_its_side() {
        assert_close(mcnemar_regression_evidence(pairs(0, 0)).unwrap(), 1.0);
        assert_close(
            mcnemar_regression_evidence(pairs(4, 4)).unwrap(),
            mcnemar_evidence(pairs(4, 4)).unwrap(),
        );
        let worse = mcnemar_regression_evidence(pairs(12, 3)).unwrap();
        let better = mcnemar_regression_evidence(pairs(3, 12)).unwrap();
        assert!(worse > 6.0 && better < 1.0, "{worse} {better}");
        // Both halves together are the two-sided mixture.
        assert_close(
            f64::midpoint(worse, better),
            mcnemar_evidence(pairs(3, 12)).unwrap(),
        );
    }

    #[test]
    fn the_mixture_has_its_reference_values() {
        for (difference, variance, ratio) in [
            (0.05, 0.0004, 5.492_946_325),
            (0.08, 0.0004, 367.253_002_2),
            (0.02, 0.0001, 1.341_822_352),
        ] {
            assert_close(mixture_ratio(difference, variance, 0.0025).unwrap(), ratio);
        }
        assert_close(
            mixture_reach(0.0004, 0.0025, 0.05).unwrap(),
            0.060_821_248_2,
        );
        assert_close(mixture_reach(0.0001, 0.0025, 0.05).unwrap(), 0.031_015_389);
        // At its reach the ratio is 1/α.
        let reach = mixture_reach(0.0004, 0.0025, 0.05).unwrap();
        assert_close(mixture_ratio(reach, 0.0004, 0.0025).unwrap(), 20.0);
    }

    #[test]
    fn evidence_to_promote_has_its_reference_values() {
        for (margin, new, old, above, below, evidence) in [
            (
                0.1,
                passed(40, 42),
                passed(38, 42),
                -25.475_611_9,
                -24.215_561_4,
                0.283_639_7,
            ),
            (
                0.05,
                passed(285, 300),
                passed(285, 300),
                -125.270_913_3,
                -122.733_205_7,
                0.079_047_4,
            ),
            (
                0.05,
                passed(950, 1_000),
                passed(950, 1_000),
                -404.391_745_7,
                -409.110_685_5,
                112.0494,
            ),
        ] {
            let result = non_inferiority_evidence(new, old, margin).unwrap();
            assert_within(result.ln_numerator, above, 1e-7);
            assert_within(result.ln_denominator, below, 1e-7);
            assert_within(result.evidence, evidence, 1e-4);
        }
        let alone = non_inferiority_evidence(passed(285, 300), passed(0, 0), 0.05).unwrap();
        assert_within(alone.ln_numerator, -62.635_456_63, 1e-8);
    }

    #[test]
    fn ends_of_the_range_are_reached() {
        for (new, old) in [
            (passed(20, 20), passed(20, 20)),
            (passed(0, 20), passed(0, 20)),
            (passed(20, 20), passed(0, 20)),
            (passed(0, 20), passed(20, 20)),
            (passed(0, 0), passed(0, 0)),
        ] {
            let result = non_inferiority_evidence(new, old, 0.1).unwrap();
            assert!(
                result.ln_denominator <= 0.0 && result.evidence.is_finite(),
                "{result:?}"
            );
        }
    }

    #[test]
    fn the_likelihood_ratio_has_its_reference_values() {
        let decided =
            likelihood_ratio((passed(425, 500), 0.1275), (passed(375, 500), 0.1875), 0.05).unwrap();
        assert_close(decided.statistic, 7.936_507_937);
        assert_close(decided.threshold, 5.063_576_232);
        assert!(decided.is_decided);
        let open =
            likelihood_ratio((passed(170, 200), 0.1275), (passed(160, 200), 0.16), 0.05).unwrap();
        assert_close(open.statistic, 0.869_565_217_4);
        assert_close(open.threshold, 4.940_422_328);
        assert!(!open.is_decided);
    }

    #[test]
    fn nonsense_is_no_evidence() {
        let empty = Pairs {
            regressed: 0,
            improved: 0,
            total: 0,
        };
        assert_eq!(mcnemar_evidence(empty), None);
        assert_eq!(mcnemar_regression_evidence(empty), None);
        assert_eq!(mixture_ratio(f64::NAN, 0.1, 0.1), None);
        assert_eq!(mixture_ratio(0.1, 0.0, 0.1), None);
        assert_eq!(mixture_reach(0.1, f64::NAN, 0.05), None);
        assert_eq!(mixture_reach(0.1, 0.1, 1.0), None);
        assert_eq!(
            non_inferiority_evidence(passed(3, 2), passed(1, 2), 0.05),
            None
        );
        for margin in [-0.1, 1.0, f64::NAN] {
            assert_eq!(
                non_inferiority_evidence(passed(1, 2), passed(1, 2), margin),
                None
            );
        }
        assert_eq!(
            likelihood_ratio((passed(0, 0), 0.2), (passed(1, 2), 0.2), 0.05),
            None
        );
        assert_eq!(
            likelihood_ratio((passed(1, 2), 0.0), (passed(1, 2), 0.0), 0.05),
            None
        );
    }

    /// A candidate worse by exactly the margin, looked at after every tenth pair of outcomes.
    #[test]
    fn what_is_worse_by_the_margin_is_seldom_promoted() {
        let mut random = Random::from_seed(31);
        let promoted = (0..200).filter(|_| {
            let (mut new, mut old) = (passed(0, 0), passed(0, 0));
            (1..=500).any(|n| {
                new = passed(new.successes + u64::from(random.happens(0.85)), n);
                old = passed(old.successes + u64::from(random.happens(0.95)), n);
                n % 10 == 0 && non_inferiority_evidence(new, old, 0.1).unwrap().evidence >= 20.0
            })
        });
        let promoted = promoted.count();
        assert!(promoted <= 10, "{promoted} of 200 at a level of 5 %");
    }

    proptest! {
        #[test]
        fn sides_of_pairs_may_be_swapped(b in 0..200_u64, c in 0..200_u64) {
            let there = mcnemar_evidence(pairs(b, c)).unwrap();
            let back = mcnemar_evidence(pairs(b, c).swapped()).unwrap();
            prop_assert!((there / back - 1.0).abs() < 1e-9);
        }

        #[test]
        fn a_wider_margin_is_easier_to_clear(
            k in 0..100_u64, l in 0..100_u64, margin in 0.01..0.3_f64,
        ) {
            let (new, old) = (passed(k, 100), passed(l, 100));
            let near = non_inferiority_evidence(new, old, margin).unwrap();
            let far = non_inferiority_evidence(new, old, margin * 2.0).unwrap();
            prop_assert!(near.evidence <= far.evidence * (1.0 + 1e-9));
            prop_assert!(near.ln_denominator.is_finite());
        }
    }
}
