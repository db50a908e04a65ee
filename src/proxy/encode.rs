//! The body of one attempt: the call's own bytes with the attempt's model, where client and provider
//! speak the same dialect; else what they mean, written in the provider's.

use crate::domain::{Dialect, Operation};
use crate::providers::{Endpoint, Preset};
use crate::proxy::Error;
use crate::proxy::call::Call;
use crate::proxy::routing::PlannedAttempt;
use crate::wire::chat::{self, CacheMarks, Thoughts};
use crate::wire::conversation::{ModelTraits, Request, Unsupported, Written};
use crate::wire::count::{Counter, write_count_request};
use crate::wire::json::{Change, RawObject, to_json};
use crate::wire::openai::{self, Asked};
use crate::wire::responses;
use crate::wire::translate::{self, Target};
use bytes::Bytes;

/// Returns the dialect in which `endpoint` is asked: the client's, where it speaks that. A provider whose
/// own dialect is another than `OpenAI`'s is asked in its own, since what it offers beside that knows less.
///
/// # Errors
///
/// `unsupported_parameter` when it cannot be asked for that at all.
pub(crate) fn dialect_for(call: &Call, model: &str, endpoint: &Endpoint) -> Result<Dialect, Error> {
    let spoken = endpoint.dialects(call.operation, model);
    let best = spoken.first().copied().ok_or_else(|| Unsupported {
        field: "model".to_owned(),
        target: "this provider",
        reason: match call.operation {
            Operation::Embeddings => format!("`{}` makes no embeddings", endpoint.name()),
            Operation::Chat | Operation::Raw | Operation::Count => {
                format!("`{}` answers nobody", endpoint.name())
            }
        },
    })?;
    let is_of_its_own = !matches!(best, Dialect::Chat | Dialect::Responses);
    if is_of_its_own || !spoken.contains(&call.dialect) {
        return Ok(best);
    }
    Ok(call.dialect)
}

/// Returns the body that asks `endpoint` for the call in `dialect`, and what had to be left out. The model
/// answers with at most `longest_answer` tokens, where that is known.
///
/// # Errors
///
/// `unsupported_parameter` when something cannot be said in that dialect and may not be left out.
pub(crate) fn body_for(
    call: &Call,
    dialect: Dialect,
    planned: &PlannedAttempt,
    (endpoint, longest_answer): (&Endpoint, &dyn Fn() -> Option<u64>),
) -> Result<Written, Error> {
    let as_it_is = |body| Written {
        body,
        warnings: Vec::new(),
    };
    let mut asked = if let Some(conversation) = &call.conversation {
        let mut request = conversation.as_ref().clone();
        written(
            call,
            &mut request,
            (dialect, planned),
            (endpoint, longest_answer),
        )?
    } else if dialect == call.dialect {
        as_it_is(own_body(call, &planned.model, Some(endpoint)))
    } else {
        let body = own_body(call, &planned.model, None);
        let mut request = translate::read_request(call.dialect, &body)?;
        written(
            call,
            &mut request,
            (dialect, planned),
            (endpoint, longest_answer),
        )?
    };
    if let Some(version) = endpoint
        .anthropic_version()
        .filter(|_| dialect == Dialect::Messages)
    {
        asked.body = at_vertex(&asked.body, version);
    }
    Ok(asked)
}

/// Returns the body that asks `endpoint` how many tokens the call has, and in whose words it is.
///
/// # Errors
///
/// `unsupported_parameter` when something cannot be said in `dialect`.
pub(crate) fn count_body(
    call: &Call,
    dialect: Dialect,
    planned: &PlannedAttempt,
    endpoint: &Endpoint,
) -> Result<(Counter, Bytes), Error> {
    let counter = match dialect {
        Dialect::Gemini if endpoint.preset() == Preset::Vertex => Counter::Vertex,
        Dialect::Gemini => Counter::Gemini,
        Dialect::Converse => Counter::Converse,
        Dialect::Messages | Dialect::Chat | Dialect::Responses => Counter::Messages,
    };
    let own = own_body(call, &planned.model, None);
    let body = match &call.conversation {
        None if dialect == call.dialect => own,
        conversation => {
            let mut request = match conversation {
                Some(conversation) => conversation.as_ref().clone(),
                None => translate::read_request(call.dialect, &own)?,
            };
            request.model.clone_from(&planned.model);
            let traits = traits_of(&planned.model, None);
            write_count_request(counter, &request, &traits)?
        }
    };
    let version = endpoint.anthropic_version();
    let version = version.filter(|_| counter == Counter::Messages);
    let body = match (version, RawObject::parse(&body)) {
        // Here the model stays in the body.
        (Some(version), Ok(mut object)) => {
            object.set("anthropic_version", to_json(version));
            object.to_bytes()
        }
        _ => body,
    };
    Ok((counter, body))
}

