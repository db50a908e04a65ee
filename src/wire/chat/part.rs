//! Parts of messages, as chat completions have them, read.

use crate::wire::Error;
use crate::wire::conversation::{Fields, Media, Part, ToolCall, ToolKind, media_of_url};
use crate::wire::openai::shared::{
    BREAKPOINT, file_media, has_known_marks, has_only, read_audio, take_mark,
};
use serde_json::{Map, Value};

/// The media type of what a model said aloud: its format stands in the request alone.
pub(in crate::wire) const UNKNOWN_AUDIO: &str = "audio/unknown";

/// Reads a part of a content.
///
/// # Errors
///
/// When the part has no type, or lacks what its type needs.
pub(super) fn read_part(path: String, value: Value) -> Result<Part, Error> {
    if !is_known(&value) {
        Fields::of(path.clone(), value.clone())?.required_string("type")?;
        return Ok(Part::Foreign { name: path, value });
    }
    let mut fields = Fields::of(path, value)?;
    let kind = fields.required_string("type")?;
    let cache = take_mark(&mut fields);
    match kind.as_str() {
        "image_url" => {
            let (url, detail) = image_url(&mut fields)?;
            Ok(Part::Image {
                source: media_of_url(url),
                detail,
                cache,
            })
        }
        "input_audio" => read_audio(&mut fields),
        "file" => {
            let mut file = required_object(&mut fields, "file")?;
            let title = file.string("filename")?;
            let source = match (file.string("file_id")?, file.string("file_data")?) {
                (Some(id), _) => Media::File(id),
                (None, Some(data)) => file_media(data, title.as_deref()),
                (None, None) => return Err(Error::missing(file.path("file_data"))),
            };
            Ok(Part::Document {
                source,
                title,
                context: None,
                is_cited: None,
                cache,
            })
        }
        "refusal" => Ok(Part::Refusal(fields.required_string("refusal")?)),
        "thinking" => Ok(read_thinking(&mut fields)),
        _ => Ok(Part::Text {
            text: fields.required_string("text")?,
            citations: Vec::new(),
            cache,
        }),
    }
}

/// Whether a part has a type that is known here, and no fields that are not.
fn is_known(value: &Value) -> bool {
    let Some(fields) = value.as_object() else {
        return false;
    };
    let kind = fields
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let inner: &[&str] = match kind {
        "text" | "refusal" | "thinking" => &[],
        "image_url" => &["url", "detail"],
        "input_audio" => &["data", "format"],
        "file" => &["file_id", "filename", "file_data"],
        _ => return false,
    };
    let knows_inner = fields
        .get(kind)
        .and_then(Value::as_object)
        .is_none_or(|fields| has_only(fields, inner));
    let may_be_marked = matches!(kind, "text" | "image_url" | "file");
    let known: &[&str] = if may_be_marked {
        &["type", kind, "cache_control", BREAKPOINT]
    } else {
        &["type", kind]
    };
    knows_inner && has_known_marks(fields) && has_only(fields, known)
}

/// Takes the address of a picture and its detail; some write the address without an object around.
fn image_url(fields: &mut Fields) -> Result<(String, Option<String>), Error> {
    if fields.peek("image_url").is_some_and(Value::is_string) {
        return Ok((fields.required_string("image_url")?, None));
    }
    let mut image = required_object(fields, "image_url")?;
    Ok((image.required_string("url")?, image.string("detail")?))
}

/// Mistral's thoughts are parts of the content, their texts in a list.
fn read_thinking(fields: &mut Fields) -> Part {
    let texts = fields.elements("thinking").into_iter();
    let texts = texts.filter_map(|text| match text {
        Value::String(text) => Some(text),
        Value::Object(mut text) => match text.remove("text") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    });
    Part::Reasoning {
        id: None,
        texts: vec![texts.collect()],
        is_summary: false,
        signature: None,
        is_redacted: false,
    }
}

fn required_object(fields: &mut Fields, key: &str) -> Result<Fields, Error> {
    fields
        .object(key)?
        .ok_or_else(|| Error::missing(fields.path(key)))
}

/// The thoughts of an assistant, by the names that imitators have for them: OpenRouter's list with
/// signatures first, then plain texts. Takes them all, so that nothing is said twice.
pub(super) fn take_reasoning(fields: &mut Fields) -> Vec<Part> {
    let details = fields.take_if("reasoning_details", Value::is_array);
    let plain = ["reasoning_content", "reasoning"].map(|name| {
        let text = fields.take_if(name, Value::is_string)?;
        text.as_str().map(str::to_owned)
    });
    let details = match details {
        Some(Value::Array(details)) => details,
        _ => Vec::new(),
    };
    let mut parts = read_details(&details);
    if parts.is_empty() {
        let text = plain.into_iter().flatten().find(|text| !text.is_empty());
        parts.extend(text.map(|text| reasoning(vec![text], false, None, false)));
    }
    parts
}

