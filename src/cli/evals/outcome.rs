//! What a run came to, for people and programs, and the code to exit with.

use crate::cli::evals::progress::span;
use crate::cli::output::{self, Align, Failure, table};
use crate::domain::PicoDollars;
use crate::evals::grade::Mark;
use crate::evals::ledger::{RunEnd, Stop};
use crate::evals::plan::{RunPlan, Side};
use crate::evals::row::Row;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The codes of a run; 0 when it passed.
pub(crate) const FAILED: u8 = 100;
/// The figures cannot decide.
pub(crate) const INCONCLUSIVE: u8 = 101;
/// The budget is spent.
pub(crate) const BUDGET: u8 = 102;
/// Somebody interrupted it.
pub(crate) const INTERRUPTED: u8 = 130;

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The plan that was carried out; of a run that was only joined it may be unknown.
    pub(crate) plan: Option<RunPlan>,
    /// How it ended.
    pub(crate) end: RunEnd,
    /// Its rows.
    pub(crate) rows: Vec<Row>,
}

/// Prints what a run came to, and returns the code to exit with.
pub(crate) fn present(outcome: &Outcome, as_json: bool) -> Result<u8, Failure> {
    if as_json {
        let value = json!({"end": outcome.end, "rows": outcome.rows});
        output::put(&format!("{value}\n"))?;
    } else {
        output::put(&text(outcome))?;
    }
    Ok(code(outcome))
}

/// One failure fails; what could not be judged, or was not asked, never passes.
fn code(outcome: &Outcome) -> u8 {
    let end = &outcome.end;
    let heads = outcome
        .rows
        .iter()
        .filter(|row| row.cell.side == Side::Head);
    let failed = heads.filter(|row| row.grade.mark == Mark::Fail).count();
    let is_asked = end.stopped.is_none_or(Stop::is_complete);
    match end.stopped {
        Some(Stop::Budget | Stop::JudgeBudget) => BUDGET,
        Some(Stop::Cancelled) => INTERRUPTED,
        _ if 0 < failed => FAILED,
        _ if 0 < end.errors || !is_asked => INCONCLUSIVE,
        _ => 0,
    }
}

#[derive(Debug, Default)]
struct Line {
    passed: u64,
    failed: u64,
    errors: u64,
    cached: u64,
    cost: u64,
    unpriced: u64,
}

impl Line {
    fn count(&mut self, row: &Row) {
        match row.grade.mark {
            Mark::Pass => self.passed += 1,
            Mark::Fail => self.failed += 1,
            Mark::Error => self.errors += 1,
        }
        let Some(answer) = &row.answer else { return };
        self.cached += u64::from(answer.cached_from.is_some());
        match answer.cost.pico_usd {
            Some(cost) => self.cost = self.cost.saturating_add(cost.0),
            None => self.unpriced += u64::from(answer.call.is_some()),
        }
    }

    fn cost(&self) -> String {
        let mark = if 0 < self.unpriced { "+?" } else { "" };
        format!("{}{mark}", PicoDollars(self.cost).to_dollars())
    }
}

fn text(outcome: &Outcome) -> String {
    let mut lines: BTreeMap<(&str, Side), Line> = BTreeMap::new();
    for row in &outcome.rows {
        let name = (row.cell.subject.as_str(), row.cell.side);
        lines.entry(name).or_default().count(row);
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|((subject, side), line)| {
            vec![
                (*subject).to_owned(),
                match side {
                    Side::Base => "base".to_owned(),
                    Side::Head => "head".to_owned(),
                },
                line.passed.to_string(),
                line.failed.to_string(),
                line.errors.to_string(),
                line.cached.to_string(),
                line.cost(),
            ]
        })
        .collect();
    let headings = [
        ("subject", Align::Left),
        ("side", Align::Left),
        ("passed", Align::Right),
        ("failed", Align::Right),
        ("errors", Align::Right),
        ("cached", Align::Right),
        ("cost $", Align::Right),
    ];
    let mut text = table(&headings, &rows);
    let end = &outcome.end;
    let done = end.passed + end.failed + end.errors;
    let took = span(end.spent.duration_ms);
    let _ = writeln!(
        text,
        "\nrun {}: {done} of {} cells in {took}",
        end.run, end.cells
    );
    if let Some(stop) = end.stopped {
        let _ = writeln!(text, "stopped: {}", stop.words());
    }
    let planned = outcome.plan.iter().flat_map(|plan| &plan.warnings);
    for warning in planned.chain(&end.warnings) {
        let _ = writeln!(text, "warning: {warning}");
    }
    text
}
