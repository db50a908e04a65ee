//! `OpenAI`'s hosted prompts: one object, a list, or a page of them, as the dashboard and the API give
//! them.

use crate::prompts::import::file::Imported;
use crate::prompts::import::formats::{
    Read, content, line_of, messages, output, parse_json, refuse, settings, stem, text_of, tool,
    untranslatable,
};
use crate::prompts::import::template::Turn;
use crate::prompts::import::{Foreign, plain};
use crate::prompts::syntax::Role;
use serde_json::{Map, Value};

/// Fields that are read one by one.
const KNOWN: [&str; 17] = [
    "created_at",
    "developer_message",
    "id",
    "input",
    "instructions",
    "is_default",
    "messages",
    "model",
    "name",
    "object",
    "prompt",
    "reasoning",
    "response_format",
    "text",
    "tools",
    "variables",
    "version",
];

pub(super) fn read(file: &Foreign) -> Read {
    let value = parse_json(file)?;
    let list = match value.get("data").unwrap_or(&value) {
        Value::Array(items) => items.clone(),
        other => vec![other.clone()],
    };
    list.iter()
        .map(|item| {
            one(
                file,
                item.get("prompt")
                    .filter(|inner| inner.is_object())
                    .unwrap_or(item),
            )
        })
        .collect()
}

fn one(file: &Foreign, value: &Value) -> Result<Imported, Vec<crate::prompts::import::Refusal>> {
    let map = value
        .as_object()
        .ok_or_else(|| refuse(file, "this is no prompt object"))?;
    let id = text_of(value, "id").filter(|id| id.starts_with("pmpt_"));
    let name = text_of(value, "name")
        .or(id)
        .unwrap_or_else(|| stem(&file.path));
    let mut prompt = Imported::new(&file.path, name);
    prompt.alias = id.map(str::to_owned);
    prompt.model = text_of(value, "model").map(str::to_owned);
    prompt.turns = turns(file, value)?;
    let rest: Map<String, Value> = map
        .iter()
        .filter(|(key, _)| !KNOWN.contains(&key.as_str()))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    settings(&mut prompt, &rest);
    if let Some(effort) = value
        .get("reasoning")
        .and_then(|reasoning| text_of(reasoning, "effort"))
    {
        prompt
            .config
            .insert("reasoningEffort".to_owned(), effort.into());
    }
    let format = value.get("text").and_then(|text| text.get("format"));
    if let Some(format) = format.or_else(|| value.get("response_format")) {
        output(&mut prompt, format);
    }
    for item in value
        .get("tools")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        tool(&mut prompt, item);
    }
    if let Some(variables) = value.get("variables").and_then(Value::as_object) {
        for (name, variable) in variables
            .iter()
            .filter(|(_, variable)| variable.is_string())
        {
            prompt.defaults.insert(name.clone(), variable.clone());
        }
    }
    if let Some(version) = text_of(value, "version") {
        prompt.dropped(format!(
            "the version {version}: versions are numbered by Git here"
        ));
    }
    prompt.needs_variables("a call without one of the variables is refused");
    Ok(prompt)
}

fn turns(file: &Foreign, value: &Value) -> Result<Vec<Turn>, Vec<crate::prompts::import::Refusal>> {
    let mut turns = Vec::new();
    let mut translate = |text: &str, line: usize| plain::translate(text, line);
    let instructions = value
        .get("instructions")
        .or_else(|| value.get("developer_message"));
    if let Some(instructions) = instructions.filter(|value| value.is_string()) {
        let text = content(instructions).map_err(|message| refuse(file, message))?;
        let nodes = translate(&text, line_of(file, &text))
            .map_err(|problem| untranslatable(file, problem))?;
        if !nodes.is_empty() {
            turns.push(Turn::Message(Role::System, nodes));
        }
    }
    let lists = [
        instructions,
        value.get("messages"),
        value.get("input"),
        value.get("prompt"),
    ];
    let list = lists.into_iter().flatten().find_map(Value::as_array);
    match list {
        Some(list) => turns.extend(messages(file, list, &mut translate)?),
        None if turns.is_empty() => {
            return Err(refuse(file, "there are neither messages nor instructions"));
        }
        None => {}
    }
    Ok(turns)
}
