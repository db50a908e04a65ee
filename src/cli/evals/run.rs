//! `promptgate evals run`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::evals::directory::Directory;
use crate::cli::evals::outcome::{self, INTERRUPTED};
use crate::cli::evals::plans::{self, Filters};
use crate::cli::evals::progress;
use crate::cli::evals::report;
use crate::cli::output::{self, Failure, at};
use crate::cli::progress::ProgressLine;
use crate::cli::reach::{self, Admin};
use crate::domain::{PicoDollars, RunId};
use crate::evals::ledger::{RunEnd, Stop};
use crate::evals::plan::RunPlan;
use crate::evals::report::RunReport;
use crate::evals::row::Row;
use crate::evals::run::Progress;
use clap::Args;
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// What `--help` adds.
pub(crate) const HELP: &str = "Exit codes: 0 passed, 100 failed, 101 inconclusive (something could not be \
    judged, or was not asked), 102 the budget is spent, 1 an error, 2 wrong usage, 130 interrupted.\n\
    A run that was cut goes on by itself when the same is run again within a day: what was paid is not paid \
    again. It runs in the server of this data directory, or in this process when none runs.";

#[derive(Debug, Args)]
pub(crate) struct RunArguments {
    /// Suites: files, or names below the directory of suites (default: all; with `--base` those that the change
    /// touches).
    #[arg(value_name = "SUITE")]
    pub(crate) suites: Vec<String>,
    #[command(flatten)]
    pub(crate) evals: Directory,
    /// Compare with this branch, tag or commit.
    #[arg(long, value_name = "REF")]
    pub(crate) base: Option<String>,
    /// For experts: carry out a plan that is ready (JSON, version 1) in place of a suite.
    #[arg(long = "plan", value_name = "FILE", conflicts_with = "suites")]
    pub(crate) plans: Vec<PathBuf>,
    /// Ask each case so often.
    #[arg(long, value_name = "N")]
    pub(crate) repeat: Option<u32>,
    /// Make at most so many calls at once.
    #[arg(long, short = 'j', value_name = "N")]
    pub(crate) concurrency: Option<u32>,
    #[command(flatten)]
    pub(crate) filters: Filters,
    /// Take no answer of an earlier run.
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Ask nobody: judge the answers that are given or kept from earlier runs, and say what was left out.
    #[arg(long, conflicts_with = "no_cache")]
    offline: bool,
    /// Begin anew, also when a run of the same was cut.
    #[arg(long, conflicts_with = "resume")]
    fresh: bool,
    /// Go on with a run that was cut (default: the newest).
    #[arg(long, value_name = "RUN", num_args = 0..=1, default_missing_value = "last")]
    resume: Option<String>,
    /// Ask again what could not be judged.
    #[arg(long)]
    retry_errors: bool,
    /// Spend at most so many dollars.
    #[arg(long, value_name = "USD", value_parser = dollars)]
    pub(crate) budget: Option<PicoDollars>,
    /// Who asks for the run, for reports; in GitHub's and GitLab's jobs it is known.
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    forms: report::Forms,
}

/// Reads an amount in dollars, exactly.
pub(crate) fn dollars(text: &str) -> Result<PicoDollars, String> {
    let wrong = || format!("`{text}` is no amount in dollars: write `2`, or `0.50`");
    let (whole, parts) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || 12 < parts.len() || !is_digits(whole) || !is_digits(parts) {
        return Err(wrong());
    }
    let digits = format!("{whole}{parts:0<12}");
    digits.parse().map(PicoDollars).map_err(|_| wrong())
}

/// A line of the server's answer.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line {
    Begun { run: RunId, is_resumed: bool },
    Progress(Progress),
    Row { row: Box<Row> },
    Ended(Box<RunEnd>),
    Error { error: Value },
}

/// What has come of a run so far.
#[derive(Debug, Default)]
struct Heard {
    run: Option<RunId>,
    rows: Vec<Row>,
    end: Option<RunEnd>,
    error: Option<Failure>,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &RunArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let is_named = !arguments.suites.is_empty() || !arguments.plans.is_empty();
    // To go on needs no files.
    let has_plans = is_named || arguments.resume.is_none();
    let config = reach::config(common, environment)?;
    let admin = Admin::reach(common, environment)?;
    let work = async {
        let mut codes = Vec::new();
        if !has_plans {
            codes.push(one(&admin, None, arguments, (common, environment)).await?);
            return Ok(codes);
        }
        for plan in plans::read(arguments, &admin, &config, environment).await? {
            let code = one(&admin, Some(plan), arguments, (common, environment)).await?;
            codes.push(code);
            if code == INTERRUPTED {
                break;
            }
        }
        Ok(codes)
    };
    let result: Result<Vec<u8>, Failure> = work.await;
    admin.close().await?;
    // The worst of all suites: what is certain before what is not.
    let codes = result?;
    let worst = [INTERRUPTED, 100, 102, 101]
        .into_iter()
        .find(|code| codes.contains(code));
    worst.map_or(Ok(()), |code| Err(Failure::silent().with_code(code)))
}

