//! What a recorded call said, asked and answered, in one form whatever dialect it was recorded in: as a chat
//! completion would have it. Whoever wants the text of a record reads it here.

use crate::domain::{CallIntent, CallRecord, CallState, Dialect, Operation};
use crate::proxy::passing::dialect_of;
use crate::wire::conversation::{Collector, Reply, Request};
use crate::wire::json::{RawObject, field, split_array};
use crate::wire::translate::{self, Client, EventReader, Origin, Target};
use crate::wire::{converse, gemini};
use bytes::Bytes;

/// What a recorded call said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// The messages that the client sent, each JSON.
    pub messages: Vec<Bytes>,
    /// The answer, a whole chat completion; `None` where there is none, or one that cannot be read.
    pub answer: Option<Bytes>,
}

/// Returns what a recorded call said; `None` where it is no conversation, or its request cannot be read any
/// more.
#[must_use]
pub fn told(record: &CallRecord) -> Option<Told> {
    let dialect = spoken(record)?;
    Some(Told {
        messages: messages(dialect, &record.intent.request)?,
        answer: answer(dialect, record),
    })
}

/// Returns the answer of a recorded call as a whole chat completion; `None` where there is none.
#[must_use]
pub fn told_answer(record: &CallRecord) -> Option<Bytes> {
    answer(spoken(record)?, record)
}

/// The dialect of a conversation; that of a raw request is told by its path.
fn spoken(record: &CallRecord) -> Option<Dialect> {
    let intent = &record.intent;
    match intent.operation {
        Operation::Chat => Some(intent.dialect),
        Operation::Raw => dialect_of(intent.path.as_deref()?),
        Operation::Embeddings | Operation::Count => None,
    }
}

fn messages(dialect: Dialect, body: &Bytes) -> Option<Vec<Bytes>> {
    if dialect.is_chat() {
        let object = RawObject::parse(body).ok()?;
        let messages = object.get_some("messages").map(split_array);
        return messages.unwrap_or_else(|| Some(Vec::new()));
    }
    let request = read_request(dialect, body)?;
    if request.messages.is_empty() {
        return Some(Vec::new());
    }
    chat_messages(&request)
}

/// Returns the messages of a request as those of a chat completion; `None` where one cannot say them.
pub(super) fn chat_messages(request: &Request) -> Option<Vec<Bytes>> {
    let written = translate::write_request(request, &Target::all_of(Dialect::Chat)).ok()?;
    split_array(&field(&written.body, "messages")?)
}

fn read_request(dialect: Dialect, body: &Bytes) -> Option<Request> {
    match dialect {
        Dialect::Gemini => gemini::read_contents(body).ok(),
        Dialect::Converse => converse::read_messages(body).ok(),
        Dialect::Chat | Dialect::Responses | Dialect::Messages => {
            translate::read_request(dialect, &completed(dialect, body)?).ok()
        }
    }
}

/// The body with what a prompt brought, which a recorded request may lack.
fn completed(dialect: Dialect, body: &Bytes) -> Option<Bytes> {
    let mut object = RawObject::parse(body).ok()?;
    let input = if dialect == Dialect::Responses {
        "input"
    } else {
        "messages"
    };
    for (key, value) in [(input, "[]"), ("model", "\"-\"")] {
        if object.get_some(key).is_none() {
            object.set(key, Bytes::from_static(value.as_bytes()));
        }
    }
    // It names our prompt, and no answer goes on from here.
    object.remove("prompt");
    Some(object.to_bytes())
}

fn answer(dialect: Dialect, record: &CallRecord) -> Option<Bytes> {
    let outcome = record.outcome.as_ref()?;
    if outcome.state != CallState::Ok || outcome.output.is_empty() {
        return None;
    }
    as_chat(dialect, &outcome.output, &record.intent)
}

fn as_chat(dialect: Dialect, output: &Bytes, intent: &CallIntent) -> Option<Bytes> {
    if dialect.is_chat() && output.starts_with(b"{") {
        return Some(output.clone());
    }
    let reply = read_answer(dialect, output)?;
    let client = Client {
        dialect: Dialect::Chat,
        request: Bytes::new(),
        id: intent.id.to_string(),
        created: intent.started.unix_seconds(),
        wants_usage: false,
    };
    Some(translate::write_reply(&reply, &client))
}

/// Reads an answer, whole or as the events that it came in.
fn read_answer(dialect: Dialect, output: &Bytes) -> Option<Reply> {
    if output.starts_with(b"{") {
        return translate::read_reply(dialect, output).ok();
    }
    let mut reader = EventReader::new(dialect, &Origin::default());
    let mut events = Vec::new();
    reader.push(output, &mut events);
    reader.finish(&mut events);
    let mut collector = Collector::new(dialect);
    for event in events {
        collector.take(event);
    }
    let reply = collector.reply();
    (!reply.choices.is_empty()).then(|| reply.clone())
}

