//! The body of one attempt: the call's own bytes with the attempt's model, where client and provider
//! speak the same dialect; else what they mean, written in the provider's.

use crate::domain::{Dialect, Operation};
use crate::providers::{Endpoint, Preset};
use crate::proxy::Error;
use crate::proxy::call::Call;
use crate::proxy::routing::PlannedAttempt;
use crate::wire::chat::{self, Thoughts};
use crate::wire::conversation::{ModelTraits, Request, Unsupported, Written};
use crate::wire::json::{Change, to_json};
use crate::wire::openai::{self, Asked};
use crate::wire::translate::{self, Target};
use bytes::Bytes;

/// Returns the dialect in which `endpoint` is asked: the client's, where it speaks that.
///
/// # Errors
///
/// `unsupported_parameter` when it cannot be asked for that at all.
pub(crate) fn dialect_for(call: &Call, model: &str, endpoint: &Endpoint) -> Result<Dialect, Error> {
    let spoken = endpoint.dialects(call.operation, model);
    let own = spoken.contains(&call.dialect).then_some(call.dialect);
    own.or_else(|| spoken.first().copied()).ok_or_else(|| {
        let reason = match call.operation {
            Operation::Embeddings => format!("`{}` makes no embeddings", endpoint.name()),
            Operation::Chat | Operation::Raw => format!("`{}` answers nobody", endpoint.name()),
        };
        Error::Unsupported(Unsupported {
            field: "model".to_owned(),
            target: "this provider",
            reason,
        })
    })
}

/// Returns the body that asks `endpoint` for the call in `dialect`, and what had to be left out.
///
/// # Errors
///
/// `unsupported_parameter` when something cannot be said in that dialect and may not be left out.
pub(crate) fn body_for(
    call: &Call,
    dialect: Dialect,
    planned: &PlannedAttempt,
    endpoint: &Endpoint,
) -> Result<Written, Error> {
    let as_it_is = |body| Written {
        body,
        warnings: Vec::new(),
    };
    if let Some(conversation) = &call.conversation {
        let mut request = conversation.as_ref().clone();
        return written(&mut request, dialect, planned, endpoint);
    }
    if dialect != call.dialect {
        let body = own_body(call, &planned.model, None);
        let mut request = translate::read_request(call.dialect, &body)?;
        return written(&mut request, dialect, planned, endpoint);
    }
    Ok(as_it_is(own_body(call, &planned.model, Some(endpoint))))
}

/// The call's body in the client's own dialect; `endpoint` where it goes out like that.
fn own_body(call: &Call, model: &str, endpoint: Option<&Endpoint>) -> Bytes {
    if !call.dialect.is_chat() {
        let model = to_json(model);
        return call.body.to_bytes_with(&[("model", Change::Value(&model))]);
    }
    let is_stream = call.operation == Operation::Chat && call.stream;
    let limit = call.token_limit.as_ref();
    let name = endpoint.map_or("max_completion_tokens", |it| token_limit_field(it.preset()));
    let asked = Asked {
        model,
        // Costs need the usage of a stream; when the client did not ask, it is stripped again.
        stream_usage: is_stream && endpoint.is_some_and(Endpoint::takes_stream_options),
        messages: call.laid_out(),
        token_limit: limit.map(|limit| (name, limit)),
    };
    openai::encode(&call.body, &asked)
}

/// What is asked, in the words of `dialect`.
fn written(
    request: &mut Request,
    dialect: Dialect,
    planned: &PlannedAttempt,
    endpoint: &Endpoint,
) -> Result<Written, Error> {
    request.model.clone_from(&planned.model);
    request.stream_usage |= request.stream && endpoint.takes_stream_options();
    let target = Target {
        dialect,
        is_dropping: planned.drops_unsupported,
        chat: chat_target(endpoint.preset()),
        traits: ModelTraits::default(),
    };
    Ok(translate::write_request(request, &target)?)
}

/// In what a provider of chat completions differs from `OpenAI`.
fn chat_target(preset: Preset) -> chat::Target {
    let thoughts = match preset {
        Preset::DeepSeek | Preset::Vllm | Preset::LlamaCpp => Thoughts::Field("reasoning_content"),
        Preset::OpenRouter => Thoughts::Details,
        _ => Thoughts::Nowhere,
    };
    chat::Target {
        token_limit: token_limit_field(preset),
        thoughts,
        has_developer_role: matches!(preset, Preset::OpenAi | Preset::AzureOpenAi),
        has_top_k: matches!(
            preset,
            Preset::Together | Preset::OpenRouter | Preset::Vllm | Preset::LlamaCpp
        ),
        has_cache_marks: preset == Preset::OpenRouter,
        has_thought_signatures: preset == Preset::Gemini,
    }
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
