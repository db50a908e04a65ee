//! The command line: stdout is data, stderr is everything else, errors end with a hint.
//!
//! Exit codes: 0 done, 1 failed (or findings), 2 wrong usage or config; runs of evals have more of their own.

mod audit;
mod bisect;
mod calls;
mod check;
mod diff;
mod embeddings;
mod evals;
mod explain;
mod files;
mod history;
mod import;
mod keys;
mod lint;
mod output;
mod paint;
mod progress;
mod prompts;
mod push;
mod reach;
mod releases;
mod samples;
mod serve;
mod show;
mod spans;
mod store;
mod sync;

use crate::app::{Environment, Overrides};
use crate::domain::Durability;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

/// An LLM gateway that serves versioned prompts from Git and records every call.
#[derive(Debug, Parser)]
#[command(name = "promptgate", version, about, disable_help_subcommand = true)]
struct Arguments {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Options of every command")]
struct Common {
    /// The config file (default: promptgate.toml, if there is one).
    #[arg(long, global = true, env = "PROMPTGATE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where records, keys and prompt versions are kept (default: ./data).
    #[arg(long, global = true, env = "PROMPTGATE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The directory of prompts (default: ./prompts).
    #[arg(long, global = true, env = "PROMPTGATE_PROMPTS", value_name = "DIR")]
    prompts: Option<PathBuf>,
    /// The file that declares embeddings (default: embeddings.toml, if there is one).
    #[arg(
        long,
        global = true,
        env = "PROMPTGATE_EMBEDDINGS",
        value_name = "FILE"
    )]
    embeddings: Option<PathBuf>,
    /// Where applications call (default: 127.0.0.1:8080).
    #[arg(long, global = true, env = "PROMPTGATE_LISTEN", value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where the admin plane listens (default: 127.0.0.1:8081).
    #[arg(
        long,
        global = true,
        env = "PROMPTGATE_ADMIN_LISTEN",
        value_name = "ADDRESS"
    )]
    admin_listen: Option<SocketAddr>,
    /// What a record survives: `os` kill -9, `disk` power loss (default: os).
    #[arg(
        long,
        global = true,
        env = "PROMPTGATE_DURABILITY",
        value_name = "LEVEL"
    )]
    durability: Option<DurabilityArgument>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum DurabilityArgument {
    Os,
    Disk,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve prompts and models.
    Serve(serve::ServeArguments),
    /// Check config and prompts without serving.
    Check,
    /// Read the records of calls.
    #[command(subcommand)]
    Calls(calls::CallsCommand),
    /// Make, list and revoke keys.
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// List, show and render prompts, and tell their history.
    #[command(subcommand)]
    Prompts(prompts::PromptsCommand),
    /// Run suites of evals, check them, and read what came of them.
    #[command(subcommand)]
    Evals(evals::EvalsCommand),
    /// Make, compare and search snapshots of embeddings.
    #[command(subcommand)]
    Embeddings(embeddings::EmbeddingsCommand),
    /// Tell what happened to prompts, labels and keys.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Look after the stored records.
    #[command(subcommand)]
    Store(store::StoreCommand),
}

impl Common {
    fn overrides(&self) -> Overrides {
        Overrides {
            config: self.config.clone(),
            listen: self.listen,
            admin_listen: self.admin_listen,
            data_dir: self.data_dir.clone(),
            prompts: self.prompts.clone(),
            evals: None,
            embeddings: self.embeddings.clone(),
            durability: self.durability.map(|level| match level {
                DurabilityArgument::Os => Durability::Os,
                DurabilityArgument::Disk => Durability::Disk,
            }),
        }
    }
}

/// Runs the command that the process's arguments name. Returns the exit code.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            // Help and version are no failures and go to stdout; clap knows which is which.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(dispatch(arguments)),
        Err(error) => Err(output::Failure::new(format!(
            "the runtime cannot start: {error}"
        ))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.print(),
    }
}

async fn dispatch(arguments: Arguments) -> Result<(), output::Failure> {
    let Arguments { common, command } = arguments;
    let environment = Environment::of_process();
    match command {
        Command::Serve(arguments) => serve::run(&arguments, &common, &environment).await,
        Command::Check => check::run(&common, &environment),
        Command::Calls(command) => calls::run(command, &common, &environment).await,
        Command::Keys(command) => keys::run(command, &common, &environment).await,
        Command::Prompts(command) => prompts::run(command, &common, &environment).await,
        Command::Evals(command) => evals::run(command, &common, &environment).await,
        Command::Embeddings(command) => embeddings::run(command, &common, &environment).await,
        Command::Audit(command) => audit::run(command, &common, &environment).await,
        Command::Store(command) => store::run(command, &common, &environment).await,
    }
}
