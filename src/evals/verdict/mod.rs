//! From rows to a report: figures with their intervals, gates, and one verdict.
//!
//! A case is the unit: its repeats are averaged first. What could not be judged, or was not asked, is
//! never left out in silence: a gate holds only if it holds whatever those cases would have said, and
//! does not hold only if no answer of theirs could save it.

mod changes;
mod cost;
mod figures;
mod gates;
mod groups;
mod judges;
mod metrics;
mod safety;
mod slices;
mod summary;
mod table;
mod words;

use crate::domain::Timestamp;
use crate::evals::ledger::{RunEnd, Stop};
use crate::evals::plan::{RunPlan, Side, SidePlan, Subject, SubjectPrompt};
use crate::evals::report::{
    GateLine, MetricLine, RunReport, SideLine, Spent, SubjectLine, SuiteLine, Verdict,
};
use crate::evals::row::{Row, RunId};
use crate::evals::suite::{ModelSource, OnInconclusive};
use std::collections::{BTreeSet, HashMap};
use table::Table;

/// A margin where no gate gives one: a drop of three points of a hundred.
pub(crate) const USUAL_MARGIN: f64 = 0.03;

/// A run that is over, and what is known beside its rows.
#[derive(Debug, Clone)]
pub struct Finished<'a> {
    /// The run.
    pub run: RunId,
    /// What was to be asked.
    pub plan: &'a RunPlan,
    /// What came of it. Rows of base may come from a baseline.
    pub rows: Vec<Row>,
    /// When the answers of base were asked for, if not in this run.
    pub baseline: Option<Timestamp>,
    /// Cases that are too flaky to gate.
    pub quarantined: BTreeSet<String>,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it took.
    pub spent: Spent,
    /// How it ended.
    pub ending: Ending,
    /// How to run it again.
    pub command: String,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Everything was asked.
    Complete,
    /// It stopped because the rest could not change what it says.
    Decided,
    /// It stopped because a test that may be looked at all the time has decided.
    Tested,
    /// It was stopped: by its budget, its deadline, or by hand.
    Cut,
}

/// Returns the report of a run that has ended, with the baseline of its plan as base if there is one.
#[must_use]
pub fn of_run(plan: &RunPlan, rows: Vec<Row>, end: &RunEnd) -> RunReport {
    let mut plan = plan.clone();
    let mut rows = rows;
    plan.warnings.extend(end.warnings.iter().cloned());
    let command = command(&plan);
    let baseline = compare_with_baseline(&mut plan, &mut rows);
    order(&plan, &mut rows);
    let ending = match end.stopped {
        None => Ending::Complete,
        Some(Stop::Tested) => Ending::Tested,
        Some(stop) if stop.is_complete() => Ending::Decided,
        Some(_) => Ending::Cut,
    };
    let found = report(&Finished {
        run: end.run,
        rows,
        baseline,
        quarantined: plan.quarantined.clone(),
        began: end.began,
        ended: end.ended,
        spent: Spent {
            stopped: end.stopped.map(Stop::words).map(str::to_owned),
            ..end.spent.clone()
        },
        ending,
        command,
        plan: &plan,
    });
    RunReport {
        output_shift: end.output_shift.clone(),
        ..found
    }
}

/// Puts rows into the order of the plan: they come in as they were answered.
fn order(plan: &RunPlan, rows: &mut [Row]) {
    let mut places: HashMap<(Side, &str), usize> = HashMap::new();
    for side in &plan.sides {
        let cases = side.cases.iter().map(|case| case.id.0.as_str());
        places.extend(
            cases
                .enumerate()
                .map(|(place, id)| ((side.side, id), place)),
        );
    }
    let labels = plan.sides.iter().flat_map(|side| &side.subjects);
    let labels: Vec<&str> = labels.map(|subject| subject.label.as_str()).collect();
    rows.sort_by_cached_key(|row| {
        let cell = &row.cell;
        (
            cell.side,
            places.get(&(cell.side, cell.case.0.as_str())).copied(),
            labels.iter().position(|label| *label == cell.subject),
            cell.repeat,
        )
    });
}

/// Takes the baseline for base; returns when it was asked. One that does not fit is told, and nothing is compared.
fn compare_with_baseline(plan: &mut RunPlan, rows: &mut Vec<Row>) -> Option<Timestamp> {
    let (path, baseline) = plan.baseline.take()?;
    if plan.sides.iter().any(|side| side.side == Side::Base) {
        return None;
    }
    let asked = baseline.asked;
    match baseline.into_base(plan, &path) {
        Ok(of_base) => rows.extend(of_base),
        Err(error) => {
            plan.warnings.push(format!("{error}; {}", error.hint()));
            return None;
        }
    }
    Some(asked)
}

fn command(plan: &RunPlan) -> String {
    let base = plan.sides.iter().find(|side| side.side == Side::Base);
    let base = base
        .map(|base| format!(" --base {}", base.name))
        .unwrap_or_default();
    format!("promptgate evals run {}{base}", plan.path)
}

