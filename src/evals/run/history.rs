//! What earlier runs say of a case: one that fails now and then, with nothing changed, holds nobody up.

use crate::domain::Timestamp;
use crate::evals::grade::Mark;
use crate::evals::plan::{RunPlan, Side};
use crate::evals::row::Row;
use crate::evals::run::{Runs, fact};
use crate::evals::schedule;
use crate::stats::{Passed, Stability, stability};
use std::collections::{BTreeMap, BTreeSet};

/// Days that are looked back.
const DAYS: i64 = 6;
const DAY_SECONDS: i64 = 86_400;
/// Runs that are read at most.
const MOST_RUNS: usize = 12;
/// Runs whose names are looked through for them.
const LOOKED_THROUGH: usize = 500;

impl Runs {
    /// Returns the cases of a suite that its scheduled runs of the last days show to be flaky. What cannot be
    /// read shows nothing.
    pub(super) async fn flaky(&self, plan: &RunPlan) -> BTreeSet<String> {
        let today = self.ledger.now().unix_seconds().div_euclid(DAY_SECONDS);
        let mut days: BTreeMap<String, BTreeMap<i64, Passed>> = BTreeMap::new();
        for (began, rows) in self.scheduled_runs(&plan.suite, today).await {
            let age = age_of(began, today);
            for row in rows.iter().filter(|row| row.cell.side == Side::Head) {
                let of_case = days.entry(row.cell.case.0.clone()).or_default();
                count(of_case.entry(age).or_default(), row.grade.mark);
            }
        }
        let flaky = days.into_iter().filter(|(_, days)| is_flaky(days));
        flaky.map(|(case, _)| case).collect()
    }

    /// The runs of the last days that a schedule began, newest first.
    async fn scheduled_runs(&self, suite: &str, today: i64) -> Vec<(Timestamp, Vec<Row>)> {
        let mut found = Vec::new();
        let runs = self.ledger.runs(None, LOOKED_THROUGH).await;
        for run in runs.unwrap_or_default() {
            let says =
                |name: &str, value: &str| fact(run.plan.as_deref(), name).as_deref() == Some(value);
            let is_ours = says("suite", suite) && says("by", schedule::BY);
            let (true, Some(_), Some(began)) = (is_ours, run.ended, run.began) else {
                continue;
            };
            if DAYS <= age_of(began, today) {
                break;
            }
            if let Ok(rows) = self.ledger.rows(run.id).await {
                found.push((began, rows));
            }
            if found.len() == MOST_RUNS {
                break;
            }
        }
        found
    }
}

/// How many days before `today`, counted since 1970.
const fn age_of(began: Timestamp, today: i64) -> i64 {
    today - began.unix_seconds().div_euclid(DAY_SECONDS)
}

/// Whether a case that ran on these days, by their age, is flaky.
fn is_flaky(days: &BTreeMap<i64, Passed>) -> bool {
    // The newest day last.
    let history: Vec<Passed> = days.values().rev().copied().collect();
    matches!(
        stability(&history),
        // What never passes is no flaky case but a failing one.
        Some(Stability::Flaky { overall, .. }) if 0.0 < overall
    )
}

fn count(day: &mut Passed, mark: Mark) {
    if mark != Mark::Error {
        day.total += 1;
        day.successes += u64::from(mark == Mark::Pass);
    }
}

#[cfg(test)]
mod tests {
    use super::{count, is_flaky};
    use crate::evals::grade::Mark;
    use crate::stats::Passed;
    use std::collections::BTreeMap;

    fn days(marks: &[&[Mark]]) -> BTreeMap<i64, Passed> {
        let mut days = BTreeMap::new();
        for (age, marks) in (0..).zip(marks) {
            let day = days.entry(age).or_default();
            marks.iter().for_each(|mark| count(day, *mark));
        }
        days
    }

    #[test]
    fn a_case_that_fails_now_and_then_is_flaky() {
        const P: Mark = Mark::Pass;
        const F: Mark = Mark::Fail;
        let steady: [&[Mark]; 6] = [&[P, P], &[P], &[P], &[P], &[P], &[P]];
        assert!(!is_flaky(&days(&steady)));
        let flaky: [&[Mark]; 6] = [&[P, F], &[P], &[F, P], &[P], &[P, F], &[P]];
        assert!(is_flaky(&days(&flaky)));
        let failing: [&[Mark]; 6] = [&[F], &[F], &[F], &[F], &[F], &[F]];
        assert!(!is_flaky(&days(&failing)), "it is no noise");
        assert!(!is_flaky(&days(&[&[P, F]])), "one day says nothing");
        let errors: [&[Mark]; 6] = [&[Mark::Error], &[P], &[P], &[P], &[P], &[P]];
        assert!(!is_flaky(&days(&errors)));
    }
}
