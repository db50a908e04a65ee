//! The comment on a pull request: Markdown, as long as it may be and no longer.
//!
//! What decides comes first and always fits. Details follow while there is room; what finds none is left
//! out, and the comment says so.

use super::changed;
use super::numbers::{count, grouped, signed};
use super::thresholds;
use super::words::{self, Tone};
use crate::embeddings::compare::report::{
    ComparisonReport, Fate, Figure, FigureGroup, Hit, QueryChange, Threshold,
};
use crate::wire::escape::{markdown as prose, markdown_cell, markdown_code as code};
use crate::wire::plain::cut;
use std::fmt::Write as _;

/// The longest comment that GitHub takes, in characters; bytes are never fewer.
const COMMENT: usize = 65_536;
/// Kept free for the words about what is left out.
const RESERVE: usize = 400;
/// Rows of a table, figures, and sentences of a list.
const MAX_ROWS: usize = 24;
const MAX_FIGURES: usize = 60;
const MAX_THRESHOLDS: usize = 6;
const MAX_LINES: usize = 10;
/// Queries that lose or gain, items that moved, clusters, and answers of a side.
const MAX_QUERIES: usize = 12;
const MAX_MOVERS: usize = 5;
const MAX_CLUSTERS: usize = 6;
const MAX_HITS: usize = 3;
/// Bytes of a sentence, of a cell, and characters of the beginning of a text.
const MAX_SENTENCE: usize = 1_000;
const MAX_CELL: usize = 120;
const MAX_TEXT: usize = 160;

/// Returns the comment. Its first line is [`marker`], by which the next one finds it.
#[must_use]
pub fn markdown(report: &ComparisonReport) -> String {
    let mut out = format!("{}\n", marker(&report.a.name, &report.b.name));
    verdict(&mut out, report);
    gates(&mut out, report);
    figures(&mut out, report);
    thresholds(&mut out, report);
    notes(&mut out, report);
    let mut room = Room {
        end: COMMENT - RESERVE,
        left_out: 0,
    };
    changed(&mut out, report, Fate::Lost, &mut room);
    changed(&mut out, report, Fate::Gained, &mut room);
    room.put(&mut out, movers(report));
    room.put(&mut out, clusters(report));
    room.put(&mut out, more_figures(report));
    room.put(&mut out, settings(report));
    room.put(&mut out, method(report));
    if 0 < room.left_out {
        let _ = writeln!(
            out,
            "\n{} left out, for want of room. The HTML report has it all.",
            match room.left_out {
                1 => "One part of the details is".to_owned(),
                count => format!("{count} parts of the details are"),
            }
        );
    }
    out
}

/// Returns the line that a comparison's comment begins with, which nobody sees. The collections name it, so
/// that the comparison of the next version takes its place.
#[must_use]
pub fn marker(a: &str, b: &str) -> String {
    // Two hyphens would end the HTML comment.
    let kept = |c: char| {
        if c.is_alphanumeric() || matches!(c, '/' | '.' | '_') {
            c
        } else {
            '-'
        }
    };
    let collection = |name: &str| name.split('@').next().unwrap_or_default().to_owned();
    let (a, b) = (collection(a), collection(b));
    let both = if a == b { a } else { format!("{a}-{b}") };
    let mut name: String = both.chars().map(kept).take(200).collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    format!("<!-- promptgate-embeddings:{} -->", name.trim_matches('-'))
}

/// What is left of a comment.
struct Room {
    end: usize,
    left_out: usize,
}

impl Room {
    fn put(&mut self, out: &mut String, part: Option<String>) {
        match part {
            Some(part) if out.len() + part.len() <= self.end => out.push_str(&part),
            Some(_) => self.left_out += 1,
            None => {}
        }
    }
}

fn cell(text: &str) -> String {
    markdown_cell(&cut(text, MAX_CELL))
}

fn sentence(text: &str) -> String {
    prose(&cut(text, MAX_SENTENCE))
}

