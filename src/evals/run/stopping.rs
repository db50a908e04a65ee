//! Whether a run may end before all is asked: because what is left cannot change the verdict, because a
//! test that may be looked at all the time has decided, or because the figures are as precise as was asked
//! for.

use crate::evals::grade::Mark;
use crate::evals::ledger::Stop;
use crate::evals::plan::{RunPlan, Side};
use crate::evals::row::Row;
use crate::evals::run::cells::Cells;
use crate::evals::sequential::Trials;
use crate::evals::suite::{Gate, GateKind, Stopping};
use std::collections::{BTreeSet, HashMap};

/// Cells that a subject must have before its precision counts.
const LEAST_CELLS: u64 = 20;
/// The standard normal quantile of 97.5 %.
const Z: f64 = 1.959_963_984_540_054;

/// What is known of a subject's cells at head.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    total: u64,
    passed: u64,
    failed: u64,
}

/// Follows the rows of a run.
#[derive(Debug)]
pub(super) struct Watch {
    stopping: Stopping,
    gates: Vec<Gate>,
    subjects: HashMap<String, Tally>,
    quarantined: BTreeSet<String>,
    has_base: bool,
    trials: Trials,
}

/// What can be said of a gate before all is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    Holds,
    Fails,
    Open,
}

impl Watch {
    /// Begins with the cells of a plan. Cases that are too flaky to gate decide nothing.
    pub(super) fn new(plan: &RunPlan, cells: &Cells<'_>) -> Self {
        let mut tallies: HashMap<String, Tally> = HashMap::new();
        let heads = cells.iter().filter(|cell| {
            cell.side.side == Side::Head && !plan.quarantined.contains(&cell.case.id.0)
        });
        for cell in heads {
            tallies.entry(cell.subject.label.clone()).or_default().total += 1;
        }
        Self {
            stopping: plan.settings.stopping,
            gates: plan.settings.gates.clone(),
            subjects: tallies,
            quarantined: plan.quarantined.clone(),
            has_base: plan.sides.iter().any(|side| side.side == Side::Base),
            trials: Trials::of(plan),
        }
    }

    /// Counts a row, and says why the run may end, if it may. An error is neither passed nor failed: its
    /// cell stays open.
    pub(super) fn note(&mut self, row: &Row) -> Option<Stop> {
        if self.quarantined.contains(&row.cell.case.0) {
            return None;
        }
        self.trials.note(row);
        if row.cell.side == Side::Head
            && let Some(tally) = self.subjects.get_mut(&row.cell.subject)
        {
            match row.grade.mark {
                Mark::Pass => tally.passed += 1,
                Mark::Fail => tally.failed += 1,
                Mark::Error => {}
            }
        }
        match self.stopping {
            Stopping::All => None,
            Stopping::Decided => self.decided(),
            Stopping::Precision(half) => self.is_precise(half).then_some(Stop::Precise),
        }
    }

    /// What is certain is no matter of a test.
    fn decided(&self) -> Option<Stop> {
        if self.gates.is_empty() {
            return self.has_failed().then_some(Stop::Decided);
        }
        let certain = |_: usize, gate: &Gate, _: &str, tally: &Tally| sight(gate, tally);
        let tested = |place: usize, gate: &Gate, subject: &str, tally: &Tally| match self
            .trials
            .decision(place, subject)
        {
            Some(decision) if decision.is_worse => Sight::Fails,
            Some(_) => Sight::Holds,
            None => sight(gate, tally),
        };
        if self.are_gates_decided(certain) {
            return Some(Stop::Decided);
        }
        self.are_gates_decided(tested).then_some(Stop::Tested)
    }

    /// Without gates every case must pass; against a base, none that passed may fail.
    fn has_failed(&self) -> bool {
        if self.has_base {
            return self.trials.has_regressed();
        }
        self.subjects.values().any(|tally| 0 < tally.failed)
    }

