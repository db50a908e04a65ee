//! `promptgate evals show`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::time;
use crate::cli::output::{self, Align, Failure, at, clean, table};
use crate::cli::reach::{Admin, escape};
use clap::Args;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Characters of a reason in a list.
const REASON: usize = 60;

#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// The run's id, or the first characters of it.
    run: String,
    /// Show this case whole: its variables, what was sent, the answer, and each grade.
    #[arg(long, value_name = "ID")]
    case: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    arguments: &ShowArguments,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let path = format!("/api/evals/runs/{}", escape(&arguments.run));
    let read = async {
        let run = admin.get(&path).await?;
        let rows = admin.get(&format!("{path}/rows")).await?;
        Ok::<_, Failure>((run, rows))
    };
    let read = read.await;
    admin.close().await?;
    let (run, rows) = read?;
    let mut rows: Vec<Value> = at(&rows, "data").as_array().cloned().unwrap_or_default();
    if let Some(case) = &arguments.case {
        rows.retain(|row| at(at(row, "cell"), "case").as_str() == Some(case));
        if rows.is_empty() {
            let hint = Some("`promptgate evals show RUN` lists its cases".to_owned());
            let message = format!("run `{}` has no row of case `{case}`", arguments.run);
            return Err(Failure::new(message).with_hint(hint));
        }
    }
    if common.json {
        return output::put(&format!("{}\n", json!({"run": run, "rows": rows})));
    }
    if arguments.case.is_some() {
        let texts: String = rows.iter().map(whole).collect();
        return output::put(&texts);
    }
    output::put(&overview(&run, &rows))
}

fn overview(run: &Value, rows: &[Value]) -> String {
    let (plan, end) = (at(run, "plan"), at(run, "end"));
    let text = |value: &Value| clean(value.as_str().unwrap_or("-"));
    let mut out = String::new();
    let _ = writeln!(out, "run    {}", text(at(run, "id")));
    let _ = writeln!(
        out,
        "suite  {}  {}",
        text(at(plan, "suite")),
        text(at(plan, "path"))
    );
    let _ = writeln!(out, "began  {}", time(at(run, "began")));
    let _ = writeln!(out, "state  {}", text(at(run, "state")));
    if let Some(stopped) = at(at(end, "spent"), "stopped").as_str() {
        let _ = writeln!(out, "       {stopped}");
    }
    for warning in at(end, "warnings").as_array().into_iter().flatten() {
        let _ = writeln!(out, "warning: {}", text(warning));
    }
    let headings = [
        ("case", Align::Left),
        ("subject", Align::Left),
        ("side", Align::Left),
        ("repeat", Align::Right),
        ("grade", Align::Left),
        ("reason", Align::Left),
    ];
    let lines: Vec<Vec<String>> = rows.iter().map(line).collect();
    out.push('\n');
    out.push_str(&table(&headings, &lines));
    out
}

fn line(row: &Value) -> Vec<String> {
    let (cell, grade) = (at(row, "cell"), at(row, "grade"));
    let text = |value: &Value| clean(value.as_str().unwrap_or("-"));
    let is_good = at(grade, "mark") == "pass";
    let reason = if is_good {
        String::new()
    } else {
        text(at(grade, "reason"))
    };
    let reason = reason.lines().next().unwrap_or_default();
    vec![
        text(at(cell, "case")),
        text(at(cell, "subject")),
        text(at(cell, "side")),
        at(cell, "repeat").to_string(),
        text(at(grade, "mark")),
        reason.chars().take(REASON).collect(),
    ]
}

/// A row with everything in it.
fn whole(row: &Value) -> String {
    let mut out = line(row).join("  ");
    out.push('\n');
    for (title, part) in [
        ("variables", at(row, "vars")),
        ("sent", at(row, "sent")),
        ("answer", at(row, "answer")),
        ("error", at(row, "error")),
        ("grade", at(row, "grade")),
    ] {
        if !part.is_null() {
            let pretty = serde_json::to_string_pretty(part).unwrap_or_default();
            let _ = writeln!(out, "{title}:\n{pretty}\n");
        }
    }
    out
}
