//! The report for programs: the whole as JSON, and one row a line with the names that promptfoo's output has.

use crate::evals::grade::{AssertionGrade, Mark};
use crate::evals::report::RunReport;
use crate::evals::row::{Answer, Row};
use serde_json::{Map, Value, json};

/// Returns the report as it is, version 1, with a newline at its end. Fields are only ever added.
#[must_use]
pub fn json(report: &RunReport) -> String {
    // Every map in a report has strings as keys, so there is nothing that could fail.
    let text = serde_json::to_string_pretty(report).unwrap_or_default();
    format!("{text}\n")
}

/// Returns one row a line. Where promptfoo has a field its name and meaning are kept; `side`, `caseId`, `repeat`,
/// `callId` and `cellHash` are ours. An error is `failureReason` 2, a miss 1.
#[must_use]
pub fn jsonl(report: &RunReport) -> String {
    let mut subjects = Order::default();
    let mut cases = Order::default();
    let mut out = String::new();
    for row in &report.rows {
        let places = (
            subjects.place(&row.cell.subject),
            cases.place(&row.cell.case.0),
        );
        out.push_str(&line(report, row, places).to_string());
        out.push('\n');
    }
    out
}

/// Numbers names in the order in which they come.
#[derive(Default)]
struct Order(std::collections::HashMap<String, usize>);

impl Order {
    fn place(&mut self, name: &str) -> usize {
        let next = self.0.len();
        *self.0.entry(name.to_owned()).or_insert(next)
    }
}

fn line(report: &RunReport, row: &Row, (subject, case): (usize, usize)) -> Value {
    let cell = &row.cell;
    let known = report
        .subjects
        .iter()
        .find(|line| line.side == cell.side && line.label == cell.subject);
    let answer = row.answer.as_ref();
    let error = row
        .error
        .as_ref()
        .map(ToString::to_string)
        .or_else(|| (row.grade.mark == Mark::Error).then(|| row.grade.reason.clone()));
    json!({
        "evalId": report.run,
        "id": format!("{}/{}/{}/{}", crate::evals::render::words::side_name(cell.side), subject, cell.case.0, cell.repeat),
        "promptIdx": subject,
        "testIdx": case,
        "promptId": known.and_then(|line| line.prompt_hash.as_deref()),
        "prompt": {
            "raw": Value::from(row.sent.clone()).to_string(),
            "label": known.map_or(cell.subject.as_str(), |line| line.prompt.as_str()),
        },
        "provider": {
            "id": known.and_then(|line| line.model.as_deref()),
            "label": cell.subject,
        },
        "vars": row.vars,
        "response": answer.map(response),
        "gradingResult": grading(row),
        "success": row.grade.mark == Mark::Pass,
        "score": row.grade.score,
        "namedScores": named(row),
        "latencyMs": answer.map(|answer| answer.latency_us / 1_000),
        "cost": answer.and_then(dollars),
        "error": error,
        "failureReason": match row.grade.mark {
            Mark::Pass => 0,
            Mark::Fail => 1,
            Mark::Error => 2,
        },
        "side": cell.side,
        "caseId": cell.case,
        "repeat": cell.repeat,
        "callId": answer.and_then(|answer| answer.call),
        "cellHash": row.cell_hash,
    })
}

fn response(answer: &Answer) -> Value {
    let tokens = answer.usage.map(|usage| {
        json!({
            "prompt": usage.input,
            "completion": usage.output,
            "total": usage.input.saturating_add(usage.output),
            "cached": usage.cached_input,
        })
    });
    json!({
        "output": answer.output,
        "raw": answer.message,
        "cost": dollars(answer),
        "cached": answer.cached_from.is_some(),
        "tokenUsage": tokens,
        "finishReason": answer.finish_reason,
        "model": answer.model_returned,
    })
}

fn dollars(answer: &Answer) -> Option<f64> {
    answer.cost.pico_usd?.to_dollars().parse().ok()
}

fn named(row: &Row) -> Map<String, Value> {
    let metrics = row.grade.metrics.iter();
    metrics
        .map(|(name, metric)| (name.clone(), json!(metric.score)))
        .collect()
}

fn grading(row: &Row) -> Value {
    let components: Vec<Value> = row.grade.assertions.iter().map(component).collect();
    json!({
        "pass": row.grade.mark == Mark::Pass,
        "score": row.grade.score,
        "reason": row.grade.reason,
        "namedScores": named(row),
        "componentResults": components,
    })
}

fn component(grade: &AssertionGrade) -> Value {
    let kind = grade.kind.as_str();
    let kind = if grade.is_negated {
        format!("not-{kind}")
    } else {
        kind.to_owned()
    };
    json!({
        "pass": grade.grade.mark == Mark::Pass,
        "error": grade.grade.mark == Mark::Error,
        "score": grade.grade.score,
        "reason": grade.grade.reason,
        "assertion": {
            "type": kind,
            "value": grade.expected,
            "metric": grade.metric,
            "weight": grade.weight,
        },
    })
}
