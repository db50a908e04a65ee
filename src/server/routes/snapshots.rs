//! `/api/embeddings/…`: drafts become snapshots, which are listed, shown, compared by their items, checked,
//! searched, and cleaned.
//!
//! What is made of a draft is followed as one JSON object a line: `joined` where somebody else began it, `plan`
//! once it is known, `progress` while it goes on, then `ended` (or `error`). It goes on when the client leaves.

use crate::embeddings::snapshots::{
    AlikeWish, Error, Progress, RunOptions, SearchWish, SnapshotWish, Snapshots, SourceText,
    Watched,
};
use crate::embeddings::vault::Unreadable;
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::lines::{line, ndjson, newest};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The largest part of a corpus, in bytes.
const PART_BYTES: usize = 64 << 20;
/// How long a part may take to come.
const PART_TOTAL: Duration = Duration::from_secs(300);

pub(super) type Room = State<Arc<Snapshots>>;
pub(super) type Answer = Result<Json<Value>, ApiError>;

/// The next part of a corpus.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    /// How many sources came before.
    offset: u64,
    items: Vec<SourceText>,
}

/// Which snapshots are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    collection: Option<String>,
}

/// Of which collection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OfCollection {
    pub(super) collection: String,
}

/// Which draft of which collection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Resumed {
    collection: String,
    draft: Option<String>,
}

/// Between which snapshots.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Between {
    before: String,
    after: String,
}

/// Which item of which collection.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ItemOf {
    collection: String,
    item: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Verifying {
    snapshot: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Cleaning {
    dry_run: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NoiseOf {
    snapshot: String,
    texts: usize,
}

/// Reads a body that must be JSON of a shape.
pub(super) async fn read<T: DeserializeOwned>(body: Body) -> Result<T, ApiError> {
    let limits = BodyLimits {
        bytes: PART_BYTES,
        total: PART_TOTAL,
        ..BodyLimits::default()
    };
    let body = body::read(body, limits).await?;
    let body = if body.is_empty() {
        Bytes::from_static(b"{}")
    } else {
        body
    };
    serde_json::from_slice(&body).map_err(|error| {
        let message = format!("the body cannot be read: {error}");
        ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_request", message, None)
    })
}

/// What stands behind `?`.
pub(super) fn query<T>(query: Result<Query<T>, QueryRejection>) -> Result<T, ApiError> {
    let rejected = |rejection: QueryRejection| {
        let text = rejection.body_text();
        ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_query", text, None)
    };
    query.map(|Query(found)| found).map_err(rejected)
}

/// Does work that blocks, away from the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    room: Arc<Snapshots>,
    work: impl FnOnce(&Snapshots) -> Result<T, Error> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&room)).await;
    Ok(done.unwrap_or(Err(Error::Stopping))?)
}

/// Lists snapshots and drafts.
pub(crate) async fn list(
    State(room): Room,
    listing: Result<Query<Listing>, QueryRejection>,
) -> Answer {
    let listing = query(listing)?;
    let found = blocking(room, move |room| {
        let (snapshots, unreadable) = room.vault().survey(listing.collection.as_deref())?;
        let mut drafts = room.listed_drafts()?;
        if let Some(collection) = &listing.collection {
            drafts.retain(|draft| draft.head.collection == *collection);
        }
        let declared = room.declared().get();
        let data: Vec<Value> = snapshots
            .iter()
            .map(|manifest| {
                let mut value = json!(manifest);
                let labels = room.labels_to(manifest, &declared);
                if let Some(fields) = value.as_object_mut() {
                    fields.insert("labels".to_owned(), labels.into());
                }
                value
            })
            .collect();
        let damaged: Vec<Value> = unreadable.iter().map(unreadable_in_json).collect();
        Ok(json!({
            "object": "list",
            "data": data,
            "damaged": damaged,
            "drafts": drafts,
            "refused": *room.declared().refused(),
        }))
    });
    Ok(Json(found.await?))
}

