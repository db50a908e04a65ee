//! JUnit XML, as test servers read it: a gate is a test.
//!
//! What fails is red. A gate that cannot decide is skipped, and says how many more queries would decide: it
//! neither holds nor does it not.

use super::words;
use crate::embeddings::compare::report::{ComparisonReport, GateOutcome, GateResult, VerdictKind};
use crate::wire::escape::xml;
use crate::wire::plain::cut;
use std::fmt::Write as _;

/// When it was made. A report knows no time, so that the same snapshots give the same bytes; the schema wants one.
const NO_TIME: &str = "1970-01-01T00:00:00";
/// Bytes of a message.
const MAX_MESSAGE: usize = 2_000;

/// Returns the gates as JUnit XML; without gates one test for the verdict, which then fails nobody. It holds
/// to the schema of Jenkins' xUnit plugin (junit-10).
#[must_use]
pub fn junit(report: &ComparisonReport) -> String {
    let tests: Vec<Test> = if report.gates.is_empty() {
        vec![without_gates(report)]
    } else {
        report.gates.iter().map(of_gate).collect()
    };
    let count = |is_counted: fn(&Outcome) -> bool| {
        tests
            .iter()
            .filter(|test| is_counted(&test.outcome))
            .count()
    };
    let failures = count(|outcome| matches!(outcome, Outcome::Failed(_)));
    let skipped = count(|outcome| matches!(outcome, Outcome::Skipped(_)));
    let name = short(&format!(
        "promptgate embeddings compare {} {}",
        report.a.name, report.b.name
    ));
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let _ = writeln!(
        out,
        "<testsuites name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" time=\"0.000\">\n  \
         <testsuite name=\"{name}\" tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\" timestamp=\"{NO_TIME}\" time=\"0.000\">\n    \
         <properties>",
        tests = tests.len(),
    );
    for (name, value) in [
        ("verdict", words::verdict(report.verdict.kind)),
        ("sentence", &report.verdict.sentence),
        ("rule", &report.verdict.rule),
        ("a", &report.a.id.0),
        ("b", &report.b.id.0),
    ] {
        let _ = writeln!(
            out,
            "      <property name=\"{name}\" value=\"{}\"/>",
            short(value)
        );
    }
    out.push_str("    </properties>\n");
    let class = short(&format!("{} {}", report.a.name, report.b.name));
    for test in &tests {
        test.write(&mut out, &class);
    }
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

struct Test {
    name: String,
    outcome: Outcome,
}

enum Outcome {
    Passed,
    Failed(String),
    Skipped(String),
}

impl Test {
    fn write(&self, out: &mut String, class: &str) {
        let _ = write!(
            out,
            "    <testcase classname=\"{class}\" name=\"{}\" time=\"0.000\"",
            short(&self.name)
        );
        let _ = match &self.outcome {
            Outcome::Passed => writeln!(out, "/>"),
            Outcome::Failed(why) => writeln!(
                out,
                ">\n      <failure type=\"gate\" message=\"{why}\">{why}</failure>\n    </testcase>",
                why = short(why),
            ),
            Outcome::Skipped(why) => writeln!(
                out,
                ">\n      <skipped message=\"{}\"/>\n    </testcase>",
                short(why),
            ),
        };
    }
}

fn of_gate(gate: &GateResult) -> Test {
    let outcome = match gate.outcome {
        GateOutcome::Passed => Outcome::Passed,
        GateOutcome::Failed => Outcome::Failed(gate.reason.clone()),
        GateOutcome::CannotDecide => {
            let more = words::more_queries(&gate.reason, gate.more_queries)
                .map_or_else(String::new, |more| format!(" {more}"));
            Outcome::Skipped(format!(
                "cannot decide: {}{more}",
                words::stopped(&gate.reason)
            ))
        }
    };
    Test {
        name: format!("gate {}", gate.gate),
        outcome,
    }
}

fn without_gates(report: &ComparisonReport) -> Test {
    let verdict = &report.verdict;
    let outcome = match verdict.kind {
        VerdictKind::Identical | VerdictKind::Compatible | VerdictKind::Better => Outcome::Passed,
        VerdictKind::SameQuality
        | VerdictKind::Worse
        | VerdictKind::UnknownDirection
        | VerdictKind::MixedIndexForbidden
        | VerdictKind::NotWorthIt
        | VerdictKind::CannotDecide => {
            Outcome::Skipped(format!("no gate was asked for: {}", verdict.sentence))
        }
    };
    Test {
        name: format!("verdict: {}", words::verdict(verdict.kind)),
        outcome,
    }
}

/// A bounded text, escaped.
fn short(text: &str) -> String {
    xml(&cut(text, MAX_MESSAGE))
}
