//! `promptgate calls list|show|tail|stats`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::at;
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::reach::{Admin, escape};
use crate::domain::PicoDollars;
use clap::{Args, Subcommand, ValueEnum};
use jiff::Timestamp;
use serde_json::Value;
use std::fmt::Write as _;

#[derive(Debug, Subcommand)]
pub(crate) enum CallsCommand {
    /// List calls, newest first.
    List(List),
    /// Show one call whole, with the prompt as it was rendered.
    Show {
        /// The call's id (`x-request-id`), or the first characters of it.
        id: String,
    },
    /// Print calls as they end.
    Tail,
    /// Sum calls, errors, tokens, cost and latency.
    Stats(Stats),
}

#[derive(Debug, Args)]
pub(crate) struct List {
    #[command(flatten)]
    filter: Filter,
    /// How many.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
}

/// Which calls are meant.
#[derive(Debug, Clone, Args)]
pub(crate) struct Filter {
    /// Made from this prompt.
    #[arg(long, value_name = "NAME")]
    prompt: Option<String>,
    /// Made from this version of it (`v7`, `sha-…`).
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Asked of this model.
    #[arg(long)]
    model: Option<String>,
    /// That ended like this: ok, `client_gone`, `upstream_error`, timeout, refused, `crash_recovered`.
    #[arg(long)]
    state: Option<String>,
    /// Made with this key (its id).
    #[arg(long)]
    key: Option<String>,
    /// For this end user.
    #[arg(long)]
    user: Option<String>,
    /// In this session.
    #[arg(long)]
    session: Option<String>,
    /// Made for this run of evals (its whole id).
    #[arg(long, value_name = "ID")]
    run: Option<String>,
    /// Since then: `15m`, `24h`, `7d`, or `2026-11-23T10:00:00Z`.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Until then, in the same forms.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Stats {
    /// What to sum by.
    #[arg(long, value_enum, default_value_t = GroupBy::Prompt)]
    by: GroupBy,
    /// Since then: `24h`, `7d`, or a date.
    #[arg(long, value_name = "TIME", default_value = "24h")]
    since: String,
    /// Until then.
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum GroupBy {
    Prompt,
    Version,
    Model,
    Provider,
    Key,
    State,
    Hour,
}

/// Runs the command.
pub(crate) async fn run(
    command: CallsCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let result = match command {
        CallsCommand::List(list) => print_list(&admin, &list, common.json).await,
        CallsCommand::Show { id } => show(&admin, &id, common.json).await,
        CallsCommand::Tail => tail(&admin, common.json).await,
        CallsCommand::Stats(stats) => print_stats(&admin, &stats, common.json).await,
    };
    admin.close().await?;
    result
}

impl Filter {
    /// Returns the filter as a query.
    fn query(&self) -> Result<String, Failure> {
        let mut query = String::new();
        for (name, value) in [
            ("prompt", &self.prompt),
            ("version", &self.version),
            ("model", &self.model),
            ("state", &self.state),
            ("key", &self.key),
            ("user", &self.user),
            ("session", &self.session),
            ("run", &self.run),
        ] {
            if let Some(value) = value {
                let _ = write!(query, "&{name}={}", escape(value));
            }
        }
        for (name, value) in [("from", &self.since), ("to", &self.until)] {
            if let Some(value) = value {
                let _ = write!(query, "&{name}={}", moment(value)?);
            }
        }
        Ok(query)
    }
}

/// Reads a point in time: a span before now, or a date. Returns microseconds since the epoch.
pub(crate) fn moment(text: &str) -> Result<i64, Failure> {
    let fail = || {
        let hint = "write `15m`, `24h`, `7d`, or `2026-11-23T10:00:00Z`".to_owned();
        Failure::usage(format!("`{text}` is no point in time")).with_hint(Some(hint))
    };
    if let Ok(at) = text.parse::<Timestamp>() {
        return Ok(at.as_microsecond());
    }
    if let Ok(day) = text.parse::<jiff::civil::Date>() {
        let start = day.to_zoned(jiff::tz::TimeZone::UTC).map_err(|_| fail())?;
        return Ok(start.timestamp().as_microsecond());
    }
    let millis = milliseconds(text).map_err(|_| fail())?;
    let now = crate::domain::Clock::System.now();
    Ok(now.0.saturating_sub(millis.saturating_mul(1_000)))
}

/// Reads a span of time: `15m`, `24h`, `7d`. Returns milliseconds.
pub(crate) fn milliseconds(text: &str) -> Result<i64, String> {
    let fail = || format!("`{text}` is no span of time like `15m`, `24h` or `7d`");
    let unit = text.chars().last().ok_or_else(fail)?;
    let seconds: i64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(fail()),
    };
    let count: i64 = text.trim_end_matches(unit).parse().map_err(|_| fail())?;
    count.checked_mul(seconds * 1_000).ok_or_else(fail)
}

async fn print_list(admin: &Admin, list: &List, as_json: bool) -> Result<(), Failure> {
    let query = list.filter.query()?;
    let answer = admin
        .get(&format!("/api/calls?limit={}{query}", list.limit))
        .await?;
    if as_json {
        return output::put(&format!("{}\n", at(&answer, "data")));
    }
    let calls = at(&answer, "data").as_array().cloned().unwrap_or_default();
    if calls.is_empty() {
        output::say("no calls match\n");
        return Ok(());
    }
    let rows: Vec<Vec<String>> = calls.iter().map(row).collect();
    output::put(&table(&HEADINGS, &rows))
}

