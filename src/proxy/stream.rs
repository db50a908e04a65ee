//! A stream on its way to the client: passes the provider's bytes on, joins what came together, and
//! writes the record before the client sees the end.

use crate::domain::{BodyFormat, CallState};
use crate::providers::ByteStream;
use crate::proxy::attempts::OpenStream;
use crate::proxy::ending::Ending;
use crate::proxy::recording::Recording;
use crate::proxy::{AnswerFacts, Error, Upstreams};
use crate::wire::answer::AnswerStream;
use crate::wire::openai::{ErrorEnvelope, ProviderFault};
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Chunks that came together are joined into one write of about this many bytes.
const JOINED_BYTES: usize = 16 * 1024;

/// A chunk that follows a write this closely is part of a burst: it waits for those behind it, for no
/// longer than this. A write costs more than all else that is done for a chunk.
const BURST: Duration = Duration::from_millis(1);

/// A burst is over after so many turns of the scheduler that brought nothing. Without other work a
/// turn takes less than a microsecond; the task that reads from the provider may need a few of them,
/// since it hands over one chunk at a time.
const IDLE_TURNS: u8 = 16;

/// A recorded stream of server-sent events. Dropping it before its end cancels the provider's work
/// and records what was delivered.
pub struct RecordedStream {
    recording: Option<Recording>,
    reader: AnswerStream,
    rest: Option<ByteStream>,
    out: Vec<Bytes>,
    bytes_sent: u64,
    /// When the client was last given something.
    written: Option<Instant>,
    /// Turns of a burst in which nothing came.
    idle_turns: u8,
    ending: Option<Pin<Box<dyn Future<Output = AnswerFacts> + Send>>>,
    /// What follows the record: the withheld `[DONE]`, or an error event.
    last: Option<Bytes>,
    upstreams: Arc<Upstreams>,
    cut: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl fmt::Debug for RecordedStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RecordedStream")
            .field("bytes_sent", &self.bytes_sent)
            .finish_non_exhaustive()
    }
}

impl RecordedStream {
    pub(crate) fn new(
        mut recording: Recording,
        open: OpenStream,
        upstreams: Arc<Upstreams>,
        cut: CancellationToken,
    ) -> Self {
        recording.note_first_content();
        Self {
            recording: Some(recording),
            reader: open.reader,
            rest: Some(open.rest),
            out: open.held,
            bytes_sent: 0,
            written: None,
            idle_turns: 0,
            ending: None,
            last: None,
            upstreams,
            cut: Box::pin(cut.cancelled_owned()),
        }
    }

