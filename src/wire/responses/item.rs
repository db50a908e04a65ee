//! Items of responses, read: what a request puts in and what an answer gives out.

use crate::wire::Error;
use crate::wire::conversation::{
    Cache, Fields, Media, Part, Role, ToolCall, ToolKind, ToolResult, media_of_url,
};
use crate::wire::openai::shared::{
    BREAKPOINT, file_media, has_known_marks, has_only, read_audio, says_something, take_mark,
};
use serde_json::{Map, Value};

/// What an item is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item {
    /// A message.
    Message {
        role: Role,
        parts: Vec<Part>,
        is_plain: bool,
    },
    /// Something that the model did: thoughts, the call of a tool.
    Part(Part),
    /// What a tool gave.
    Result(ToolResult),
    /// Something that only responses can say.
    Foreign(Value),
}

/// Reads an item.
///
/// # Errors
///
/// When the item lacks what its type needs.
pub(super) fn read_item(path: String, value: Value) -> Result<Item, Error> {
    let kind = match value.get("type") {
        Some(Value::String(kind)) => kind.clone(),
        // A message may leave its type out.
        _ if value.get("role").is_some() => "message".to_owned(),
        _ => {
            Fields::of(path.clone(), value)?.required_string("type")?;
            return Err(Error::missing(path));
        }
    };
    if !is_known(&kind, &value) {
        return Ok(Item::Foreign(value));
    }
    let fields = Fields::of(path, value)?;
    match kind.as_str() {
        "message" => read_message(fields),
        "reasoning" => read_reasoning(fields).map(Item::Part),
        "function_call" => read_call(fields, ToolKind::Function),
        "custom_tool_call" => read_call(fields, ToolKind::Custom),
        "function_call_output" => read_output(fields, ToolKind::Function),
        _ => read_output(fields, ToolKind::Custom),
    }
}

/// Whether an item has a type that is known here, and no fields that are not. A message says by itself
/// what of it is foreign.
fn is_known(kind: &str, value: &Value) -> bool {
    let Some(fields) = value.as_object() else {
        return true;
    };
    let said = |key: &str| fields.get(key).is_some_and(says_something);
    let known: &[&str] = match kind {
        "message" => return true,
        // Thoughts have one kind of text here.
        "reasoning" if said("summary") && said("content") => return false,
        "reasoning" => &[
            "type",
            "id",
            "status",
            "summary",
            "content",
            "encrypted_content",
        ],
        "function_call" => &["type", "id", "status", "call_id", "name", "arguments"],
        "custom_tool_call" => &["type", "id", "status", "call_id", "name", "input"],
        "function_call_output" | "custom_tool_call_output" => {
            &["type", "id", "status", "call_id", "name", "output"]
        }
        _ => return false,
    };
    has_only(fields, known)
}

fn read_message(mut fields: Fields) -> Result<Item, Error> {
    let role = match fields.required_string("role")?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        _ => {
            return Err(Error::InvalidValue {
                param: fields.path("role"),
                problem: "is none of `system`, `developer`, `user` and `assistant`",
            });
        }
    };
    for ignored in ["type", "id", "status"] {
        fields.take(ignored);
    }
    let (content, is_plain) = fields.content("content", read_part)?;
    let here = fields.here().to_owned();
    let rest = fields.into_rest().into_iter();
    let said = rest.filter(|(_, value)| says_something(value));
    let mut parts: Vec<Part> = said
        .map(|(key, value)| Part::Foreign {
            name: format!("{here}.{key}"),
            value,
        })
        .collect();
    parts.extend(content);
    Ok(Item::Message {
        role,
        parts,
        is_plain,
    })
}

fn read_reasoning(mut fields: Fields) -> Result<Part, Error> {
    let id = fields.string("id")?;
    let signature = fields.string("encrypted_content")?;
    let summary = read_texts(&mut fields, "summary")?;
    let content = read_texts(&mut fields, "content")?;
    let is_summary = content.is_empty() && !summary.is_empty();
    let texts = if is_summary { summary } else { content };
    Ok(Part::Reasoning {
        id,
        is_summary,
        is_redacted: texts.is_empty() && signature.is_some(),
        texts,
        signature,
    })
}

/// Takes the texts of thoughts.
fn read_texts(fields: &mut Fields, key: &str) -> Result<Vec<String>, Error> {
    let texts = fields.array(key)?.unwrap_or_default().into_iter();
    let texts = texts.map(|(path, text)| Fields::of(path, text)?.required_string("text"));
    texts.collect()
}

fn read_call(mut fields: Fields, kind: ToolKind) -> Result<Item, Error> {
    let arguments = match kind {
        ToolKind::Function => "arguments",
        ToolKind::Custom => "input",
    };
    Ok(Item::Part(Part::ToolCall(ToolCall {
        id: fields.required_string("call_id")?,
        item_id: fields.string("id")?,
        name: fields.required_string("name")?,
        arguments: fields.string(arguments)?.unwrap_or_default(),
        kind,
        signature: None,
        cache: None,
    })))
}

