//! `promptgate prompts show|render`: one version, as people read it.

use crate::cli::history::short;
use crate::cli::output::{self, Failure};
use crate::cli::paint::{Paint, Style};
use crate::cli::prompts::{failure, names, version};
use crate::cli::samples::{SampleArguments, conversation};
use crate::domain::PromptReference;
use crate::prompts::diff::{Side, Variable, variables};
use crate::prompts::{CommitLine, Part, Prompts, RenderedMessage};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Shows a version: what it is, what it takes, what it gives, and its template.
pub(crate) async fn show(
    prompts: &Prompts,
    reference: &PromptReference,
    as_json: bool,
    paint: Paint,
) -> Result<(), Failure> {
    let side = prompts.side(reference).await.map_err(failure)?;
    if as_json {
        return output::put(&format!("{}\n", json(&side)));
    }
    let changes = prompts.last_changes();
    output::put(&write(&side, changes.get(&side.key), paint))
}

fn write(side: &Side, change: Option<&CommitLine>, paint: Paint) -> String {
    let mut out = String::new();
    let dirty = if side.dirty { " (uncommitted)" } else { "" };
    let name = paint.text(Style::Strong, side.key.as_str());
    let _ = writeln!(out, "{name}  {}{dirty}", side.version());
    for (name, value) in facts(side, change) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            paint.paragraph(&mut out, &format!("  {name:<12} "), 15, &value);
        }
    }
    for (name, variable) in variables(&side.bundle) {
        let name = paint.text(Style::Strong, &format!("{{{{{name}}}}}"));
        paint.paragraph(&mut out, &format!("  {name} "), 6, &words(&variable));
    }
    texts(&mut out, side, paint);
    out
}

fn facts(side: &Side, change: Option<&CommitLine>) -> [(&'static str, Option<String>); 10] {
    let bundle = &side.bundle;
    let change = change.map(|commit| {
        let (date, id) = (commit.date.replace('T', " "), short(commit));
        format!("{date} by {}: {} ({id})", commit.author, commit.subject)
    });
    let config = bundle.config().iter();
    let config: Vec<String> = config
        .map(|(name, value)| format!("{name} {value}"))
        .collect();
    let tools: Vec<&str> = bundle
        .tools()
        .iter()
        .map(|tool| tool.name.as_str())
        .collect();
    let samples: Vec<&str> = side
        .samples
        .iter()
        .map(|sample| sample.name.as_str())
        .collect();
    [
        ("about", bundle.description().map(str::to_owned)),
        ("owner", bundle.owner().map(str::to_owned)),
        ("file", Some(side.path.clone())),
        ("hash", Some(bundle.hash().to_string())),
        ("last change", change),
        ("model", bundle.model().map(str::to_owned)),
        ("config", Some(config.join(", "))),
        ("locked", Some(bundle.locked().join(", "))),
        ("tools", Some(tools.join(", "))),
        ("samples", Some(samples.join("; "))),
    ]
}

/// The template and its partials, with the numbers of their lines.
fn texts(out: &mut String, side: &Side, paint: Paint) {
    let bundle = &side.bundle;
    for file in bundle.file_parts(&side.path) {
        let (text, first) = match &file.partial {
            None => (bundle.template(), bundle.template_line()),
            Some(name) => {
                let found = bundle.partials().find(|(own, _)| own == name);
                (found.map_or("", |(_, text)| text), 1)
            }
        };
        let _ = writeln!(out, "\n{}", paint.text(Style::Faint, &file.path));
        for (index, line) in text.lines().enumerate() {
            let number = paint.text(Style::Faint, &format!("{:>4}", first + index));
            paint.paragraph(out, &format!("{number}  "), 6, line);
        }
    }
}

fn words(variable: &Variable) -> String {
    let mut words = vec![variable.r#type.clone()];
    words.push(match &variable.default {
        Some(default) => format!("default {default}"),
        None if variable.bound => "filled from the last user message".to_owned(),
        None if variable.required => "required".to_owned(),
        None => "optional".to_owned(),
    });
    let described = variable
        .description
        .as_ref()
        .map_or_else(String::new, |text| format!(": {text}"));
    format!("{}{described}", words.join(", "))
}

fn json(side: &Side) -> Value {
    let bundle = &side.bundle;
    json!({
        "name": side.key,
        "hash": bundle.hash(),
        "version": version(side.number),
        "commit": side.commit,
        "dirty": side.dirty,
        "path": side.path,
        "description": bundle.description(),
        "owner": bundle.owner(),
        "model": bundle.model(),
        "config": bundle.config(),
        "locked": bundle.locked(),
        "input_schema": bundle.input_schema(),
        "output_schema": bundle.output().and_then(|output| output.schema.as_ref()),
        "variables": names(bundle),
        "samples": side.samples.iter().map(|sample| &sample.name).collect::<Vec<_>>(),
        "template": bundle.template(),
        "partials": bundle.partials().collect::<std::collections::BTreeMap<_, _>>(),
    })
}

/// Renders a version with a sample or with variables, and asks no model.
pub(crate) async fn render(
    prompts: &Prompts,
    reference: &PromptReference,
    sample: &SampleArguments,
    as_json: bool,
) -> Result<(), Failure> {
    let side = prompts.side(reference).await.map_err(failure)?;
    let sample = sample.choose(&side)?;
    let rendered = side.bundle.render(&sample.input()).map_err(failure)?;
    for warning in rendered.warnings.iter().filter(|_| !as_json) {
        output::say(&format!("warning: {warning}\n"));
    }
    if !as_json {
        return output::put(&conversation(&rendered, &sample.messages));
    }
    let message = |message: &RenderedMessage| match message {
        RenderedMessage::Client(place) => sample.messages.get(*place).cloned().unwrap_or_default(),
        RenderedMessage::Prompt { role, content } => {
            let content: String = content
                .iter()
                .map(|part| match part {
                    Part::Text(text) => text.as_str(),
                    Part::Media { url, .. } => url.as_str(),
                })
                .collect();
            json!({"role": role.as_str(), "content": content})
        }
    };
    let messages: Vec<Value> = rendered.messages.iter().map(message).collect();
    output::put(&format!(
        "{}\n",
        json!({"messages": messages, "warnings": rendered.warnings})
    ))
}