fn unreadable_in_json(one: &Unreadable) -> Value {
    json!({
        "collection": one.collection,
        "number": one.number,
        "code": one.error.kind(),
        "problem": one.error.to_string(),
        "hint": one.error.hint(),
    })
}

/// Shows a snapshot.
pub(crate) async fn show(State(room): Room, Path(name): Path<String>) -> Answer {
    let found = blocking(room, move |room| {
        let manifest = room.manifest(&name)?;
        let declared = room.declared().get();
        let deviations = room.vault().deviations(&manifest.space_id)?;
        let labels = room.labels_to(&manifest, &declared);
        let mut value = json!(manifest);
        if let Some(fields) = value.as_object_mut() {
            fields.insert("labels".to_owned(), labels.into());
            let seen = json!({
                "observed": deviations.observed,
                "deviating": deviations.deviating,
                "max_deviation": deviations.max_deviation,
            });
            fields.insert("seen_again".to_owned(), seen);
            if let Some(problem) = room.index_problem(&manifest) {
                fields.insert("index_problem".to_owned(), problem.into());
            }
        }
        Ok(value)
    });
    Ok(Json(found.await?))
}

/// Shows what embeddings.toml declares.
pub(crate) async fn declared(State(room): Room) -> Json<Value> {
    Json(json!(*room.declared().written()))
}

/// Begins a draft.
pub(crate) async fn begin(State(room): Room, body: Body) -> Answer {
    let wish: SnapshotWish = read(body).await?;
    let begun = blocking(room, move |room| room.begin(&wish)).await?;
    Ok(Json(json!(begun)))
}

/// Takes the next part of a corpus.
pub(crate) async fn append(State(room): Room, Path(id): Path<String>, body: Body) -> Answer {
    let part: Part = read(body).await?;
    let taken = blocking(room, move |room| room.append(&id, part.offset, &part.items));
    Ok(Json(json!(taken.await?)))
}

/// Returns the draft to go on with.
pub(crate) async fn resumable(
    State(room): Room,
    of: Result<Query<Resumed>, QueryRejection>,
) -> Answer {
    let of = query(of)?;
    let find = move |room: &Snapshots| room.resumable(&of.collection, of.draft.as_deref());
    let head = blocking(room, find).await?;
    Ok(Json(
        json!({"space_id": head.space.id(), "pipeline": head.pipeline.in_words(), "head": head}),
    ))
}

/// Stops what is made of a draft; where nothing is, removes it.
pub(crate) async fn discard(State(room): Room, Path(id): Path<String>) -> Answer {
    let draft = id.clone();
    let is_stopping = blocking(room, move |room| room.discard(&draft)).await?;
    let state = if is_stopping { "stopping" } else { "removed" };
    Ok(Json(
        json!({"object": "embedding.draft", "id": id, "state": state}),
    ))
}

/// Makes a snapshot of a draft, and tells how far it is.
pub(crate) async fn run(
    State(room): Room,
    Path(id): Path<String>,
    body: Body,
) -> Result<Response, ApiError> {
    let options: RunOptions = read(body).await?;
    let watched = room.run(&id, options).await?;
    Ok(ndjson(lines(watched)))
}

/// The lines of who follows: the plan once, the newest progress not too often, the end.
fn lines(watched: Watched) -> impl Stream<Item = Bytes> + Send {
    let end = Arc::clone(&watched.end);
    let joined = json!({"type": "joined", "draft": watched.draft});
    let joined = stream::iter(watched.is_joined.then(|| line(&joined)));
    let mut is_planned = false;
    let progress = newest(watched.progress, move |progress| {
        told(progress, &mut is_planned)
    });
    let last = stream::once(async move {
        line(&match end.get() {
            Some(Ok(made)) => json!({"type": "ended", "made": made}),
            Some(Err(error)) => json!({"type": "error", "error": error}),
            None => json!({"type": "error", "error": Error::Stopping.told()}),
        })
    });
    joined.chain(progress).chain(last)
}