#[cfg(test)]
mod tests {
    use super::{as_chat, messages};
    use crate::domain::{CallId, CallIntent, Dialect};
    use bytes::Bytes;
    use serde_json::{Value, json};

    fn sent(dialect: Dialect, body: &Value) -> Vec<Value> {
        let messages = messages(dialect, &Bytes::from(body.to_string())).unwrap();
        let read = |message: &Bytes| serde_json::from_slice(message).unwrap();
        messages.iter().map(read).collect()
    }

    #[test]
    fn what_was_sent_is_one_conversation_in_every_dialect() {
        let arguments = json!({"id": 7});
        for (dialect, body) in [
            (
                Dialect::Responses,
                json!({"instructions": "be brief", "prompt": {"id": "a"}, "input": [
                    {"role": "user", "content": "where is it?"},
                    {"type": "function_call", "call_id": "c", "name": "find",
                        "arguments": arguments.to_string()},
                    {"type": "function_call_output", "call_id": "c", "output": "there"},
                ]}),
            ),
            (
                Dialect::Messages,
                json!({"max_tokens": 9, "system": "be brief", "messages": [
                    {"role": "user", "content": "where is it?"},
                    {"role": "assistant", "content": [
                        {"type": "tool_use", "id": "c", "name": "find", "input": arguments}]},
                    {"role": "user", "content": [
                        {"type": "tool_result", "tool_use_id": "c", "content": "there"}]},
                ]}),
            ),
            (
                Dialect::Gemini,
                json!({"systemInstruction": {"parts": [{"text": "be brief"}]}, "contents": [
                    {"role": "user", "parts": [{"text": "where is it?"}]},
                    {"role": "model", "parts": [
                        {"functionCall": {"name": "find", "args": arguments}}]},
                    {"role": "user", "parts": [
                        {"functionResponse": {"name": "find", "response": {"result": "there"}}}]},
                ]}),
            ),
            (
                Dialect::Converse,
                json!({"system": [{"text": "be brief"}], "messages": [
                    {"role": "user", "content": [{"text": "where is it?"}]},
                    {"role": "assistant", "content": [
                        {"toolUse": {"toolUseId": "c", "name": "find", "input": arguments}}]},
                    {"role": "user", "content": [
                        {"toolResult": {"toolUseId": "c", "content": [{"text": "there"}]}}]},
                ]}),
            ),
        ] {
            let told = sent(dialect, &body);
            let roles: Vec<&str> = told.iter().map(|it| it["role"].as_str().unwrap()).collect();
            assert!(
                matches!(roles[0], "system" | "developer"),
                "{dialect:?} {roles:?}"
            );
            assert_eq!(roles[1..], ["user", "assistant", "tool"], "{dialect:?}");
            assert!(told[1].to_string().contains("where is it?"), "{told:?}");
            let call = &told[2]["tool_calls"][0];
            assert_eq!(call["function"]["name"], "find", "{dialect:?}");
            assert_eq!(call["id"], told[3]["tool_call_id"], "{dialect:?}");
            assert!(told[3].to_string().contains("there"), "{told:?}");
        }
    }

    fn intent() -> CallIntent {
        let value = json!({"id": CallId::fresh(), "started": 0, "operation": "chat",
            "caller": "c", "model_asked": "m", "provider": "p", "model": "m"});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_was_answered_is_a_chat_completion_whole_or_streamed() {
        let gemini = json!({"candidates": [
            {"content": {"role": "model", "parts": [{"text": "so it is"}]}, "finishReason": "STOP"}]});
        let message = json!({"id": "m", "type": "message", "role": "assistant", "model": "c",
            "content": [{"type": "text", "text": "so it is"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": 1, "output_tokens": 2}});
        let response = json!({"id": "r", "object": "response", "status": "completed", "model": "c",
            "output": [{"type": "message", "id": "m", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "so it is", "annotations": []}]}]});
        let chunk = |text: &str| {
            let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": null});
            format!(
                "data: {}\n\n",
                json!({"id": "c", "model": "m", "choices": [choice]})
            )
        };
        for (dialect, output) in [
            (Dialect::Gemini, gemini.to_string()),
            (Dialect::Gemini, format!("data: {gemini}\n\n")),
            (Dialect::Messages, message.to_string()),
            (Dialect::Responses, response.to_string()),
            (
                Dialect::Chat,
                chunk("so ") + &chunk("it is") + "data: [DONE]\n\n",
            ),
        ] {
            let body = as_chat(dialect, &Bytes::from(output.clone()), &intent());
            let body = body.unwrap_or_else(|| panic!("{dialect:?} {output}"));
            let body: Value = serde_json::from_slice(&body).unwrap();
            let content = &body["choices"][0]["message"]["content"];
            assert_eq!(content, "so it is", "{dialect:?}");
        }
    }
}
