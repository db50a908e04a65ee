//! Findings for people: where, what, the line with a mark under it, and what to do.

use crate::cli::lint::Report;
use crate::prompts::{Finding, Severity};
use std::fmt::Write as _;

/// Columns of a source line that are shown.
const WIDTH: usize = 100;
/// Columns before the mark that are kept when a line is cut.
const LEAD: usize = 40;

/// Colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    fn dim(self, text: &str) -> String {
        self.with("1;34", text)
    }

    fn cure(self, text: &str) -> String {
        self.with("1;36", text)
    }

    fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Error => self.with("1;31", text),
            Severity::Warning => self.with("1;33", text),
            Severity::Hint => self.with("1;36", text),
        }
    }
}

/// Returns all findings and a line that sums them up.
pub(super) fn show(report: &Report<'_>, is_colored: bool) -> String {
    let paint = Paint(is_colored);
    let mut text = String::new();
    for finding in &report.findings {
        one(&mut text, report, finding, paint);
        text.push('\n');
    }
    text.push_str(&summary(report, paint));
    text.push('\n');
    text
}

fn one(text: &mut String, report: &Report<'_>, finding: &Finding, paint: Paint) {
    let problem = &finding.problem;
    let mut place = report.scope.shown(&problem.path);
    if let Some(line) = problem.line {
        let _ = write!(place, ":{line}");
    }
    if let Some(column) = problem.column {
        let _ = write!(place, ":{column}");
    }
    let word = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    };
    let code = paint.severity(finding.severity, &format!("{word}[{}]", problem.code));
    let message = paint.bold(&printable(&problem.message));
    let _ = writeln!(text, "{}: {code}: {message}", paint.bold(&place));
    let digits = problem.line.map_or(1, |line| line.to_string().len());
    let margin = " ".repeat(digits);
    if let (Some(line), Some(number)) = (report.lint.line(finding), problem.line) {
        let to_usize = |column: Option<u32>| usize::try_from(column?).ok();
        let column = to_usize(problem.column).unwrap_or(1);
        let end = to_usize(problem.end_column).unwrap_or(column + 1);
        let (line, before, width) = cut(&line, column, end);
        let bar = paint.dim("|");
        let _ = writeln!(text, "{margin} {bar}");
        let _ = writeln!(text, "{} {bar} {line}", paint.dim(&number.to_string()));
        let mark = paint.severity(finding.severity, &"^".repeat(width));
        let _ = writeln!(text, "{margin} {bar} {}{mark}", " ".repeat(before));
    }
    let equals = paint.dim("=");
    if let Some(hint) = &problem.hint {
        let _ = writeln!(
            text,
            "{margin} {equals} {}: {}",
            paint.cure("hint"),
            printable(hint)
        );
    }
    if let Some(fix) = &finding.fix {
        let title = printable(&fix.title);
        let _ = writeln!(
            text,
            "{margin} {equals} {}: {title} (--fix)",
            paint.cure("fix")
        );
    }
}

/// Returns the part of `line` to show, the columns before the mark, and the mark's width.
fn cut(line: &str, column: usize, end: usize) -> (String, usize, usize) {
    let shown: Vec<String> = line.chars().map(|c| shown(c, true)).collect();
    let columns = |pieces: &[String]| pieces.iter().map(|piece| width(piece)).sum::<usize>();
    let start = (column - 1).min(shown.len());
    let end = (end - 1).clamp(start, shown.len());
    let (mut first, mut lead) = (0, "");
    if WIDTH < columns(shown.get(..end).unwrap_or_default()) {
        first = start.saturating_sub(LEAD);
        lead = if 0 < first { "…" } else { "" };
    }
    let mut text = lead.to_owned();
    let mut used = width(lead);
    for piece in shown.get(first..).unwrap_or_default() {
        if WIDTH < used + width(piece) {
            text.push('…');
            break;
        }
        text.push_str(piece);
        used += width(piece);
    }
    let before = width(lead) + columns(shown.get(first..start).unwrap_or_default());
    let wanted = columns(shown.get(start..end).unwrap_or_default()).max(1);
    let room = (WIDTH + 1).saturating_sub(before).max(1);
    (text.trim_end().to_owned(), before, wanted.min(room))
}

/// A character as a terminal may see it: what has no shape, or would move the cursor, is written out.
fn shown(c: char, tab_as_space: bool) -> String {
    let is_plain = c == ' ' || (!c.is_control() && !c.is_whitespace() && !is_formatting(c));
    if c == '\t' && tab_as_space {
        "    ".to_owned()
    } else if is_plain || c == '\u{a0}' {
        c.to_string()
    } else {
        format!("<U+{:04X}>", u32::from(c))
    }
}

const fn is_formatting(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

fn printable(text: &str) -> String {
    text.chars().map(|c| shown(c, false)).collect()
}

/// Columns that `text` takes: two for the characters of East Asia and for emoji.
fn width(text: &str) -> usize {
    let of = |c: char| match c {
        '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}' => 0,
        '\u{1100}'..='\u{115e}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}'
        | '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 2,
        _ => 1,
    };
    text.chars().map(of).sum()
}

fn summary(report: &Report<'_>, paint: Paint) -> String {
    let files = count(report.lint.file_count(), "file");
    let mut parts = Vec::new();
    if 0 < report.errors {
        let errors = count(report.errors, "error");
        parts.push(paint.severity(Severity::Error, &errors));
    }
    if 0 < report.warnings {
        let warnings = count(report.warnings, "warning");
        parts.push(paint.severity(Severity::Warning, &warnings));
    }
    if 0 < report.hints {
        let hints = count(report.hints, "note");
        parts.push(paint.severity(Severity::Hint, &hints));
    }
    let mut text = match parts.is_empty() {
        true => format!("nothing found in {files}"),
        false => format!("{} in {files}", parts.join(", ")),
    };
    if 0 < report.fixed {
        let _ = write!(text, "; {} fixed", report.fixed);
    }
    let fixable = report
        .findings
        .iter()
        .filter(|finding| finding.fix.is_some());
    match fixable.count() {
        0 => {}
        some => {
            let _ = write!(text, "; {some} can be mended with `--fix`");
        }
    }
    text
}

fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn marks_stand_under_what_they_mark() {
        let long = format!("{}{{{{x}}}}{}", "a".repeat(300), "b".repeat(300));
        for (line, column, end) in [
            ("x {{a}} y", 3, 8),
            ("\t{{a}}", 2, 7),
            ("你好 {{a}} y", 4, 9),
            ("a\u{200b}b", 2, 3),
            (long.as_str(), 301, 306),
            ("short", 9, 12),
            ("", 1, 2),
        ] {
            let (text, before, width) = cut(line, column, end);
            assert!(super::width(&text) <= super::WIDTH + 1, "{text}");
            let marked: String = line.chars().skip(column - 1).take(end - column).collect();
            let marked: String = marked.chars().map(|c| super::shown(c, true)).collect();
            // Behind the end of a line there is nothing to find.
            let found = text.find(&marked).filter(|_| !marked.is_empty());
            let start = found.unwrap_or(text.len());
            assert_eq!(super::width(text.get(..start).unwrap()), before, "{text}");
            assert_eq!(width, super::width(&marked).max(1), "{text}");
        }
    }
}
