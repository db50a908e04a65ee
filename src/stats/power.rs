//! What a suite can see: print it before anybody trusts a green result.
//!
//! Numbers of cases come back as fractions; [`whole_cases`] rounds them up.

use super::distributions::{is_share, normal_quantile};
use serde::{Deserialize, Serialize};

/// How often an experiment may be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// The chance of a false alarm; two-sided, except for non-inferiority.
    pub alpha: f64,
    /// The chance of finding what is there.
    pub power: f64,
}

impl Default for Errors {
    /// 5 % false alarms, 80 % found.
    fn default() -> Self {
        Self {
            alpha: 0.05,
            power: 0.8,
        }
    }
}

impl Errors {
    /// The normal quantiles of half of alpha and of the power.
    pub(super) fn two_sided(self) -> Option<(f64, f64)> {
        Self {
            alpha: self.alpha / 2.0,
            ..self
        }
        .one_sided()
    }

    /// The normal quantiles of alpha and of the power.
    pub(super) fn one_sided(self) -> Option<(f64, f64)> {
        (self.alpha < 0.5 && 0.5 <= self.power).then_some(())?;
        Some((
            normal_quantile(1.0 - self.alpha)?,
            normal_quantile(self.power)?,
        ))
    }
}

/// The noise of a score, for [`miller_cases`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ScoreNoise {
    /// The variance of the difference between the versions' true means over cases (ω²).
    pub between: f64,
    /// The variance of one answer of the baseline around its mean (`σ_A²`).
    pub within_baseline: f64,
    /// The variance of one answer of the candidate around its mean (`σ_B²`).
    pub within_candidate: f64,
    /// How often the baseline answers each case.
    pub repeats_baseline: u64,
    /// How often the candidate answers each case.
    pub repeats_candidate: u64,
}

/// Returns the smallest change of a pass rate that `n` paired cases would find, when the share
/// `discordance` of them changes: d = z·√((ψ − d²)/n) solved for d.
///
/// A result above `discordance` means that no change can be found. `None` without cases, with a share
/// that is none, with errors outside 0 to 0.5 (`alpha`) and 0.5 to 1 (`power`), here and below.
#[must_use]
pub fn detectable_difference(n: u64, discordance: f64, errors: Errors) -> Option<f64> {
    let (alpha, power) = errors.two_sided()?;
    if n == 0 || !is_share(discordance) {
        return None;
    }
    let z = alpha + power;
    Some(z * (discordance / (n as f64 + z * z)).sqrt())
}

/// Returns the smallest mean difference of scores that `n` pairs with this variance of differences would
/// find. `None` also with a variance that is negative or not finite.
#[must_use]
pub fn detectable_mean_difference(n: u64, variance: f64, errors: Errors) -> Option<f64> {
    let (alpha, power) = errors.two_sided()?;
    (0 < n && 0.0 <= variance && variance.is_finite())
        .then(|| (alpha + power) * (variance / n as f64).sqrt())
}

/// Returns how many pairs find a `difference` of pass rates (Connor, 1987). `None` also unless the
/// difference is not 0 and at most `discordance`.
#[must_use]
pub fn connor_cases(discordance: f64, difference: f64, errors: Errors) -> Option<f64> {
    let (alpha, power) = errors.two_sided()?;
    let square = difference * difference;
    if !(is_share(discordance) && 0.0 < square && difference.abs() <= discordance) {
        return None;
    }
    Some((alpha * discordance.sqrt() + power * (discordance - square).sqrt()).powi(2) / square)
}

/// Returns how many cases find a `difference` of mean scores, with repeats.
///
/// `z²(ω² + σ_A²/K_A + σ_B²/K_B)/δ²`, after Miller (2024). `None` also when a variance is negative,
/// repeats are 0, or the difference is 0.
#[must_use]
pub fn miller_cases(noise: ScoreNoise, difference: f64, errors: Errors) -> Option<f64> {
    let (alpha, power) = errors.two_sided()?;
    let variances = [noise.between, noise.within_baseline, noise.within_candidate];
    if variances
        .iter()
        .any(|variance| variance.is_nan() || *variance < 0.0)
        || noise.repeats_baseline == 0
        || noise.repeats_candidate == 0
    {
        return None;
    }
    let variance = noise.between
        + noise.within_baseline / noise.repeats_baseline as f64
        + noise.within_candidate / noise.repeats_candidate as f64;
    let cases = (alpha + power).powi(2) * variance / (difference * difference);
    cases.is_finite().then_some(cases)
}

/// Returns how many pairs show that an equally good candidate is not worse by `margin`: z²·ψ/m² with a
/// one-sided `alpha`. `None` also unless the margin is above 0.
#[must_use]
pub fn non_inferiority_cases(discordance: f64, margin: f64, errors: Errors) -> Option<f64> {
    let (alpha, power) = errors.one_sided()?;
    (is_share(discordance) && 0.0 < margin && margin.is_finite())
        .then(|| (alpha + power).powi(2) * discordance / (margin * margin))
}

/// Returns how many cases each side needs to tell two pass rates apart without pairs. `None` also
/// unless both are shares and differ.
#[must_use]
pub fn unpaired_cases(baseline: f64, candidate: f64, errors: Errors) -> Option<f64> {
    let (alpha, power) = errors.two_sided()?;
    if !is_share(baseline) || !is_share(candidate) {
        return None;
    }
    let middle = f64::midpoint(baseline, candidate);
    let of_same = (2.0 * middle * (1.0 - middle)).sqrt();
    let of_different = (baseline * (1.0 - baseline) + candidate * (1.0 - candidate)).sqrt();
    let cases = (alpha * of_same + power * of_different).powi(2) / (baseline - candidate).powi(2);
    cases.is_finite().then_some(cases)
}

