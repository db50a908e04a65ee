//! Messages of requests for chat completions, read.

use crate::wire::Error;
use crate::wire::chat::part::{read_part, read_tool_call, take_reasoning};
use crate::wire::conversation::{Fields, Media, Message, Part, Role, ToolKind, ToolResult};
use crate::wire::openai::shared::{cache_of, says_something, tell_results};
use serde_json::Value;

/// Reads messages with their paths.
///
/// # Errors
///
/// When a message lacks what its role needs; when a call of a tool has no id.
pub(super) fn read_messages(messages: Vec<(String, Value)>) -> Result<Vec<Message>, Error> {
    let messages = messages.into_iter();
    let read = messages.map(|(path, value)| read_message(path, value));
    let mut read = read.collect::<Result<Vec<Message>, Error>>()?;
    tell_results(&mut read);
    Ok(read)
}

fn read_message(path: String, value: Value) -> Result<Message, Error> {
    if value.get("role").and_then(Value::as_str) == Some("function") {
        // The result of a function before there were tools.
        let parts = vec![Part::Foreign { name: path, value }];
        return Ok(message(Role::Tool, None, parts, false));
    }
    let mut fields = Fields::of(path, value)?;
    let role = match fields.required_string("role")?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => {
            return Err(Error::InvalidValue {
                param: fields.path("role"),
                problem: "is none of `system`, `developer`, `user`, `assistant` and `tool`",
            });
        }
    };
    if role == Role::Tool {
        return read_result(fields);
    }
    let name = fields.string("name")?;
    let mut parts = if role == Role::Assistant {
        take_reasoning(&mut fields)
    } else {
        Vec::new()
    };
    let (content, is_plain) = fields.content("content", read_part)?;
    parts.extend(content);
    if role == Role::Assistant {
        read_assistant(&mut fields, &mut parts)?;
    }
    // A text that says nothing stands there only because something had to.
    let is_idle =
        |part: &Part| matches!(part, Part::Text { text, cache: None, .. } if text.is_empty());
    if 1 < parts.len() {
        parts.retain(|part| !is_idle(part));
    }
    let is_plain = is_plain && parts.iter().any(|part| matches!(part, Part::Text { .. }));
    parts.extend(foreign_fields(fields));
    Ok(message(role, name, parts, is_plain))
}

const fn message(role: Role, name: Option<String>, parts: Vec<Part>, is_plain: bool) -> Message {
    Message {
        role,
        name,
        parts,
        is_plain,
    }
}

/// Returns the fields that have not been read and say something, each under its name.
pub(super) fn foreign_fields(fields: Fields) -> Vec<Part> {
    let here = fields.here().to_owned();
    let rest = fields.into_rest().into_iter();
    let said = rest.filter(|(_, value)| says_something(value));
    said.map(|(key, value)| Part::Foreign {
        name: format!("{here}.{key}"),
        value,
    })
    .collect()
}

fn read_result(mut fields: Fields) -> Result<Message, Error> {
    let call_id = fields.required_string("tool_call_id")?;
    let name = fields.string("name")?;
    let (parts, is_plain) = fields.content("content", read_part)?;
    let mark = fields.take_if("cache_control", |mark| cache_of(mark).is_some());
    let result = ToolResult {
        call_id,
        name,
        parts,
        is_error: None,
        is_plain,
        kind: ToolKind::Function,
        cache: mark.as_ref().and_then(cache_of),
    };
    let mut parts = vec![Part::ToolResult(result)];
    parts.extend(foreign_fields(fields));
    Ok(message(Role::Tool, None, parts, false))
}

/// Takes what only the model's messages have.
fn read_assistant(fields: &mut Fields, parts: &mut Vec<Part>) -> Result<(), Error> {
    if let Some(refusal) = fields.string("refusal")? {
        parts.push(Part::Refusal(refusal));
    }
    let citations = fields.take_if("annotations", Value::is_array);
    cite(parts, citations);
    // What the SDK's helpers made of the content comes back with it.
    fields.take("parsed");
    if let Some(Value::Object(audio)) = fields.take_if("audio", |audio| audio.get("id").is_some()) {
        let mut audio = Fields::new(fields.path("audio"), audio);
        let id = audio.required_string("id")?;
        parts.push(Part::Audio {
            source: Media::File(id.clone()),
            format: String::new(),
            transcript: audio.string("transcript")?,
            id: Some(id),
        });
    }
    for (path, call) in fields.array("tool_calls")?.unwrap_or_default() {
        let call = read_tool_call(path.clone(), call);
        match &call {
            Part::ToolCall(call) if call.id.is_empty() => {
                return Err(Error::missing(format!("{path}.id")));
            }
            _ => parts.push(call),
        }
    }
    Ok(())
}

/// Puts citations, which chat completions have beside the content, to the text they belong to.
pub(super) fn cite(parts: &mut [Part], found: Option<Value>) {
    let text = parts.iter_mut().find_map(|part| match part {
        Part::Text { citations, .. } => Some(citations),
        _ => None,
    });
    if let (Some(citations), Some(Value::Array(found))) = (text, found) {
        citations.extend(found);
    }
}
