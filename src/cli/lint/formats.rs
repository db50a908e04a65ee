//! Findings for programs: JSON, SARIF 2.1.0, and annotations of a GitHub workflow.

use crate::cli::lint::Report;
use crate::prompts::{Finding, Rule, Severity};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
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
        "fixed": report.fixed,
        "findings": findings,
    });
    format!("{body}\n")
}

/// A log of one run, as code scanning reads it.
pub(super) fn sarif(report: &Report<'_>) -> String {
    let rules: Vec<Value> = Rule::all().map(sarif_rule).collect();
    let results: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| sarif_result(report, finding))
        .collect();
    let body = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "promptgate",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    let text = serde_json::to_string_pretty(&body).unwrap_or_default();
    format!("{text}\n")
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
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

fn sentence(words: &str) -> String {
    let mut characters = words.chars();
    let first = characters.next().map(char::to_uppercase);
    first
        .into_iter()
        .flatten()
        .chain(characters)
        .chain(['.'])
        .collect()
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

fn artifact(path: &str) -> Value {
    let uri = escape_uri(path);
    if path.starts_with('/') {
        json!({"uri": format!("file://{uri}")})
    } else {
        json!({"uri": uri, "uriBaseId": "%SRCROOT%"})
    }
}

fn escape_uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri
}

fn fingerprint(path: &str, finding: &Finding) -> String {
    let problem = &finding.problem;
    let text = format!("{}\n{path}\n{}", problem.code, problem.message);
    let digest = Sha256::digest(text.as_bytes());
    digest.iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Workflow commands, one a line.
pub(super) fn github(report: &Report<'_>) -> String {
    let mut out = String::new();
    for finding in &report.findings {
        let problem = &finding.problem;
        let file = escape_property(&report.scope.shown(&problem.path));
        let _ = write!(out, "::{} file={file}", level(finding.severity));
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
        let title = escape_property(&format!("{} {}", problem.code, problem.code.name()));
        let mut message = problem.message.clone();
        if let Some(hint) = &problem.hint {
            let _ = write!(message, "\nhint: {hint}");
        }
        let _ = writeln!(out, ",title={title}::{}", escape_data(&message));
    }
    out
}

fn escape_data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn escape_property(text: &str) -> String {
    escape_data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::{artifact, escape_data, escape_property};
    use serde_json::json;

    #[test]
    fn paths_and_messages_are_escaped_for_their_format() {
        assert_eq!(
            artifact("prompts/b\u{fc} 1.prompt"),
            json!({"uri": "prompts/b%C3%BC%201.prompt", "uriBaseId": "%SRCROOT%"})
        );
        assert_eq!(artifact("/a"), json!({"uri": "file:///a"}));
        assert_eq!(escape_data("50%\nx: y"), "50%25%0Ax: y");
        assert_eq!(escape_property("a:b,c"), "a%3Ab%2Cc");
    }
}
