//! `GET /api/calls…`: records, newest first, one in full, sums, and what comes next.

use crate::domain::{CallId, CallRecord, CallState, KeyId, Operation, PromptKey, RunId, Timestamp};
use crate::proxy::Proxy;
use crate::server::error::ApiError;
use crate::store::{CallFilter, CallRow, GroupBy, Position, StatsQuery, Store};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The largest page.
const PAGE: usize = 1_000;

/// Which calls are asked for, and which page of them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    prompt: Option<PromptKey>,
    version: Option<String>,
    model: Option<String>,
    state: Option<CallState>,
    key: Option<KeyId>,
    user: Option<String>,
    session: Option<String>,
    trace: Option<String>,
    operation: Option<Operation>,
    run: Option<RunId>,
    /// Begun at this time or later, in microseconds since the epoch.
    from: Option<i64>,
    /// Begun before this time.
    to: Option<i64>,
    /// How many rows; 50 when absent.
    limit: Option<usize>,
    /// Rows older than this one.
    before: Option<CallId>,
}

/// Lists records by filter, newest first.
pub(crate) async fn list(
    State(store): State<Arc<Store>>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(listing) = query.map_err(|rejection| bad_query(&rejection))?;
    let limit = listing.limit.unwrap_or(50).clamp(1, PAGE);
    let before = listing.before;
    let filter = CallFilter {
        prompt: listing.prompt,
        version: listing.version,
        model: listing.model,
        state: listing.state,
        key: listing.key,
        user: listing.user,
        session: listing.session,
        trace: listing.trace,
        operation: listing.operation,
        run: listing.run,
        from: listing.from.map(Timestamp),
        to: listing.to.map(Timestamp),
    };
    let rows = blocking(&store, move |store| store.calls(&filter, before, limit)).await?;
    let data: Vec<Value> = rows.iter().map(row).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// Where a tail goes on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Following {
    /// `next` of the answer before; without it only a place to go on from is returned.
    after: Option<String>,
    /// How many seconds to wait for a call, at most 30.
    wait: Option<u64>,
}

/// Calls in the order in which they end; waits for the next one.
pub(crate) async fn tail(
    State(store): State<Arc<Store>>,
    query: Result<Query<Following>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(following) = query.map_err(|rejection| bad_query(&rejection))?;
    let after = following.after.as_deref().map(position).transpose()?;
    let wait = Duration::from_secs(following.wait.unwrap_or(0).min(30));
    let deadline = tokio::time::Instant::now() + wait;
    let mut ticks = store.ticks();
    loop {
        ticks.mark_unchanged();
        let found = blocking(&store, move |store| store.tail(after, PAGE)).await?;
        let is_waiting = after.is_some() && found.rows.is_empty();
        let has_news = is_waiting && {
            let news = tokio::time::timeout_at(deadline, ticks.changed()).await;
            matches!(news, Ok(Ok(())))
        };
        if !has_news {
            let data: Vec<Value> = found.rows.iter().map(row).collect();
            let next = found.next.to_string();
            return Ok(Json(json!({"object": "list", "data": data, "next": next})));
        }
    }
}

/// Reads a position as `tail` writes it.
fn position(text: &str) -> Result<Position, ApiError> {
    let parts = text.split_once(':');
    let numbers =
        parts.and_then(|(segment, offset)| Some((segment.parse().ok()?, offset.parse().ok()?)));
    let (segment, offset) = numbers.ok_or_else(|| {
        let message = format!("`{text}` is no place in the journal");
        let hint = Some("pass `next` of the answer before");
        ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_position", message, hint)
    })?;
    Ok(Position { segment, offset })
}

fn bad_query(rejection: &QueryRejection) -> ApiError {
    ApiError::of_request(
        StatusCode::BAD_REQUEST,
        "invalid_query",
        rejection.body_text(),
        None,
    )
}

/// A row with the name that people have for its prompt's version.
fn row(row: &CallRow) -> Value {
    let mut value = json!(row);
    if let Value::Object(fields) = &mut value {
        fields.insert("version".to_owned(), row.version().into());
    }
    value
}

/// What to sum.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Summing {
    from: Option<i64>,
    to: Option<i64>,
    prompt: Option<PromptKey>,
    #[serde(default)]
    group_by: GroupBy,
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
        ApiError::not_found(
            "call_not_found",
            format!("there is no record of call `{id}`"),
            hint,
        )
    })?;
    let sent = match &record.intent.prompt {
        None => None,
        Some(_) => Some(match proxy.reconstruct(&record).await {
            Ok(body) => json_or_text(&body),
            Err(error) => json!({"error": {"code": error.kind(), "message": error.to_string()}}),
        }),
    };
    Ok(Json(whole(&record, sent.as_ref())))
}

fn whole(record: &CallRecord, sent: Option<&Value>) -> Value {
    let outcome = record.outcome.as_ref();
    json!({
        "object": "call",
        "id": record.intent.id,
        "intent": record.intent,
        "outcome": outcome,
        "tokens_per_second": outcome.and_then(crate::domain::CallOutcome::tokens_per_second),
        "request": request_of(record),
        "sent": sent,
        "output": outcome.map(|outcome| json_or_text(&outcome.output)),
    })
}

/// The request, with what was known of its body only when it had passed.
fn request_of(record: &CallRecord) -> Value {
    let mut request = json_or_text(&record.intent.request);
    let outcome = record.outcome.as_ref();
    let passed = outcome.and_then(|outcome| outcome.request_body.as_ref());
    if let (Value::Object(fields), Some(passed)) = (&mut request, passed) {
        fields.insert("bytes".to_owned(), passed.bytes.into());
        fields.insert("sha256".to_owned(), passed.sha256.as_str().into());
        if !passed.is_whole {
            fields.insert("is_whole".to_owned(), false.into());
        }
    }
    request
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
    query: Result<Query<Summing>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(summing) = query.map_err(|rejection| bad_query(&rejection))?;
    let query = StatsQuery {
        from: summing.from.map(Timestamp),
        to: summing.to.map(Timestamp),
        prompt: summing.prompt,
        group_by: summing.group_by,
    };
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
    let calls = blocking(&store, |store| {
        store.rebuild()?;
        let sums = store.stats(&StatsQuery {
            group_by: GroupBy::State,
            ..StatsQuery::default()
        })?;
        Ok(sums.iter().map(|row| row.calls).sum::<u64>())
    });
    Ok(Json(
        json!({"object": "store.rebuild", "calls": calls.await?}),
    ))
}

/// Lists when calls were served without a record.
pub(crate) async fn gaps(State(store): State<Arc<Store>>) -> Result<Json<Value>, ApiError> {
    let gaps = blocking(&store, Store::gaps).await?;
    Ok(Json(json!({"object": "list", "data": gaps})))
}
