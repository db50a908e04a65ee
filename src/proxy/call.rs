//! From what a client sent to what a provider gets: the prompt is named, rendered, and laid under
//! the client's own messages and parameters. Bytes the prompt does not touch are never re-written.

use crate::domain::{
    CallId, Dialect, Operation, PromptStamp, ReleaseDecision, RunRef, TraceContext,
};
use crate::prompts::{Bundle, RenderInput, Rendered, RenderedMessage, ResolvedPrompt};
use crate::proxy::naming::{self, Naming, PromptHeaders, Variables, names_prompt};
use crate::proxy::space::Under;
use crate::proxy::{Error, overlay, parameters};
use crate::wire;
use crate::wire::conversation::Request;
use crate::wire::json::RawObject;
use crate::wire::openai::{ChatRequest, EmbeddingsRequest};
use bytes::Bytes;
use http::HeaderMap;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
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
    /// What the client wants to be held to its arm of a canary by.
    pub sticky: Option<String>,
    /// Tags the client gives the call.
    pub tags: Vec<String>,
    /// The run of evals it is for.
    pub run: Option<RunRef>,
    /// What the headers say of a prompt.
    pub headers: PromptHeaders,
    /// What the client said in headers that belong to a provider's dialect (`anthropic-beta`).
    pub dialect_headers: HeaderMap,
    /// Whether the record keeps nothing of what is said.
    pub drops_text: bool,
    /// The body as it came.
    pub body: Bytes,
}

impl Arrival {
    /// Returns what is known of a request that the gateway makes by itself: its body.
    #[must_use]
    pub fn own(body: &Bytes) -> Self {
        Self {
            id: CallId::fresh(),
            started: Instant::now(),
            trace: None,
            session: None,
            sticky: None,
            tags: Vec::new(),
            run: None,
            headers: PromptHeaders::default(),
            dialect_headers: HeaderMap::new(),
            drops_text: false,
            body: body.clone(),
        }
    }
}

/// A call that is ready to be sent: no template is left in it.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    /// What kind of call.
    pub operation: Operation,
    /// The method and the path of a raw request.
    pub path: Option<String>,
    /// The dialect in which the client asks and is answered.
    pub dialect: Dialect,
    /// What is asked, where it is more than the body says: a prompt under a request of another dialect
    /// than chat completions.
    pub conversation: Option<Arc<Request>>,
    /// The prompt it was made from.
    pub prompt: Option<PromptStamp>,
    /// The version itself.
    pub bundle: Option<Arc<Bundle>>,
    /// How a label led to it.
    pub release: Option<ReleaseDecision>,
    /// The call in whose shadow it runs.
    pub shadow_of: Option<CallId>,
    /// Under which embedding version it is made, and what is done to its vectors.
    pub embedding: Option<Under>,
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
    /// The settings that the prompt brought and the client did not say, by their names in chat completions.
    pub laid: Vec<String>,
    /// The messages (or inputs) that are sent, for counting tokens.
    pub messages: Arc<[Bytes]>,
    /// How many inputs a request for embeddings has.
    pub inputs: usize,
    /// Whether the client asked for a stream.
    pub stream: bool,
    /// Whether the client asked for the usage of the stream.
    pub client_wants_usage: bool,
    /// The end user.
    pub user: Option<String>,
    /// The session.
    pub session: Option<String>,
    /// What the client said in headers that belong to a provider's dialect.
    pub headers: HeaderMap,
    /// What should be known but stops nothing.
    pub warnings: Vec<String>,
}

impl Call {
    /// Returns a call of which nothing is known but what kind it is and for which model.
    pub(crate) fn bare(
        operation: Operation,
        model_asked: String,
        model: String,
        stream: bool,
    ) -> Self {
        Self {
            operation,
            path: None,
            dialect: Dialect::Chat,
            conversation: None,
            prompt: None,
            bundle: None,
            release: None,
            shadow_of: None,
            embedding: None,
            rendered_hash: None,
            model_asked,
            model,
            body: RawObject::default(),
            lays_out_messages: false,
            token_limit: None,
            laid: Vec::new(),
            messages: [].into(),
            inputs: 0,
            stream,
            client_wants_usage: false,
            user: None,
            session: None,
            headers: HeaderMap::new(),
            warnings: Vec::new(),
        }
    }

    /// Returns the messages that are sent instead of the body's.
    pub(crate) fn laid_out(&self) -> Option<&[Bytes]> {
        self.lays_out_messages.then_some(&*self.messages)
    }
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
    let session = arrival.session.clone().or(request.session);
    Ok(Call {
        dialect: request.dialect,
        body: request.object,
        messages: request.messages.into(),
        client_wants_usage: request.client_wants_usage,
        user: request.user,
        session,
        headers: arrival.dialect_headers.clone(),
        ..Call::bare(Operation::Chat, model.clone(), model, request.stream)
    })
}

