//! `/api/embeddings/imports…` and `/api/embeddings/exports`: vectors from files of other tools, and for them.
//!
//! An export is one JSON object a line: `manifest`, then `rows` page by page as they are read, then `ended`
//! (or `error`). It stops when the client leaves.

use crate::embeddings::snapshots::{Exporting, ImportWish, Snapshots, VectorRow};
use crate::server::error::ApiError;
use crate::server::lines::{line, ndjson};
use crate::server::routes::snapshots::{Answer, Room, blocking, read};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// The next rows of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// How many rows came before.
    offset: u64,
    rows: Vec<VectorRow>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExportOf {
    snapshot: String,
}

/// Begins an import.
pub(crate) async fn begin(State(room): Room, body: Body) -> Answer {
    let wish: ImportWish = read(body).await?;
    let begun = blocking(room, move |room: &Snapshots| room.begin_import(&wish)).await?;
    Ok(Json(json!(begun)))
}

/// Takes the next rows.
pub(crate) async fn append(State(room): Room, Path(id): Path<String>, body: Body) -> Answer {
    let part: Part = read(body).await?;
    let rows = blocking(room, move |room| {
        room.import_rows(&id, part.offset, part.rows)
    });
    Ok(Json(json!({"rows": rows.await?})))
}

/// Makes a snapshot of the rows that came.
pub(crate) async fn seal(State(room): Room, Path(id): Path<String>) -> Answer {
    let imported = blocking(Arc::clone(&room), move |room| room.seal_import(&id));
    let mut imported = imported.await?;
    imported.migration = room.note_sealed(&imported.snapshot).await?;
    Ok(Json(json!(imported)))
}

/// Sends the rows of a snapshot.
pub(crate) async fn export(State(room): Room, body: Body) -> Result<Response, ApiError> {
    let wanted: ExportOf = read(body).await?;
    let exporting = room.export(&wanted.snapshot).await?;
    Ok(ndjson(pages(exporting)))
}

/// A page is read when the one before it was taken.
fn pages(exporting: Exporting) -> impl Stream<Item = Bytes> + Send {
    let head = line(&json!({"type": "manifest", "manifest": exporting.manifest()}));
    let rows = stream::unfold(Some(exporting), |state| async {
        let mut exporting = state?;
        Some(match exporting.page().await {
            Ok(Some(rows)) => (
                line(&json!({"type": "rows", "rows": rows})),
                Some(exporting),
            ),
            Ok(None) => (line(&json!({"type": "ended"})), None),
            Err(error) => {
                let error = error.told();
                (line(&json!({"type": "error", "error": error})), None)
            }
        })
    });
    stream::once(async { head }).chain(rows)
}