    fn are_gates_decided(&self, sight: impl Fn(usize, &Gate, &str, &Tally) -> Sight) -> bool {
        let mut is_open = false;
        for (place, gate) in self.gates.iter().enumerate() {
            for (subject, tally) in &self.subjects {
                match sight(place, gate, subject, tally) {
                    Sight::Fails => return true,
                    Sight::Open => is_open = true,
                    Sight::Holds => {}
                }
            }
        }
        !is_open
    }

    fn is_precise(&self, half: f64) -> bool {
        self.subjects.values().all(|tally| {
            let known = tally.passed + tally.failed;
            known == tally.total
                || (LEAST_CELLS <= known && half_width(tally.passed, known) <= half)
        })
    }
}

/// Looks ahead at a gate on whole cases; others wait for all rows.
fn sight(gate: &Gate, tally: &Tally) -> Sight {
    let GateKind::Absolute {
        min,
        max,
        max_failures,
        max_upper95: None,
    } = gate.kind
    else {
        return Sight::Open;
    };
    if gate.metric != "pass" || tally.total == 0 {
        return Sight::Open;
    }
    let share = |count: u64| float(count) / float(tally.total);
    let (least, most) = (share(tally.passed), share(tally.total - tally.failed));
    let worst_failures = tally.total - tally.passed;
    let fails = min.is_some_and(|min| most < min)
        || max.is_some_and(|max| max < least)
        || max_failures.is_some_and(|allowed| allowed < tally.failed);
    let holds = min.is_none_or(|min| min <= least)
        && max.is_none_or(|max| most <= max)
        && max_failures.is_none_or(|allowed| worst_failures <= allowed);
    match (fails, holds) {
        (true, _) => Sight::Fails,
        (false, true) => Sight::Holds,
        (false, false) => Sight::Open,
    }
}

/// Half the width of Wilson's 95 % interval of a share.
fn half_width(passed: u64, known: u64) -> f64 {
    let (n, share) = (float(known), float(passed) / float(known));
    let spread = share * (1.0 - share) / n + Z * Z / (4.0 * n * n);
    Z * spread.sqrt() / (1.0 + Z * Z / n)
}

/// A count as a number to reckon with; beyond 2^32 cells no run goes.
fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::{Sight, Tally, half_width, sight};
    use crate::evals::suite::{Gate, GateKind, OnInconclusive, Place};

    fn gate(min: Option<f64>, max_failures: Option<u64>) -> Gate {
        Gate {
            metric: "pass".to_owned(),
            kind: GateKind::Absolute {
                min,
                max: None,
                max_failures,
                max_upper95: None,
            },
            on_inconclusive: OnInconclusive::Fail,
            place: Place::default(),
        }
    }

    #[test]
    fn a_gate_is_decided_when_what_is_left_cannot_change_it() {
        let tally = |passed, failed| Tally {
            total: 10,
            passed,
            failed,
        };
        for (gate, tally, expected) in [
            (gate(Some(0.8), None), tally(7, 2), Sight::Open),
            (gate(Some(0.8), None), tally(8, 0), Sight::Holds),
            (gate(Some(0.8), None), tally(5, 3), Sight::Fails),
            (gate(None, Some(1)), tally(8, 1), Sight::Open),
            (gate(None, Some(1)), tally(9, 0), Sight::Holds),
            (gate(None, Some(1)), tally(0, 2), Sight::Fails),
            (gate(Some(0.5), Some(0)), tally(5, 1), Sight::Fails),
        ] {
            assert_eq!(sight(&gate, &tally), expected, "{gate:?} {tally:?}");
        }
    }

    #[test]
    fn the_half_width_is_wilsons() {
        // 8 of 10: 0.4901625 ... 0.9433178.
        assert!((half_width(8, 10) - (0.943_317_8 - 0.490_162_5) / 2.0).abs() < 1e-6);
    }
}
