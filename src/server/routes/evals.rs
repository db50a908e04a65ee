//! `/api/evals/runs…`: begins runs, follows them, and reads what came of them.
//!
//! A run that is followed answers one JSON object a line: `begun`, `progress` while it goes on, then its
//! rows where they are asked for, and `ended` (or `error`). It goes on when the client leaves, unless it
//! asked otherwise.

use crate::domain::RunId;
use crate::evals::plan::RunPlan;
use crate::evals::report::RunReport;
use crate::evals::run::{self, Options, Progress, Runs, Watched};
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::lines::{line, ndjson, newest};
use crate::store::StoredRun;
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The largest plan, in bytes.
const PLAN_BYTES: usize = 64 << 20;
/// How long a plan may take to come.
const PLAN_TOTAL: Duration = Duration::from_secs(300);
/// The largest page of runs.
const PAGE: usize = 1_000;

/// What begins a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// The plan; may be missing where a run goes on.
    plan: Option<RunPlan>,
    #[serde(default)]
    options: Options,
    /// Whether the rows are sent before the end.
    #[serde(default)]
    rows: bool,
}

/// Which runs are listed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listing {
    /// How many; 50 when absent.
    limit: Option<usize>,
    /// Runs older than this one.
    before: Option<RunId>,
}

/// A line of a run that is followed.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Line<'a> {
    Begun { run: RunId, is_resumed: bool },
    Progress(&'a Progress),
    Row { row: &'a crate::evals::row::Row },
    Ended(&'a crate::evals::ledger::RunEnd),
    Error { error: Value },
}

/// Begins a run, or goes on with one, and follows it.
pub(crate) async fn begin(State(runs): State<Arc<Runs>>, body: Body) -> Result<Response, ApiError> {
    let limits = BodyLimits {
        bytes: PLAN_BYTES,
        total: PLAN_TOTAL,
        ..BodyLimits::default()
    };
    let body = body::read(body, limits).await?;
    let wanted: Wanted = serde_json::from_slice(&body).map_err(|error| {
        let hint = "send `plan` as `promptgate evals check --json` writes it, and `options`";
        let message = format!("the run cannot be read: {error}");
        ApiError::of_request(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            message,
            Some(hint),
        )
    })?;
    let watched = runs.begin(wanted.plan, &wanted.options).await?;
    let leaving = wanted
        .options
        .stops_with_client
        .then(|| watched.cancel.clone());
    Ok(follow(runs, watched, wanted.rows, leaving))
}

/// Cancels a run when it is dropped before its end was told.
struct Leaving(Option<CancellationToken>);

impl Leaving {
    fn told(mut self) {
        self.0 = None;
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        if let Some(cancel) = &self.0 {
            cancel.cancel();
        }
    }
}

type Lines = Pin<Box<dyn Stream<Item = Bytes> + Send>>;

fn follow(
    runs: Arc<Runs>,
    watched: Watched,
    has_rows: bool,
    leaving: Option<CancellationToken>,
) -> Response {
    let begun = line(&Line::Begun {
        run: watched.run,
        is_resumed: watched.is_resumed,
    });
    let run = watched.run;
    let told = newest(watched.progress, |progress| line(&Line::Progress(progress)));
    let ending = stream::once(async move { ending(&runs, run, has_rows).await }).flatten();
    let leaving = Leaving(leaving);
    let end = stream::once(async move {
        leaving.told();
        Bytes::new()
    });
    let lines: Lines = Box::pin(
        stream::once(async move { begun })
            .chain(told)
            .chain(ending)
            .chain(end),
    );
    ndjson(lines)
}

/// Tells what came of a run.
async fn ending(runs: &Runs, run: RunId, has_rows: bool) -> Lines {
    let mut lines = Vec::new();
    if has_rows {
        match runs.ledger().rows(run).await {
            Ok(rows) => lines.extend(rows.iter().map(|row| line(&Line::Row { row }))),
            Err(error) => lines.push(failed(&error.into())),
        }
    }
    lines.push(match runs.ending(run).await {
        Ok(end) => line(&Line::Ended(&end)),
        Err(error) => failed(&error),
    });
    Box::pin(stream::iter(lines))
}

fn failed(error: &run::Error) -> Bytes {
    tracing::error!(%error, "what came of a run cannot be told");
    line(&Line::Error {
        error: json!({
            "code": error.kind(),
            "message": error.to_string(),
            "hint": error.hint(),
        }),
    })
}

/// Lists runs, newest first.
pub(crate) async fn list(
    State(runs): State<Arc<Runs>>,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(listing) = query.map_err(|rejection| {
        let text = rejection.body_text();
        ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_query", text, None)
    })?;
    let limit = listing.limit.unwrap_or(50).clamp(1, PAGE);
    let found = runs.ledger().runs(listing.before, limit).await?;
    let data: Vec<Value> = found.iter().map(|run| describe(&runs, run)).collect();
    Ok(Json(json!({"object": "list", "data": data})))
}

/// `running`, `cut` when a process died during it, or `ended`.
fn describe(runs: &Runs, run: &StoredRun) -> Value {
    let state = match run.ended {
        _ if runs.is_active(run.id) => "running",
        Some(_) => "ended",
        None => "cut",
    };
    let mut value = json!(run);
    if let Value::Object(fields) = &mut value {
        fields.insert("object".to_owned(), "eval.run".into());
        fields.insert("state".to_owned(), state.into());
        fields.insert("progress".to_owned(), json!(runs.progress(run.id)));
    }
    value
}

async fn found(runs: &Runs, id: &str) -> Result<StoredRun, ApiError> {
    let found = runs.ledger().find(id).await?;
    found.ok_or_else(|| ApiError::from(run::Error::RunNotFound { id: id.to_owned() }))
}

/// Shows a run with its plan, and its end once it has one.
pub(crate) async fn show(
    State(runs): State<Arc<Runs>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let run = found(&runs, &id).await?;
    let mut value = describe(&runs, &run);
    if let Value::Object(fields) = &mut value {
        let start = runs.ledger().start(&run).await?;
        fields.insert("start".to_owned(), json!(start));
        let end = runs.ledger().ending(&run).await?;
        fields.insert("end".to_owned(), json!(end));
    }
    Ok(Json(value))
}

/// Shows the report of a run that has ended.
pub(crate) async fn report(
    State(runs): State<Arc<Runs>>,
    Path(id): Path<String>,
) -> Result<Json<RunReport>, ApiError> {
    let run = found(&runs, &id).await?;
    Ok(Json(runs.report(run.id).await?))
}

/// Shows the rows of a run, also while it goes on.
pub(crate) async fn rows(
    State(runs): State<Arc<Runs>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let run = found(&runs, &id).await?;
    let rows = runs.ledger().rows(run.id).await?;
    Ok(Json(json!({"object": "list", "data": rows})))
}

/// Stops a run; what is under way may finish, and its rows are kept.
pub(crate) async fn cancel(
    State(runs): State<Arc<Runs>>,
    Path(id): Path<String>,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let run = found(&runs, &id).await?;
    if !runs.cancel(run.id) {
        return Err(ApiError::of_request(
            StatusCode::CONFLICT,
            "eval_run_not_running",
            format!("run `{}` does not go on in this process", run.id),
            Some("`promptgate evals list` shows what runs"),
        ));
    }
    Ok((
        StatusCode::ACCEPTED,
        Json(json!({"object": "eval.run", "id": run.id, "state": "stopping"})),
    ))
}
