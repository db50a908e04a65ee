//! The parts of a request that the simulated provider looks at.

use super::Refusal;
use serde_json::{Map, Value};

/// A request body: a JSON object.
#[derive(Debug)]
pub(super) struct Request(Map<String, Value>);

impl Request {
    pub(super) fn parse(body: &[u8]) -> Result<Self, Refusal> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self(fields)),
            Ok(_) => Err(Refusal::new("the body is no JSON object", None)),
            Err(error) => {
                let message = format!("the body is no JSON: {error}");
                Err(Refusal::new(message, None))
            }
        }
    }

    /// Returns the options in `metadata`, without their prefix.
    pub(super) fn scripted_options(&self) -> impl Iterator<Item = (&str, &str)> {
        let metadata = self.get("metadata").and_then(Value::as_object);
        metadata
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.strip_prefix("simulated.")?, value.as_str()?)))
    }

    /// Returns a field that is there and not null.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    /// Returns a whole number of a field.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    /// Returns the whole request as JSON.
    pub(super) fn to_json(&self) -> String {
        Value::Object(self.0.clone()).to_string()
    }

    /// Returns the messages of a chat.
    pub(super) fn messages(&self) -> Result<&[Value], Refusal> {
        match self.get("messages").and_then(Value::as_array) {
            Some(messages) if !messages.is_empty() => Ok(messages),
            _ => Err(Refusal::new(
                "`messages` is no array with at least one message",
                Some("messages"),
            )),
        }
    }
}

/// Returns the role of a message.
pub(super) fn role(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or("")
}

/// Returns the text of a message, its text parts joined by spaces.
pub(super) fn text(message: &Value) -> String {
    match message.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let texts: Vec<&str> = parts
                .iter()
                .filter_map(|part| part.get("text").and_then(Value::as_str))
                .collect();
            texts.join(" ")
        }
        _ => String::new(),
    }
}

/// Returns the text of the last message of one of `roles`; empty when there is none.
pub(super) fn last_text(messages: &[Value], roles: &[&str]) -> String {
    let found = messages.iter().rev().find(|m| roles.contains(&role(m)));
    found.map(text).unwrap_or_default()
}

/// Returns the tokens of `text` as this provider counts them: see [`super::answer::pieces`].
pub(super) fn count_tokens(text: &str) -> u64 {
    u64::try_from(super::answer::pieces(text).count()).unwrap_or(u64::MAX)
}
