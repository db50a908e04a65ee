//! The way of a call: resolve the prompt, plan the attempts, write the intent, ask, record.
//!
//! Everything that costs money goes through this room, so that no call is without a record.

mod attempts;
mod call;
mod encode;
mod error;
mod explain;
mod parameters;
mod recording;
mod rendering;
mod retrace;
mod routing;
mod stream;
mod upstreams;

pub use call::Arrival;
pub use error::Error;
pub use explain::Explanation;
pub use recording::Recorder;
pub use rendering::Rendering;
pub use retrace::{Sent, sent};
pub use routing::{Plan, PlannedAttempt, RetryPolicy, Routes, WELL_KNOWN};
pub use stream::RecordedStream;
pub use upstreams::{CurrentUpstreams, Upstreams};

use crate::domain::{
    BodyFormat, CallState, Caller, Cost, Durability, PromptReference, PromptStamp,
};
use crate::prompts::{Prompts, ResolvedPrompt};
use crate::proxy::attempts::{Reply, Sending, Success};
use crate::proxy::call::Call;
use crate::proxy::recording::{Ending, Recording};
use crate::wire::openai::{ChatRequest, EmbeddingsRequest, ReplyFacts};
use bytes::Bytes;
use http::{HeaderName, HeaderValue};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The rooms a call passes through.
#[derive(Debug)]
pub struct Proxy {
    /// The prompts.
    pub prompts: Arc<Prompts>,
    /// The providers and what is known of them.
    pub upstreams: Arc<CurrentUpstreams>,
    /// Writes the records.
    pub recorder: Arc<Recorder>,
    /// Cuts streams that outlive a shutdown.
    pub cut: CancellationToken,
}

/// What a client may know of its call, for the response headers.
#[derive(Debug, Clone, Default)]
pub struct AnswerFacts {
    /// The prompt it was made from.
    pub prompt: Option<PromptStamp>,
    /// The provider that answered (or was asked last); empty when none was.
    pub provider: String,
    /// The model asked of it.
    pub model: String,
    /// How many tries were made.
    pub attempts: usize,
    /// The gateway's own work before the first try, in microseconds.
    pub overhead_us: u64,
    /// The level the call is recorded at; `None` when it is not recorded.
    pub durability: Option<Durability>,
    /// What it cost, when that is known with the head.
    pub cost: Option<Cost>,
    /// What should be known but stopped nothing.
    pub warnings: Vec<String>,
    /// The provider's `x-ratelimit-*` headers.
    pub rate_limits: Vec<(HeaderName, HeaderValue)>,
}

/// An answer for the client.
#[derive(Debug)]
pub struct Answer {
    /// For the headers.
    pub facts: AnswerFacts,
    /// The body's media type.
    pub content_type: String,
    /// The body.
    pub body: AnswerBody,
}

/// The body of an answer. It has recorded itself, or does so at its end.
#[derive(Debug)]
pub enum AnswerBody {
    /// The provider's bytes.
    Whole(Bytes),
    /// The provider's events as they come.
    Stream(Box<RecordedStream>),
}

/// A call that has no answer.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub error: Error,
    /// For the headers.
    pub facts: AnswerFacts,
}

impl Proxy {
    /// Answers a chat completion.
    ///
    /// # Errors
    ///
    /// Every reason for which there is no answer, before the first content byte.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future cancels the provider's work; once the intent is written the call is
    /// recorded as `client_gone`.
    pub async fn complete(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        request: ChatRequest,
    ) -> Result<Answer, Box<Failure>> {
        let prompt = match call::named_prompt(&request).map_err(Failure::early)? {
            Some(reference) => Some(self.resolve(caller, &reference).await?),
            None => None,
        };
        let call = match &prompt {
            Some(prompt) => call::from_prompt(prompt, request, arrival),
            None => call::plain(request, arrival),
        };
        let stamp = prompt.as_ref().map(|prompt| &prompt.stamp);
        let call = call.map_err(|error| Failure::of_prompt(error, stamp))?;
        self.carry_out(caller, arrival, call).await
    }

