//! Content blocks of an answer.

use crate::wire::conversation::{Media, Part, ToolCall, ToolKind};
use serde_json::{Map, Value};

/// Returns what a block says; `name` is where it stands. What is not known is kept as a whole.
pub(super) fn part_of(name: &str, block: Value) -> Part {
    let known = block
        .as_object()
        .and_then(|map| map.iter().find_map(|(key, value)| known(key, value)));
    known.unwrap_or_else(|| foreign(name, block))
}

fn foreign(name: &str, block: Value) -> Part {
    let keys = block.as_object().and_then(|map| map.keys().next());
    let name = match keys {
        Some(key) => format!("{name}.{key}"),
        None => name.to_owned(),
    };
    Part::Foreign { name, value: block }
}

fn known(key: &str, value: &Value) -> Option<Part> {
    match key {
        "text" => Some(text(value.as_str()?.to_owned(), Vec::new())),
        "citationsContent" => {
            let content = value.get("content")?.as_array()?;
            let texts = content.iter().filter_map(|part| part.get("text")?.as_str());
            let citations = value.get("citations").and_then(Value::as_array);
            Some(text(
                texts.collect(),
                citations.cloned().unwrap_or_default(),
            ))
        }
        "toolUse" => tool_call(value.as_object()?),
        "reasoningContent" => reasoning(value),
        "image" => Some(Part::Image {
            source: source(value, "image")?,
            detail: None,
            cache: None,
        }),
        "audio" => Some(Part::Audio {
            source: source(value, "audio")?,
            format: value.get("format")?.as_str()?.to_owned(),
            transcript: None,
            id: None,
        }),
        _ => None,
    }
}

/// Returns a text.
pub(super) const fn text(text: String, citations: Vec<Value>) -> Part {
    Part::Text {
        text,
        citations,
        cache: None,
    }
}

/// Returns a call whose arguments are yet to come, or are there; `None` for the provider's own tools.
pub(super) fn tool_call(call: &Map<String, Value>) -> Option<Part> {
    if call.get("type").is_some_and(|kind| !kind.is_null()) {
        return None;
    }
    let arguments = match call.get("input") {
        None | Some(Value::Null) => String::new(),
        Some(input) => input.to_string(),
    };
    Some(Part::ToolCall(ToolCall {
        id: call.get("toolUseId")?.as_str()?.to_owned(),
        item_id: None,
        name: call.get("name")?.as_str()?.to_owned(),
        arguments,
        kind: ToolKind::Function,
        signature: None,
        cache: None,
    }))
}

fn reasoning(value: &Value) -> Option<Part> {
    if let Some(hidden) = value.get("redactedContent") {
        return Some(thoughts(
            Vec::new(),
            Some(hidden.as_str()?.to_owned()),
            true,
        ));
    }
    let said = value.get("reasoningText")?;
    let signature = said.get("signature").and_then(Value::as_str);
    let signature = signature.filter(|proof| !proof.is_empty());
    let text = said.get("text")?.as_str()?.to_owned();
    Some(thoughts(
        vec![text],
        signature.map(ToOwned::to_owned),
        false,
    ))
}

/// Returns thoughts.
pub(super) const fn thoughts(
    texts: Vec<String>,
    signature: Option<String>,
    is_redacted: bool,
) -> Part {
    Part::Reasoning {
        id: None,
        texts,
        is_summary: false,
        signature,
        is_redacted,
    }
}

fn source(value: &Value, family: &str) -> Option<Media> {
    let format = value.get("format")?.as_str()?;
    let data = value.get("source")?.get("bytes")?.as_str()?;
    Some(Media::Inline {
        media_type: format!("{family}/{format}"),
        data: data.to_owned(),
    })
}