/// Returns the call of an embeddings request.
pub(crate) fn embeddings(request: EmbeddingsRequest, arrival: &Arrival) -> Call {
    Call {
        inputs: request.count(),
        body: request.object,
        messages: [request.input].into(),
        user: request.user,
        session: arrival.session.clone(),
        ..Call::bare(
            Operation::Embeddings,
            request.model.clone(),
            request.model,
            false,
        )
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
    if request.dialect != Dialect::Chat {
        return overlay::from_prompt(prompt, request, arrival);
    }
    let bundle = prompt.bundle.as_ref();
    refuse_locked(prompt, &request)?;
    let model = model_of(prompt, &request)?;
    let variables = Naming::of(&request, &arrival.headers, None).variables()?;
    let variables = naming::plain_variables(variables)?;
    let (variables, history) = bind(bundle, variables, request.messages);
    let input = RenderInput {
        history_len: history.len(),
        ..RenderInput::new(&variables)
    };
    let rendered = bundle.render(&input)?;
    let (messages, rendered_hash) = lay_out(&rendered, &history);
    let mut body = request.object;
    request.foreign.strip(&mut body);
    let said: Vec<String> = body.iter().map(|(name, _)| name.to_owned()).collect();
    let token_limit = parameters::apply(&prompt.stamp.key, bundle, &mut body);
    let all = body.iter().map(|(name, _)| name.to_owned());
    let laid = all.filter(|name| !said.contains(name)).collect();
    let model_asked = request.model.unwrap_or_default();
    Ok(Call {
        prompt: Some(prompt.stamp.clone()),
        bundle: Some(Arc::clone(&prompt.bundle)),
        rendered_hash: Some(rendered_hash),
        body,
        lays_out_messages: true,
        token_limit,
        laid,
        messages: messages.into(),
        client_wants_usage: request.client_wants_usage,
        user: request.user,
        session: arrival.session.clone().or(request.session),
        headers: arrival.dialect_headers.clone(),
        warnings: rendered.warnings,
        ..Call::bare(Operation::Chat, model_asked, model, request.stream)
    })
}

fn refuse_locked(prompt: &ResolvedPrompt, request: &ChatRequest) -> Result<(), Error> {
    let is_sent = |name: &str| request.object.get(name).is_some();
    refuse_locked_in(prompt, request.model.as_deref(), is_sent)
}

/// Refuses a request that sets what the prompt decides; `is_sent` knows what it sets, under each of the names
/// that chat completions have for it.
pub(super) fn refuse_locked_in(
    prompt: &ResolvedPrompt,
    model: Option<&str>,
    is_sent: impl Fn(&str) -> bool,
) -> Result<(), Error> {
    let is_set = |parameter: &str| {
        if parameter == "model" {
            return model.is_some_and(|model| !names_prompt(model));
        }
        parameters::spellings(parameter).any(&is_sent)
    };
    let mut locked = prompt.bundle.locked().iter();
    match locked.find(|parameter| is_set(parameter)) {
        Some(parameter) => Err(Error::ParameterLocked {
            prompt: prompt.stamp.key.to_string(),
            parameter: parameter.clone(),
        }),
        None => Ok(()),
    }
}

/// The request's model when it names one beside the prompt, else the prompt's own.
pub(super) fn model_of(prompt: &ResolvedPrompt, request: &ChatRequest) -> Result<String, Error> {
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

/// Fills the variables that the prompt binds to the last user message, and takes that message out of
/// the history: it is said once.
pub(super) fn bind(
    bundle: &Bundle,
    variables: Variables,
    history: Vec<Bytes>,
) -> (Variables, Vec<Bytes>) {
    let is_user = |message: &Bytes| {
        let role = wire::json::field(message, "role");
        role.and_then(|role| wire::json::as_str(&role).map(|role| role == "user"))
            .unwrap_or(false)
    };
    bind_in(bundle, variables, history, (is_user, text_of_message))
}

/// As [`bind`], in messages of any form: `is_user` tells those of the end user, and `text_of` what they say,
/// where that is nothing but text.
pub(super) fn bind_in<M>(
    bundle: &Bundle,
    mut variables: Variables,
    mut history: Vec<M>,
    (is_user, text_of): (impl Fn(&M) -> bool, impl Fn(&M) -> Option<String>),
) -> (Variables, Vec<M>) {
    let bound = bundle.bindings().iter().map(|(variable, _)| variable);
    let open: Vec<&String> = bound
        .filter(|variable| !variables.contains_key(*variable))
        .collect();
    if open.is_empty() {
        return (variables, history);
    }
    let last = history.iter().rposition(is_user);
    let text = last.and_then(|index| history.get(index)).and_then(text_of);
    if let (Some(index), Some(text)) = (last, text) {
        for variable in open {
            variables.insert(variable.clone(), text.as_str().into());
        }
        history.remove(index);
    }
    (variables, history)
}

/// The text of a message; `None` when it says something else besides, which would be lost.
fn text_of_message(message: &Bytes) -> Option<String> {
    let content = wire::json::field(message, "content")?;
    if let Some(text) = wire::json::as_str(&content) {
        return Some(text.into_owned());
    }
    let text_of_part = |part: &Bytes| {
        let kind = wire::json::field(part, "type")?;
        let is_text = wire::json::as_str(&kind).as_deref() == Some("text");
        let text = wire::json::field(part, "text").filter(|_| is_text)?;
        wire::json::as_str(&text).map(Cow::into_owned)
    };
    let parts = wire::json::split_array(&content)?;
    let texts: Option<Vec<String>> = parts.iter().map(text_of_part).collect();
    texts
        .filter(|texts| !texts.is_empty())
        .map(|texts| texts.join("\n"))
}

/// Puts the rendered messages and the client's into one list, and hashes the rendered ones.
pub(super) fn lay_out(rendered: &Rendered, history: &[Bytes]) -> (Vec<Bytes>, String) {
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
