//! `promptgate evals calibrate`: asks a judge about answers that people have labelled, and says how far it
//! can be trusted. The counts are written beside the judge's file.
//!
//! Exit codes: 0 done, 1 the judge could not be asked, 2 wrong usage or a file with problems.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::evals::directory::Directory;
use crate::cli::evals::run::carry_out;
use crate::cli::evals::workspace::Workspace;
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::reach::Admin;
use crate::domain::Clock;
use crate::evals::judges::calibration::{
    self, CalibrationReport, Disagreement, Label, StoredCalibration, opinions, path_beside,
    read_labels,
};
use crate::evals::suite::{self, JudgeFile, JudgeRules};
use crate::stats::Estimate;
use clap::Args;
use serde_json::json;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Disagreements that are printed; JSON has all.
const SHOWN: usize = 10;

#[derive(Debug, Args)]
pub(crate) struct CalibrateArguments {
    /// The judge's file, which names its labels: `{output, rubric, vars, label, rater, note}` a line.
    #[arg(value_name = "JUDGE")]
    judge: PathBuf,
    #[command(flatten)]
    evals: Directory,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &CalibrateArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let workspace = Workspace::open(&arguments.evals.path)?;
    let path = workspace.below_root(&arguments.judge)?;
    let source = workspace.source(environment.variables());
    let file = suite::load_judge(&source, &path).map_err(|problems| {
        let details = problems.iter().map(ToString::to_string).collect();
        Failure::usage(format!("the judge `{path}` has problems")).with_details(details)
    })?;
    let (labels, text) = labels_of(&file)?;
    let admin = Admin::reach(common, environment)?;
    let plan = calibration::plan(&file.plan, &labels);
    let body = json!({"plan": plan, "rows": true, "options": {}});
    let result = carry_out(&admin, &body).await;
    admin.close().await?;
    let (_, rows) = result?;
    let report = calibration::report(&file.plan, &labels, &opinions(&labels, &rows));
    let judged = report.answers.saturating_sub(report.undecided);
    if u64::try_from(report.unjudged.len()).is_ok_and(|unjudged| unjudged == judged) {
        let first = report.unjudged.first();
        let reason = first.map_or("people are even on every answer", |first| &first.reason);
        let hint = "nothing was written".to_owned();
        return Err(
            Failure::new(format!("no answer could be judged: {reason}")).with_hint(Some(hint))
        );
    }
    let written = write(&arguments.judge, &report, &text)?;
    output::put(&if common.json {
        format!("{}\n", json!({"report": report, "written": written}))
    } else {
        show(&report, &written)
    })
}

fn labels_of(file: &JudgeFile) -> Result<(Vec<Label>, String), Failure> {
    let path = &file.plan.path;
    let Some((labels_path, text)) = &file.labels else {
        let hint =
            "write `labels: NAME.labels.jsonl` into it, and what people say of answers into that";
        return Err(
            Failure::usage(format!("the judge `{path}` names no labels"))
                .with_hint(Some(hint.to_owned())),
        );
    };
    let labels = read_labels(text)
        .map_err(|problem| Failure::usage(format!("`{labels_path}`, {problem}")))?;
    let bare = labels.iter().find(|label| label.rubric.is_none());
    if let (Some(bare), None) = (bare, &file.plan.rubric_prompt) {
        let hint = "write `rubric` into each label, or `rubricPrompt` into the judge's file";
        let message = format!(
            "`{labels_path}`, line {}: nothing says what is judged",
            bare.line
        );
        return Err(Failure::usage(message).with_hint(Some(hint.to_owned())));
    }
    Ok((labels, text.clone()))
}

/// Writes the counts beside the judge's file; returns the path.
fn write(judge: &Path, report: &CalibrationReport, labels: &str) -> Result<String, Failure> {
    let path = path_beside(&judge.to_string_lossy());
    let kept = StoredCalibration::of(report, labels, Clock::System.now());
    let mut text = serde_json::to_string_pretty(&kept)
        .map_err(|error| Failure::new(format!("the counts cannot be written: {error}")))?;
    text.push('\n');
    std::fs::write(&path, text)
        .map_err(|error| Failure::new(format!("`{path}` cannot be written: {error}")))?;
    Ok(path)
}

