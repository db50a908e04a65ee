//! The comment on a pull request, and the summary of a job: Markdown, as long as it may be and no longer.
//!
//! What decides comes first and always fits. Details follow while there is room; what finds none is left
//! out, and the comment says so.

use crate::evals::plan::Side;
use crate::evals::render::changes::{self, GRAVE, Outputs};
use crate::evals::render::shift::{of_report, sentences};
use crate::evals::render::words::{self, Standing};
use crate::evals::report::{CaseChange, RunReport, Verdict};
use crate::evals::shift::{OutputShift, SubjectShift};
use crate::wire::escape::{
    html, markdown as prose, markdown_block as block, markdown_cell as cell, markdown_code as code,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// The longest comment that GitHub takes, in characters; bytes are never fewer.
const COMMENT: usize = 65_536;
/// The longest summary of a job, in bytes.
const SUMMARY: usize = 1_048_576;
/// Kept free for the words about what is left out.
const RESERVE: usize = 600;
/// Rows of the table.
const MAX_ROWS: usize = 60;
/// Names of cases in a list.
const MAX_NAMES: usize = 100;
/// Bytes of a sentence, of a cell, and of the lines that differ in one case.
const MAX_SENTENCE: usize = 1_000;
const MAX_CELL: usize = 120;
const MAX_DIFF: usize = 4_000;

/// Returns the comment of a suite on a pull request. Its first line is [`marker`], by which the next run finds it.
#[must_use]
pub fn comment(report: &RunReport) -> String {
    let out = format!("{}\n", marker(&report.suite.name));
    write(report, out, COMMENT)
}

/// Returns the same for the summary of a job, where there is more room.
#[must_use]
pub fn summary(report: &RunReport) -> String {
    write(
        report,
        format!("### {}\n\n", code(&report.suite.name)),
        SUMMARY,
    )
}

/// Returns the line that a suite's comment begins with, which nobody sees.
#[must_use]
pub fn marker(suite: &str) -> String {
    // Two hyphens would end the HTML comment.
    let kept = |c: char| {
        if c.is_alphanumeric() || matches!(c, '/' | '.' | '_') {
            c
        } else {
            '-'
        }
    };
    let mut name: String = suite.chars().map(kept).take(200).collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    format!("<!-- promptgate-evals:{} -->", name.trim_matches('-'))
}

fn write(report: &RunReport, mut out: String, limit: usize) -> String {
    alert(&mut out, report);
    table(&mut out, report);
    notes(&mut out, report);
    let again = format!(
        "\nRun it again: {}\n",
        code(&words::cut(&report.command, 500))
    );
    let room = limit - RESERVE - again.len();
    let mut room = Room {
        end: room,
        left_out: 0,
    };
    details(&mut out, report, &mut room);
    let left_out = room.left_out;
    if 0 < left_out {
        let run = report.run;
        let _ = writeln!(
            out,
            "\n{} left out, for want of room. `promptgate evals report {run} --format html` has it all.",
            match left_out {
                1 => "One part of the details is".to_owned(),
                count => format!("{count} parts of the details are"),
            }
        );
    }
    out.push_str(&again);
    out
}

fn alert(out: &mut String, report: &RunReport) {
    let is_doubtful = !report.warnings.is_empty()
        || report
            .metrics
            .iter()
            .any(|line| line.change.as_deref() == Some("slightly_worse"));
    let kind = match report.verdict {
        Verdict::Failed | Verdict::Invalid => "CAUTION",
        Verdict::Inconclusive => "WARNING",
        Verdict::Passed if is_doubtful => "NOTE",
        Verdict::Passed => "TIP",
    };
    let _ = writeln!(
        out,
        "> [!{kind}]\n> **{}: {}.** {}\n",
        prose(&words::cut(&report.suite.name, MAX_CELL)),
        words::verdict(report.verdict),
        prose(&words::cut(&report.summary, MAX_SENTENCE))
    );
}

const fn sign(verdict: Option<Verdict>) -> &'static str {
    match verdict {
        Some(Verdict::Passed) => "✅",
        Some(Verdict::Failed) => "❌",
        Some(Verdict::Inconclusive) => "⚠️ inconclusive",
        Some(Verdict::Invalid) => "🚫 invalid",
        None => "",
    }
}

