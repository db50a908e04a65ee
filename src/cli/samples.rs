//! Which sample a prompt is rendered with, and how a rendered prompt is printed.

use crate::cli::output::Failure;
use crate::prompts::diff::Side;
use crate::prompts::{Part, Rendered, RenderedMessage, Sample, SampleChoice};
use clap::Args;
use serde_json::{Map, Value};
use std::fmt::Write as _;

/// What to render with.
#[derive(Debug, Clone, Args)]
pub(crate) struct SampleArguments {
    /// A sample of `NAME.samples.yaml`, by its name (default: the first).
    #[arg(long, value_name = "SAMPLE", conflicts_with = "variables")]
    sample: Option<String>,
    /// The variables, as a JSON object.
    #[arg(long, value_name = "JSON")]
    variables: Option<String>,
}

impl SampleArguments {
    pub(crate) fn of(sample: Option<String>, variables: String) -> Self {
        Self {
            variables: sample.is_none().then_some(variables),
            sample,
        }
    }

    /// Returns the sample that is meant.
    pub(crate) fn choose(&self, side: &Side) -> Result<Sample, Failure> {
        let choice = match (&self.sample, &self.variables) {
            (Some(name), _) => SampleChoice::Named(name.clone()),
            (None, Some(json)) => SampleChoice::Variables(variables(json)?),
            (None, None) => SampleChoice::First,
        };
        side.sample(&choice).map_err(|unknown| {
            let known: Vec<String> = unknown
                .known
                .iter()
                .map(|name| format!("`{name}`"))
                .collect();
            let hint = if known.is_empty() {
                "it has none; give `--variables JSON`".to_owned()
            } else {
                format!("its samples are {}", known.join(", "))
            };
            Failure::usage(unknown.to_string()).with_hint(Some(hint))
        })
    }
}

/// Reads `--variables`.
pub(crate) fn variables(json: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(json)
        .map_err(|error| Failure::usage(format!("--variables is no JSON object: {error}")))
}

/// Returns a rendered prompt as people read it, with the client's messages in their places.
pub(crate) fn conversation(rendered: &Rendered, client: &[Value]) -> String {
    let mut text = String::new();
    for message in &rendered.messages {
        let (role, content) = match message {
            RenderedMessage::Prompt { role, content } => {
                let parts = content.iter().map(|part| match part {
                    Part::Text(text) => text.as_str(),
                    Part::Media { url, .. } => url.as_str(),
                });
                (role.as_str().to_owned(), parts.collect::<String>())
            }
            RenderedMessage::Client(place) => {
                let message = client.get(*place).cloned().unwrap_or_default();
                let field = |key: &str| message.get(key).cloned().unwrap_or_default();
                let content = field("content");
                let content = content
                    .as_str()
                    .map_or_else(|| content.to_string(), str::to_owned);
                (
                    field("role").as_str().unwrap_or("client").to_owned(),
                    content,
                )
            }
        };
        let _ = writeln!(text, "[{role}]\n{}\n", content.trim_end());
    }
    text
}
