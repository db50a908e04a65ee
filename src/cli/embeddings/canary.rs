//! `promptgate embeddings canary start|check|status|accept|stop`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::milliseconds;
use crate::cli::embeddings::watched::{ask, setting, text};
use crate::cli::output::{Failure, at, clean};
use crate::cli::reach::escape;
use crate::domain::PicoDollars;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What the help of `start` ends with.
const HELP: &str = "\
The texts are some of the snapshot's. They are embedded in eight rounds when the canary starts: how far those
differ is the provider's own noise, to which `snapshot noise` adds what it measured before. From then on each
check is one request; what lies beyond the noise is asked for seven times more at once, and both groups of rounds
are held against each other. An alarm says how far vectors moved and what becomes of searches.

  promptgate embeddings snapshot noise docs@2
  promptgate embeddings canary start small --snapshot docs@2 --every 1h --webhook env:HOOK
  promptgate embeddings canary check small
  promptgate embeddings canary status";

#[derive(Debug, Subcommand)]
pub(crate) enum CanaryCommand {
    /// Measure what is normal and check from now on.
    #[command(after_help = HELP)]
    Start(StartArguments),
    /// Check now.
    Check(NamedArguments),
    /// Show how canaries stand, and their alarms.
    Status(StatusArguments),
    /// Take the change that was seen as normal.
    Accept(AcceptArguments),
    /// End a canary; its alarms stay.
    Stop(NamedArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NamedArguments {
    /// The canary.
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct AcceptArguments {
    /// The canary.
    name: String,
    /// What was normal stays normal too: for a provider that answers from machines that are not alike.
    #[arg(long)]
    also: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The canary; all when none is named.
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    /// What to call the canary.
    name: String,
    /// The snapshot whose texts are embedded, in its space.
    #[arg(long)]
    snapshot: String,
    /// How many texts (default: 20).
    #[arg(long, value_name = "N")]
    texts: Option<usize>,
    /// How long after a check the next one is: `30m`, `1h`, `1d` (default: 1h).
    #[arg(long, value_name = "SPAN", value_parser = milliseconds)]
    every: Option<i64>,
    /// Expect at most so many false alarms a month (default: 1).
    #[arg(long, value_name = "N")]
    budget_alarms: Option<f64>,
    /// Send alarms to the URL in a variable or a file: `env:NAME`, `file:PATH`.
    #[arg(long, value_name = "REFERENCE")]
    webhook: Option<String>,
}

impl StartArguments {
    fn wish(&self) -> Value {
        json!({
            "name": self.name,
            "snapshot": self.snapshot,
            "texts": self.texts,
            "every_ms": self.every,
            "alarms_per_month": self.budget_alarms,
            "webhook": self.webhook,
        })
    }
}

/// Runs the command.
pub(super) async fn run(
    command: CanaryCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let path = |name: &str, verb: &str| format!("/api/embeddings/canaries/{}{verb}", escape(name));
    let base = "/api/embeddings/canaries".to_owned();
    let (method, path, body, tell): (_, _, _, fn(&Value) -> String) = match &command {
        CanaryCommand::Start(start) => (Method::POST, base, Some(start.wish()), started),
        CanaryCommand::Check(of) => (Method::POST, path(&of.name, "/check"), None, checked),
        CanaryCommand::Status(StatusArguments { name: None }) => (Method::GET, base, None, listed),
        CanaryCommand::Status(StatusArguments { name: Some(name) }) => {
            (Method::GET, path(name, ""), None, shown)
        }
        CanaryCommand::Accept(of) => {
            let body = json!({"is_also": of.also});
            (
                Method::POST,
                path(&of.name, "/accept"),
                Some(body),
                accepted,
            )
        }
        CanaryCommand::Stop(of) => (Method::DELETE, path(&of.name, ""), None, stopped),
    };
    ask(common, environment, (method, &path, body.as_ref()), tell).await
}

fn small(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(value) if value <= 0.0 => "none".to_owned(),
        Some(value) => format!("{value:.1e}"),
    }
}

fn dollars(value: &Value) -> String {
    PicoDollars(value.as_u64().unwrap_or_default()).to_short()
}

fn span(value: &Value) -> String {
    let seconds = value.as_i64().unwrap_or_default() / 1_000;
    match seconds {
        86_400.. if seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        3_600.. if seconds % 3_600 == 0 => format!("{}h", seconds / 3_600),
        60.. if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

fn started(answer: &Value) -> String {
    let normal = at(answer, "normal");
    let snapshot = setting(answer, "snapshot");
    let spent = at(answer, "spent");
    let mut out = format!(
        "{} embeds {} texts of `{snapshot}` every {} with `{}`\n",
        setting(answer, "name"),
        at(normal, "items").as_array().map_or(0, Vec::len),
        span(at(at(answer, "settings"), "every_ms")),
        text(at(answer, "model")),
    );
    let _ = writeln!(
        out,
        "  noise: {} in {} rounds; {}",
        small(at(normal, "own_noise")),
        at(normal, "rounds"),
        measured(normal, &snapshot),
    );
    let _ = writeln!(
        out,
        "  {} requests for {}; a check is one, and eight when something moved",
        at(spent, "requests"),
        dollars(at(spent, "cost")),
    );
    out.push_str(&older(answer, &snapshot));
    out
}

fn measured(normal: &Value, snapshot: &str) -> String {
    match at(normal, "snapshot_texts").as_u64() {
        Some(texts) => format!(
            "{} in {texts} texts by `snapshot noise`",
            small(at(normal, "snapshot_noise"))
        ),
        None => format!("`snapshot noise {snapshot}` measures it in more texts"),
    }
}

fn older(answer: &Value, snapshot: &str) -> String {
    if at(answer, "is_snapshot_older").as_bool() != Some(true) {
        return String::new();
    }
    format!(
        "  warning: `{snapshot}` was made by another model than answers now: its vectors differ by {}, more than the rounds do. Queries do not \
         fit it any more; make a new snapshot in a space with another `revision`\n",
        small(at(answer, "from_snapshot")),
    )
}

/// How a canary stands, in a few lines.
fn shown(answer: &Value) -> String {
    let mut out = line(answer);
    alarms(answer, &mut out);
    out
}

fn line(canary: &Value) -> String {
    let last = at(canary, "last");
    let state = match at(last, "outcome").as_str() {
        _ if !at(canary, "changed").is_null() => "CHANGED".to_owned(),
        None => "has not checked yet".to_owned(),
        Some(outcome) => clean(outcome).replace('_', " "),
    };
    let mut out = format!(
        "{}  {}  {state}  ({} checks, {} requests, {})\n",
        setting(canary, "name"),
        text(at(canary, "model")),
        at(canary, "checks"),
        at(at(canary, "spent"), "requests"),
        dollars(at(at(canary, "spent"), "cost")),
    );
    if !last.is_null() {
        let _ = writeln!(out, "    {}", distance(canary));
    }
    let fault = text(at(canary, "fault"));
    if !fault.is_empty() {
        let _ = writeln!(out, "    the newest check failed: {fault}");
    }
    let snapshot = setting(canary, "snapshot");
    let warning = older(canary, &snapshot);
    if !warning.is_empty() {
        let _ = writeln!(out, "  {}", warning.trim_end());
    }
    out
}

fn distance(canary: &Value) -> String {
    let (last, normal) = (at(canary, "last"), at(canary, "normal"));
    let change = at(last, "change");
    let noise = at(normal, "own_noise").as_f64().unwrap_or_default();
    let noise = noise.max(at(normal, "snapshot_noise").as_f64().unwrap_or_default());
    let model = match at(last, "model").as_str() {
        None => "the provider names no model".to_owned(),
        Some(now) if Some(now) == at(normal, "model").as_str() => {
            format!("the provider calls it `{}`", clean(now))
        }
        Some(now) => format!(
            "the provider calls it `{}`, and `{}` when the canary began",
            clean(now),
            text(at(normal, "model"))
        ),
    };
    let length = at(at(canary, "changed"), "dimensions").as_u64();
    let before = at(normal, "dimensions").as_u64();
    if let Some((length, before)) = length.zip(before).filter(|(now, before)| now != before) {
        return format!("vectors of {length} numbers, no longer of {before}; {model}");
    }
    format!(
        "{} of {} texts moved; largest change {}, noise {}; {model}",
        at(change, "moved"),
        at(change, "texts"),
        small(at(change, "deviation")),
        small(&json!(noise)),
    )
}

fn alarms(answer: &Value, out: &mut String) {
    for alarm in at(answer, "alarms").as_array().into_iter().flatten() {
        let is_closed = at(alarm, "is_closed").as_bool() == Some(true);
        let state = if is_closed { "closed" } else { "open" };
        let told = told(alarm);
        // What is over is told by its first line.
        let lines = if is_closed { 1 } else { usize::MAX };
        let _ = writeln!(out, "alarm ({state}):");
        for line in told.lines().take(lines) {
            let _ = writeln!(out, "{line}");
        }
    }
}

/// A message line by line, so that no line of it is taken for ours.
fn told(alarm: &Value) -> String {
    let message = at(alarm, "text").as_str().unwrap_or_default();
    message
        .lines()
        .map(|line| format!("  {}\n", clean(line)))
        .collect()
}

fn listed(answer: &Value) -> String {
    let canaries = at(answer, "data").as_array().into_iter().flatten();
    let mut out: String = canaries.map(line).collect();
    if out.is_empty() {
        out = "there are no canaries\n".to_owned();
    }
    alarms(answer, &mut out);
    out
}

fn checked(answer: &Value) -> String {
    let last = at(answer, "last");
    let requests = at(last, "requests");
    match at(last, "outcome").as_str() {
        Some("changed") => {
            let alarms = at(answer, "alarms").as_array();
            let newest = alarms.and_then(|alarms| alarms.last()).map(told);
            format!("changed\n{}", newest.unwrap_or_default())
        }
        Some("still_changed") => format!("still changed: {}\n", distance(answer)),
        Some("recovered") => format!("as before again: {}\n", distance(answer)),
        Some("noise") => format!(
            "noise: beyond what was measured, and {requests} requests show no change (p = {:.4}); {}\n",
            at(last, "p_value").as_f64().unwrap_or(1.0),
            distance(answer)
        ),
        Some(_) => format!("steady: {}\n", distance(answer)),
        None => "texts were deleted: what is normal was measured anew\n".to_owned(),
    }
}

fn accepted(answer: &Value) -> String {
    let normal = at(answer, "normal");
    format!(
        "{} takes {} rounds as normal from now on; noise: {}\n",
        setting(answer, "name"),
        at(normal, "rounds"),
        small(at(normal, "own_noise")),
    )
}

fn stopped(answer: &Value) -> String {
    format!("{} has ended\n", setting(answer, "name"))
}

#[cfg(test)]
mod tests {
    use super::{small, span};
    use serde_json::json;

    #[test]
    fn spans_and_small_numbers_are_readable() {
        for (millis, text) in [
            (5_000, "5s"),
            (90_000, "90s"),
            (600_000, "10m"),
            (3_600_000, "1h"),
            (172_800_000, "2d"),
        ] {
            assert_eq!(span(&json!(millis)), text);
        }
        assert_eq!(small(&json!(0.0)), "none");
        assert_eq!(small(&json!(0.000_12)), "1.2e-4");
        assert_eq!(small(&json!(null)), "-");
    }
}