fn show(report: &CalibrationReport, written: &str) -> String {
    let mut out = String::new();
    figures(&mut out, report);
    remarks(&mut out, report);
    for one in report.disagreements.iter().take(SHOWN) {
        disagreement(&mut out, one);
    }
    let rest = report.disagreements.len().saturating_sub(SHOWN);
    if 0 < rest {
        let _ = writeln!(out, "\n{rest} more disagreements: see `--json`");
    }
    let _ = writeln!(out, "\nwritten to {written}");
    out
}

fn figures(out: &mut String, report: &CalibrationReport) {
    let counts = report.counts;
    let row = |people: &str, pass: u64, fail: u64| {
        vec![people.to_owned(), pass.to_string(), fail.to_string()]
    };
    let rows = [
        row("good", counts.true_positives, counts.false_negatives),
        row("bad", counts.false_positives, counts.true_negatives),
    ];
    let headings = [
        ("PEOPLE SAY", Align::Left),
        ("JUDGE PASSES", Align::Right),
        ("JUDGE FAILS", Align::Right),
    ];
    let number = |value: Option<f64>| {
        value.map_or_else(|| "not defined".to_owned(), |value| format!("{value:.3}"))
    };
    let kappa = number(report.kappa.map(|kappa| kappa.kappa.value));
    let (good, bad) = (report.true_positive_rate, report.true_negative_rate);
    let _ = writeln!(out, "{}: {}\n", report.judge, report.models.join(", "));
    out.push_str(&table(&headings, &rows));
    let _ = writeln!(out, "\ngood answers known as good  {}", rate(good));
    let _ = writeln!(out, "bad answers known as bad    {}", rate(bad));
    let ac1 = number(report.ac1);
    let _ = writeln!(out, "agreement beyond chance     kappa {kappa}, AC1 {ac1}");
    if let Some(people) = report.people {
        let _ = writeln!(out, "people among themselves     alpha {people:.3}");
    }
    let _ = writeln!(
        out,
        "{} labels of {} answers, {} calls, model {}",
        report.labels,
        report.answers,
        report.calls,
        output::clean(&report.models_returned.join(", ")),
    );
}

fn disagreement(out: &mut String, one: &Disagreement) {
    let (people, judge) = if one.people {
        ("good", "fails")
    } else {
        ("bad", "passes")
    };
    let text = |text: &str| output::clean(text).replace('\n', "\n  ");
    let _ = writeln!(
        out,
        "\nline {}: people say {people}, the judge {judge} it ({})\n  {}\n  judge: {}",
        one.line,
        one.score,
        text(&one.output),
        text(&one.reason),
    );
    for note in &one.notes {
        let _ = writeln!(out, "  note: {}", text(note));
    }
}

fn rate(estimate: Option<Estimate>) -> String {
    match estimate {
        Some(Estimate { value, interval }) => format!(
            "{:.1} % (95 %: {:.1} to {:.1})",
            value * 100.0,
            interval.low * 100.0,
            interval.high * 100.0
        ),
        None => "unknown: there is none among the labels".to_owned(),
    }
}

/// What should be known before the judge may gate.
fn remarks(out: &mut String, report: &CalibrationReport) {
    let rules = JudgeRules::default();
    let mut remark = |text: String| {
        let _ = writeln!(out, "note: {text}");
    };
    if report.answers < u64::from(rules.min_labels) {
        let (has, wanted) = (report.answers, rules.min_labels);
        remark(format!(
            "{has} answers are few: a judge that gates wants {wanted} by default"
        ));
    }
    for (name, rate, least) in [
        (
            "good",
            report.true_positive_rate,
            rules.min_true_positive_rate,
        ),
        (
            "bad",
            report.true_negative_rate,
            rules.min_true_negative_rate,
        ),
    ] {
        if let Some(rate) = rate.filter(|rate| rate.value < least) {
            remark(format!(
                "the judge knows {:.2} of the {name} answers; a judge that gates wants {least} by default",
                rate.value
            ));
        }
    }
    if 0 < report.undecided {
        remark(format!(
            "people are even on {} answers, which are left out",
            report.undecided
        ));
    }
    if let Some(first) = report.unjudged.first() {
        let count = report.unjudged.len();
        remark(format!(
            "{count} answers could not be judged, the first on line {}: {}",
            first.line, first.reason
        ));
    }
}
