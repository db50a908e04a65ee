//! `promptgate prompts log|blame`: how a prompt came to be what it is, from Git; needs no server.

use crate::app;
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::paint::clean;
use crate::domain::PromptKey;
use crate::prompts::{CommitLine, LogEntry, Prompts};
use serde::Serialize;
use std::fmt::Write as _;

/// Prints the versions of a prompt with their commits, newest first.
pub(crate) fn log(prompts: &Prompts, key: &PromptKey, as_json: bool) -> Result<(), Failure> {
    let log = prompts.log(key).map_err(failure)?;
    if as_json {
        return put_json(&log);
    }
    let row = |entry: &LogEntry| {
        vec![
            entry.version.clone(),
            entry.hash.short(),
            short(&entry.commit),
            entry.commit.date.replace('T', " "),
            clean(&entry.commit.author),
            clean(&entry.commit.subject),
            marks(entry),
        ]
    };
    let rows: Vec<_> = log.entries.iter().map(row).collect();
    let headings = [
        "version", "hash", "commit", "date", "author", "subject", "marks",
    ];
    for alarm in &log.alarms {
        output::say(&format!("warning: {alarm}\n"));
    }
    output::put(&table(
        &headings.map(|heading| (heading, Align::Left)),
        &rows,
    ))
}

fn marks(entry: &LogEntry) -> String {
    let marks = [
        (entry.current, "current"),
        (entry.reverted_to, "reverted-to"),
        (entry.lost, "lost"),
    ];
    let marks: Vec<_> = marks
        .iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, mark)| *mark)
        .collect();
    marks.join(" ")
}

/// Prints each line of a prompt with its last change.
pub(crate) fn blame(prompts: &Prompts, key: &PromptKey, as_json: bool) -> Result<(), Failure> {
    let blame = prompts.blame(key).map_err(failure)?;
    if as_json {
        return put_json(&blame);
    }
    let mut text = String::new();
    let lines = || blame.files.iter().flat_map(|file| &file.lines);
    let length = |text: &str| text.chars().count();
    let authors = lines().map(|line| length(&clean(&line.commit.author)));
    let width = authors.max().unwrap_or(0);
    for (index, file) in blame.files.iter().enumerate() {
        let gap = if 0 < index { "\n" } else { "" };
        let _ = writeln!(text, "{gap}{}", clean(&file.path));
        for line in &file.lines {
            let author = clean(&line.commit.author);
            let padding = " ".repeat(width.saturating_sub(length(&author)));
            let day = line.commit.date.split('T').next().unwrap_or_default();
            let shown = format!(
                "{} {day} {author}{padding} {:>4}  {}",
                short(&line.commit),
                line.line,
                clean(&line.text)
            );
            let _ = writeln!(text, "{}", shown.trim_end());
        }
    }
    output::put(&text)
}

pub(crate) fn put_json(value: &impl Serialize) -> Result<(), Failure> {
    let json = serde_json::to_string(value)
        .map_err(|error| Failure::new(format!("the answer cannot be written: {error}")))?;
    output::put(&format!("{json}\n"))
}

pub(crate) fn short(line: &CommitLine) -> String {
    line.commit.chars().take(9).collect()
}

fn failure(error: crate::prompts::Error) -> Failure {
    app::Error::from(error).into()
}
