//! `promptgate evals`: reports of runs.

mod evidence;
mod report;
mod terminal;

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum EvalsCommand {
    /// Show the report of a run, or write it in other forms.
    Report(report::ReportArguments),
    /// Check an evidence pack.
    #[command(subcommand)]
    Evidence(evidence::EvidenceCommand),
}

/// Runs the command.
pub(crate) async fn run(
    command: EvalsCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        EvalsCommand::Report(arguments) => report::run(arguments, common, environment).await,
        EvalsCommand::Evidence(command) => evidence::run(&command, common),
    }
}
