//! From what a client sent to what a provider gets: the prompt is named, rendered, and laid under
//! the client's own messages and parameters. Bytes the prompt does not touch are never re-written.

use crate::domain::{CallId, Operation, PromptReference, PromptStamp, TraceContext};
use crate::prompts::{Bundle, RenderInput, Rendered, RenderedMessage, ResolvedPrompt};
use crate::proxy::{Error, parameters};
use crate::wire;
use crate::wire::json::RawObject;
use crate::wire::openai::{ChatRequest, EmbeddingsRequest};
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;
use tokio::time::Instant;

/// What is known about a request besides its body.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The call's id, already promised to the client.
    pub id: CallId,
    /// When the request had been read.
    pub started: Instant,
    /// The trace the client is in.
    pub trace: Option<TraceContext>,
    /// The session the client names in a header.
    pub session: Option<String>,
    /// Tags the client gives the call.
    pub tags: Vec<String>,
    /// The body as it came.
    pub body: Bytes,
}

/// A call that is ready to be sent: no template is left in it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What kind of call.
    pub operation: Operation,
    /// The prompt it was made from.
    pub prompt: Option<PromptStamp>,
    /// SHA-256 of the prompt's rendered messages, as hex.
    pub rendered_hash: Option<String>,
    /// `model` as the client wrote it.
    pub model_asked: String,
    /// The model to route.
    pub model: String,
    /// The body for the provider; each attempt sets its own `model`.
    pub body: RawObject,
    /// Whether `messages` stand in place of the body's, because a prompt laid them out.
    pub lays_out_messages: bool,
    /// The prompt's own limit of output tokens, which providers spell differently.
    pub token_limit: Option<Bytes>,
    /// The messages (or inputs) that are sent, for counting tokens.
    pub messages: Arc<[Bytes]>,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether the client asked for the usage of the stream.
    pub client_wants_usage: bool,
    /// The end user.
    pub user: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// What should be known but stops nothing.
    pub warnings: Vec<String>,
}

impl Call {
    /// Returns the messages that are sent instead of the body's.
    pub(crate) fn laid_out(&self) -> Option<&[Bytes]> {
        self.lays_out_messages.then_some(&*self.messages)
    }
}

/// Returns the prompt that `request` names, in `model` or in `prompt.id`.
///
/// # Errors
///
/// When a reference cannot be read, or when both are given and disagree.
pub(crate) fn named_prompt(request: &ChatRequest) -> Result<Option<PromptReference>, Error> {
    let by_model = request.model.as_deref().and_then(|model| {
        model
            .strip_prefix("prompt:")
            .or_else(|| model.strip_prefix("prompt/"))
    });
    let by_model = by_model.map(parse_reference).transpose()?;
    let Some(parameter) = &request.prompt else {
        return Ok(by_model);
    };
    let Some(id) = &parameter.id else {
        if by_model.is_none() {
            return Err(wire::Error::missing("prompt.id").into());
        }
        return Ok(by_model);
    };
    let text = parameter
        .version
        .as_ref()
        .map_or_else(|| id.clone(), |version| format!("{id}@{version}"));
    let by_object = parse_reference(&text)?;
    match by_model {
        Some(first) if first != by_object => Err(Error::PromptReferenceConflict {
            first: first.to_string(),
            second: by_object.to_string(),
        }),
        _ => Ok(Some(by_object)),
    }
}

fn parse_reference(text: &str) -> Result<PromptReference, Error> {
    PromptReference::from_str(text).map_err(|error| crate::prompts::Error::from(error).into())
}

/// Returns the call of a request that names no prompt: the request as it is.
///
/// # Errors
///
/// When `model` or `messages` is missing.
pub(crate) fn plain(request: ChatRequest, arrival: &Arrival) -> Result<Call, Error> {
    let model = request
        .model
        .clone()
        .ok_or_else(|| wire::Error::missing("model"))?;
    request.required_messages()?;
    Ok(Call {
        operation: Operation::Chat,
        prompt: None,
        rendered_hash: None,
        model_asked: model.clone(),
        model,
        body: request.object,
        lays_out_messages: false,
        token_limit: None,
        messages: request.messages.into(),
        stream: request.stream,
        client_wants_usage: request.client_wants_usage,
        user: request.user,
        session: arrival.session.clone().or(request.session),
        warnings: Vec::new(),
    })
}

/// Returns the call of an embeddings request.
pub(crate) fn embeddings(request: EmbeddingsRequest, arrival: &Arrival) -> Call {
    Call {
        operation: Operation::Embeddings,
        prompt: None,
        rendered_hash: None,
        model_asked: request.model.clone(),
        model: request.model,
        body: request.object,
        lays_out_messages: false,
        token_limit: None,
        messages: [request.input].into(),
        stream: false,
        client_wants_usage: false,
        user: request.user,
        session: arrival.session.clone(),
        warnings: Vec::new(),
    }
}

