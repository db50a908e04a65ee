//! Whether a case is steady enough to gate.
//!
//! A case that fails now and then on an unchanged baseline teaches people to press "again". It may gate
//! once its own nightly history shows that it passes; until then it is run and shown, and stops nobody.

use super::unpaired::Passed;
use serde::{Deserialize, Serialize};

/// How many of the last days count.
const DAYS: usize = 6;
/// On how many of them a case must have run.
const FEWEST_DAYS: u64 = 5;
/// What share of a day's runs must pass, on every day.
const DAILY: f64 = 0.6;
/// What share of all runs must pass.
const OVERALL: f64 = 0.8;

/// Whether a case may gate, and if not, why.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Stability {
    /// It may.
    MayGate,
    /// It has not been run on enough of the last six days.
    TooLittleHistory {
        /// On how many it was.
        days: u64,
        /// On how many it must be.
        needed: u64,
    },
    /// It fails too often to mean anything when it fails.
    Flaky {
        /// The share of runs that passed on its worst day.
        worst_day: f64,
        /// The share of all runs that passed.
        overall: f64,
    },
}

impl Stability {
    /// Returns whether the case may gate.
    #[must_use]
    pub const fn may_gate(self) -> bool {
        matches!(self, Self::MayGate)
    }
}

/// Returns whether a case may gate, from its runs against the baseline, one entry a day, the newest
/// last; a day without runs has a total of 0.
///
/// Of the last six days it needs five with runs, 60 % passed on each of these, and 80 % of all. `None`
/// when a day has more passes than runs.
#[must_use]
pub fn stability(history: &[Passed]) -> Option<Stability> {
    if history.iter().any(|day| day.total < day.successes) {
        return None;
    }
    let recent = history.iter().rev().take(DAYS).filter(|day| 0 < day.total);
    let (mut days, mut passed, mut runs, mut worst_day) = (0, 0.0, 0.0, 1.0_f64);
    for day in recent {
        days += 1;
        passed += day.successes as f64;
        runs += day.total as f64;
        worst_day = worst_day.min(day.successes as f64 / day.total as f64);
    }
    if days < FEWEST_DAYS {
        return Some(Stability::TooLittleHistory {
            days,
            needed: FEWEST_DAYS,
        });
    }
    let overall = passed / runs;
    Some(if worst_day < DAILY || overall < OVERALL {
        Stability::Flaky { worst_day, overall }
    } else {
        Stability::MayGate
    })
}

#[cfg(test)]
mod tests {
    use super::{Stability, stability};
    use crate::stats::Passed;

    fn days(history: &[(u64, u64)]) -> Option<Stability> {
        let history: Vec<Passed> = history
            .iter()
            .map(|(successes, total)| Passed {
                successes: *successes,
                total: *total,
            })
            .collect();
        stability(&history)
    }

    #[test]
    fn a_case_gates_when_its_history_allows() {
        for (history, may_gate) in [
            (&[(3, 3); 5][..], true),
            (&[(3, 3), (3, 3), (0, 0), (3, 3), (3, 3), (3, 3)], true),
            (&[(3, 5), (5, 5), (4, 5), (5, 5), (5, 5)], true),
            // A day below 60 %.
            (&[(5, 5), (5, 5), (5, 5), (5, 5), (2, 5)], false),
            // Each day 60 %, all together below 80 %.
            (&[(3, 5); 6], false),
            // What was bad a week ago is forgotten.
            (
                &[(0, 5), (5, 5), (5, 5), (5, 5), (5, 5), (5, 5), (5, 5)],
                true,
            ),
            // Too few days, or too long ago.
            (&[(3, 3); 4], false),
            (
                &[(3, 3), (3, 3), (3, 3), (3, 3), (3, 3), (0, 0), (0, 0)],
                false,
            ),
            (&[], false),
        ] {
            assert_eq!(days(history).unwrap().may_gate(), may_gate, "{history:?}");
        }
    }

    #[test]
    fn the_reason_is_told() {
        assert_eq!(
            days(&[(1, 1); 2]),
            Some(Stability::TooLittleHistory { days: 2, needed: 5 })
        );
        let flaky = days(&[(4, 4), (4, 4), (4, 4), (4, 4), (2, 4)]);
        assert_eq!(
            flaky,
            Some(Stability::Flaky {
                worst_day: 0.5,
                overall: 0.9
            })
        );
        assert_eq!(days(&[(2, 1)]), None);
    }
}
