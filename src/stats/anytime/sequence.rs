//! Confidence sequences: intervals of one mean that hold at all times.

use super::evidence_of;
use crate::stats::distributions::{is_open_share, is_share, times_ln};
use crate::stats::proportion::share;
use crate::stats::special::{ln_beta, root_of_increasing};
use crate::stats::{Estimate, Interval};

/// The largest variance of what lies between 0 and 1.
const LARGEST_VARIANCE: f64 = 0.25;

/// Returns the ρ that makes an asymptotic sequence narrowest around `n` observations.
///
/// ρ² = (−2·ln α + ln(−2·ln α) + 1)/n. It must be chosen before the data are seen. `None` with an
/// `alpha` that is not between 0 and 1, or without observations.
#[must_use]
pub fn tuned_rho(alpha: f64, n: u64) -> Option<f64> {
    if !is_open_share(alpha) || n == 0 {
        return None;
    }
    let level = -2.0 * alpha.ln();
    let square = (level + level.ln() + 1.0) / n as f64;
    (square > 0.0).then(|| square.sqrt())
}

/// Returns how far the asymptotic sequence reaches to each side of a mean of `n` values.
///
/// √((nσ²ρ² + 1)/(n²ρ²)·ln((nσ²ρ² + 1)/α²)) with σ² the `variance` (Waudby-Smith et al., 2024). `None`
/// without values, with a variance that is negative or not finite, a `rho` that is not above 0, or an
/// `alpha` that is not between 0 and 1.
#[must_use]
pub fn asymptotic_reach(n: u64, variance: f64, alpha: f64, rho: f64) -> Option<f64> {
    let is_variance = 0.0 <= variance && variance.is_finite();
    if !(0 < n && is_variance && 0.0 < rho && is_open_share(alpha)) {
        return None;
    }
    let n = n as f64;
    let square = rho * rho;
    let spread = n * variance * square + 1.0;
    let reach = (spread / (n * n * square) * (spread / (alpha * alpha)).ln()).sqrt();
    reach.is_finite().then_some(reach)
}

/// Returns a mean with its asymptotic sequence. `None` as for [`asymptotic_reach`].
#[must_use]
pub fn asymptotic_sequence(
    mean: f64,
    n: u64,
    variance: f64,
    alpha: f64,
    rho: f64,
) -> Option<Estimate> {
    Some(Estimate {
        value: mean,
        interval: Interval::around(mean, asymptotic_reach(n, variance, alpha, rho)?)?,
    })
}

/// Returns how far a sequence for means of values from 0 to 1 reaches, whatever their distribution.
///
/// It holds however few they are, and is tuned for about 100 (Howard et al., 2021, with Hoeffding's
/// variance of ¼). `None` without values, or with an `alpha` that is not between 0 and 1.
#[must_use]
pub fn hoeffding_reach(n: u64, alpha: f64) -> Option<f64> {
    let rho = tuned_rho(alpha, 100)? / LARGEST_VARIANCE.sqrt();
    asymptotic_reach(n, LARGEST_VARIANCE, alpha, rho)
}

/// Returns a mean of values from 0 to 1 with its sequence. `None` as for [`hoeffding_reach`], or with a
/// mean that is not between 0 and 1.
#[must_use]
pub fn hoeffding_sequence(mean: f64, n: u64, alpha: f64) -> Option<Estimate> {
    if !is_share(mean) {
        return None;
    }
    Some(Estimate {
        value: mean,
        interval: Interval::around(mean, hoeffding_reach(n, alpha)?)?.clamped(0.0, 1.0),
    })
}

/// Returns the evidence against a pass rate of `rate` after `successes` of `n`.
///
/// It is the likelihood mixed over Beta(`prior`, `prior`), by that of `rate`; ½ is a good prior. The
/// largest number there is when the outcomes are impossible under `rate`. `None` without outcomes, with
/// more successes than outcomes, a rate that is none, or a prior that is not above 0.
#[must_use]
pub fn beta_binomial_evidence(successes: u64, n: u64, rate: f64, prior: f64) -> Option<f64> {
    share(successes, n)?;
    (is_share(rate) && is_prior(prior)).then(|| evidence_of(ln_evidence(successes, n, rate, prior)))
}

