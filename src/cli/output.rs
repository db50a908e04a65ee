//! What commands print: tables for people, JSON for programs, failures with a hint.

use crate::prompts::{self, Problem};
use crate::{app, server};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

/// Why a command failed.
#[derive(Debug)]
pub(crate) struct Failure {
    message: String,
    details: Vec<String>,
    hint: Option<String>,
    code: u8,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            details: Vec::new(),
            hint: None,
            code: 1,
        }
    }

    /// Wrong usage or config.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self {
            code: 2,
            ..Self::new(message)
        }
    }

    /// A failure of which everything has been said.
    pub(crate) fn silent() -> Self {
        Self::new(String::new())
    }

    /// Ends with a code of its own.
    pub(crate) fn with_code(self, code: u8) -> Self {
        Self { code, ..self }
    }

    pub(crate) fn with_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    pub(crate) fn with_details(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }

    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// Prints to stderr; returns the exit code.
    pub(crate) fn print(&self) -> ExitCode {
        let mut text = String::new();
        for detail in &self.details {
            let _ = writeln!(text, "{detail}");
        }
        if !self.message.is_empty() {
            let _ = writeln!(text, "error: {}", self.message);
        }
        if let Some(hint) = &self.hint {
            let _ = writeln!(text, "hint: {hint}");
        }
        say(&text);
        ExitCode::from(self.code)
    }
}

impl From<app::Error> for Failure {
    fn from(error: app::Error) -> Self {
        let details = match &error {
            app::Error::Prompts(prompts::Error::LoadFailed { problems }) => {
                problems.iter().map(describe).collect()
            }
            app::Error::Declarations { problems, .. } => {
                problems.iter().map(describe_declared).collect()
            }
            _ => Vec::new(),
        };
        let message = match &error {
            // Here nobody is a stranger who must not know where the prompts are.
            app::Error::Prompts(prompts::Error::Git(cause)) => format!("{error}: {cause}"),
            _ => error.to_string(),
        };
        let is_config = matches!(
            error,
            app::Error::ConfigFile { .. }
                | app::Error::ConfigSyntax { .. }
                | app::Error::ConfigValue { .. }
                | app::Error::DeclarationsFile { .. }
                | app::Error::Declarations { .. }
                | app::Error::OpenToTheWorld { .. }
        );
        let failure = if is_config {
            Self::usage(message)
        } else {
            Self::new(message)
        };
        failure.with_details(details).with_hint(error.hint())
    }
}

/// A problem with its hint, on two lines.
pub(crate) fn describe(problem: &Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{problem}\n  hint: {hint}"),
        None => problem.to_string(),
    }
}

/// A mistake in embeddings.toml with its hint, on two lines.
fn describe_declared(problem: &crate::embeddings::declared::Problem) -> String {
    match &problem.hint {
        Some(hint) => format!("{problem}\n  hint: {hint}"),
        None => problem.to_string(),
    }
}

impl From<server::ClientError> for Failure {
    fn from(error: server::ClientError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(format!("stdout cannot be written: {error}"))
    }
}

/// Writes data to stdout. A reader that has gone away (`| head`) ends the command without noise.
pub(crate) fn put(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Writes to stderr what is not data.
pub(crate) fn say(text: &str) {
    // Nobody is left to be told when stderr is closed.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// What comes from a repository may hold what a terminal would obey.
pub(crate) fn clean(text: &str) -> String {
    let shown = |c: char| {
        if c.is_control() && c != '\t' {
            '\u{fffd}'
        } else {
            c
        }
    };
    text.chars().map(shown).collect()
}

/// Returns the value at `key`; `null` when there is none.
pub(crate) fn at<'a>(value: &'a Value, key: &str) -> &'a Value {
    value.get(key).unwrap_or(&Value::Null)
}

/// Which side of its column a cell is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// Returns a table with a heading, columns apart by two spaces.
pub(crate) fn table(headings: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let width = |index: usize, heading: &str| {
        let cells = rows.iter().filter_map(|row| row.get(index));
        cells
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
            .max(heading.chars().count())
    };
    let widths: Vec<usize> = headings
        .iter()
        .enumerate()
        .map(|(index, (heading, _))| width(index, heading))
        .collect();
    let mut text = String::new();
    let titles: Vec<String> = headings
        .iter()
        .map(|(heading, _)| (*heading).to_owned())
        .collect();
    for row in std::iter::once(&titles).chain(rows) {
        let mut line = String::new();
        for ((cell, width), (_, align)) in row.iter().zip(&widths).zip(headings) {
            let padding = " ".repeat(width.saturating_sub(cell.chars().count()));
            let (before, after) = match align {
                Align::Left => ("", padding.as_str()),
                Align::Right => (padding.as_str(), ""),
            };
            let _ = write!(line, "{before}{cell}{after}  ");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Align, table};

    #[test]
    fn columns_line_up() {
        let text = table(
            &[("name", Align::Left), ("cost", Align::Right)],
            &[
                vec!["é".to_owned(), "1".to_owned()],
                vec!["longer".to_owned(), "22".to_owned()],
            ],
        );
        assert_eq!(text, "name    cost\né          1\nlonger    22\n");
    }
}
