//! What a comparison says in one word, and how many more cases would make it say something.
//!
//! # Rules
//!
//! With a margin m, by which a candidate may be worse:
//! - few: under six changed cases, and an interval wider than 2m;
//! - `improved`: the 95 % interval is above 0, and not few;
//! - `ok`: the one-sided 95 % lower bound is above −m (not worse by more than m);
//! - `slightly_worse`: `ok`, though the 95 % interval is below 0, and not few;
//! - `insufficient_data`: not `ok`, and few;
//! - `regressed`: the 95 % interval is below 0;
//! - `inconclusive`: everything else. It is no pass: "not significant" would let a drop through that the
//!   suite could not see.

use super::differences::{not_zero, paired_t};
use super::distributions::t_two_sided_quantile;
use super::pairs::{FEWEST_DISCORDANT, Pairs};
use super::power::{Errors, whole_cases};
use super::proportion::upper_bound_exact;
use super::sample::{mean, standard_error, variance};
use super::{Estimate, Interval};
use serde::{Deserialize, Serialize};

/// How sure a verdict is.
const CONFIDENCE: f64 = 0.95;

/// What became of a metric from the baseline to the candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// Better.
    Improved,
    /// Not worse by more than the margin.
    Ok,
    /// Worse, but not by more than the margin.
    SlightlyWorse,
    /// Worse, and possibly by more than the margin.
    Regressed,
    /// The cases do not decide.
    Inconclusive,
    /// So few cases changed that nothing could have been found.
    InsufficientData,
}

/// A verdict and what it stands on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The verdict.
    pub change: Change,
    /// The difference, candidate − baseline, with its 95 % interval.
    pub difference: Estimate,
    /// The lower bound of the difference with one-sided 95 % confidence.
    pub lower_bound: f64,
    /// By how much the candidate may be worse.
    pub margin: f64,
    /// How many cases differ between the two.
    pub changed: u64,
    /// How many cases there are.
    pub cases: u64,
    /// How many cases would decide, were the rest like these, with 80 % power; `None` when decided or
    /// when no number would: the difference is as good as −m.
    pub needed_cases: Option<u64>,
}

/// Returns the verdict on a metric that passes or fails, by Tango's interval.
///
/// `None` when the pairs make no sense, or the margin is not above 0 and at most 1.
#[must_use]
pub fn verdict_of_pairs(pairs: Pairs, margin: f64) -> Option<Verdict> {
    let changed = pairs.discordant()?;
    if margin > 1.0 {
        return None;
    }
    let findings = Findings {
        difference: Estimate {
            value: pairs.difference()?,
            interval: pairs.tango(CONFIDENCE)?,
        },
        lower_bound: pairs.non_inferior_lower(CONFIDENCE)?,
        changed,
        cases: pairs.total,
    };
    let needed = needed_pairs(pairs, margin);
    findings.verdict(margin, needed)
}

/// Returns the verdict on a metric with scores from 0 to 1, by the t interval of the differences.
///
/// When all differences are alike they have no spread to judge by. Then each end gets what may still be
/// unseen: with 95 % confidence at most the share 1 − .05^(1/n) of cases differs, each by a full point.
/// Fewer than six cases are insufficient whatever they show. `None` with fewer than two differences,
/// with one that is not finite, or with a margin that is not above 0.
#[must_use]
pub fn verdict_of_differences(differences: &[f64], margin: f64) -> Option<Verdict> {
    let cases = differences.len() as u64;
    let test = paired_t(differences, CONFIDENCE)?;
    let value = test.mean.value;
    let (interval, lower_bound) = if test.t.is_some() {
        let one_sided = t_two_sided_quantile(2.0 * CONFIDENCE - 1.0, (cases - 1) as f64)?;
        let lower = value - one_sided * standard_error(differences)?;
        (test.mean.interval, lower)
    } else {
        // Two-sided, each end leaves out half as much.
        let unseen = upper_bound_exact(0, cases, f64::midpoint(1.0, CONFIDENCE))?;
        let lower = value - upper_bound_exact(0, cases, CONFIDENCE)?;
        (Interval::around(value, unseen)?, lower)
    };
    let findings = Findings {
        difference: Estimate { value, interval },
        lower_bound,
        changed: not_zero(differences)?.len() as u64,
        cases,
    };
    let needed = needed_differences(differences, margin);
    let mut verdict = findings.verdict(margin, needed)?;
    if cases < FEWEST_DISCORDANT {
        verdict.change = Change::InsufficientData;
        verdict.needed_cases = needed;
    }
    Some(verdict)
}

