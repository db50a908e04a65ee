//! What is wrong with a prompt file: said with place and cure, all problems together.

use crate::prompts::lint::Rule;
use serde::Serialize;
use std::fmt;

/// One thing that is wrong with the files of a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// The file, below the registry's root.
    pub path: String,
    /// The line, from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<usize>,
    /// The column, in characters from 1, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The column behind the last character, on the same line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_column: Option<u32>,
    /// What kind of problem it is.
    pub code: Rule,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem that is a broken file until [`Problem::rule`] says otherwise.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            path: String::new(),
            line: None,
            column: None,
            end_column: None,
            code: Rule::BrokenFile,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) const fn rule(mut self, rule: Rule) -> Self {
        self.code = rule;
        self
    }

    pub(super) const fn at(mut self, line: usize) -> Self {
        self.line = Some(line);
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the first column, and the one behind the last.
    pub(super) fn columns(&mut self, (first, end): (usize, usize)) {
        let column = |place| Some(u32::try_from(place).unwrap_or(u32::MAX));
        self.column = column(first);
        self.end_column = column(end);
    }

    pub(super) fn in_file(mut self, path: &str) -> Self {
        path.clone_into(&mut self.path);
        self
    }

    /// Finds the column, and in a front matter the exact line, of what the message speaks of. `text`
    /// is the file.
    pub(super) fn locate(&mut self, text: &str) {
        let Some(line) = self.line else { return };
        if let Some(column) = self.column {
            self.end_column.get_or_insert(column + 1);
            return;
        }
        let words: Vec<&str> = self.message.split('`').skip(1).step_by(2).collect();
        let found = words.iter().find_map(|word| find(text, line, word));
        let (line, columns) = found.unwrap_or_else(|| (line, whole_line(text, line)));
        self.line = Some(line);
        self.columns(columns);
    }
}

/// Finds `word` on the line or, when a key of YAML stands there, on the lines that belong to it.
fn find(text: &str, line: usize, word: &str) -> Option<(usize, (usize, usize))> {
    let mut lines = text.lines().enumerate().skip(line.checked_sub(1)?);
    let (_, first) = lines.next()?;
    let tail = word.rsplit_once('.').map(|(_, tail)| tail);
    let names = || [Some(word), tail].into_iter().flatten();
    if let Some(columns) = names().find_map(|name| find_word(first, name)) {
        return Some((line, columns));
    }
    let is_key = !first.contains("{{") && first.trim_end().ends_with(':');
    let belonging = lines.take_while(|(_, line)| line.is_empty() || line.starts_with([' ', '-']));
    belonging
        .filter(|_| is_key)
        .find_map(|(index, line)| Some((index + 1, find_word(line, word)?)))
}

/// Returns the columns of `word` in `line`, where it is no part of a longer word; inside a tag when
/// the line has tags.
fn find_word(line: &str, word: &str) -> Option<(usize, usize)> {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let is_alone = |start: usize| {
        let before = line.get(..start).and_then(|text| text.chars().next_back());
        let after = line.get(start + word.len()..);
        let after = after.and_then(|text| text.chars().next());
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    };
    let is_in_tag = |start: usize| {
        let before = line.get(..start).unwrap_or_default();
        !line.contains("{{") || before.matches("}}").count() < before.matches("{{").count()
    };
    let starts = line.match_indices(word).map(|(start, _)| start);
    let start = starts
        .filter(|_| !word.is_empty())
        .find(|start| is_alone(*start) && is_in_tag(*start))?;
    let column = 1 + line.get(..start)?.chars().count();
    Some((column, column + word.chars().count()))
}

/// The columns of the first tag of a line, else of all that is on it.
fn whole_line(text: &str, line: usize) -> (usize, usize) {
    let line = text.lines().nth(line.saturating_sub(1)).unwrap_or_default();
    let tag = line.find("{{").and_then(|start| {
        let end = start + line.get(start..)?.find("}}")? + 2;
        Some((start, end))
    });
    let (start, end) = tag.unwrap_or_else(|| {
        let start = line.len() - line.trim_start().len();
        (start, line.trim_end().len().max(start))
    });
    let column = |place: usize| 1 + line.get(..place).unwrap_or_default().chars().count();
    (column(start), column(end))
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.path)?;
        if let Some(line) = self.line {
            write!(formatter, ":{line}")?;
        }
        if let Some(column) = self.column {
            write!(formatter, ":{column}")?;
        }
        write!(formatter, ": {}", self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::Problem;

    #[test]
    fn the_place_of_what_a_message_names_is_found() {
        let text = "---\nmodle: x\ninput:\n  schema:\n    né: string\n    a: strng\n---\n\
                    é {{x}} eq {{eq x}}\n  text\n{{> p}}\n";
        for (line, message, place) in [
            (2, "`modle` is no key", (2, 1, 6)),
            (3, "`input.schema`: `strng` is neither", (6, 8, 13)),
            (8, "`eq` is no helper", (8, 14, 16)),
            (8, "something else", (8, 3, 8)),
            (9, "`absent` is not there", (9, 3, 7)),
            (10, "variable `v` is used", (10, 1, 8)),
            (99, "beyond the end", (99, 1, 1)),
        ] {
            let mut problem = Problem::new(message).at(line).in_file("p");
            problem.locate(text);
            let found = (problem.line, problem.column, problem.end_column);
            assert_eq!(
                found,
                (Some(place.0), Some(place.1), Some(place.2)),
                "{message}"
            );
        }
    }
}
