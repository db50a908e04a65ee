//! Findings for programs: JSON, SARIF 2.1.0, and annotations of a GitHub workflow.

use crate::cli::lint::Report;
use crate::prompts::{Finding, Rule, Severity};
use crate::wire::escape::{workflow_message, workflow_property};
use crate::wire::sarif::{self, artifact, sentence};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;

/// One JSON object. Fields are only ever added.
pub(super) fn json(report: &Report<'_>) -> String {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            let mut value = json!(finding);
            if let Some(map) = value.as_object_mut() {
                let file = report.scope.shown(&finding.problem.path);
                map.insert("file".to_owned(), json!(file));
                map.insert("rule".to_owned(), json!(finding.problem.code.name()));
            }
            value
        })
        .collect();
    let body = json!({
        "version": 1,
        "files": report.lint.file_count(),
        "errors": report.errors,
        "warnings": report.warnings,
        "hints": report.hints,
        "fixed": report.fixed,
        "findings": findings,
    });
    format!("{body}\n")
}

/// A log of one run, as code scanning reads it.
pub(super) fn sarif_log(report: &Report<'_>) -> String {
    let rules: Vec<Value> = Rule::all().map(sarif_rule).collect();
    let results: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| sarif_result(report, finding))
        .collect();
    sarif::log(&rules, &results)
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    }
}

/// The word of a workflow command.
const fn command(severity: Severity) -> &'static str {
    match severity {
        Severity::Hint => "notice",
        _ => level(severity),
    }
}

fn sarif_rule(rule: Rule) -> Value {
    json!({
        "id": rule.code(),
        "name": rule.name(),
        "shortDescription": {"text": sentence(rule.summary())},
        "fullDescription": {"text": rule.help()},
        "help": {"text": rule.help()},
        "defaultConfiguration": {"level": level(rule.severity())},
    })
}

fn sarif_result(report: &Report<'_>, finding: &Finding) -> Value {
    let problem = &finding.problem;
    let shown = report.scope.shown(&problem.path);
    let mut text = problem.message.clone();
    if let Some(hint) = &problem.hint {
        let _ = write!(text, "\nhint: {hint}");
    }
    let mut location = json!({"artifactLocation": artifact(&shown)});
    if let Some(map) = location.as_object_mut() {
        let mut region = Map::new();
        // What is about a whole file is shown at its beginning.
        region.insert("startLine".to_owned(), json!(problem.line.unwrap_or(1)));
        for (key, value) in [
            ("startColumn", problem.column),
            ("endColumn", problem.end_column),
        ] {
            if let Some(value) = value {
                region.insert(key.to_owned(), json!(value));
            }
        }
        map.insert("region".to_owned(), Value::Object(region));
    }
    let index = Rule::all().position(|rule| rule == problem.code);
    json!({
        "ruleId": problem.code,
        "ruleIndex": index,
        "level": level(finding.severity),
        "message": {"text": text},
        "locations": [{"physicalLocation": location}],
        // The same finding in the next run, though lines have moved.
        "partialFingerprints": {"promptgateFinding/v1": fingerprint(&shown, finding)},
    })
}

fn fingerprint(path: &str, finding: &Finding) -> String {
    let problem = &finding.problem;
    sarif::fingerprint(&format!("{}\n{path}\n{}", problem.code, problem.message))
}

/// Workflow commands, one a line.
pub(super) fn github(report: &Report<'_>) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let problem = &finding.problem;
        let file = workflow_property(&report.scope.shown(&problem.path));
        let _ = write!(out, "::{} file={file}", command(finding.severity));
        let line = problem.line.and_then(|line| u32::try_from(line).ok());
        for (key, value) in [
            ("line", line),
            ("endLine", line),
            ("col", problem.column),
            ("endColumn", problem.end_column),
        ] {
            if let Some(value) = value {
                let _ = write!(out, ",{key}={value}");
            }
        }
        let title = workflow_property(&format!("{} {}", problem.code, problem.code.name()));
        let mut message = problem.message.clone();
        if let Some(hint) = &problem.hint {
            let _ = write!(message, "\nhint: {hint}");
        }
        let _ = writeln!(out, ",title={title}::{}", workflow_message(&message));
    }
    out
}
