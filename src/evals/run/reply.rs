//! Reads a whole chat completion as evals see it, fresh or from the record of its call.

use crate::domain::{CallRecord, CallState};
use crate::evals::gateway::Reply;
use crate::proxy::{told, told_answer};
use serde_json::{Map, Value};

/// Reads an answer's body. Call, money and times are not in it.
///
/// # Errors
///
/// In words, when there is no message in it.
pub(super) fn read(body: &[u8]) -> Result<Reply, String> {
    let answer: Value = serde_json::from_slice(body)
        .map_err(|error| format!("the answer cannot be read: {error}"))?;
    let choice = answer.pointer("/choices/0").unwrap_or(&Value::Null);
    let message = choice.get("message").filter(|message| message.is_object());
    let message = message.ok_or("the answer has no message")?.clone();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    Ok(Reply {
        call: None,
        text: text_of(message.get("content")),
        finish_reason: text(choice.get("finish_reason")),
        log_probs: log_probs(choice),
        tokens: choice
            .pointer("/logprobs/content")
            .cloned()
            .unwrap_or_default(),
        model_returned: text(answer.get("model")),
        usage: None,
        cost: crate::domain::Cost::default(),
        latency_us: 0,
        sent: Vec::new(),
        message,
        cached_from: None,
    })
}

/// Reads the answer of a recorded call; `None` when it has none, or one that cannot be read. `sent` are
/// the messages of the request where the record alone tells them.
pub(super) fn of_record(record: &CallRecord) -> Option<Reply> {
    let outcome = record.outcome.as_ref()?;
    if outcome.state != CallState::Ok {
        return None;
    }
    let sent = told(record).map(|said| said.messages).unwrap_or_default();
    let sent = sent
        .iter()
        .filter_map(|message| serde_json::from_slice(message).ok());
    Some(Reply {
        call: Some(record.intent.id),
        model_returned: outcome.model_returned.clone(),
        usage: outcome.usage,
        cost: outcome.cost.clone(),
        latency_us: outcome.times.total_us,
        sent: sent.collect(),
        ..read(&told_answer(record)?).ok()?
    })
}

/// The text of a message's content, which may come in parts.
fn text_of(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts = parts.iter().filter_map(|part| part.get("text")?.as_str());
            texts.collect()
        }
        _ => String::new(),
    }
}

fn log_probs(choice: &Value) -> Option<Vec<f64>> {
    let tokens = choice.pointer("/logprobs/content")?.as_array()?;
    tokens
        .iter()
        .map(|token| token.get("logprob")?.as_f64())
        .collect()
}

/// What is graded of an answer: its text; the tool calls where it has no text, the whole message where it
/// has both; parsed where the request asked for JSON of a schema.
pub(super) fn output(reply: &Reply, parameters: &Map<String, Value>) -> Value {
    let message = &reply.message;
    let calls = ["tool_calls", "function_call"]
        .into_iter()
        .filter_map(|name| message.get(name))
        .find(|calls| !calls.is_null() && calls.as_array().is_none_or(|calls| !calls.is_empty()));
    if let Some(calls) = calls {
        let is_silent = reply.text.is_empty();
        return if is_silent {
            calls.clone()
        } else {
            message.clone()
        };
    }
    let refusal = message.get("refusal").and_then(Value::as_str);
    if let Some(refusal) = refusal.filter(|_| reply.text.is_empty()) {
        return refusal.into();
    }
    let format = parameters.get("response_format");
    let wants_schema = format.and_then(|format| format.get("type")) == Some(&"json_schema".into());
    let parsed = serde_json::from_str(&reply.text)
        .ok()
        .filter(|_| wants_schema);
    parsed.unwrap_or_else(|| reply.text.as_str().into())
}

#[cfg(test)]
mod tests {
    use super::{output, read};
    use serde_json::{Map, Value, json};

    fn body(message: &Value) -> Vec<u8> {
        let choice = json!({"message": message, "finish_reason": "stop",
            "logprobs": {"content": [{"token": "a", "logprob": -0.5}]}});
        json!({"model": "m-1", "choices": [choice]})
            .to_string()
            .into_bytes()
    }

    #[test]
    fn what_is_graded_is_what_was_said() {
        let none = Map::new();
        let schema = json!({"response_format": {"type": "json_schema"}});
        let schema = schema.as_object().unwrap();
        let calls = json!([{"function": {"name": "f", "arguments": "{}"}}]);
        let both = json!({"content": "x", "tool_calls": calls});
        for (message, parameters, expected) in [
            (json!({"content": "hi"}), &none, json!("hi")),
            (
                json!({"content": [{"type": "text", "text": "a"}, {"text": "b"}]}),
                &none,
                json!("ab"),
            ),
            (json!({"content": null, "tool_calls": calls}), &none, calls),
            (json!({"content": "x", "tool_calls": []}), &none, json!("x")),
            (both.clone(), &none, both),
            (
                json!({"content": null, "refusal": "no"}),
                &none,
                json!("no"),
            ),
            (json!({"content": "{\"a\":1}"}), schema, json!({"a": 1})),
            (json!({"content": "{\"a\":1}"}), &none, json!("{\"a\":1}")),
            (json!({"content": "{\"a\""}), schema, json!("{\"a\"")),
        ] {
            let reply = read(&body(&message)).unwrap();
            assert_eq!(output(&reply, parameters), expected, "{message}");
        }
    }

    #[test]
    fn facts_are_read_and_nonsense_is_an_error() {
        let reply = read(&body(&json!({"content": "hi"}))).unwrap();
        assert_eq!(reply.model_returned.as_deref(), Some("m-1"));
        assert_eq!(reply.finish_reason.as_deref(), Some("stop"));
        assert_eq!(reply.log_probs, Some(vec![-0.5]));
        assert_eq!(reply.tokens, json!([{"token": "a", "logprob": -0.5}]));
        for body in [
            "",
            "{}",
            "{\"choices\":[]}",
            "{\"choices\":[{\"message\":1}]}",
        ] {
            assert!(read(body.as_bytes()).is_err(), "{body}");
        }
    }
}