    /// Embeds texts.
    ///
    /// # Errors
    ///
    /// As [`Proxy::complete`].
    pub async fn embed(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        request: EmbeddingsRequest,
    ) -> Result<Answer, Box<Failure>> {
        let call = call::embeddings(request, arrival);
        self.carry_out(caller, arrival, call).await
    }

    async fn resolve(
        &self,
        caller: &Caller,
        reference: &PromptReference,
    ) -> Result<ResolvedPrompt, Box<Failure>> {
        let resolved = self.prompts.resolve(reference, caller).await;
        resolved.map_err(|error| Failure::early(error.into()))
    }

    /// From a rendered call to its answer.
    async fn carry_out(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        call: Call,
    ) -> Result<Answer, Box<Failure>> {
        let early = |error| Failure::of_prompt(error, call.prompt.as_ref());
        let upstreams = self.upstreams.get();
        let plan = upstreams.routes.plan(caller, &call.model).map_err(early)?;
        let begun = self
            .recorder
            .begin(caller, &call, &plan, arrival, &upstreams);
        let mut recording = begun.await.map_err(early)?;
        let sending = Sending {
            upstreams: &upstreams,
            call: &call,
            id: arrival.id,
            trace: arrival.trace.as_ref(),
            started: arrival.started,
        };
        match attempts::first_success(sending, &plan, &mut recording).await {
            Ok(success) => Ok(self.follow(recording, success, upstreams).await),
            Err(error) => Err(recording.fail(error).await),
        }
    }

    /// Hands the answer over; its end writes the outcome.
    async fn follow(
        &self,
        mut recording: Recording,
        success: Success,
        upstreams: Arc<Upstreams>,
    ) -> Answer {
        recording.note_success(success.attempt, success.sent, success.head);
        let (mut facts, body) = match success.reply {
            Reply::Whole { body, facts } => {
                let ending = Ending {
                    status: Some(200),
                    output_text: whole_text(&facts, &body),
                    facts: Some(*facts),
                    output_format: BodyFormat::Json,
                    bytes_sent: u64::try_from(body.len()).unwrap_or(u64::MAX),
                    output: body.clone(),
                    ..Ending::bare(CallState::Ok)
                };
                (recording.complete(ending).await, AnswerBody::Whole(body))
            }
            Reply::Stream(open) => {
                let facts = recording.facts();
                let stream = RecordedStream::new(recording, *open, upstreams, self.cut.clone());
                (facts, AnswerBody::Stream(Box::new(stream)))
            }
        };
        facts.rate_limits = success.rate_limits;
        Answer {
            facts,
            content_type: success.content_type,
            body,
        }
    }
}

/// The text of a whole answer, which is needed only when its tokens must be counted here.
fn whole_text(facts: &ReplyFacts, body: &Bytes) -> String {
    if facts.usage.is_some() {
        return String::new();
    }
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let choices = answer.get("choices").and_then(serde_json::Value::as_array);
    let messages = choices
        .into_iter()
        .flatten()
        .filter_map(|choice| choice.get("message"));
    messages.map(said).collect()
}

/// Everything a model said in a message: text, thoughts, tool calls.
fn said(message: &serde_json::Value) -> String {
    match message {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Array(parts) => parts.iter().map(said).collect(),
        serde_json::Value::Object(fields) => fields
            .iter()
            .filter(|(key, _)| *key != "role" && *key != "id")
            .map(|(_, value)| said(value))
            .collect(),
        _ => String::new(),
    }
}

impl Failure {
    /// A failure before anything is known of the call.
    fn early(error: Error) -> Box<Self> {
        Self::of_prompt(error, None)
    }

    fn of_prompt(error: Error, prompt: Option<&PromptStamp>) -> Box<Self> {
        let facts = AnswerFacts {
            prompt: prompt.cloned(),
            ..AnswerFacts::default()
        };
        Box::new(Self { error, facts })
    }
}
