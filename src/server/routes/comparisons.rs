//! `POST /api/embeddings/compare`: two snapshots side by side.
//!
//! It is followed as one JSON object a line: `progress` while it goes on, then `ended` with the report, or
//! `error`. It stops when the client leaves.

use crate::embeddings::snapshots::{CompareWish, Error, Following, Snapshots};
use crate::server::error::ApiError;
use crate::server::lines::{line, ndjson, newest};
use crate::server::routes::snapshots::read;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;

/// Compares.
pub(crate) async fn create(
    State(room): State<Arc<Snapshots>>,
    body: Body,
) -> Result<Response, ApiError> {
    let wish: CompareWish = read(body).await?;
    let comparing = room.compare(wish).await?;
    Ok(ndjson(lines(comparing, "report")))
}

/// The lines of work that is followed; what comes of it is under `name`.
pub(super) fn lines<T: Serialize + Send + Sync + 'static>(
    work: Following<T>,
    name: &'static str,
) -> impl Stream<Item = Bytes> + Send {
    let end = work.end;
    let progress = newest(work.progress, |progress| {
        line(&json!({"type": "progress", "progress": progress}))
    });
    let last = stream::once(async move {
        line(&match end.get() {
            Some(Ok(made)) => json!({"type": "ended", name: made}),
            Some(Err(error)) => json!({"type": "error", "error": error.told()}),
            None => json!({"type": "error", "error": Error::Stopping.told()}),
        })
    });
    progress.chain(last)
}
