//! JUnit XML, as Jenkins, GitLab and others read it: a gate is a suite of tests, a case is a test.
//!
//! The red of a test server is the red of the verdict. A case that did not pass is a failure where its gate
//! failed; where the gate allows it, or cannot decide, it is skipped and says why. An error is always an
//! error. Outputs of models are left out: these files are kept for long, and seen by many.

use crate::domain::Timestamp;
use crate::evals::grade::{CaseGrade, Mark};
use crate::evals::plan::Side;
use crate::evals::render::words;
use crate::evals::report::{GateLine, RunReport, Verdict};
use crate::evals::row::Row;
use crate::wire::escape::xml;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Bytes of a message.
const MAX_MESSAGE: usize = 2_000;

/// Returns the report as JUnit XML. It holds to the schema of Jenkins' xUnit plugin (junit-10), which has no
/// `skipped` on the outermost element.
#[must_use]
pub fn junit(report: &RunReport) -> String {
    let mut suites: Vec<Suite> = report
        .gates
        .iter()
        .map(|gate| of_gate(report, gate))
        .collect();
    if suites.is_empty() {
        suites = without_gates(report);
    }
    let sum = |of: fn(&Suite) -> usize| suites.iter().map(of).sum::<usize>();
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"promptgate {}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" time=\"{}\">",
        xml(&report.suite.name),
        sum(|suite| suite.tests.len()),
        sum(|suite| suite.count(is_failure)),
        sum(|suite| suite.count(is_error)),
        seconds(report.spent.duration_ms.saturating_mul(1_000)),
    );
    for suite in &suites {
        suite.write(&mut out, report.began);
    }
    out.push_str("</testsuites>\n");
    out
}

struct Suite {
    name: String,
    properties: Vec<(&'static str, String)>,
    tests: Vec<Test>,
}

struct Test {
    class: String,
    name: String,
    micros: u64,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed { message: String, text: String },
    Error { message: String },
    Skipped { message: String },
}

const fn is_failure(test: &Test) -> bool {
    matches!(test.outcome, Outcome::Failed { .. })
}

const fn is_error(test: &Test) -> bool {
    matches!(test.outcome, Outcome::Error { .. })
}

const fn is_skipped(test: &Test) -> bool {
    matches!(test.outcome, Outcome::Skipped { .. })
}

impl Suite {
    fn count(&self, is_counted: fn(&Test) -> bool) -> usize {
        self.tests.iter().filter(|test| is_counted(test)).count()
    }

    fn write(&self, out: &mut String, began: Timestamp) {
        let micros = self.tests.iter().map(|test| test.micros).sum();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" timestamp=\"{}\" time=\"{}\">",
            xml(&self.name),
            self.tests.len(),
            self.count(is_failure),
            self.count(is_error),
            self.count(is_skipped),
            words::time(began).trim_end_matches('Z'),
            seconds(micros),
        );
        if !self.properties.is_empty() {
            out.push_str("    <properties>\n");
            for (name, value) in &self.properties {
                let _ = writeln!(
                    out,
                    "      <property name=\"{name}\" value=\"{}\"/>",
                    xml(value)
                );
            }
            out.push_str("    </properties>\n");
        }
        for test in &self.tests {
            test.write(out);
        }
        out.push_str("  </testsuite>\n");
    }
}

impl Test {
    fn write(&self, out: &mut String) {
        let _ = write!(
            out,
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{}\"",
            xml(&words::cut(&self.class, MAX_MESSAGE)),
            xml(&words::cut(&self.name, MAX_MESSAGE)),
            seconds(self.micros),
        );
        let message = |message: &String| xml(&words::cut(message, MAX_MESSAGE));
        let _ = match &self.outcome {
            Outcome::Passed => writeln!(out, "/>"),
            Outcome::Failed { message: why, text } => writeln!(
                out,
                ">\n      <failure type=\"assertion\" message=\"{}\">{}</failure>\n    </testcase>",
                message(why),
                message(text),
            ),
            Outcome::Error { message: why } => writeln!(
                out,
                ">\n      <error type=\"error\" message=\"{}\"/>\n    </testcase>",
                message(why),
            ),
            Outcome::Skipped { message: why } => writeln!(
                out,
                ">\n      <skipped message=\"{}\"/>\n    </testcase>",
                message(why),
            ),
        };
    }
}

fn of_gate(report: &RunReport, gate: &GateLine) -> Suite {
    let mut tests = vec![Test {
        class: gate.subject.clone(),
        name: format!("gate {} {}", gate.metric, words::asked(&gate.gate.kind)),
        micros: 0,
        outcome: match gate.verdict {
            Verdict::Passed => Outcome::Passed,
            Verdict::Failed => Outcome::Failed {
                message: gate.reason.clone(),
                text: format!("{}\nrun it again: {}", gate.reason, report.command),
            },
            Verdict::Inconclusive => Outcome::Skipped {
                message: format!("inconclusive: {}", gate.reason),
            },
            Verdict::Invalid => Outcome::Error {
                message: format!("invalid: {}", gate.reason),
            },
        },
    }];
    tests.extend(cases(report, &gate.subject, Some(gate)));
    Suite {
        name: format!(
            "{}: {} {}",
            gate.subject,
            gate.metric,
            words::asked(&gate.gate.kind)
        ),
        properties: vec![
            ("suite", report.suite.path.clone()),
            ("verdict", words::verdict(gate.verdict).to_owned()),
            ("run", report.run.to_string()),
        ],
        tests,
    }
}

