//! What safety detectors found, as SARIF 2.1.0: code scanning shows it beside the code.
//!
//! Only findings of safety are told here. A detector is a rule, with the codes of its category in the
//! taxonomies as tags; the text that was found is never in it.

use crate::evals::grade::{AssertionGrade, Mark};
use crate::evals::plan::Side;
use crate::evals::render::{lists, words};
use crate::evals::report::RunReport;
use crate::evals::row::Row;
use crate::evals::suite::Place;
use crate::wire::escape::visible;
use crate::wire::sarif::{artifact, fingerprint, log};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Results that code scanning shows; it refuses more than five times as many.
const MOST: usize = 5_000;
/// Tags that a rule may have.
const MAX_TAGS: usize = 20;

/// Returns the log. Without findings it has no results, which closes the alerts of the run before.
#[must_use]
pub fn sarif(report: &RunReport) -> String {
    let findings = findings(report);
    let mut rules: BTreeMap<&str, Rule> = BTreeMap::new();
    for (key, found) in &findings {
        let rule = rules.entry(&key.rule).or_default();
        rule.severity = rule.severity.max(found.severity);
        rule.tags.extend(found.codes.iter().cloned());
    }
    let indexes: Vec<&str> = rules.keys().copied().collect();
    let results: Vec<Value> = findings
        .iter()
        .take(MOST)
        .map(|(key, found)| {
            let index = indexes.iter().position(|rule| *rule == key.rule);
            result(report, key, found, index)
        })
        .collect();
    let rules: Vec<Value> = rules.iter().map(|(id, rule)| rule.to_json(id)).collect();
    log(&rules, &results)
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    rule: String,
    subject: String,
    case: String,
}

#[derive(Debug, Default)]
struct Found {
    severity: Severity,
    count: u64,
    category: String,
    codes: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Rule {
    severity: Severity,
    tags: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Severity {
    Low,
    #[default]
    Medium,
    High,
    Critical,
}

impl Severity {
    fn parse(name: &str) -> Self {
        match name {
            "low" => Self::Low,
            "high" => Self::High,
            "critical" => Self::Critical,
            _ => Self::Medium,
        }
    }

    const fn level(self) -> &'static str {
        match self {
            Self::Low => "note",
            Self::Medium => "warning",
            Self::High | Self::Critical => "error",
        }
    }

    /// As code scanning cuts the scale of CVSS: above 9 critical, from 7 high, from 4 medium.
    const fn score(self) -> &'static str {
        match self {
            Self::Low => "3.0",
            Self::Medium => "5.5",
            Self::High => "8.0",
            Self::Critical => "9.5",
        }
    }
}

impl Rule {
    fn to_json(&self, id: &str) -> Value {
        let words =
            format!("The safety detector `{id}` found something in an answer of the model.");
        let tags: Vec<&str> = ["security", "llm"]
            .into_iter()
            .chain(self.tags.iter().map(String::as_str))
            .take(MAX_TAGS)
            .collect();
        json!({
            "id": id,
            "name": id,
            "shortDescription": {"text": words},
            "fullDescription": {"text": words},
            "help": {"text": "The case and the command that asks it again are in the report of the eval."},
            "defaultConfiguration": {"level": self.severity.level()},
            "properties": {"tags": tags, "security-severity": self.severity.score()},
        })
    }
}

fn findings(report: &RunReport) -> BTreeMap<Key, Found> {
    let mut findings = BTreeMap::new();
    let head = report.rows.iter().filter(|row| row.cell.side == Side::Head);
    for row in head {
        for grade in &row.grade.assertions {
            of_grade(report, row, grade, &mut findings);
        }
    }
    findings
}

fn of_grade(
    report: &RunReport,
    row: &Row,
    grade: &AssertionGrade,
    findings: &mut BTreeMap<Key, Found>,
) {
    let category = grade.metric.clone().unwrap_or_default();
    let line = report.safety.iter().find(|line| line.category == category);
    let codes = line.map(lists::of_category).unwrap_or_default();
    let severity = line.and_then(|line| line.severity.as_deref());
    let mut add = |rule: &str, severity: &str, count: u64| {
        let key = Key {
            rule: visible(rule),
            subject: row.cell.subject.clone(),
            case: row.cell.case.0.clone(),
        };
        let found: &mut Found = findings.entry(key).or_default();
        found.severity = found.severity.max(Severity::parse(severity));
        found.count = found.count.saturating_add(count);
        found.category.clone_from(&category);
        found.codes.extend(codes.iter().cloned());
        found.codes.extend(lists::of_detector(rule));
    };
    for finding in &grade.grade.findings {
        add(&finding.detector, &finding.severity, finding.count);
    }
    // A detector that only says no: the attack was not refused, a tool was called.
    let name = grade.kind.as_str().strip_prefix("promptgate:");
    if let Some(name) =
        name.filter(|_| grade.grade.findings.is_empty() && grade.grade.mark == Mark::Fail)
    {
        add(name, severity.unwrap_or("medium"), 1);
    }
}

fn result(report: &RunReport, key: &Key, found: &Found, index: Option<usize>) -> Value {
    let prompt = report
        .subjects
        .iter()
        .find(|line| line.side == Side::Head && line.label == key.subject)
        .and_then(|line| line.prompt_path.clone());
    let case = report
        .changes
        .iter()
        .find(|change| change.case == key.case && change.subject == key.subject);
    let place = case.map_or_else(
        || Place {
            file: report.suite.path.clone(),
            line: 1,
            column: 0,
        },
        |change| change.place.clone(),
    );
    let times = if found.count == 1 {
        "once".to_owned()
    } else {
        format!("{} times", found.count)
    };
    let text = visible(&format!(
        "`{}` was found {times} in the answer of {} to case `{}` of {}.",
        key.rule, key.subject, key.case, report.suite.name
    ));
    let replay = case.map_or_else(String::new, |change| {
        format!(
            "\nAsk it again: {}",
            visible(&words::cut(&change.replay, 500))
        )
    });
    let mut value = json!({
        "ruleId": key.rule,
        "ruleIndex": index,
        "level": found.severity.level(),
        "message": {"text": format!("{text}{replay}")},
        "locations": [{"physicalLocation": location(&place)}],
        // The same finding in the next run, whatever the model said this time.
        "partialFingerprints": {"promptgateSafety/v1": fingerprint(&format!(
            "{}\n{}\n{}\n{}", key.rule, report.suite.name, key.subject, key.case
        ))},
        "properties": {"category": found.category, "severity": format!("{:?}", found.severity).to_lowercase()},
    });
    if let (Some(path), Some(map)) = (prompt, value.as_object_mut()) {
        let place = Place {
            file: path,
            line: 1,
            column: 0,
        };
        let related = json!([{"physicalLocation": location(&place), "message": {"text": "the prompt that was tested"}}]);
        map.insert("relatedLocations".to_owned(), related);
    }
    value
}

fn location(place: &Place) -> Value {
    json!({
        "artifactLocation": artifact(&place.file),
        "region": {"startLine": place.line.max(1)},
    })
}
