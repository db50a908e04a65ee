//! Raw requests: any path of a provider's API, with its credentials, recorded like every call.
//!
//! The answer goes on byte by byte, whatever its status. What is JSON or a stream of events is read along
//! for its tokens and kept; what is not is recorded by its size alone.

use crate::domain::{BodyFormat, CallState, Caller, Dialect, Operation, sha256_hex};
use crate::providers::{ByteStream, Passed, PassedReply};
use crate::proxy::call::{Arrival, Call};
use crate::proxy::recording::{Ending, Recording};
use crate::proxy::routing::{Plan, PlannedAttempt};
use crate::proxy::{AnswerFacts, Error, Failure, Proxy, Upstreams, attempts};
use crate::wire::answer::facts_of;
use crate::wire::conversation::{Collector, Event};
use crate::wire::json::RawObject;
use crate::wire::openai::{ProviderFault, ReplyFacts, read_usage};
use crate::wire::translate::{EventReader, Origin};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, Method};
use serde_json::json;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The most of an answer that is kept in its record.
const MAX_KEPT: usize = 1024 * 1024;

/// A raw request.
#[derive(Debug)]
pub struct Passing {
    /// The provider, where the path names it; else the model decides, or the first that speaks as `OpenAI`.
    pub provider: Option<String>,
    /// The method.
    pub method: Method,
    /// The path below the provider's base URL, with its query.
    pub path_and_query: String,
    /// What the client said in headers.
    pub headers: HeaderMap,
}

/// The answer to a raw request.
#[derive(Debug)]
pub struct PassedAnswer {
    /// For the headers.
    pub facts: AnswerFacts,
    /// The provider's status.
    pub status: u16,
    /// What the client may see of the provider's headers.
    pub headers: HeaderMap,
    /// The body; it records itself at its end.
    pub body: PassedStream,
}

impl Proxy {
    /// Hands a raw request on.
    ///
    /// # Errors
    ///
    /// When no provider is meant, the key may not use it, or there is no answer at all.
    ///
    /// # Cancel safety
    ///
    /// As [`Proxy::complete`].
    pub async fn pass(
        self: &Arc<Self>,
        caller: &Caller,
        arrival: &Arrival,
        passing: Passing,
    ) -> Result<PassedAnswer, Box<Failure>> {
        let upstreams = self.upstreams.get();
        let object = RawObject::parse(&arrival.body).ok();
        let asked = object.as_ref().and_then(|body| body.get_str("model"));
        let asked = asked.map(std::borrow::Cow::into_owned);
        let plan =
            plan_of(&upstreams, caller, &passing, asked.as_deref()).map_err(Failure::early)?;
        let call = call_of(&plan, &passing, object.as_ref(), asked.unwrap_or_default());
        let recorded = Arrival {
            body: recordable(&arrival.body, &passing, object.is_some()),
            ..arrival.clone()
        };
        let begun = self
            .recorder
            .begin(caller, &call, &plan, &recorded, &upstreams);
        let mut recording = begun.await.map_err(Failure::early)?;
        let passed = Passed {
            method: passing.method,
            path_and_query: passing.path_and_query.clone(),
            headers: passing.headers,
            body: body_of(&arrival.body, object, &plan.first.model),
            call_id: arrival.id,
            trace: arrival.trace.clone(),
            deadlines: None,
        };
        let sent = arrival.started.elapsed();
        let began = Instant::now();
        let reply = upstreams
            .providers
            .pass(&plan.first.provider, &passed)
            .await;
        let attempt =
            |status, error: Option<&Error>| attempts::described(&plan.first, began, status, error);
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                let error = Error::from_provider(error, Dialect::Chat, &upstreams.secrets);
                recording.note_attempt(attempt(None, Some(&error)));
                return Err(recording.fail(error).await);
            }
        };
        recording.note_attempt(attempt(Some(reply.status), None));
        recording.note_success(plan.first.clone(), sent, arrival.started.elapsed());
        let facts = recording.facts();
        let dialect = dialect_of(&passing.path_and_query);
        Ok(PassedAnswer {
            facts,
            status: reply.status,
            headers: reply.headers.clone(),
            body: PassedStream::new(recording, reply, dialect, (upstreams, self.cut.clone())),
        })
    }
}

/// Who is asked.
fn plan_of(
    upstreams: &Upstreams,
    caller: &Caller,
    passing: &Passing,
    model: Option<&str>,
) -> Result<Plan, Error> {
    let provider = match (&passing.provider, model) {
        (None, Some(model)) => return upstreams.routes.plan(caller, model),
        (Some(provider), _) => provider.clone(),
        (None, None) => upstreams.speaks_openai().ok_or_else(|| Error::NoProvider {
            path: path(&passing.path_and_query).to_owned(),
        })?,
    };
    if upstreams.providers.get(&provider).is_none() {
        return Err(Error::ModelNotFound {
            model: format!("{provider}/"),
            owner: None,
            near: upstreams.providers.names().map(str::to_owned).collect(),
        });
    }
    let model = model.unwrap_or_default();
    let model = model.strip_prefix(&format!("{provider}/")).unwrap_or(model);
    // Without a model, only a key may that may use all of the provider's.
    let name = format!("{provider}/{model}");
    let is_allowed =
        caller.may_use_model(&name) || (!model.is_empty() && caller.may_use_model(model));
    if !is_allowed {
        return Err(Error::ModelForbidden { model: name });
    }
    Ok(Plan {
        first: PlannedAttempt {
            provider,
            model: model.to_owned(),
            drops_unsupported: false,
        },
        fallbacks: Vec::new(),
        retry: upstreams.routes.retry,
    })
}

