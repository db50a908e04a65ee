//! The bytes of an answer as they come, under the clocks.

use crate::providers::Deadlines;
use crate::providers::client::AnswerBody;
use crate::providers::error::{Clock, Error};
use crate::providers::simulated::Script;
use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http_body::Body;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The most that is reserved for an answer because its head announces a length.
const MAX_RESERVED_BYTES: u64 = 1024 * 1024;

/// The limits of one attempt.
#[derive(Debug, Clone)]
pub(super) struct Clocks {
    pub(super) provider: Arc<str>,
    pub(super) started: Instant,
    pub(super) deadlines: Deadlines,
    pub(super) max_bytes: u64,
}

impl Clocks {
    /// Returns by when the head of the answer must have come, and which clock says so.
    pub(super) fn head_deadline(&self) -> (Instant, Clock, Duration) {
        let Deadlines {
            first_byte, total, ..
        } = self.deadlines;
        if total < first_byte {
            (self.after(total), Clock::Total, total)
        } else {
            (self.after(first_byte), Clock::FirstByte, first_byte)
        }
    }

    /// Returns the clocks of what is left when the request itself took long to send: the first byte is waited
    /// for from now on.
    pub(super) fn sent_by_now(self) -> Self {
        let total = self.deadlines.total.saturating_sub(self.started.elapsed());
        Self {
            started: Instant::now(),
            deadlines: Deadlines {
                total,
                ..self.deadlines
            },
            ..self
        }
    }

    /// Returns when `limit` is over, counted from the start; a limit of ages means a year.
    pub(super) fn after(&self, limit: Duration) -> Instant {
        self.started + limit.min(Duration::from_secs(31_536_000))
    }
}

/// The body of an answer. Dropping it closes the connection, which cancels the call.
///
/// Invariant: after an error or the end there is nothing more.
pub struct ByteStream {
    source: Source,
    clocks: Clocks,
    /// When the last bytes came; `None` before the first.
    last: Option<Instant>,
    /// Wakes the task to look at the clocks. It is made when the stream first waits, and set again
    /// only when it fires: chunks that come in time cost no timer.
    alarm: Option<Pin<Box<Sleep>>>,
    received: u64,
}

enum Source {
    Http(AnswerBody),
    Simulated(Box<Script>),
    Closed,
}

impl ByteStream {
    /// Returns the body of an HTTP response.
    pub(super) const fn http(body: AnswerBody, clocks: Clocks) -> Self {
        Self::new(Source::Http(body), clocks)
    }

    /// Returns a body that plays `script`.
    pub(super) fn simulated(script: Script, clocks: Clocks) -> Self {
        Self::new(Source::Simulated(Box::new(script)), clocks)
    }

    const fn new(source: Source, clocks: Clocks) -> Self {
        Self {
            source,
            clocks,
            last: None,
            alarm: None,
            received: 0,
        }
    }

    /// Returns all of the body. A body that came in one piece is not copied.
    pub(super) async fn whole(mut self, announced: Option<u64>) -> Result<Bytes, Error> {
        let limit = self.clocks.max_bytes;
        if announced.is_some_and(|length| limit < length) {
            return Err(Error::too_large(&self.clocks.provider, limit));
        }
        let Some(first) = self.next_chunk().await.transpose()? else {
            return Ok(Bytes::new());
        };
        let Some(second) = self.next_chunk().await.transpose()? else {
            return Ok(first);
        };
        let reserved = announced.unwrap_or(0).min(MAX_RESERVED_BYTES);
        let mut all = BytesMut::with_capacity(usize::try_from(reserved).unwrap_or(0));
        all.extend_from_slice(&first);
        all.extend_from_slice(&second);
        while let Some(chunk) = self.next_chunk().await.transpose()? {
            all.extend_from_slice(&chunk);
        }
        Ok(all.freeze())
    }

    /// Returns the first `limit` bytes of the body, or what came of them before it broke.
    pub(super) async fn up_to(mut self, limit: u64) -> Bytes {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut all = BytesMut::new();
        while all.len() < limit {
            let Some(Ok(chunk)) = self.next_chunk().await else {
                break;
            };
            all.extend_from_slice(&chunk);
        }
        all.truncate(limit);
        all.freeze()
    }

