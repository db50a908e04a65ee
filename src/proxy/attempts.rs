//! Walks a plan: asks, tries again where that is safe, and stops at the first success.
//!
//! A stream counts as a success when its first *content* has come: a 200 and lifecycle events prove
//! nothing, and until then another attempt is invisible to the client.

use crate::domain::{Attempt, CallId, Dialect, Operation, Timestamp, TraceContext};
use crate::providers::{ByteStream, Outgoing, ReplyBody};
use crate::proxy::call::Call;
use crate::proxy::recording::Recording;
use crate::proxy::routing::{Plan, PlannedAttempt, RetryPolicy};
use crate::proxy::{Error, Upstreams, embedding, encode};
use crate::wire;
use crate::wire::answer::{AnswerStream, facts_of};
use crate::wire::openai::{self, ProviderFault, ReplyFacts};
use crate::wire::translate::{self, Client, Origin};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderName, HeaderValue};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The largest part of a stream that is held back while its first content is awaited.
const HELD_BYTES: usize = 256 * 1024;

/// What the first successful attempt brought.
#[derive(Debug)]
pub(crate) struct Success {
    pub(crate) attempt: PlannedAttempt,
    pub(crate) content_type: String,
    pub(crate) rate_limits: Vec<(HeaderName, HeaderValue)>,
    /// What of the request could not be said to the provider and was left out.
    pub(crate) warnings: Vec<String>,
    /// From the start of the call.
    pub(crate) sent: Duration,
    pub(crate) head: Duration,
    pub(crate) reply: Reply,
}

/// An answer, whole or begun.
#[derive(Debug)]
pub(crate) enum Reply {
    Whole { body: Bytes, facts: Box<ReplyFacts> },
    Stream(Box<OpenStream>),
}

/// A stream whose first content has come.
#[derive(Debug)]
pub(crate) struct OpenStream {
    pub(crate) reader: AnswerStream,
    /// What the client is to get first.
    pub(crate) held: Vec<Bytes>,
    pub(crate) rest: ByteStream,
}

/// What every attempt of a call needs to know.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending<'a> {
    pub(crate) upstreams: &'a Upstreams,
    pub(crate) call: &'a Call,
    pub(crate) id: CallId,
    /// The client's body.
    pub(crate) request: &'a Bytes,
    pub(crate) trace: Option<&'a TraceContext>,
    pub(crate) started: Instant,
    /// The same, by the clock.
    pub(crate) now: Timestamp,
}

/// Asks the plan's providers in order; every try is noted in `recording`.
///
/// # Errors
///
/// The last attempt's error.
///
/// # Cancel safety
///
/// Dropping the future cancels the request that is under way.
pub(crate) async fn first_success(
    sending: Sending<'_>,
    plan: &Plan,
    recording: &mut Recording,
) -> Result<Success, Error> {
    let mut last = None;
    for planned in std::iter::once(&plan.first).chain(&plan.fallbacks) {
        match try_provider(sending, planned, plan.retry, recording).await {
            Ok(success) => return Ok(success),
            Err(error) => last = Some(error),
        }
        if last.as_ref().is_some_and(|error| !may_fall_back(error)) {
            break;
        }
    }
    Err(last.unwrap_or(Error::ShuttingDown))
}

/// A request that is wrong stays wrong at the next provider; one that cannot be said to a provider may
/// be said to the next.
fn may_fall_back(error: &Error) -> bool {
    !matches!(error, Error::Provider { error, .. } if !error.may_fall_back())
}

async fn try_provider(
    sending: Sending<'_>,
    planned: &PlannedAttempt,
    retry: RetryPolicy,
    recording: &mut Recording,
) -> Result<Success, Error> {
    let mut tries = 0;
    let mut batch = embedding::Progress::default();
    loop {
        let began = Instant::now();
        let result = attempt(sending, planned, tries, &mut batch).await;
        recording.note_attempt(describe(planned, began, &result));
        let error = match result {
            Ok(success) => return Ok(success),
            Err(error) => error,
        };
        let Some(pause) = pause_before_retry(&error, retry).filter(|_| tries < retry.retries)
        else {
            return Err(error);
        };
        if error.was_too_slow() {
            batch.halve();
        }
        tries += 1;
        tokio::time::sleep(pause).await;
    }
}