/// Returns the pass rates that `successes` of `n` do not speak against, at any time.
///
/// Exactly those with evidence below 1/α. `None` as for [`beta_binomial_evidence`], or with an `alpha`
/// that is not between 0 and 1.
#[must_use]
pub fn beta_binomial_sequence(successes: u64, n: u64, alpha: f64, prior: f64) -> Option<Interval> {
    let seen = share(successes, n)?;
    if !is_open_share(alpha) || !is_prior(prior) {
        return None;
    }
    // The evidence falls towards the rate that was seen and rises beyond.
    let excess = |rate: f64| ln_evidence(successes, n, rate, prior) + alpha.ln();
    Some(Interval {
        low: if successes == 0 {
            0.0
        } else {
            root_of_increasing(0.0, seen, |rate| -excess(rate))
        },
        high: if successes == n {
            1.0
        } else {
            root_of_increasing(seen, 1.0, excess)
        },
    })
}

/// Returns the variance of 0/1 outcomes as if two more had passed and two failed.
///
/// After Agresti and Coull (1998): never 0, and not underestimated in a small arm. `None` without
/// outcomes, or with more successes than outcomes.
#[must_use]
pub fn smoothed_variance(successes: u64, n: u64) -> Option<f64> {
    share(successes, n)?;
    let rate = (successes as f64 + 2.0) / (n as f64 + 4.0);
    Some(rate * (1.0 - rate))
}

fn ln_evidence(successes: u64, n: u64, rate: f64, prior: f64) -> f64 {
    let (hits, misses) = (successes as f64, (n - successes) as f64);
    ln_beta(prior + hits, prior + misses)
        - ln_beta(prior, prior)
        - times_ln(hits, rate)
        - times_ln(misses, 1.0 - rate)
}

fn is_prior(prior: f64) -> bool {
    0.0 < prior && prior.is_finite()
}

#[cfg(test)]
mod tests {
    use super::{
        asymptotic_reach, asymptotic_sequence, beta_binomial_evidence, beta_binomial_sequence,
        hoeffding_reach, hoeffding_sequence, smoothed_variance, tuned_rho,
    };
    use crate::stats::random::Random;
    use crate::stats::testing::{assert_close, assert_interval};
    use proptest::prelude::*;

    #[test]
    fn reaches_have_their_reference_values() {
        let rho = tuned_rho(0.05, 100).unwrap();
        assert_close(rho, 0.296_341_027);
        for (n, variance, reach) in [
            (100, 0.25, 0.161_333_366_1),
            (1_000, 0.25, 0.048_838_022_9),
            (10_000, 0.25, 0.016_911_117_12),
            (100, 0.09, 0.115_768_288_9),
            (50, 0.16, 0.224_921_338_3),
        ] {
            assert_close(asymptotic_reach(n, variance, 0.05, rho).unwrap(), reach);
        }
        let rho = tuned_rho(0.1, 100).unwrap();
        assert_close(rho, 0.267_064_595_4);
        assert_close(
            asymptotic_reach(500, 0.2, 0.1, rho).unwrap(),
            0.055_283_071_47,
        );
        for (n, reach) in [
            (50, 0.217_075_771_5),
            (100, 0.151_772_319_8),
            (500, 0.070_778_538_1),
            (1_000, 0.051_471_762_9),
        ] {
            assert_close(hoeffding_reach(n, 0.05).unwrap(), reach);
        }
    }

