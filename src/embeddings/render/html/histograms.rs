//! How overlaps are distributed, before the ones that noise alone gives.

use super::plots::{self, PANEL, px};
use super::{Section, name};
use crate::embeddings::compare::report::{ComparisonReport, Histogram};
use crate::embeddings::render::numbers::{count, grouped, percent, real};
use crate::wire::escape::html;
use std::fmt::Write as _;

/// Panels that are shown.
const MAX_PANELS: usize = 12;
/// Where the bars stand, and how far they may reach.
const FLOOR: f64 = 148.0;
const TOP: f64 = 14.0;

pub(super) fn section(report: &ComparisonReport) -> Option<Section> {
    let panels: Vec<String> = report
        .histograms
        .iter()
        .filter(|histogram| histogram.counts.iter().any(|count| 0 < *count))
        .take(MAX_PANELS)
        .map(|shown| histogram(report, shown))
        .collect();
    if panels.is_empty() {
        return None;
    }
    let has_noise = report
        .histograms
        .iter()
        .any(|histogram| histogram.noise.is_some());
    let noise = if has_noise {
        "<span><i class=\"outline\"></i>the same texts embedded twice with A</span>"
    } else {
        ""
    };
    Some(Section {
        id: "overlap",
        short: "Overlap",
        title: "How much of a list stays",
        aside: "0 is another list, 1 the same".to_owned(),
        body: format!(
            "<p class=\"legend\"><span><i class=\"side b\"></i>share of all</span>{noise}</p>\n<div class=\"panels{}\">{}</div>\n",
            if panels.len() < 3 { " two" } else { "" },
            panels.concat()
        ),
    })
}

fn histogram(report: &ComparisonReport, histogram: &Histogram) -> String {
    let shares = shares(&histogram.counts);
    let noise = histogram.noise.as_deref().map(self::shares);
    let told = format!(
        "{} keep less than a fifth of their list, {} more than four fifths",
        percent(between(&shares, 0.0, 0.2)),
        percent(between(&shares, 0.8, 1.0))
    );
    let mut svg = plots::open(PANEL, 170.0, &html(&told));
    bars(&mut svg, &shares, &noise.unwrap_or_default());
    svg.push_str("</svg>");
    let all = histogram.counts.iter().sum::<usize>();
    let what = match histogram.id.split('.').next() {
        Some("query") => count(all, "query"),
        Some("item") => count(all, "item"),
        _ => grouped(all),
    };
    let mut figures = report.figures.iter();
    let title = figures
        .find(|figure| figure.id == histogram.id)
        .map_or_else(
            || format!("<code>{}</code>", name(&histogram.id)),
            |figure| name(&figure.title),
        );
    format!(
        "<figure class=\"sheet\"><figcaption>{title}<small>{what}: {}</small></figcaption>{svg}</figure>",
        html(&told)
    )
}

fn shares(counts: &[usize]) -> Vec<f64> {
    let all = real(counts.iter().sum::<usize>().max(1));
    counts.iter().map(|count| real(*count) / all).collect()
}

/// Returns the share of what is in bins whose middle is between two places of 0 to 1.
fn between(shares: &[f64], from: f64, to: f64) -> f64 {
    let bins = real(shares.len().max(1));
    let inside = shares.iter().enumerate().filter(|(bin, _)| {
        let middle = (real(*bin) + 0.5) / bins;
        from <= middle && middle <= to
    });
    inside.map(|(_, share)| share).sum()
}

fn bars(svg: &mut String, shares: &[f64], noise: &[f64]) {
    let tallest = shares.iter().copied().fold(0.0_f64, f64::max).max(1e-9);
    let slot = PANEL / real(shares.len().max(1));
    for (bin, share) in shares.iter().enumerate() {
        let x = slot * real(bin);
        // The noise is one tall bar; what is taller than the frame is cut there.
        if let Some(noise) = noise.get(bin).filter(|noise| 0.0 < **noise) {
            let height = (noise / tallest).min(1.0) * (FLOOR - TOP);
            bar(svg, "outline", (x + 1.0, slot - 2.0), height);
        }
        if 0.0 < *share {
            let height = (share / tallest * (FLOOR - TOP)).max(1.5);
            bar(svg, "bar", (x + 3.0, slot - 6.0), height);
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                px(x + slot / 2.0),
                px(FLOOR - height - 4.0),
                html(&percent(*share))
            );
        }
    }
    let _ = write!(svg, "<path class=\"frame\" d=\"M0 {FLOOR}H{PANEL}\"/>");
    for (x, anchor, text) in [
        (0.0, "start", "0"),
        (0.5, "middle", "0.5"),
        (1.0, "end", "1"),
    ] {
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"164\" text-anchor=\"{anchor}\">{text}</text>",
            px(x * PANEL)
        );
    }
}

fn bar(svg: &mut String, class: &str, (x, width): (f64, f64), height: f64) {
    let _ = write!(
        svg,
        "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
        px(x),
        px(FLOOR - height),
        px(width),
        px(height)
    );
}
