//! `GET /v1/models`: prompts first, then versions of embeddings, then the models of the configured providers;
//! in `OpenAI`'s form, or in Anthropic's for clients that send its header.

mod anthropic;
mod listed;
mod openai;
mod page;

use crate::domain::Dialect;
use crate::server::Catalogue;
use crate::server::error::ApiError;
use crate::server::headers;
use crate::server::layers::Authenticated;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde_json::Value;
use std::collections::BTreeMap;

/// Lists what the caller may put into `model`.
pub(crate) async fn list(
    State(catalogue): State<Catalogue>,
    Authenticated(caller): Authenticated,
    Query(query): Query<BTreeMap<String, String>>,
) -> Result<Json<Value>, ApiError> {
    let models = listed::all(&catalogue, &caller).await;
    let list = match headers::current_dialect() {
        Dialect::Messages => {
            let page = page::cut(&models, page::Wanted::read(&query)?)?;
            anthropic::list(&page)
        }
        _ => openai::list(&models, catalogue.started),
    };
    Ok(Json(list))
}

/// Shows one of them, or a version of a prompt, or a model under another of its names.
pub(crate) async fn show(
    State(catalogue): State<Catalogue>,
    Authenticated(caller): Authenticated,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let model = listed::one(&catalogue, &caller, &id).await?;
    Ok(Json(match headers::current_dialect() {
        Dialect::Messages => anthropic::model(&model),
        _ => openai::model(&model, catalogue.started),
    }))
}
