//! What the answers of a case look like beside each other: lines and words that differ, bounded.

use crate::evals::render::words::cut;
use crate::evals::report::CaseChange;
use crate::prompts::diff::{Hunk, LineKind, texts};
use std::fmt::Write as _;

/// Bytes of an output that are looked at; nobody reads more in a report.
const MAX_OUTPUT: usize = 8_000;

/// Kinds of changes that need a look, the gravest first.
pub const GRAVE: &[&str] = &["regressed", "failing", "missing", "error"];

/// What a case's answers come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outputs {
    /// Both are there, and differ in these places (none: they are the same).
    Both(Vec<Hunk>),
    /// Only one is there.
    One(String),
    /// There is no answer.
    None,
}

/// Returns what the outputs of a case look like beside each other.
#[must_use]
pub fn outputs(change: &CaseChange) -> Outputs {
    match (&change.base_output, &change.head_output) {
        (Some(base), Some(head)) => {
            Outputs::Both(texts(&cut(base, MAX_OUTPUT), &cut(head, MAX_OUTPUT)))
        }
        (Some(one), None) | (None, Some(one)) => Outputs::One(cut(one, MAX_OUTPUT)),
        (None, None) => Outputs::None,
    }
}

/// Returns lines that differ as text with `-`, `+` and blanks before them; at most so many bytes.
#[must_use]
pub fn as_text(hunks: &[Hunk], bytes: usize) -> String {
    let mut text = String::new();
    for (index, hunk) in hunks.iter().enumerate() {
        if 0 < index {
            text.push_str("@@\n");
        }
        for line in &hunk.lines {
            let _ = writeln!(text, "{}{}", sign(line.kind), line.text);
        }
    }
    cut(&text, bytes)
}

/// Returns the sign of a line.
#[must_use]
pub const fn sign(kind: LineKind) -> char {
    match kind {
        LineKind::Context => ' ',
        LineKind::Removed => '-',
        LineKind::Added => '+',
    }
}

/// Returns what a kind of change is called, by how many cases it has: `28 cases newly fail`.
#[must_use]
pub fn heading(kind: &str, count: usize) -> String {
    let (one, many) = match kind {
        "regressed" => ("case newly fails", "cases newly fail"),
        "improved" => ("case newly passes", "cases newly pass"),
        "failing" => ("case fails", "cases fail"),
        "missing" => (
            "case is missing on one side",
            "cases are missing on one side",
        ),
        "error" => ("case could not be judged", "cases could not be judged"),
        _ => ("case changed", "cases changed"),
    };
    format!("{count} {}", if count == 1 { one } else { many })
}
