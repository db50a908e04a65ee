//! The formats, one file each, and what they have in common.

mod github_models;
mod langfuse;
mod litellm;
mod openai;
mod promptfoo;
mod prompty;
mod prompty_v1;
mod roles;
mod tensorzero;

use crate::prompts::import::file::Imported;
use crate::prompts::import::jinja_tokens::Untranslatable;
use crate::prompts::import::template::{Node, Turn};
use crate::prompts::import::{Foreign, Format, Refusal};
use crate::prompts::syntax::Role;
use serde_json::{Map, Value, json};

/// What reading a file gives.
type Read = Result<Vec<Imported>, Vec<Refusal>>;

/// Translates a text that starts at a line of its file.
type Translate<'a> = &'a mut dyn FnMut(&str, usize) -> Result<Vec<Node>, Untranslatable>;

/// Reads all files of one tool.
pub(super) fn read(format: Format, files: &[Foreign]) -> (Vec<Imported>, Vec<Refusal>) {
    let each: fn(&Foreign) -> Read = match format {
        Format::TensorZero => return split([tensorzero::read(files)]),
        Format::LiteLlm => return split([litellm::read(files)]),
        Format::OpenAi => openai::read,
        Format::Langfuse => langfuse::read,
        Format::Prompty => prompty::read,
        Format::GitHubModels => github_models::read,
        Format::Promptfoo => return split([promptfoo::read(files)]),
    };
    split(files.iter().map(each))
}

fn split(outcomes: impl IntoIterator<Item = Read>) -> (Vec<Imported>, Vec<Refusal>) {
    let (mut prompts, mut refusals) = (Vec::new(), Vec::new());
    for outcome in outcomes {
        match outcome {
            Ok(read) => prompts.extend(read),
            Err(refused) => refusals.extend(refused),
        }
    }
    (prompts, refusals)
}

fn refuse(file: &Foreign, message: impl Into<String>) -> Vec<Refusal> {
    vec![Refusal::new(&file.path, message)]
}

fn untranslatable(file: &Foreign, problem: Untranslatable) -> Vec<Refusal> {
    let refusal = Refusal::new(&file.path, problem.message).at(problem.line);
    vec![match problem.hint {
        Some(hint) => refusal.hint(hint),
        None => refusal,
    }]
}

fn parse_json(file: &Foreign) -> Result<Value, Vec<Refusal>> {
    serde_json::from_str(&file.text).map_err(|error| {
        let message = format!("broken JSON: {error}");
        vec![Refusal::new(&file.path, message).at(error.line())]
    })
}

fn parse_yaml(file: &Foreign, text: &str, lines_before: usize) -> Result<Value, Vec<Refusal>> {
    crate::prompts::front_matter::parse_yaml(text).map_err(|problem| {
        let line = problem.line.unwrap_or(1) + lines_before;
        vec![Refusal::new(&file.path, problem.message).at(line)]
    })
}

/// The name of a file without its directory's dots and its extensions.
fn stem(path: &str) -> &str {
    let start = path.rfind('/').map_or(0, |slash| slash + 1);
    let base = path.get(start..).unwrap_or_default();
    let end = base.find('.').filter(|dot| 0 < *dot).unwrap_or(base.len());
    path.get(..start + end).unwrap_or(path)
}

/// The line of a text inside the file that holds it, escaped or not; its first line, where it has
/// several.
fn line_of(file: &Foreign, text: &str) -> usize {
    let first = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    let escaped = Value::from(first).to_string();
    let escaped = escaped.trim_matches('"');
    let mut lines = file.text.lines();
    let place = lines.position(|line| line.contains(first) || line.contains(escaped));
    place.map_or(1, |index| index + 1)
}

fn text_of<'v>(map: &'v Value, key: &str) -> Option<&'v str> {
    map.get(key)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// The text of a message: a string, or parts that are texts.
fn content(value: &Value) -> Result<String, String> {
    let part = |part: &Value| {
        let kind = text_of(part, "type").unwrap_or("text");
        match (kind, part.get("text").and_then(Value::as_str)) {
            ("text" | "input_text" | "output_text", Some(text)) => Ok(text.to_owned()),
            _ => Err(format!("a part of type `{kind}` cannot be carried over")),
        }
    };
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Array(parts) => parts.iter().map(part).collect(),
        _ => Err("a message's content is neither text nor a list of texts".to_owned()),
    }
}

