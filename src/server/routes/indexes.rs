//! `/api/embeddings/indexes`: search indexes are built and removed; `/api/embeddings/rebuild`.

use crate::embeddings::snapshots::IndexWish;
use crate::server::routes::snapshots::{Answer, Room, blocking, query, read};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::json;

/// Of which snapshot.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfSnapshot {
    snapshot: String,
}

/// Builds an index. It goes on when the client leaves.
pub(crate) async fn build(State(room): Room, body: Body) -> Answer {
    let wish: IndexWish = read(body).await?;
    let built = blocking(room, move |room| room.build_index(&wish)).await?;
    Ok(Json(json!(built)))
}

/// Removes an index.
pub(crate) async fn remove(
    State(room): Room,
    of: Result<Query<OfSnapshot>, QueryRejection>,
) -> Answer {
    let of = query(of)?;
    let manifest = blocking(room, move |room| room.drop_index(&of.snapshot)).await?;
    Ok(Json(json!(manifest)))
}

/// Makes the index of vectors anew from their files.
pub(crate) async fn rebuild(State(room): Room) -> Answer {
    blocking(room, |room| room.rebuild()).await?;
    Ok(Json(json!({"ok": true})))
}
