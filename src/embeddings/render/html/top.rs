//! What is read first: the verdict with the rule that fired, the figures that carry it, gates and findings; and
//! last, how it was measured.

use super::{Section, badge, class, name, sentence};
use crate::embeddings::compare::report::{ComparisonReport, Figure, FigureGroup};
use crate::embeddings::render::numbers::{count, grouped};
use crate::embeddings::render::words::{self, Tone};
use crate::embeddings::render::{changed, thresholds};
use crate::wire::escape::html;
use std::fmt::Write as _;

/// Gates, findings and notes that are shown.
const MAX_LINES: usize = 100;

pub(super) fn header(out: &mut String, report: &ComparisonReport) {
    let verdict = &report.verdict;
    let _ = write!(
        out,
        "<header class=\"top\">\n<p class=\"eyebrow\">Two embedding versions compared</p>\n\
         <div class=\"title\"><h1>{} <span class=\"to\">→</span> {}</h1>{}</div>\n<p class=\"lead\">{}</p>\n",
        name(&report.a.name),
        name(&report.b.name),
        badge(words::tone(verdict.kind), words::verdict(verdict.kind)),
        sentence(&verdict.sentence),
    );
    if let Some(more) = words::more_queries(&verdict.sentence, verdict.more_queries) {
        let _ = writeln!(out, "<p class=\"more-queries\">{}</p>", html(&more));
    }
    if let Some(advice) = &verdict.advice {
        let _ = writeln!(out, "<p class=\"advice\">{}</p>", sentence(advice));
    }
    let _ = write!(
        out,
        "<p class=\"rule\">The rule that fired: {}</p>\n<ul class=\"facts\">",
        sentence(&verdict.rule)
    );
    for (label, side) in [("A", &report.a), ("B", &report.b)] {
        let _ = write!(
            out,
            "<li><i class=\"side {}\" aria-hidden=\"true\"></i>{label} <b>{}</b></li>",
            label.to_lowercase(),
            html(&words::snapshot(side))
        );
    }
    let _ = write!(
        out,
        "<li><b>{}</b> compared by <b>{}</b></li></ul>\n</header>\n",
        count(report.alignment.compared, "item"),
        count(report.method.queries, "query"),
    );
}

pub(super) fn cards(out: &mut String, report: &ComparisonReport) {
    let mut cards: Vec<String> = Vec::new();
    if let Some(figure) = words::figures(report, FigureGroup::Labels).next() {
        let sides = words::sides(figure).map(|[a, b]| format!("{a} → {b}"));
        cards.push(of_figure(figure, &sides.unwrap_or_default()));
    }
    if let Some((lost, gained)) = changed::lost_and_gained(report) {
        cards.push(card(
            "Answers lost and gained",
            &format!(
                "<b class=\"lost\">{}</b> <span class=\"soft\">/</span> <b class=\"gained\">{}</b>",
                grouped(lost),
                grouped(gained)
            ),
            &html(&changed::among(report)),
        ));
    }
    let room = 3_usize.saturating_sub(cards.len());
    for figure in words::changes(report).into_iter().take(room) {
        cards.push(of_figure(figure, ""));
    }
    if let Some(row) = thresholds::typical(report) {
        cards.push(card(
            "A score threshold moves",
            &format!(
                "{} <span class=\"soft\">→</span> {}",
                words::chosen(row.a),
                words::score_of(row.b)
            ),
            &format!(
                "unchanged, {} instead of {} answers pass",
                thresholds::unchanged(row),
                words::two(row.per_query)
            ),
        ));
    }
    if !cards.is_empty() {
        let _ = writeln!(out, "<dl class=\"cards\">{}</dl>", cards.concat());
    }
}

fn of_figure(figure: &Figure, before: &str) -> String {
    let tone = class(words::direction(figure));
    let whole = |text: &str| format!("<span class=\"whole\">{}</span>", html(text));
    let interval = words::interval(figure);
    let below: Vec<String> = [
        (!before.is_empty()).then(|| whole(before)),
        interval.map(|interval| whole(&format!("95 % {interval}"))),
        words::yardsticks(figure).map(|told| whole(&told)),
    ]
    .into_iter()
    .flatten()
    .collect();
    card(
        &name(&words::title(figure)),
        &format!(
            "<span class=\"text-{tone}\">{}</span>",
            words::value(figure)
        ),
        &below.join(" "),
    )
}

