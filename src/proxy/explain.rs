//! What a recorded call was made from: the version and its files, the variables, what made each part of
//! each message, whose setting won, and how its cost came about.

use crate::domain::{
    CallId, CallRecord, CallState, Caller, Cost, KeyId, Operation, PromptReference, PromptStamp,
    Selector, Timestamp,
};
use crate::metering::{CostItem, cost_items};
use crate::prompts::diff::Side;
use crate::prompts::{Bundle, FilePart, RenderedMessage, Span};
use crate::proxy::call::{self, Arrival};
use crate::proxy::retrace::{self, TracedCall};
use crate::proxy::{Error, PlannedAttempt, Proxy, parameters};
use crate::wire::openai::ChatRequest;
use bytes::Bytes;
use serde::Serialize;
use serde_json::Value;
use std::sync::Arc;

/// Fields of a request that are no parameters of the model.
const NOT_PARAMETERS: [&str; 5] = ["model", "messages", "prompt", "stream", "stream_options"];

/// What a call was made from. Serialised as its fields.
#[derive(Debug, Serialize)]
pub struct Explanation {
    /// `call.explanation`.
    pub object: &'static str,
    /// The call.
    pub call: ExplainedCall,
    /// The prompt; absent when none was named.
    pub prompt: Option<ExplainedPrompt>,
    /// The variables of the prompt, and those that were sent beside them.
    pub variables: Vec<ExplainedVariable>,
    /// What was sent to the model, in order.
    pub messages: Vec<ExplainedMessage>,
    /// The model.
    pub model: ExplainedModel,
    /// The parameters, the request's and the prompt's.
    pub parameters: Vec<ExplainedParameter>,
    /// The cost.
    pub cost: ExplainedCost,
}

/// Which call it is.
#[derive(Debug, Serialize)]
pub struct ExplainedCall {
    /// Its id.
    pub id: CallId,
    /// When it began, in microseconds since the epoch.
    pub started: Timestamp,
    /// What kind of call.
    pub operation: Operation,
    /// Who called.
    pub caller: String,
    /// With which key.
    pub key: Option<KeyId>,
    /// How it ended; absent while it is in flight.
    pub state: Option<CallState>,
}

/// Which version it was made from.
#[derive(Debug, Serialize)]
pub struct ExplainedPrompt {
    /// The prompt.
    pub name: String,
    /// How the request named it.
    pub asked: String,
    /// `v7`, else the short hash.
    pub version: String,
    /// The identity of the version.
    pub hash: String,
    /// The commit that was served.
    pub commit: Option<String>,
    /// Whether the content was in no commit.
    pub dirty: bool,
    /// The label that was asked for.
    pub label: Option<String>,
    /// The arm of a canary; absent when there was none.
    pub arm: Option<String>,
    /// The template and the partials it includes.
    pub files: Vec<FilePart>,
    /// Whether lines are those of the files; else they count from the start of the template, because
    /// only the archive has the version.
    pub lines_of_files: bool,
    /// Whether rendering it again gives what was sent, by the recorded hash.
    pub reproduced: bool,
}

/// A variable, and where its value came from.
#[derive(Debug, Serialize)]
pub struct ExplainedVariable {
    /// Its name.
    pub name: String,
    /// Its value; absent when it had none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// Where from.
    pub from: VariableSource,
}

/// Where the value of a variable came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableSource {
    /// The call sent it.
    Call,
    /// It was taken from the client's last message.
    LastUserMessage,
    /// The prompt's file has a default.
    Default,
    /// It had none.
    Nowhere,
}

/// A message, and what made it.
#[derive(Debug, Serialize)]
pub struct ExplainedMessage {
    /// The role, as the API names it.
    pub role: String,
    /// Whose message it is.
    pub from: Layer,
    /// What made it; empty for the client's own.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spans: Vec<ExplainedSpan>,
    /// The client's message, as it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Value>,
}

/// A part of a message, and what made it.
#[derive(Debug, Serialize)]
pub struct ExplainedSpan {
    /// The file, below the directory of the prompts.
    pub file: String,
    /// The span.
    #[serde(flatten)]
    pub span: Span,
}

/// Whose word it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Layer {
    /// The request's.
    Request,
    /// The prompt's.
    Prompt,
}

/// Which model was asked, and why.
#[derive(Debug, Serialize)]
pub struct ExplainedModel {
    /// `model` as the client wrote it.
    pub asked: String,
    /// The model that the prompt names.
    pub of_prompt: Option<String>,
    /// Whose choice it was.
    pub from: Layer,
    /// The provider of the last attempt.
    pub provider: String,
    /// The model that was asked of it.
    pub sent: String,
    /// The model that it says it used.
    pub returned: Option<String>,
}