    #[test]
    fn the_exact_sequence_has_its_reference_values() {
        for (successes, failures, low, high) in [
            (70, 30, 0.537_160_134_9, 0.834_348_464_6),
            (85, 15, 0.708_252_827_4, 0.942_063_392_7),
            (850, 150, 0.805_718_135_9, 0.888_079_541_8),
            (0, 30, 0.0, 0.161_182_468_4),
            (7, 3, 0.252_412_890_1, 0.967_484_860_2),
        ] {
            let sequence = beta_binomial_sequence(successes, successes + failures, 0.05, 0.5);
            assert_interval(sequence.unwrap(), low, high);
        }
        let flat = beta_binomial_sequence(70, 100, 0.05, 1.0).unwrap();
        assert_interval(flat, 0.542_754_012_4, 0.830_553_522);
        assert_close(
            beta_binomial_evidence(70, 100, 0.8, 0.5).unwrap(),
            1.330_509_502,
        );
        assert_close(
            beta_binomial_evidence(850, 1_000, 0.8, 0.5).unwrap(),
            109.786_608,
        );
        assert_eq!(beta_binomial_evidence(1, 2, 0.0, 0.5), Some(f64::MAX));
    }

    #[test]
    fn nonsense_has_no_sequence() {
        assert_eq!(tuned_rho(0.0, 100), None);
        assert_eq!(tuned_rho(0.05, 0), None);
        assert_eq!(asymptotic_reach(0, 0.25, 0.05, 0.3), None);
        assert_eq!(asymptotic_reach(9, -0.25, 0.05, 0.3), None);
        assert_eq!(asymptotic_reach(9, f64::NAN, 0.05, 0.3), None);
        assert_eq!(asymptotic_reach(9, 0.25, 0.05, 0.0), None);
        assert_eq!(asymptotic_reach(9, 0.25, 0.05, f64::NAN), None);
        assert_eq!(asymptotic_sequence(f64::NAN, 9, 0.25, 0.05, 0.3), None);
        assert_eq!(hoeffding_sequence(1.5, 9, 0.05), None);
        assert_eq!(beta_binomial_sequence(0, 0, 0.05, 0.5), None);
        assert_eq!(beta_binomial_sequence(1, 2, 1.0, 0.5), None);
        assert_eq!(beta_binomial_sequence(1, 2, 0.05, 0.0), None);
        assert_eq!(beta_binomial_evidence(1, 2, f64::NAN, 0.5), None);
        assert_eq!(smoothed_variance(0, 0), None);
    }

    /// Looked at after each of 400 outcomes, the sequence loses the truth in no more than α of runs.
    #[test]
    fn the_exact_sequence_holds_at_all_times() {
        let mut random = Random::from_seed(21);
        for rate in [0.5, 0.9] {
            let lost = (0..200).filter(|_| {
                let mut successes = 0;
                (1..=400).any(|n| {
                    successes += u64::from(random.happens(rate));
                    beta_binomial_evidence(successes, n, rate, 0.5).unwrap() >= 20.0
                })
            });
            let lost = lost.count();
            assert!(lost <= 10, "{lost} of 200 at {rate}");
        }
    }

    proptest! {
        #[test]
        fn sequences_hold_what_was_seen(successes in 0..300_u64, failures in 0..300_u64) {
            prop_assume!(0 < successes + failures);
            let n = successes + failures;
            let seen = successes as f64 / n as f64;
            let exact = beta_binomial_sequence(successes, n, 0.05, 0.5).unwrap();
            prop_assert!(exact.contains(seen) && 0.0 <= exact.low && exact.high <= 1.0);
            let turned = beta_binomial_sequence(failures, n, 0.05, 0.5).unwrap();
            prop_assert!((turned.low - (1.0 - exact.high)).abs() < 1e-9);
            let wide = hoeffding_sequence(seen, n, 0.05).unwrap();
            prop_assert!(wide.interval.contains(seen));
            // At any time is more than at one time.
            let once = crate::stats::wilson(successes, n, 0.95).unwrap();
            prop_assert!(once.width() < exact.width());
            prop_assert!(hoeffding_reach(n + 1, 0.05).unwrap() < hoeffding_reach(n, 0.05).unwrap());
        }
    }
}
