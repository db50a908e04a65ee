//! The response headers that say what an answer was made from.

use crate::domain::{CallId, CostQuality, Dialect};
use crate::proxy::AnswerFacts;
use http::header::{HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use std::time::Duration;

tokio::task_local! {
    /// The request that the running task serves, by its id, and the dialect in which its client hears of
    /// errors; set by the request id layer.
    static CURRENT: (CallId, Dialect);
}

/// Returns the id of the request being served, for error bodies.
pub(crate) fn current_request_id() -> Option<String> {
    CURRENT.try_with(|(id, _)| id.to_string()).ok()
}

/// Returns the dialect in which the client being served hears of errors.
pub(crate) fn current_dialect() -> Dialect {
    CURRENT
        .try_with(|(_, dialect)| *dialect)
        .unwrap_or_default()
}

/// Runs `future` as the service of request `id`, whose client speaks `dialect`.
pub(crate) async fn with_request_id<F: Future>(
    (id, dialect): (CallId, Dialect),
    future: F,
) -> F::Output {
    CURRENT.scope((id, dialect), future).await
}

const PROMPT: HeaderName = HeaderName::from_static("x-promptgate-prompt");
const VERSION: HeaderName = HeaderName::from_static("x-promptgate-version");
const HASH: HeaderName = HeaderName::from_static("x-promptgate-hash");
const COMMIT: HeaderName = HeaderName::from_static("x-promptgate-commit");
const LABEL: HeaderName = HeaderName::from_static("x-promptgate-label");
const ARM: HeaderName = HeaderName::from_static("x-promptgate-arm");
const DIRTY: HeaderName = HeaderName::from_static("x-promptgate-dirty");
const EMBEDDING: HeaderName = HeaderName::from_static("x-promptgate-embedding");
const SPACE: HeaderName = HeaderName::from_static("x-promptgate-space");
const PROVIDER: HeaderName = HeaderName::from_static("x-promptgate-provider");
const MODEL: HeaderName = HeaderName::from_static("x-promptgate-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-promptgate-attempts");
const OVERHEAD: HeaderName = HeaderName::from_static("x-promptgate-overhead-us");
const CACHE: HeaderName = HeaderName::from_static("x-promptgate-cache");
const DURABILITY: HeaderName = HeaderName::from_static("x-promptgate-durability");
const COST: HeaderName = HeaderName::from_static("x-promptgate-cost-usd");
const COST_QUALITY: HeaderName = HeaderName::from_static("x-promptgate-cost-quality");
const WARNINGS: HeaderName = HeaderName::from_static("x-promptgate-warnings");
/// When what was asked is no longer there (RFC 8594). `deprecation` (RFC 9745) would say since when its use is
/// discouraged, and a link to the provider's page: neither is in the price table.
const SUNSET: HeaderName = HeaderName::from_static("sunset");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// The same, where Anthropic's clients look for it.
const ANTHROPIC_REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const RETRY_AFTER_MS: HeaderName = HeaderName::from_static("retry-after-ms");

/// More headers than most answers have, so that the map is made once. A few more would double it, and
/// each connection keeps its map.
const EXPECTED_HEADERS: usize = 24;

/// Writes the `x-promptgate-*` family and the provider's rate limits.
pub(crate) fn write_facts(headers: &mut HeaderMap, facts: &AnswerFacts) {
    headers.reserve(EXPECTED_HEADERS);
    if let Some(prompt) = &facts.prompt {
        set(headers, PROMPT, prompt.key.as_str());
        set(headers, VERSION, &prompt.version());
        set(headers, HASH, &prompt.hash.to_string());
        if let Some(commit) = &prompt.commit {
            set(headers, COMMIT, commit);
        }
        if let Some(label) = &prompt.label {
            set(headers, LABEL, label);
        }
        if prompt.dirty {
            headers.insert(DIRTY, HeaderValue::from_static("true"));
        }
    }
    if let Some(release) = &facts.release {
        headers.insert(ARM, HeaderValue::from_static(release.arm.as_str()));
    }
    if let Some(embedding) = &facts.embedding {
        set(headers, EMBEDDING, &embedding.name);
        set(headers, SPACE, &embedding.space);
        if let Some(label) = &embedding.label {
            set(headers, LABEL, label);
        }
    }
    if !facts.provider.is_empty() {
        set(headers, PROVIDER, &facts.provider);
        set(headers, MODEL, &facts.model);
        headers.insert(ATTEMPTS, facts.attempts.into());
        headers.insert(OVERHEAD, facts.overhead_us.into());
        headers.insert(CACHE, HeaderValue::from_static("off"));
        let durability = facts.durability.map_or("none", |level| level.as_str());
        headers.insert(DURABILITY, HeaderValue::from_static(durability));
    }
    if let Some(cost) = &facts.cost
        && let Some(amount) = cost.pico_usd
    {
        set(headers, COST, &amount.to_dollars());
        if cost.quality == CostQuality::Estimated {
            headers.insert(COST_QUALITY, HeaderValue::from_static("estimated"));
        }
    }
    if let Some(retirement) = facts.retirement {
        set(headers, SUNSET, &retirement.http_date());
    }
    if !facts.warnings.is_empty() {
        set(headers, WARNINGS, &facts.warnings.join("; "));
    }
    for (name, value) in &facts.rate_limits {
        headers.insert(name.clone(), value.clone());
    }
}

/// Writes the id of a request in `dialect`, which is also that of its call.
pub(crate) fn write_request_id(headers: &mut HeaderMap, id: CallId, dialect: Dialect) {
    let id = id.to_string();
    set(headers, REQUEST_ID, &id);
    if dialect == Dialect::Messages {
        set(headers, ANTHROPIC_REQUEST_ID, &id);
    }
}

/// Writes how long to wait, in both forms that SDKs read.
pub(crate) fn write_retry_after(headers: &mut HeaderMap, wait: Duration) {
    let whole_seconds = wait.as_secs() + u64::from(0 < wait.subsec_nanos());
    let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    headers.insert(RETRY_AFTER, whole_seconds.into());
    headers.insert(RETRY_AFTER_MS, millis.into());
}

/// Sets a header; characters that a header cannot carry become `?`.
fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    let is_plain = |c: char| c == ' ' || c.is_ascii_graphic();
    let value = HeaderValue::from_str(value).or_else(|_| {
        let plain: String = value
            .chars()
            .map(|c| if is_plain(c) { c } else { '?' })
            .collect();
        HeaderValue::from_str(&plain)
    });
    if let Ok(value) = value {
        headers.insert(name, value);
    }
}
