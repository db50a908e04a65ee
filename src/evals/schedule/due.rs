//! What is due now: pure, so that clocks may jump in tests.

use crate::domain::Timestamp;
use crate::evals::schedule::Times;

/// How late a due time may be begun and still counts as on time, in microseconds.
const LATE_US: i64 = 5 * 60 * 1_000_000;
/// A clock that is set back by more than this was wrong before, in microseconds.
const AHEAD_US: i64 = 24 * 3_600 * 1_000_000;
/// Where the newest missed time is looked for first, in microseconds: a schedule of every minute has
/// more due times in a month than are walked through.
const RECENT_US: i64 = 6 * 24 * 3_600 * 1_000_000;

/// What a schedule has to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// To wait.
    Nothing,
    /// To begin for this due time, the newest that has come.
    Due(Timestamp),
    /// To tell that this due time was missed.
    Missed(Timestamp),
    /// To count from now on: what was handled last lies in a future that will not come.
    CountFromNow,
}

/// Decides what is to be done at `now`, when all due times up to `handled` are dealt with. A clock that
/// jumps back finds nothing due that was before; however many times were missed, the newest counts.
pub(super) fn decide(
    times: &Times,
    handled: Timestamp,
    now: Timestamp,
    catches_up: bool,
) -> Decision {
    if now < handled {
        return if AHEAD_US < handled.0.saturating_sub(now.0) {
            Decision::CountFromNow
        } else {
            Decision::Nothing
        };
    }
    let recent = Timestamp(now.0.saturating_sub(RECENT_US)).max(handled);
    let newest = times.last_between(recent, now);
    match newest.or_else(|| times.last_between(handled, now)) {
        None => Decision::Nothing,
        Some(due) if !catches_up && LATE_US < now.0.saturating_sub(due.0) => Decision::Missed(due),
        Some(due) => Decision::Due(due),
    }
}

#[cfg(test)]
mod tests {
    use super::{Decision, decide};
    use crate::domain::Timestamp;
    use crate::evals::schedule::Times;

    fn at(text: &str) -> Timestamp {
        let time: jiff::Timestamp = text.parse().unwrap();
        Timestamp(time.as_microsecond())
    }

    #[track_caller]
    fn assert_decision(
        cron: &str,
        (handled, now): (&str, &str),
        catches_up: bool,
        expected: Decision,
    ) {
        let times = Times::parse(cron, "UTC").unwrap();
        let found = decide(&times, at(handled), at(now), catches_up);
        assert_eq!(found, expected, "{cron} {handled} {now}");
    }

    #[test]
    fn a_time_is_due_once_it_has_come() {
        let before = ("2026-11-25T03:17:00Z", "2026-11-26T03:16:59Z");
        assert_decision("17 3 * * *", before, false, Decision::Nothing);
        let then = ("2026-11-25T03:17:00Z", "2026-11-26T03:17:00Z");
        let due = Decision::Due(at("2026-11-26T03:17:00Z"));
        assert_decision("17 3 * * *", then, false, due);
        let handled = ("2026-11-26T03:17:00Z", "2026-11-26T03:17:01Z");
        assert_decision("17 3 * * *", handled, false, Decision::Nothing);
    }

    #[test]
    fn of_what_was_missed_the_newest_is_made_up_for_if_that_is_wanted() {
        let gap = ("2026-11-20T03:17:00Z", "2026-11-26T12:00:00Z");
        let newest = at("2026-11-26T03:17:00Z");
        assert_decision("17 3 * * *", gap, true, Decision::Due(newest));
        assert_decision("17 3 * * *", gap, false, Decision::Missed(newest));
        // A restart over a due time misses nothing.
        let restart = ("2026-11-25T03:17:00Z", "2026-11-26T03:19:00Z");
        assert_decision("17 3 * * *", restart, false, Decision::Due(newest));
    }

    #[test]
    fn the_newest_is_found_after_long_gaps_too() {
        let gap = ("2026-01-01T00:00:00Z", "2026-11-26T12:00:30Z");
        let newest = at("2026-11-26T12:00:00Z");
        assert_decision("* * * * *", gap, true, Decision::Due(newest));
        let newest = at("2026-11-01T00:00:00Z");
        assert_decision("0 0 1 * *", gap, true, Decision::Due(newest));
    }

    #[test]
    fn a_clock_that_jumps_back_makes_nothing_due_again() {
        let handled = "2026-11-26T03:17:00Z";
        for now in [
            "2026-11-26T03:16:59Z",
            "2026-11-26T03:00:00Z",
            "2026-11-25T03:17:30Z",
        ] {
            assert_decision("17 3 * * *", (handled, now), true, Decision::Nothing);
        }
        // It stood in another year, and is right now.
        let wrong = ("2031-01-01T00:00:00Z", "2026-11-26T03:17:30Z");
        assert_decision("17 3 * * *", wrong, true, Decision::CountFromNow);
    }
}
