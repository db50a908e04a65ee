//! The evidence pack: what an auditor needs to believe a verdict, in lines that hold each other fast.
//!
//! A line is a JSON object; its last field is the SHA-256 of the line's text before `,"hash":"`, and `previous` is that
//! of the line before, so nothing can be changed, left out or moved unseen. A shell can check it:
//! `sed 's/,"hash":"[0-9a-f]*"}$//' | tr -d '\n' | sha256sum` on any one line.
//!
//! The pack holds figures and hashes, and no text of an answer.

mod clauses;
mod verify;

pub use verify::{Verified, verify};

use crate::domain::sha256_hex;
use crate::evals::grade::Mark;
use crate::evals::plan::Side;
use crate::evals::render::lists;
use crate::evals::report::RunReport;
use crate::evals::row::Row;
use clauses::CLAUSES;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What stands before the hash of a line.
const SEAL: &str = ",\"hash\":\"";
/// The hash before the first line.
const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Returns the pack, one line a fact; `run` first, `verdict` last.
#[must_use]
pub fn evidence(report: &RunReport) -> String {
    let mut chain = Chain::new();
    who_and_what(&mut chain, report);
    for row in &report.rows {
        chain.add("case", &case(row));
    }
    for (key, tally) in tallies(
        report
            .rows
            .iter()
            .map(|row| (row.cell.side, row.cell.subject.clone(), row.grade.mark)),
    ) {
        chain.add("count", &tally.body(&key));
    }
    for line in &report.metrics {
        chain.add("metric", line);
    }
    for line in &report.safety {
        chain.add("safety", line);
    }
    for line in &report.groups {
        chain.add("group", line);
    }
    for line in &report.gates {
        chain.add("gate", line);
    }
    chain.add("taxonomy", &lists::table(report));
    for clause in CLAUSES {
        chain.add("clause", clause);
    }
    let lines = chain.sequence + 1;
    let verdict = json!({"verdict": report.verdict, "summary": report.summary, "ended": report.ended, "lines": lines});
    chain.add("verdict", &verdict);
    chain.text
}

fn who_and_what(chain: &mut Chain, report: &RunReport) {
    chain.add(
        "run",
        &json!({
            "run": report.run,
            "by": report.by,
            "program": format!("promptgate {}", report.promptgate),
            "began": report.began,
            "suite": report.suite,
            "sides": report.sides,
            "command": report.command,
            "warnings": report.warnings,
            "quarantined": report.quarantined,
            "spent": report.spent,
        }),
    );
    for gate in &report.gates {
        // Set before the run: Git has the commit, and the commit has the threshold.
        let mut body = json!({
            "metric": gate.metric,
            "subject": gate.subject,
            "gate": gate.gate,
            "set_in_commit": report.suite.commit,
        });
        if let Some(body) = body
            .as_object_mut()
            .filter(|_| report.suite.has_uncommitted_changes)
        {
            body.insert("has_uncommitted_changes".to_owned(), true.into());
        }
        chain.add("threshold", &body);
    }
    for line in &report.subjects {
        let mut returned: BTreeMap<&str, u64> = BTreeMap::new();
        let rows = report.rows.iter();
        for row in rows.filter(|row| row.cell.side == line.side && row.cell.subject == line.label) {
            let answer = row.answer.as_ref();
            if let Some(model) = answer.and_then(|answer| answer.model_returned.as_deref()) {
                *returned.entry(model).or_default() += 1;
            }
        }
        chain.add(
            "subject",
            &json!({"subject": line, "models_returned": returned}),
        );
    }
    for judge in &report.judges {
        chain.add("judge", judge);
    }
}

fn case(row: &Row) -> Value {
    let answer = row.answer.as_ref();
    let assertions: Vec<Value> = row
        .grade
        .assertions
        .iter()
        .map(|grade| {
            json!({
                "path": grade.path,
                "kind": grade.kind,
                "metric": grade.metric,
                "mark": grade.grade.mark,
                "score": grade.grade.score,
                "findings": grade.grade.findings,
                "judge_hash": grade.grade.judged.as_ref().map(|judged| judged.judge_hash.as_str()),
            })
        })
        .collect();
    json!({
        "side": row.cell.side,
        "subject": row.cell.subject,
        "case": row.cell.case,
        "repeat": row.cell.repeat,
        "at": row.at,
        "cell_hash": row.cell_hash,
        "call": answer.and_then(|answer| answer.call),
        "model_returned": answer.and_then(|answer| answer.model_returned.as_deref()),
        "output_hash": answer.map(|answer| sha256_hex(answer.output.to_string().as_bytes())),
        "error": row.error.as_ref().map(|error| error.code.as_str()),
        "mark": row.grade.mark,
        "score": row.grade.score,
        "assertions": assertions,
    })
}

/// Raw counts of a subject on a side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    errors: u64,
}

impl Tally {
    fn body(self, (side, subject): &(Side, String)) -> Value {
        json!({
            "side": side,
            "subject": subject,
            "rows": self.passed + self.failed + self.errors,
            "passed": self.passed,
            "failed": self.failed,
            "errors": self.errors,
        })
    }
}

fn tallies(marks: impl Iterator<Item = (Side, String, Mark)>) -> BTreeMap<(Side, String), Tally> {
    let mut tallies: BTreeMap<(Side, String), Tally> = BTreeMap::new();
    for (side, subject, mark) in marks {
        let tally = tallies.entry((side, subject)).or_default();
        match mark {
            Mark::Pass => tally.passed += 1,
            Mark::Fail => tally.failed += 1,
            Mark::Error => tally.errors += 1,
        }
    }
    tallies
}

struct Chain {
    text: String,
    sequence: u64,
    previous: String,
}

impl Chain {
    fn new() -> Self {
        Self {
            text: String::new(),
            sequence: 0,
            previous: NOTHING.to_owned(),
        }
    }

    fn add(&mut self, kind: &str, body: &impl Serialize) {
        let body = serde_json::to_string(body).unwrap_or_else(|_| "null".to_owned());
        let sealed = format!(
            "{{\"version\":1,\"sequence\":{},\"previous\":\"{}\",\"kind\":\"{kind}\",\"body\":{body}",
            self.sequence, self.previous
        );
        let hash = sha256_hex(sealed.as_bytes());
        let _ = writeln!(self.text, "{sealed}{SEAL}{hash}\"}}");
        self.previous = hash;
        self.sequence += 1;
    }
}
