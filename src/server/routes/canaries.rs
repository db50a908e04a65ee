//! `/api/embeddings/canaries…`: canaries begin, check, are shown, take a change as normal, and end.

use crate::embeddings::drift::canary::{Canaries, CanaryWish};
use crate::embeddings::snapshots::Error;
use crate::server::error::ApiError;
use crate::server::routes::snapshots::read;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

type Room = State<Arc<Canaries>>;
type Answer = Result<Json<Value>, ApiError>;

/// How a change is taken.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Acceptance {
    /// Whether what was normal stays so.
    is_also: bool,
}

/// Does work that blocks, away from the threads that serve.
async fn blocking<T: Send + 'static>(
    room: Arc<Canaries>,
    work: impl FnOnce(&Arc<Canaries>) -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&room)).await;
    Ok(done.unwrap_or(Err(Error::Stopping))?)
}

/// Lists canaries and the alarms there were, the newest last.
pub(crate) async fn list(State(room): Room) -> Answer {
    let all = blocking(room, |room| room.all()).await?;
    let canaries: Vec<_> = all.canaries.into_values().collect();
    Ok(Json(
        json!({"object": "list", "data": canaries, "alarms": all.alarms}),
    ))
}

/// Begins a canary.
pub(crate) async fn start(State(room): Room, body: Body) -> Answer {
    let wish: CanaryWish = read(body).await?;
    Ok(Json(json!(Box::pin(room.start(wish)).await?)))
}

/// Shows a canary: its newest check, its noise and its alarms.
pub(crate) async fn status(State(room): Room, Path(name): Path<String>) -> Answer {
    let found = blocking(room, move |room| room.status(&name)).await?;
    Ok(Json(json!(found)))
}

/// Checks a canary now.
pub(crate) async fn check(State(room): Room, Path(name): Path<String>) -> Answer {
    Ok(Json(json!(Box::pin(room.check(&name)).await?)))
}

/// Takes the change that was seen as normal.
pub(crate) async fn accept(State(room): Room, Path(name): Path<String>, body: Body) -> Answer {
    let how: Acceptance = read(body).await?;
    let found = blocking(room, move |room| room.accept(&name, how.is_also)).await?;
    Ok(Json(json!(found)))
}

/// Ends a canary.
pub(crate) async fn stop(State(room): Room, Path(name): Path<String>) -> Answer {
    let ended = blocking(room, move |room| room.stop(&name)).await?;
    Ok(Json(json!(ended)))
}