const HEADINGS: [(&str, Align); 10] = [
    ("id", Align::Left),
    ("started", Align::Left),
    ("state", Align::Left),
    ("prompt", Align::Left),
    ("version", Align::Left),
    ("provider/model", Align::Left),
    ("in", Align::Right),
    ("out", Align::Right),
    ("cost $", Align::Right),
    ("ms", Align::Right),
];

fn row(call: &Value) -> Vec<String> {
    let text = |field: &str| at(call, field).as_str().unwrap_or("-").to_owned();
    let state = at(call, "state").as_str().unwrap_or("in_flight").to_owned();
    let number = |field: &str| {
        at(call, field)
            .as_u64()
            .map_or_else(|| "-".to_owned(), |n| n.to_string())
    };
    let mut version = text("version");
    if at(call, "dirty") == true {
        version.push_str(" dirty");
    }
    // The usual arm needs no word.
    if let Some(arm @ ("canary" | "shadow" | "override")) = at(call, "arm").as_str() {
        version = format!("{version} {arm}");
    }
    let model = format!("{}/{}", text("provider"), text("model"));
    vec![
        text("id"),
        time(at(call, "started")),
        state,
        text("prompt"),
        version,
        model,
        number("input_tokens"),
        number("output_tokens"),
        cost(call),
        at(call, "total_us")
            .as_u64()
            .map_or_else(|| "-".to_owned(), millis),
    ]
}

/// An amount that is estimated says so; an unknown one is no zero.
fn cost(call: &Value) -> String {
    let Some(pico) = at(call, "cost_pico_usd").as_u64() else {
        return "unknown".to_owned();
    };
    let mark = if at(call, "cost_quality") == "estimated" {
        "~"
    } else {
        ""
    };
    format!("{mark}{}", PicoDollars(pico).to_dollars())
}

fn millis(micros: u64) -> String {
    format!("{}.{}", micros / 1_000, micros % 1_000 / 100)
}

/// Returns a stored time as people read it, to the second, in UTC.
pub(crate) fn time(value: &Value) -> String {
    let at = value
        .as_i64()
        .and_then(|micros| Timestamp::from_microsecond(micros).ok());
    at.map_or_else(
        || "-".to_owned(),
        |at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

async fn show(admin: &Admin, id: &str, as_json: bool) -> Result<(), Failure> {
    let call = admin.get(&format!("/api/calls/{}", escape(id))).await?;
    if as_json {
        return output::put(&format!("{call}\n"));
    }
    let mut text = String::new();
    for (title, part) in [
        ("intent", at(&call, "intent")),
        ("outcome", at(&call, "outcome")),
        ("request, as the client sent it", at(&call, "request")),
        ("request, as it was made from the prompt", at(&call, "sent")),
        ("output", at(&call, "output")),
    ] {
        if !part.is_null() {
            let pretty = serde_json::to_string_pretty(part).unwrap_or_default();
            let _ = writeln!(text, "{title}:\n{pretty}\n");
        }
    }
    output::put(&text)
}

/// Prints calls as they end, until the command is interrupted.
async fn tail(admin: &Admin, as_json: bool) -> Result<(), Failure> {
    let mut place = at(&admin.get("/api/calls/tail").await?, "next").clone();
    loop {
        let after = escape(place.as_str().unwrap_or_default());
        let answer = admin
            .get(&format!("/api/calls/tail?wait=20&after={after}"))
            .await?;
        for call in at(&answer, "data").as_array().into_iter().flatten() {
            let line = if as_json {
                call.to_string()
            } else {
                row(call).join("  ")
            };
            output::put(&format!("{line}\n"))?;
        }
        place = at(&answer, "next").clone();
    }
}

async fn print_stats(admin: &Admin, stats: &Stats, as_json: bool) -> Result<(), Failure> {
    let by = match stats.by {
        GroupBy::Prompt => "prompt",
        GroupBy::Version => "version",
        GroupBy::Model => "model",
        GroupBy::Provider => "provider",
        GroupBy::Key => "key",
        GroupBy::State => "state",
        GroupBy::Hour => "hour",
    };
    let mut path = format!(
        "/api/calls/stats?group_by={by}&from={}",
        moment(&stats.since)?
    );
    if let Some(until) = &stats.until {
        let _ = write!(path, "&to={}", moment(until)?);
    }
    let answer = admin.get(&path).await?;
    if as_json {
        return output::put(&format!("{}\n", at(&answer, "data")));
    }
    let rows: Vec<Vec<String>> = at(&answer, "data")
        .as_array()
        .into_iter()
        .flatten()
        .map(stats_row)
        .collect();
    let headings = [
        (by, Align::Left),
        ("calls", Align::Right),
        ("errors", Align::Right),
        ("in", Align::Right),
        ("out", Align::Right),
        ("cost $", Align::Right),
        ("p50 ms", Align::Right),
        ("p95 ms", Align::Right),
        ("p99 ms", Align::Right),
    ];
    output::put(&table(&headings, &rows))
}

fn stats_row(row: &Value) -> Vec<String> {
    let number = |field: &str| {
        at(row, field)
            .as_u64()
            .map_or_else(|| "-".to_owned(), |n| n.to_string())
    };
    let ok = at(at(row, "states"), "ok").as_u64().unwrap_or(0);
    let errors = at(row, "calls").as_u64().unwrap_or(0).saturating_sub(ok);
    let latency = |field: &str| {
        at(row, field)
            .as_u64()
            .map_or_else(|| "-".to_owned(), millis)
    };
    vec![
        at(row, "group").as_str().unwrap_or("-").to_owned(),
        number("calls"),
        errors.to_string(),
        number("input_tokens"),
        number("output_tokens"),
        cost(row),
        latency("p50_us"),
        latency("p95_us"),
        latency("p99_us"),
    ]
}
