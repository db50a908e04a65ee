//! The body of one attempt: the call's own fields with the attempt's model.

use crate::domain::Operation;
use crate::providers::{Endpoint, Preset};
use crate::proxy::call::Call;
use crate::wire::openai::{self, Asked};
use bytes::Bytes;

/// Returns the body that asks `model` of `endpoint` for the call.
pub(crate) fn body_for(call: &Call, model: &str, endpoint: &Endpoint) -> Bytes {
    let is_stream = call.operation == Operation::Chat && call.stream;
    let token_limit = call.token_limit.as_ref();
    let asked = Asked {
        model,
        // Costs need the usage of a stream; when the client did not ask, it is stripped again.
        stream_usage: is_stream && endpoint.takes_stream_options(),
        messages: call.laid_out(),
        token_limit: token_limit.map(|limit| (token_limit_field(endpoint.preset()), limit)),
    };
    openai::encode(&call.body, &asked)
}

/// How a provider spells the limit of output tokens. `OpenAI`'s newer models refuse `max_tokens`,
/// most others know nothing else.
const fn token_limit_field(preset: Preset) -> &'static str {
    match preset {
        Preset::OpenAi | Preset::AzureOpenAi | Preset::Groq | Preset::Xai | Preset::OpenRouter => {
            "max_completion_tokens"
        }
        Preset::Anthropic
        | Preset::Gemini
        | Preset::Vertex
        | Preset::Bedrock
        | Preset::Mistral
        | Preset::Cohere
        | Preset::DeepSeek
        | Preset::Together
        | Preset::Fireworks
        | Preset::Ollama
        | Preset::Vllm
        | Preset::LlamaCpp
        | Preset::Simulated => "max_tokens",
    }
}
