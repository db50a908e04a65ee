//! Scores: what a threshold in A becomes in B, pair by pair and in general, as a table and as a line, and how
//! scores are distributed.

use super::Section;
use super::densities;
use super::plots::{self, Axis, BELOW, Frame, LEFT, PANEL};
use crate::embeddings::compare::report::{ComparisonReport, Threshold};
use crate::embeddings::render::numbers::count;
use crate::embeddings::render::{thresholds, words};
use crate::wire::escape::html;
use std::fmt::Write as _;

/// Rows of the table, and pairs of the scatter.
const MAX_ROWS: usize = 60;
const MAX_PAIRS: usize = 3_000;
/// The height of a panel with a frame.
const HEIGHT: f64 = 300.0;

pub(super) fn section(report: &ComparisonReport) -> Option<Section> {
    let mut body = String::new();
    if let Some(row) = thresholds::typical(report) {
        let _ = writeln!(
            body,
            "<p class=\"lead-in\">{}</p>",
            html(&thresholds::mapped(row))
        );
    }
    let panels: Vec<String> = curve(report).into_iter().chain(scatter(report)).collect();
    if !panels.is_empty() {
        let _ = writeln!(body, "<div class=\"panels two\">{}</div>", panels.concat());
    }
    let densities: Vec<String> = ["top1", "topk", "random"]
        .into_iter()
        .filter_map(|of| densities::panel(report, of))
        .collect();
    if !densities.is_empty() {
        let _ = writeln!(
            body,
            "<p class=\"legend spaced\"><span><i class=\"side a\"></i>A</span><span><i class=\"side b\"></i>B</span><span>dashed: the middle of each</span></p>\n<div class=\"panels\">{}</div>",
            densities.concat()
        );
    }
    table(&mut body, report);
    let section = Section {
        id: "scores",
        short: "Thresholds",
        title: "Thresholds and scores",
        aside: "a score means something only within its own version".to_owned(),
        body,
    };
    (!section.body.is_empty()).then_some(section)
}

fn table(out: &mut String, report: &ComparisonReport) {
    if report.thresholds.is_empty() {
        return;
    }
    let has_hits = report.thresholds.iter().any(|row| row.hits.is_some());
    out.push_str("<div class=\"sheet spaced\"><table class=\"stack\" id=\"thresholds\"><caption>As many answers pass in B above the mapped threshold as in A above the old one.</caption><thead><tr><th scope=\"col\">in A</th><th scope=\"col\" class=\"number\">in B</th><th scope=\"col\" class=\"number\">pass per query</th><th scope=\"col\" class=\"number\">unchanged in B</th>");
    if has_hits {
        out.push_str("<th scope=\"col\" class=\"number\">hits in A</th><th scope=\"col\" class=\"number\">in B, unchanged</th><th scope=\"col\" class=\"number\">in B, mapped</th>");
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in report.thresholds.iter().take(MAX_ROWS) {
        threshold(out, row, has_hits);
    }
    out.push_str("</tbody></table></div>\n");
    super::top::left_out(out, report.thresholds.len(), MAX_ROWS, "row");
}

fn threshold(out: &mut String, row: &Threshold, has_hits: bool) {
    let [low, high] = row.b_interval;
    let key = |value: f64| {
        if value.is_finite() {
            format!("{value:.6}")
        } else {
            String::new()
        }
    };
    let _ = write!(
        out,
        "<tr data-a=\"{}\" data-b=\"{}\" data-low=\"{}\" data-high=\"{}\"><td class=\"name\">{}</td><td class=\"number value\"><b>{}</b> <span class=\"soft\">[{}, {}]</span></td><td class=\"number\" data-label=\"pass per query\">{}</td><td class=\"number\" data-label=\"unchanged in B\">{}</td>",
        key(row.a),
        key(row.b),
        key(low),
        key(high),
        words::chosen(row.a),
        words::score_of(row.b),
        words::score_of(low),
        words::score_of(high),
        words::two(row.per_query),
        thresholds::unchanged(row),
    );
    if has_hits {
        let shown = thresholds::hits(row).unwrap_or_default();
        for (label, text) in ["hits in A", "in B, unchanged", "in B, mapped"]
            .into_iter()
            .zip(shown)
        {
            let _ = write!(
                out,
                "<td class=\"number\" data-label=\"{label}\">{text}</td>"
            );
        }
    }
    out.push_str("</tr>\n");
}

/// A frame in which A is to the right and B goes up, on the same scale.
fn frame(over: impl Iterator<Item = f64>) -> Frame<'static> {
    let x = Axis::over(over, LEFT, PANEL - 8.0);
    Frame {
        x,
        y: Axis {
            start: HEIGHT - BELOW,
            end: 18.0,
            ..x
        },
        x_name: "score in A",
        y_name: "score in B",
    }
}