fn line(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

/// Writes the head of a table; figures stand at the right.
fn head(out: &mut String, names: &[&str]) {
    line(
        out,
        &names
            .iter()
            .map(|name| (*name).to_owned())
            .collect::<Vec<_>>(),
    );
    let rule = (0..names.len()).map(|column| if column == 0 { "---" } else { "---:" });
    line(out, &rule.map(str::to_owned).collect::<Vec<_>>());
}

fn verdict(out: &mut String, report: &ComparisonReport) {
    let verdict = &report.verdict;
    let kind = match words::tone(verdict.kind) {
        Tone::Good => "TIP",
        Tone::Bad => "CAUTION",
        Tone::Doubtful => "WARNING",
        Tone::Neutral => "NOTE",
    };
    let more = words::more_queries(&verdict.sentence, verdict.more_queries)
        .map_or_else(String::new, |more| format!(" {}", prose(&more)));
    let _ = writeln!(
        out,
        "> [!{kind}]\n> **{} → {}: {}.** {}{more}",
        cell(&report.a.name),
        cell(&report.b.name),
        words::verdict(verdict.kind),
        sentence(&verdict.sentence)
    );
    if let Some(advice) = &verdict.advice {
        let _ = writeln!(out, ">\n> {}", sentence(advice));
    }
    let _ = writeln!(out, ">\n> Rule: {}\n", sentence(&verdict.rule));
    let findings: Vec<_> = words::findings(report).collect();
    for finding in findings.iter().take(MAX_LINES) {
        let _ = writeln!(
            out,
            "- **{}**: {}",
            words::verdict(finding.kind),
            sentence(&finding.sentence)
        );
    }
    more_rows(out, findings.len(), MAX_LINES, "- ");
    if !findings.is_empty() {
        out.push('\n');
    }
}

fn more_rows(out: &mut String, all: usize, shown: usize, head: &str) {
    if let Some(more) = all.checked_sub(shown).filter(|more| 0 < *more) {
        let _ = writeln!(out, "{head}and {more} more");
    }
}

fn gates(out: &mut String, report: &ComparisonReport) {
    if report.gates.is_empty() {
        return;
    }
    line(out, &["gate", "", "why"].map(str::to_owned));
    line(out, &["---", "---", "---"].map(str::to_owned));
    for gate in report.gates.iter().take(MAX_ROWS) {
        let (word, tone) = words::outcome(gate.outcome);
        let sign = match tone {
            Tone::Good => "✅",
            Tone::Bad => "❌",
            Tone::Doubtful | Tone::Neutral => "⚠️",
        };
        let more = words::more_queries(&gate.reason, gate.more_queries)
            .map_or_else(String::new, |more| format!(" {}", cell(&more)));
        line(
            out,
            &[
                code(&cut(&gate.gate, MAX_CELL)),
                format!("{sign} {word}"),
                format!(
                    "{}{more}",
                    markdown_cell(&words::stopped(&cut(&gate.reason, 300)))
                ),
            ],
        );
    }
    out.push('\n');
    more_rows(out, report.gates.len(), MAX_ROWS, "");
    out.push('\n');
}

/// Writes the figures that are looked at first; [`more_figures`] has the others.
fn figures(out: &mut String, report: &ComparisonReport) {
    let is_leading = |figure: &&Figure| words::is_leading(report, figure);
    let shown: Vec<&Figure> = report.figures.iter().filter(is_leading).collect();
    figure_table(out, &shown);
}

fn more_figures(report: &ComparisonReport) -> Option<String> {
    let is_other = |figure: &&Figure| !words::is_leading(report, figure);
    let others: Vec<&Figure> = report.figures.iter().filter(is_other).collect();
    if others.is_empty() {
        return None;
    }
    let mut body = String::new();
    figure_table(&mut body, &others);
    Some(folded("The other figures, and the geometry", &body))
}

/// Writes figures group by group.
fn figure_table(out: &mut String, shown: &[&Figure]) {
    if shown.is_empty() {
        return;
    }
    let has_sides = shown.iter().any(|figure| figure.sides.is_some());
    let mut names = vec!["figure"];
    if has_sides {
        names.extend(["A", "B"]);
    }
    names.extend(["value [95 %]", "noise", "chance", "n"]);
    head(out, &names);
    let mut room = MAX_FIGURES;
    for group in words::DECIDING.into_iter().chain([FigureGroup::Descriptor]) {
        let of_group = shown.iter().filter(|figure| figure.group == group);
        let of_group: Vec<&&Figure> = of_group.take(room).collect();
        room -= of_group.len();
        if !of_group.is_empty() {
            let mut cells = vec![String::new(); names.len()];
            if let Some(first) = cells.first_mut() {
                *first = format!("_{}_", words::group(group));
            }
            line(out, &cells);
        }
        for figure in of_group {
            line(out, &figure_cells(figure, has_sides));
        }
    }
    out.push('\n');
    more_rows(out, shown.len(), MAX_FIGURES, "");
}

fn figure_cells(figure: &Figure, has_sides: bool) -> Vec<String> {
    let optional = |value: Option<f64>| value.map(words::yardstick).unwrap_or_default();
    let mut cells = vec![cell(&figure.title)];
    if has_sides {
        cells.extend(words::sides(figure).unwrap_or_default());
    }
    let sign = match words::direction(figure) {
        Tone::Good => " 🟢",
        Tone::Bad => " 🔴",
        Tone::Doubtful | Tone::Neutral => "",
    };
    cells.push(format!(
        "**{}**{}{sign}",
        words::value(figure),
        behind(words::interval(figure))
    ));
    cells.extend([
        optional(figure.noise),
        optional(figure.chance),
        grouped(figure.n),
    ]);
    cells
}

fn behind(text: Option<String>) -> String {
    text.map_or_else(String::new, |text| format!(" {}", markdown_cell(&text)))
}

/// Writes the threshold map in a few steps, with the one that resembles what is in use.
fn thresholds(out: &mut String, report: &ComparisonReport) {
    let Some(typical) = thresholds::typical(report) else {
        return;
    };
    let _ = writeln!(out, "\n{}\n", prose(&thresholds::mapped(typical)));
    let step = report.thresholds.len().div_ceil(MAX_THRESHOLDS).max(1);
    let rows: Vec<&Threshold> = report.thresholds.iter().step_by(step).collect();
    let has_hits = rows.iter().any(|row| row.hits.is_some());
    let mut names = vec![
        "threshold in A",
        "in B [95 %]",
        "pass per query",
        "unchanged in B",
    ];
    if has_hits {
        names.push("hits: A, unchanged, mapped");
    }
    head(out, &names);
    for row in rows {
        let [low, high] = row.b_interval.map(words::score_of);
        let mut cells = vec![
            words::chosen(row.a),
            format!("**{}** \\[{low}, {high}\\]", words::score_of(row.b)),
            words::two(row.per_query),
            thresholds::unchanged(row),
        ];
        if has_hits {
            let hits = thresholds::hits(row).map(|hits| hits.join(", "));
            cells.push(hits.unwrap_or_default());
        }
        line(out, &cells);
    }
    out.push('\n');
}

fn notes(out: &mut String, report: &ComparisonReport) {
    let mut lines = words::alignment(&report.alignment);
    lines.extend(report.noise.iter().take(2).map(words::noise));
    for line in lines {
        let _ = writeln!(out, "- {}", sentence(&line));
    }
    out.push('\n');
}

fn folded(heading: &str, body: &str) -> String {
    format!("<details><summary>{heading}</summary>\n\n{body}\n</details>\n")
}

/// Writes the queries of a fate, each folded, while there is room.
fn changed(out: &mut String, report: &ComparisonReport, fate: Fate, room: &mut Room) {
    let queries: Vec<&QueryChange> = changed::of_fate(report, fate).collect();
    let Some(heading) = changed::fate(report, fate) else {
        return;
    };
    let mut body = String::new();
    let mut shown = 0;
    for query in queries.iter().take(MAX_QUERIES) {
        let part = of_query(query);
        if room.end < out.len() + body.len() + part.len() + RESERVE {
            break;
        }
        body.push_str(&part);
        shown += 1;
    }
    if let Some(more) = changed::not_shown(report, fate, shown) {
        let _ = writeln!(body, "\n{more}");
    }
    room.put(out, Some(folded(&heading, &body)));
}

fn of_query(query: &QueryChange) -> String {
    let mut out = String::new();
    let ranks = query.first_relevant.map_or_else(String::new, |[a, b]| {
        format!(
            "; first relevant at {} → {}",
            changed::rank(a),
            changed::rank(b)
        )
    });
    let _ = writeln!(
        out,
        "- {} (overlap {}, RBO {}{ranks})",
        code(&words::beginning(changed::query(query), MAX_TEXT)),
        words::two(query.overlap),
        words::two(query.rbo)
    );
    add_hits(&mut out, [&query.a, &query.b]);
    out
}

/// Adds a line of the first hits of each side that has some.
fn add_hits(out: &mut String, sides: [&[Hit]; 2]) {
    for (side, hits) in ["A", "B"].into_iter().zip(sides) {
        let hits: Vec<String> = hits.iter().take(MAX_HITS).map(of_hit).collect();
        if !hits.is_empty() {
            let _ = writeln!(out, "  - {side}: {}", hits.join(" · "));
        }
    }
}

fn of_hit(hit: &Hit) -> String {
    let mark = if changed::is_relevant(hit) {
        "⭐ "
    } else {
        ""
    };
    let text = code(&words::beginning(changed::hit(hit), 90));
    format!("{mark}{text} {}", words::two(hit.score))
}

/// The items that moved most, with their nearest before and after.
fn movers(report: &ComparisonReport) -> Option<String> {
    let mut body = String::new();
    for item in changed::movers(report).take(MAX_MOVERS) {
        let _ = writeln!(
            body,
            "- {} (overlap {}, RBO {})",
            code(&words::beginning(changed::item(item), MAX_TEXT)),
            words::two(item.overlap),
            words::two(item.rbo)
        );
        add_hits(&mut body, [&item.a, &item.b]);
    }
    (!body.is_empty()).then(|| folded("Items whose neighbours changed most", &body))
}

/// The clusters of A that changed most.
fn clusters(report: &ComparisonReport) -> Option<String> {
    if report.clusters.is_empty() {
        return None;
    }
    let is_labelled = changed::has_labelled_clusters(report);
    let mut names = vec![
        "cluster of A",
        "items",
        "overlap",
        "stay together in A",
        "in B",
    ];
    names.extend(is_labelled.then_some("nDCG, B less A"));
    let mut body = String::new();
    head(&mut body, &names);
    for cluster in report.clusters.iter().take(MAX_CLUSTERS) {
        let optional = |value: Option<f64>| value.map(words::two).unwrap_or_default();
        let sides = cluster
            .cohesion
            .map_or([None, None], |sides| sides.map(Some));
        let mut cells = vec![
            cell(&changed::cluster(cluster)),
            grouped(cluster.items),
            optional(cluster.overlap),
        ];
        cells.extend(sides.map(optional));
        let delta = cluster.ndcg_delta.map(|delta| signed(delta, 3));
        cells.extend(is_labelled.then(|| delta.unwrap_or_default()));
        line(&mut body, &cells);
    }
    body.push('\n');
    more_rows(&mut body, report.clusters.len(), MAX_CLUSTERS, "");
    Some(folded("Where it changed: clusters of A", &body))
}

fn settings(report: &ComparisonReport) -> Option<String> {
    if report.settings.is_empty() {
        return None;
    }
    let mut body = String::new();
    line(&mut body, &["setting", "A", "B"].map(str::to_owned));
    line(&mut body, &["---", "---", "---"].map(str::to_owned));
    for change in report.settings.iter().take(MAX_ROWS) {
        let shown = |value| code(&cut(&words::setting(value), MAX_CELL));
        line(
            &mut body,
            &[
                cell(&change.setting),
                shown(&change.before),
                shown(&change.after),
            ],
        );
    }
    body.push('\n');
    more_rows(&mut body, report.settings.len(), MAX_ROWS, "");
    Some(folded(
        &match report.settings.len() {
            1 => "1 setting differs".to_owned(),
            settings => format!("{} differ", count(settings, "setting")),
        },
        &body,
    ))
}

fn method(report: &ComparisonReport) -> Option<String> {
    let lines = words::method(&report.method)
        .into_iter()
        .chain(words::detectable(report));
    let mut body = String::new();
    for line in lines.take(MAX_ROWS) {
        let _ = writeln!(body, "- {}", sentence(&line));
    }
    Some(folded("How this was measured", &body))
}