/// Carries out one plan and prints what it came to; returns its code.
async fn one(
    admin: &Admin,
    plan: Option<RunPlan>,
    arguments: &RunArguments,
    (common, environment): (&Common, &Environment),
) -> Result<u8, Failure> {
    let body = json!({
        "plan": plan,
        "rows": false,
        "options": {
            "fresh": arguments.fresh,
            "resume": arguments.resume,
            "retry_errors": arguments.retry_errors,
            "offline": arguments.offline,
        },
    });
    let (end, _) = carry_out(admin, &body).await?;
    let (run, stopped) = (end.run, end.stopped);
    let answer = admin.get(&format!("/api/evals/runs/{run}/report")).await?;
    let report: RunReport = serde_json::from_value(answer)
        .map_err(|error| Failure::new(format!("the report cannot be read: {error}")))?;
    let mut forms = arguments.forms.clone();
    if common.json {
        forms.formats = vec![report::Format::Json];
    }
    report::write(&report, &forms, environment)?;
    let code = outcome::code(&report, stopped);
    if stopped.is_some_and(|stop| !stop.is_complete()) {
        let more = match stopped {
            Some(Stop::Budget) => " with a larger `--budget`",
            Some(Stop::JudgeBudget) => " with a larger budget for judges",
            _ => "",
        };
        output::say(&format!(
            "hint: `promptgate evals run --resume {run}`{more} goes on where it stopped\n"
        ));
    }
    Ok(code)
}

/// Carries out what `body` asks for, shows how far it is, and returns how it ended, with its rows.
pub(crate) async fn carry_out(admin: &Admin, body: &Value) -> Result<(RunEnd, Vec<Row>), Failure> {
    let heard = Arc::new(Mutex::new(Heard::default()));
    let mut line = ProgressLine::of_stderr();
    let hearing = Arc::clone(&heard);
    let mut on_line = move |text: &[u8]| {
        let mut heard = hearing.lock().unwrap_or_else(PoisonError::into_inner);
        hear(&mut heard, text, &mut line);
    };
    let result = follow(admin, body, &heard, &mut on_line).await;
    let heard = {
        let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *heard)
    };
    result?;
    if let Some(error) = heard.error {
        return Err(error);
    }
    let Some(end) = heard.end else {
        let hint = heard
            .run
            .map(|run| format!("`promptgate evals run --resume {run}` goes on with it"));
        return Err(Failure::new("the run broke off").with_hint(hint));
    };
    Ok((end, heard.rows))
}

/// Reads the answer; an interruption stops the run, a second one does not wait for it.
async fn follow(
    admin: &Admin,
    body: &Value,
    heard: &Mutex<Heard>,
    on_line: &mut (dyn FnMut(&[u8]) + Send),
) -> Result<(), Failure> {
    let lines = admin.lines("/api/evals/runs", body, on_line);
    tokio::pin!(lines);
    tokio::select! {
        result = &mut lines => return result,
        _ = tokio::signal::ctrl_c() => {}
    }
    let run = heard.lock().unwrap_or_else(PoisonError::into_inner).run;
    let interrupted = || Failure::new("interrupted").with_code(INTERRUPTED);
    let Some(run) = run else {
        return Err(interrupted());
    };
    let hint = Some(format!(
        "`promptgate evals run --resume {run}` goes on with it"
    ));
    output::say("\nstopping: calls under way may finish; a second interruption does not wait\n");
    let path = format!("/api/evals/runs/{run}");
    let stopping = async {
        // A run that has ended meanwhile need not be stopped.
        let _ = admin.send(Method::DELETE, &path, None).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        result = &mut lines => result,
        () = stopping => Ok(()),
        _ = tokio::signal::ctrl_c() => Err(interrupted().with_hint(hint)),
    }
}

fn hear(heard: &mut Heard, text: &[u8], line: &mut ProgressLine) {
    match serde_json::from_slice::<Line>(text) {
        Ok(Line::Begun { run, is_resumed }) => {
            heard.run = Some(run);
            let what = if is_resumed { "goes on" } else { "begins" };
            output::say(&format!("run {run} {what}\n"));
        }
        Ok(Line::Progress(progress)) => line.show(&progress::line(&progress)),
        Ok(Line::Row { row }) => heard.rows.push(*row),
        Ok(Line::Ended(end)) => {
            line.clear();
            heard.end = Some(*end);
        }
        Ok(Line::Error { error }) => {
            line.clear();
            let text = |key: &str| at(&error, key).as_str().map(str::to_owned);
            let message = text("message").unwrap_or_else(|| error.to_string());
            heard.error = Some(Failure::new(message).with_hint(text("hint")));
        }
        Err(error) => {
            let message = format!("the server's answer cannot be read: {error}");
            heard.error = Some(Failure::new(message));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::dollars;
    use crate::domain::PicoDollars;

    #[test]
    fn amounts_are_read_exactly() {
        for (text, pico) in [
            ("2", 2_000_000_000_000),
            ("0.5", 500_000_000_000),
            ("1.000000000001", 1_000_000_000_001),
            ("3.", 3_000_000_000_000),
        ] {
            assert_eq!(dollars(text), Ok(PicoDollars(pico)), "{text}");
        }
        for text in [
            "",
            ".5",
            "-1",
            "1e3",
            "1.0000000000001",
            "99999999999",
            "two",
        ] {
            assert!(dollars(text).is_err(), "{text}");
        }
    }
}