/// Returns a number of cases rounded up; `None` when it is negative or more than 2^53.
#[must_use]
pub fn whole_cases(cases: f64) -> Option<u64> {
    const MOST: f64 = 9_007_199_254_740_992.0;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range is checked before"
    )]
    (0.0..=MOST).contains(&cases).then(|| cases.ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::{
        Errors, ScoreNoise, connor_cases, detectable_difference, detectable_mean_difference,
        miller_cases, non_inferiority_cases, unpaired_cases, whole_cases,
    };
    use crate::stats::testing::{assert_close, assert_within};
    use proptest::prelude::*;

    #[test]
    fn a_suite_sees_what_the_table_says() {
        for (n, seen) in [
            (20, [0.1187, 0.1679, 0.2374, 0.2908]),
            (50, [0.0824, 0.1165, 0.1647, 0.2018]),
            (100, [0.0603, 0.0853, 0.1206, 0.1478]),
            (200, [0.0435, 0.0615, 0.0869, 0.1064]),
            (300, [0.0357, 0.0505, 0.0714, 0.0875]),
            (500, [0.0278, 0.0393, 0.0556, 0.0681]),
            (1000, [0.0197, 0.0279, 0.0395, 0.0483]),
            (2000, [0.0140, 0.0198, 0.0280, 0.0342]),
        ] {
            for (discordance, expected) in [0.05, 0.1, 0.2, 0.3].into_iter().zip(seen) {
                let actual = detectable_difference(n, discordance, Errors::default()).unwrap();
                assert_within(actual, expected, 5.1e-5);
            }
        }
    }

    #[test]
    fn needed_cases_have_their_reference_values() {
        let errors = Errors::default();
        for (discordance, difference, cases) in [
            (0.2, 0.05, 625.547_317_8),
            (0.1, 0.05, 311.586_875_2),
            (0.2, 0.1, 154.598_569_6),
        ] {
            assert_close(
                connor_cases(discordance, difference, errors).unwrap(),
                cases,
            );
        }
        assert_close(unpaired_cases(0.8, 0.85, errors).unwrap(), 905.365_778);
        for (discordance, margin, cases) in [
            (0.1, 0.03, 687),
            (0.05, 0.03, 343),
            (0.1, 0.02, 1_546),
            (0.1, 0.05, 248),
        ] {
            let exact = non_inferiority_cases(discordance, margin, errors).unwrap();
            assert_within(exact, f64::from(cases), 1.0);
        }
        let cases = non_inferiority_cases(0.1, 0.03, errors).unwrap();
        assert_eq!(whole_cases(cases), Some(687));
    }

    #[test]
    fn repeats_save_cases() {
        let noise = |within, repeats| ScoreNoise {
            between: 1.0 / 9.0,
            within_baseline: within,
            within_candidate: within,
            repeats_baseline: repeats,
            repeats_candidate: repeats,
        };
        for (noise, cases) in [
            (noise(0.0, 1), 968.997_498_1),
            (noise(1.0 / 6.0, 1), 3_875.989_992),
            (noise(1.0 / 6.0, 10), 1_259.696_747),
        ] {
            assert_close(miller_cases(noise, 0.03, Errors::default()).unwrap(), cases);
        }
        assert_eq!(miller_cases(noise(0.0, 0), 0.03, Errors::default()), None);
        assert_eq!(miller_cases(noise(-1.0, 1), 0.03, Errors::default()), None);
        assert_eq!(miller_cases(noise(0.0, 1), 0.0, Errors::default()), None);
    }

    #[test]
    fn nonsense_needs_no_cases() {
        let errors = Errors::default();
        assert_eq!(detectable_difference(0, 0.1, errors), None);
        assert_eq!(detectable_difference(9, 1.1, errors), None);
        assert_eq!(detectable_mean_difference(9, f64::NAN, errors), None);
        assert_eq!(connor_cases(0.1, 0.2, errors), None);
        assert_eq!(connor_cases(0.1, 0.0, errors), None);
        assert_eq!(connor_cases(0.1, f64::NAN, errors), None);
        assert_eq!(non_inferiority_cases(0.1, 0.0, errors), None);
        assert_eq!(non_inferiority_cases(0.1, f64::NAN, errors), None);
        assert_eq!(unpaired_cases(0.5, 0.5, errors), None);
        assert_eq!(unpaired_cases(0.5, 2.0, errors), None);
        for (alpha, power) in [
            (0.0, 0.8),
            (0.6, 0.8),
            (0.05, 0.2),
            (0.05, 1.0),
            (f64::NAN, 0.8),
        ] {
            assert_eq!(
                non_inferiority_cases(0.1, 0.02, Errors { alpha, power }),
                None
            );
        }
        assert_eq!(whole_cases(f64::NAN), None);
        assert_eq!(whole_cases(-1.0), None);
        assert_eq!(whole_cases(f64::INFINITY), None);
    }

    proptest! {
        #[test]
        fn more_cases_see_less(n in 1..10_000_u64, discordance in 0.01..1.0_f64) {
            let errors = Errors::default();
            let seen = detectable_difference(n, discordance, errors).unwrap();
            prop_assert!(detectable_difference(n + 1, discordance, errors).unwrap() < seen);
            // What n cases see is what the textbook's shorter formula asks n cases for.
            let z = 2.801_585_218;
            let asked = z * z * (discordance - seen * seen) / (seen * seen);
            prop_assert!((asked - n as f64).abs() < 1e-5 * n as f64);
        }
    }
}
