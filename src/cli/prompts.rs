//! `promptgate prompts list|show|render|log|blame|lint|import`: reads the prompts themselves, needs no server.

use crate::app::{self, Environment};
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::{Common, history, import, lint, reach};
use crate::domain::{Caller, PromptKey, PromptReference};
use crate::prompts::{Bundle, Part, Prompts, RenderInput, RenderedMessage, Source};
use clap::Subcommand;
use serde_json::{Value, json};
use std::fmt::Write as _;

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
    },
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
    },
}

/// Runs the command.
pub(crate) async fn run(
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
        PromptsCommand::Blame { prompt } => return history::blame(&open(), prompt, common.json),
        PromptsCommand::Import(arguments) => {
            let directory = match &config.prompts.source {
                Source::Directory(directory) => Some(directory.path.as_path()),
                Source::Git(_) => None,
            };
            return import::run(arguments, directory, common.json);
        }
        PromptsCommand::Lint(arguments) => {
            return lint::run(arguments, &config, common.json, environment);
        }
        PromptsCommand::List | PromptsCommand::Show { .. } | PromptsCommand::Render { .. } => {}
    }
    let prompts = open();
    prompts.reload().map_err(failure)?;
    if let Err(error) = prompts.number_all() {
        output::say(&format!("warning: {error}\n"));
    }
    match command {
        PromptsCommand::Log { .. }
        | PromptsCommand::Blame { .. }
        | PromptsCommand::Lint(_)
        | PromptsCommand::Import(_) => Ok(()),
        PromptsCommand::List => list(&prompts, common.json),
        PromptsCommand::Show { prompt } => show(&prompts, &prompt).await,
        PromptsCommand::Render { prompt, variables } => {
            render(&prompts, &prompt, &variables, common.json).await
        }
    }
}

fn failure(error: crate::prompts::Error) -> Failure {
    app::Error::from(error).into()
}

fn list(prompts: &Prompts, as_json: bool) -> Result<(), Failure> {
    let snapshot = prompts.snapshot();
    if as_json {
        let all: Vec<Value> = snapshot
            .iter()
            .map(|(key, prompt)| {
                json!({
                    "name": key,
                    "hash": prompt.bundle.hash(),
                    "version": version(snapshot.number(key)),
                    "dirty": snapshot.is_dirty(key),
                    "model": prompt.bundle.model(),
                    "description": prompt.bundle.description(),
                    "variables": names(&prompt.bundle),
                })
            })
            .collect();
        return output::put(&format!("{}\n", Value::from(all)));
    }
    let rows: Vec<Vec<String>> = snapshot
        .iter()
        .map(|(key, prompt)| {
            let dirty = if snapshot.is_dirty(key) { " dirty" } else { "" };
            vec![
                key.to_string(),
                version(snapshot.number(key)).unwrap_or_else(|| "-".to_owned()),
                format!("{}{dirty}", prompt.bundle.hash().short()),
                prompt.bundle.model().unwrap_or("-").to_owned(),
                names(&prompt.bundle).join(" "),
            ]
        })
        .collect();
    let headings = ["prompt", "version", "hash", "model", "variables"];
    output::put(&table(
        &headings.map(|heading| (heading, Align::Left)),
        &rows,
    ))
}

/// `v7`.
fn version(number: Option<u32>) -> Option<String> {
    number.map(|number| format!("v{number}"))
}

/// The names of the variables; those that may be left out have a `?`.
fn names(bundle: &Bundle) -> Vec<String> {
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

async fn show(prompts: &Prompts, reference: &PromptReference) -> Result<(), Failure> {
    let resolved = prompts
        .resolve(reference, &Caller::local())
        .await
        .map_err(failure)?;
    let bundle = &resolved.bundle;
    let body = json!({
        "name": resolved.stamp.key,
        "hash": resolved.stamp.hash,
        "version": version(resolved.stamp.number),
        "commit": resolved.stamp.commit,
        "dirty": resolved.stamp.dirty,
        "description": bundle.description(),
        "model": bundle.model(),
        "config": bundle.config(),
        "input_schema": bundle.input_schema(),
        "variables": names(bundle),
        "template": bundle.template(),
    });
    output::put(&format!(
        "{}\n",
        serde_json::to_string_pretty(&body).unwrap_or_default()
    ))
}

async fn render(
    prompts: &Prompts,
    reference: &PromptReference,
    variables: &str,
    as_json: bool,
) -> Result<(), Failure> {
    let variables: serde_json::Map<String, Value> = serde_json::from_str(variables)
        .map_err(|error| Failure::usage(format!("--variables is no JSON object: {error}")))?;
    let resolved = prompts
        .resolve(reference, &Caller::local())
        .await
        .map_err(failure)?;
    let rendered = resolved
        .bundle
        .render(&RenderInput::new(&variables))
        .map_err(failure)?;
    let mut text = String::new();
    let mut messages = Vec::new();
    for message in &rendered.messages {
        let RenderedMessage::Prompt { role, content } = message else {
            continue;
        };
        let role = role.as_str();
        let content: Vec<&str> = content
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.as_str(),
                Part::Media { url, .. } => url.as_str(),
            })
            .collect();
        let _ = writeln!(text, "[{role}]\n{}\n", content.concat());
        messages.push(json!({"role": role, "content": content.concat()}));
    }
    if as_json {
        return output::put(&format!(
            "{}\n",
            json!({"messages": messages, "warnings": rendered.warnings})
        ));
    }
    for warning in &rendered.warnings {
        output::say(&format!("warning: {warning}\n"));
    }
    output::put(&text)
}
