//! A finding: a problem with its exact place, how bad it is, and, where it is mechanical, its cure.

use crate::prompts::lint::rule::{Rule, Severity};
use crate::prompts::problem::Problem;
use serde::Serialize;
use std::ops::Range;

/// Something a linter's user should know.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// What is wrong, and where.
    #[serde(flatten)]
    pub problem: Problem,
    /// How bad it is here.
    pub severity: Severity,
    /// How to mend it without thinking.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<Fix>,
}

/// A mechanical change that ends a finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Fix {
    /// What it does: "rename `modle` to `model`".
    pub title: String,
    /// The places to change. Invariant: sorted, and apart from each other.
    pub(super) edits: Vec<Edit>,
}

/// One place of a fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Edit {
    /// Where the text to replace starts, in bytes of the file with LF endings and without byte order
    /// mark.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// What stands there afterwards.
    pub(super) text: String,
}

impl Fix {
    /// A fix of one place.
    pub(super) fn replace(title: impl Into<String>, place: &Range<usize>, text: &str) -> Self {
        Self {
            title: title.into(),
            edits: vec![Edit {
                start: place.start,
                end: place.end,
                text: text.to_owned(),
            }],
        }
    }
}

impl Finding {
    /// A problem of the load, with the severity of its rule.
    pub(super) fn of(problem: Problem) -> Self {
        Self {
            severity: problem.code.severity(),
            problem,
            fix: None,
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.problem = self.problem.hint(hint);
        self
    }

    pub(super) fn fix(mut self, fix: Fix) -> Self {
        self.fix = Some(fix);
        self
    }
}

/// A file that findings are made for. Ranges are in bytes of its text, LF endings.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sheet<'a> {
    pub(super) path: &'a str,
    pub(super) text: &'a str,
}

impl Sheet<'_> {
    /// Returns a finding about `range`, up to the end of its first line.
    pub(super) fn finding(
        self,
        rule: Rule,
        range: &Range<usize>,
        message: impl Into<String>,
    ) -> Finding {
        let before = self.text.get(..range.start).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |place| place + 1);
        let column = 1 + before.get(line_start..).unwrap_or_default().chars().count();
        let inside = self.text.get(range.clone()).unwrap_or_default();
        let width = inside.lines().next().unwrap_or_default().chars().count();
        let mut problem = Problem::new(message)
            .rule(rule)
            .at(1 + before.matches('\n').count())
            .in_file(self.path);
        problem.columns((column, column + width.max(1)));
        Finding::of(problem)
    }
}

#[cfg(test)]
mod tests {
    use super::Sheet;
    use crate::prompts::lint::rule::Rule;

    #[test]
    fn ranges_become_lines_and_columns_of_characters() {
        let sheet = Sheet {
            path: "p",
            text: "é\nüx {{a}}\nz",
        };
        let start = sheet.text.find("{{").unwrap();
        for (range, place) in [
            (start..start + 5, (2, 4, 9)),
            (0..1, (1, 1, 2)),
            (start..start + 7, (2, 4, 9)),
        ] {
            let finding = sheet.finding(Rule::RawValue, &range, "x");
            let problem = finding.problem;
            let found = (problem.line, problem.column, problem.end_column);
            let wanted = (Some(place.0), Some(place.1), Some(place.2));
            assert_eq!(found, wanted, "{range:?}");
        }
    }
}
