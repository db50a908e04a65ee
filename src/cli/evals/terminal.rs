//! The report of an eval for a terminal: what decides first, then what to look at and how to look again.

use crate::cli::paint::{Paint, Style};
use crate::evals::plan::Side;
use crate::evals::render::changes::{self, GRAVE, Outputs};
use crate::evals::render::shift::{of_report, sentences};
use crate::evals::render::words::{self, Standing};
use crate::evals::report::{CaseChange, RunReport, Verdict};
use crate::evals::shift::{OutputShift, SubjectShift};
use crate::prompts::diff::{Hunk, LineKind};
use std::fmt::Write as _;

/// Cases shown of each kind, lines that differ in one, and bytes of a line.
const MAX_CASES: usize = 10;
const MAX_LINES: usize = 12;
const MAX_LINE: usize = 400;
/// Cases shown of those whose answers moved most.
const MAX_MOVED: usize = 3;

/// Writes a whole report.
pub(super) fn write(report: &RunReport, paint: Paint) -> String {
    let mut out = String::new();
    let _ = writeln!(
        out,
        "{}: {}",
        paint.text(Style::Strong, &one_line(&report.suite.name)),
        paint.text(style(report.verdict), words::verdict(report.verdict))
    );
    paint.paragraph(
        &mut out,
        "  ",
        2,
        &ascii(&one_line(&words::cut(&report.summary, 1_000))),
    );
    let sides: Vec<String> = report
        .sides
        .iter()
        .map(|side| format!("{} {}", words::side_name(side.side), words::side(side)))
        .collect();
    if !sides.is_empty() {
        paint.paragraph(&mut out, "  ", 2, &one_line(&sides.join(", ")));
    }
    table(&mut out, report, paint);
    notes(&mut out, report, paint);
    for kind in GRAVE {
        cases(&mut out, report, kind, paint);
    }
    shift(&mut out, report, paint);
    let improved = words::of_kind(report, &["improved"]).count();
    if 0 < improved {
        let _ = writeln!(
            out,
            "\n{}",
            paint.text(Style::Added, &changes::heading("improved", improved))
        );
    }
    out.push('\n');
    paint.paragraph(
        &mut out,
        "run it again: ",
        14,
        &one_line(&words::cut(&report.command, 1_000)),
    );
    out
}

const fn style(verdict: Verdict) -> Style {
    match verdict {
        Verdict::Passed => Style::Added,
        Verdict::Failed | Verdict::Invalid => Style::Removed,
        Verdict::Inconclusive => Style::Warning,
    }
}

/// Signs that every terminal has, and no line break between a figure and its unit.
fn ascii(text: &str) -> String {
    text.replace('−', "-")
        .replace('×', "x")
        .replace('≥', ">=")
        .replace('≤', "<=")
        .replace(" %", "\u{a0}%")
        .replace(" pp", "\u{a0}pp")
}

fn one_line(text: &str) -> String {
    text.replace(['\n', '\t'], " ")
}

/// The cells of a row; the verdict is the last.
fn cells(row: &Standing, has_base: bool) -> Vec<String> {
    let or_nothing = |text: &Option<String>| ascii(text.as_deref().unwrap_or_default());
    let mut cells = vec![one_line(&words::cut(&row.metric, 60))];
    if has_base {
        cells.push(or_nothing(&row.base));
    }
    cells.push(ascii(&row.head));
    cells.push(or_nothing(&row.delta));
    if has_base {
        let flips = row
            .flips
            .map(|(worse, better)| format!("-{worse} +{better}"));
        cells.push(flips.unwrap_or_default());
    }
    cells.push(or_nothing(&row.gate));
    cells.push(
        row.verdict
            .map_or_else(String::new, |verdict| words::verdict(verdict).to_owned()),
    );
    cells
}

fn table(out: &mut String, report: &RunReport, paint: Paint) {
    let rows = words::standings(report);
    let has_base = report.sides.iter().any(|side| side.side == Side::Base);
    let mut subject = None;
    let mut block: Vec<&Standing> = Vec::new();
    for row in &rows {
        if !block.is_empty() && subject != Some(&row.subject) {
            of_subject(out, &block, has_base, paint);
            block.clear();
        }
        subject = Some(&row.subject);
        block.push(row);
    }
    if !block.is_empty() {
        of_subject(out, &block, has_base, paint);
    }
}

