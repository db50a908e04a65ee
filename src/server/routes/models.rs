//! `GET /v1/models`: prompts first, then versions of embeddings, then the models of the configured providers.

use crate::domain::Caller;
use crate::providers::Endpoint;
use crate::server::Catalogue;
use crate::server::error::ApiError;
use crate::server::layers::Authenticated;
use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use std::sync::Arc;

/// Lists what the caller may put into `model`.
pub(crate) async fn list(
    State(catalogue): State<Catalogue>,
    Authenticated(caller): Authenticated,
) -> Json<Value> {
    let embeddings = embeddings(&catalogue).await;
    Json(json!({"object": "list", "data": models(&catalogue, &caller, embeddings)}))
}

/// Shows one of them.
pub(crate) async fn show(
    State(catalogue): State<Catalogue>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let embeddings = embeddings(&catalogue).await;
    let mut all = models(&catalogue, &caller, embeddings);
    let position = all
        .iter()
        .position(|model| model.get("id").is_some_and(|known| *known == id.as_str()));
    position
        .map(|index| Json(all.swap_remove(index)))
        .ok_or_else(|| {
            ApiError::not_found(
                "model_not_found",
                format!("model `{id}` is not listed here"),
                Some("GET /v1/models lists what there is"),
            )
        })
}

/// The names under which snapshots can embed; none when they cannot be listed.
async fn embeddings(catalogue: &Catalogue) -> Vec<String> {
    let room = Arc::clone(&catalogue.embeddings);
    let names = tokio::task::spawn_blocking(move || room.embedding_names()).await;
    match names {
        Ok(Ok(names)) => names,
        Ok(Err(error)) => {
            tracing::error!(%error, "versions of embeddings cannot be listed");
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

fn models(catalogue: &Catalogue, caller: &Caller, embeddings: Vec<String>) -> Vec<Value> {
    let started = catalogue.started.unix_seconds();
    let snapshot = catalogue.prompts.snapshot();
    let prompts = snapshot
        .iter()
        .filter(|(key, _)| caller.may_use_prompt(key))
        .map(|(key, prompt)| {
            json!({
                "id": format!("prompt:{key}"),
                "object": "model",
                "created": started,
                "owned_by": "promptgate",
                "description": prompt.bundle.description(),
            })
        });
    let embeddings = embeddings.into_iter().map(|name| {
        json!({
            "id": name,
            "object": "model",
            "created": started,
            "owned_by": "promptgate",
        })
    });
    let upstreams = catalogue.upstreams.get();
    let priced = upstreams.providers.names().flat_map(|provider| {
        let preset = upstreams.providers.get(provider).map(Endpoint::preset);
        let rows = upstreams
            .prices
            .models(preset.map_or(provider, |preset| preset.as_str()));
        rows.into_iter().map(move |row| {
            json!({
                "id": format!("{provider}/{}", row.model),
                "object": "model",
                "created": started,
                "owned_by": provider,
                "context_window": row.context,
                "max_output_tokens": row.max_output,
                "shutdown_date": row.shutdown_date,
            })
        })
    });
    let may_use = |model: &Value| {
        model.get("id").and_then(Value::as_str).is_some_and(|id| {
            id.starts_with("prompt:")
                || caller.may_use_model(id)
                || id
                    .split_once('/')
                    .is_some_and(|(_, bare)| caller.may_use_model(bare))
        })
    };
    prompts
        .chain(embeddings)
        .chain(priced)
        .chain(std::iter::once(simulated(started)))
        .filter(may_use)
        .collect()
}

/// The model that is always there.
fn simulated(started: i64) -> Value {
    json!({
        "id": "simulated/echo",
        "object": "model",
        "created": started,
        "owned_by": "promptgate",
    })
}
