//! What is said in words: the figures that count, notes, cases that changed, and where it all came from.

use super::command;
use crate::domain::PicoDollars;
use crate::evals::plan::Side;
use crate::evals::render::changes::{self, GRAVE, Outputs};
use crate::evals::render::words;
use crate::evals::report::{CaseChange, MetricLine, RunReport};
use crate::prompts::diff::{DiffLine, Hunk, LineKind};
use crate::wire::escape::{html, html_prose};
use std::fmt::Write as _;

/// Cases whose answers are shown beside each other; the table has them all.
const MAX_CASES: usize = 200;
/// Lines that differ in one case.
const MAX_LINES: usize = 200;

pub(super) fn cards(out: &mut String, report: &RunReport) {
    out.push_str("<dl class=\"cards\">");
    match report.metrics.iter().find(|line| line.metric == "pass") {
        Some(line) => of_cases(out, line),
        None => of_attacks(out, report),
    }
    let drop = report
        .metrics
        .iter()
        .find_map(|line| Some((line.detectable_drop?, line)));
    if let Some((drop, line)) = drop {
        let figure = if line.unit == "share" {
            format!("{} pp", words::points(drop).trim_start_matches('+'))
        } else {
            format!("{drop:.3}")
        };
        let more = format!("with {} cases, 80 % power", line.cases);
        card(out, "Smallest drop it could see", &figure, &more);
    }
    let spent = &report.spent;
    let total = spent
        .cases
        .zip(spent.judges)
        .map(|(cases, judges)| PicoDollars(cases.0.saturating_add(judges.0)));
    let more = format!(
        "{}, {}",
        words::of_cost(report),
        words::duration(spent.duration_ms)
    );
    card(
        out,
        "Cost of this eval",
        &words::dollars(total),
        &html(&more),
    );
    out.push_str("</dl>\n");
}

/// Writes a card. `figure` and `more` are HTML.
fn card(out: &mut String, name: &str, figure: &str, more: &str) {
    let more = if more.is_empty() {
        String::new()
    } else {
        format!("<small>{more}</small>")
    };
    let _ = write!(
        out,
        "<div class=\"card\"><dt>{name}</dt><dd>{figure}{more}</dd></div>"
    );
}

fn of_cases(out: &mut String, line: &MetricLine) {
    let value = |figure: f64| words::value(figure, &line.unit);
    let interval = line.head.low.zip(line.head.high);
    let more = match (&line.delta, interval) {
        (Some(delta), _) => words::difference(delta, &line.unit),
        (None, Some((low, high))) => format!("95 % {} to {}", value(low), value(high)),
        (None, None) => String::new(),
    };
    card(
        out,
        "Cases that pass",
        &html(&value(line.head.value)),
        &html(&more),
    );
    if line.base.is_some() {
        let flips = format!(
            "<span class=\"worse\">{}</span> <span class=\"quiet\">/</span> <span class=\"better\">{}</span>",
            line.regressed, line.improved
        );
        let more = format!("of {} cases", line.cases);
        card(out, "Newly fail / newly pass", &flips, &more);
    }
}

fn of_attacks(out: &mut String, report: &RunReport) {
    let head = || report.safety.iter().filter(|line| line.side == Side::Head);
    let cases: u64 = head().map(|line| line.cases).sum();
    let failures: u64 = head().map(|line| line.failures).sum();
    if 0 < cases {
        let more = format!("of {cases} tried");
        card(
            out,
            "Attacks that came through",
            &failures.to_string(),
            &more,
        );
    }
}

pub(super) fn notes(out: &mut String, report: &RunReport) {
    out.push_str("<ul class=\"notes\">");
    for warning in report.warnings.iter().take(50) {
        let _ = write!(
            out,
            "<li class=\"warning\">{}</li>",
            html_prose(&words::cut(warning, 1_000))
        );
    }
    let mut lines: Vec<String> = words::sight(report)
        .into_iter()
        .map(|line| format!("{line}."))
        .collect();
    lines.extend(words::baseline_age(report));
    lines.extend(report.judges.iter().map(words::judge));
    for judge in &report.judges {
        for (subject, figure) in &judge.corrected {
            let share = words::value(figure.value, "share");
            lines.push(format!(
                "Corrected for the errors of `{}`, `{subject}` passes {share}.",
                judge.model
            ));
        }
    }
    lines.push(words::cost(report));
    if !report.quarantined.is_empty() {
        let flaky = words::count(report.quarantined.len(), "case");
        let names: Vec<String> = report
            .quarantined
            .iter()
            .take(20)
            .map(|case| format!("`{case}`"))
            .collect();
        lines.push(format!(
            "{flaky} flaky by history and not counted: {}.",
            names.join(", ")
        ));
    }
    for line in lines {
        let _ = write!(out, "<li>{}</li>", html_prose(&words::cut(&line, 1_000)));
    }
    out.push_str("</ul>\n");
}

