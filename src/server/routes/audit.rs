//! `GET /api/audit`: what happened to prompts, labels, embeddings and keys, in order of time.

use crate::domain::{AuditEvent, Audited, PromptKey, Timestamp, nearest_names};
use crate::server::error::ApiError;
use crate::store::Store;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The most events of an answer.
const PAGE: usize = 1_000;

/// Which events are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// Since this time, in microseconds since the epoch.
    since: Option<i64>,
    /// About this prompt.
    prompt: Option<PromptKey>,
    /// Of this kind.
    kind: Option<String>,
    /// The newest so many; 1000 when absent.
    limit: Option<usize>,
}

/// Lists what happened, the oldest first; of too many, the newest.
pub(crate) async fn list(
    State(store): State<Arc<Store>>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(listing) = query.map_err(|rejection| {
        let message = rejection.body_text();
        ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_query", message, None)
    })?;
    if let Some(kind) = &listing.kind {
        check_kind(kind)?;
    }
    let since = listing.since.map(Timestamp);
    let events = spawn_blocking(move || store.events(since)).await;
    let mut events = events.map_err(|error| ApiError::internal(&error))??;
    events.retain(|event| is_asked_for(event, &listing));
    let limit = listing.limit.unwrap_or(PAGE).clamp(1, PAGE);
    let left_out = events.len().saturating_sub(limit);
    events.drain(..left_out);
    Ok(Json(
        json!({"object": "list", "data": events, "left_out": left_out}),
    ))
}

fn is_asked_for(event: &AuditEvent, listing: &Listing) -> bool {
    let kind = listing.kind.as_deref();
    let prompt = listing.prompt.as_ref();
    kind.is_none_or(|kind| kind == event.what.kind())
        && prompt.is_none_or(|prompt| event.what.is_about(prompt))
}

fn check_kind(kind: &str) -> Result<(), ApiError> {
    if Audited::KINDS.contains(&kind) {
        return Ok(());
    }
    let near = nearest_names(kind, Audited::KINDS.into_iter());
    let hint = near.first().map_or_else(
        || format!("the kinds are {}", Audited::KINDS.join(", ")),
        |near| format!("did you mean `{near}`?"),
    );
    let message = format!("there are no events of the kind `{kind}`");
    let status = StatusCode::BAD_REQUEST;
    Err(ApiError::of_request(
        status,
        "invalid_query",
        message,
        Some(&hint),
    ))
}
