//! A prompt under a request that is not written as a chat completion: both are read into a conversation,
//! the prompt's own messages and settings first, and what the client says is laid over them.

use crate::domain::{Dialect, Operation};
use crate::prompts::{RenderInput, Rendered, RenderedMessage, ResolvedPrompt};
use crate::proxy::call::{self, Arrival, Call};
use crate::proxy::naming::{self, Naming};
use crate::proxy::{Error, parameters};
use crate::wire::conversation::{Message, Part, Request, Role, Sampling};
use crate::wire::json::{RawObject, to_json};
use crate::wire::openai::ChatRequest;
use crate::wire::translate;
use bytes::Bytes;
use std::sync::Arc;

/// Renders `prompt` and lays `request`, which is in a dialect of its own, over it.
///
/// # Errors
///
/// Those of rendering and of reading the request; `prompt_parameter_locked`, `missing_model`.
pub(crate) fn from_prompt(
    prompt: &ResolvedPrompt,
    request: ChatRequest,
    arrival: &Arrival,
) -> Result<Call, Error> {
    let bundle = prompt.bundle.as_ref();
    let model = call::model_of(prompt, &request)?;
    let variables = Naming::of(&request, &arrival.headers, None).variables()?;
    let variables = naming::plain_variables(variables)?;
    let mut body = request.object;
    request.foreign.strip(&mut body);
    let mut said = read(request.dialect, &body, &model)?;
    let yielded = yield_limit(prompt, &mut said);
    call::refuse_locked_in(prompt, request.model.as_deref(), |name| says(&said, name))?;
    let is_user = |message: &Message| message.role == Role::User;
    let history = said.messages.clone();
    let (variables, history) = call::bind_in(bundle, variables, history, (is_user, text_of));
    let input = RenderInput {
        history_len: history.len(),
        ..RenderInput::new(&variables)
    };
    let rendered = bundle.render(&input)?;
    let (own, hash) = call::lay_out(&rendered, &[]);
    let (base, mut laid) = settings(prompt, &own, &model)?;
    laid.retain(|name| !says(&said, name));
    // They are those of chat completions: no other dialect has a place for them.
    let unsaid: Vec<String> = base
        .rest
        .keys()
        .map(|name| {
            format!("the prompt's setting `{name}` is for chat completions, and is left out")
        })
        .collect();
    let conversation = Request {
        messages: interleaved(&rendered, &base.messages, history),
        ..laid_over(base, said)
    };
    let counted = own.into_iter().chain(request.messages);
    let mut warnings = rendered.warnings;
    warnings.extend(unsaid);
    warnings.extend(yielded);
    let model_asked = request.model.unwrap_or_default();
    Ok(Call {
        dialect: request.dialect,
        conversation: Some(Arc::new(conversation)),
        prompt: Some(prompt.stamp.clone()),
        bundle: Some(Arc::clone(&prompt.bundle)),
        rendered_hash: Some(hash),
        body,
        laid,
        messages: counted.collect(),
        client_wants_usage: request.client_wants_usage,
        user: request.user,
        session: arrival.session.clone().or(request.session),
        headers: arrival.dialect_headers.clone(),
        warnings,
        ..Call::bare(Operation::Chat, model_asked, model, request.stream)
    })
}

/// Reads the client's body, which may lack what the prompt brings.
fn read(dialect: Dialect, body: &RawObject, model: &str) -> Result<Request, Error> {
    let mut body = body.clone();
    body.set("model", to_json(model));
    let (input, empty) = match dialect {
        Dialect::Responses => ("input", "[]"),
        Dialect::Chat | Dialect::Messages | Dialect::Gemini | Dialect::Converse => {
            ("messages", "[]")
        }
    };
    if body.get_some(input).is_none() {
        body.set(input, Bytes::from_static(empty.as_bytes()));
    }
    Ok(translate::read_request(dialect, &body.to_bytes())?)
}

/// The prompt's messages and settings, as a conversation of their own, and the names of the settings.
fn settings(
    prompt: &ResolvedPrompt,
    own: &[Bytes],
    model: &str,
) -> Result<(Request, Vec<String>), Error> {
    let mut body = RawObject::default();
    let limit = parameters::apply(&prompt.stamp.key, &prompt.bundle, &mut body);
    let names = body.iter().map(|(name, _)| name.to_owned()).collect();
    if let Some(limit) = limit {
        body.set("max_completion_tokens", limit);
    }
    body.set("model", to_json(model));
    let messages: Vec<&str> = own
        .iter()
        .filter_map(|message| std::str::from_utf8(message).ok())
        .collect();
    body.set("messages", Bytes::from(format!("[{}]", messages.join(","))));
    let request = translate::read_request(Dialect::Chat, &body.to_bytes())?;
    Ok((request, names))
}

