//! `/api/prompts/sync`, `/webhook` and `/bundle`: how it stands with the source of the prompts, and how
//! new commits come.

use crate::access::is_signed;
use crate::git;
use crate::prompts::{self, Prompts, SyncOutcome, SyncReport, SyncStatus};
use crate::proxy::Proxy;
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::hooks::{Hooks, bundle_preamble, is_webhook};
use axum::Json;
use axum::extract::{Request, State};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// How long a bundle may take to come.
const BUNDLE_TIME: Duration = Duration::from_secs(600);

/// Tells how it stands with the source.
pub(crate) async fn status(State(proxy): State<Arc<Proxy>>) -> Json<SyncStatus> {
    Json(proxy.prompts.sync_status())
}

/// Syncs now, and tells how that went.
pub(crate) async fn now(State(proxy): State<Arc<Proxy>>) -> Result<Json<SyncReport>, ApiError> {
    Ok(Json(proxy.prompts.sync().await?))
}

/// Takes a forge's word that something is new. What it says is not believed, only that it is said;
/// so one that comes twice does no harm.
pub(crate) async fn webhook(
    State(proxy): State<Arc<Proxy>>,
    State(hooks): State<Arc<Hooks>>,
    request: Request,
) -> Result<(StatusCode, Json<Value>), ApiError> {
    let secret = hooks.webhook.as_ref().ok_or_else(|| {
        let hint = Some("set `webhook_secret` in `[prompts]` of promptgate.toml");
        ApiError::not_found(
            "webhook_not_configured",
            "no webhook is expected here",
            hint,
        )
    })?;
    let (parts, body) = request.into_parts();
    let body = body::read(body, BodyLimits::default()).await?;
    if !is_webhook(secret, &parts.headers, &body) {
        return Err(unsigned(
            "`X-Hub-Signature-256`, `X-Gitea-Signature` or `X-Gitlab-Token` with `prompts.webhook_secret`",
        ));
    }
    proxy.prompts.ring();
    Ok((StatusCode::ACCEPTED, Json(json!({"status": "accepted"}))))
}

/// Takes a signed Git bundle, and serves its prompts if they are good.
pub(crate) async fn bundle(
    State(proxy): State<Arc<Proxy>>,
    State(hooks): State<Arc<Hooks>>,
    State(places): State<Arc<Semaphore>>,
    request: Request,
) -> Result<Json<SyncReport>, ApiError> {
    let prompts = Arc::clone(&proxy.prompts);
    let (Some(secret), Some(max_bytes)) = (&hooks.push, prompts.max_bundle_bytes()) else {
        return Err(prompts::Error::PushNotExpected.into());
    };
    // It is held in memory until its signature is checked.
    let busy = |_| ApiError::unavailable("overloaded", "another bundle is being taken");
    let _place = places.try_acquire().map_err(busy)?;
    let (parts, body) = request.into_parts();
    let (sequence, signature) = proof(&parts.headers)?;
    let limits = BodyLimits {
        bytes: usize::try_from(max_bytes).unwrap_or(usize::MAX),
        total: BUNDLE_TIME,
        ..BodyLimits::default()
    };
    let bundle = body::read(body, limits).await?;
    let preamble = bundle_preamble(sequence);
    if !is_signed(secret, &[preamble.as_bytes(), &bundle], &signature) {
        return Err(unsigned(
            "`x-promptgate-signature` with `prompts.push_secret`",
        ));
    }
    let taken = spawn_blocking(move || take(&prompts, sequence, &bundle)).await;
    let report = taken.map_err(|error| ApiError::internal(&error))??;
    match report.outcome {
        SyncOutcome::Applied | SyncOutcome::Unchanged => Ok(Json(report)),
        SyncOutcome::Refused | SyncOutcome::Failed => Err(refused(&report)),
    }
}

