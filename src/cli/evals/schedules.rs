//! `promptgate evals schedules`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::time;
use crate::cli::evals::outcome::{FAILED, INCONCLUSIVE};
use crate::cli::output::{self, Align, Failure, at, table};
use crate::cli::reach::Admin;
use clap::Args;
use serde_json::Value;
use std::path::PathBuf;

/// What `--help` adds.
pub(crate) const HELP: &str = "Exit codes: 0 every last run passed (or there was none yet), 100 one failed, \
    101 one is inconclusive, invalid or could not run, 1 an error, 2 wrong usage.\n\
    Runs begin in `promptgate serve`; without a server this shows how the last one left them.";

#[derive(Debug, Args)]
pub(crate) struct SchedulesArguments {
    /// The directory of suites, where no server knows it (default: ./evals).
    #[arg(long, env = "PROMPTGATE_EVALS", value_name = "DIR")]
    evals: Option<PathBuf>,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &SchedulesArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let mut overrides = common.overrides();
    overrides.evals.clone_from(&arguments.evals);
    let admin = Admin::with_overrides(&overrides, environment)?;
    let answer = admin.get("/api/evals/schedules").await;
    admin.close().await?;
    let answer = answer?;
    let schedules = at(&answer, "data")
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    if common.json {
        output::put(&format!("{answer}\n"))?;
    } else if schedules.is_empty() {
        output::say("no suite has a schedule: `metadata.promptgate.schedule` gives it one\n");
    } else {
        let rows: Vec<Vec<String>> = schedules.iter().map(row).collect();
        output::put(&table(&HEADINGS, &rows))?;
        for schedule in schedules {
            notes(schedule);
        }
        if at(&answer, "is_firing").as_bool() == Some(false) {
            output::say("no server runs here, so nothing begins by itself\n");
        }
    }
    let code = code(schedules);
    code.map_or(Ok(()), |code| Err(Failure::silent().with_code(code)))
}

/// What is certain counts before what is not.
fn code(schedules: &[Value]) -> Option<u8> {
    let has = |wanted: &[&str]| {
        let verdicts = schedules
            .iter()
            .filter_map(|one| at(one, "verdict").as_str());
        verdicts
            .into_iter()
            .any(|verdict| wanted.contains(&verdict))
    };
    if has(&["failed"]) {
        return Some(FAILED);
    }
    let has_error = schedules.iter().any(|one| at(one, "error").is_string());
    (has_error || has(&["inconclusive", "invalid"])).then_some(INCONCLUSIVE)
}

const HEADINGS: [(&str, Align); 7] = [
    ("suite", Align::Left),
    ("cron", Align::Left),
    ("zone", Align::Left),
    ("next", Align::Left),
    ("last", Align::Left),
    ("state", Align::Left),
    ("run", Align::Left),
];

fn row(schedule: &Value) -> Vec<String> {
    let text = |name: &str| at(schedule, name).as_str().unwrap_or("-").to_owned();
    let moment = |name: &str| {
        let value = at(schedule, name);
        if value.is_null() {
            "-".to_owned()
        } else {
            time(value)
        }
    };
    let state = if at(schedule, "is_running").as_bool() == Some(true) {
        "running".to_owned()
    } else if at(at(schedule, "sentinel"), "drift").is_string() {
        format!("{}, drift", text("verdict"))
    } else {
        text("verdict")
    };
    vec![
        text("suite"),
        text("cron"),
        text("time_zone"),
        moment("next_due"),
        moment("last_due"),
        state,
        text("run"),
    ]
}

/// What should be known beside the table.
fn notes(schedule: &Value) {
    let suite = at(schedule, "suite").as_str().unwrap_or_default();
    let drift = at(at(schedule, "sentinel"), "drift");
    for (what, value) in [
        ("did not run", at(schedule, "error")),
        ("drift", drift),
        ("an alert was not sent", at(schedule, "alert_error")),
    ] {
        if let Some(text) = value.as_str() {
            output::say(&format!("{suite}: {what}: {text}\n"));
        }
    }
    for (what, name) in [
        ("left out, for the run before was not over", "skipped"),
        ("missed, for nothing ran", "missed"),
    ] {
        let value = at(schedule, name);
        if !value.is_null() {
            output::say(&format!("{suite}: {} was {what}\n", time(value)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::code;
    use serde_json::json;

    #[test]
    fn the_worst_last_verdict_is_the_code() {
        let passed = json!({"verdict": "passed", "error": null});
        let failed = json!({"verdict": "failed", "error": null});
        let invalid = json!({"verdict": "invalid", "error": "it has nothing to ask"});
        let unclaimed = json!({"verdict": "passed", "error": "no claim"});
        assert_eq!(code(&[]), None);
        assert_eq!(code(&[passed.clone(), json!({"verdict": null})]), None);
        assert_eq!(code(&[passed.clone(), invalid.clone(), failed]), Some(100));
        assert_eq!(code(&[invalid]), Some(101));
        assert_eq!(code(&[passed, unclaimed]), Some(101));
    }
}
