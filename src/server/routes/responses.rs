//! `/v1/responses`: answers in `OpenAI`'s newer dialect, and those that were given before, from the records.

use crate::domain::{CallRecord, Dialect};
use crate::proxy::{self, Proxy, call_of, items_of_input};
use crate::server::body::BodyLimits;
use crate::server::error::ApiError;
use crate::server::layers::Authenticated;
use crate::server::routes::chat::{Asked, answer};
use crate::wire::json::RawObject;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers a request, whole or as a stream of events.
pub(crate) async fn create(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    asked: Asked,
) -> Result<Response, ApiError> {
    answer(&proxy, limits, Dialect::Responses, asked).await
}

/// Shows an answer that was given before, as it was given.
pub(crate) async fn show(
    State(proxy): State<Arc<Proxy>>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let record = kept(&proxy, &caller, &id).await?;
    let output = record.outcome.map(|outcome| outcome.output);
    let json = HeaderValue::from_static("application/json");
    Ok(([(CONTENT_TYPE, json)], output.unwrap_or_default()).into_response())
}

/// Lists the items that an answer was asked with.
pub(crate) async fn input_items(
    State(proxy): State<Arc<Proxy>>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let record = kept(&proxy, &caller, &id).await?;
    let request = RawObject::parse(&record.intent.request)?;
    let items = request.get_some("input").map(items_of_input);
    let items: Vec<Value> = items
        .unwrap_or_default()
        .iter()
        .enumerate()
        .map(|(place, item)| listed(&id, place, item))
        .collect();
    let end = |item: Option<&Value>| item.and_then(|item| item.get("id")).cloned();
    Ok(Json(json!({
        "object": "list",
        "first_id": end(items.first()),
        "last_id": end(items.last()),
        "has_more": false,
        "data": items,
    })))
}

/// An item with an id, which a client may have left out.
fn listed(response: &str, place: usize, item: &[u8]) -> Value {
    let mut item: Value = serde_json::from_slice(item).unwrap_or_default();
    if let Some(fields) = item.as_object_mut() {
        let digits = response.trim_start_matches("resp_");
        fields
            .entry("id")
            .or_insert_with(|| format!("item_{digits}_{place}").into());
        fields.entry("type").or_insert_with(|| "message".into());
    }
    item
}

/// What is kept cannot be taken back: the record is what the gateway is for.
pub(crate) async fn delete(Path(id): Path<String>) -> ApiError {
    ApiError::of_request(
        StatusCode::METHOD_NOT_ALLOWED,
        "response_not_deletable",
        format!("response `{id}` is a record, which is kept"),
        Some("send `\"store\": false` for an answer that must not be asked for again"),
    )
}

async fn kept(
    proxy: &Proxy,
    caller: &crate::domain::Caller,
    id: &str,
) -> Result<CallRecord, ApiError> {
    let missing = || proxy::Error::PreviousNotFound { id: id.to_owned() };
    let call = call_of(id).ok_or_else(missing)?;
    Ok(proxy.recorded(caller, call).await?)
}
