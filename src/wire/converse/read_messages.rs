//! The conversation in a request of Bedrock's, for whoever reads what was recorded. No client is served in
//! this dialect, so settings and tools are not read.

use crate::wire::Error;
use crate::wire::conversation::{Dialect, Message, Part, Request, Role, ToolKind, ToolResult};
use crate::wire::converse::read_block;
use bytes::Bytes;
use serde_json::Value;

/// Reads the messages of a request.
///
/// # Errors
///
/// When it has no `messages`.
pub fn read_messages(body: &Bytes) -> Result<Request, Error> {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = object.get("messages").and_then(Value::as_array);
    let said = said.ok_or_else(|| Error::missing("messages"))?;
    let system = object.get("system").and_then(Value::as_array);
    let mut messages: Vec<Message> = system
        .map(|blocks| message(Role::System, blocks))
        .into_iter()
        .collect();
    for one in said {
        let role = match one.get("role").and_then(Value::as_str) {
            Some("assistant") => Role::Assistant,
            _ => Role::User,
        };
        let blocks = one.get("content").and_then(Value::as_array);
        messages.push(message(role, blocks.map_or(&[], Vec::as_slice)));
    }
    Ok(Request {
        dialect: Dialect::Converse,
        messages,
        ..Request::default()
    })
}

fn message(role: Role, blocks: &[Value]) -> Message {
    let part = |block: &Value| match block.get("toolResult") {
        Some(result) => result_of(result),
        None => read_block::part_of("content", block.clone()),
    };
    Message {
        role,
        name: None,
        parts: blocks.iter().map(part).collect(),
        is_plain: false,
    }
}

fn result_of(result: &Value) -> Part {
    let content = result.get("content").and_then(Value::as_array);
    let part = |block: &Value| match block.get("json") {
        Some(json) => Part::plain(json.to_string()),
        None => read_block::part_of("content", block.clone()),
    };
    let id = result.get("toolUseId").and_then(Value::as_str);
    Part::ToolResult(ToolResult {
        call_id: id.unwrap_or_default().to_owned(),
        name: None,
        parts: content.into_iter().flatten().map(part).collect(),
        is_error: (result.get("status") == Some(&"error".into())).then_some(true),
        is_plain: false,
        kind: ToolKind::Function,
        cache: None,
    })
}
