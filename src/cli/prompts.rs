//! `promptgate prompts list|show|render`: reads the prompts themselves, needs no server.

use crate::app::Environment;
use crate::cli::output::{self, Align, Failure, table};
use crate::cli::{Common, reach};
use crate::domain::{Caller, PromptReference};
use crate::prompts::{Bundle, NoArchive, Part, Prompts, RenderInput, RenderedMessage};
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
        /// The prompt, `NAME[.VARIANT][@SELECTOR]`.
        prompt: PromptReference,
    },
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
    let prompts = Prompts::open(config.prompts, Arc::new(NoArchive)).map_err(failure)?;
    match command {
        PromptsCommand::List => list(&prompts, common.json),
        PromptsCommand::Show { prompt } => show(&prompts, &prompt).await,
        PromptsCommand::Render { prompt, variables } => {
            render(&prompts, &prompt, &variables, common.json).await
        }
    }
}

fn failure(error: crate::prompts::Error) -> Failure {
    crate::app::Error::from(error).into()
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
                format!("{}{dirty}", prompt.bundle.hash().short()),
                prompt.bundle.model().unwrap_or("-").to_owned(),
                names(&prompt.bundle).join(" "),
            ]
        })
        .collect();
    let headings = ["prompt", "version", "model", "variables"];
    output::put(&table(
        &headings.map(|heading| (heading, Align::Left)),
        &rows,
    ))
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