/// Without gates every case has to pass.
fn without_gates(report: &RunReport) -> Vec<Suite> {
    let mut subjects: Vec<&str> = Vec::new();
    for row in &report.rows {
        if !subjects.contains(&row.cell.subject.as_str()) {
            subjects.push(&row.cell.subject);
        }
    }
    subjects
        .into_iter()
        .map(|subject| Suite {
            name: subject.to_owned(),
            properties: vec![
                ("suite", report.suite.path.clone()),
                ("run", report.run.to_string()),
            ],
            tests: cases(report, subject, None),
        })
        .collect()
}

fn cases(report: &RunReport, subject: &str, gate: Option<&GateLine>) -> Vec<Test> {
    let mut by_case: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    let mine = report.rows.iter().filter(|row| {
        row.cell.side == Side::Head && (subject.is_empty() || row.cell.subject == subject)
    });
    for row in mine {
        let is_asked = gate.is_none_or(|gate| mark_of(&row.grade, &gate.metric).is_some());
        if is_asked {
            by_case.entry(&row.cell.case.0).or_default().push(row);
        }
    }
    by_case
        .into_iter()
        .map(|(case, rows)| test(case, &rows, gate))
        .collect()
}

/// What a case says of a metric; `None` when it says nothing.
fn mark_of(grade: &CaseGrade, metric: &str) -> Option<Mark> {
    if metric == "pass" {
        return Some(grade.mark);
    }
    if let Some(score) = grade.metrics.get(metric) {
        return Some(match score.is_pass {
            Some(true) => Mark::Pass,
            Some(false) => Mark::Fail,
            None => Mark::Error,
        });
    }
    let mut marks = grade
        .assertions
        .iter()
        .filter(|assertion| assertion.metric.as_deref() == Some(metric))
        .map(|assertion| assertion.grade.mark);
    let first = marks.next()?;
    Some(marks.fold(first, worse))
}

const fn worse(one: Mark, other: Mark) -> Mark {
    match (one, other) {
        (Mark::Error, _) | (_, Mark::Error) => Mark::Error,
        (Mark::Fail, _) | (_, Mark::Fail) => Mark::Fail,
        (Mark::Pass, Mark::Pass) => Mark::Pass,
    }
}

fn test(case: &str, rows: &[&Row], gate: Option<&GateLine>) -> Test {
    let metric = gate.map_or("pass", |gate| gate.metric.as_str());
    let mark = |row: &Row| mark_of(&row.grade, metric).unwrap_or(Mark::Pass);
    let worst = rows.iter().map(|row| mark(row)).fold(Mark::Pass, worse);
    let shown = rows.iter().find(|row| mark(row) == worst);
    let reason = shown.map_or_else(String::new, |row| row.grade.reason.clone());
    let latencies = rows.iter().filter_map(|row| row.answer.as_ref());
    let outcome = match (worst, gate.map(|gate| gate.verdict)) {
        (Mark::Pass, _) => Outcome::Passed,
        (Mark::Error, _) => Outcome::Error { message: reason },
        (Mark::Fail, None | Some(Verdict::Failed)) => Outcome::Failed {
            text: shown.map_or_else(String::new, |row| told(row, rows.len())),
            message: reason,
        },
        (Mark::Fail, Some(Verdict::Passed)) => Outcome::Skipped {
            message: format!("did not pass, which the gate allows: {reason}"),
        },
        (Mark::Fail, Some(verdict)) => Outcome::Skipped {
            message: format!(
                "did not pass, and the gate is {}: {reason}",
                words::verdict(verdict)
            ),
        },
    };
    Test {
        class: rows
            .first()
            .map_or_else(String::new, |row| row.cell.subject.clone()),
        name: case.to_owned(),
        micros: latencies.map(|answer| answer.latency_us).sum(),
        outcome,
    }
}

fn told(row: &Row, repeats: usize) -> String {
    let mut text = format!(
        "Score: {:.3}\nReason: {}\n",
        row.grade.score, row.grade.reason
    );
    if 1 < repeats {
        let _ = writeln!(text, "Repeat: {} of {repeats}", row.cell.repeat + 1);
    }
    let failed = row
        .grade
        .assertions
        .iter()
        .filter(|assertion| assertion.grade.mark != Mark::Pass);
    for assertion in failed {
        let not = if assertion.is_negated { "not-" } else { "" };
        let _ = writeln!(
            text,
            "Failed assertion: {not}{}: {}",
            assertion.kind.as_str(),
            assertion.grade.reason
        );
    }
    text
}

fn seconds(micros: u64) -> String {
    let millis = micros / 1_000;
    format!("{}.{:03}", millis / 1_000, millis % 1_000)
}
