//! The response headers that say what an answer was made from.

use crate::domain::{CallId, CostQuality};
use crate::proxy::AnswerFacts;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

tokio::task_local! {
    /// The id of the request that the running task serves; set by the request id layer.
    static REQUEST_ID: CallId;
}

/// Returns the id of the request being served, for error bodies.
pub(crate) fn current_request_id() -> Option<String> {
    REQUEST_ID.try_with(ToString::to_string).ok()
}

/// Runs `future` as the service of request `id`.
pub(crate) async fn with_request_id<F: Future>(id: CallId, future: F) -> F::Output {
    REQUEST_ID.scope(id, future).await
}

/// Writes the `x-promptgate-*` family and the provider's rate limits.
pub(crate) fn write_facts(headers: &mut HeaderMap, facts: &AnswerFacts) {
    if let Some(prompt) = &facts.prompt {
        set(headers, "x-promptgate-prompt", prompt.key.as_str());
        set(headers, "x-promptgate-version", &prompt.version());
        set(headers, "x-promptgate-hash", &prompt.hash.to_string());
        if let Some(commit) = &prompt.commit {
            set(headers, "x-promptgate-commit", commit);
        }
        if let Some(label) = &prompt.label {
            set(headers, "x-promptgate-label", label);
        }
        if prompt.dirty {
            set(headers, "x-promptgate-dirty", "true");
        }
    }
    if !facts.provider.is_empty() {
        set(headers, "x-promptgate-provider", &facts.provider);
        set(headers, "x-promptgate-model", &facts.model);
        set(
            headers,
            "x-promptgate-attempts",
            &facts.attempts.to_string(),
        );
        set(
            headers,
            "x-promptgate-overhead-us",
            &facts.overhead_us.to_string(),
        );
        set(headers, "x-promptgate-cache", "off");
        let durability = facts.durability.map_or("none", |level| level.as_str());
        set(headers, "x-promptgate-durability", durability);
    }
    if let Some(cost) = &facts.cost
        && let Some(amount) = cost.pico_usd
    {
        set(headers, "x-promptgate-cost-usd", &amount.to_dollars());
        if cost.quality == CostQuality::Estimated {
            set(headers, "x-promptgate-cost-quality", "estimated");
        }
    }
    if !facts.warnings.is_empty() {
        set(headers, "x-promptgate-warnings", &facts.warnings.join("; "));
    }
    for (name, value) in &facts.rate_limits {
        headers.insert(name.clone(), value.clone());
    }
}

/// Writes how long to wait, in both forms that SDKs read.
pub(crate) fn write_retry_after(headers: &mut HeaderMap, wait: Duration) {
    let whole_seconds = wait.as_secs() + u64::from(0 < wait.subsec_nanos());
    set(headers, "retry-after", &whole_seconds.to_string());
    set(headers, "retry-after-ms", &wait.as_millis().to_string());
}

/// Sets a header; characters that a header cannot carry become `?`.
fn set(headers: &mut HeaderMap, name: &str, value: &str) {
    let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else {
        return;
    };
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
