//! `GET /api/prompts/log` and `/api/prompts/blame`: how a prompt came to be what it is.

use crate::domain::PromptKey;
use crate::prompts::{self, PromptBlame, PromptLog, Prompts};
use crate::proxy::Proxy;
use crate::server::error::ApiError;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Which prompt is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subject {
    prompt: PromptKey,
}

type Asked = Result<Query<Subject>, QueryRejection>;

/// Lists the versions of a prompt with their commits, newest first.
pub(crate) async fn log(
    State(proxy): State<Arc<Proxy>>,
    asked: Asked,
) -> Result<Json<PromptLog>, ApiError> {
    read(&proxy.prompts, asked, |prompts, key| prompts.log(key)).await
}

/// Shows who last changed each line of a prompt.
pub(crate) async fn blame(
    State(proxy): State<Arc<Proxy>>,
    asked: Asked,
) -> Result<Json<PromptBlame>, ApiError> {
    read(&proxy.prompts, asked, |prompts, key| prompts.blame(key)).await
}

async fn read<T: Send + 'static>(
    prompts: &Arc<Prompts>,
    asked: Asked,
    read: fn(&Prompts, &PromptKey) -> Result<T, prompts::Error>,
) -> Result<Json<T>, ApiError> {
    let Query(Subject { prompt }) = asked.map_err(|rejection| {
        let hint = Some("name one prompt: `?prompt=support/refund`");
        let message = rejection.body_text();
        ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_query", message, hint)
    })?;
    let prompts = Arc::clone(prompts);
    let answer = spawn_blocking(move || read(&prompts, &prompt)).await;
    let answer = answer.map_err(|error| ApiError::internal(&error))?;
    Ok(Json(answer?))
}