/// Reads OpenRouter's `reasoning_details`. Those with one index are pieces of one text, as they came in a
/// stream; those with one id are texts of the same thoughts.
fn read_details(details: &[Value]) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut last_index = None;
    for detail in details {
        let index = detail.get("index").and_then(Value::as_u64);
        let is_piece = index.is_some() && index == last_index;
        last_index = index;
        if let Some(part) = read_detail(detail)
            && let Some(part) = joined(parts.last_mut(), part, is_piece)
        {
            parts.push(part);
        }
    }
    parts
}

/// Adds `part` to the thoughts before it when it belongs to them; returns it when it does not.
fn joined(last: Option<&mut Part>, part: Part, is_piece: bool) -> Option<Part> {
    let (
        Some(Part::Reasoning {
            id,
            texts,
            is_summary,
            signature: old @ None,
            is_redacted: false,
        }),
        Part::Reasoning {
            id: other,
            texts: more,
            is_summary: other_summary,
            signature,
            is_redacted: false,
        },
    ) = (last, &part)
    else {
        return Some(part);
    };
    let is_same = is_piece || (id.is_some() && *id == *other);
    if !is_same || is_summary != other_summary {
        return Some(part);
    }
    match (texts.last_mut(), more.as_slice()) {
        (Some(text), [piece]) if is_piece => text.push_str(piece),
        _ => texts.extend(more.iter().cloned()),
    }
    old.clone_from(signature);
    None
}

/// Reads one of OpenRouter's `reasoning_details`.
fn read_detail(detail: &Value) -> Option<Part> {
    let text = |key: &str| detail.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut part = match text("type").as_deref()? {
        "reasoning.text" => reasoning(
            text("text").into_iter().collect(),
            false,
            text("signature"),
            false,
        ),
        "reasoning.summary" => reasoning(
            text("summary").into_iter().collect(),
            true,
            text("signature"),
            false,
        ),
        "reasoning.encrypted" => reasoning(Vec::new(), false, text("data"), true),
        _ => return None,
    };
    if let Part::Reasoning { id, .. } = &mut part {
        *id = text("id");
    }
    Some(part)
}

/// Returns thoughts without an id.
pub(super) const fn reasoning(
    texts: Vec<String>,
    is_summary: bool,
    signature: Option<String>,
    is_redacted: bool,
) -> Part {
    Part::Reasoning {
        id: None,
        texts,
        is_summary,
        signature,
        is_redacted,
    }
}

/// Reads the call of a tool. An id that is missing stays empty; arguments that are no string become
/// one.
pub(super) fn read_tool_call(path: String, value: Value) -> Part {
    let Some(call) = value.as_object().and_then(known_call) else {
        return Part::Foreign { name: path, value };
    };
    Part::ToolCall(call)
}

fn known_call(fields: &Map<String, Value>) -> Option<ToolCall> {
    let text = |key: &str| fields.get(key).and_then(Value::as_str);
    let is_custom = text("type") == Some("custom") || !fields.contains_key("function");
    let (kind, key, input) = if is_custom {
        (ToolKind::Custom, "custom", "input")
    } else {
        (ToolKind::Function, "function", "arguments")
    };
    let known = ["id", "type", "index", "extra_content", key];
    let inner = fields.get(key)?.as_object()?;
    // Only their own dialect can say what is not known here.
    // The SDK's helpers leave behind what they made of the arguments.
    let known_inner = ["name", input, "parsed_arguments"];
    if !has_only(fields, &known) || !has_only(inner, &known_inner) {
        return None;
    }
    let extra = fields.get("extra_content").filter(|extra| !extra.is_null());
    let signature = extra.and_then(thought_signature);
    if extra.is_some() && signature.is_none() {
        return None;
    }
    Some(ToolCall {
        id: text("id").unwrap_or_default().to_owned(),
        item_id: None,
        name: inner.get("name")?.as_str()?.to_owned(),
        arguments: arguments(inner.get(input)),
        kind,
        signature,
        cache: None,
    })
}

/// Returns arguments as text, also where they came as the JSON that they should hold.
pub(super) fn arguments(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Returns the proof of a thought that Gemini's compatible endpoint puts beside a call.
pub(super) fn thought_signature(extra: &Value) -> Option<String> {
    let signature = extra.pointer("/google/thought_signature")?;
    signature.as_str().map(str::to_owned)
}
