//! Walks a plan: asks, tries again where that is safe, and stops at the first success.
//!
//! A stream counts as a success when its first *content* has come: a 200 and lifecycle events prove
//! nothing, and until then another attempt is invisible to the client.

use crate::domain::{Attempt, CallId, Operation, TraceContext};
use crate::providers::{ByteStream, Outgoing, ReplyBody};
use crate::proxy::call::Call;
use crate::proxy::recording::Recording;
use crate::proxy::routing::{Plan, PlannedAttempt, RetryPolicy};
use crate::proxy::{Error, Upstreams, encode};
use crate::wire::Dialect;
use crate::wire::openai::{self, ChatStream, ReplyFacts};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue};
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
    pub(crate) reader: ChatStream,
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
    pub(crate) trace: Option<&'a TraceContext>,
    pub(crate) started: Instant,
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

/// A request that is wrong stays wrong at the next provider.
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
    loop {
        let began = Instant::now();
        let result = attempt(sending, planned, tries).await;
        recording.note_attempt(describe(planned, began, &result));
        let error = match result {
            Ok(success) => return Ok(success),
            Err(error) => error,
        };
        let Some(pause) = pause_before_retry(&error, retry).filter(|_| tries < retry.retries)
        else {
            return Err(error);
        };
        tries += 1;
        tokio::time::sleep(pause).await;
    }
}

/// How long to wait before the same provider is asked again; `None` when it must not be.
fn pause_before_retry(error: &Error, retry: RetryPolicy) -> Option<Duration> {
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
        Some(Error::Provider { error, .. }) => error.status(),
        Some(_) => None,
    };
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
) -> Result<Success, Error> {
    let call = sending.call;
    let Some(endpoint) = sending.upstreams.providers.get(&planned.provider) else {
        // Routes name configured providers only; the room answers for the rest.
        return Err(invalid(planned, "there is no such provider".to_owned()));
    };
    let outgoing = Outgoing {
        operation: call.operation,
        dialect: Dialect::Chat,
        headers: HeaderMap::new(),
        model: planned.model.clone(),
        body: encode::body_for(call, &planned.model, endpoint),
        stream: call.stream,
        call_id: sending.id,
        attempt: tries,
        trace: sending.trace.cloned(),
        deadlines: None,
    };
    let sent = sending.started.elapsed();
    let reply = sending
        .upstreams
        .providers
        .send(&planned.provider, &outgoing)
        .await;
    let reply = reply.map_err(|error| Error::from_provider(error, &sending.upstreams.secrets))?;
    let head = sending.started.elapsed();
    let content = match reply.body {
        ReplyBody::Whole(body) => whole(call.operation, planned, body)?,
        ReplyBody::Stream(stream) => {
            let reader = ChatStream::new(!call.client_wants_usage);
            open(
                sending,
                planned,
                reader,
                stream,
                endpoint.deadlines().first_byte,
            )
            .await?
        }
    };
    Ok(Success {
        attempt: planned.clone(),
        content_type: reply.content_type,
        rate_limits: reply.rate_limits,
        sent,
        head,
        reply: content,
    })
}

/// Checks that a whole answer is one.
fn whole(operation: Operation, planned: &PlannedAttempt, body: Bytes) -> Result<Reply, Error> {
    let facts = openai::read_facts(operation, &body);
    let facts = facts.map_err(|error| invalid(planned, error.to_string()))?;
    if let Some(fault) = &facts.fault {
        return Err(invalid(planned, fault.message.clone()));
    }
    Ok(Reply::Whole {
        body,
        facts: Box::new(facts),
    })
}

/// Reads a stream up to its first content.
async fn open(
    sending: Sending<'_>,
    planned: &PlannedAttempt,
    mut reader: ChatStream,
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
                let chunk = chunk
                    .map_err(|error| Error::from_provider(error, &sending.upstreams.secrets))?;
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
            let secrets = &sending.upstreams.secrets;
            let message = secrets.scrub_text(&fault.message).into_owned();
            return Err(invalid(planned, message));
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

fn invalid(planned: &PlannedAttempt, problem: String) -> Error {
    Error::InvalidAnswer {
        provider: planned.provider.clone(),
        problem,
    }
}

/// Whole microseconds.
pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