fn call_of(plan: &Plan, passing: &Passing, object: Option<&RawObject>, model: String) -> Call {
    let is_stream = object
        .and_then(|body| body.get_bool("stream"))
        .unwrap_or(false);
    Call {
        path: Some(format!(
            "{} {}",
            passing.method,
            path(&passing.path_and_query)
        )),
        ..Call::bare(Operation::Raw, model, plan.first.model.clone(), is_stream)
    }
}

/// The path without its query, which may hold a key.
fn path(path_and_query: &str) -> &str {
    path_and_query.split('?').next().unwrap_or_default()
}

/// The body that goes out: the model without the provider before it.
fn body_of(body: &Bytes, object: Option<RawObject>, model: &str) -> Bytes {
    match object {
        Some(mut object) if object.get_str("model").is_some_and(|asked| asked != model) => {
            object.set("model", crate::wire::json::to_json(model));
            object.to_bytes()
        }
        _ => body.clone(),
    }
}

/// What is recorded of the request: JSON as it is; of anything else, what it was.
fn recordable(body: &Bytes, passing: &Passing, is_json: bool) -> Bytes {
    if is_json || body.is_empty() {
        return body.clone();
    }
    let kind = passing.headers.get(http::header::CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok());
    let note = json!({"content_type": kind, "bytes": body.len(), "sha256": sha256_hex(body)});
    Bytes::from(note.to_string())
}

/// The dialect that a path is answered in.
fn dialect_of(path_and_query: &str) -> Option<Dialect> {
    let path = path(path_and_query);
    let ends = |end: &str| path.ends_with(end);
    if ends("/chat/completions") || ends("/completions") {
        Some(Dialect::Chat)
    } else if ends("/responses") {
        Some(Dialect::Responses)
    } else if ends("/messages") {
        Some(Dialect::Messages)
    } else if ends(":generateContent") || ends(":streamGenerateContent") {
        Some(Dialect::Gemini)
    } else if ends("/converse") || ends("/converse-stream") {
        Some(Dialect::Converse)
    } else {
        None
    }
}

/// The body of a raw answer. Dropping it before its end cancels the provider's work and records what was
/// delivered.
pub struct PassedStream {
    recording: Option<Recording>,
    body: ByteStream,
    reading: Reading,
    status: u16,
    bytes_sent: u64,
    ending: Option<Pin<Box<dyn Future<Output = AnswerFacts> + Send>>>,
    upstreams: Arc<Upstreams>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What is read along.
#[derive(Debug)]
struct Reading {
    is_text: bool,
    is_stream: bool,
    kept: BytesMut,
    reader: Option<(EventReader, Collector)>,
}

impl fmt::Debug for PassedStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PassedStream")
            .field("bytes_sent", &self.bytes_sent)
            .finish_non_exhaustive()
    }
}

impl PassedStream {
    fn new(
        recording: Recording,
        reply: PassedReply,
        dialect: Option<Dialect>,
        (upstreams, cut): (Arc<Upstreams>, CancellationToken),
    ) -> Self {
        let kind = reply.headers.get(http::header::CONTENT_TYPE);
        let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let is_stream = kind.contains("event-stream") || kind.contains("eventstream");
        let reader = dialect.filter(|_| is_stream);
        Self {
            recording: Some(recording),
            body: reply.body,
            reading: Reading {
                is_text: kind.contains("json") || kind.starts_with("text/"),
                is_stream,
                kept: BytesMut::new(),
                reader: reader
                    .map(|it| (EventReader::new(it, &Origin::default()), Collector::new(it))),
            },
            status: reply.status,
            bytes_sent: 0,
            ending: None,
            upstreams,
            cut: Box::pin(cut.cancelled_owned()),
        }
    }

    fn begin_ending(&mut self, context: &mut Context<'_>, broken: Option<&Error>) {
        let told = self.told();
        let broken = broken.or(told.as_ref());
        let state = match broken {
            Some(error) => error.state(),
            None if self.status < 400 => CallState::Ok,
            None if self.status < 500 && !matches!(self.status, 401 | 403 | 429) => {
                CallState::Refused
            }
            None => CallState::UpstreamError,
        };
        let mut ending = self.ending(state);
        ending.error = broken.map(|error| (error.kind().to_owned(), error.to_string()));
        if broken.is_none() && 400 <= self.status {
            let fault = ProviderFault::read(self.status, None, &self.reading.kept);
            ending.error = Some(("upstream_error".to_owned(), fault.message));
        }
        let Some(recording) = self.recording.take() else {
            return;
        };
        let mut writing = Box::pin(recording.complete(ending));
        // The first poll writes: a client that leaves from here on changes nothing any more.
        if writing.as_mut().poll(context).is_pending() {
            self.ending = Some(writing);
        }
    }