fn read_output(mut fields: Fields, kind: ToolKind) -> Result<Item, Error> {
    let call_id = fields.required_string("call_id")?;
    let name = fields.string("name")?;
    let (parts, is_plain) = fields.content("output", read_part)?;
    Ok(Item::Result(ToolResult {
        call_id,
        name,
        parts,
        is_error: None,
        is_plain,
        kind,
        cache: None,
    }))
}

/// Reads a part of a content.
///
/// # Errors
///
/// When the part has no type, or lacks what its type needs.
pub(super) fn read_part(path: String, value: Value) -> Result<Part, Error> {
    if !value.as_object().is_some_and(is_known_part) {
        Fields::of(path.clone(), value.clone())?.required_string("type")?;
        return Ok(Part::Foreign { name: path, value });
    }
    let mut fields = Fields::of(path, value)?;
    let mark = take_mark(&mut fields);
    match fields.required_string("type")?.as_str() {
        "refusal" => Ok(Part::Refusal(fields.required_string("refusal")?)),
        "input_image" => read_image(&mut fields, mark),
        "input_file" => read_file(&mut fields, mark),
        "input_audio" => read_audio(&mut fields),
        "output_audio" => Ok(Part::Audio {
            source: Media::Inline {
                media_type: crate::wire::chat::UNKNOWN_AUDIO.to_owned(),
                data: fields.string("data")?.unwrap_or_default(),
            },
            format: String::new(),
            transcript: fields.string("transcript")?,
            id: None,
        }),
        _ => Ok(Part::Text {
            text: fields.required_string("text")?,
            citations: fields.elements("annotations"),
            cache: mark,
        }),
    }
}

/// Whether a part has a type that is known here, and no fields that are not.
fn is_known_part(fields: &Map<String, Value>) -> bool {
    let kind = fields
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let known: &[&str] = match kind {
        "input_text" | "text" => &["type", "text", BREAKPOINT],
        "output_text" => &["type", "text", "annotations", "logprobs"],
        "refusal" => &["type", "refusal"],
        "input_image" => &["type", "image_url", "file_id", "detail", BREAKPOINT],
        "input_file" => &[
            "type",
            "file_id",
            "file_url",
            "file_data",
            "filename",
            BREAKPOINT,
        ],
        "input_audio" => &["type", "input_audio"],
        "output_audio" => &["type", "data", "transcript"],
        _ => return false,
    };
    has_only(fields, known) && has_known_marks(fields)
}

fn read_image(fields: &mut Fields, cache: Option<Cache>) -> Result<Part, Error> {
    let detail = fields.string("detail")?;
    let source = match (fields.string("file_id")?, fields.string("image_url")?) {
        (Some(id), _) => Media::File(id),
        (None, Some(url)) => media_of_url(url),
        (None, None) => return Err(Error::missing(fields.path("image_url"))),
    };
    Ok(Part::Image {
        source,
        detail,
        cache,
    })
}

fn read_file(fields: &mut Fields, cache: Option<Cache>) -> Result<Part, Error> {
    let title = fields.string("filename")?;
    let url = fields.string("file_url")?;
    let data = fields.string("file_data")?;
    let source = match (fields.string("file_id")?, url, data) {
        (Some(id), ..) => Media::File(id),
        (None, Some(url), _) => media_of_url(url),
        (None, None, Some(data)) => file_media(data, title.as_deref()),
        (None, None, None) => return Err(Error::missing(fields.path("file_data"))),
    };
    Ok(Part::Document {
        source,
        title,
        context: None,
        is_cited: None,
        cache,
    })
}

/// Adds what the model did to the parts of its message. A proof that stands beside the call it belongs
/// to (see [`proof_id`]) goes into the call.
pub(super) fn push_part(parts: &mut Vec<Part>, mut part: Part) {
    if let Some((id, proof)) = proof_in(&part) {
        let calls = parts.iter_mut().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        });
        let mut calls = calls.filter(|call| proof_id(&call.id) == id && call.signature.is_none());
        if let Some(call) = calls.next() {
            call.signature = Some(proof.to_owned());
            return;
        }
    }
    if let Part::ToolCall(call) = &mut part
        && let Some((id, proof)) = parts.last().and_then(proof_in)
        && id == proof_id(&call.id)
    {
        call.signature = Some(proof.to_owned());
        parts.pop();
    }
    parts.push(part);
}

/// Returns the id and the proof of thoughts that hold nothing else.
fn proof_in(part: &Part) -> Option<(&str, &str)> {
    match part {
        Part::Reasoning {
            id: Some(id),
            signature: Some(proof),
            is_redacted: true,
            ..
        } => Some((id, proof)),
        _ => None,
    }
}

/// Returns the id of the thoughts that hold the proof of a call: responses have no other place for it.
pub(super) fn proof_id(call: &str) -> String {
    format!("rs_{call}")
}
