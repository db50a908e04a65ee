//! The body of one attempt: the call's own fields with the attempt's model.

use crate::domain::Operation;
use crate::providers::Traits;
use crate::proxy::call::Call;
use bytes::Bytes;
use serde_json::{Value, json};

/// Returns the body that asks `model` for the call.
pub(crate) fn body_for(call: &Call, model: &str, traits: &Traits) -> Bytes {
    let mut body = call.body.clone();
    body.set("model", Bytes::from(Value::from(model).to_string()));
    if call.operation == Operation::Chat && call.stream && traits.stream_usage {
        // Costs need the usage of a stream; when the client did not ask, it is stripped again.
        let options = body.get("stream_options").cloned();
        body.set("stream_options", with_usage(options.as_ref()));
    }
    if let Some(limit) = &call.token_limit {
        body.set(traits.token_limit_field, limit.clone());
    }
    body.to_bytes()
}

fn with_usage(options: Option<&Bytes>) -> Bytes {
    let parsed = options.and_then(|bytes| serde_json::from_slice::<Value>(bytes).ok());
    let mut options = match parsed {
        Some(Value::Object(options)) => options,
        _ => serde_json::Map::new(),
    };
    options.insert("include_usage".to_owned(), json!(true));
    Bytes::from(Value::Object(options).to_string())
}