/// How long to wait before the same provider is asked again; `None` when it must not be.
pub(crate) fn pause_before_retry(error: &Error, retry: RetryPolicy) -> Option<Duration> {
    let is_retryable = match error {
        Error::Provider { error, .. } => error.is_retryable(),
        Error::InvalidAnswer { .. } => true,
        _ => false,
    };
    let pause = error.retry_after().unwrap_or(retry.pause);
    (is_retryable && pause <= retry.longest_pause).then_some(pause)
}

fn describe(planned: &PlannedAttempt, began: Instant, result: &Result<Success, Error>) -> Attempt {
    let error = result.as_ref().err();
    let status = match error {
        None => Some(200),
        Some(Error::Provider { error, .. }) => error.head_status(),
        Some(_) => None,
    };
    described(planned, began, status, error)
}

/// What is recorded of a try.
pub(crate) fn described(
    planned: &PlannedAttempt,
    began: Instant,
    status: Option<u16>,
    error: Option<&Error>,
) -> Attempt {
    Attempt {
        provider: planned.provider.clone(),
        model: planned.model.clone(),
        status,
        error: error.map(|error| error.kind().to_owned()),
        message: error.map(ToString::to_string),
        duration_us: micros(began.elapsed()),
        provider_request_id: None,
    }
}

async fn attempt(
    sending: Sending<'_>,
    planned: &PlannedAttempt,
    tries: u32,
    batch: &mut embedding::Progress,
) -> Result<Success, Error> {
    let call = sending.call;
    let Some(endpoint) = sending.upstreams.providers.get(&planned.provider) else {
        // Routes name configured providers only; the room answers for the rest.
        return Err(invalid(planned, "there is no such provider".to_owned()));
    };
    let dialect = encode::dialect_for(call, &planned.model, endpoint)?;
    let model = &planned.model;
    if call.operation == Operation::Embeddings
        && !batch.goes_as_it_is(call, dialect, endpoint, model)
    {
        return embedding::attempt(sending, planned, (dialect, endpoint), tries, batch).await;
    }
    let longest = || {
        let price = sending.upstreams.price(planned, model, sending.now);
        price.and_then(|row| row.max_output)
    };
    let asked = encode::body_for(call, dialect, planned, (endpoint, &longest))?;
    let outgoing = Outgoing {
        operation: call.operation,
        dialect,
        headers: call.headers.clone(),
        model: planned.model.clone(),
        body: asked.body,
        stream: call.stream,
        call_id: sending.id,
        attempt: tries,
        trace: sending.trace.cloned(),
        deadlines: None,
    };
    let sent = sending.started.elapsed();
    let providers = &sending.upstreams.providers;
    let reply = providers.send(&planned.provider, &outgoing).await;
    let reply =
        reply.map_err(|error| Error::from_provider(error, dialect, &sending.upstreams.secrets))?;
    let head = sending.started.elapsed();
    let id = reply.request_id.as_deref().unwrap_or_default();
    let at = (planned, dialect);
    let content = match reply.body {
        ReplyBody::Whole(body) if dialect == call.dialect => whole(sending, at, body)?,
        ReplyBody::Whole(body) => translated(sending, at, id, &body)?,
        ReplyBody::Stream(stream) => {
            let reader = sending.reader(dialect, &Origin { id, model });
            open(sending, at, reader, stream, endpoint.deadlines().first_byte).await?
        }
    };
    let content_type = match &content {
        _ if dialect == call.dialect => reply.content_type,
        Reply::Whole { .. } => "application/json".to_owned(),
        Reply::Stream(_) => "text/event-stream".to_owned(),
    };
    Ok(Success {
        attempt: planned.clone(),
        content_type,
        rate_limits: reply.rate_limits,
        warnings: asked.warnings,
        sent,
        head,
        reply: content,
    })
}

