//! `promptgate prompts list|show|render`: reads the prompts themselves, needs no server.

use crate::app::Environment;
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::{Common, reach};
use crate::domain::{Caller, PromptReference};
use crate::prompts::{NoArchive, Part, Prompts, RenderInput, RenderedMessage, Role};
use clap::Subcommand;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

#[derive(Debug, Subcommand)]
pub(crate) enum PromptsCommand {
    /// List the prompts.
    List,
    /// Show one prompt.
    Show {
        /// NAME[.VARIANT][@SELECTOR]
        prompt: PromptReference,
    },
    /// Render a prompt without asking a model.
    Render {
        /// NAME[.VARIANT][@SELECTOR]
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
    let prompts = Prompts::open(config.prompts, Arc::new(NoArchive)).map_err(failure)?;
    match command {
        PromptsCommand::List => list(&prompts, common.json),
        PromptsCommand::Show { prompt } => show(&prompts, &prompt).await,
        PromptsCommand::Render { prompt, variables } => {
            render(&prompts, &prompt, &variables, common.json).await
        }
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a mapper of errors takes them by value")]
fn failure(error: crate::prompts::Error) -> Failure {
    crate::app::Error::from(error).into()
}

fn list(prompts: &Prompts, as_json: bool) -> Result<(), Failure> {
    let snapshot = prompts.snapshot();
    if as_json {
        let all: Vec<Value> = snapshot
            .entries()
            .map(|entry| {
                json!({
                    "name": entry.key,
                    "hash": entry.hash,
                    "dirty": entry.dirty,
                    "model": entry.bundle.model(),
                    "description": entry.bundle.description(),
                    "variables": entry.bundle.variables(),
                })
            })
            .collect();
        return output::put(&format!("{}\n", Value::from(all)));
    }
    let rows: Vec<Vec<String>> = snapshot
        .entries()
        .map(|entry| {
            let dirty = if entry.dirty { " dirty" } else { "" };
            vec![
                entry.key.to_string(),
                format!("{}{dirty}", entry.hash.short()),
                entry.bundle.model().unwrap_or("-").to_owned(),
                entry.bundle.variables().join(" "),
            ]
        })
        .collect();
    let headings = ["prompt", "version", "model", "variables"];
    output::put(&table(&headings.map(|heading| (heading, Align::Left)), &rows))
}

async fn show(prompts: &Prompts, reference: &PromptReference) -> Result<(), Failure> {
    let resolved = prompts.resolve(reference, &Caller::local()).await.map_err(failure)?;
    let bundle = &resolved.bundle;
    let body = json!({
        "name": resolved.stamp.key,
        "hash": resolved.stamp.hash,
        "commit": resolved.stamp.commit,
        "dirty": resolved.stamp.dirty,
        "description": bundle.description(),
        "model": bundle.model(),
        "config": bundle.config(),
        "input_schema": bundle.input_schema(),
        "variables": bundle.variables(),
        "template": bundle.template(),
    });
    output::put(&format!("{}\n", serde_json::to_string_pretty(&body).unwrap_or_default()))
}

async fn render(
    prompts: &Prompts,
    reference: &PromptReference,
    variables: &str,
    as_json: bool,
) -> Result<(), Failure> {
    let variables: serde_json::Map<String, Value> = serde_json::from_str(variables)
        .map_err(|error| Failure::usage(format!("--variables is no JSON object: {error}")))?;
    let resolved = prompts.resolve(reference, &Caller::local()).await.map_err(failure)?;
    let rendered = resolved.bundle.render(&RenderInput::new(&variables, 0)).map_err(failure)?;
    let mut text = String::new();
    let mut messages = Vec::new();
    for message in &rendered.messages {
        let RenderedMessage::Prompt { role, content } = message else { continue };
        let role = match role {
            Role::System => "system",
            Role::User => "user",
            Role::Model => "model",
            Role::Tool => "tool",
            Role::Developer => "developer",
        };
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
        return output::put(&format!("{}\n", json!({"messages": messages, "warnings": rendered.warnings})));
    }
    for warning in &rendered.warnings {
        output::say(&format!("warning: {warning}\n"));
    }
    output::put(&text)
}