fn table(out: &mut String, report: &RunReport) {
    let rows = words::standings(report);
    if rows.is_empty() {
        return;
    }
    let subjects: BTreeSet<&str> = rows.iter().map(|row| row.subject.as_str()).collect();
    let has_subjects = 1 < subjects
        .iter()
        .filter(|subject| !subject.is_empty())
        .count();
    let name = |side| {
        report
            .sides
            .iter()
            .find(|line| line.side == side)
            .map(words::side)
    };
    let base = name(Side::Base);
    let mut heads = Vec::new();
    if has_subjects {
        heads.push("subject".to_owned());
    }
    heads.push("metric".to_owned());
    if let Some(base) = &base {
        heads.push(cell(&words::cut(base, MAX_CELL)));
    }
    let head = name(Side::Head).unwrap_or_else(|| "head".to_owned());
    heads.push(cell(&words::cut(&head, MAX_CELL)));
    if base.is_some() {
        heads.push("Δ [95 %]".to_owned());
        heads.push("flips −/+".to_owned());
    }
    heads.extend(["gate".to_owned(), String::new()]);
    line(out, &heads);
    line(
        out,
        &heads.iter().map(|_| "---".to_owned()).collect::<Vec<_>>(),
    );
    for row in rows.iter().take(MAX_ROWS) {
        line(out, &cells(row, has_subjects, base.is_some()));
    }
    if let Some(more) = rows.len().checked_sub(MAX_ROWS).filter(|more| 0 < *more) {
        let _ = writeln!(out, "\nand {} more", words::count(more, "row"));
    }
    out.push('\n');
}

fn line(out: &mut String, cells: &[String]) {
    let _ = writeln!(out, "| {} |", cells.join(" | "));
}

fn cells(row: &Standing, has_subjects: bool, has_base: bool) -> Vec<String> {
    let short = |text: &str| cell(&words::cut(text, MAX_CELL));
    let or_nothing = |text: &Option<String>| text.as_deref().map_or_else(String::new, short);
    let mut cells = Vec::new();
    if has_subjects {
        cells.push(short(&row.subject));
    }
    cells.push(short(&row.metric));
    if has_base {
        cells.push(or_nothing(&row.base));
    }
    // Without a base there is no column for what changed, and the bound of a safety rate is no change.
    match (&row.delta, has_base) {
        (Some(delta), false) => cells.push(format!("{}, {}", short(&row.head), short(delta))),
        _ => cells.push(short(&row.head)),
    }
    if has_base {
        cells.push(or_nothing(&row.delta));
        let flips = row
            .flips
            .map(|(worse, better)| format!("{worse} / {better}"));
        cells.push(flips.unwrap_or_default());
    }
    cells.push(or_nothing(&row.gate));
    cells.push(sign(row.verdict).to_owned());
    cells
}

fn notes(out: &mut String, report: &RunReport) {
    let mut lines: Vec<String> = words::sight(report)
        .iter()
        .take(5)
        .map(|line| format!("{}.", prose(line)))
        .collect();
    lines.extend(words::baseline_age(report).map(|age| prose(&age)));
    for judge in report.judges.iter().take(5) {
        lines.push(prose(&words::cut(&words::judge(judge), MAX_SENTENCE)));
    }
    lines.push(prose(&words::cost(report)));
    for warning in report.warnings.iter().take(10) {
        lines.push(format!("⚠️ {}", prose(&words::cut(warning, MAX_SENTENCE))));
    }
    if 10 < report.warnings.len() {
        lines.push(format!(
            "⚠️ and {} more warnings",
            report.warnings.len() - 10
        ));
    }
    for line in lines {
        let _ = writeln!(out, "- {line}");
    }
    out.push('\n');
}

/// Parts that did not fit before nobody tries to fit another one.
const MAX_TRIES: usize = 5;

/// What is left of a comment.
struct Room {
    end: usize,
    left_out: usize,
}

impl Room {
    /// Writes a part, if it fits. A part that nobody would see is not made.
    fn put(&mut self, out: &mut String, part: impl FnOnce() -> Option<String>) {
        if MAX_TRIES <= self.left_out {
            self.left_out += 1;
            return;
        }
        match part() {
            Some(part) if out.len() + part.len() <= self.end => out.push_str(&part),
            Some(_) => self.left_out += 1,
            None => {}
        }
    }
}

/// Writes the parts of the details, the ones most looked for first.
fn details(out: &mut String, report: &RunReport, room: &mut Room) {
    for kind in GRAVE {
        let changed: Vec<&CaseChange> =
            words::of_kind(report, std::slice::from_ref(kind)).collect();
        if changed.is_empty() {
            continue;
        }
        let heading = changes::heading(kind, changed.len());
        room.put(out, || Some(format!("**{heading}**\n\n")));
        for change in changed {
            room.put(out, || Some(of_case(report, change)));
        }
    }
    room.put(out, || improved(report));
    for (whole, subject) in of_report(report) {
        room.put(out, || Some(shift(whole, subject)));
    }
    room.put(out, || groups(report));
    room.put(out, || slices(report));
    room.put(out, || quarantined(report));
}

fn improved(report: &RunReport) -> Option<String> {
    let cases: Vec<&str> = words::of_kind(report, &["improved"])
        .map(|change| change.case.as_str())
        .collect();
    let heading = changes::heading("improved", cases.len());
    (!cases.is_empty()).then(|| folded(&heading, &names(&cases)))
}

fn quarantined(report: &RunReport) -> Option<String> {
    let cases: Vec<&str> = report.quarantined.iter().map(String::as_str).collect();
    let heading = format!(
        "{} flaky and not counted",
        words::count(cases.len(), "case")
    );
    (!cases.is_empty()).then(|| folded(&heading, &names(&cases)))
}

