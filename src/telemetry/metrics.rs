//! Counters of what happened, in Prometheus' text format.
//!
//! Labels come from closed sets only: a label that a client or a prompt could choose would let them
//! fill the memory of every scraper.

use crate::domain::{
    CallIntent, CallOutcome, CallState, CostQuality, Operation, PicoDollars, TokenUsage,
};
use crate::telemetry::histogram::Histogram;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const OPERATIONS: [(Operation, &str); 4] = [
    (Operation::Chat, "chat"),
    (Operation::Embeddings, "embeddings"),
    (Operation::Raw, "raw"),
    (Operation::Count, "count"),
];

const STATES: [(CallState, &str); 6] = [
    (CallState::Ok, "ok"),
    (CallState::ClientGone, "client_gone"),
    (CallState::UpstreamError, "upstream_error"),
    (CallState::Timeout, "timeout"),
    (CallState::Refused, "refused"),
    (CallState::CrashRecovered, "crash_recovered"),
];

const QUALITIES: [(CostQuality, &str); 3] = [
    (CostQuality::Exact, "exact"),
    (CostQuality::Estimated, "estimated"),
    (CostQuality::Unknown, "unknown"),
];

/// The gateway's own work on a call: tens of microseconds when all is well.
const OVERHEAD_US: [u64; 10] = [
    50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 100_000, 1_000_000,
];

/// What models take: a tenth of a second to minutes.
const ANSWER_US: [u64; 11] = [
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    120_000_000,
    600_000_000,
];

/// The counters of the process.
#[derive(Debug)]
pub struct Metrics {
    calls: [[AtomicU64; STATES.len()]; OPERATIONS.len()],
    begun: AtomicU64,
    ended: AtomicU64,
    attempts: AtomicU64,
    failed_attempts: AtomicU64,
    input_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    output_tokens: AtomicU64,
    reasoning_tokens: AtomicU64,
    cost_pico_usd: AtomicU64,
    costs: [AtomicU64; QUALITIES.len()],
    unrecorded_calls: AtomicU64,
    shadows_left_out: AtomicU64,
    retiring_model_calls: AtomicU64,
    unrecorded_outcomes: AtomicU64,
    journal_troubles: AtomicU64,
    prompts: AtomicU64,
    prompt_loads: AtomicU64,
    prompt_rejections: AtomicU64,
    overhead: Histogram<{ OVERHEAD_US.len() }>,
    duration: Histogram<{ ANSWER_US.len() }>,
    first_content: Histogram<{ ANSWER_US.len() }>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            calls: Default::default(),
            begun: AtomicU64::default(),
            ended: AtomicU64::default(),
            attempts: AtomicU64::default(),
            failed_attempts: AtomicU64::default(),
            input_tokens: AtomicU64::default(),
            cached_tokens: AtomicU64::default(),
            output_tokens: AtomicU64::default(),
            reasoning_tokens: AtomicU64::default(),
            cost_pico_usd: AtomicU64::default(),
            costs: Default::default(),
            unrecorded_calls: AtomicU64::default(),
            shadows_left_out: AtomicU64::default(),
            retiring_model_calls: AtomicU64::default(),
            unrecorded_outcomes: AtomicU64::default(),
            journal_troubles: AtomicU64::default(),
            prompts: AtomicU64::default(),
            prompt_loads: AtomicU64::default(),
            prompt_rejections: AtomicU64::default(),
            overhead: Histogram::new(OVERHEAD_US),
            duration: Histogram::new(ANSWER_US),
            first_content: Histogram::new(ANSWER_US),
        }
    }
}

impl Metrics {
    pub(super) fn call_begun(&self) {
        self.begun.fetch_add(1, Relaxed);
    }

