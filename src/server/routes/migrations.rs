//! `/api/embeddings/migrations…`: a collection goes to another embedding version step by step.
//!
//! What is computed in the background goes on when the client leaves; who follows gets one JSON object a
//! line: `progress` now and then, then `ended`.

use crate::embeddings::migrate::{MoveWish, StartWish, Verb};
use crate::embeddings::snapshots::{Error, Snapshots};
use crate::server::error::ApiError;
use crate::server::lines::{line, ndjson};
use crate::server::routes::snapshots::{OfCollection, query, read};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// How often who follows is told.
const TELL_EVERY: Duration = Duration::from_millis(250);

type Room = State<Arc<Snapshots>>;
type Answer = Result<Json<Value>, ApiError>;

/// A step of a migration.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct StepOf {
    collection: String,
    verb: Verb,
    #[serde(default)]
    with: MoveWish,
}

/// Lists migrations, the oldest first.
pub(crate) async fn list(State(room): Room) -> Json<Value> {
    Json(json!({"object": "list", "data": room.migrations()}))
}

/// Begins a migration, or goes on with the same one.
pub(crate) async fn start(State(room): Room, body: Body) -> Answer {
    let wish: StartWish = read(body).await?;
    Ok(Json(json!(room.start_migration(wish).await?)))
}

/// Shows how the newest migration of a collection is.
pub(crate) async fn status(
    State(room): Room,
    of: Result<Query<OfCollection>, QueryRejection>,
) -> Answer {
    let collection = query(of)?.collection;
    let found = tokio::task::spawn_blocking(move || room.migration_status(&collection)).await;
    Ok(Json(json!(found.unwrap_or(Err(Error::Stopping))?)))
}

/// Takes a step.
pub(crate) async fn step(State(room): Room, body: Body) -> Answer {
    let step: StepOf = read(body).await?;
    let moved = room.move_migration(&step.collection, step.verb, step.with);
    Ok(Json(json!(moved.await?)))
}

/// Tells how far the background is, until it has ended.
pub(crate) async fn follow(State(room): Room, body: Body) -> Result<Response, ApiError> {
    let of: OfCollection = read(body).await?;
    room.migration_progress(&of.collection)?;
    let begin = Some((room, of.collection));
    let lines = stream::unfold(begin, |state| async {
        let (room, collection) = state?;
        let found = room.migration_progress(&collection).ok()?;
        let kind = if found.is_running {
            "progress"
        } else {
            "ended"
        };
        let text = line(&json!({
            "type": kind, "meter": found.meter, "max_cost": found.max_cost, "problem": found.problem,
        }));
        if !found.is_running {
            return Some((text, None));
        }
        tokio::time::sleep(TELL_EVERY).await;
        Some((text, Some((room, collection))))
    });
    Ok(ndjson(lines))
}
