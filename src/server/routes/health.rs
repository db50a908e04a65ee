//! Health: whether the process lives, and whether it should get traffic. Never asks a provider.

use crate::evals::schedule::Scheduler;
use crate::prompts::Drift;
use crate::proxy::Proxy;
use crate::server::Readiness;
use crate::server::routes::{schedules, sync};
use crate::telemetry::Telemetry;
use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use serde_json::json;
use std::sync::Arc;

/// Answers as long as the process can.
pub(crate) async fn live() -> Json<serde_json::Value> {
    Json(json!({"status": "ok", "version": env!("CARGO_PKG_VERSION")}))
}

/// 200 while new calls are welcome, 503 with the reason when they are not.
pub(crate) async fn ready(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report();
    let status = if report.is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if report.is_ready {
        "ready"
    } else {
        "not_ready"
    };
    // A probe needs no key: the reasons of overrides are on the admin plane.
    let overrides = report.overrides.iter().filter_map(|drift| match drift {
        Drift::Override {
            label,
            prompt,
            git,
            live,
            expires,
            ..
        } => Some(
            json!({"label": label, "prompt": prompt, "git": git, "live": live, "expires": expires}),
        ),
        Drift::Uncommitted { .. } | Drift::UncommittedReleases => None,
    });
    let overrides: Vec<serde_json::Value> = overrides.collect();
    let body = json!({
        "status": word,
        "reasons": report.reasons,
        "warnings": report.warnings,
        "prompts": {
            "commit": report.commit,
            "count": report.prompts,
            "problem": report.problem,
            "overrides": overrides,
            "stale": report.stale,
            "held": report.held,
        },
    });
    (status, Json(body)).into_response()
}

/// Counters in Prometheus' text format.
pub(crate) async fn metrics(
    State(telemetry): State<Arc<Telemetry>>,
    State(proxy): State<Arc<Proxy>>,
    State(scheduler): State<Arc<Scheduler>>,
) -> Response {
    let headers = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    let mut page = telemetry.metrics().render_prometheus();
    page.push_str(&sync::metrics(&proxy.prompts.sync_status()));
    page.push_str(&schedules::metrics(&scheduler.list().await));
    (headers, page).into_response()
}
