//! A part of Gemini's answer.

use crate::domain::sha256_hex;
use crate::wire::conversation::{Media, Part, ToolCall, ToolKind};
use crate::wire::signature::mark_gemini;
use serde_json::{Map, Value};

/// What a part is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Said {
    /// Text, which may go on.
    Text(String),
    /// Thoughts, which may go on.
    Thoughts(String),
    /// Something whole.
    Whole(Part),
}

/// A part, and the proof of the thought behind it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ReadPart {
    pub(super) said: Said,
    pub(super) signature: Option<String>,
}

/// Which call it is: Gemini's older models give their calls no ids.
#[derive(Debug, Clone, Copy)]
pub(super) struct CallPlace<'a> {
    /// The answer's id.
    pub(super) reply: &'a str,
    /// Which of the answers.
    pub(super) choice: usize,
    /// How many calls came before.
    pub(super) calls: usize,
}

/// Reads a part; `name` is where it stands.
pub(super) fn read(name: &str, value: Value, place: CallPlace<'_>) -> ReadPart {
    let Value::Object(mut map) = value else {
        let name = name.to_owned();
        return whole(Part::Foreign { name, value });
    };
    let signature = match map.shift_remove("thoughtSignature") {
        Some(Value::String(signature)) => Some(signature).filter(|proof| !proof.is_empty()),
        _ => None,
    };
    let is_thought = map.shift_remove("thought") == Some(Value::Bool(true));
    let said = match map.get("text") {
        Some(Value::String(text)) if is_thought => Said::Thoughts(text.clone()),
        Some(Value::String(text)) => Said::Text(text.clone()),
        _ => Said::Whole(other(name, map, signature.as_ref(), place)),
    };
    let is_call = matches!(said, Said::Whole(Part::ToolCall(_)));
    ReadPart {
        said,
        signature: signature.filter(|_| !is_call).as_deref().map(mark_gemini),
    }
}

const fn whole(part: Part) -> ReadPart {
    ReadPart {
        said: Said::Whole(part),
        signature: None,
    }
}

fn other(
    name: &str,
    map: Map<String, Value>,
    signature: Option<&String>,
    place: CallPlace<'_>,
) -> Part {
    let read = map.iter().find_map(|(key, value)| match key.as_str() {
        "functionCall" => call(value, signature.cloned(), place),
        "inlineData" => {
            let data = value.get("data")?.as_str()?.to_owned();
            let media_type = media_type(value);
            let source = Media::Inline {
                media_type: media_type.clone(),
                data,
            };
            Some(media(source, &media_type))
        }
        "fileData" => {
            let url = value.get("fileUri")?.as_str()?.to_owned();
            let media_type = media_type(value);
            let source = Media::Url {
                url,
                media_type: Some(media_type.clone()),
            };
            Some(media(source, &media_type))
        }
        _ => None,
    });
    read.unwrap_or_else(|| {
        let key = map.keys().next().map_or("", String::as_str);
        Part::Foreign {
            name: format!("{name}.{key}"),
            value: map.into(),
        }
    })
}

fn media_type(value: &Value) -> String {
    let said = value.get("mimeType").and_then(Value::as_str);
    said.unwrap_or("application/octet-stream").to_owned()
}

fn media(source: Media, media_type: &str) -> Part {
    let kind = media_type.split(';').next().unwrap_or_default();
    match kind.split_once('/') {
        Some(("image", _)) => Part::Image {
            source,
            detail: None,
            cache: None,
        },
        Some(("audio", format)) => Part::Audio {
            source,
            format: format.trim().to_owned(),
            transcript: None,
            id: None,
        },
        _ => Part::Document {
            source,
            title: None,
            context: None,
            is_cited: None,
            cache: None,
        },
    }
}

fn call(value: &Value, signature: Option<String>, place: CallPlace<'_>) -> Option<Part> {
    let name = value.get("name")?.as_str()?;
    // A call without arguments has none, or an empty object of them.
    let arguments = match value.get("args") {
        None | Some(Value::Null) => String::new(),
        Some(arguments) => arguments.to_string(),
    };
    let id = value.get("id").and_then(Value::as_str);
    let id = match id.filter(|id| !id.is_empty()) {
        Some(id) => id.to_owned(),
        None => made_id(name, &arguments, place),
    };
    Some(Part::ToolCall(ToolCall {
        id,
        item_id: None,
        name: name.to_owned(),
        arguments,
        kind: ToolKind::Function,
        signature,
        cache: None,
    }))
}

/// Returns an id that is the same whenever the same answer is read, and another in any other answer.
fn made_id(name: &str, arguments: &str, place: CallPlace<'_>) -> String {
    let CallPlace {
        reply,
        choice,
        calls,
    } = place;
    let hash = sha256_hex(format!("{reply}\n{choice}\n{calls}\n{name}\n{arguments}").as_bytes());
    format!("call_{}", hash.get(..24).unwrap_or_default())
}
