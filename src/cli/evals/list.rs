//! `promptgate evals list`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::time;
use crate::cli::output::{self, Align, Failure, at, table};
use crate::cli::reach::Admin;
use crate::domain::PicoDollars;
use clap::Args;
use serde_json::Value;

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// How many.
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: usize,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &ListArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let answer = admin
        .get(&format!("/api/evals/runs?limit={}", arguments.limit))
        .await;
    admin.close().await?;
    let answer = answer?;
    if common.json {
        return output::put(&format!("{}\n", at(&answer, "data")));
    }
    let runs: Vec<Vec<String>> = at(&answer, "data")
        .as_array()
        .into_iter()
        .flatten()
        .map(row)
        .collect();
    if runs.is_empty() {
        output::say("there are no runs\n");
        return Ok(());
    }
    output::put(&table(&HEADINGS, &runs))
}

const HEADINGS: [(&str, Align); 9] = [
    ("id", Align::Left),
    ("began", Align::Left),
    ("suite", Align::Left),
    ("state", Align::Left),
    ("cells", Align::Right),
    ("passed", Align::Right),
    ("failed", Align::Right),
    ("errors", Align::Right),
    ("cost $", Align::Right),
];

fn row(run: &Value) -> Vec<String> {
    let (plan, result, progress) = (at(run, "plan"), at(run, "result"), at(run, "progress"));
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let state = match (at(run, "state").as_str(), at(result, "stopped").as_str()) {
        (Some("ended"), Some(stopped)) => stopped.to_owned(),
        (Some(state), _) => state.to_owned(),
        (None, _) => "-".to_owned(),
    };
    // A run that goes on tells its figures itself.
    let number = |name: &str| {
        let known = at(result, name)
            .as_u64()
            .or_else(|| at(progress, name).as_u64());
        known.map_or_else(|| "-".to_owned(), |number| number.to_string())
    };
    let amount = |name: &str| at(result, name).as_u64();
    let cost = amount("case_pico_usd").zip(amount("judge_pico_usd"));
    let cost = cost.map(|(cases, judges)| PicoDollars(cases.saturating_add(judges)).to_dollars());
    vec![
        text(at(run, "id")),
        time(at(run, "began")),
        text(at(plan, "suite")),
        state,
        at(plan, "cells")
            .as_u64()
            .map_or_else(|| "-".to_owned(), |cells| cells.to_string()),
        number("passed"),
        number("failed"),
        number("errors"),
        cost.unwrap_or_else(|| "unknown".to_owned()),
    ]
}