fn subject_lines(side: &SidePlan) -> Vec<SubjectLine> {
    let line = |subject: &Subject| {
        let (version, prompt_hash, names) = match &subject.prompt {
            SubjectPrompt::Version {
                version,
                hash,
                model,
                ..
            } => (Some(version.clone()), Some(hash.to_hex()), model.clone()),
            SubjectPrompt::Text { .. } | SubjectPrompt::Chat { .. } => (None, None, None),
        };
        SubjectLine {
            side: side.side,
            label: subject.label.clone(),
            prompt: match &subject.prompt {
                SubjectPrompt::Version { key, .. } => key.as_str().to_owned(),
                _ => subject.prompt_label.clone(),
            },
            version,
            prompt_hash,
            prompt_path: None,
            model: match &subject.model {
                ModelSource::Route(model) => Some(model.clone()),
                ModelSource::OfPrompt => names,
                ModelSource::Echo => Some("echo".to_owned()),
            },
        }
    };
    side.subjects.iter().map(line).collect()
}

/// Makes the report.
#[must_use]
pub fn report(finished: &Finished<'_>) -> RunReport {
    let plan = finished.plan;
    let table = Table::of(finished);
    let mut metrics = metrics::lines(&table);
    metrics::correct(&table, &mut metrics);
    let judges = judges::lines(&table);
    let gates = gates::lines(&table, &metrics);
    let mut warnings = plan.warnings.clone();
    warnings.extend(table.warnings());
    warnings.extend(judges.iter().flat_map(|judge| judge.notes.clone()));
    let verdict = overall(&table, &gates);
    let summary = summary::sentence(&table, verdict, &metrics, &gates);
    RunReport {
        version: 1,
        promptgate: env!("CARGO_PKG_VERSION").to_owned(),
        run: finished.run,
        suite: SuiteLine {
            name: plan.suite.clone(),
            path: plan.path.clone(),
            description: plan.description.clone(),
            hash: plan.suite_hash.clone(),
            commit: plan.committed.as_ref().map(|found| found.commit.clone()),
            has_uncommitted_changes: (plan.committed.as_ref())
                .is_some_and(|found| found.has_uncommitted_changes),
            files: plan.files.clone(),
        },
        began: finished.began,
        ended: finished.ended,
        verdict,
        summary,
        sides: plan
            .sides
            .iter()
            .map(|side| side_line(side, finished.baseline))
            .collect(),
        changes: changes::lines(&table),
        slices: slices::lines(&table),
        groups: groups::lines(&table),
        safety: safety::lines(&table),
        metrics,
        gates,
        judges,
        quarantined: table.quarantined().map(str::to_owned).collect(),
        spent: Spent {
            stopped: table
                .tested_words()
                .or_else(|| finished.spent.stopped.clone()),
            ..finished.spent.clone()
        },
        forecast: plan.forecast.clone(),
        warnings,
        command: finished.command.clone(),
        by: plan.by.clone(),
        subjects: plan.sides.iter().flat_map(subject_lines).collect(),
        output_shift: None,
        rows: finished.rows.clone(),
    }
}

/// One verdict of all gates. A gate that warns holds nothing up.
fn overall(table: &Table<'_>, gates: &[GateLine]) -> Verdict {
    if table.is_invalid().is_some() {
        return Verdict::Invalid;
    }
    let holds_up = |line: &&GateLine| {
        !(line.verdict == Verdict::Inconclusive
            && line.gate.on_inconclusive == OnInconclusive::Warn)
    };
    let verdicts: BTreeSet<u8> = gates
        .iter()
        .filter(holds_up)
        .map(|line| rank(line.verdict))
        .collect();
    match verdicts.last() {
        Some(3) => Verdict::Failed,
        Some(2) => Verdict::Invalid,
        Some(1) => Verdict::Inconclusive,
        _ => Verdict::Passed,
    }
}

/// A gate that certainly does not hold says more than one that says nothing.
const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Passed => 0,
        Verdict::Inconclusive => 1,
        Verdict::Invalid => 2,
        Verdict::Failed => 3,
    }
}

fn side_line(side: &SidePlan, baseline: Option<Timestamp>) -> SideLine {
    let versions = side.subjects.iter().filter_map(|subject| {
        let SubjectPrompt::Version { hash, version, .. } = &subject.prompt else {
            return None;
        };
        let short = hash.short();
        let shown = if *version == short {
            short
        } else {
            format!("{version} {short}")
        };
        Some((subject.prompt_label.clone(), shown))
    });
    SideLine {
        side: side.side,
        name: side.name.clone(),
        commit: side.commit.clone(),
        versions: versions.collect(),
        asked: baseline.filter(|_| side.side == Side::Base),
    }
}

/// Returns the line of `metric` for `subject`.
fn line_of<'a>(lines: &'a [MetricLine], subject: &str, metric: &str) -> Option<&'a MetricLine> {
    lines
        .iter()
        .find(|line| line.subject == subject && line.metric == metric)
}

#[cfg(test)]
mod tests;