fn curve(report: &ComparisonReport) -> Option<String> {
    let rows: Vec<&Threshold> = report
        .thresholds
        .iter()
        .filter(|row| row.a.is_finite() && row.b.is_finite())
        .take(MAX_ROWS)
        .collect();
    let (first, last) = (rows.first()?, rows.last()?);
    let frame = frame(rows.iter().flat_map(|row| [row.a, row.b]));
    let label = format!(
        "threshold in B for each threshold in A, from {} to {} on to {} to {}",
        words::chosen(first.a),
        words::score_of(first.b),
        words::chosen(last.a),
        words::score_of(last.b)
    );
    let mut svg = plots::open(PANEL, HEIGHT, &html(&label));
    frame.write(&mut svg);
    let diagonal = frame.line([(frame.x.low, frame.x.low), (frame.x.high, frame.x.high)]);
    let upper = rows.iter().map(|row| (row.a, row.b_interval[1]));
    let lower = rows.iter().rev().map(|row| (row.a, row.b_interval[0]));
    let _ = write!(
        svg,
        "<path class=\"diagonal\" d=\"{diagonal}\"/><path class=\"band-b\" d=\"{}Z\"/><path class=\"line-b\" d=\"{}\"/>",
        frame.line(upper.chain(lower)),
        frame.line(rows.iter().map(|row| (row.a, row.b)))
    );
    svg.push_str("</svg>");
    let typical = thresholds::typical(report).map_or(0.5, |row| row.a);
    Some(format!(
        "<figure class=\"sheet\"><figcaption>Which threshold does in B what it did in A<small>dashed: where nothing would change</small></figcaption>{svg}\
         <p class=\"calculator needs-script\"><label for=\"threshold\">Your threshold in A</label><input id=\"threshold\" type=\"number\" step=\"0.01\" value=\"{typical:.2}\"><output id=\"threshold-mapped\" for=\"threshold\"></output></p></figure>"
    ))
}

fn scatter(report: &ComparisonReport) -> Option<String> {
    let pairs = || {
        report
            .scatter
            .iter()
            .filter(|pair| pair.a.is_finite() && pair.b.is_finite())
            .take(MAX_PAIRS)
    };
    pairs().next()?;
    let frame = frame(pairs().flat_map(|pair| [pair.a, pair.b]));
    let label = format!(
        "{} with their scores in A and B, and the monotone line through them",
        count(pairs().count(), "pair")
    );
    let mut svg = plots::open(PANEL, HEIGHT, &label);
    frame.write(&mut svg);
    for (is_near, class) in [(false, "dots-random"), (true, "dots-near")] {
        let _ = write!(svg, "<path class=\"{class}\" d=\"");
        for pair in pairs().filter(|pair| pair.is_near == is_near) {
            let _ = write!(
                svg,
                "M{} {}h0",
                plots::px(frame.x.at(pair.a)),
                plots::px(frame.y.at(pair.b))
            );
        }
        svg.push_str("\"/>");
    }
    let diagonal = frame.line([(frame.x.low, frame.x.low), (frame.x.high, frame.x.high)]);
    let line = frame.line(report.scatter_line.iter().copied().take(MAX_PAIRS));
    let _ = write!(
        svg,
        "<path class=\"diagonal\" d=\"{diagonal}\"/><path class=\"line-halo\" d=\"{line}\"/><path class=\"line-ink\" d=\"{line}\"/></svg>"
    );
    let more = match report.scatter.len().checked_sub(MAX_PAIRS) {
        Some(more) if 0 < more => format!(", {more} left out"),
        _ => String::new(),
    };
    Some(format!(
        "<figure class=\"sheet\"><figcaption>The same pairs in both<small>the line is the best monotone map{more}</small></figcaption>{svg}\
         <p class=\"legend inset-legend\"><span><i class=\"near\"></i>neighbours in A</span><span><i class=\"random\"></i>random pairs</span></p></figure>"
    ))
}
