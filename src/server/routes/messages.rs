//! `/v1/messages`: answers in Anthropic's dialect.

use crate::domain::Dialect;
use crate::proxy::Proxy;
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::headers;
use crate::server::routes::chat::{Asked, answer, arrival};
use crate::wire::openai::ChatRequest;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue};
use serde_json::json;
use std::sync::Arc;

/// How good a count is: `exact` where the provider counted, else `estimated`.
const TOKENS_QUALITY: HeaderName = HeaderName::from_static("x-promptgate-tokens-quality");

/// Answers messages, whole or as a stream of events.
pub(crate) async fn create(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    asked: Asked,
) -> Result<Response, ApiError> {
    answer(&proxy, limits, Dialect::Messages, asked).await
}

/// Counts the tokens of messages: by the provider where it counts, else by the tokenizer that comes nearest
/// to the model's. A header says which.
pub(crate) async fn count_tokens(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let (head, body) = asked.request.into_parts();
    let body = body::read(body, limits).await?;
    let arrival = arrival(asked.id, &head.headers, &body);
    let is_named = arrival.headers.reference.is_some();
    let request = ChatRequest::decode_as(Dialect::Messages, &body, is_named)?;
    let counted = proxy.count_input(&asked.caller, &arrival, request).await?;
    let mut response = Json(json!({"input_tokens": counted.tokens})).into_response();
    let quality = if counted.is_exact {
        "exact"
    } else {
        "estimated"
    };
    let headers = response.headers_mut();
    headers.insert(TOKENS_QUALITY, HeaderValue::from_static(quality));
    headers::write_facts(headers, &counted.facts);
    Ok(response)
}
