//! `promptgate prompts sync`: how it stands with the source of the prompts, and syncing now.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::{self, Failure, at, clean};
use crate::cli::reach::Admin;
use http::Method;
use serde_json::Value;
use std::fmt::Write as _;

/// Shows how it stands; with `is_now` syncs first.
pub(crate) async fn run(
    common: &Common,
    environment: &Environment,
    is_now: bool,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let answer = if is_now {
        admin.send(Method::POST, "/api/prompts/sync", None).await
    } else {
        admin.get("/api/prompts/sync").await
    };
    admin.close().await?;
    let answer = answer?;
    let status = if is_now {
        at(&answer, "status")
    } else {
        &answer
    };
    if common.json {
        output::put(&format!("{answer}\n"))?;
    } else {
        output::put(&describe(&answer, status))?;
    }
    match at(&answer, "outcome").as_str() {
        Some("refused") => {
            let refusal = at(status, "refusal");
            let message = format!("{} is refused", subject(refusal));
            Err(Failure::new(message).with_hint(at(refusal, "hint").as_str().map(clean)))
        }
        Some("failed") => {
            let failure = at(status, "failure");
            let message = at(failure, "message").as_str().map(clean);
            let message = message.unwrap_or_else(|| "the source cannot be reached".to_owned());
            Err(Failure::new(message).with_hint(at(failure, "hint").as_str().map(clean)))
        }
        _ => Ok(()),
    }
}

/// What is refused.
fn subject(refusal: &Value) -> String {
    let commit = at(refusal, "commit").as_str();
    let commit =
        commit.map(|commit| format!("commit {}", commit.chars().take(9).collect::<String>()));
    commit.unwrap_or_else(|| "what the directory holds".to_owned())
}

fn describe(answer: &Value, status: &Value) -> String {
    let text = |key: &str| at(status, key).as_str().map(clean);
    let mut lines = Vec::new();
    if let Some(outcome) = at(answer, "outcome").as_str() {
        let names = |key: &str| at(answer, key).as_array().map_or(0, Vec::len);
        let (changed, removed) = (names("changed"), names("removed"));
        lines.push((
            "sync",
            format!("{outcome}: {changed} changed, {removed} removed"),
        ));
    }
    let source = text("source").unwrap_or_default();
    let kind = text("kind").unwrap_or_default();
    let reference = text("reference").map(|reference| format!(" at {reference}"));
    let source = format!("{source}{} ({kind})", reference.unwrap_or_default());
    lines.push(("source", source));
    lines.push(("mode", text("mode").unwrap_or_default()));
    let commit = text("commit").unwrap_or_else(|| "none".to_owned());
    let prompts = at(status, "prompts").as_u64().unwrap_or(0);
    lines.push(("commit", format!("{commit}, {prompts} prompts")));
    if let Some(since) = text("loaded_at") {
        lines.push(("served since", since));
    }
    let checked = match (text("checked_at"), at(status, "age_seconds").as_u64()) {
        (Some(at), Some(age)) => format!("{at}, {age} s ago"),
        _ => "not since the start".to_owned(),
    };
    let stale = if at(status, "stale") == true {
        ": STALE"
    } else {
        ""
    };
    lines.push(("last reached", format!("{checked}{stale}")));
    lines.extend(troubles(status));
    let mut shown = String::new();
    for (name, value) in lines {
        // Writing to a `String` cannot fail.
        let _ = writeln!(shown, "{name:<13} {value}");
    }
    shown
}

/// What is not as it should be.
fn troubles(status: &Value) -> Vec<(&'static str, String)> {
    let mut lines = Vec::new();
    let held = at(status, "held").as_array().into_iter().flatten();
    for held in held {
        let name = at(held, "prompt").as_str().unwrap_or_default();
        let hash: String = at(held, "hash")
            .as_str()
            .unwrap_or_default()
            .chars()
            .take(16)
            .collect();
        lines.push(("held back", format!("{name} at {hash}")));
    }
    for alarm in at(status, "alarms").as_array().into_iter().flatten() {
        lines.push(("alarm", clean(alarm.as_str().unwrap_or_default())));
    }
    let since = |trouble: &Value| at(trouble, "since").as_str().unwrap_or_default().to_owned();
    let refusal = at(status, "refusal");
    if !refusal.is_null() {
        let problems = at(refusal, "problems").as_array().map(Vec::as_slice);
        let problems = problems.unwrap_or_default();
        let reason = match problems.len() {
            0 => clean(at(refusal, "message").as_str().unwrap_or_default()),
            1 => "1 problem".to_owned(),
            count => format!("{count} problems"),
        };
        let since = since(refusal);
        lines.push((
            "refused",
            format!("{} since {since}: {reason}", subject(refusal)),
        ));
        lines.extend(problems.iter().map(|found| ("", problem(found))));
    }
    let failure = at(status, "failure");
    if let Some(message) = at(failure, "message").as_str() {
        lines.push((
            "failing",
            format!("since {}: {}", since(failure), clean(message)),
        ));
    }
    lines
}

/// `support/refund.prompt:3: what is wrong`.
fn problem(problem: &Value) -> String {
    let text = |key: &str| clean(at(problem, key).as_str().unwrap_or_default());
    match at(problem, "line").as_u64() {
        Some(line) => format!("{}:{line}: {}", text("path"), text("message")),
        None => format!("{}: {}", text("path"), text("message")),
    }
}