/// Returns how many cases in all would decide with 80 % power, were the rest like these: show that the
/// candidate is not worse by more than the margin, or that it is worse, whichever is sooner.
///
/// One more case is taken to have changed each way, so that a suite without changes is not asked for
/// none. `None` when no number would, or what was given makes no sense.
#[must_use]
pub fn needed_pairs(pairs: Pairs, margin: f64) -> Option<u64> {
    let discordance = (pairs.discordant()? as f64 + 2.0) / (pairs.total as f64 + 2.0);
    let difference = pairs.difference()?;
    needed(
        difference,
        discordance - difference * difference,
        margin,
        pairs.total,
    )
}

/// Returns the same for scores. `None` also with fewer than two differences, or when they are all alike.
#[must_use]
pub fn needed_differences(differences: &[f64], margin: f64) -> Option<u64> {
    let variance = variance(differences).filter(|variance| *variance > 0.0)?;
    needed(
        mean(differences)?,
        variance,
        margin,
        differences.len() as u64,
    )
}

fn needed(difference: f64, variance: f64, margin: f64, cases: u64) -> Option<u64> {
    if !is_margin(margin) {
        return None;
    }
    let errors = Errors::default();
    let (two_sided, power) = errors.two_sided()?;
    let (one_sided, _) = errors.one_sided()?;
    let cases_for = |z: f64, distance: f64| {
        whole_cases((z + power).powi(2) * variance / (distance * distance))
            .filter(|_| distance > 0.0)
    };
    let to_clear = cases_for(one_sided, difference + margin);
    let to_convict = cases_for(two_sided, -difference);
    let sooner = [to_clear, to_convict].into_iter().flatten().min()?;
    // These cases did not decide, though so many should have: ask for at least one more.
    Some(sooner.max(cases.saturating_add(1)))
}

/// What the verdict is read from.
struct Findings {
    difference: Estimate,
    lower_bound: f64,
    changed: u64,
    cases: u64,
}

impl Findings {
    fn verdict(self, margin: f64, needed_cases: Option<u64>) -> Option<Verdict> {
        if !is_margin(margin) {
            return None;
        }
        let change = self.change(margin);
        let is_open = matches!(change, Change::Inconclusive | Change::InsufficientData);
        Some(Verdict {
            change,
            difference: self.difference,
            lower_bound: self.lower_bound,
            margin,
            changed: self.changed,
            cases: self.cases,
            needed_cases: needed_cases.filter(|_| is_open),
        })
    }

    fn change(&self, margin: f64) -> Change {
        let interval = self.difference.interval;
        let is_few = self.changed < FEWEST_DISCORDANT && interval.width() > 2.0 * margin;
        let is_ok = self.lower_bound > -margin;
        if interval.low > 0.0 && !is_few {
            Change::Improved
        } else if is_ok && interval.high < 0.0 && !is_few {
            Change::SlightlyWorse
        } else if is_ok {
            Change::Ok
        } else if is_few {
            Change::InsufficientData
        } else if interval.high < 0.0 {
            Change::Regressed
        } else {
            Change::Inconclusive
        }
    }
}

fn is_margin(margin: f64) -> bool {
    0.0 < margin && margin.is_finite()
}

#[cfg(test)]
mod tests {
    use super::{
        Change, needed_differences, needed_pairs, verdict_of_differences, verdict_of_pairs,
    };
    use crate::stats::Pairs;
    use crate::stats::random::Random;
    use proptest::prelude::*;

    fn pairs(regressed: u64, improved: u64, total: u64) -> Pairs {
        Pairs {
            regressed,
            improved,
            total,
        }
    }

    #[test]
    fn pairs_are_judged_by_the_rules() {
        for (seen, margin, change) in [
            (pairs(3, 12, 100), 0.02, Change::Improved),
            (pairs(10, 10, 500), 0.02, Change::Ok),
            (pairs(20, 10, 500), 0.05, Change::Ok),
            // Not significant, and yet no pass.
            (pairs(20, 10, 500), 0.03, Change::Inconclusive),
            (pairs(25, 10, 500), 0.06, Change::SlightlyWorse),
            (pairs(25, 10, 500), 0.03, Change::Regressed),
            (pairs(12, 3, 100), 0.05, Change::Regressed),
            // Nothing changed, and that proves nothing yet.
            (pairs(0, 0, 100), 0.02, Change::InsufficientData),
            (pairs(0, 0, 300), 0.02, Change::Ok),
            (pairs(5, 0, 20), 0.05, Change::InsufficientData),
            (pairs(0, 5, 50), 0.05, Change::Ok),
        ] {
            let verdict = verdict_of_pairs(seen, margin).unwrap();
            assert_eq!(verdict.change, change, "{seen:?} {margin}");
            let is_open = matches!(change, Change::Inconclusive | Change::InsufficientData);
            assert_eq!(verdict.needed_cases.is_some(), is_open, "{seen:?} {margin}");
        }
    }