    /// Takes in what the provider has sent so far. Returns whether more may come.
    fn poll_provider(&mut self, context: &mut Context<'_>) -> Poll<Taken> {
        let mut taken = self.out.iter().map(Bytes::len).sum::<usize>();
        loop {
            if self.reader.is_done() || self.reader.fault().is_some() {
                return Poll::Ready(Taken::End(None));
            }
            if JOINED_BYTES <= taken {
                return Poll::Ready(Taken::Enough);
            }
            let Some(rest) = &mut self.rest else {
                return Poll::Ready(Taken::End(None));
            };
            match Pin::new(rest).poll_next(context) {
                Poll::Ready(Some(Ok(chunk))) => {
                    taken += chunk.len();
                    self.idle_turns = 0;
                    self.reader.push(chunk, &mut self.out);
                }
                Poll::Ready(Some(Err(error))) => {
                    let dialect = self.reader.dialect();
                    let error = Error::from_provider(error, dialect, &self.upstreams.secrets);
                    return Poll::Ready(Taken::End(Some(error)));
                }
                Poll::Ready(None) => {
                    self.rest = None;
                    self.reader.finish(&mut self.out);
                    return Poll::Ready(Taken::End(None));
                }
                Poll::Pending if self.out.is_empty() => return Poll::Pending,
                Poll::Pending if self.awaits_more() => {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Ready(Taken::Enough),
            }
        }
    }

    /// Whether what is ready should wait one more turn for what is about to come.
    fn awaits_more(&mut self) -> bool {
        self.idle_turns += 1;
        self.idle_turns <= IDLE_TURNS && self.written.is_some_and(|time| time.elapsed() < BURST)
    }

    /// Joins what is ready into one chunk.
    fn take_out(&mut self) -> Option<Bytes> {
        let mut pieces = std::mem::take(&mut self.out);
        let joined = if pieces.len() <= 1 {
            pieces.pop()?
        } else {
            let mut joined = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            for piece in &pieces {
                joined.extend_from_slice(piece);
            }
            joined.freeze()
        };
        self.bytes_sent += u64::try_from(joined.len()).unwrap_or(0);
        self.written = Some(Instant::now());
        self.idle_turns = 0;
        Some(joined)
    }

    /// The provider has nothing more to say: begins to write the record.
    fn begin_ending(&mut self, context: &mut Context<'_>, broken: Option<Error>) {
        self.rest = None;
        let (ending, last) = self.judge(broken);
        self.last = last;
        let Some(recording) = self.recording.take() else {
            return;
        };
        let mut writing = Box::pin(recording.complete(ending));
        // The first poll writes: a client that leaves from here on changes nothing any more.
        if writing.as_mut().poll(context).is_pending() {
            self.ending = Some(writing);
        }
    }

    /// Decides how the stream ended, and what the client hears last.
    fn judge(&mut self, broken: Option<Error>) -> (Ending, Option<Bytes>) {
        let done = self.reader.take_done();
        let Some(error) = broken.or_else(|| self.failure(done.is_none())) else {
            return (self.ending(CallState::Ok, Some(200)), done);
        };
        let message = error.to_string();
        let message = self.upstreams.secrets.scrub_text(&message).into_owned();
        // What the provider said goes on as it said it.
        let fault = error.fault();
        let said = fault.map(|fault| fault.message.as_str());
        let envelope = ErrorEnvelope {
            message: said.unwrap_or(&message),
            kind: fault
                .and_then(|fault| fault.kind.as_deref())
                .unwrap_or("upstream_error"),
            param: fault.and_then(|fault| fault.param.as_deref()),
            code: fault
                .and_then(ProviderFault::name)
                .or_else(|| Some(error.kind())),
            inner: fault.and_then(|fault| fault.inner.as_deref()),
            hint: None,
            request_id: None,
        };
        let event = self.reader.error_event(&envelope);
        let mut ending = self.ending(error.state(), Some(200));
        ending.error = Some((error.kind().to_owned(), message));
        (ending, Some(event))
    }

    /// Why the stream is no whole answer; `is_open` when its end has not come.
    fn failure(&self, is_open: bool) -> Option<Error> {
        let provider = self.recording.as_ref().map_or("", Recording::provider);
        if let Some(fault) = self.reader.fault() {
            let secrets = &self.upstreams.secrets;
            return Some(Error::from_fault(provider, fault, secrets));
        }
        (is_open && !self.reader.saw_finish()).then(|| Error::InvalidAnswer {
            provider: provider.to_owned(),
            problem: "the stream ended before the answer did".to_owned(),
        })
    }

    fn ending(&mut self, state: CallState, status: Option<u16>) -> Ending {
        let mut warnings = Vec::new();
        let malformed = self.reader.malformed_events();
        if 0 < malformed {
            warnings.push(format!(
                "{malformed} events of the stream could not be read"
            ));
        }
        let pending: usize = self.out.iter().map(Bytes::len).sum();
        Ending {
            facts: Some(self.reader.facts()),
            output_format: BodyFormat::Assembled,
            output: self.reader.assembled(),
            output_text: self.reader.output_text(),
            bytes_sent: self.bytes_sent + u64::try_from(pending).unwrap_or(0),
            warnings,
            status,
            ..Ending::bare(state)
        }
    }
}

/// What a look at the provider's side brought.
enum Taken {
    /// There is something to send.
    Enough,
    /// Nothing more comes; an error says that the connection broke.
    End(Option<Error>),
}

impl Stream for RecordedStream {
    type Item = Result<Bytes, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.recording.is_some() {
            if this.cut.as_mut().poll(context).is_ready() {
                this.begin_ending(context, Some(Error::ShuttingDown));
            } else {
                match ready!(this.poll_provider(context)) {
                    Taken::Enough => return Poll::Ready(this.take_out().map(Ok)),
                    Taken::End(broken) => this.begin_ending(context, broken),
                }
            }
        }
        // What came before the end goes out while the record is being written.
        if let Some(chunk) = this.take_out() {
            return Poll::Ready(Some(Ok(chunk)));
        }
        if let Some(ending) = &mut this.ending {
            ready!(ending.as_mut().poll(context));
            this.ending = None;
        }
        Poll::Ready(this.last.take().map(Ok))
    }
}

impl Drop for RecordedStream {
    /// The client left: what it got is recorded and priced.
    fn drop(&mut self) {
        self.rest = None;
        self.out.clear();
        if let Some(mut recording) = self.recording.take() {
            let ending = self.ending(CallState::ClientGone, None);
            recording.abandon(ending);
        }
    }
}
