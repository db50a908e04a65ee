//! The code that a run exits with.

use crate::evals::ledger::Stop;
use crate::evals::report::{RunReport, Verdict};

/// A gate does not hold.
pub(crate) const FAILED: u8 = 100;
/// The figures cannot decide, or say nothing.
pub(crate) const INCONCLUSIVE: u8 = 101;
/// The budget is spent.
pub(crate) const BUDGET: u8 = 102;
/// Somebody interrupted it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What is certain counts, also of a run that was stopped; what could not be judged never passes.
pub(crate) const fn code(report: &RunReport, stopped: Option<Stop>) -> u8 {
    match (report.verdict, stopped) {
        (Verdict::Failed, _) => FAILED,
        (_, Some(Stop::Budget | Stop::JudgeBudget)) => BUDGET,
        (_, Some(Stop::Cancelled)) => INTERRUPTED,
        (Verdict::Inconclusive | Verdict::Invalid, _) => INCONCLUSIVE,
        (Verdict::Passed, _) => 0,
    }
}