fn card(title: &str, value: &str, below: &str) -> String {
    format!("<div class=\"card\"><dt>{title}</dt><dd>{value}<small>{below}</small></dd></div>")
}

pub(super) fn gates(out: &mut String, report: &ComparisonReport) {
    if report.gates.is_empty() {
        return;
    }
    out.push_str("<h2>Gates</h2>\n<div class=\"sheet\"><table class=\"stack gates\"><thead><tr><th scope=\"col\">fails if</th><th scope=\"col\"></th><th scope=\"col\">why</th></tr></thead><tbody>\n");
    for gate in report.gates.iter().take(MAX_LINES) {
        let (word, tone) = words::outcome(gate.outcome);
        let more = words::more_queries(&gate.reason, gate.more_queries)
            .map_or_else(String::new, |more| format!(" <b>{}</b>", html(&more)));
        let _ = writeln!(
            out,
            "<tr><td class=\"name\"><code>{}</code></td><td class=\"verdict\">{}</td><td class=\"whole\">{}{more}</td></tr>",
            name(&gate.gate),
            badge(tone, word),
            sentence(&words::stopped(&gate.reason)),
        );
    }
    out.push_str("</tbody></table></div>\n");
    left_out(out, report.gates.len(), MAX_LINES, "gate");
}

pub(super) fn findings(out: &mut String, report: &ComparisonReport) {
    let findings: Vec<_> = words::findings(report).collect();
    if findings.is_empty() {
        return;
    }
    out.push_str("<h2>What holds besides</h2>\n<ul class=\"findings\">\n");
    for finding in findings.iter().take(MAX_LINES) {
        let more = words::more_queries(&finding.sentence, finding.more_queries)
            .map_or_else(String::new, |more| format!(" <b>{}</b>", html(&more)));
        let advice = finding
            .advice
            .as_ref()
            .map_or_else(String::new, |advice| format!(" {}", sentence(advice)));
        let _ = writeln!(
            out,
            "<li>{} <span>{}{more}{advice} <small>Rule: {}</small></span></li>",
            badge(words::tone(finding.kind), words::verdict(finding.kind)),
            sentence(&finding.sentence),
            sentence(&finding.rule),
        );
    }
    out.push_str("</ul>\n");
    left_out(out, findings.len(), MAX_LINES, "finding");
}

/// Says how many are not shown.
pub(super) fn left_out(out: &mut String, all: usize, shown: usize, thing: &str) {
    if let Some(more) = all.checked_sub(shown).filter(|more| 0 < *more) {
        let _ = writeln!(
            out,
            "<p class=\"quiet\">{} more left out; the JSON report has all.</p>",
            count(more, thing)
        );
    }
}

pub(super) fn method(report: &ComparisonReport) -> Option<Section> {
    let mut body = String::from("<ul class=\"notes\">\n");
    for line in words::method(&report.method).iter().take(MAX_LINES) {
        let _ = writeln!(body, "<li>{}</li>", sentence(line));
    }
    for line in words::detectable(report).iter().take(MAX_LINES) {
        let _ = writeln!(body, "<li>{}</li>", sentence(line));
    }
    body.push_str("</ul>\n");
    Some(Section {
        id: "method",
        short: "Method",
        title: "How this was measured",
        aside: String::new(),
        body,
    })
}

pub(super) fn foot(out: &mut String, report: &ComparisonReport) {
    let _ = writeln!(
        out,
        "<footer><p>A {}, B {}</p><p>Report format {}. {}</p></footer>",
        name(&report.a.id.0),
        name(&report.b.id.0),
        report.format,
        match words::tone(report.verdict.kind) {
            Tone::Doubtful => "What cannot be decided is not decided.",
            Tone::Good | Tone::Bad | Tone::Neutral =>
                "Overlap says how much changes; only labels say whether for the better.",
        }
    );
}
