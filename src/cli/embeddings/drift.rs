//! `promptgate embeddings drift start|run|status|explain|accept|documents|stop`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::{moment, time};
use crate::cli::embeddings::counted;
use crate::cli::embeddings::watched::{ask, setting, text};
use crate::cli::evals::dollars;
use crate::cli::output::{Failure, at, clean};
use crate::cli::reach::escape;
use crate::domain::PicoDollars;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What the help of `start` ends with.
const HELP: &str = "\
The reference is frozen when the monitor starts: a sample of the prompt's calls, or a snapshot. Windows of
distinct texts are then held against it, by a server on its own and by `drift run`. An alarm takes two of three
windows, and the budget says how many false alarms a month may be expected.

  promptgate embeddings drift start support --prompt support/refund --model openai/text-embedding-3-small --since 7d
  promptgate embeddings drift run support
  promptgate embeddings drift explain support
  promptgate embeddings drift accept support";

#[derive(Debug, Subcommand)]
pub(crate) enum DriftCommand {
    /// Freeze a reference and watch a prompt's traffic from now on.
    #[command(after_help = HELP)]
    Start(Box<StartArguments>),
    /// Look now at what came since the last window.
    Run(NamedArguments),
    /// Show how monitors stand, and their alarms.
    Status(StatusArguments),
    /// Show what the newest look saw: tests, effect sizes, examples in groups.
    Explain(NamedArguments),
    /// Take the newest window as normal: it joins the reference.
    Accept(NamedArguments),
    /// Hold the new items of a snapshot against those of one before: are they about something else?
    Documents(DocumentsArguments),
    /// End a monitor; its snapshots and alarms stay.
    Stop(NamedArguments),
}

