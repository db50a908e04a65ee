//! The way of a call: resolve the prompt, plan the attempts, write the intent, ask, record.
//!
//! Everything that costs money goes through this room, so that no call is without a record.

mod attempts;
mod call;
mod countable;
mod counting;
mod embedding;
mod encode;
mod ending;
mod errand;
mod error;
mod explain;
mod form;
mod naming;
mod overlay;
mod pace;
mod parameters;
mod passed_stream;
mod passing;
mod previous;
mod recording;
mod rendering;
mod retrace;
mod routing;
mod shadow;
mod space;
mod stream;
mod told;
mod upstreams;

pub use call::Arrival;
pub use counting::CountedInput;
pub use errand::WholeAnswer;
pub use error::Error;
pub use explain::Explanation;
pub use naming::{PromptHeaders, Way};
pub use pace::{Pace, Paces, Place};
pub use passed_stream::PassedStream;
pub use passing::{PassedAnswer, PassedWhole, Passing};
pub use previous::{call_of, items_of_input, response_id};
pub use recording::Recorder;
pub use rendering::Rendering;
pub use retrace::{Inputs, Sent, inputs, sent};
pub use routing::{Plan, PlannedAttempt, RetryPolicy, Route, Routes, WELL_KNOWN};
pub use shadow::{AfterAnswer, Shadows};
pub use space::Under;
pub use stream::RecordedStream;
pub use told::{Told, told, told_answer};
pub use upstreams::{CurrentUpstreams, PriceLists, Upstreams};

use crate::domain::{
    BodyFormat, CallState, Caller, Cost, Dialect, Durability, EmbeddingStamp, Operation,
    PromptReference, PromptStamp, ReleaseDecision, TokenUsage,
};
use crate::metering::Retirement;
use crate::prompts::{Prompts, Released, StickyKeys};
use crate::proxy::attempts::{Reply, Sending, Success};
use crate::proxy::call::Call;
use crate::proxy::ending::Ending;
use crate::proxy::form::Form;
use crate::proxy::naming::Naming;
use crate::proxy::recording::Recording;
use crate::wire::conversation::said_in;
use crate::wire::openai::{ChatRequest, EmbeddingsRequest, ReplyFacts};
use crate::wire::translate;
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
    /// The room for what runs beside.
    pub shadows: Shadows,
}