/// The messages of both in the order of the prompt.
fn interleaved(rendered: &Rendered, own: &[Message], history: Vec<Message>) -> Vec<Message> {
    let mut own = own.iter().cloned();
    let mut history: Vec<Option<Message>> = history.into_iter().map(Some).collect();
    let places = rendered.messages.iter();
    let mut laid: Vec<Message> = places
        .filter_map(|place| match place {
            RenderedMessage::Prompt { .. } => own.next(),
            RenderedMessage::Client(index) => history.get_mut(*index).and_then(Option::take),
        })
        .collect();
    laid.extend(own);
    laid
}

/// What the client says, and the prompt's settings where it says nothing.
fn laid_over(base: Request, said: Request) -> Request {
    let tools = if said.tools.is_empty() {
        base.tools
    } else {
        said.tools
    };
    Request {
        messages: Vec::new(),
        tools,
        tool_choice: said.tool_choice.or(base.tool_choice),
        parallel_tool_calls: said.parallel_tool_calls.or(base.parallel_tool_calls),
        form: said.form.or(base.form),
        sampling: sampled(base.sampling, said.sampling),
        reasoning: said.reasoning.or(base.reasoning),
        service_tier: said.service_tier.or(base.service_tier),
        ..said
    }
}

fn sampled(base: Sampling, said: Sampling) -> Sampling {
    Sampling {
        temperature: said.temperature.or(base.temperature),
        top_p: said.top_p.or(base.top_p),
        top_k: said.top_k.or(base.top_k),
        frequency_penalty: said.frequency_penalty.or(base.frequency_penalty),
        presence_penalty: said.presence_penalty.or(base.presence_penalty),
        seed: said.seed.or(base.seed),
        stop: if said.stop.is_empty() {
            base.stop
        } else {
            said.stop
        },
        max_output_tokens: said.max_output_tokens.or(base.max_output_tokens),
        log_probs: said.log_probs.or(base.log_probs),
        top_log_probs: said.top_log_probs.or(base.top_log_probs),
        choices: said.choices.or(base.choices),
    }
}

/// The text of a message; `None` when it says something else besides, which would be lost.
fn text_of(message: &Message) -> Option<String> {
    let texts: Option<Vec<&str>> = message
        .parts
        .iter()
        .map(|part| match part {
            Part::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    texts
        .filter(|texts| !texts.is_empty())
        .map(|texts| texts.join("\n"))
}

/// Anthropic's clients cannot leave `max_tokens` out; a prompt that decides it itself wins. Returns a
/// warning.
fn yield_limit(prompt: &ResolvedPrompt, said: &mut Request) -> Option<String> {
    let decides =
        |parameter: &String| parameters::spellings(parameter).any(|it| it == "max_tokens");
    if said.dialect != Dialect::Messages || !prompt.bundle.locked().iter().any(decides) {
        return None;
    }
    let limit = said.sampling.max_output_tokens.take()?;
    Some(format!(
        "the prompt decides `max_tokens` itself; {limit} is not used"
    ))
}

/// Whether a request says something under a name that chat completions have for it.
fn says(request: &Request, name: &str) -> bool {
    let sampling = &request.sampling;
    match name {
        "temperature" => sampling.temperature.is_some(),
        "top_p" => sampling.top_p.is_some(),
        "top_k" => sampling.top_k.is_some(),
        "frequency_penalty" => sampling.frequency_penalty.is_some(),
        "presence_penalty" => sampling.presence_penalty.is_some(),
        "seed" => sampling.seed.is_some(),
        "stop" => !sampling.stop.is_empty(),
        "max_tokens" | "max_completion_tokens" => sampling.max_output_tokens.is_some(),
        "logprobs" => sampling.log_probs.is_some(),
        "top_logprobs" => sampling.top_log_probs.is_some(),
        "n" => sampling.choices.is_some(),
        "tools" => !request.tools.is_empty(),
        "tool_choice" => request.tool_choice.is_some(),
        "parallel_tool_calls" => request.parallel_tool_calls.is_some(),
        "response_format" => request.form.is_some(),
        "reasoning_effort" => request.reasoning.is_some(),
        "service_tier" => request.service_tier.is_some(),
        name => request.rest.contains_key(name),
    }
}
