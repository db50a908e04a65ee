//! What is told of schedules.

use crate::domain::{RunId, Timestamp};
use crate::evals::report::Verdict;
use crate::evals::suite::Overlap;
use serde::Serialize;

/// All schedules.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listing {
    /// Whether this process begins runs; else it only tells what is kept.
    pub is_firing: bool,
    /// Each, by the suite's name.
    pub schedules: Vec<View>,
}

/// A schedule, and what came of it last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// The suite's name.
    pub suite: String,
    /// The suite's file.
    pub path: String,
    /// Five fields of cron.
    pub cron: String,
    /// The time zone they are in.
    pub time_zone: String,
    /// What happens when the run before is not over.
    pub overlap: Overlap,
    /// Whether a run that was missed is made up for.
    pub catches_up: bool,
    /// Whether a run goes on here.
    pub is_running: bool,
    /// When it is due next; `None` when never.
    pub next_due: Option<Timestamp>,
    /// The last due time that was run here.
    pub last_due: Option<Timestamp>,
    /// The last run, which may go on.
    pub run: Option<RunId>,
    /// What the last run that ended came to.
    pub verdict: Option<Verdict>,
    /// The same in a sentence.
    pub summary: Option<String>,
    /// Why there was no run, or none with a report.
    pub error: Option<String>,
    /// Why somebody could not be told.
    pub alert_error: Option<String>,
    /// A due time that waits for the run before it.
    pub waiting: Option<Timestamp>,
    /// The last due time that was left out because the run before was not over.
    pub skipped: Option<Timestamp>,
    /// The last due time at which no process ran.
    pub missed: Option<Timestamp>,
    /// The last due time that another gateway claimed.
    pub claimed_elsewhere: Option<Timestamp>,
    /// What a sentinel has seen; `None` for others, and before the first complete run.
    pub sentinel: Option<SentinelView>,
}

/// What a sentinel has seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SentinelView {
    /// The run that others are compared with.
    pub reference: RunId,
    /// The pass rate of each run, oldest first.
    pub rates: Vec<f64>,
    /// Why the provider is believed to have changed.
    pub drift: Option<String>,
}
