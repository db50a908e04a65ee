//! The body of a raw answer on its way to the client: read along for its tokens, kept in part, and recorded at
//! its end, however that comes.

use crate::domain::{BodyFormat, CallState, Dialect};
use crate::providers::{ByteStream, PassedReply};
use crate::proxy::ending::Ending;
use crate::proxy::recording::Recording;
use crate::proxy::{AnswerFacts, Error, Upstreams};
use crate::wire::answer::facts_of;
use crate::wire::conversation::{Collector, Event};
use crate::wire::json::RawObject;
use crate::wire::openai::{ProviderFault, ReplyFacts, read_usage};
use crate::wire::translate::{EventReader, Origin};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio_util::sync::CancellationToken;

/// The most of an answer that is kept in its record.
pub(super) const MAX_KEPT: usize = 1024 * 1024;

/// The body of a raw answer. Dropping it before its end cancels the provider's work and records what was
/// delivered.
pub struct PassedStream {
    recording: Option<Recording>,
    body: ByteStream,
    reading: Reading,
    status: u16,
    bytes_sent: u64,
    ending: Option<Pin<Box<dyn Future<Output = AnswerFacts> + Send>>>,
    /// What is known of the call at its end.
    pub(super) settled: Option<AnswerFacts>,
    /// Whether the provider takes nothing for it.
    pub(super) is_free: bool,
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
    pub(super) fn new(
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
            settled: None,
            is_free: false,
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
        match writing.as_mut().poll(context) {
            Poll::Ready(facts) => self.settled = Some(facts),
            Poll::Pending => self.ending = Some(writing),
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
            is_free: self.is_free && self.status < 400,
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
            this.settled = Some(ready!(ending.as_mut().poll(context)));
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