    /// The error that the provider told inside a stream.
    fn told(&self) -> Option<Error> {
        let (_, collector) = self.reading.reader.as_ref()?;
        let fault = collector.fault().filter(|fault| !fault.is_found)?;
        let provider = self.recording.as_ref().map_or("", Recording::provider);
        let secrets = &self.upstreams.secrets;
        Some(Error::from_fault(provider, fault, secrets))
    }

    fn ending(&mut self, state: CallState) -> Ending {
        let reading = &mut self.reading;
        let kept = reading.kept.split().freeze();
        let is_json = reading.is_text && !reading.is_stream;
        let format = match (kept.is_empty(), is_json) {
            (true, _) => BodyFormat::None,
            (false, true) => BodyFormat::Json,
            (false, false) => BodyFormat::Text,
        };
        Ending {
            status: Some(self.status),
            facts: Some(reading.facts(&kept)),
            output_format: format,
            output: kept,
            bytes_sent: self.bytes_sent,
            ..Ending::bare(state)
        }
    }
}

impl Reading {
    fn take(&mut self, chunk: &Bytes) {
        if let Some((reader, collector)) = &mut self.reader {
            let mut events: Vec<Event> = Vec::new();
            reader.push(chunk, &mut events);
            for event in events {
                collector.take(event);
            }
        }
        let is_kept = self.is_text && self.kept.len() + chunk.len() <= MAX_KEPT;
        if is_kept {
            self.kept.extend_from_slice(chunk);
        }
    }

    /// The model and the tokens, wherever the answer says them.
    fn facts(&self, kept: &Bytes) -> ReplyFacts {
        if let Some((_, collector)) = &self.reader {
            return facts_of(collector.reply());
        }
        let Ok(object) = RawObject::parse(kept) else {
            return ReplyFacts::default();
        };
        let usage = object
            .get_some("usage")
            .or_else(|| object.get_some("usageMetadata"));
        let usage = usage.and_then(|usage| std::str::from_utf8(usage).ok());
        ReplyFacts {
            id: object.get_str("id").map(Into::into),
            model: object.get_str("model").map(Into::into),
            usage: usage.and_then(read_usage),
            usage_reported: usage.and_then(|usage| serde_json::from_str(usage).ok()),
            ..ReplyFacts::default()
        }
    }
}

impl Stream for PassedStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let mut broken = None;
        if this.recording.is_some() {
            if this.cut.as_mut().poll(context).is_ready() {
                broken = Some(Error::ShuttingDown);
                this.begin_ending(context, broken.as_ref());
            } else {
                match ready!(Pin::new(&mut this.body).poll_next(context)) {
                    Some(Ok(chunk)) => {
                        this.bytes_sent += u64::try_from(chunk.len()).unwrap_or(0);
                        this.reading.take(&chunk);
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                    Some(Err(error)) => {
                        let secrets = &this.upstreams.secrets;
                        broken = Some(Error::from_provider(error, Dialect::Chat, secrets));
                        this.begin_ending(context, broken.as_ref());
                    }
                    None => this.begin_ending(context, None),
                }
            }
        }
        // A body that broke must not look like one that ended.
        if let Some(error) = broken {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(ending) = &mut this.ending {
            ready!(ending.as_mut().poll(context));
            this.ending = None;
        }
        Poll::Ready(None)
    }
}

impl Drop for PassedStream {
    /// The client left: what it got is recorded.
    fn drop(&mut self) {
        if let Some(mut recording) = self.recording.take() {
            let ending = self.ending(CallState::ClientGone);
            recording.abandon(ending);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{body_of, dialect_of, path};
    use crate::domain::Dialect;
    use crate::wire::json::RawObject;
    use bytes::Bytes;

    #[test]
    fn paths_tell_what_the_answer_is_written_in() {
        for (path, wanted) in [
            ("/v1/chat/completions?a=b", Some(Dialect::Chat)),
            (
                "/models/g:streamGenerateContent?alt=sse",
                Some(Dialect::Gemini),
            ),
            ("/model/x/converse-stream", Some(Dialect::Converse)),
            ("/v1/files", None),
        ] {
            assert_eq!(dialect_of(path), wanted, "{path}");
        }
        assert_eq!(path("/a?key=SECRET"), "/a");
    }

    #[test]
    fn a_model_goes_out_without_its_provider() {
        let body = Bytes::from_static(br#"{"model":"openai/whisper","x":1.50}"#);
        let object = RawObject::parse(&body).unwrap();
        assert_eq!(
            body_of(&body, Some(object), "whisper"),
            r#"{"model":"whisper","x":1.50}"#
        );
    }
}
