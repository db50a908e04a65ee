//! What of a call is counted: its messages as those of a chat completion, in whatever dialect they came.

use crate::domain::Dialect;
use crate::metering::Tokens;
use crate::proxy::told::chat_messages;
use crate::wire::conversation::Request;
use crate::wire::translate;
use bytes::Bytes;
use serde_json::Value;
use std::borrow::Cow;

/// Returns the messages to count: those of `conversation`, where a prompt was laid under the client's; else
/// `messages`, which came in `dialect`. What cannot be read as a conversation is counted as text.
pub(crate) fn messages<'a>(
    dialect: Dialect,
    conversation: Option<&Request>,
    messages: &'a [Bytes],
) -> Cow<'a, [Bytes]> {
    if conversation.is_none() && dialect.is_chat() {
        return Cow::Borrowed(messages);
    }
    let read;
    let request = match conversation {
        Some(request) => Some(request),
        None => {
            read = translate::read_request(dialect, &body_of(dialect, messages)).ok();
            read.as_ref()
        }
    };
    let written = request.and_then(chat_messages);
    Cow::Owned(written.unwrap_or_else(|| messages.iter().map(said_by_somebody).collect()))
}

/// Returns the tokens of the input of an embeddings request: texts, or tokens that are there already.
pub(crate) fn input_tokens(tokens: Tokens, model: &str, input: &Bytes) -> u64 {
    match serde_json::from_slice::<Value>(input).unwrap_or_default() {
        Value::String(text) => tokens.count_text(model, &text),
        Value::Array(elements) => elements
            .iter()
            .map(|element| match element {
                Value::String(text) => tokens.count_text(model, text),
                Value::Array(tokens) => u64::try_from(tokens.len()).unwrap_or(u64::MAX),
                _ => 1,
            })
            .sum(),
        _ => 0,
    }
}

/// A body with nothing but these messages in it.
fn body_of(dialect: Dialect, messages: &[Bytes]) -> Bytes {
    let mut body = br#"{"model":"-","max_tokens":1,""#.to_vec();
    body.extend_from_slice(match dialect {
        Dialect::Responses => b"input",
        Dialect::Chat | Dialect::Messages | Dialect::Gemini | Dialect::Converse => b"messages",
    });
    body.extend_from_slice(b"\":[");
    for (place, message) in messages.iter().enumerate() {
        if 0 < place {
            body.push(b',');
        }
        body.extend_from_slice(&said_by_somebody(message));
    }
    body.extend_from_slice(b"]}");
    body.into()
}

/// Instructions and inputs that are a bare text, or bare parts, are messages of somebody.
fn said_by_somebody(message: &Bytes) -> Bytes {
    if message.starts_with(b"{") {
        return message.clone();
    }
    let mut whole = br#"{"role":"user","content":"#.to_vec();
    whole.extend_from_slice(message);
    whole.push(b'}');
    whole.into()
}

#[cfg(test)]
mod tests {
    use super::messages;
    use crate::domain::Dialect;
    use crate::metering::Tokens;
    use bytes::Bytes;
    use serde_json::{Value, json};

    fn counted(dialect: Dialect, said: &[Value]) -> u64 {
        let said: Vec<Bytes> = said.iter().map(|it| Bytes::from(it.to_string())).collect();
        Tokens.count_messages("gpt-5", &messages(dialect, None, &said))
    }

    #[test]
    fn the_same_words_are_as_many_in_every_dialect() {
        let text = "internationalisation of the whole house ".repeat(50);
        let user = |content: Value| json!({"role": "user", "content": content});
        let plain = counted(Dialect::Chat, &[user(json!(text))]);
        let part = |kind: &str| user(json!([{"type": kind, "text": text}]));
        for (dialect, said) in [
            (Dialect::Responses, json!(text)),
            (Dialect::Responses, user(json!(text))),
            (Dialect::Responses, part("input_text")),
            (Dialect::Messages, json!(text)),
            (Dialect::Messages, json!([{"type": "text", "text": text}])),
            (Dialect::Messages, part("text")),
        ] {
            assert_eq!(
                counted(dialect, std::slice::from_ref(&said)),
                plain,
                "{dialect:?} {said}"
            );
        }
    }

    #[test]
    fn tool_calls_and_results_count_in_every_dialect() {
        let long = "a result of many words ".repeat(20);
        let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
        let output = json!({"type": "function_call_output", "call_id": "c", "output": long});
        let responses = counted(Dialect::Responses, &[json!("go"), call, output]);
        let used = json!({"role": "assistant", "content": [
            {"type": "tool_use", "id": "c", "name": "f", "input": {}}]});
        let result = json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "c", "content": long}]});
        let asked = json!({"role": "user", "content": "go"});
        let messages = counted(Dialect::Messages, &[asked, used, result]);
        assert_eq!(responses, messages);
        assert!(100 < messages);
    }

    #[test]
    fn what_is_no_conversation_is_counted_as_text() {
        let odd = json!({"type": "of_tomorrow", "content": "some words"});
        assert!(5 < counted(Dialect::Responses, &[odd, json!("and these")]));
    }
}
