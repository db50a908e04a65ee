//! Every case in a table that can be sorted and searched, and what the page's script shows of one.

use crate::evals::grade::Mark;
use crate::evals::plan::Side;
use crate::evals::render::words;
use crate::evals::report::RunReport;
use crate::evals::row::Row;
use crate::wire::escape::{html, json_in_html, visible};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Bytes of an output, and of all outputs together; the JSON report has them whole.
const MAX_OUTPUT: usize = 6_000;
const MAX_OUTPUTS: usize = 4_000_000;

/// A case of a subject: its rows on both sides, repeats in their order.
struct Case<'a> {
    subject: &'a str,
    id: &'a str,
    base: Vec<&'a Row>,
    head: Vec<&'a Row>,
}

fn cases(report: &RunReport) -> Vec<Case<'_>> {
    let mut places: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut cases: Vec<Case<'_>> = Vec::new();
    for row in &report.rows {
        let (subject, id) = (row.cell.subject.as_str(), row.cell.case.0.as_str());
        let place = *places.entry((subject, id)).or_insert_with(|| {
            cases.push(Case {
                subject,
                id,
                base: Vec::new(),
                head: Vec::new(),
            });
            cases.len() - 1
        });
        if let Some(case) = cases.get_mut(place) {
            match row.cell.side {
                Side::Base => case.base.push(row),
                Side::Head => case.head.push(row),
            }
        }
    }
    cases
}

/// What came of the repeats: the worst of them, and their mean score.
struct Outcome {
    mark: Mark,
    score: f64,
    latency: Option<f64>,
    cost: Option<f64>,
}

fn of_side(rows: &[&Row]) -> Option<Outcome> {
    let count = f64::from(u32::try_from(rows.len()).ok().filter(|count| 0 < *count)?);
    let mark = if rows.iter().any(|row| row.grade.mark == Mark::Error) {
        Mark::Error
    } else if rows.iter().any(|row| row.grade.mark == Mark::Fail) {
        Mark::Fail
    } else {
        Mark::Pass
    };
    let mean = |value: fn(&Row) -> Option<f64>| -> Option<f64> {
        let values: Option<Vec<f64>> = rows.iter().map(|row| value(row)).collect();
        Some(values?.iter().sum::<f64>() / count)
    };
    Some(Outcome {
        mark,
        score: rows.iter().map(|row| row.grade.score).sum::<f64>() / count,
        latency: mean(|row| {
            let answer = row
                .answer
                .as_ref()
                .filter(|answer| answer.cached_from.is_none())?;
            Some(f64::from(u32::try_from(answer.latency_us / 1_000).ok()?))
        }),
        cost: mean(|row| {
            row.answer
                .as_ref()?
                .cost
                .pico_usd?
                .to_dollars()
                .parse()
                .ok()
        }),
    })
}

const fn mark_name(mark: Mark) -> &'static str {
    match mark {
        Mark::Pass => "pass",
        Mark::Fail => "fail",
        Mark::Error => "error",
    }
}

pub(super) fn table(out: &mut String, report: &RunReport) {
    let cases = cases(report);
    if cases.is_empty() {
        return;
    }
    let subjects: BTreeSet<&str> = cases.iter().map(|case| case.subject).collect();
    let has_subjects = 1 < subjects.len();
    let has_base = cases.iter().any(|case| !case.base.is_empty());
    let _ = write!(
        out,
        "<h2>All cases <small>{}</small></h2>\n<div class=\"tools needs-script\"><input id=\"search\" type=\"search\" placeholder=\"Search cases, inputs and answers ( / )\" aria-label=\"search\">\
         <select id=\"kind\" aria-label=\"which cases\"><option value=\"all\">all</option><option value=\"fail\">failing</option>{}<option value=\"error\">errors</option><option value=\"pass\">passing</option></select>\
         <output id=\"shown\"></output></div>\n<div class=\"sheet wide\"><table id=\"cases\"><thead><tr>",
        cases.len(),
        if has_base {
            "<option value=\"regressed\">newly failing</option><option value=\"improved\">newly passing</option>"
        } else {
            ""
        },
    );
    let mut head = |name: &str, is_number: bool| {
        let (class, data) = if is_number {
            (" class=\"number\"", " data-number=\"1\"")
        } else {
            ("", "")
        };
        let _ = write!(
            out,
            "<th scope=\"col\"{class}{data}><button type=\"button\">{name}</button></th>"
        );
    };
    head("case", false);
    if has_subjects {
        head("subject", false);
    }
    if has_base {
        head("base", false);
    }
    head("head", false);
    for name in ["score", "latency", "cost"] {
        head(name, true);
    }
    out.push_str("</tr></thead><tbody>\n");
    for (index, case) in cases.iter().enumerate() {
        row(out, index, case, has_subjects, has_base);
    }
    out.push_str("</tbody></table></div>\n<p class=\"tools needs-script\"><button type=\"button\" id=\"more\" hidden>Show all</button></p>\n");
}

