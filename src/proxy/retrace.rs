//! What a recorded request did with its prompt.

use crate::domain::{CallRecord, PromptReference, Selector};
use crate::prompts::{Bundle, RenderInput, Traced};
use crate::proxy::call::bind;
use crate::proxy::naming::{Naming, PromptHeaders, Variables, plain_variables};
use crate::proxy::{Error, told};
use crate::wire::openai::ChatRequest;
use bytes::Bytes;

/// A request, laid over a prompt again to see what made each part of it.
#[derive(Debug)]
pub(crate) struct TracedCall {
    /// The prompt, filled, and what made it.
    pub traced: Traced,
    /// The variables that the request sent.
    pub sent: Variables,
    /// The variables that were filled from its messages.
    pub bound: Variables,
    /// The client's messages that went along.
    pub history: Vec<Bytes>,
}

/// Renders `prompt` for `request` and says what made each part.
///
/// # Errors
///
/// Those of rendering.
pub(crate) fn trace(bundle: &Bundle, request: &ChatRequest) -> Result<TracedCall, Error> {
    let sent = variables(request)?;
    let (mut all, history) = bind(bundle, sent.clone(), request.messages.clone());
    let input = RenderInput {
        history_len: history.len(),
        ..RenderInput::new(&all)
    };
    let traced = bundle.trace(&input)?;
    all.retain(|name, _| !sent.contains_key(name));
    Ok(TracedCall {
        traced,
        sent,
        bound: all,
        history,
    })
}

/// The variables of a recorded request, which holds all of them in its body.
fn variables(request: &ChatRequest) -> Result<Variables, Error> {
    let headers = PromptHeaders::default();
    plain_variables(Naming::of(request, &headers, None).variables()?)
}

/// Returns the prompt that a recorded request names.
pub(crate) fn named_prompt(request: &ChatRequest) -> Option<PromptReference> {
    let headers = PromptHeaders::default();
    let named = Naming::of(request, &headers, None).reference(|reference| reference);
    named.ok().flatten()
}

/// What a recorded request brought with it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Inputs {
    /// Its variables.
    pub variables: serde_json::Map<String, serde_json::Value>,
    /// Its messages, each JSON, as those of a chat completion.
    pub messages: Vec<Bytes>,
}

fn decode(record: &CallRecord) -> Option<ChatRequest> {
    let intent = &record.intent;
    ChatRequest::decode_as(intent.dialect, &intent.request, false).ok()
}

/// Returns what a recorded request brought with it; `None` where it cannot be read any more.
#[must_use]
pub fn inputs(record: &CallRecord) -> Option<Inputs> {
    let said = told(record);
    let request = decode(record);
    if said.is_none() && request.is_none() {
        return None;
    }
    let variables = request.and_then(|request| variables(&request).ok());
    Some(Inputs {
        variables: variables.unwrap_or_default(),
        messages: said.map(|said| said.messages).unwrap_or_default(),
    })
}

/// What a recorded request says about how its caller uses a prompt.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// The names of the variables it sent.
    pub variables: Vec<String>,
    /// Whether it named one version, which stays what it is.
    pub is_pinned: bool,
}

/// Returns how a recorded request uses its prompt; nothing where it cannot be read any more.
#[must_use]
pub fn sent(record: &CallRecord) -> Sent {
    let Some(request) = decode(record) else {
        return Sent::default();
    };
    let selector = named_prompt(&request);
    let is_pinned = selector.is_some_and(|reference| match reference.selector {
        Selector::Number(_)
        | Selector::Hash(_)
        | Selector::GitRef(_)
        | Selector::PullRequest(_) => true,
        Selector::Default | Selector::Latest | Selector::Label(_) => false,
    });
    let variables = variables(&request).unwrap_or_default();
    Sent {
        variables: variables.into_iter().map(|(name, _)| name).collect(),
        is_pinned,
    }
}
