//! `promptgate evals …`: suites are read from files here, runs go on behind the admin plane.

mod calibrate;
mod check;
mod import;
mod list;
mod outcome;
mod plans;
mod progress;
mod run;
mod show;
mod text;
mod workspace;

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
    /// Check suites without asking anybody, and say what a run would take.
    Check(check::CheckArguments),
    /// Hold a judge against what people say of the same answers.
    Calibrate(calibrate::CalibrateArguments),
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
        EvalsCommand::Run(arguments) => run::run(&arguments, common, environment).await,
        EvalsCommand::List(arguments) => list::run(&arguments, common, environment).await,
        EvalsCommand::Show(arguments) => show::run(&arguments, common, environment).await,
        EvalsCommand::Check(arguments) => check::run(&arguments, common, environment).await,
        EvalsCommand::Calibrate(arguments) => calibrate::run(&arguments, common, environment).await,
        EvalsCommand::Import(arguments) => import::run(&arguments, common.json),
    }
}