    pub(super) fn call_finished(&self, intent: &CallIntent, outcome: &CallOutcome) {
        self.ended.fetch_add(1, Relaxed);
        for ((operation, _), counts) in OPERATIONS.iter().zip(&self.calls) {
            for ((state, _), count) in STATES.iter().zip(counts) {
                let is_this = *operation == intent.operation && *state == outcome.state;
                count.fetch_add(u64::from(is_this), Relaxed);
            }
        }
        for attempt in &outcome.attempts {
            self.attempts.fetch_add(1, Relaxed);
            let is_failed = u64::from(attempt.error.is_some());
            self.failed_attempts.fetch_add(is_failed, Relaxed);
        }
        self.add_tokens(outcome.usage.unwrap_or_default());
        let cost = outcome.cost.pico_usd.unwrap_or_default();
        self.cost_pico_usd.fetch_add(cost.0, Relaxed);
        for ((quality, _), count) in QUALITIES.iter().zip(&self.costs) {
            count.fetch_add(u64::from(*quality == outcome.cost.quality), Relaxed);
        }
        self.overhead.add(intent.overhead_us);
        self.duration.add(outcome.times.total_us);
        if let Some(first_content) = outcome.times.first_content_us {
            self.first_content.add(first_content);
        }
    }

    fn add_tokens(&self, usage: TokenUsage) {
        self.input_tokens.fetch_add(usage.input, Relaxed);
        self.cached_tokens.fetch_add(usage.cached_input, Relaxed);
        self.output_tokens.fetch_add(usage.output, Relaxed);
        self.reasoning_tokens.fetch_add(usage.reasoning, Relaxed);
    }

    pub(super) fn call_unrecorded(&self) {
        self.unrecorded_calls.fetch_add(1, Relaxed);
    }

    pub(super) fn retiring_model_called(&self) {
        self.retiring_model_calls.fetch_add(1, Relaxed);
    }

    pub(super) fn shadow_left_out(&self) {
        self.shadows_left_out.fetch_add(1, Relaxed);
    }

    pub(super) fn outcome_unrecorded(&self) {
        self.unrecorded_outcomes.fetch_add(1, Relaxed);
    }

    pub(super) fn journal_trouble(&self) {
        self.journal_troubles.fetch_add(1, Relaxed);
    }

    pub(super) fn prompts_loaded(&self, count: usize) {
        self.prompt_loads.fetch_add(1, Relaxed);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.prompts.store(count, Relaxed);
    }

    pub(super) fn prompts_rejected(&self) {
        self.prompt_rejections.fetch_add(1, Relaxed);
    }

    /// Returns everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render_prometheus(&self) -> String {
        let mut page = Page::default();
        let version = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
        page.head("build_info", "gauge", "The version that runs.");
        page.line("build_info", version, "1");
        self.render_calls(&mut page);
        self.render_money(&mut page);
        self.render_troubles(&mut page);
        let Page(mut text) = page;
        let overhead = "The gateway's own work from the read request to the recorded intent.";
        let durations = [
            (
                "promptgate_call_duration_seconds",
                "How long calls took.",
                &self.duration,
            ),
            (
                "promptgate_first_content_seconds",
                "How long the first content of streams took.",
                &self.first_content,
            ),
        ];
        self.overhead
            .render("promptgate_overhead_seconds", overhead, &mut text);
        for (name, help, histogram) in durations {
            histogram.render(name, help, &mut text);
        }
        text
    }

    fn render_calls(&self, page: &mut Page) {
        page.head("calls_total", "counter", "Calls that ended, by how.");
        for ((_, operation), counts) in OPERATIONS.iter().zip(&self.calls) {
            for ((_, state), count) in STATES.iter().zip(counts) {
                let labels = format!("{{operation=\"{operation}\",state=\"{state}\"}}");
                page.line("calls_total", &labels, &count.load(Relaxed).to_string());
            }
        }
        let ended = self.ended.load(Relaxed);
        let in_flight = self.begun.load(Relaxed).saturating_sub(ended);
        page.head("calls_in_flight", "gauge", "Calls that have not ended.");
        page.line("calls_in_flight", "", &in_flight.to_string());
        let attempts = self.attempts.load(Relaxed);
        let failed = self.failed_attempts.load(Relaxed);
        let good = attempts.saturating_sub(failed);
        page.head("attempts_total", "counter", "Requests to providers.");
        page.line("attempts_total", "{result=\"ok\"}", &good.to_string());
        page.line("attempts_total", "{result=\"error\"}", &failed.to_string());
    }

    fn render_money(&self, page: &mut Page) {
        let help = "Tokens; cached ones are part of the input, reasoning of the output.";
        page.head("tokens_total", "counter", help);
        for (class, count) in [
            ("input", &self.input_tokens),
            ("cached_input", &self.cached_tokens),
            ("output", &self.output_tokens),
            ("reasoning", &self.reasoning_tokens),
        ] {
            let labels = format!("{{class=\"{class}\"}}");
            page.line("tokens_total", &labels, &count.load(Relaxed).to_string());
        }
        let cost = PicoDollars(self.cost_pico_usd.load(Relaxed)).to_dollars();
        page.head("cost_usd_total", "counter", "Known costs in US dollars.");
        page.line("cost_usd_total", "", &cost);
        page.head(
            "costs_total",
            "counter",
            "Calls by how well their cost is known.",
        );
        for ((_, quality), count) in QUALITIES.iter().zip(&self.costs) {
            let labels = format!("{{quality=\"{quality}\"}}");
            page.line("costs_total", &labels, &count.load(Relaxed).to_string());
        }
    }

    fn render_troubles(&self, page: &mut Page) {
        for (name, help, count) in [
            (
                "unrecorded_calls_total",
                "Calls that were served without a record.",
                &self.unrecorded_calls,
            ),
            (
                "unrecorded_outcomes_total",
                "Calls whose outcome could not be recorded.",
                &self.unrecorded_outcomes,
            ),
            (
                "shadows_left_out_total",
                "Runs in the shadow of a call that found no room.",
                &self.shadows_left_out,
            ),
            (
                "retiring_model_calls_total",
                "Calls to models that are turned off within sixty days, or should be off.",
                &self.retiring_model_calls,
            ),
            (
                "journal_troubles_total",
                "Failures of the journal.",
                &self.journal_troubles,
            ),
            (
                "prompt_loads_total",
                "Sets of prompts that were taken.",
                &self.prompt_loads,
            ),
            (
                "prompt_rejections_total",
                "Sets of prompts that were refused.",
                &self.prompt_rejections,
            ),
        ] {
            page.head(name, "counter", help);
            page.line(name, "", &count.load(Relaxed).to_string());
        }
        page.head("prompts", "gauge", "Prompts that are served.");
        page.line("prompts", "", &self.prompts.load(Relaxed).to_string());
    }
}