fn take(prompts: &Prompts, sequence: u64, bundle: &[u8]) -> Result<SyncReport, ApiError> {
    let taken = prompts.take_bundle(sequence, bundle);
    taken.map_err(|error| match &error {
        prompts::Error::Git(problem @ git::Error::Bundle { .. }) => {
            let (code, message, hint) = (problem.kind(), problem.to_string(), problem.hint());
            ApiError::of_request(StatusCode::BAD_REQUEST, code, message, hint.as_deref())
        }
        _ => error.into(),
    })
}

/// The sequence number and the signature of a bundle.
fn proof(headers: &HeaderMap) -> Result<(u64, String), ApiError> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let sequence = text("x-promptgate-sequence").and_then(|text| text.parse().ok());
    let signature = text("x-promptgate-signature").and_then(|text| text.strip_prefix("sha256="));
    match (sequence, signature) {
        (Some(sequence), Some(signature)) => Ok((sequence, signature.to_owned())),
        _ => Err(unsigned(
            "`x-promptgate-sequence: NUMBER` and `x-promptgate-signature: sha256=HEX`",
        )),
    }
}

fn unsigned(wanted: &str) -> ApiError {
    ApiError::of_request(
        StatusCode::UNAUTHORIZED,
        "signature_invalid",
        "the message is not signed, or not with our secret",
        Some(&format!("send {wanted}")),
    )
}

/// All that is wrong with what was pushed, for whoever pushed it.
fn refused(report: &SyncReport) -> ApiError {
    let status = &report.status;
    let Some(trouble) = status.refusal.as_ref().or(status.failure.as_ref()) else {
        return ApiError::internal(&"a bundle was refused without a reason");
    };
    let mut message = trouble.message.clone();
    for problem in trouble.problems.iter().skip(1).take(50) {
        // Writing to a `String` cannot fail.
        let _ = write!(message, "; {problem}");
    }
    let hint = trouble.hint.as_deref();
    ApiError::of_request(
        StatusCode::UNPROCESSABLE_ENTITY,
        trouble.code,
        message,
        hint,
    )
}

/// Returns gauges and counters of syncs in Prometheus' text format.
pub(super) fn metrics(status: &SyncStatus) -> String {
    let commit = status.commit.as_deref().unwrap_or_default();
    let labels = format!("{{commit=\"{commit}\",mode=\"{}\"}}", status.mode);
    let mut page = String::new();
    let help = "The commit that is served.";
    series(&mut page, ("info", "gauge", help), &labels, &1);
    for (name, help, value) in gauges(status) {
        if let Some(value) = value {
            series(&mut page, (name, "gauge", help), "", &value);
        }
    }
    for (name, help, value) in [
        (
            "applied_total",
            "Sets of prompts that were taken.",
            status.applied,
        ),
        (
            "refused_total",
            "Sets of prompts that were refused.",
            status.refused,
        ),
        (
            "failures_total",
            "Times the source was not there.",
            status.failed,
        ),
    ] {
        series(&mut page, (name, "counter", help), "", &value);
    }
    page
}

fn gauges(status: &SyncStatus) -> [(&'static str, &'static str, Option<i64>); 5] {
    let age = status.age_seconds.and_then(|age| i64::try_from(age).ok());
    [
        (
            "age_seconds",
            "Seconds since the source was last there.",
            age,
        ),
        (
            "last_success_timestamp_seconds",
            "When the source was last there, in seconds since 1970.",
            status.checked_unix,
        ),
        (
            "stale",
            "Whether the source was not there for too long.",
            Some(i64::from(status.stale)),
        ),
        (
            "held_prompts",
            "Prompts that stay as they were.",
            count(status.held.len()),
        ),
        (
            "history_alarms",
            "Rewritten histories.",
            count(status.alarms.len()),
        ),
    ]
}

fn count(length: usize) -> Option<i64> {
    i64::try_from(length).ok()
}

fn series(
    page: &mut String,
    (name, kind, help): (&str, &str, &str),
    labels: &str,
    value: &dyn std::fmt::Display,
) {
    let name = format!("promptgate_prompts_sync_{name}");
    // Writing to a `String` cannot fail.
    let _ = writeln!(
        page,
        "# HELP {name} {help}\n# TYPE {name} {kind}\n{name}{labels} {value}"
    );
}
