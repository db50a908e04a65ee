//! `/api/embeddings/adapters…` and `/api/embeddings/plan`: what a move to another model costs, and maps
//! between the two that make do without it. Fitting and judging are followed as a comparison is.

use crate::embeddings::adapters::Adapter;
use crate::embeddings::snapshots::{AdaptWish, ApplyWish, Error, MigrationWish, Snapshots, Told};
use crate::server::error::ApiError;
use crate::server::lines::ndjson;
use crate::server::routes::comparisons::lines;
use crate::server::routes::snapshots::{blocking, read};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

type Room = State<Arc<Snapshots>>;
type Answer = Result<Json<Value>, ApiError>;

/// Prices a move to another model.
pub(crate) async fn plan(State(room): Room, body: Body) -> Answer {
    let wish: MigrationWish = read(body).await?;
    let plan = blocking(room, move |room| room.plan_migration(&wish)).await?;
    Ok(Json(json!(plan)))
}

/// Fits an adapter, judges it, and keeps it when it is of use.
pub(crate) async fn fit(State(room): Room, body: Body) -> Result<Response, ApiError> {
    let wish: AdaptWish = read(body).await?;
    let fitting = room.fit_adapter(wish).await?;
    Ok(ndjson(lines(fitting, "adapted")))
}

/// Lists adapters, and those whose files are damaged.
pub(crate) async fn list(State(room): Room) -> Answer {
    let found = blocking(room, |room| room.shelf().list().map_err(kept)).await?;
    let all: Vec<Value> = found.adapters.iter().map(shown).collect();
    let damaged = found.damaged.into_iter().map(|error| kept(error).told());
    let damaged: Vec<Told> = damaged.collect();
    Ok(Json(
        json!({"object": "list", "data": all, "damaged": damaged}),
    ))
}

/// Shows an adapter, without its numbers.
pub(crate) async fn show(State(room): Room, Path(id): Path<String>) -> Answer {
    let found = blocking(room, move |room| room.shelf().find(&id).map_err(kept)).await?;
    Ok(Json(shown(&found)))
}

/// Judges an adapter by other queries.
pub(crate) async fn eval(
    State(room): Room,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let wish: AdaptWish = read(body).await?;
    let judging = room.eval_adapter(&id, wish).await?;
    Ok(ndjson(lines(judging, "judged")))
}

/// Sends a snapshot through an adapter.
pub(crate) async fn apply(State(room): Room, Path(id): Path<String>, body: Body) -> Answer {
    let wish: ApplyWish = read(body).await?;
    let sealed = blocking(room, move |room| room.apply_adapter(&id, &wish)).await?;
    Ok(Json(
        json!({"snapshot": sealed.manifest, "is_new": sealed.is_new}),
    ))
}

/// Removes an adapter.
pub(crate) async fn remove(State(room): Room, Path(id): Path<String>) -> Answer {
    let id = blocking(room, move |room| room.delete_adapter(&id)).await?;
    Ok(Json(
        json!({"object": "embedding.adapter", "id": id, "deleted": true}),
    ))
}

fn kept(error: crate::embeddings::adapters::AdapterError) -> Error {
    crate::embeddings::Error::from(error).into()
}

fn shown(adapter: &Adapter) -> Value {
    json!({"id": adapter.id(), "space": adapter.space().id(), "head": adapter.head()})
}
