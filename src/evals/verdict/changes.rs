//! Cases that need a look: those that changed from base to head, or did not pass.

use crate::evals::grade::{AssertionGrade, Mark};
use crate::evals::plan::{Side, Subject};
use crate::evals::report::CaseChange;
use crate::evals::row::Row;
use crate::evals::suite::Case;
use crate::evals::verdict::table::{PASS, Said, Table};
use serde_json::Value;

/// Bytes of an output that a report shows; the rows hold all of it.
const MAX_OUTPUT: usize = 20_000;

/// All of them, the worst first: regressed, failing, error, missing, improved.
pub(super) fn lines(table: &Table<'_>) -> Vec<CaseChange> {
    let mut found = Vec::new();
    for subject in table.subjects() {
        for case in table.cases(Side::Head, subject) {
            if let Some(kind) = kind_of(table, subject, case) {
                found.push((kind, change(table, subject, case, kind)));
            }
        }
    }
    found.sort_by_key(|(kind, _)| *kind);
    found.into_iter().map(|(_, change)| change).collect()
}

/// Why a case needs a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Regressed,
    Failing,
    Error,
    Missing,
    Improved,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Regressed => "regressed",
            Self::Failing => "failing",
            Self::Error => "error",
            Self::Missing => "missing",
            Self::Improved => "improved",
        }
    }
}

fn kind_of<'a>(table: &Table<'a>, subject: &'a Subject, case: &Case) -> Option<Kind> {
    let passes = |said: Said| match said {
        Said::Score(score) => Some(score.passed == score.repeats),
        _ => None,
    };
    let head = table.said(Side::Head, subject, case, PASS);
    let base = table
        .partner(subject)
        .and_then(|partner| passes(table.said(Side::Base, partner, case, PASS)));
    match head {
        Said::Error => Some(Kind::Error),
        // What a test made needless needs no look.
        Said::Missing if table.is_tested() => None,
        Said::Missing => Some(Kind::Missing),
        Said::Nothing => None,
        Said::Score(_) => match (base, passes(head).unwrap_or(false)) {
            (Some(true), false) => Some(Kind::Regressed),
            (Some(false), true) => Some(Kind::Improved),
            (None | Some(false), false) => Some(Kind::Failing),
            (None | Some(true), true) => None,
        },
    }
}

fn change<'a>(table: &Table<'a>, subject: &'a Subject, case: &Case, kind: Kind) -> CaseChange {
    let head = telling(
        table.rows(Side::Head, subject, &case.id),
        kind == Kind::Improved,
    );
    let base = table.partner(subject).and_then(|partner| {
        let rows = table.rows(Side::Base, partner, &case.id);
        telling(rows, kind != Kind::Improved)
    });
    let reason = match (head, kind) {
        (Some(row), _) => reason_of(row),
        (None, _) => table
            .finished
            .spent
            .stopped
            .clone()
            .unwrap_or_else(|| "it was not asked".to_owned()),
    };
    CaseChange {
        subject: subject.label.clone(),
        case: case.id.0.clone(),
        description: case.description.clone(),
        place: case.place.clone(),
        kind: kind.as_str().to_owned(),
        metrics: head.map(failed_metrics).unwrap_or_default(),
        reason,
        base_output: base.and_then(output_of),
        head_output: head.and_then(output_of),
        replay: format!(
            "promptgate evals run {} --case {}",
            table.plan.path, case.id.0
        ),
    }
}

/// The repeat that shows what is told: the first that passed, or the first that did not.
fn telling<'a>(rows: &[&'a Row], is_pass: bool) -> Option<&'a Row> {
    let fits = |row: &&&Row| (row.grade.mark == Mark::Pass) == is_pass;
    rows.iter().find(fits).or_else(|| rows.first()).copied()
}

fn reason_of(row: &Row) -> String {
    row.error
        .as_ref()
        .map_or_else(|| row.grade.reason.clone(), ToString::to_string)
}

fn failed_metrics(row: &Row) -> Vec<String> {
    let failed = |grade: &&AssertionGrade| grade.grade.mark != Mark::Pass && 0.0 < grade.weight;
    let mut names: Vec<String> = row
        .grade
        .assertions
        .iter()
        .filter(failed)
        .filter_map(|grade| grade.metric.clone())
        .collect();
    names.sort();
    names.dedup();
    names
}

fn output_of(row: &Row) -> Option<String> {
    let output = &row.answer.as_ref()?.output;
    let text = match output {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let end = text.floor_char_boundary(MAX_OUTPUT);
    Some(match text.split_at_checked(end) {
        Some((head, rest)) if !rest.is_empty() => format!("{head}… ({} bytes more)", rest.len()),
        _ => text,
    })
}