/// Reads a list of messages in `OpenAI`'s form.
fn messages(
    file: &Foreign,
    list: &[Value],
    translate: Translate<'_>,
) -> Result<Vec<Turn>, Vec<Refusal>> {
    let mut turns = Vec::new();
    for message in list {
        let name = text_of(message, "role").unwrap_or_default();
        let role = Role::parse(name).filter(|role| *role != Role::Tool);
        let role = role.ok_or_else(|| {
            refuse(
                file,
                format!("a message of the role `{name}` cannot be carried over"),
            )
        })?;
        let text = content(message.get("content").unwrap_or(&Value::Null))
            .map_err(|message| refuse(file, message))?;
        let nodes = translate(&text, line_of(file, &text))
            .map_err(|problem| untranslatable(file, problem))?;
        if !nodes.is_empty() {
            turns.push(Turn::Message(role, nodes));
        }
    }
    if turns.is_empty() {
        return Err(refuse(file, "there is no message with text"));
    }
    Ok(turns)
}

/// Settings of `OpenAI`'s API, in Dotprompt's spelling where it has one. What is no setting of a model
/// is named in `dropped`.
fn settings(prompt: &mut Imported, settings: &Map<String, Value>) {
    for (key, value) in settings {
        let name = match key.as_str() {
            "max_tokens"
            | "max_output_tokens"
            | "max_completion_tokens"
            | "maxOutputTokens"
            | "max_completion_token" => "maxOutputTokens",
            "top_p" | "topP" => "topP",
            "top_k" | "topK" => "topK",
            "stop" | "stop_sequences" | "stopSequences" => "stopSequences",
            "presence_penalty" | "presencePenalty" => "presencePenalty",
            "frequency_penalty" | "frequencyPenalty" => "frequencyPenalty",
            "reasoning_effort" | "reasoningEffort" => "reasoningEffort",
            "parallel_tool_calls" | "parallelToolCalls" => "parallelToolCalls",
            "temperature" | "seed" | "logit_bias" | "service_tier" | "verbosity" | "n" => key,
            _ => {
                prompt.dropped(format!("the setting `{key}`"));
                continue;
            }
        };
        if !value.is_null() {
            prompt.config.insert(name.to_owned(), value.clone());
        }
    }
}

/// A function in `OpenAI`'s form (bare, or under `function`) as Dotprompt has it.
fn tool(prompt: &mut Imported, tool: &Value) {
    let function = tool.get("function").unwrap_or(tool);
    let kind = text_of(tool, "type").unwrap_or("function");
    let (Some(name), "function") = (text_of(function, "name"), kind) else {
        prompt.dropped(format!("a tool of type `{kind}`"));
        return;
    };
    let mut map = Map::from_iter([("name".to_owned(), json!(name))]);
    if let Some(description) = text_of(function, "description") {
        map.insert("description".to_owned(), json!(description));
    }
    if let Some(schema) = function
        .get("parameters")
        .filter(|schema| schema.is_object())
    {
        map.insert("inputSchema".to_owned(), schema.clone());
    }
    prompt.tools.push(Value::Object(map));
}

/// The form of an answer in `OpenAI`'s words: `response_format`, or `format` of `text`.
fn output(prompt: &mut Imported, format: &Value) {
    let inner = format.get("json_schema").unwrap_or(format);
    match text_of(format, "type") {
        Some("json_schema") => {
            prompt.output.insert("format".to_owned(), json!("json"));
            if let Some(schema) = inner.get("schema").filter(|schema| schema.is_object()) {
                prompt.output.insert("schema".to_owned(), schema.clone());
            }
            if inner.get("strict") == Some(&Value::Bool(true)) {
                prompt.changed("strict mode is asked for where the schema allows it");
            }
        }
        Some("json_object") => {
            prompt.output.insert("format".to_owned(), json!("json"));
        }
        None | Some("text") => {}
        Some(other) => prompt.dropped(format!("the answer's format `{other}`")),
    }
}

/// Splits a text at Prompty's role lines, for the tests of those.
#[cfg(test)]
pub(super) fn sections(text: &str) -> Vec<(Role, String)> {
    let sections = roles::by_lines(text, 1).into_iter();
    sections
        .map(|section| (section.role, section.text))
        .collect()
}
