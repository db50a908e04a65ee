//! `promptgate store rebuild|gaps`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::calls::time;
use crate::cli::output::{self, Align, Failure, at, table};
use crate::cli::reach::Admin;
use clap::Subcommand;
use http::Method;
use serde_json::Value;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Build the index anew from the journal.
    Rebuild,
    /// List when calls were served without a record, because the disk was full.
    Gaps,
}

/// Runs the command.
pub(crate) async fn run(
    command: StoreCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    match command {
        StoreCommand::Rebuild => rebuild(&admin, common.json).await?,
        StoreCommand::Gaps => print_gaps(&admin, common.json).await?,
    }
    admin.close().await
}

async fn rebuild(admin: &Admin, as_json: bool) -> Result<(), Failure> {
    let answer = admin.send(Method::POST, "/api/store/rebuild", None).await?;
    if as_json {
        return output::put(&format!("{answer}\n"));
    }
    let calls = at(&answer, "calls");
    output::put(&format!(
        "index and registry are rebuilt from the journal: {calls} calls\n"
    ))
}

async fn print_gaps(admin: &Admin, as_json: bool) -> Result<(), Failure> {
    let answer = admin.send(Method::GET, "/api/store/gaps", None).await?;
    let gaps = at(&answer, "data");
    if as_json {
        return output::put(&format!("{gaps}\n"));
    }
    let rows: Vec<_> = gaps.as_array().into_iter().flatten().map(row).collect();
    if rows.is_empty() {
        return output::put("no gaps: every call that was served has its record\n");
    }
    let headings = [
        ("from", Align::Left),
        ("to", Align::Left),
        ("unrecorded calls", Align::Right),
    ];
    output::put(&table(&headings, &rows))
}

fn row(gap: &Value) -> Vec<String> {
    let to = match at(gap, "to") {
        Value::Null => "-".to_owned(),
        to => time(to),
    };
    let calls = match at(gap, "calls") {
        Value::Null => "unknown".to_owned(),
        calls => calls.to_string(),
    };
    vec![time(at(gap, "from")), to, calls]
}
