//! Answers of one JSON object a line: long work is followed so.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::{HeaderValue, header};
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

/// Progress is told at most this often.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// An answer of lines, each sent as soon as it is known.
pub(super) fn ndjson(lines: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let mut response = Response::new(Body::from_stream(lines.map(Ok::<_, Infallible>)));
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// A JSON object and the end of its line.
pub(super) fn line<T: Serialize + ?Sized>(value: &T) -> Bytes {
    // What is told has string keys and finite numbers: writing it cannot fail.
    let mut text = serde_json::to_vec(value).unwrap_or_default();
    text.push(b'\n');
    text.into()
}

/// Tells the newest progress, not too often, until there will be none.
pub(super) fn newest<T, F>(
    progress: watch::Receiver<T>,
    tell: F,
) -> impl Stream<Item = Bytes> + Send
where
    T: Clone + Send + Sync,
    F: FnMut(&T) -> Bytes + Send,
{
    let begin = Some((progress, Instant::now(), tell));
    stream::unfold(begin, |state| async {
        let (mut progress, not_before, mut tell) = state?;
        sleep_until(not_before).await;
        let goes_on = progress.changed().await.is_ok();
        let newest = progress.borrow_and_update().clone();
        let text = tell(&newest);
        let next = goes_on.then(|| (progress, Instant::now() + TELL_EVERY, tell));
        Some((text, next))
    })
}
