//! Langfuse's prompts: one, a list, or a page of them, as its API exports them.

use crate::prompts::import::file::Imported;
use crate::prompts::import::formats::{
    Read, line_of, messages, output, parse_json, refuse, settings, stem, text_of, tool,
    untranslatable,
};
use crate::prompts::import::template::Turn;
use crate::prompts::import::{Foreign, Refusal, plain};
use crate::prompts::syntax::Role;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The mark of another prompt inside a text.
const REFERENCE: &str = "@@@langfusePrompt:";

pub(super) fn read(file: &Foreign) -> Read {
    let value = parse_json(file)?;
    let list = match value.get("data").unwrap_or(&value) {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    let mut by_name: BTreeMap<String, Vec<&Value>> = BTreeMap::new();
    for item in &list {
        let name = text_of(item, "name").unwrap_or_else(|| stem(&file.path));
        by_name.entry(name.to_owned()).or_default().push(item);
    }
    let mut prompts = Vec::new();
    for (name, mut versions) in by_name {
        versions.sort_by_key(|item| (is_live(item), version(item)));
        let Some(newest) = versions.pop() else {
            continue;
        };
        let mut prompt = one(file, &name, newest)?;
        for old in versions {
            prompt.dropped(format!(
                "version {}: another one is live, or newer",
                version(old)
            ));
        }
        prompts.push(prompt);
    }
    Ok(prompts)
}

fn version(item: &Value) -> u64 {
    item.get("version").and_then(Value::as_u64).unwrap_or(0)
}

/// Whether a version is the one that callers get who ask for none.
fn is_live(item: &Value) -> bool {
    let labels = item.get("labels").and_then(Value::as_array);
    labels.is_some_and(|labels| labels.iter().any(|label| label == "production"))
}

fn one(file: &Foreign, name: &str, item: &Value) -> Result<Imported, Vec<Refusal>> {
    let mut prompt = Imported::new(&file.path, name);
    if item.to_string().contains(REFERENCE) {
        let refusal = Refusal::new(&file.path, format!("`{name}` includes another prompt"));
        let refusal = refusal.at(line_of(file, REFERENCE));
        return Err(vec![refusal.hint(
            "export it resolved, or make the included text a partial by hand",
        )]);
    }
    match item.get("prompt") {
        Some(Value::String(text)) => {
            let nodes = plain::translate(text, line_of(file, text))
                .map_err(|problem| untranslatable(file, problem))?;
            prompt.turns.push(Turn::Message(Role::User, nodes));
            prompt.changed("the text had no role; it is a user message now");
        }
        Some(Value::Array(list)) => prompt.turns = chat(file, list)?,
        _ => {
            return Err(refuse(
                file,
                format!("`{name}` has neither a text nor messages"),
            ));
        }
    }
    prompt.needs_variables(
        "a call without one of the variables is refused; before, `{{name}}` stayed in the text",
    );
    if let Some(config) = item.get("config").and_then(Value::as_object) {
        read_config(&mut prompt, config);
    }
    let labels = item
        .get("labels")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let labels: Vec<&str> = labels
        .filter_map(Value::as_str)
        .filter(|label| *label != "latest")
        .collect();
    if !labels.is_empty() {
        prompt.dropped(format!(
            "the labels {}: set them in `releases.yaml`",
            labels.join(", ")
        ));
    }
    for key in ["tags", "commitMessage"] {
        let is_there = item
            .get(key)
            .is_some_and(|value| !value.is_null() && *value != Value::Array(Vec::new()));
        if is_there {
            prompt.dropped(format!("`{key}`"));
        }
    }
    Ok(prompt)
}

/// Messages with at most one placeholder, where the client's messages go.
fn chat(file: &Foreign, list: &[Value]) -> Result<Vec<Turn>, Vec<Refusal>> {
    let is_placeholder = |item: &Value| text_of(item, "type") == Some("placeholder");
    let places: Vec<usize> = (0..list.len())
        .filter(|index| list.get(*index).is_some_and(is_placeholder))
        .collect();
    if 1 < places.len() {
        return Err(refuse(
            file,
            "there are several placeholders for messages, and a call has one list of them",
        ));
    }
    let mut translate = |text: &str, line: usize| plain::translate(text, line);
    let Some(place) = places.first() else {
        return messages(file, list, &mut translate);
    };
    let (before, after) = list.split_at(*place);
    let mut turns = Vec::new();
    if !before.is_empty() {
        turns.extend(messages(file, before, &mut translate)?);
    }
    turns.push(Turn::History);
    if let Some(after) = after.get(1..).filter(|after| !after.is_empty()) {
        turns.extend(messages(file, after, &mut translate)?);
    }
    Ok(turns)
}

fn read_config(prompt: &mut Imported, config: &Map<String, Value>) {
    let mut rest = config.clone();
    if let Some(Value::String(model)) = rest.shift_remove("model") {
        prompt.model = Some(model);
    }
    if let Some(format) = rest.shift_remove("response_format") {
        output(prompt, &format);
    }
    if let Some(Value::Array(tools)) = rest.shift_remove("tools") {
        for item in &tools {
            tool(prompt, item);
        }
    }
    settings(prompt, &rest);
}