/// A line or two: the plan when it was not told before.
fn told(progress: &Progress, is_planned: &mut bool) -> Bytes {
    let mut text = Vec::new();
    if let Some(plan) = progress.plan.as_ref().filter(|_| !*is_planned) {
        text.extend(line(&json!({"type": "plan", "plan": plan})));
        *is_planned = true;
    }
    text.extend(line(&json!({"type": "progress", "progress": progress})));
    text.into()
}

/// Measures the provider's noise with texts of a snapshot.
pub(crate) async fn noise(State(room): Room, body: Body) -> Answer {
    let wanted: NoiseOf = read(body).await?;
    let name = wanted.snapshot;
    let manifest = blocking(Arc::clone(&room), move |room| room.manifest(&name)).await?;
    let manifest = room.measure_noise(&manifest, wanted.texts).await?;
    Ok(Json(json!(manifest)))
}

/// Says in what two snapshots differ, by their settings and items.
pub(crate) async fn diff(
    State(room): Room,
    between: Result<Query<Between>, QueryRejection>,
) -> Answer {
    let between = query(between)?;
    let found = blocking(room, move |room| room.diff(&between.before, &between.after));
    let (before, after, diff) = found.await?;
    Ok(Json(json!({
        "before": before.name(),
        "after": after.name(),
        "settings": diff.settings,
        "unchanged": diff.unchanged,
        "added": diff.added,
        "removed": diff.removed,
        "changed_text": diff.changed_text,
        "changed_form": diff.changed_form,
    })))
}

/// Reads and checks a snapshot, or everything.
pub(crate) async fn verify(State(room): Room, body: Body) -> Answer {
    let wanted: Verifying = read(body).await?;
    let found = blocking(room, move |room| room.verify(wanted.snapshot.as_deref())).await?;
    let problems: Vec<Value> = found
        .problems
        .iter()
        .map(|fault| json!({"place": fault.place, "problem": fault.problem}))
        .collect();
    Ok(Json(json!({
        "ok": problems.is_empty(),
        "snapshots": found.snapshots,
        "segments": found.segments,
        "vectors": found.vectors,
        "bytes": found.bytes,
        "problems": problems,
    })))
}

/// Deletes an item from every snapshot of a collection.
pub(crate) async fn delete_item(
    State(room): Room,
    of: Result<Query<ItemOf>, QueryRejection>,
) -> Answer {
    let of = query(of)?;
    let item = of.item.clone();
    let found = blocking(room, move |room| {
        let deleted = room.delete_item(&of.collection, &of.item)?;
        room.note_deleted(&of.collection, &of.item, &deleted)?;
        Ok(deleted)
    });
    let found = found.await?;
    Ok(Json(json!({
        "item": item,
        "snapshots": found.snapshots,
        "items": found.items,
        "vectors": found.vectors,
    })))
}

/// Removes vectors that nothing uses.
pub(crate) async fn collect_garbage(State(room): Room, body: Body) -> Answer {
    let wanted: Cleaning = read(body).await?;
    let found = blocking(room, move |room| room.collect_garbage(wanted.dry_run)).await?;
    Ok(Json(json!({
        "dry_run": wanted.dry_run,
        "segments": found.segments,
        "rewritten": found.rewritten,
        "dead": found.dead,
        "removed": found.removed,
        "freed_bytes": found.freed_bytes,
    })))
}

/// Searches snapshots, each in its own space.
pub(crate) async fn search(State(room): Room, body: Body) -> Answer {
    let wish: SearchWish = read(body).await?;
    let found = room.search(wish).await?;
    Ok(Json(json!({"object": "list", "data": found})))
}

/// Finds items of a snapshot that are alike.
pub(crate) async fn alike(State(room): Room, body: Body) -> Answer {
    let wish: AlikeWish = read(body).await?;
    Ok(Json(json!(room.alike(wish).await?)))
}