pub(super) fn changed(out: &mut String, report: &RunReport) {
    for kind in GRAVE.iter().chain(&["improved"]) {
        let found: Vec<&CaseChange> = words::of_kind(report, std::slice::from_ref(kind)).collect();
        if found.is_empty() {
            continue;
        }
        let heading = changes::heading(kind, found.len());
        let more = found.len().saturating_sub(MAX_CASES);
        let rest = if 0 < more {
            format!("<small>the first {MAX_CASES}; the table below has all</small>")
        } else {
            String::new()
        };
        let _ = write!(out, "<h2>{heading}{rest}</h2>\n<div class=\"sheet\">");
        for (index, change) in found.iter().take(MAX_CASES).enumerate() {
            case(
                out,
                change,
                kind,
                index == 0 && *kind != "improved" && *kind != "error",
            );
        }
        out.push_str("</div>\n");
    }
}

fn case(out: &mut String, change: &CaseChange, kind: &str, is_open: bool) {
    let open = if is_open { " open" } else { "" };
    let described = change.description.as_deref().unwrap_or_default();
    let metrics: String = change
        .metrics
        .iter()
        .take(6)
        .map(|metric| {
            format!(
                "<span class=\"chip\">{}</span>",
                html(&words::cut(metric, 60))
            )
        })
        .collect();
    let _ = write!(
        out,
        "<details class=\"case\"{open}><summary><span class=\"what\">{} <code>{}</code></span>\
         <span class=\"small badge {kind}\">{}</span></summary>\n<div class=\"inside\"><p>{} {metrics}</p>",
        html(&words::cut(described, 300)),
        html(&words::cut(&change.case, 120)),
        label(kind),
        html_prose(&words::cut(&change.reason, 1_000)),
    );
    match changes::outputs(change) {
        Outputs::Both(hunks) if hunks.is_empty() => {
            out.push_str("<p class=\"quiet\">Both sides gave the same answer.</p>");
        }
        Outputs::Both(hunks) => diff(out, &hunks),
        Outputs::One(text) => {
            let _ = write!(out, "<pre class=\"text\">{}</pre>", html(&text));
        }
        Outputs::None => {}
    }
    if !change.replay.is_empty() {
        command(out, &change.replay);
    }
    let _ = writeln!(
        out,
        "<p class=\"quiet\"><small>{}, {}</small></p></div></details>",
        html(&change.place.to_string()),
        html(&change.subject)
    );
}

fn label(kind: &str) -> &'static str {
    match kind {
        "regressed" => "newly fails",
        "improved" => "newly passes",
        "failing" => "fails",
        "missing" => "missing",
        "error" => "error",
        _ => "changed",
    }
}

fn diff(out: &mut String, hunks: &[Hunk]) {
    out.push_str("<div class=\"diff\">");
    let mut shown = 0;
    for (index, hunk) in hunks.iter().enumerate() {
        if 0 < index {
            out.push_str("<div class=\"gap\">⋯</div>");
        }
        for line in hunk.lines.iter().take(MAX_LINES - shown) {
            shown += 1;
            let (class, mark) = match line.kind {
                LineKind::Context => ("same", "span"),
                LineKind::Removed => ("removed", "del"),
                LineKind::Added => ("added", "ins"),
            };
            let _ = write!(out, "<div class=\"{class}\">{}</div>", marked(line, mark));
        }
        if shown == MAX_LINES {
            out.push_str("<div class=\"gap\">the rest is left out</div>");
            break;
        }
    }
    out.push_str("</div>");
}

/// A line with the words that differ inside `mark`.
fn marked(line: &DiffLine, mark: &str) -> String {
    let mut out = String::new();
    let mut place = 0;
    let piece = |start: usize, end: usize| html(line.text.get(start..end).unwrap_or_default());
    for (start, end) in &line.marks {
        let _ = write!(
            out,
            "{}<{mark}>{}</{mark}>",
            piece(place, *start),
            piece(*start, *end)
        );
        place = *end;
    }
    out.push_str(&piece(place, line.text.len()));
    out
}

pub(super) fn foot(out: &mut String, report: &RunReport) {
    out.push_str("<footer>");
    command(out, &report.command);
    let suite = &report.suite;
    let set = suite.commit.as_ref().map_or_else(String::new, |commit| {
        let since = if suite.has_uncommitted_changes {
            " and changed since, without a commit"
        } else {
            ""
        };
        format!(", thresholds set in <code>{}</code>{since}", html(commit))
    });
    let _ = writeln!(
        out,
        "<p>promptgate {}, run <code>{}</code>, suite <code>{}</code> <code>{}</code>{set}.</p></footer>",
        html(&report.promptgate),
        report.run,
        html(&suite.path),
        html(&suite.hash),
    );
}
