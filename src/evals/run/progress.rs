//! How far a run is.

use crate::domain::{PicoDollars, RunId};
use crate::evals::grade::Mark;
use crate::evals::row::Row;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How far a run is. The newest one counts; those between may be missed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The run.
    pub run: RunId,
    /// Cells there are.
    pub total: u64,
    /// Cells that have a row.
    pub done: u64,
    /// Of these, passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Could not be judged.
    pub errors: u64,
    /// Answered from the cache.
    pub cached: u64,
    /// Taken over from before the run was cut.
    pub resumed: u64,
    /// Spent on cases.
    pub case_pico_usd: PicoDollars,
    /// Spent on judges.
    pub judge_pico_usd: PicoDollars,
    /// Calls whose cost is not known; the sums are without them.
    pub unpriced: u64,
    /// Calls that the busiest model is asked at once.
    pub concurrency: u32,
    /// Milliseconds since the process began with it.
    pub elapsed_ms: u64,
    /// Milliseconds that are left, by what it took so far.
    pub left_ms: Option<u64>,
}

impl Progress {
    /// Begins.
    pub(super) const fn new(run: RunId, total: u64, concurrency: u32) -> Self {
        Self {
            run,
            total,
            done: 0,
            passed: 0,
            failed: 0,
            errors: 0,
            cached: 0,
            resumed: 0,
            case_pico_usd: PicoDollars(0),
            judge_pico_usd: PicoDollars(0),
            unpriced: 0,
            concurrency,
            elapsed_ms: 0,
            left_ms: None,
        }
    }

    /// Counts a row.
    pub(super) fn count(&mut self, row: &Row, is_resumed: bool) {
        self.done += 1;
        match row.grade.mark {
            Mark::Pass => self.passed += 1,
            Mark::Fail => self.failed += 1,
            Mark::Error => self.errors += 1,
        }
        self.resumed += u64::from(is_resumed);
        let answer = row.answer.as_ref();
        let is_cached = answer.is_some_and(|answer| answer.cached_from.is_some());
        self.cached += u64::from(is_cached && !is_resumed);
    }

    /// Notes the time, and what it says of the rest.
    pub(super) fn note_time(&mut self, elapsed: Duration) {
        self.elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        // What was taken over took no time.
        let worked = self.done.saturating_sub(self.resumed);
        let left = self.total.saturating_sub(self.done);
        let left_ms = u128::from(self.elapsed_ms) * u128::from(left) / u128::from(worked.max(1));
        self.left_ms = (0 < worked).then(|| u64::try_from(left_ms).unwrap_or(u64::MAX));
    }
}
