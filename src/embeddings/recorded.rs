//! What people wrote, read from the records of their calls: never on the way of a call.

use crate::domain::{CallRecord, Operation, sha256_hex};
use crate::embeddings::ask;
use crate::embeddings::snapshots::Error;
use crate::proxy::{Inputs, inputs};
use crate::store::{CallRow, Store};
use crate::wire::json::as_str;
use crate::wire::openai::EmbeddingsRequest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Which part of a request is its text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// What its user said last; where it has no messages, its variables.
    #[default]
    Any,
    /// What its user said last.
    Messages,
    /// One of its variables.
    Variable(String),
}

/// Whether somebody outside asked: runs of evals, and what this room asks itself, are no traffic.
pub(super) fn is_traffic(row: &CallRow, operation: Operation) -> bool {
    let is_own = row.key.is_none() && row.caller == ask::CALLER;
    row.operation == operation && row.run.is_none() && !is_own
}

/// Returns where a name stands among others when they are drawn: the order of hashes is a draw that comes out
/// the same every time.
pub(super) fn drawn_place(seed: u64, name: &str) -> String {
    sha256_hex(format!("{seed} {name}").as_bytes())
}

/// Reads the record of a call, unless it ran in the shadow of another.
///
/// # Errors
///
/// `Kept` when the store cannot be read.
pub(super) fn record(store: &Store, row: &CallRow) -> Result<Option<CallRecord>, Error> {
    let id = row.id.to_string();
    let record = store.record(&id).map_err(|error| Error::Kept {
        problem: format!("call `{id}` cannot be read: {error}"),
    })?;
    Ok(record.filter(|record| record.intent.shadow_of.is_none()))
}

/// Returns the text of a chat request.
pub(super) fn text_of(record: &CallRecord, input: &Input) -> Option<String> {
    text_of_inputs(&inputs(record)?, input)
}

fn text_of_inputs(inputs: &Inputs, input: &Input) -> Option<String> {
    match input {
        Input::Variable(name) => inputs.variables.get(name).map(plain),
        Input::Messages => said(inputs),
        Input::Any => said(inputs).or_else(|| {
            let all: Vec<String> = inputs.variables.values().map(plain).collect();
            (!all.is_empty()).then(|| all.join("\n"))
        }),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// What the user said last.
fn said(inputs: &Inputs) -> Option<String> {
    let mut messages = inputs.messages.iter().rev();
    messages.find_map(|message| {
        let message: Value = serde_json::from_slice(message).ok()?;
        let role = message.get("role").and_then(Value::as_str);
        (role == Some("user")).then_some(())?;
        let content = message.get("content")?;
        if let Some(text) = content.as_str() {
            return Some(text.to_owned());
        }
        let parts = content.as_array()?.iter();
        let texts = parts.filter_map(|part| part.get("text").and_then(Value::as_str));
        let texts: Vec<&str> = texts.collect();
        (!texts.is_empty()).then(|| texts.join("\n"))
    })
}

/// Returns the texts of an embeddings request that are queries; empty where they are documents, and `None`
/// where the request cannot be read any more.
///
/// A request says so itself (`input_type`, or by the side it was made under). One that says nothing asks a
/// query when it has one text; with several it fills an index.
pub(super) fn queries_of(record: &CallRecord) -> Option<Vec<String>> {
    let intent = &record.intent;
    let request = EmbeddingsRequest::decode(&intent.request).ok()?;
    let said = request
        .object
        .get_some("input_type")
        .and_then(|value| as_str(value));
    let stamp = intent.embedding.as_ref();
    let is_query = match said.as_deref() {
        Some("query" | "search_query") => Some(true),
        Some(_) => Some(false),
        // Where both sides are alike nobody need say which it is.
        None => stamp.filter(|stamp| stamp.side == "query").map(|_| true),
    };
    let texts = request.texts();
    let is_query = is_query.unwrap_or(texts.len() == 1);
    Some(if is_query { texts } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::{Input, text_of_inputs};
    use crate::proxy::Inputs;
    use bytes::Bytes;
    use serde_json::json;

    #[test]
    fn a_request_says_what_its_user_wrote() {
        let messages = [
            json!({"role": "user", "content": "first"}),
            json!({"role": "user", "content": [{"type": "text", "text": "last"}, {"type": "image_url"}]}),
            json!({"role": "assistant", "content": "answer"}),
        ];
        let mut inputs = Inputs {
            variables: serde_json::from_value(json!({"question": "why", "n": 3})).unwrap(),
            messages: messages
                .iter()
                .map(|m| Bytes::from(m.to_string()))
                .collect(),
        };
        let of = |inputs: &Inputs, input: Input| text_of_inputs(inputs, &input);
        let variable = Input::Variable("question".to_owned());
        assert_eq!(of(&inputs, variable.clone()).as_deref(), Some("why"));
        assert_eq!(of(&inputs, Input::Any).as_deref(), Some("last"));
        inputs.messages.clear();
        assert_eq!(of(&inputs, Input::Messages), None);
        let all = of(&inputs, Input::Any).unwrap();
        assert!(all.contains("why") && all.contains('3'));
        inputs.variables.clear();
        assert_eq!(of(&inputs, variable), None);
        assert_eq!(of(&inputs, Input::Any), None);
    }
}
