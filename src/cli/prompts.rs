//! `promptgate prompts …`: reads the prompts themselves; what only records know, or the one that
//! serves, is asked of them.

use crate::app::{self, Config, Environment};
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::paint::{Paint, clean};
use crate::cli::push::PushArguments;
use crate::cli::releases::{self, Asked, OverrideCommand};
use crate::cli::samples::SampleArguments;
use crate::cli::{
    Common, bisect, diff, explain, history, import, lint, push, reach, show, spans, sync,
};
use crate::domain::{PromptKey, PromptReference};
use crate::prompts::{Bundle, CommitLine, Prompts, Source};
use clap::Subcommand;
use serde_json::{Value, json};
use std::path::Path;

#[derive(Debug, Subcommand)]
pub(crate) enum PromptsCommand {
    /// List the prompts.
    List,
    /// Show one prompt.
    Show {
        /// The prompt, `NAME[.VARIANT][@SELECTOR]`.
        prompt: PromptReference,
    },
    /// Show the versions of a prompt and the commits that made them, newest first.
    Log {
        /// The prompt, `NAME[.VARIANT]`.
        #[arg(value_parser = PromptKey::parse)]
        prompt: PromptKey,
    },
    /// Show who last changed each line of a prompt and of its partials.
    Blame {
        /// The prompt, `NAME[.VARIANT]`.
        #[arg(value_parser = PromptKey::parse)]
        prompt: PromptKey,
        /// Show the rendered text instead: which commit made each part of what reaches the model.
        #[arg(long)]
        rendered: bool,
        #[command(flatten)]
        sample: SampleArguments,
    },
    /// Show what labels mean now, by releases.yaml.
    Releases,
    /// Show what is live and not in Git.
    Drift,
    /// Make a label mean another version past Git, for a time.
    #[command(subcommand)]
    Override(OverrideCommand),
    /// Show how it stands with the source of the prompts: its commit, age and troubles.
    Sync {
        /// Sync first.
        #[arg(long)]
        now: bool,
    },
    /// Make a signed bundle of a branch, and hand it to a gateway that may fetch from nowhere.
    Push(PushArguments),
    /// Show what a recorded call was made from: version, files, variables, each part of each message.
    Explain {
        /// The call's id (`x-request-id`), or the first characters of it.
        call: String,
    },
    /// Find the version that first went wrong.
    Bisect(Box<bisect::BisectCommand>),
    /// Show what differs between two states of the prompts, for whom, and at what cost.
    Diff(diff::DiffCommand),
    /// Find what is wrong or doubtful in the prompts' files.
    #[command(after_help = lint::HELP)]
    Lint(lint::LintArguments),
    /// Bring prompts of another tool here, exactly or not at all.
    Import(import::ImportArguments),
    /// Render a prompt without asking a model.
    Render {
        /// The prompt, `NAME[.VARIANT][@SELECTOR]`.
        prompt: PromptReference,
        /// The variables, as a JSON object.
        #[arg(long, default_value = "{}", value_name = "JSON")]
        variables: String,
        /// A sample of `NAME.samples.yaml`, by its name.
        #[arg(long, value_name = "SAMPLE", conflicts_with = "variables")]
        sample: Option<String>,
    },
}

/// Runs the command.
pub(crate) async fn run(
    command: PromptsCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    // What labels mean now is known to the one that serves.
    let asked = match command {
        PromptsCommand::Releases => Asked::Releases,
        PromptsCommand::Drift => Asked::Drift,
        PromptsCommand::Override(command) => Asked::Override(command),
        PromptsCommand::Sync { now } => return sync::run(common, environment, now).await,
        PromptsCommand::Push(arguments) => return push::run(&arguments, common, environment).await,
        PromptsCommand::Diff(command) => return diff::run(command, common, environment).await,
        PromptsCommand::Bisect(command) => return bisect::run(*command, common, environment).await,
        PromptsCommand::Explain { call } => return explain::run(&call, common, environment).await,
        other => return read(other, common, environment).await,
    };
    releases::run(asked, common, environment).await
}

