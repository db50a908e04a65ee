//! The conversation in a request of Gemini's, for whoever reads what was recorded. No client is served in
//! this dialect, so settings and tools are not read.

use crate::wire::Error;
use crate::wire::conversation::{Dialect, Message, Part, Request, Role, ToolKind, ToolResult};
use crate::wire::gemini::part::{CallPlace, Said, read};
use bytes::Bytes;
use serde_json::Value;
use std::collections::HashMap;
use std::collections::VecDeque;

/// Reads the messages of a request.
///
/// # Errors
///
/// When it has no `contents`.
pub fn read_contents(body: &Bytes) -> Result<Request, Error> {
    let object: Value = serde_json::from_slice(body).unwrap_or_default();
    let contents = object.get("contents").and_then(Value::as_array);
    let contents = contents.ok_or_else(|| Error::missing("contents"))?;
    let mut calls = Calls::default();
    let system = ["systemInstruction", "system_instruction"];
    let system = system.into_iter().find_map(|name| object.get(name));
    let mut messages: Vec<Message> = system
        .map(|said| message(Role::System, said, &mut calls))
        .into_iter()
        .collect();
    for content in contents {
        let role = match content.get("role").and_then(Value::as_str) {
            Some("model") => Role::Assistant,
            _ => Role::User,
        };
        messages.push(message(role, content, &mut calls));
    }
    Ok(Request {
        dialect: Dialect::Gemini,
        messages,
        ..Request::default()
    })
}

/// The calls so far: older models give theirs no ids, and results name only the function.
#[derive(Default)]
struct Calls {
    count: usize,
    open: HashMap<String, VecDeque<String>>,
}

fn message(role: Role, content: &Value, calls: &mut Calls) -> Message {
    let parts = content.get("parts").and_then(Value::as_array);
    let parts = parts.into_iter().flatten();
    Message {
        role,
        name: None,
        parts: parts.map(|part| part_of(part, calls)).collect(),
        is_plain: false,
    }
}

fn part_of(part: &Value, calls: &mut Calls) -> Part {
    if let Some(result) = part.get("functionResponse") {
        return result_of(result, calls);
    }
    let place = CallPlace {
        reply: "",
        choice: 0,
        calls: calls.count,
    };
    match read("parts", part.clone(), place).said {
        Said::Text(text) => Part::plain(text),
        Said::Thoughts(text) => Part::Reasoning {
            id: None,
            texts: vec![text],
            is_summary: false,
            signature: None,
            is_redacted: false,
        },
        Said::Whole(Part::ToolCall(call)) => {
            calls.count += 1;
            let open = calls.open.entry(call.name.clone()).or_default();
            open.push_back(call.id.clone());
            Part::ToolCall(call)
        }
        Said::Whole(part) => part,
    }
}

fn result_of(result: &Value, calls: &mut Calls) -> Part {
    let text = |name: &str| result.get(name).and_then(Value::as_str);
    let name = text("name").unwrap_or_default();
    let open = calls.open.get_mut(name).and_then(VecDeque::pop_front);
    let said = text("id").map(str::to_owned);
    let response = result.get("response").unwrap_or(&Value::Null);
    // What is written as `{"result": TEXT}` was a text.
    let plain = ["result", "output", "content"].into_iter();
    let plain = plain.filter_map(|key| response.get(key)?.as_str()).next();
    Part::ToolResult(ToolResult {
        call_id: said.or(open).unwrap_or_else(|| name.to_owned()),
        name: Some(name.to_owned()),
        parts: vec![Part::plain(
            plain.map_or_else(|| response.to_string(), str::to_owned),
        )],
        is_error: None,
        is_plain: true,
        kind: ToolKind::Function,
        cache: None,
    })
}