impl Sending<'_> {
    /// Returns the reader of a stream in `dialect` for the client.
    fn reader(&self, dialect: Dialect, origin: &Origin<'_>) -> AnswerStream {
        if dialect.is_chat() && self.call.dialect.is_chat() {
            return AnswerStream::of_chat(!self.call.client_wants_usage);
        }
        AnswerStream::new((dialect, origin), self.client())
    }

    /// Returns the error for a fault in an answer that began well.
    pub(crate) fn fault(&self, planned: &PlannedAttempt, fault: &ProviderFault) -> Error {
        Error::from_fault(&planned.provider, fault, &self.upstreams.secrets)
    }

    /// Returns the error for a whole answer that cannot be read: the fault that it tells in place of one, if it does.
    pub(crate) fn unread(
        &self,
        planned: &PlannedAttempt,
        dialect: Dialect,
        (body, error): (&Bytes, &wire::Error),
    ) -> Error {
        match translate::fault_in(dialect, body) {
            Some(fault) => self.fault(planned, &fault),
            None => invalid(planned, error.to_string()),
        }
    }

    /// Whom the answer is for.
    fn client(&self) -> Client {
        Client {
            dialect: self.call.dialect,
            request: self.request.clone(),
            id: self.id.0.simple().to_string(),
            created: self.now.unix_seconds(),
            wants_usage: self.call.client_wants_usage,
        }
    }
}

/// Checks that a whole answer is one; the client gets it as it came.
fn whole(
    sending: Sending<'_>,
    (planned, dialect): (&PlannedAttempt, Dialect),
    body: Bytes,
) -> Result<Reply, Error> {
    let facts = if dialect.is_chat() {
        openai::read_facts(sending.call.operation, &body)
    } else {
        translate::read_reply(dialect, &body).map(|reply| facts_of(&reply))
    };
    let facts = facts.map_err(|error| sending.unread(planned, dialect, (&body, &error)))?;
    if let Some(fault) = &facts.fault {
        return Err(sending.fault(planned, fault));
    }
    Ok(Reply::Whole {
        body,
        facts: Box::new(facts),
    })
}

/// Writes a whole answer in the client's dialect.
fn translated(
    sending: Sending<'_>,
    (planned, dialect): (&PlannedAttempt, Dialect),
    id: &str,
    body: &Bytes,
) -> Result<Reply, Error> {
    let origin = Origin {
        id,
        model: &planned.model,
    };
    let reply = translate::read_answer(dialect, body, &origin);
    let reply = reply.map_err(|error| sending.unread(planned, dialect, (body, &error)))?;
    Ok(Reply::Whole {
        body: translate::write_reply(&reply, &sending.client()),
        facts: Box::new(facts_of(&reply)),
    })
}

/// Reads a stream up to its first content.
async fn open(
    sending: Sending<'_>,
    (planned, dialect): (&PlannedAttempt, Dialect),
    mut reader: AnswerStream,
    mut stream: ByteStream,
    limit: Duration,
) -> Result<Reply, Error> {
    let deadline = Instant::now() + limit;
    let mut held = Vec::new();
    let mut held_bytes = 0;
    loop {
        let next = timeout_at(deadline, stream.next()).await;
        let next = next.map_err(|_| Error::NoContent {
            provider: planned.provider.clone(),
            limit,
        })?;
        match next {
            Some(chunk) => {
                let chunk = chunk.map_err(|error| {
                    Error::from_provider(error, dialect, &sending.upstreams.secrets)
                })?;
                held_bytes += chunk.len();
                reader.push(chunk, &mut held);
            }
            None => {
                reader.finish(&mut held);
                if !reader.has_content() && !reader.is_done() && reader.fault().is_none() {
                    return Err(invalid(
                        planned,
                        "the stream ended before any content".to_owned(),
                    ));
                }
            }
        }
        if let Some(fault) = reader.fault() {
            return Err(sending.fault(planned, fault));
        }
        if reader.has_content() || reader.is_done() || HELD_BYTES < held_bytes {
            return Ok(Reply::Stream(Box::new(OpenStream {
                reader,
                held,
                rest: stream,
            })));
        }
    }
}

pub(crate) fn invalid(planned: &PlannedAttempt, problem: String) -> Error {
    Error::InvalidAnswer {
        provider: planned.provider.clone(),
        problem,
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
