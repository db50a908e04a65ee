//! `/api/evals/schedules`: suites that run by themselves, and what came of them last.

use crate::evals::report::Verdict;
use crate::evals::schedule::{Listing, Scheduler};
use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::sync::Arc;

/// Lists schedules by suite.
pub(crate) async fn list(State(scheduler): State<Arc<Scheduler>>) -> Json<Value> {
    let listing = scheduler.list().await;
    Json(json!({
        "object": "list",
        "is_firing": listing.is_firing,
        "data": listing.schedules,
    }))
}

/// Returns the gauges of schedules in Prometheus' text format; empty without schedules.
pub(crate) fn metrics(listing: &Listing) -> String {
    let mut page = String::new();
    for (name, help) in [
        ("ok", "Whether the last scheduled run of a suite passed."),
        (
            "drift",
            "Whether a sentinel sees another provider than before.",
        ),
    ] {
        let mut lines = String::new();
        for schedule in &listing.schedules {
            let value = match name {
                "ok" => schedule.verdict.map(|verdict| verdict == Verdict::Passed),
                _ => schedule.sentinel.as_ref().map(|seen| seen.drift.is_some()),
            };
            let Some(value) = value else { continue };
            let suite = schedule.suite.replace('\\', "\\\\").replace('"', "\\\"");
            let value = u8::from(value);
            // Writing to a string cannot fail.
            let _ = writeln!(
                lines,
                "promptgate_eval_schedule_{name}{{suite=\"{suite}\"}} {value}"
            );
        }
        if !lines.is_empty() {
            let _ = write!(
                page,
                "# HELP promptgate_eval_schedule_{name} {help}\n# TYPE promptgate_eval_schedule_{name} gauge\n{lines}"
            );
        }
    }
    page
}