fn row(out: &mut String, index: usize, case: &Case<'_>, has_subjects: bool, has_base: bool) {
    let (base, head) = (of_side(&case.base), of_side(&case.head));
    let mark = |side: &Option<Outcome>| side.as_ref().map(|side| side.mark);
    let mut kinds = vec![mark(&head).map_or("missing", mark_name)];
    match (mark(&base), mark(&head)) {
        (Some(Mark::Pass), Some(Mark::Fail)) => kinds.push("regressed"),
        (Some(Mark::Fail), Some(Mark::Pass)) => kinds.push("improved"),
        _ => {}
    }
    let id = html(&words::cut(case.id, 120));
    let _ = write!(
        out,
        "<tr data-index=\"{index}\" data-kind=\"{}\"><td class=\"name\" data-key=\"{id}\"><button type=\"button\">{id}</button></td>",
        kinds.join(" ")
    );
    if has_subjects {
        let subject = html(&words::cut(case.subject, 120));
        let _ = write!(out, "<td data-key=\"{subject}\">{subject}</td>");
    }
    let badge = |side: &Option<Outcome>| {
        let name = mark(side).map_or("missing", mark_name);
        format!("<td data-key=\"{name}\"><span class=\"small badge {name}\">{name}</span></td>")
    };
    if has_base {
        out.push_str(&badge(&base));
    }
    out.push_str(&badge(&head));
    let shown = head.as_ref();
    let mut number = |value: Option<f64>, unit: &str| {
        let key = value.map_or_else(String::new, |value| value.to_string());
        let text = value.map_or_else(|| "–".to_owned(), |value| words::value(value, unit));
        let _ = write!(
            out,
            "<td class=\"number\" data-key=\"{key}\">{}</td>",
            html(&text)
        );
    };
    let score = shown.filter(|side| side.mark != Mark::Error);
    number(score.map(|side| side.score), "score");
    number(shown.and_then(|side| side.latency), "ms");
    number(shown.and_then(|side| side.cost), "usd");
    out.push_str("</tr>\n");
}

/// Returns what the script shows of the cases, as JSON for a `script` element.
pub(super) fn data(report: &RunReport) -> String {
    let mut room = MAX_OUTPUTS;
    let cases: Vec<Value> = cases(report)
        .iter()
        .map(|case| of_case(case, &mut room))
        .collect();
    json_in_html(&Value::from(cases).to_string())
}

fn of_case(case: &Case<'_>, room: &mut usize) -> Value {
    let one = case.head.first().or(case.base.first());
    let vars = one.map(|row| serde_json::to_string_pretty(&row.vars).unwrap_or_default());
    let vars = visible(&words::cut(&vars.unwrap_or_default(), MAX_OUTPUT));
    let (base, head) = (side(&case.base, room), side(&case.head, room));
    let output = |side: &Value| {
        side.get("output")
            .and_then(Value::as_str)
            .map(|output| words::cut(output, 1_000))
    };
    let words: Vec<String> = [
        Some(case.id.to_owned()),
        Some(words::cut(&vars, 1_000)),
        output(&base),
        output(&head),
    ]
    .into_iter()
    .flatten()
    .collect();
    json!({"vars": vars, "base": base, "head": head, "text": words.join(" ").to_lowercase()})
}

/// The first repeat that did not pass, or the first.
fn side(rows: &[&Row], room: &mut usize) -> Value {
    let Some(row) = rows
        .iter()
        .find(|row| row.grade.mark != Mark::Pass)
        .or(rows.first())
    else {
        return Value::Null;
    };
    let answer = row.answer.as_ref();
    let output = match (answer.map(|answer| &answer.output), &row.error) {
        (Some(Value::String(text)), _) => words::cut(text, MAX_OUTPUT.min(*room)),
        (Some(other), _) => words::cut(&other.to_string(), MAX_OUTPUT.min(*room)),
        (None, Some(error)) => error.to_string(),
        (None, None) => "there is no answer".to_owned(),
    };
    *room = room.saturating_sub(output.len());
    let why: Vec<String> = row
        .grade
        .assertions
        .iter()
        .take(50)
        .map(|grade| {
            let not = if grade.is_negated { "not-" } else { "" };
            let told = format!(
                "{}: {not}{}: {}",
                mark_name(grade.grade.mark),
                grade.kind.as_str(),
                grade.grade.reason
            );
            visible(&words::cut(&told, 500))
        })
        .collect();
    json!({
        "output": visible(&output),
        "model": answer.and_then(|answer| answer.model_returned.as_deref()).map(visible),
        "why": why,
    })
}