/// What a client may know of its call, for the response headers.
#[derive(Debug, Clone, Default)]
pub struct AnswerFacts {
    /// The prompt it was made from.
    pub prompt: Option<PromptStamp>,
    /// How a label led to it.
    pub release: Option<ReleaseDecision>,
    /// The embedding version it was made under.
    pub embedding: Option<EmbeddingStamp>,
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
    /// The tokens it took, when they are known with the head.
    pub usage: Option<TokenUsage>,
    /// The day the model that was asked is turned off, when that is near or past.
    pub retirement: Option<Retirement>,
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
    /// What begins when the answer is delivered.
    pub after: Option<AfterAnswer>,
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
    /// Answers a request, in the dialect it is written in.
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
        self: &Arc<Self>,
        caller: &Caller,
        arrival: &Arrival,
        request: ChatRequest,
    ) -> Result<Answer, Box<Failure>> {
        self.complete_at(caller, arrival, request, None).await
    }

    /// Answers a request whose prompt is named by its path, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Proxy::complete`].
    ///
    /// # Cancel safety
    ///
    /// As [`Proxy::complete`].
    pub async fn complete_at(
        self: &Arc<Self>,
        caller: &Caller,
        arrival: &Arrival,
        request: ChatRequest,
        path: Option<&PromptReference>,
    ) -> Result<Answer, Box<Failure>> {
        let request = self.go_on(caller, request).await.map_err(Failure::early)?;
        let naming = Naming::of(&request, &arrival.headers, path);
        let named = naming.reference(|named| self.prompts.real_name(named));
        let Some(reference) = named.map_err(Failure::early)? else {
            let call = call::plain(request, arrival).map_err(Failure::early)?;
            return self.carry_out(caller, arrival, call).await;
        };
        let mut released = self.release(caller, &reference, &request, arrival).await?;
        let recorded = naming::recordable(&request, arrival, path).map_err(Failure::early)?;
        let arrival = recorded.as_ref().unwrap_or(arrival);
        let shadow = released.shadow.take().zip(released.release.as_ref());
        let after = shadow.map(|(shadow, release)| {
            shadow::prepare(self, (caller, arrival), &request, (shadow, &release.label))
        });
        let call = call::from_prompt(&released.prompt, request, arrival);
        let mut call = call.map_err(|error| Failure::of_prompt(error, &released))?;
        call.release = released.release;
        call.warnings.extend(released.warnings);
        call.warnings.extend(self.prompts.staleness());
        let mut answer = self.carry_out(caller, arrival, call).await?;
        answer.after = after;
        Ok(answer)
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

    async fn release(
        &self,
        caller: &Caller,
        reference: &PromptReference,
        request: &ChatRequest,
        arrival: &Arrival,
    ) -> Result<Released, Box<Failure>> {
        let session = arrival.session.as_ref().or(request.session.as_ref());
        let keys = StickyKeys {
            user: request.user.as_deref(),
            session: session.map(String::as_str),
            header: arrival.sticky.as_deref(),
            key: caller.key.as_ref().map(|key| key.0.as_str()),
            call: arrival.id.0,
        };
        let released = self.prompts.release(reference, caller, &keys).await;
        released.map_err(|error| Failure::early(error.into()))
    }

    /// From a rendered call to its answer.
    async fn carry_out(
        &self,
        caller: &Caller,
        arrival: &Arrival,
        call: Call,
    ) -> Result<Answer, Box<Failure>> {
        let early = |error| Failure::of_call(error, &call);
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
            request: &arrival.body,
            trace: arrival.trace.as_ref(),
            started: arrival.started,
            now: self.recorder.clock.now(),
        };
        // A future is moved into each of those that wait for it; the largest one stays in its place.
        let attempts = Box::pin(attempts::first_success(sending, &plan, &mut recording));
        match attempts.await {
            Ok(success) => self.follow(recording, &call, success, upstreams).await,
            Err(error) => Err(recording.fail(error).await),
        }
    }

    /// Hands the answer over; its end writes the outcome.
    async fn follow(
        &self,
        mut recording: Recording,
        call: &Call,
        success: Success,
        upstreams: Arc<Upstreams>,
    ) -> Result<Answer, Box<Failure>> {
        recording.note_success(success.attempt, success.sent, success.head);
        recording.note_warnings(success.warnings);
        let (mut facts, body) = match success.reply {
            Reply::Whole { body, facts } => {
                let (body, form) = space::finish(call, body, recording.provider());
                let mut ending = Ending {
                    status: Some(200),
                    output_text: whole_text(call.dialect, &facts, &body),
                    facts: Some(*facts),
                    bytes_sent: u64::try_from(body.len()).unwrap_or(u64::MAX),
                    ..Ending::bare(CallState::Ok)
                };
                // Vectors are the caller's, large, and can be computed again.
                if call.operation == Operation::Chat {
                    (ending.output_format, ending.output) = (BodyFormat::Json, body.clone());
                }
                let warning = match form {
                    Form::Good => None,
                    Form::Doubtful(warning) => Some(warning),
                    Form::Refused(error) => {
                        ending.state = error.state();
                        (ending.status, ending.bytes_sent) = (Some(502), 0);
                        ending.error = Some((error.kind().to_owned(), error.to_string()));
                        let facts = recording.complete(ending).await;
                        return Err(Box::new(Failure { error, facts }));
                    }
                };
                ending.warnings.extend(warning.clone());
                let mut facts = recording.complete(ending).await;
                facts.warnings.extend(warning);
                (facts, AnswerBody::Whole(body))
            }
            Reply::Stream(open) => {
                let facts = recording.facts();
                let stream = RecordedStream::new(recording, *open, upstreams, self.cut.clone());
                (facts, AnswerBody::Stream(Box::new(stream)))
            }
        };
        facts.rate_limits = success.rate_limits;
        Ok(Answer {
            facts,
            content_type: success.content_type,
            body,
            after: None,
        })
    }
}

/// The text of a whole answer, which is needed only when its tokens must be counted here.
fn whole_text(dialect: Dialect, facts: &ReplyFacts, body: &Bytes) -> String {
    if facts.usage.is_some() {
        return String::new();
    }
    if !dialect.is_chat() {
        return translate::read_reply(dialect, body)
            .map_or_else(|_| String::new(), |it| said_in(&it));
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
        let facts = AnswerFacts::default();
        Box::new(Self { error, facts })
    }

    fn of_prompt(error: Error, released: &Released) -> Box<Self> {
        let facts = AnswerFacts {
            prompt: Some(released.prompt.stamp.clone()),
            release: released.release.clone(),
            warnings: released.warnings.clone(),
            ..AnswerFacts::default()
        };
        Box::new(Self { error, facts })
    }

    fn of_call(error: Error, call: &Call) -> Box<Self> {
        let facts = AnswerFacts {
            prompt: call.prompt.clone(),
            release: call.release.clone(),
            embedding: call.embedding.as_ref().map(|under| under.stamp.clone()),
            warnings: call.warnings.clone(),
            ..AnswerFacts::default()
        };
        Box::new(Self { error, facts })
    }
}
