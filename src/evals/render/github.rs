//! Annotations of a GitHub workflow: what failed, on the line it is about.
//!
//! GitHub shows ten annotations of each level for a step and drops the rest, so the tenth says how many more
//! there are.

use crate::evals::plan::Side;
use crate::evals::render::changes::GRAVE;
use crate::evals::render::words;
use crate::evals::report::{GateLine, RunReport, Verdict};
use crate::evals::suite::Place;
use crate::wire::escape::{workflow_message, workflow_property};
use std::fmt::Write as _;

/// Annotations of one level that GitHub shows for a step.
const MOST: usize = 10;
/// Bytes of a message.
const MAX_MESSAGE: usize = 2_000;

/// Returns workflow commands, one a line: errors where a gate failed, warnings for the cases behind it and for
/// gates that could not decide.
#[must_use]
pub fn annotations(report: &RunReport) -> String {
    let mut errors = Vec::new();
    let mut warnings = Vec::new();
    for gate in &report.gates {
        match gate.verdict {
            Verdict::Passed => {}
            Verdict::Failed | Verdict::Invalid => {
                errors.push(of_gate(gate, gate.gate.place.clone()));
                errors.extend(prompt(report, &gate.subject).map(|place| of_gate(gate, place)));
            }
            Verdict::Inconclusive => warnings.push(of_gate(gate, gate.gate.place.clone())),
        }
    }
    // A verdict without a gate that says why: the run itself is the reason.
    if errors.is_empty() && matches!(report.verdict, Verdict::Failed | Verdict::Invalid) {
        errors.push(Annotation {
            place: whole_file(&report.suite.path),
            title: format!("{}: {}", report.suite.name, words::verdict(report.verdict)),
            message: report.summary.clone(),
        });
    }
    warnings.extend(words::of_kind(report, GRAVE).map(|change| Annotation {
        place: change.place.clone(),
        title: format!("{} {}: {}", report.suite.name, change.case, change.kind),
        message: format!("{}\n{}\n{}", change.subject, change.reason, change.replay),
    }));
    let mut out = String::new();
    write(&mut out, "error", &errors);
    write(&mut out, "warning", &warnings);
    out
}

struct Annotation {
    place: Place,
    title: String,
    message: String,
}

fn of_gate(gate: &GateLine, place: Place) -> Annotation {
    let asked = words::asked(&gate.gate.kind);
    Annotation {
        place,
        title: format!("{} {asked}: {}", gate.metric, words::verdict(gate.verdict)),
        message: format!("{}: {}", gate.subject, gate.reason),
    }
}

/// The file of the prompt that was tested, when it is known.
fn prompt(report: &RunReport, subject: &str) -> Option<Place> {
    let line = report
        .subjects
        .iter()
        .find(|line| line.side == Side::Head && line.label == subject)?;
    Some(whole_file(line.prompt_path.as_ref()?))
}

fn whole_file(path: &str) -> Place {
    Place {
        file: path.to_owned(),
        line: 1,
        column: 0,
    }
}

fn write(out: &mut String, level: &str, annotations: &[Annotation]) {
    let shown = if MOST < annotations.len() {
        MOST - 1
    } else {
        annotations.len()
    };
    for annotation in annotations.iter().take(shown) {
        let _ = write!(out, "::{level} ");
        if !annotation.place.file.is_empty() {
            let file = workflow_property(&annotation.place.file);
            let _ = write!(out, "file={file},line={}", annotation.place.line.max(1));
            if 0 < annotation.place.column {
                let _ = write!(out, ",col={}", annotation.place.column);
            }
            out.push(',');
        }
        let title = words::cut(&annotation.title, 200);
        let message = words::cut(&annotation.message, MAX_MESSAGE);
        let _ = writeln!(
            out,
            "title={}::{}",
            workflow_property(&title),
            workflow_message(&message)
        );
    }
    let more = annotations.len() - shown;
    if 0 < more {
        let _ = writeln!(
            out,
            "::{level} title=and {more} more::The report has them all."
        );
    }
}
