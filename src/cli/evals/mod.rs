//! `promptgate evals run|list|show`.

mod filter;
mod list;
mod outcome;
mod plans;
mod progress;
mod run;
mod show;

use crate::app::Environment;
use crate::cli::Common;
use crate::cli::output::Failure;
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum EvalsCommand {
    /// Run suites, and grade what comes back.
    #[command(after_help = run::HELP)]
    Run(Box<run::RunArguments>),
    /// List runs, newest first.
    List(list::ListArguments),
    /// Show a run, or one of its cases whole.
    Show(show::ShowArguments),
}

/// Runs the command.
pub(crate) async fn run(
    command: EvalsCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    match command {
        EvalsCommand::Run(arguments) => run::run(&arguments, common, environment).await,
        EvalsCommand::List(arguments) => list::run(&arguments, common, environment).await,
        EvalsCommand::Show(arguments) => show::run(&arguments, common, environment).await,
    }
}
