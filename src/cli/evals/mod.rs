//! `promptgate evals …`: suites from files.

mod check;
mod import;
mod text;
mod workspace;

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum EvalsCommand {
    /// Check suites without asking anybody, and say what a run would take.
    Check(check::CheckArguments),
    /// Bring a suite of another tool here, exactly or not at all.
    Import(import::ImportArguments),
}

/// Runs the command.
pub(crate) async fn run(
    command: EvalsCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        EvalsCommand::Check(arguments) => check::run(&arguments, common, environment).await,
        EvalsCommand::Import(arguments) => import::run(&arguments, common.json),
    }
}