/// Runs a command that needs the prompts themselves and no server.
async fn read(
    command: PromptsCommand,
    common: &Common,
    environment: &Environment,
) -> Result<(), Failure> {
    let config = reach::config(common, environment)?;
    let archive = app::read_only_archive(&config);
    let open = || Prompts::archived(config.prompts.clone(), archive);
    match &command {
        // Only commits are looked at: files that are broken now do not matter.
        PromptsCommand::Log { prompt } => return history::log(&open(), prompt, common.json),
        PromptsCommand::Blame {
            prompt,
            rendered,
            sample,
        } => {
            if !rendered {
                return history::blame(&open(), prompt, common.json);
            }
            let paint = Paint::of_stdout(environment);
            return spans::blame(&open(), prompt, sample, common.json, paint);
        }
        PromptsCommand::Import(arguments) => {
            return import::run(arguments, directory_of(&config), common.json);
        }
        PromptsCommand::Lint(arguments) => {
            return lint::run(arguments, &config, common, environment).await;
        }
        _ => {}
    }
    let prompts = open();
    prompts.reload().map_err(failure)?;
    if let Err(error) = prompts.number_all() {
        output::say(&format!("warning: {error}\n"));
    }
    match command {
        PromptsCommand::List => list(&prompts, common.json),
        PromptsCommand::Show { prompt } => {
            show::show(
                &prompts,
                &prompt,
                common.json,
                Paint::of_stdout(environment),
            )
            .await
        }
        PromptsCommand::Render {
            prompt,
            variables,
            sample,
        } => {
            let sample = SampleArguments::of(sample, variables);
            show::render(&prompts, &prompt, &sample, common.json).await
        }
        // Done above.
        _ => Ok(()),
    }
}

/// The directory that prompts are read from, unless it is a repository's.
fn directory_of(config: &Config) -> Option<&Path> {
    match &config.prompts.source {
        Source::Directory(directory) => Some(&directory.path),
        Source::Git(_) => None,
    }
}

pub(crate) fn failure(error: crate::prompts::Error) -> Failure {
    app::Error::from(error).into()
}

fn list(prompts: &Prompts, as_json: bool) -> Result<(), Failure> {
    let snapshot = prompts.snapshot();
    let changes = prompts.last_changes();
    if as_json {
        let all: Vec<Value> = snapshot
            .iter()
            .map(|(key, prompt)| {
                json!({
                    "name": key,
                    "hash": prompt.bundle.hash(),
                    "version": version(snapshot.number(key)),
                    "dirty": snapshot.is_dirty(key),
                    "labels": snapshot.labels(key),
                    "model": prompt.bundle.model(),
                    "description": prompt.bundle.description(),
                    "owner": prompt.bundle.owner(),
                    "variables": names(&prompt.bundle),
                    "last_change": changes.get(key),
                })
            })
            .collect();
        return output::put(&format!("{}\n", Value::from(all)));
    }
    let rows: Vec<Vec<String>> = snapshot
        .iter()
        .map(|(key, prompt)| {
            let dirty = if snapshot.is_dirty(key) { " dirty" } else { "" };
            let number = version(snapshot.number(key));
            let version = number.unwrap_or_else(|| prompt.bundle.hash().short());
            let labels = snapshot.labels(key).filter(|labels| !labels.is_empty());
            vec![
                key.to_string(),
                format!("{version}{dirty}"),
                labels.map_or_else(|| "-".to_owned(), |labels| labels.join(" ")),
                prompt.bundle.model().unwrap_or("-").to_owned(),
                names(&prompt.bundle).join(" "),
                clean(prompt.bundle.owner().unwrap_or("-")),
                changes.get(key).map_or_else(|| "-".to_owned(), last_change),
            ]
        })
        .collect();
    let headings = [
        "prompt",
        "version",
        "label",
        "model",
        "variables",
        "owner",
        "last change",
    ];
    output::put(&table(
        &headings.map(|heading| (heading, Align::Left)),
        &rows,
    ))
}

/// `2026-11-24 Ada Lovelace`.
fn last_change(commit: &CommitLine) -> String {
    let day = commit.date.split('T').next().unwrap_or_default();
    format!("{day} {}", clean(&commit.author))
}

/// `v7`.
pub(crate) fn version(number: Option<u32>) -> Option<String> {
    number.map(|number| format!("v{number}"))
}

/// The names of the variables; those that may be left out have a `?`.
pub(crate) fn names(bundle: &Bundle) -> Vec<String> {
    let all = bundle.variables();
    let name = |(name, is_required): &(&str, bool)| {
        if *is_required {
            (*name).to_owned()
        } else {
            format!("{name}?")
        }
    };
    all.iter().map(name).collect()
}
