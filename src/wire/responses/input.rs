//! The input of a request: items become messages, as other dialects have them.

use crate::wire::Error;
use crate::wire::conversation::{Message, Part, Role};
use crate::wire::responses::item::{Item, push_part, read_item};
use serde_json::Value;

/// Reads items with their paths. What the model said, thought and called without anybody between is one
/// message, as long as it says something once.
///
/// # Errors
///
/// When an item lacks what its type needs.
pub(super) fn read_items(
    items: Vec<(String, Value)>,
    messages: &mut Vec<Message>,
) -> Result<(), Error> {
    for (path, value) in items {
        match read_item(path.clone(), value)? {
            Item::Message {
                role: Role::Assistant,
                parts,
                is_plain,
            } => {
                let message = open_for(messages, says_nothing);
                message.is_plain = is_plain && message.parts.is_empty();
                message.parts.extend(parts);
            }
            Item::Message {
                role,
                parts,
                is_plain,
            } => messages.push(message(role, parts, is_plain)),
            Item::Part(part @ Part::Reasoning { .. }) => {
                let is_open = |parts: &[Part]| says_nothing(parts) || calls(parts);
                add(messages, is_open, part);
            }
            Item::Part(part) => add(messages, |_| true, part),
            Item::Result(result) => {
                messages.push(message(Role::Tool, vec![Part::ToolResult(result)], false));
            }
            Item::Foreign(value) => add_foreign(messages, path, value),
        }
    }
    Ok(())
}

fn add_foreign(messages: &mut Vec<Message>, name: String, value: Value) {
    let kind = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let is_result = kind.ends_with("_output") || kind == "mcp_approval_response";
    let part = Part::Foreign { name, value };
    if is_result {
        messages.push(message(Role::Tool, vec![part], false));
    } else {
        add(messages, |_| true, part);
    }
}

/// Adds to the model's message.
fn add(messages: &mut Vec<Message>, is_open: impl Fn(&[Part]) -> bool, part: Part) {
    let message = open_for(messages, is_open);
    message.is_plain = false;
    push_part(&mut message.parts, part);
}

/// Returns the model's last message when nobody spoke since and it `is_open`, or a new one.
fn open_for(messages: &mut Vec<Message>, is_open: impl Fn(&[Part]) -> bool) -> &mut Message {
    let last = messages.pop();
    let (before, open) = match last {
        Some(last) if last.role == Role::Assistant && is_open(&last.parts) => (None, last),
        other => (other, message(Role::Assistant, Vec::new(), false)),
    };
    messages.extend(before);
    messages.push_mut(open)
}

fn says_nothing(parts: &[Part]) -> bool {
    let says = |part: &Part| matches!(part, Part::Text { .. } | Part::Refusal(_));
    !parts.iter().any(says)
}

fn calls(parts: &[Part]) -> bool {
    parts.iter().any(|part| matches!(part, Part::ToolCall(_)))
}

const fn message(role: Role, parts: Vec<Part>, is_plain: bool) -> Message {
    Message {
        role,
        name: None,
        parts,
        is_plain,
    }
}
