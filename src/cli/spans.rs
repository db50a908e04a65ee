//! `promptgate prompts blame --rendered`: which commit made each part of what reaches the model.

use crate::cli::history::{put_json, short};
use crate::cli::output::{self, Failure};
use crate::cli::paint::{Paint, Style};
use crate::cli::prompts::failure;
use crate::cli::samples::SampleArguments;
use crate::domain::PromptKey;
use crate::prompts::{BlamedSpan, CommitLine, Prompts, SpanBlame};
use std::fmt::Write as _;

/// Prints each part of a rendered prompt with its line and its commit.
pub(crate) fn blame(
    prompts: &Prompts,
    key: &PromptKey,
    sample: &SampleArguments,
    as_json: bool,
    paint: Paint,
) -> Result<(), Failure> {
    let side = prompts.committed(key).map_err(failure)?;
    let sample = sample.choose(&side)?;
    let blame = prompts.blame_spans(&side, &sample).map_err(failure)?;
    if as_json {
        return put_json(&blame);
    }
    output::put(&write(&blame, paint))
}

fn write(blame: &SpanBlame, paint: Paint) -> String {
    let mut out = String::new();
    let commit: String = blame.commit.chars().take(9).collect();
    let _ = writeln!(
        out,
        "{} at {commit}, rendered with `{}`",
        blame.name, blame.sample
    );
    let spans = || blame.messages.iter().flat_map(|message| &message.spans);
    let width = |of: fn(&BlamedSpan) -> String| {
        spans()
            .map(|span| of(span).chars().count())
            .max()
            .unwrap_or(0)
    };
    let (who_width, place_width) = (width(who), width(place));
    for message in &blame.messages {
        let _ = writeln!(
            out,
            "\n{}",
            paint.text(Style::Strong, &format!("[{}]", message.role))
        );
        for span in &message.spans {
            let head = format!("{:<who_width$}  {:<place_width$}  ", who(span), place(span));
            let room = who_width + place_width + 4;
            let style = if span.span.value.is_some() {
                Style::Added
            } else {
                Style::Plain
            };
            for (index, line) in span.span.text.lines().enumerate() {
                let head = if index == 0 {
                    paint.text(Style::Faint, &head)
                } else {
                    " ".repeat(room)
                };
                paint.marked(&mut out, (&head, room), style, line, &[]);
            }
        }
    }
    out
}

fn who(span: &BlamedSpan) -> String {
    span.commit.as_ref().map_or_else(
        || "-".to_owned(),
        |commit: &CommitLine| {
            let day = commit.date.split('T').next().unwrap_or_default();
            format!("{} {day} {}", short(commit), commit.author)
        },
    )
}

/// `support/_policy.prompt:4 {{customer}}`.
fn place(span: &BlamedSpan) -> String {
    let place = format!("{}:{}", span.file, span.span.place.line);
    match &span.span.value {
        Some(value) => format!("{place} {{{{{}}}}}", value.expression),
        None => place,
    }
}
