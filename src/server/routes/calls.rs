//! `GET /api/calls…`: records, newest first, one in full, sums, and what comes next.

use crate::domain::{CallId, CallRecord};
use crate::proxy::Proxy;
use crate::server::error::ApiError;
use crate::store::{CallFilter, StatsQuery, Store};
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The largest page.
const PAGE: usize = 1_000;

/// Where a page of records begins, and how long to wait for one.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// How many rows; 50 when absent.
    limit: Option<usize>,
    /// Rows older than this one.
    before: Option<CallId>,
    /// Rows newer than this one, oldest first.
    after: Option<CallId>,
    /// With `after`: how many seconds to wait for a row, at most 30.
    wait: Option<u64>,
}

/// Lists records by filter.
pub(crate) async fn list(
    State(store): State<Arc<Store>>,
    Query(filter): Query<CallFilter>,
    Query(page): Query<Page>,
) -> Result<Json<Value>, ApiError> {
    let limit = page.limit.unwrap_or(50).clamp(1, PAGE);
    let rows = match page.after {
        Some(after) => {
            let wait = Duration::from_secs(page.wait.unwrap_or(0).min(30));
            follow(&store, filter, after, limit, wait).await?
        }
        None => {
            let before = page.before;
            blocking(&store, move |store| store.calls(&filter, before, limit)).await?
        }
    };
    Ok(Json(json!({"object": "list", "data": rows})))
}

/// Rows after `after`; waits for the first one.
async fn follow(
    store: &Arc<Store>,
    filter: CallFilter,
    after: CallId,
    limit: usize,
    wait: Duration,
) -> Result<Vec<crate::store::CallRow>, ApiError> {
    let deadline = tokio::time::Instant::now() + wait;
    let mut news = store.news();
    loop {
        news.mark_unchanged();
        let filter = filter.clone();
        let rows = blocking(store, move |store| store.calls_after(&filter, after, limit)).await?;
        if !rows.is_empty() {
            return Ok(rows);
        }
        match tokio::time::timeout_at(deadline, news.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return Ok(rows),
        }
    }
}

/// Shows one record whole, with the prompt as it was rendered.
pub(crate) async fn show(
    State(store): State<Arc<Store>>,
    State(proxy): State<Arc<Proxy>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let asked = id.clone();
    let record = blocking(&store, move |store| store.record(&asked)).await?;
    let record = record.ok_or_else(|| {
        let hint = Some("the id is the call's `x-request-id`; `calls list` shows the newest");
        ApiError::not_found("call_not_found", format!("there is no record of call `{id}`"), hint)
    })?;
    let sent = match &record.intent.prompt {
        None => None,
        Some(_) => Some(match proxy.reconstruct(&record).await {
            Ok(body) => json_or_text(&body),
            Err(error) => json!({"error": {"code": error.kind(), "message": error.to_string()}}),
        }),
    };
    Ok(Json(whole(&record, sent)))
}

fn whole(record: &CallRecord, sent: Option<Value>) -> Value {
    let outcome = record.outcome.as_ref();
    json!({
        "object": "call",
        "id": record.intent.id,
        "intent": record.intent,
        "outcome": outcome,
        "tokens_per_second": outcome.and_then(crate::domain::CallOutcome::tokens_per_second),
        "request": json_or_text(&record.intent.request),
        "sent": sent,
        "output": outcome.map(|outcome| json_or_text(&outcome.output)),
    })
}

fn json_or_text(bytes: &[u8]) -> Value {
    if bytes.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into())
}

/// Sums calls, errors, tokens, cost and latency by a dimension.
pub(crate) async fn stats(
    State(store): State<Arc<Store>>,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Value>, ApiError> {
    let rows = blocking(&store, move |store| store.stats(&query)).await?;
    Ok(Json(json!({"object": "list", "data": rows})))
}

/// Runs a query of the store off the request's thread.
async fn blocking<T: Send + 'static>(
    store: &Arc<Store>,
    query: impl FnOnce(&Store) -> Result<T, crate::store::Error> + Send + 'static,
) -> Result<T, ApiError> {
    let store = Arc::clone(store);
    let answer = tokio::task::spawn_blocking(move || query(&store)).await;
    Ok(answer.map_err(|error| ApiError::internal(&error))??)
}

/// Builds the index anew from the journal.
pub(crate) async fn rebuild(State(store): State<Arc<Store>>) -> Result<Json<Value>, ApiError> {
    let report = blocking(&store, Store::rebuild).await?;
    Ok(Json(json!({"object": "store.rebuild", "calls": report.calls})))
}