/// Anthropic's messages at Vertex AI: the model stands in the path, the version in the body.
fn at_vertex(body: &Bytes, version: &str) -> Bytes {
    let Ok(mut object) = RawObject::parse(body) else {
        return body.clone();
    };
    object.remove("model");
    object.set("anthropic_version", to_json(version));
    object.to_bytes()
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
    call: &Call,
    request: &mut Request,
    (dialect, planned): (Dialect, &PlannedAttempt),
    (endpoint, longest_answer): (&Endpoint, &dyn Fn() -> Option<u64>),
) -> Result<Written, Error> {
    request.model.clone_from(&planned.model);
    request.stream_usage |= request.stream && endpoint.takes_stream_options();
    let target = Target {
        dialect,
        is_dropping: planned.drops_unsupported,
        chat: chat_target(endpoint.preset(), &planned.model),
        responses: responses::Target {
            has_breakpoints: takes_breakpoints(&planned.model),
        },
        traits: ModelTraits {
            has_sampling: endpoint.takes_sampling(dialect, &call.headers),
            ..traits_of(&planned.model, longest_answer())
        },
    };
    translate::write_request(request, &target).map_err(|unsupported| blamed(call, unsupported))
}

/// Names the prompt, where it is the prompt that says what cannot be said.
fn blamed(call: &Call, unsupported: Unsupported) -> Error {
    let name = unsupported.name_in_chat();
    match &call.prompt {
        Some(prompt) if call.laid.iter().any(|laid| laid == name) => Error::PromptUnsupported {
            prompt: prompt.key.to_string(),
            setting: name.to_owned(),
            unsupported,
        },
        _ => Error::Unsupported(unsupported),
    }
}

/// What is known of a model; `longest_answer` is the most tokens it answers with, where that is known.
fn traits_of(model: &str, longest_answer: Option<u64>) -> ModelTraits {
    let unknown = ModelTraits::default();
    ModelTraits {
        max_output_tokens: longest_answer.unwrap_or(unknown.max_output_tokens),
        thinks_by_budget: BY_BUDGET.iter().any(|name| model.contains(name)),
        ..unknown
    }
}

/// Parts of the names of models that are told by a number of tokens how much to think: Claude before 4.6,
/// Gemini before 3.
const BY_BUDGET: [&str; 10] = [
    "claude-3-7",
    "claude-sonnet-4-0",
    "claude-sonnet-4-2",
    "claude-sonnet-4-5",
    "claude-opus-4-0",
    "claude-opus-4-1",
    "claude-opus-4-2",
    "claude-opus-4-5",
    "claude-haiku-4-5",
    "gemini-2.5",
];

/// Whether a model understands `prompt_cache_breakpoint`: `OpenAI`'s from `gpt-5.6` on.
fn takes_breakpoints(model: &str) -> bool {
    let version = model.strip_prefix("gpt-").unwrap_or_default();
    let number: String = version
        .chars()
        .take_while(|letter| letter.is_ascii_digit() || *letter == '.')
        .collect();
    let (major, minor) = number.split_once('.').unwrap_or((&number, "0"));
    match (major.parse::<u32>(), minor.parse::<u32>()) {
        (Ok(major), Ok(minor)) => (5, 6) <= (major, minor),
        _ => false,
    }
}

/// In what a provider of chat completions differs from `OpenAI`.
fn chat_target(preset: Preset, model: &str) -> chat::Target {
    let cache_marks = match preset {
        Preset::OpenRouter | Preset::Simulated => CacheMarks::CacheControl,
        Preset::OpenAi | Preset::AzureOpenAi if takes_breakpoints(model) => CacheMarks::Breakpoint,
        _ => CacheMarks::None,
    };
    let thoughts = match preset {
        Preset::DeepSeek | Preset::Vllm | Preset::LlamaCpp | Preset::Simulated => {
            Thoughts::Field("reasoning_content")
        }
        Preset::OpenRouter => Thoughts::Details,
        // They think anew; sending thoughts back is an error at most of them.
        _ => Thoughts::LeftOut,
    };
    chat::Target {
        token_limit: token_limit_field(preset),
        thoughts,
        has_developer_role: matches!(preset, Preset::OpenAi | Preset::AzureOpenAi),
        has_top_k: matches!(
            preset,
            Preset::Together
                | Preset::Fireworks
                | Preset::OpenRouter
                | Preset::Vllm
                | Preset::LlamaCpp
                | Preset::Simulated
        ),
        cache_marks,
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

#[cfg(test)]
mod tests {
    use super::{takes_breakpoints, traits_of};

    #[test]
    fn models_are_known_by_their_names() {
        for (model, wanted) in [
            ("gpt-5.6", true),
            ("gpt-5.6-mini", true),
            ("gpt-6", true),
            ("gpt-5.5", false),
            ("gpt-4o", false),
            ("llama", false),
        ] {
            assert_eq!(takes_breakpoints(model), wanted, "{model}");
        }
        let sonnet = traits_of("anthropic.claude-sonnet-4-5-20250929-v1:0", Some(64_000));
        assert!(sonnet.thinks_by_budget && sonnet.max_output_tokens == 64_000);
        let opus = traits_of("claude-opus-4-6", None);
        assert!(!opus.thinks_by_budget && opus.max_output_tokens == 4096);
    }
}