fn of_subject(out: &mut String, rows: &[&Standing], has_base: bool, paint: Paint) {
    let subject = rows.first().map_or("", |row| row.subject.as_str());
    let _ = writeln!(
        out,
        "\n{}",
        paint.text(Style::Strong, &one_line(&words::cut(subject, 200)))
    );
    let heads = if has_base {
        vec![
            "metric",
            "base",
            "head",
            "change [95 %]",
            "flips",
            "gate",
            "",
        ]
    } else {
        vec!["metric", "head", "", "gate", ""]
    };
    let mut lines = vec![
        heads
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<String>>(),
    ];
    lines.extend(rows.iter().map(|row| cells(row, has_base)));
    let widths: Vec<usize> = (0..lines.first().map_or(0, Vec::len))
        .map(|column| {
            let cells = lines.iter().filter_map(|line| line.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let width: usize = widths.iter().map(|width| width + 2).sum();
    if paint.width() < width {
        for row in rows {
            stacked(out, row, has_base, paint);
        }
        return;
    }
    for (index, line) in lines.iter().enumerate() {
        let verdict = index
            .checked_sub(1)
            .and_then(|index| rows.get(index)?.verdict);
        let mut text = String::from("  ");
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            let style = match (index, column + 1 == line.len(), verdict) {
                (0, ..) => Style::Faint,
                (_, true, Some(verdict)) => style(verdict),
                _ => Style::Plain,
            };
            text.push_str(&paint.text(style, cell));
            text.push_str(&" ".repeat(width - cell.chars().count() + 2));
        }
        let _ = writeln!(out, "{}", text.trim_end());
    }
}

/// A row where the terminal is too narrow for a table.
fn stacked(out: &mut String, row: &Standing, has_base: bool, paint: Paint) {
    let verdict = row.verdict.map_or_else(String::new, |verdict| {
        format!(": {}", paint.text(style(verdict), words::verdict(verdict)))
    });
    let _ = writeln!(out, "  {}{verdict}", one_line(&words::cut(&row.metric, 60)));
    let figures = match row.base.as_ref().filter(|_| has_base) {
        Some(base) => format!("{base} -> {}", row.head),
        None => row.head.clone(),
    };
    let parts = [
        Some(figures),
        row.delta.clone(),
        row.flips
            .map(|(worse, better)| format!("{worse} newly fail, {better} newly pass")),
        row.gate.as_ref().map(|gate| format!("gate {gate}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    paint.paragraph(out, "    ", 4, &ascii(&parts.join(", ")));
}

fn notes(out: &mut String, report: &RunReport, paint: Paint) {
    out.push('\n');
    for warning in report.warnings.iter().take(20) {
        let head = format!("{} ", paint.text(Style::Warning, "warning:"));
        paint.paragraph(out, &head, 9, &one_line(&words::cut(warning, 1_000)));
    }
    let mut lines: Vec<String> = words::sight(report)
        .into_iter()
        .map(|line| format!("{line}."))
        .collect();
    lines.extend(words::baseline_age(report));
    lines.extend(report.judges.iter().map(words::judge));
    lines.extend(report.groups.iter().map(words::group));
    lines.push(words::cost(report));
    for line in lines {
        paint.paragraph(out, "", 2, &ascii(&one_line(&words::cut(&line, 1_000))));
    }
}

/// How far outputs moved, with the cases that moved most.
fn shift(out: &mut String, report: &RunReport, paint: Paint) {
    for (whole, subject) in of_report(report) {
        let heading = format!(
            "outputs of {}",
            one_line(&words::cut(&subject.subject, 200))
        );
        let _ = writeln!(out, "\n{}", paint.text(Style::Strong, &heading));
        out.push_str(&moved(whole, subject, paint));
    }
}

/// Writes how far the outputs of a subject moved.
pub(crate) fn moved(whole: &OutputShift, subject: &SubjectShift, paint: Paint) -> String {
    let mut out = String::new();
    for line in sentences(whole, subject) {
        paint.paragraph(&mut out, "  ", 4, &ascii(&line));
    }
    for case in subject.furthest.iter().take(MAX_MOVED) {
        let name = one_line(&words::cut(&case.case, 100));
        let _ = writeln!(
            out,
            "  {} alike to {:.3}",
            paint.text(Style::Strong, &name),
            case.similarity
        );
        for (sign, style, text) in [
            ("-", Style::Removed, &case.base),
            ("+", Style::Added, &case.head),
        ] {
            let text = one_line(&words::cut(text, MAX_LINE));
            let _ = writeln!(out, "    {}", paint.text(style, &format!("{sign} {text}")));
        }
    }
    out
}

fn cases(out: &mut String, report: &RunReport, kind: &str, paint: Paint) {
    let kinds = [kind];
    let found: Vec<&CaseChange> = words::of_kind(report, &kinds).collect();
    if found.is_empty() {
        return;
    }
    let heading = changes::heading(kind, found.len());
    let _ = writeln!(out, "\n{}", paint.text(Style::Removed, &heading));
    for change in found.iter().take(MAX_CASES) {
        case(out, change, paint);
    }
    let more = found.len().saturating_sub(MAX_CASES);
    if 0 < more {
        let told = format!(
            "and {more} more; `promptgate evals report {} --format html` shows them all",
            report.run
        );
        paint.paragraph(out, "  ", 2, &told);
    }
}

fn case(out: &mut String, change: &CaseChange, paint: Paint) {
    let name = one_line(&words::cut(&change.case, 120));
    let described = change.description.as_deref().unwrap_or_default();
    let head = format!("  {} ", paint.text(Style::Strong, &name));
    let width = name.chars().count() + 3;
    paint.paragraph(
        out,
        &head,
        width.min(16),
        &one_line(&words::cut(described, 300)),
    );
    paint.paragraph(out, "    ", 4, &one_line(&words::cut(&change.reason, 500)));
    match changes::outputs(change) {
        Outputs::Both(hunks) => lines(out, &hunks, paint),
        Outputs::One(text) => {
            for line in text.lines().take(MAX_LINES) {
                paint.paragraph(out, "      ", 6, &words::cut(line, MAX_LINE));
            }
        }
        Outputs::None => {}
    }
    if !change.replay.is_empty() {
        let head = format!("    {} ", paint.text(Style::Faint, "$"));
        paint.paragraph(out, &head, 6, &one_line(&words::cut(&change.replay, 500)));
    }
}

fn lines(out: &mut String, hunks: &[Hunk], paint: Paint) {
    let all = hunks.iter().flat_map(|hunk| &hunk.lines);
    let count = all.clone().count();
    for line in all.take(MAX_LINES) {
        let style = match line.kind {
            LineKind::Context => Style::Plain,
            LineKind::Removed => Style::Removed,
            LineKind::Added => Style::Added,
        };
        let sign = changes::sign(line.kind).to_string();
        let head = format!("      {} ", paint.text(style, &sign));
        let text = words::cut(&line.text, MAX_LINE);
        let is_inside = |mark: &&(usize, usize)| mark.1 <= MAX_LINE.min(line.text.len());
        let marks: Vec<(usize, usize)> = line.marks.iter().filter(is_inside).copied().collect();
        paint.marked(out, (&head, 8), style, &text, &marks);
    }
    if MAX_LINES < count {
        let _ = writeln!(out, "      {}", paint.text(Style::Faint, "..."));
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::cli::paint::Paint;
    use crate::evals::render::fixtures;

    #[test]
    fn reports_are_read_at_a_terminal() {
        for (name, report) in fixtures::all() {
            if name != "nasty" {
                insta::assert_snapshot!(
                    format!("terminal_{name}"),
                    write(&report, Paint::plain(100))
                );
            }
        }
    }

    #[test]
    fn narrow_terminals_and_colours_are_minded() {
        let report = fixtures::regression(12);
        insta::assert_snapshot!("terminal_narrow", write(&report, Paint::plain(60)));
        insta::assert_snapshot!("terminal_coloured", write(&report, Paint::coloured(100)));
    }

    #[test]
    fn a_terminal_obeys_nothing_in_a_report() {
        let text = write(&fixtures::nasty(), Paint::plain(100));
        assert!(!text.contains('\u{1b}') && !text.contains('\u{0}'));
        assert!(text.len() < 200_000, "{}", text.len());
    }
}