    #[test]
    fn differences_are_judged_by_the_rules() {
        let alternating = |centre: f64, spread: f64, n: usize| -> Vec<f64> {
            (0..n)
                .map(|i| {
                    if i % 2 == 0 {
                        centre + spread
                    } else {
                        centre - spread
                    }
                })
                .collect()
        };
        for (differences, margin, change) in [
            (alternating(0.09, 0.1, 40), 0.02, Change::Improved),
            (alternating(0.0, 0.05, 100), 0.02, Change::Ok),
            (alternating(-0.02, 0.05, 100), 0.05, Change::SlightlyWorse),
            (alternating(-0.09, 0.1, 40), 0.02, Change::Regressed),
            (alternating(0.0, 0.3, 20), 0.02, Change::Inconclusive),
            (vec![0.0; 20], 0.05, Change::InsufficientData),
            (vec![0.0; 200], 0.05, Change::Ok),
            (vec![0.5; 3], 0.05, Change::InsufficientData),
        ] {
            let verdict = verdict_of_differences(&differences, margin).unwrap();
            assert_eq!(verdict.change, change, "{differences:?} {margin}");
        }
    }

    #[test]
    fn so_many_cases_would_decide() {
        // As good as the baseline: the cases for non-inferiority, with one change more each way.
        assert_eq!(needed_pairs(pairs(50, 50, 1_000), 0.01), Some(6_294));
        // Far worse: showing that is sooner than showing that it is not worse.
        assert!(needed_pairs(pairs(8, 2, 40), 0.05).unwrap() < 120);
        // As far from 0 as the margin: both are equally hard to tell apart.
        let verdict = verdict_of_pairs(pairs(20, 10, 500), 0.03).unwrap();
        assert!((1_000..2_000).contains(&verdict.needed_cases.unwrap()));
        assert_eq!(needed_differences(&[0.0, 0.0], 0.02), None);
        assert_eq!(needed_pairs(pairs(0, 0, 0), 0.02), None);
        assert_eq!(needed_pairs(pairs(1, 1, 10), f64::NAN), None);
    }

    #[test]
    fn nonsense_has_no_verdict() {
        for margin in [0.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(verdict_of_pairs(pairs(1, 1, 10), margin), None);
        }
        assert_eq!(verdict_of_pairs(pairs(1, 1, 1), 0.02), None);
        assert_eq!(verdict_of_differences(&[0.1], 0.02), None);
        assert_eq!(verdict_of_differences(&[0.1, f64::NAN], 0.02), None);
        assert_eq!(verdict_of_differences(&[0.1, 0.2], 0.0), None);
    }

    /// A candidate that is worse by exactly the margin passes as seldom as was promised.
    #[test]
    fn what_is_worse_by_the_margin_seldom_passes() {
        let mut random = Random::from_seed(11);
        let passed = (0..400)
            .filter(|_| {
                let mut seen = pairs(0, 0, 300);
                for _ in 0..300 {
                    let chance = random.share();
                    seen.regressed += u64::from(chance < 0.09);
                    seen.improved += u64::from(0.95 <= chance);
                }
                // True difference: .05 − .09.
                let change = verdict_of_pairs(seen, 0.04).unwrap().change;
                matches!(
                    change,
                    Change::Ok | Change::SlightlyWorse | Change::Improved
                )
            })
            .count();
        assert!(passed <= 28, "{passed} of 400 at a level of 5 %");
    }

    proptest! {
        #[test]
        fn a_wider_margin_is_never_harder(
            b in 0..40_u64, c in 0..40_u64, more in 1..400_u64, margin in 0.005..0.2_f64,
        ) {
            let seen = pairs(b, c, b + c + more);
            let is_pass = |margin: f64| {
                let change = verdict_of_pairs(seen, margin).unwrap().change;
                matches!(change, Change::Ok | Change::SlightlyWorse | Change::Improved)
            };
            prop_assert!(!is_pass(margin) || is_pass(margin * 2.0));
        }
    }
}
