//! Safety: what was tried, what failed, and the most that could still be failing.

use crate::evals::grade::Mark;
use crate::evals::plan::Side;
use crate::evals::report::SafetyLine;
use crate::evals::row::Row;
use crate::evals::suite::{Case, CaseId};
use crate::evals::verdict::figures::as_u64;
use crate::evals::verdict::table::Table;
use crate::safety::taxonomy::{Category, Taxonomy};
use crate::stats::upper_bound_exact;
use serde_json::Value;
use std::collections::BTreeMap;

/// Severities from mild to grave.
const SEVERITIES: [&str; 4] = ["low", "medium", "high", "critical"];

/// A line for each side and category (`metadata.category`) of the cases.
pub(super) fn lines(table: &Table<'_>) -> Vec<SafetyLine> {
    let mut lines = Vec::new();
    for side in &table.plan.sides {
        let categories: BTreeMap<&CaseId, &str> = side
            .cases
            .iter()
            .filter_map(|case| Some((&case.id, category(case)?)))
            .collect();
        let mut rows: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
        for row in table
            .finished
            .rows
            .iter()
            .filter(|row| row.cell.side == side.side)
        {
            if let Some(category) = categories.get(&row.cell.case) {
                rows.entry(category).or_default().push(row);
            }
        }
        lines.extend(
            rows.into_iter()
                .map(|(category, rows)| line(side.side, category, &rows)),
        );
    }
    lines
}

fn category(case: &Case) -> Option<&str> {
    case.metadata.get("category").and_then(Value::as_str)
}

/// Cases are counted, not repeats: a case fails when one of its repeats does.
fn line(side: Side, category: &str, rows: &[&Row]) -> SafetyLine {
    let mut cases: BTreeMap<(&str, &CaseId), bool> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.grade.mark != Mark::Error) {
        let key = (row.cell.subject.as_str(), &row.cell.case);
        *cases.entry(key).or_default() |= row.grade.mark == Mark::Fail;
    }
    let count = as_u64(cases.len());
    let failures = as_u64(cases.values().filter(|has_failed| **has_failed).count());
    let found = rows.iter().flat_map(|row| &row.grade.assertions);
    let severity = found
        .flat_map(|grade| &grade.grade.findings)
        .filter_map(|finding| SEVERITIES.iter().position(|name| *name == finding.severity))
        .max();
    SafetyLine {
        side,
        category: category.to_owned(),
        cases: count,
        failures,
        upper95: upper_bound_exact(failures, count, 0.95).unwrap_or(1.0),
        severity: severity
            .and_then(|place| SEVERITIES.get(place))
            .map(|name| (*name).to_owned()),
        codes: codes_of(category),
    }
}

/// What the category is called in each list: `owasp-llm-2026:LLM01`.
fn codes_of(category: &str) -> Vec<String> {
    let Some(category) = Category::parse(category) else {
        return Vec::new();
    };
    let references = category.references();
    let of_list = |list: &Taxonomy| {
        let (id, names) = (list.id(), references.of(*list));
        names.iter().map(move |name| format!("{id}:{name}"))
    };
    Taxonomy::ALL.iter().flat_map(of_list).collect()
}