/// A parameter of the call.
#[derive(Debug, Serialize)]
pub struct ExplainedParameter {
    /// Its name, as it was written.
    pub name: String,
    /// What was sent.
    pub value: Value,
    /// Whose value it is.
    pub from: Layer,
    /// The prompt's value, which the request's overruled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overruled: Option<Value>,
    /// Whether the prompt forbids requests to set it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub locked: bool,
}

/// How the cost came about.
#[derive(Debug, Serialize)]
pub struct ExplainedCost {
    /// The cost that was recorded.
    #[serde(flatten)]
    pub recorded: Cost,
    /// Its parts, by the price that was recorded; empty when that is not in the table any more.
    pub items: Vec<CostItem>,
}

impl Proxy {
    /// Finds out what a call was made from.
    ///
    /// # Errors
    ///
    /// When the version is gone, or the recorded request cannot be read or rendered any more.
    pub async fn explain(&self, record: &CallRecord) -> Result<Explanation, Error> {
        let intent = &record.intent;
        let mut explanation = Explanation {
            object: "call.explanation",
            call: ExplainedCall {
                id: intent.id,
                started: intent.started,
                operation: intent.operation,
                caller: intent.caller.clone(),
                key: intent.key.clone(),
                state: record.outcome.as_ref().map(|outcome| outcome.state),
            },
            prompt: None,
            variables: Vec::new(),
            messages: Vec::new(),
            model: model(record),
            parameters: Vec::new(),
            cost: self.cost(record),
        };
        if intent.operation != Operation::Chat {
            return Ok(explanation);
        }
        let request = ChatRequest::decode_as(intent.dialect, &intent.request, false)?;
        match &intent.prompt {
            Some(stamp) => {
                self.explain_prompt(&mut explanation, record, stamp, request)
                    .await?;
            }
            None => {
                explanation.messages = request.messages.iter().map(of_client).collect();
                explanation.parameters = parameters_of(&request, None);
            }
        }
        Ok(explanation)
    }

    async fn explain_prompt(
        &self,
        explanation: &mut Explanation,
        record: &CallRecord,
        stamp: &PromptStamp,
        request: ChatRequest,
    ) -> Result<(), Error> {
        let intent = &record.intent;
        let reference = PromptReference {
            key: stamp.key.clone(),
            selector: Selector::Hash(stamp.hash.to_hex()),
        };
        let resolved = self.prompts.resolve(&reference, &Caller::local()).await;
        let mut resolved = resolved?;
        resolved.stamp = stamp.clone();
        let again = call::from_prompt(&resolved, request.clone(), &Arrival::own(&intent.request))?;
        let prompts = Arc::clone(&self.prompts);
        let side = tokio::task::spawn_blocking(move || prompts.side_of(resolved)).await;
        let side = side.map_err(|_| Error::from(crate::prompts::Error::Stopping))?;
        let traced = retrace::trace(&side.bundle, &request)?;
        explanation.parameters = parameters_of(&request, Some(&side.bundle));
        explanation.model.of_prompt = side.bundle.model().map(str::to_owned);
        explanation.variables = variables(&side.bundle, &traced);
        explanation.messages = messages(&side, &traced);
        let asked = retrace::named_prompt(&request);
        explanation.prompt = Some(ExplainedPrompt {
            name: stamp.key.to_string(),
            asked: asked.map_or_else(|| stamp.key.to_string(), |asked| asked.to_string()),
            version: stamp.version(),
            hash: stamp.hash.to_string(),
            commit: stamp.commit.clone(),
            dirty: stamp.dirty,
            label: stamp.label.clone(),
            arm: intent
                .release
                .as_ref()
                .map(|release| release.arm.as_str().to_owned()),
            files: side.bundle.file_parts(&side.path),
            lines_of_files: side.is_from_files,
            reproduced: again.rendered_hash == intent.rendered_hash,
        });
        Ok(())
    }

    fn cost(&self, record: &CallRecord) -> ExplainedCost {
        let Some(outcome) = &record.outcome else {
            return ExplainedCost {
                recorded: Cost::default(),
                items: Vec::new(),
            };
        };
        let attempt = PlannedAttempt {
            provider: outcome.provider.clone(),
            model: outcome.model.clone(),
            drops_unsupported: false,
        };
        let model = outcome.model_returned.as_deref().unwrap_or(&outcome.model);
        let row = self
            .upstreams
            .get()
            .price(&attempt, model, record.intent.started);
        let row = row.filter(|row| Some(row.label()) == outcome.cost.price);
        let items = row
            .zip(outcome.usage)
            .map(|(row, usage)| cost_items(&usage, &row));
        ExplainedCost {
            recorded: outcome.cost.clone(),
            items: items.unwrap_or_default(),
        }
    }
}

