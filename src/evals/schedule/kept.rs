//! What is kept of a schedule from one process to the next.

use crate::domain::{RunId, Timestamp};
use crate::evals::report::Verdict;
use crate::evals::schedule::sentinel::Watch;
use serde::{Deserialize, Serialize};

/// What is kept of the schedule of one suite.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Kept {
    /// The fields of cron that the rest is of.
    pub(super) cron: String,
    /// Their time zone.
    pub(super) time_zone: String,
    /// All due times up to here are dealt with.
    pub(super) handled_until: Option<Timestamp>,
    /// What was claimed and has no end yet.
    pub(super) pending: Option<Pending>,
    /// A due time that waits for the run before it.
    pub(super) waiting: Option<Timestamp>,
    /// The last due time that was run here.
    pub(super) last_due: Option<Timestamp>,
    /// Its run.
    pub(super) run: Option<RunId>,
    /// What it came to.
    pub(super) verdict: Option<Verdict>,
    /// The same in a sentence.
    pub(super) summary: Option<String>,
    /// Why there was no run, or none with a report.
    pub(super) error: Option<String>,
    /// Why somebody could not be told.
    pub(super) alert_error: Option<String>,
    /// The last due time that was left out because the run before was not over.
    pub(super) skipped: Option<Timestamp>,
    /// The last due time at which no process ran.
    pub(super) missed: Option<Timestamp>,
    /// The last due time that another gateway claimed.
    pub(super) claimed_elsewhere: Option<Timestamp>,
    /// What a sentinel has seen.
    pub(super) sentinel: Option<Watch>,
}

/// A due time that was claimed and is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    /// The due time.
    pub(super) due: Timestamp,
    /// The run, once it began.
    pub(super) run: Option<RunId>,
}

/// What a due time comes to that was claimed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is begun.
    Begin(Pending),
    /// It waits for the run before.
    Wait,
    /// It is left out.
    Skip,
}

impl Kept {
    /// Takes up the schedule as it is in the file: other times count from `now`. Returns whether something is
    /// to be kept.
    pub(super) fn take_up(&mut self, cron: &str, time_zone: &str, now: Timestamp) -> bool {
        if self.handled_until.is_some() && self.cron == cron && self.time_zone == time_zone {
            return false;
        }
        self.handled_until = Some(self.handled_until.unwrap_or(now).max(now));
        cron.clone_into(&mut self.cron);
        time_zone.clone_into(&mut self.time_zone);
        true
    }

    /// Notes that `due` was claimed here; says what follows, with the run before still going on or not.
    pub(super) fn claimed(&mut self, due: Timestamp, is_running: bool, waits: bool) -> Turn {
        self.handled_until = Some(due);
        if !is_running {
            let pending = Pending { due, run: None };
            self.pending = Some(pending);
            return Turn::Begin(pending);
        }
        if waits {
            // One waits; the older one would say the same.
            if let Some(older) = self.waiting.replace(due) {
                self.skipped = Some(older);
            }
            return Turn::Wait;
        }
        self.skipped = Some(due);
        Turn::Skip
    }

    /// Takes what waited, when the run before is over.
    pub(super) fn next(&mut self) -> Option<Pending> {
        let due = self.waiting.take()?;
        let pending = Pending { due, run: None };
        self.pending = Some(pending);
        Some(pending)
    }
}

#[cfg(test)]
mod tests {
    use super::{Kept, Pending, Turn};
    use crate::domain::Timestamp;

    const fn pending(due: i64) -> Pending {
        Pending {
            due: Timestamp(due),
            run: None,
        }
    }

    #[test]
    fn while_a_run_goes_on_the_next_is_left_out_and_told() {
        let mut kept = Kept::default();
        let turn = kept.claimed(Timestamp(60), false, false);
        assert_eq!(turn, Turn::Begin(pending(60)));
        assert_eq!(kept.claimed(Timestamp(120), true, false), Turn::Skip);
        assert_eq!(kept.skipped, Some(Timestamp(120)));
        assert_eq!(kept.handled_until, Some(Timestamp(120)));
        // What goes on is still the first.
        assert_eq!(kept.pending, Some(pending(60)));
        assert_eq!(kept.next(), None);
    }

    #[test]
    fn one_waits_and_no_more() {
        let mut kept = Kept::default();
        kept.claimed(Timestamp(60), false, true);
        assert_eq!(kept.claimed(Timestamp(120), true, true), Turn::Wait);
        assert_eq!(kept.claimed(Timestamp(180), true, true), Turn::Wait);
        assert_eq!(kept.skipped, Some(Timestamp(120)));
        assert_eq!(kept.next(), Some(pending(180)));
        assert_eq!((kept.pending, kept.next()), (Some(pending(180)), None));
    }

    #[test]
    fn other_times_count_from_now() {
        let mut kept = Kept::default();
        assert!(kept.take_up("0 3 * * *", "UTC", Timestamp(5)));
        assert!(!kept.take_up("0 3 * * *", "UTC", Timestamp(50)));
        assert_eq!(kept.handled_until, Some(Timestamp(5)));
        assert!(kept.take_up("0 4 * * *", "UTC", Timestamp(70)));
        assert_eq!(kept.handled_until, Some(Timestamp(70)));
        assert!(kept.take_up("0 4 * * *", "Europe/Berlin", Timestamp(60)));
        assert_eq!(kept.handled_until, Some(Timestamp(70)));
        let text = serde_json::to_string(&kept).unwrap();
        assert_eq!(serde_json::from_str::<Kept>(&text).unwrap(), kept);
    }
}
