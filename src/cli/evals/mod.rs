//! `promptgate evals …`: suites are read from files here, runs go on behind the admin plane.

mod bless;
mod calibrate;
mod check;
mod directory;
mod evidence;
mod import;
mod list;
mod outcome;
mod plans;
mod progress;
mod report;
mod run;
mod schedules;
mod show;
mod terminal;
mod text;
mod touched;
mod workspace;

pub(crate) use progress::span;
pub(crate) use run::dollars;
pub(crate) use terminal::moved;

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
    /// Show what runs by itself, when next, and what came of it last.
    #[command(after_help = schedules::HELP)]
    Schedules(schedules::SchedulesArguments),
    /// Check suites without asking anybody, and say what a run would take.
    Check(check::CheckArguments),
    /// Hold a judge against what people say of the same answers.
    Calibrate(calibrate::CalibrateArguments),
    /// Bring a suite of another tool here, exactly or not at all.
    Import(import::ImportArguments),
    /// Show the report of a run, or write it in other forms.
    Report(report::ReportArguments),
    /// Make the results of a run what later runs are compared with.
    Bless(bless::BlessArguments),
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
        EvalsCommand::Run(arguments) => run::run(&arguments, common, environment).await,
        EvalsCommand::List(arguments) => list::run(&arguments, common, environment).await,
        EvalsCommand::Show(arguments) => show::run(&arguments, common, environment).await,
        EvalsCommand::Schedules(arguments) => schedules::run(&arguments, common, environment).await,
        EvalsCommand::Check(arguments) => check::run(&arguments, common, environment).await,
        EvalsCommand::Calibrate(arguments) => calibrate::run(&arguments, common, environment).await,
        EvalsCommand::Import(arguments) => import::run(&arguments, common.json),
        EvalsCommand::Report(arguments) => report::run(arguments, common, environment).await,
        EvalsCommand::Bless(arguments) => bless::run(&arguments, common, environment).await,
        EvalsCommand::Evidence(command) => evidence::run(&command, common),
    }
}