    /// Returns the next bytes; `None` at the end.
    ///
    /// # Errors
    ///
    /// As the items of the stream: a clock that ran out, a broken connection, too many bytes.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, Error>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Closes the stream and returns `result` as its last item.
    fn close(&mut self, error: Error) -> Poll<Option<Result<Bytes, Error>>> {
        self.source = Source::Closed;
        self.alarm = None;
        Poll::Ready(Some(Err(error)))
    }

    fn poll_source(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match &mut self.source {
            Source::Closed => Poll::Ready(None),
            Source::Simulated(script) => script.poll_next(context, &self.clocks.provider),
            Source::Http(body) => loop {
                let limit = self.clocks.deadlines.connect;
                match ready!(Pin::new(&mut *body).poll_frame(context)) {
                    None => return Poll::Ready(None),
                    Some(Err(error)) => {
                        let error = Error::from_transport(&self.clocks.provider, limit, error);
                        return Poll::Ready(Some(Err(error)));
                    }
                    Some(Ok(frame)) => {
                        // Trailers and empty frames are no news.
                        if let Ok(data) = frame.into_data()
                            && !data.is_empty()
                        {
                            return Poll::Ready(Some(Ok(data)));
                        }
                    }
                }
            },
        }
    }

    /// Returns which clock runs out next, and when.
    fn next_deadline(&self) -> (Instant, Clock, Duration) {
        let Deadlines {
            first_byte,
            idle,
            total,
            ..
        } = self.clocks.deadlines;
        let total_at = self.clocks.after(total);
        let (at, clock, limit) = match self.last {
            None => (self.clocks.after(first_byte), Clock::FirstByte, first_byte),
            Some(last) => (last + idle.min(total), Clock::Idle, idle),
        };
        if total_at <= at {
            (total_at, Clock::Total, total)
        } else {
            (at, clock, limit)
        }
    }

    /// Waits for a clock; ready with the error when it has run out.
    fn poll_clocks(&mut self, context: &mut Context<'_>) -> Poll<Error> {
        loop {
            let (at, clock, limit) = self.next_deadline();
            if at <= Instant::now() {
                return Poll::Ready(Error::timeout(clock, &self.clocks.provider, limit));
            }
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(at)));
            // The wait for the first byte may be longer than that for the next.
            if at < alarm.deadline() {
                alarm.as_mut().reset(at);
            }
            ready!(alarm.as_mut().poll(context));
            // It fired for a deadline that later bytes have moved.
            alarm.as_mut().reset(at);
        }
    }
}

impl Stream for ByteStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.poll_source(context) {
            Poll::Ready(Some(Ok(chunk))) => {
                let now = Instant::now();
                self.last = Some(now);
                let size = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
                self.received = self.received.saturating_add(size);
                if self.clocks.max_bytes < self.received {
                    let error = Error::too_large(&self.clocks.provider, self.clocks.max_bytes);
                    return self.close(error);
                }
                let total = self.clocks.deadlines.total;
                if self.clocks.after(total) <= now {
                    let error = Error::timeout(Clock::Total, &self.clocks.provider, total);
                    return self.close(error);
                }
                Poll::Ready(Some(Ok(chunk)))
            }
            Poll::Ready(Some(Err(error))) => self.close(error),
            Poll::Ready(None) => {
                self.source = Source::Closed;
                self.alarm = None;
                Poll::Ready(None)
            }
            Poll::Pending => match self.poll_clocks(context) {
                Poll::Ready(error) => self.close(error),
                Poll::Pending => Poll::Pending,
            },
        }
    }
}

impl fmt::Debug for ByteStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = match self.source {
            Source::Http(_) => "http",
            Source::Simulated(_) => "simulated",
            Source::Closed => "closed",
        };
        formatter
            .debug_struct("ByteStream")
            .field("provider", &self.clocks.provider)
            .field("source", &source)
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
