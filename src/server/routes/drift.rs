//! `/api/embeddings/drift…`: monitors of live traffic begin, look, are shown, take what they saw as normal,
//! and end.

use crate::embeddings::drift::monitor::{DocumentsWish, Drift, MonitorWish};
use crate::embeddings::snapshots::Error;
use crate::server::error::ApiError;
use crate::server::routes::snapshots::read;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use serde_json::{Value, json};
use std::sync::Arc;

type Room = State<Arc<Drift>>;
type Answer = Result<Json<Value>, ApiError>;

/// Does work that blocks, away from the threads that serve.
async fn blocking<T: Send + 'static>(
    room: Arc<Drift>,
    work: impl FnOnce(&Arc<Drift>) -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&room)).await;
    Ok(done.unwrap_or(Err(Error::Stopping))?)
}

/// Lists monitors and the alarms there were, the newest last.
pub(crate) async fn list(State(room): Room) -> Answer {
    let (book, watched) = blocking(room, |room| Ok((room.all()?, room.collections()?))).await?;
    let monitors: Vec<_> = book.monitors.into_values().collect();
    Ok(Json(
        json!({"object": "list", "data": monitors, "alarms": book.alarms,
            "collections": watched.collections, "collection_alarms": watched.alarms}),
    ))
}

/// Begins a monitor.
pub(crate) async fn start(State(room): Room, body: Body) -> Answer {
    let wish: MonitorWish = read(body).await?;
    Ok(Json(json!(Box::pin(room.start(wish)).await?)))
}

/// Shows a monitor: its newest look, its alarms, and when it may look again.
pub(crate) async fn status(State(room): Room, Path(name): Path<String>) -> Answer {
    let found = blocking(room, move |room| room.status(&name)).await?;
    Ok(Json(json!(found)))
}

/// Looks at what came since the last window.
pub(crate) async fn run(State(room): Room, Path(name): Path<String>) -> Answer {
    Ok(Json(json!(Box::pin(room.run(&name)).await?)))
}

/// Takes the newest window as normal.
pub(crate) async fn accept(State(room): Room, Path(name): Path<String>) -> Answer {
    Ok(Json(json!(Box::pin(room.accept(&name)).await?)))
}

/// Holds the new items of a snapshot against those of one before.
pub(crate) async fn documents(State(room): Room, body: Body) -> Answer {
    let wish: DocumentsWish = read(body).await?;
    let found = blocking(room, move |room| room.documents(&wish)).await?;
    Ok(Json(json!(found)))
}

/// Ends a monitor.
pub(crate) async fn stop(State(room): Room, Path(name): Path<String>) -> Answer {
    let ended = blocking(room, move |room| room.stop(&name)).await?;
    Ok(Json(json!(ended)))
}
