//! What the process tells about itself: logs on stderr, metrics for Prometheus, spans for an
//! OpenTelemetry collector.
//!
//! None of the three ever holds a prompt, an output, or a key.

mod error;
mod histogram;
mod logs;
mod metrics;
mod retiring;
mod spans;

pub use error::Error;
pub use logs::init_logs;
pub use metrics::Metrics;
#[cfg(test)]
pub(crate) use spans::tests::call as sample_call;

use crate::domain::{Attempt, CallId, CallIntent, CallOutcome, CallState, Secret, Timestamp};
use retiring::ToldToday;
use spans::Spans;
use std::fmt;
use std::time::Duration;

/// What is told, and to whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// The filter of the log, as in `RUST_LOG`: `info`, `promptgate=debug,warn`.
    pub log: String,
    /// Whether the log is JSON, one object per line.
    pub is_json: bool,
    /// The base URL of an OTLP collector (`http://127.0.0.1:4318`); `None` sends no spans.
    pub otlp_endpoint: Option<String>,
    /// Headers for the collector.
    pub otlp_headers: Vec<(String, Secret)>,
}

/// The metrics and the spans, fed by what happens. Log lines come with them.
#[derive(Debug)]
pub struct Telemetry {
    metrics: Metrics,
    spans: Option<Spans>,
    retiring: ToldToday,
}

impl Telemetry {
    /// Starts the export of spans, when there is a collector.
    ///
    /// The HTTP client of the exporter needs the cryptography of TLS to be installed in the
    /// process before, also for plain HTTP.
    ///
    /// # Errors
    ///
    /// [`Error::Exporter`] when the endpoint is no URL or the exporter cannot be started.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let spans = match &config.otlp_endpoint {
            None => None,
            Some(endpoint) => Some(Spans::start(endpoint, &config.otlp_headers)?),
        };
        Ok(Self {
            metrics: Metrics::default(),
            spans,
            retiring: ToldToday::default(),
        })
    }

    /// Returns the metrics.
    #[must_use]
    pub const fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Ends the export of spans: sends what is waiting, for at most `limit`. Blocks so long.
    pub fn flush(&self, limit: Duration) {
        if let Some(spans) = &self.spans {
            spans.shut_down(limit);
        }
    }

    /// A call began; every one must be followed by [`Self::call_finished`].
    pub fn call_begun(&self) {
        self.metrics.call_begun();
    }

    /// A call ended, one way or another.
    pub fn call_finished(&self, intent: &CallIntent, outcome: &CallOutcome) {
        self.metrics.call_finished(intent, outcome);
        if let Some(spans) = &self.spans {
            spans.export(intent, outcome);
        }
        let error = outcome.error.as_deref().unwrap_or_default();
        let total_ms = outcome.times.total_us / 1_000;
        let (call, provider, model) = (&outcome.id, &outcome.provider, &outcome.model);
        match outcome.state {
            CallState::Ok | CallState::ClientGone | CallState::Refused => tracing::debug!(
                %call, provider, model, state = ?outcome.state, error, total_ms, "call finished"
            ),
            CallState::UpstreamError | CallState::Timeout | CallState::CrashRecovered => {
                tracing::warn!(
                    %call, provider, model, state = ?outcome.state, error, total_ms, "call failed"
                );
            }
        }
    }

    /// A call goes to a model that is turned off soon, or should be off: counted each time, and logged once a
    /// day for a prompt and a model. `day` goes on after the model: `will be shut down on …`.
    pub fn retiring_model_called(
        &self,
        prompt: Option<&str>,
        model: &str,
        day: &str,
        at: Timestamp,
    ) {
        self.metrics.retiring_model_called();
        if self.retiring.is_first(prompt, model, at) {
            tracing::warn!(prompt, model, "the model {day}: choose another one");
        }
    }

    /// An attempt failed; another may follow.
    pub fn attempt_failed(&self, call: CallId, attempt: &Attempt) {
        let error = attempt.error.as_deref().unwrap_or_default();
        let duration_ms = attempt.duration_us / 1_000;
        tracing::info!(
            %call,
            provider = attempt.provider,
            model = attempt.model,
            status = attempt.status,
            error,
            duration_ms,
            "attempt failed"
        );
    }

    /// A set of prompts serves from now on.
    pub fn prompts_loaded(&self, count: usize, commit: Option<&str>) {
        self.metrics.prompts_loaded(count);
        tracing::info!(count, commit, "prompts loaded");
    }

    /// A set of prompts was refused; the one before keeps serving.
    pub fn prompts_rejected(&self, commit: Option<&str>, error: &dyn fmt::Display) {
        self.metrics.prompts_rejected();
        tracing::error!(commit, %error, "prompts rejected");
    }

    /// A call is served without a record, because the operator allows it.
    pub fn call_unrecorded(&self, error: &dyn fmt::Display) {
        self.metrics.call_unrecorded();
        tracing::error!(%error, "call served without a record");
    }

    /// A call ended and its outcome could not be recorded; the next start will close it.
    pub fn outcome_unrecorded(&self, call: CallId, error: &dyn fmt::Display) {
        self.metrics.outcome_unrecorded();
        tracing::error!(%call, %error, "outcome not recorded");
    }

    /// A shadow was left out, because too much waits already.
    pub fn shadow_left_out(&self, call: CallId) {
        self.metrics.shadow_left_out();
        tracing::debug!(%call, "a shadow was left out");
    }

    /// The journal failed in another way.
    pub fn journal_trouble(&self, error: &dyn fmt::Display) {
        self.metrics.journal_trouble();
        tracing::error!(%error, "journal trouble");
    }
}
