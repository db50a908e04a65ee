//! `promptgate audit list`: what happened to prompts, labels, embeddings and keys.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::{moment, time};
use crate::cli::output::{self, Align, Failure, at, table};
use crate::cli::reach::{Admin, escape};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::fmt::Write as _;

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List what happened, the oldest first.
    List(List),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Since when: `24h`, `7d`, or a date.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// About this prompt.
    #[arg(long, value_name = "PROMPT")]
    prompt: Option<String>,
    /// Of this kind: `prompts_loaded`, `prompts_refused`, `label_moved`, `override_set`, `override_ended`,
    /// `migration_moved`, `embedding_label_moved`, `embedding_item_deleted`, `key_created`, `key_revoked`.
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// The newest so many.
    #[arg(long, default_value_t = 100, value_name = "COUNT")]
    limit: usize,
}

/// Runs the command.
pub(crate) async fn run(
    command: AuditCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let AuditCommand::List(list) = command;
    let mut path = format!("/api/audit?limit={}", list.limit);
    if let Some(since) = &list.since {
        let _ = write!(path, "&since={}", moment(since)?);
    }
    for (name, value) in [("prompt", &list.prompt), ("kind", &list.kind)] {
        if let Some(value) = value {
            let _ = write!(path, "&{name}={}", escape(value));
        }
    }
    let admin = Admin::reach(common, environment)?;
    let answer = admin.get(&path).await;
    admin.close().await?;
    print(&answer?, common.json)
}

fn print(answer: &Value, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return output::put(&format!("{}\n", at(answer, "data")));
    }
    let events = at(answer, "data").as_array().cloned().unwrap_or_default();
    if events.is_empty() {
        output::say("nothing happened\n");
        return Ok(());
    }
    if let Some(left_out @ 1..) = at(answer, "left_out").as_u64() {
        output::say(&format!("{left_out} older events are left out\n"));
    }
    let row = |event: &Value| vec![time(at(event, "at")), text(event, "kind"), what(event)];
    let rows: Vec<Vec<String>> = events.iter().map(row).collect();
    let headings = ["time", "kind", "what"];
    output::put(&table(
        &headings.map(|heading| (heading, Align::Left)),
        &rows,
    ))
}

fn text(event: &Value, key: &str) -> String {
    at(event, key).as_str().unwrap_or("nothing").to_owned()
}

/// The event in one line.
fn what(event: &Value) -> String {
    let place = || format!("{}@{}", text(event, "prompt"), text(event, "label"));
    match at(event, "kind").as_str() {
        Some("prompts_loaded") => loaded(event),
        Some("prompts_refused") => format!("{}{}", text(event, "message"), commit(event)),
        Some("label_moved") => format!(
            "{}: {} -> {}{}",
            place(),
            text(event, "from"),
            text(event, "to"),
            commit(event)
        ),
        Some("override_set") => format!(
            "{}: {} in place of {}, until {}: {}",
            place(),
            text(event, "to"),
            text(event, "from"),
            time(at(event, "expires")),
            text(event, "reason")
        ),
        Some("override_ended") => format!(
            "{}: {} no longer ({})",
            place(),
            text(event, "to"),
            text(event, "end").replace('_', " ")
        ),
        Some("migration_moved") => migrated(event),
        Some("embedding_label_moved") => format!(
            "{}@{}: {} -> {}",
            text(event, "collection"),
            text(event, "label"),
            text(event, "from"),
            text(event, "to")
        ),
        Some("embedding_item_deleted") => deleted(event),
        _ => format!("{} {}", text(event, "key"), text(event, "name")),
    }
}

fn migrated(event: &Value) -> String {
    let (to, paused) = (text(event, "to"), at(event, "paused").as_bool());
    let moved = match (paused, at(event, "from").as_str()) {
        (Some(true), _) => format!("{to} paused"),
        (Some(false), _) => format!("{to} goes on"),
        (None, Some(from)) if from == to => to,
        (None, Some(from)) => format!("{from} -> {to}"),
        (None, None) => format!("begun with {to}"),
    };
    let mut said = format!("{}: {moved}", text(event, "collection"));
    if let Some(serving) = at(event, "serving").as_str() {
        let _ = write!(said, ", {serving} is served");
    }
    if at(event, "forced") == true {
        said.push_str(", though gates were not met");
    }
    if at(event, "both") == true {
        said.push_str(", both versions are written");
    }
    if let Some(by) = at(event, "by").as_str() {
        let _ = write!(said, ", by {by}");
    }
    let _ = write!(said, " ({})", text(event, "migration"));
    said
}

/// The item is named as the manifests do: its id is gone.
fn deleted(event: &Value) -> String {
    let item: String = text(event, "item").chars().take(12).collect();
    let snapshots = at(event, "snapshots").as_array().into_iter().flatten();
    let snapshots: Vec<&str> = snapshots.filter_map(Value::as_str).collect();
    format!(
        "{}: the item whose id hashes to {item}… was deleted from {}; vectors erased: {}",
        text(event, "collection"),
        snapshots.join(", "),
        at(event, "vectors")
    )
}

fn loaded(event: &Value) -> String {
    let mut said = format!("{} prompts", at(event, "prompts"));
    let names = |key: &str| {
        let all = at(event, key).as_array().into_iter().flatten();
        let names = all.map(|it| {
            it.as_str()
                .map_or_else(|| text(it, "prompt"), str::to_owned)
        });
        names.collect::<Vec<_>>()
    };
    for word in ["changed", "removed", "held"] {
        let names = names(word);
        let shown = names.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        match names.len().saturating_sub(3) {
            _ if names.is_empty() => {}
            0 => {
                let _ = write!(said, "; {word}: {shown}");
            }
            more => {
                let _ = write!(said, "; {word}: {shown} and {more} more");
            }
        }
    }
    if let Some(old) = at(event, "rewritten_from").as_str() {
        let _ = write!(said, "; history rewritten, {old} was served before");
    }
    said + &commit(event)
}

fn commit(event: &Value) -> String {
    let commit = at(event, "commit").as_str().unwrap_or_default();
    let short: String = commit.chars().take(9).collect();
    let dirty = if at(event, "dirty") == true {
        ", not committed"
    } else {
        ""
    };
    if short.is_empty() {
        short
    } else {
        format!(" ({short}{dirty})")
    }
}
