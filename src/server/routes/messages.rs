//! `/v1/messages`: answers in Anthropic's dialect.

use crate::domain::Dialect;
use crate::proxy::Proxy;
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::layers::Authenticated;
use crate::server::routes::chat::{Asked, answer};
use crate::wire::openai::ChatRequest;
use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers messages, whole or as a stream of events.
pub(crate) async fn create(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    asked: Asked,
) -> Result<Response, ApiError> {
    answer(&proxy, limits, Dialect::Messages, asked).await
}

/// Counts the tokens of messages, by the tokenizer that comes nearest to the model's. Nobody is asked.
pub(crate) async fn count_tokens(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    Authenticated(caller): Authenticated,
    request: Request,
) -> Result<Json<Value>, ApiError> {
    let (head, body) = request.into_parts();
    drop(head);
    let body = body::read(body, limits).await?;
    let request = ChatRequest::decode_as(Dialect::Messages, &body, false)?;
    let tokens = proxy.count_input(&caller, request).await?;
    Ok(Json(json!({"input_tokens": tokens})))
}