/// Renders `prompt` and lays the request over it.
///
/// # Errors
///
/// Those of rendering, and `prompt_parameter_locked`, `missing_model`.
pub(crate) fn from_prompt(
    prompt: &ResolvedPrompt,
    request: ChatRequest,
    arrival: &Arrival,
) -> Result<Call, Error> {
    let bundle = prompt.bundle.as_ref();
    refuse_locked(prompt, &request)?;
    let model = model_of(prompt, &request)?;
    let variables = variables(&request)?;
    let (variables, history) = bind(bundle, variables, request.messages)?;
    let input = RenderInput {
        history_len: history.len(),
        ..RenderInput::new(&variables)
    };
    let rendered = bundle.render(&input)?;
    let (messages, rendered_hash) = lay_out(&rendered, &history);
    let mut body = request.object;
    body.remove("prompt");
    let token_limit = parameters::apply(&prompt.stamp.key, bundle, &mut body);
    Ok(Call {
        operation: Operation::Chat,
        prompt: Some(prompt.stamp.clone()),
        rendered_hash: Some(rendered_hash),
        model_asked: request.model.unwrap_or_default(),
        model,
        body,
        lays_out_messages: true,
        token_limit,
        messages: messages.into(),
        stream: request.stream,
        client_wants_usage: request.client_wants_usage,
        user: request.user,
        session: arrival.session.clone().or(request.session),
        warnings: rendered.warnings,
    })
}

fn refuse_locked(prompt: &ResolvedPrompt, request: &ChatRequest) -> Result<(), Error> {
    let is_sent = |parameter: &str| {
        if parameter == "model" {
            return request
                .model
                .as_deref()
                .is_some_and(|model| !names_prompt(model));
        }
        parameters::spellings(parameter).any(|name| request.object.get(name).is_some())
    };
    match prompt
        .bundle
        .locked()
        .iter()
        .find(|parameter| is_sent(parameter))
    {
        Some(parameter) => Err(Error::ParameterLocked {
            prompt: prompt.stamp.key.to_string(),
            parameter: parameter.clone(),
        }),
        None => Ok(()),
    }
}

fn names_prompt(model: &str) -> bool {
    model.starts_with("prompt:") || model.starts_with("prompt/")
}

/// The request's model when it names one beside the prompt, else the prompt's own.
fn model_of(prompt: &ResolvedPrompt, request: &ChatRequest) -> Result<String, Error> {
    let asked = request
        .model
        .as_deref()
        .filter(|model| !names_prompt(model));
    asked
        .or_else(|| prompt.bundle.model())
        .map(str::to_owned)
        .ok_or_else(|| Error::MissingModel {
            prompt: prompt.stamp.key.to_string(),
        })
}

pub(super) type Variables = Map<String, Value>;

/// The variables of the request. `OpenAI`'s `{"type": "input_text", "text": …}` stands for its text.
pub(super) fn variables(request: &ChatRequest) -> Result<Variables, Error> {
    let Some(raw) = request
        .prompt
        .as_ref()
        .and_then(|prompt| prompt.variables.as_ref())
    else {
        return Ok(Variables::new());
    };
    let parsed: Variables =
        serde_json::from_slice(raw).map_err(|error| wire::Error::InvalidJson {
            problem: error.to_string(),
        })?;
    Ok(parsed
        .into_iter()
        .map(|(name, value)| (name, plain_value(value)))
        .collect())
}

/// Takes the content out of `OpenAI`'s typed inputs; other values are as they are.
fn plain_value(value: Value) -> Value {
    let field = match value.get("type").and_then(Value::as_str) {
        Some("input_text") => "text",
        Some("input_image") => "image_url",
        Some("input_file") => "file_url",
        _ => return value,
    };
    value.get(field).cloned().unwrap_or(value)
}

/// Fills a variable that the prompt binds to the last user message, and takes that message out of
/// the history: it is said once.
pub(super) fn bind(
    bundle: &Bundle,
    mut variables: Variables,
    mut history: Vec<Bytes>,
) -> Result<(Variables, Vec<Bytes>), Error> {
    for (variable, _source) in bundle.bindings() {
        if variables.contains_key(variable) {
            continue;
        }
        let last_user = history
            .iter()
            .rposition(|message| text_at(message, "role").as_deref() == Some("user"));
        let Some(index) = last_user else { continue };
        if let Some(text) = history
            .get(index)
            .and_then(|message| text_at(message, "content"))
        {
            variables.insert(variable.clone(), text.into());
            history.remove(index);
        }
    }
    Ok((variables, history))
}

/// The string at `key` of a message.
fn text_at(message: &Bytes, key: &str) -> Option<String> {
    let value = wire::json::field(message, key)?;
    wire::json::as_str(&value).map(Cow::into_owned)
}

/// Puts the rendered messages and the client's into one list, and hashes the rendered ones.
fn lay_out(rendered: &Rendered, history: &[Bytes]) -> (Vec<Bytes>, String) {
    let mut hash = Sha256::new();
    let mut messages = Vec::with_capacity(rendered.messages.len());
    for message in &rendered.messages {
        match message {
            RenderedMessage::Prompt { role, content } => {
                let encoded = parameters::encode_message(*role, content);
                hash.update(&encoded);
                hash.update(b"\n");
                messages.push(encoded);
            }
            RenderedMessage::Client(index) => messages.extend(history.get(*index).cloned()),
        }
    }
    let digest = hash.finalize();
    (messages, crate::domain::BundleHash(digest.into()).to_hex())
}
