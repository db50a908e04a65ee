//! `promptgate store rebuild`.

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::{self, Failure, at};
use crate::cli::reach::Admin;
use clap::Subcommand;
use http::Method;

#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Build the index anew from the journal.
    Rebuild,
}

/// Runs the command.
pub(crate) async fn run(
    command: StoreCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let admin = Admin::reach(common, environment)?;
    let StoreCommand::Rebuild = command;
    let answer = admin.send(Method::POST, "/api/store/rebuild", None).await?;
    if common.json {
        output::put(&format!("{answer}\n"))?;
    } else {
        let calls = at(&answer, "calls");
        output::put(&format!(
            "index and registry are rebuilt from the journal: {calls} calls\n"
        ))?;
    }
    admin.close().await
}