fn model(record: &CallRecord) -> ExplainedModel {
    let (intent, outcome) = (&record.intent, record.outcome.as_ref());
    let asked = &intent.model_asked;
    let names_prompt =
        asked.is_empty() || asked.starts_with("prompt:") || asked.starts_with("prompt/");
    ExplainedModel {
        asked: asked.clone(),
        of_prompt: None,
        from: if names_prompt {
            Layer::Prompt
        } else {
            Layer::Request
        },
        provider: outcome
            .map_or(&intent.provider, |outcome| &outcome.provider)
            .clone(),
        sent: outcome
            .map_or(&intent.model, |outcome| &outcome.model)
            .clone(),
        returned: outcome.and_then(|outcome| outcome.model_returned.clone()),
    }
}

fn of_client(message: &Bytes) -> ExplainedMessage {
    let message: Value = serde_json::from_slice(message).unwrap_or_default();
    ExplainedMessage {
        role: message
            .get("role")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        from: Layer::Request,
        spans: Vec::new(),
        message: Some(message),
    }
}

fn messages(side: &Side, call: &TracedCall) -> Vec<ExplainedMessage> {
    let all = call.traced.rendered.messages.iter().zip(&call.traced.spans);
    let messages = all.filter_map(|(message, parts)| match message {
        RenderedMessage::Client(place) => call.history.get(*place).map(of_client),
        RenderedMessage::Prompt { role, .. } => Some(ExplainedMessage {
            role: role.openai_name().to_owned(),
            from: Layer::Prompt,
            spans: parts
                .iter()
                .flatten()
                .map(|span| ExplainedSpan {
                    file: span.place.file(&side.path),
                    span: span.clone(),
                })
                .collect(),
            message: None,
        }),
    });
    messages.collect()
}

fn variables(bundle: &Bundle, call: &TracedCall) -> Vec<ExplainedVariable> {
    let declared = bundle.variables();
    let mut names: Vec<&str> = declared.iter().map(|(name, _)| *name).collect();
    let others = call
        .sent
        .keys()
        .chain(bundle.defaults().keys())
        .map(String::as_str);
    for name in others {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let variable = |name: &str| {
        let sources = [
            (call.sent.get(name), VariableSource::Call),
            (call.bound.get(name), VariableSource::LastUserMessage),
            (bundle.defaults().get(name), VariableSource::Default),
        ];
        let found = sources
            .into_iter()
            .find_map(|(value, from)| Some((value?.clone(), from)));
        let (value, from) = match found {
            Some((value, from)) => (Some(value), from),
            None => (None, VariableSource::Nowhere),
        };
        ExplainedVariable {
            name: name.to_owned(),
            value,
            from,
        }
    };
    names.into_iter().map(variable).collect()
}

/// The parameters of the request, and those of the prompt where the request has none.
fn parameters_of(request: &ChatRequest, bundle: Option<&Bundle>) -> Vec<ExplainedParameter> {
    let empty = serde_json::Map::new();
    let config = bundle.map_or(&empty, Bundle::config);
    let locked = bundle.map_or(&[][..], Bundle::locked);
    let is_locked = |name: &str| {
        let is_it = |locked: &String| {
            parameters::spellings(locked).any(|other| other == name) || locked == name
        };
        locked.iter().any(is_it)
    };
    let mut found = Vec::new();
    for (name, value) in request.object.iter() {
        if NOT_PARAMETERS.contains(&name) {
            continue;
        }
        let is_it = |own: &&String| parameters::spellings(own).any(|other| other == name);
        let overruled = config.keys().find(is_it).and_then(|own| config.get(own));
        found.push(ExplainedParameter {
            name: name.to_owned(),
            value: serde_json::from_slice(value).unwrap_or_default(),
            from: Layer::Request,
            overruled: overruled.cloned(),
            locked: is_locked(name),
        });
    }
    for (name, value) in config {
        if parameters::spellings(name).any(|other| request.object.get(other).is_some()) {
            continue;
        }
        found.push(ExplainedParameter {
            name: name.clone(),
            value: value.clone(),
            from: Layer::Prompt,
            overruled: None,
            locked: parameters::spellings(name).any(&is_locked),
        });
    }
    found
}
