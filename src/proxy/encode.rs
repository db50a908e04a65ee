//! The body of one attempt: the call's own fields with the attempt's model.

use crate::domain::Operation;
use crate::providers::{Endpoint, Preset};
use crate::proxy::call::Call;
use crate::wire::json::{self, RawObject};
use bytes::Bytes;

/// Returns the body that asks `model` of `endpoint` for the call.
pub(crate) fn body_for(call: &Call, model: &str, endpoint: &Endpoint) -> Bytes {
    let mut changes = vec![("model", Some(json::to_json(model)))];
    if call.operation == Operation::Chat && call.stream && endpoint.takes_stream_options() {
        // Costs need the usage of a stream; when the client did not ask, it is stripped again.
        changes.push(("stream_options", Some(with_usage(call.body.get_some("stream_options")))));
    }
    if let Some(limit) = &call.token_limit {
        changes.push((token_limit_field(endpoint.preset()), Some(limit.clone())));
    }
    call.body.to_bytes_with(&changes)
}

/// How a provider spells the limit of output tokens. `OpenAI`'s newer models refuse `max_tokens`,
/// most others know nothing else.
const fn token_limit_field(preset: Preset) -> &'static str {
    match preset {
        Preset::OpenAi | Preset::AzureOpenAi | Preset::Groq | Preset::OpenRouter => {
            "max_completion_tokens"
        }
        Preset::Anthropic
        | Preset::Gemini
        | Preset::Mistral
        | Preset::DeepSeek
        | Preset::Together
        | Preset::Ollama
        | Preset::Vllm
        | Preset::LlamaCpp
        | Preset::Simulated => "max_tokens",
    }
}

fn with_usage(options: Option<&Bytes>) -> Bytes {
    let parsed = options.and_then(|options| RawObject::parse(options).ok());
    let mut options = parsed.unwrap_or_default();
    options.set("include_usage", Bytes::from_static(b"true"));
    options.to_bytes()
}
