//! `GET /api/prompts/usage` and `/api/calls/{id}/explanation`: what callers of a prompt did lately, and
//! what a call was made from.

use crate::domain::{Arm, CallId, CallRecord, Clock, PromptKey, Timestamp};
use crate::prompts::diff::{CallerUsage, USAGE_DAYS, Usage};
use crate::proxy::{self, Explanation, Proxy};
use crate::server::error::ApiError;
use crate::store::{CallFilter, CallRow, Error, GroupBy, StatsQuery, Store};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// The newest calls, whose requests are read.
const MAX_READ: usize = 5_000;
/// Calls that are looked up at a time.
const PAGE: usize = 500;
/// A day in microseconds.
const DAY_US: i64 = 86_400_000_000;

/// Which prompt is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Subject {
    prompt: PromptKey,
}

/// Sums what callers of a prompt did in the last days: calls, tokens, and who sends which variable.
pub(crate) async fn usage(
    State(store): State<Arc<Store>>,
    State(clock): State<Clock>,
    asked: Result<Query<Subject>, QueryRejection>,
) -> Result<Json<Usage>, ApiError> {
    let Query(Subject { prompt }) = asked.map_err(|rejection| {
        let hint = Some("name one prompt: `?prompt=support/refund`");
        let message = rejection.body_text();
        ApiError::of_request(StatusCode::BAD_REQUEST, "invalid_query", message, hint)
    })?;
    let from = Timestamp(clock.now().0.saturating_sub(i64::from(USAGE_DAYS) * DAY_US));
    let answer = spawn_blocking(move || sums(&store, &prompt, from)).await;
    Ok(Json(answer.map_err(|error| ApiError::internal(&error))??))
}

fn sums(store: &Store, prompt: &PromptKey, from: Timestamp) -> Result<Usage, Error> {
    let mut usage = Usage::default();
    let query = StatsQuery {
        from: Some(from),
        prompt: Some(prompt.clone()),
        group_by: GroupBy::Version,
        ..StatsQuery::default()
    };
    for row in store.stats(&query)? {
        usage.calls += row.calls;
        usage.input_tokens += row.input_tokens;
        usage.cached_tokens += row.cached_tokens;
        usage.output_tokens += row.output_tokens;
        let version = row.group.unwrap_or_default();
        let version = version.rsplit_once('@').map_or("", |(_, version)| version);
        *usage.versions.entry(version.to_owned()).or_default() += row.calls;
    }
    let filter = CallFilter {
        prompt: Some(prompt.clone()),
        from: Some(from),
        ..CallFilter::default()
    };
    let mut before: Option<CallId> = None;
    let mut read = 0;
    while read < MAX_READ {
        let rows = store.calls(&filter, before, PAGE)?;
        let Some(last) = rows.last() else { break };
        before = Some(last.id);
        // Shadows are ours: nobody called them.
        let called = rows.iter().filter(|row| row.arm != Some(Arm::Shadow));
        for row in called {
            if let Some(record) = store.record(&row.id.to_string())? {
                note(&mut usage, row, &record);
            }
        }
        read += rows.len();
    }
    Ok(usage)
}

/// Adds a call to what is known of its caller.
fn note(usage: &mut Usage, row: &CallRow, record: &CallRecord) {
    usage.read_calls += 1;
    if let Some(label) = &row.label {
        *usage.labels.entry(label.clone()).or_default() += 1;
    }
    let key = row.key.as_ref().map(|key| key.0.clone());
    let known = usage
        .callers
        .iter()
        .position(|caller| caller.caller == row.caller && caller.key == key);
    let place = known.unwrap_or_else(|| {
        usage.callers.push(CallerUsage {
            caller: row.caller.clone(),
            key,
            ..CallerUsage::default()
        });
        usage.callers.len() - 1
    });
    let Some(caller) = usage.callers.get_mut(place) else {
        return;
    };
    let sent = proxy::sent(record);
    if sent.is_pinned {
        caller.pinned_calls += 1;
        return;
    }
    caller.calls += 1;
    for name in sent.variables {
        *caller.variables.entry(name).or_default() += 1;
    }
}

/// Explains what a call was made from.
pub(crate) async fn explain(
    State(store): State<Arc<Store>>,
    State(proxy): State<Arc<Proxy>>,
    Path(id): Path<String>,
) -> Result<Json<Explanation>, ApiError> {
    let asked = id.clone();
    let record = spawn_blocking(move || store.record(&asked)).await;
    let record = record.map_err(|error| ApiError::internal(&error))??;
    let record = record.ok_or_else(|| {
        let hint = Some("the id is the call's `x-request-id`; `calls list` shows the newest");
        ApiError::not_found(
            "call_not_found",
            format!("there is no record of call `{id}`"),
            hint,
        )
    })?;
    Ok(Json(proxy.explain(&record).await?))
}