fn names(cases: &[&str]) -> String {
    let shown: Vec<String> = cases
        .iter()
        .take(MAX_NAMES)
        .map(|case| code(&words::cut(case, MAX_CELL)))
        .collect();
    let more = match cases.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}\n", shown.join(", "))
}

/// Words of HTML, in which nobody is mentioned and no issue is linked.
fn quiet(text: &str) -> String {
    let text = text.replace('@', "@\u{200b}");
    html(&text.replace('#', "#\u{200b}"))
}

fn folded(heading: &str, body: &str) -> String {
    format!(
        "<details><summary>{}</summary>\n\n{body}\n</details>\n",
        quiet(heading)
    )
}

fn of_case(report: &RunReport, change: &CaseChange) -> String {
    let mut body = String::new();
    let _ = writeln!(
        body,
        "{}\n",
        prose(&words::cut(&change.reason, MAX_SENTENCE))
    );
    let row = report
        .rows
        .iter()
        .find(|row| row.cell.case.0 == change.case && row.cell.subject == change.subject);
    if let Some(row) = row.filter(|row| !row.vars.is_empty()) {
        let vars = serde_json::to_string(&row.vars).unwrap_or_default();
        let _ = writeln!(body, "Input: {}\n", code(&words::cut(&vars, 500)));
    }
    match changes::outputs(change) {
        Outputs::Both(hunks) if hunks.is_empty() => {
            body.push_str("Both sides gave the same answer.\n");
        }
        Outputs::Both(hunks) => body.push_str(&block("diff", &changes::as_text(&hunks, MAX_DIFF))),
        Outputs::One(text) => body.push_str(&block("", &words::cut(&text, MAX_DIFF))),
        Outputs::None => {}
    }
    if !change.replay.is_empty() {
        let _ = writeln!(
            body,
            "\nAsk it again: {}",
            code(&words::cut(&change.replay, 500))
        );
    }
    let name = words::cut(&change.case, MAX_CELL);
    let described = change
        .description
        .as_ref()
        .map_or_else(String::new, |description| {
            format!(" {}", words::cut(&description.replace('\n', " "), MAX_CELL))
        });
    format!(
        "<details><summary><code>{}</code>{}</summary>\n\n{body}\n</details>\n",
        quiet(&name.replace('\n', " ")),
        quiet(&described)
    )
}

fn shift(whole: &OutputShift, subject: &SubjectShift) -> String {
    let mut body = String::new();
    for sentence in sentences(whole, subject) {
        let _ = writeln!(body, "- {}", prose(&sentence));
    }
    if !subject.furthest.is_empty() {
        body.push('\n');
        let heads = ["case", "alike to", "base", "head"];
        line(&mut body, &heads.map(str::to_owned));
        line(&mut body, &heads.map(|_| "---".to_owned()));
    }
    for case in &subject.furthest {
        let text = |text: &str| cell(&words::cut(text, MAX_CELL));
        let similarity = format!("{:.3}", case.similarity);
        let (base, head) = (text(&case.base), text(&case.head));
        line(&mut body, &[text(&case.case), similarity, base, head]);
    }
    let name = words::cut(&subject.subject.replace('\n', " "), MAX_CELL);
    // Nobody is mentioned and no issue is linked; `folded` escapes the rest.
    let name = name.replace('@', "@\u{200b}").replace('#', "#\u{200b}");
    folded(&format!("How far outputs moved: {name}"), &body)
}

fn groups(report: &RunReport) -> Option<String> {
    let mut body = String::new();
    for group in &report.groups {
        let _ = writeln!(body, "- {}", prose(&words::group(group)));
    }
    let heading =
        words::count(report.groups.len(), "pair") + " of groups that must be treated alike";
    (!body.is_empty()).then(|| folded(&heading, &body))
}

fn slices(report: &RunReport) -> Option<String> {
    if report.slices.is_empty() {
        return None;
    }
    let mut body = String::new();
    line(
        &mut body,
        &["slice", "cases", "base", "head", "Δ [95 %]", "p, corrected"].map(str::to_owned),
    );
    line(
        &mut body,
        &["---", "---", "---", "---", "---", "---"].map(str::to_owned),
    );
    for slice in report.slices.iter().take(MAX_ROWS) {
        let unit = &slice.line.unit;
        let shown = |figure: Option<f64>| {
            figure.map_or_else(String::new, |figure| words::value(figure, unit))
        };
        let delta = slice
            .line
            .delta
            .map(|delta| words::difference(&delta, unit));
        line(
            &mut body,
            &[
                cell(&words::cut(&slice.slice, MAX_CELL)),
                slice.line.cases.to_string(),
                shown(slice.line.base.map(|base| base.value)),
                shown(Some(slice.line.head.value)),
                delta.unwrap_or_default(),
                slice.adjusted_p.map(words::chance).unwrap_or_default(),
            ],
        );
    }
    Some(folded(&words::count(report.slices.len(), "slice"), &body))
}
