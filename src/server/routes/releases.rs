//! `GET /api/prompts/releases`, `/api/prompts/drift`, and `/api/prompts/overrides`: what labels mean,
//! and what is live past Git.

use crate::domain::{PromptKey, Selector};
use crate::prompts::{self, NewOverride, Override, Prompts, parse_span};
use crate::proxy::Proxy;
use crate::server::error::ApiError;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// What is asked to be put in force.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    label: String,
    prompt: String,
    /// The version: `latest`, `v6`, `sha-…` or `git:REF`.
    to: String,
    /// How long: `30m`, `2h`, `7d`.
    ttl: String,
    reason: String,
}

/// Which override is meant.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Which {
    label: String,
    prompt: PromptKey,
}

/// Lists what every rule of `releases.yaml` means now.
pub(crate) async fn list(State(proxy): State<Arc<Proxy>>) -> Result<Json<Value>, ApiError> {
    let releases = blocking(&proxy, |prompts| {
        prompts.ensure_loaded()?;
        Ok(prompts.releases())
    });
    Ok(Json(json!({"object": "list", "data": releases.await?})))
}

/// Lists what is live and not in Git.
pub(crate) async fn drift(State(proxy): State<Arc<Proxy>>) -> Result<Json<Value>, ApiError> {
    let drift = blocking(&proxy, |prompts| {
        prompts.ensure_loaded()?;
        Ok(prompts.drift())
    });
    Ok(Json(json!({"object": "list", "data": drift.await?})))
}

/// Lists the overrides.
pub(crate) async fn overrides(State(proxy): State<Arc<Proxy>>) -> Result<Json<Value>, ApiError> {
    let overrides = blocking(&proxy, |prompts| prompts.overrides()).await?;
    let data: Vec<Value> = overrides.iter().map(describe).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// Puts a version in force past Git, at once.
pub(crate) async fn set(
    State(proxy): State<Arc<Proxy>>,
    body: Result<Json<Wanted>, JsonRejection>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let Json(wanted) = body.map_err(|rejection| bad_request(&rejection.body_text()))?;
    let unreadable = |error| ApiError::from(prompts::Error::from(error));
    let prompt = PromptKey::parse(&wanted.prompt).map_err(unreadable)?;
    let to: Selector = wanted.to.parse().map_err(unreadable)?;
    let ttl = parse_span(&wanted.ttl).ok_or_else(|| {
        bad_request(&format!(
            "`ttl` is `{}`; write it as `30m`, `2h` or `7d`",
            wanted.ttl
        ))
    })?;
    let wanted = NewOverride {
        label: wanted.label,
        prompt,
        to,
        ttl,
        reason: wanted.reason,
    };
    let set = blocking(&proxy, move |prompts| prompts.set_override(wanted)).await?;
    Ok((StatusCode::CREATED, Json(describe(&set))))
}

/// Takes an override back.
pub(crate) async fn remove(
    State(proxy): State<Arc<Proxy>>,
    which: Result<Query<Which>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(Which { label, prompt }) =
        which.map_err(|rejection| bad_request(&rejection.body_text()))?;
    let removed = blocking(&proxy, move |prompts| {
        prompts.remove_override(&label, &prompt)
    });
    Ok(Json(describe(&removed.await?)))
}

fn describe(over: &Override) -> Value {
    let mut value = json!(over);
    if let Value::Object(fields) = &mut value {
        fields.insert("object".to_owned(), "prompt.override".into());
    }
    value
}

fn bad_request(problem: &str) -> ApiError {
    let hint = "send `label`, `prompt`, `to`, `ttl` and `reason`";
    ApiError::of_request(
        StatusCode::BAD_REQUEST,
        "invalid_request",
        problem,
        Some(hint),
    )
}

async fn blocking<T: Send + 'static>(
    proxy: &Proxy,
    act: impl FnOnce(&Prompts) -> Result<T, prompts::Error> + Send + 'static,
) -> Result<T, ApiError> {
    let prompts = Arc::clone(&proxy.prompts);
    let done = spawn_blocking(move || act(&prompts)).await;
    Ok(done.map_err(|error| ApiError::internal(&error))??)
}