/// Lines in Prometheus' text format, every name with the prefix.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP promptgate_{name} {help}\n# TYPE promptgate_{name} {kind}"
        );
    }

    fn line(&mut self, name: &str, labels: &str, value: &str) {
        let _ = writeln!(self.0, "promptgate_{name}{labels} {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::Metrics;
    use crate::telemetry::spans::tests::call;
    use std::collections::BTreeSet;

    #[test]
    fn calls_are_counted() {
        let metrics = Metrics::default();
        let (intent, outcome) = call();
        metrics.call_begun();
        metrics.call_begun();
        metrics.call_finished(&intent, &outcome);
        metrics.prompts_loaded(7);
        metrics.call_unrecorded();
        let page = metrics.render_prometheus();
        for line in [
            "promptgate_calls_total{operation=\"chat\",state=\"ok\"} 1",
            "promptgate_calls_total{operation=\"embeddings\",state=\"ok\"} 0",
            "promptgate_calls_in_flight 1",
            "promptgate_attempts_total{result=\"ok\"} 1",
            "promptgate_attempts_total{result=\"error\"} 1",
            "promptgate_tokens_total{class=\"input\"} 100",
            "promptgate_tokens_total{class=\"cached_input\"} 40",
            "promptgate_cost_usd_total 0.00042",
            "promptgate_costs_total{quality=\"exact\"} 1",
            "promptgate_unrecorded_calls_total 1",
            "promptgate_prompts 7",
            "promptgate_overhead_seconds_bucket{le=\"0.0001\"} 1",
            "promptgate_call_duration_seconds_sum 1.5",
            "promptgate_first_content_seconds_count 1",
        ] {
            assert!(page.lines().any(|found| found == line), "{line}\n{page}");
        }
    }

    #[test]
    fn every_series_is_introduced_and_occurs_once() {
        let page = Metrics::default().render_prometheus();
        let mut seen = BTreeSet::new();
        let mut introduced = String::new();
        for line in page.lines() {
            if let Some(rest) = line.strip_prefix("# TYPE ") {
                introduced = rest.split(' ').next().unwrap().to_owned();
            } else if !line.starts_with('#') {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(series.starts_with(&introduced), "{line}");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.insert(series.to_owned()), "{line} twice");
            }
        }
        assert!(page.ends_with('\n'));
    }
}
