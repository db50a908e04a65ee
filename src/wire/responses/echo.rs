//! What a response repeats of its request.

use crate::wire::Error;
use crate::wire::conversation::Fields;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// The fields of a request that its response has too, as the client sent them, and what they are where
/// the client sent nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Echo {
    /// Whether the response is kept, so that it can be asked for by its id. `false` until it is said
    /// otherwise, whatever the client asked for: only what is kept can be promised.
    pub is_stored: bool,
    fields: Map<String, Value>,
}

/// The fields in the order of the official API, with their defaults; `Null` stands for `null`.
fn defaults() -> [(&'static str, Value); 21] {
    [
        ("background", false.into()),
        ("instructions", Value::Null),
        ("max_output_tokens", Value::Null),
        ("max_tool_calls", Value::Null),
        ("parallel_tool_calls", true.into()),
        ("previous_response_id", Value::Null),
        ("prompt", Value::Null),
        ("prompt_cache_key", Value::Null),
        ("prompt_cache_retention", Value::Null),
        ("reasoning", json!({"effort": null, "summary": null})),
        ("safety_identifier", Value::Null),
        ("service_tier", "default".into()),
        ("temperature", 1.0.into()),
        (
            "text",
            json!({"format": {"type": "text"}, "verbosity": "medium"}),
        ),
        ("tool_choice", "auto".into()),
        ("tools", json!([])),
        ("top_logprobs", 0.into()),
        ("top_p", 1.0.into()),
        ("truncation", "disabled".into()),
        ("user", Value::Null),
        ("metadata", json!({})),
    ]
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            is_stored: false,
            fields: defaults()
                .into_iter()
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        }
    }
}

impl Echo {
    /// Reads what the response to the request `body` has to repeat.
    ///
    /// # Errors
    ///
    /// When the body is no JSON object.
    pub fn read(body: &Bytes) -> Result<Self, Error> {
        let mut given = Fields::parse(body)?;
        let mut echo = Self::default();
        for (key, value) in &mut echo.fields {
            let Some(given) = given.take(key) else {
                continue;
            };
            match (value, given) {
                // Of these the client may have said a part.
                (Value::Object(whole), Value::Object(part))
                    if matches!(key.as_str(), "reasoning" | "text") =>
                {
                    whole.extend(part);
                }
                (value, given) => *value = given,
            }
        }
        if echo
            .fields
            .get("service_tier")
            .is_some_and(|tier| tier == "auto")
        {
            echo.set("service_tier", "default".into());
        }
        Ok(echo)
    }

    /// Puts `value` at `key`, where it is another than the client sent: the effective prompt, say.
    pub fn set(&mut self, key: &str, value: Value) {
        self.fields.insert(key.to_owned(), value);
    }

    /// Returns keys and values in the order of the official API.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.fields.iter()
    }
}