#[derive(Debug, Args)]
pub(crate) struct NamedArguments {
    /// The monitor.
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArguments {
    /// The monitor; all when none is named.
    name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DocumentsArguments {
    /// The snapshot of before: `docs@1`.
    before: String,
    /// The one of after, in the same space: `docs@2`.
    after: String,
}

#[derive(Debug, Args)]
pub(crate) struct StartArguments {
    /// What to call the monitor.
    name: String,
    /// The prompt whose calls are read.
    #[arg(long)]
    prompt: String,
    #[command(flatten)]
    text: TextArguments,
    #[command(flatten)]
    against: AgainstArguments,
    #[command(flatten)]
    searched: SearchedArguments,
    /// How many distinct texts make a window (default: 500).
    #[arg(long, value_name = "N")]
    window: Option<usize>,
    /// Read this share of the calls (default: 1).
    #[arg(long, value_name = "SHARE")]
    sample: Option<f64>,
    /// Expect at most so many false alarms a month (default: 1).
    #[arg(long, value_name = "N")]
    budget_alarms: Option<f64>,
    /// Spend at most so many dollars on embedding the reference, and on each window.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    max_cost: Option<PicoDollars>,
    /// Send alarms to the URL in a variable or a file: `env:NAME`, `file:PATH`.
    #[arg(long, value_name = "REFERENCE")]
    webhook: Option<String>,
}

/// Which part of a request is its text; what its user said last, or else its variables, when nothing is said.
#[derive(Debug, Args)]
#[group(multiple = false)]
struct TextArguments {
    /// Watch this variable.
    #[arg(long, value_name = "NAME")]
    variable: Option<String>,
    /// Watch what the user said last.
    #[arg(long)]
    messages: bool,
}

/// What windows are held against, and in which space.
#[derive(Debug, Args)]
struct AgainstArguments {
    /// The model that embeds.
    #[arg(long)]
    model: Option<String>,
    /// A space of embeddings.toml in place of a model.
    #[arg(long, conflicts_with = "model")]
    space: Option<String>,
    /// A snapshot as the reference; windows are embedded in its space.
    #[arg(long, value_name = "SNAPSHOT", conflicts_with_all = ["model", "space", "since"])]
    reference: Option<String>,
    /// Draw the reference from calls since then: `7d`, or a date (default: 7d).
    #[arg(long)]
    since: Option<String>,
}

/// Where texts are looked for as queries.
#[derive(Debug, Args)]
struct SearchedArguments {
    /// Look for the texts in this snapshot too: do they find less near answers than before?
    #[arg(long, value_name = "SNAPSHOT")]
    search_in: Option<String>,
    /// A best answer below this cosine is far (default: what one in ten of the reference was below).
    #[arg(long, value_name = "COSINE", requires = "search_in")]
    threshold: Option<f64>,
}

impl StartArguments {
    fn wish(&self) -> Result<Value, Failure> {
        let input = match (&self.text.variable, self.text.messages) {
            (Some(name), _) => json!({"variable": name}),
            (None, true) => json!("messages"),
            (None, false) => json!("any"),
        };
        let since = self.against.since.as_deref().map(moment).transpose()?;
        Ok(json!({
            "name": self.name,
            "prompt": self.prompt,
            "input": input,
            "space": {"name": self.against.space, "model": self.against.model},
            "reference": self.against.reference,
            "since_ms": since.map(|micros| micros / 1_000),
            "window": self.window,
            "sample": self.sample,
            "alarms_per_month": self.budget_alarms,
            "max_cost": self.max_cost,
            "webhook": self.webhook,
            "search_in": self.searched.search_in,
            "threshold": self.searched.threshold,
        }))
    }
}

/// Runs the command.
pub(super) async fn run(
    command: DriftCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let path = |name: &str, verb: &str| format!("/api/embeddings/drift/{}{verb}", escape(name));
    let base = "/api/embeddings/drift".to_owned();
    let (method, path, body, tell): (_, _, _, fn(&Value) -> String) = match &command {
        DriftCommand::Start(start) => (Method::POST, base, Some(start.wish()?), started),
        DriftCommand::Run(of) => (Method::POST, path(&of.name, "/run"), None, looked),
        DriftCommand::Status(StatusArguments { name: None }) => (Method::GET, base, None, listed),
        DriftCommand::Status(StatusArguments { name: Some(name) }) => {
            (Method::GET, path(name, ""), None, standing)
        }
        DriftCommand::Explain(of) => (Method::GET, path(&of.name, ""), None, explained),
        DriftCommand::Accept(of) => (Method::POST, path(&of.name, "/accept"), None, accepted),
        DriftCommand::Documents(of) => {
            let path = "/api/embeddings/documents-drift".to_owned();
            let body = json!({"before": of.before, "after": of.after});
            (Method::POST, path, Some(body), documents)
        }
        DriftCommand::Stop(of) => (Method::DELETE, path(&of.name, ""), None, stopped),
    };
    ask(common, environment, (method, &path, body.as_ref()), tell).await
}

fn number(value: &Value, digits: usize) -> String {
    value
        .as_f64()
        .map_or_else(|| "-".to_owned(), |number| format!("{number:.digits$}"))
}

fn list(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn started(answer: &Value) -> String {
    format!(
        "{} watches `{}`: windows of {} texts against {}\n",
        setting(answer, "name"),
        setting(answer, "prompt"),
        at(at(answer, "settings"), "window"),
        text(at(answer, "reference")),
    )
}

/// How a monitor stands, in a line.
fn line(monitor: &Value) -> String {
    let last = at(monitor, "last");
    let seen = if last.is_null() {
        "has not looked yet".to_owned()
    } else {
        format!(
            "{}, p = {}",
            text(at(last, "standing")),
            number(at(at(last, "finding"), "p_value"), 4)
        )
    };
    let mut out = format!(
        "{}  {}  {seen}  ({} looks)\n",
        setting(monitor, "name"),
        setting(monitor, "prompt"),
        at(monitor, "looks"),
    );
    let fault = text(at(monitor, "fault"));
    if !fault.is_empty() {
        let _ = writeln!(out, "    the newest look failed: {fault}");
    }
    out
}

fn alarms(answer: &Value, out: &mut String) {
    for alarm in at(answer, "alarms").as_array().into_iter().flatten() {
        let is_accepted = at(alarm, "is_accepted").as_bool() == Some(true);
        let state = if is_accepted { "accepted" } else { "open" };
        let told = at(alarm, "text").as_str().unwrap_or_default();
        let first = clean(told.lines().next().unwrap_or_default());
        let (of, when) = (text(at(alarm, "monitor")), raised(alarm));
        let _ = writeln!(out, "alarm of {of}, {when} ({state}): {first}");
    }
}

/// When an alarm was raised.
fn raised(alarm: &Value) -> String {
    let micros = at(alarm, "at_ms")
        .as_i64()
        .map(|millis| millis.saturating_mul(1_000));
    time(&json!(micros))
}

fn listed(answer: &Value) -> String {
    let monitors = at(answer, "data").as_array().into_iter().flatten();
    let mut out: String = monitors.map(line).collect();
    let collections = at(answer, "collections").as_object().into_iter().flatten();
    out.extend(collections.map(|(name, watched)| watched_line(name, watched)));
    if out.is_empty() {
        out = "there are no monitors\n".to_owned();
    }
    alarms(answer, &mut out);
    for alarm in at(answer, "collection_alarms")
        .as_array()
        .into_iter()
        .flatten()
    {
        let told = at(alarm, "text").as_str().unwrap_or_default();
        let first = clean(told.lines().next().unwrap_or_default());
        let (of, when) = (text(at(alarm, "collection")), raised(alarm));
        let _ = writeln!(out, "alarm of {of}, {when}: {first}");
    }
    out
}

/// A collection whose new items are watched.
fn watched_line(name: &str, watched: &Value) -> String {
    let last = at(watched, "last");
    let fault = at(watched, "fault").as_str();
    let stands = match (fault, at(last, "standing").as_str()) {
        (Some(fault), _) => clean(fault),
        (None, Some(standing)) => format!("{} {}", text(at(watched, "seen")), clean(standing)),
        (None, None) => format!("nothing new since {}", text(at(watched, "seen"))),
    };
    format!(
        "{}: new items against {}: {stands}\n",
        clean(name),
        text(at(watched, "reference"))
    )
}

fn standing(answer: &Value) -> String {
    let mut out = line(answer);
    let wait = at(answer, "wait_ms").as_f64().unwrap_or_default();
    if 0.0 < wait {
        let minutes = (wait / 60_000.0).ceil();
        let _ = writeln!(out, "    may look again in {minutes} minutes");
    }
    alarms(answer, &mut out);
    out
}

fn looked(answer: &Value) -> String {
    let last = at(answer, "last");
    match at(last, "standing").as_str() {
        Some("alarm") => format!("alarm\n{}", told(last)),
        Some("suspected") => {
            "suspected: one window hit, an alarm takes another among the next two\n".to_owned()
        }
        _ => format!(
            "quiet: p = {}\n",
            number(at(at(last, "finding"), "p_value"), 4)
        ),
    }
}

/// A message line by line, so that no line of it is taken for ours.
fn told(last: &Value) -> String {
    let message = at(last, "text").as_str().unwrap_or_default();
    message
        .lines()
        .map(|line| format!("{}\n", clean(line)))
        .collect()
}

fn explained(answer: &Value) -> String {
    let last = at(answer, "last");
    if last.is_null() {
        return format!(
            "{} has not looked yet: `promptgate embeddings drift run`\n",
            setting(answer, "name")
        );
    }
    let finding = at(last, "finding");
    let mut out = told(last);
    let _ = writeln!(
        out,
        "\nwindow {} against {}: {} and {} texts",
        text(at(last, "window")),
        text(at(answer, "reference")),
        at(finding, "current"),
        at(finding, "reference"),
    );
    for (name, value) in [
        ("shift (kernel test), p", number(at(finding, "p_shift"), 4)),
        ("novelty (rank sum), p", number(at(finding, "p_novelty"), 4)),
        (
            "retrieval (rank sum), p",
            number(at(at(finding, "retrieval"), "p_value"), 4),
        ),
        ("all (Holm), p", number(at(finding, "p_value"), 4)),
        ("level of this look", number(at(last, "alpha"), 4)),
        ("AUC", number(at(finding, "auc"), 3)),
        (
            "centroid, in deviations",
            number(at(finding, "centroid_deviations"), 1),
        ),
    ] {
        let _ = writeln!(out, "  {name:<24} {value}");
    }
    if at(last, "standing") != "quiet" {
        listed_groups(last, &mut out);
    }
    out
}

fn documents(answer: &Value) -> String {
    let mut out = told(answer);
    if at(answer, "is_drift").as_bool() == Some(true) {
        listed_groups(answer, &mut out);
    }
    out
}

/// Groups of new texts, and those that are new by the other measure.
fn listed_groups(seen: &Value, out: &mut String) {
    for group in at(seen, "groups").as_array().into_iter().flatten() {
        let words = list(at(group, "words")).join(", ");
        let texts = at(group, "texts").as_u64().unwrap_or(0);
        let _ = writeln!(out, "\n{}: {words}", counted(texts, "text"));
        for example in list(at(group, "examples")) {
            let _ = writeln!(out, "  {example}");
        }
    }
    let others = list(at(seen, "others"));
    if !others.is_empty() {
        out.push_str("\nnew by the other measure:\n");
        for example in others {
            let _ = writeln!(out, "  {example}");
        }
    }
}

fn accepted(answer: &Value) -> String {
    format!(
        "{} holds windows against {} from now on\n",
        setting(answer, "name"),
        text(at(answer, "reference"))
    )
}

fn stopped(answer: &Value) -> String {
    format!(
        "{} has ended; its snapshots are kept\n",
        setting(answer, "name")
    )
}
