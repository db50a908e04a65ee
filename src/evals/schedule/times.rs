//! When a schedule is due: five fields of cron in a time zone.

use crate::domain::Timestamp;
use cronexpr::{Crontab, MakeTimestamp};

/// Due times that are looked back through for the last one; a schedule of every minute has as many in a week.
const MAX_MISSED: usize = 10_080;

/// When a suite is due.
#[derive(Debug, Clone)]
pub struct Times {
    crontab: Crontab,
    /// Whether it names hours. What runs in every hour also runs in the one that comes twice.
    names_hours: bool,
}

/// Why a schedule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the schedule `{cron}` in `{time_zone}` cannot be read: {reason}")]
pub struct TimesError {
    /// The five fields.
    pub cron: String,
    /// The time zone.
    pub time_zone: String,
    /// In words.
    pub reason: String,
}

impl Times {
    /// Reads five fields (minute, hour, day of month, month, day of week) that hold in the time zone of that IANA
    /// name.
    ///
    /// # Errors
    ///
    /// When the fields or the zone are none.
    pub fn parse(cron: &str, time_zone: &str) -> Result<Self, TimesError> {
        let fields = cron.split_whitespace().count();
        let read = if fields == 5 {
            cronexpr::parse_crontab(&format!("{cron} {time_zone}"))
                .map_err(|error| one_line(&error))
        } else {
            Err(format!(
                "it has {fields} fields, and must have 5: minute, hour, day of month, month, day of week"
            ))
        };
        let hours = cron.split_whitespace().nth(1).unwrap_or_default();
        let names_hours = !hours.starts_with('*');
        read.map(|crontab| Self {
            crontab,
            names_hours,
        })
        .map_err(|reason| TimesError {
            cron: cron.to_owned(),
            time_zone: time_zone.to_owned(),
            reason,
        })
    }

    /// Returns the first due time after `time`; `None` when there is none (30 February).
    #[must_use]
    pub fn after(&self, time: Timestamp) -> Option<Timestamp> {
        let time = MakeTimestamp::from_microsecond(time.0).ok()?;
        let mut next = self.crontab.find_next(time).ok()?;
        let before = jiff::Timestamp::from_microsecond(time.0.as_microsecond()).ok()?;
        let before = before.to_zoned(next.time_zone().clone());
        if self.names_hours && next.datetime() == before.datetime() {
            // Clocks were set back: the same time of the same day once more.
            next = self.crontab.find_next(next.timestamp()).ok()?;
        }
        Some(Timestamp(next.timestamp().as_microsecond()))
    }

    /// Returns the last due time after `from` and not after `to`; `None` when there is none.
    #[must_use]
    pub fn last_between(&self, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        let mut last = None;
        let mut time = from;
        for _ in 0..MAX_MISSED {
            match self.after(time) {
                Some(next) if next <= to => (last, time) = (Some(next), next),
                _ => return last,
            }
        }
        last
    }
}

fn one_line(error: &cronexpr::Error) -> String {
    let text = error.to_string();
    let lines: Vec<&str> = text
        .lines()
        .map(|line| line.trim_matches([' ', '^']))
        .filter(|line| !line.is_empty())
        .collect();
    lines
        .last()
        .map_or_else(String::new, |line| (*line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::Times;
    use crate::domain::Timestamp;

    fn at(text: &str) -> Timestamp {
        let time: jiff::Timestamp = text.parse().unwrap();
        Timestamp(time.as_microsecond())
    }

    #[test]
    fn the_next_time_is_found_in_the_zone() {
        for (cron, zone, from, next) in [
            (
                "17 3 * * *",
                "UTC",
                "2026-11-25T03:16:59Z",
                "2026-11-25T03:17:00Z",
            ),
            (
                "17 3 * * *",
                "UTC",
                "2026-11-25T03:17:00Z",
                "2026-11-26T03:17:00Z",
            ),
            (
                "17 3 * * *",
                "Europe/Berlin",
                "2026-11-25T00:00:00Z",
                "2026-11-25T02:17:00Z",
            ),
            (
                "17 3 * * *",
                "Europe/Berlin",
                "2026-07-01T00:00:00Z",
                "2026-07-01T01:17:00Z",
            ),
            (
                "0 9 * * mon-fri",
                "America/New_York",
                "2026-11-27T15:00:00Z",
                "2026-11-30T14:00:00Z",
            ),
            (
                "*/15 * * * *",
                "UTC",
                "2026-12-31T23:50:00Z",
                "2027-01-01T00:00:00Z",
            ),
            (
                "0 0 29 2 *",
                "UTC",
                "2026-03-01T00:00:00Z",
                "2028-02-29T00:00:00Z",
            ),
        ] {
            let times = Times::parse(cron, zone).unwrap();
            assert_eq!(
                times.after(at(from)),
                Some(at(next)),
                "{cron} {zone} {from}"
            );
        }
    }

    #[test]
    fn a_clock_that_is_changed_makes_nothing_due_twice() {
        let times = Times::parse("30 2 * * *", "Europe/Berlin").unwrap();
        // On the last Sunday of October 02:30 comes twice.
        let mut time = at("2026-10-24T12:00:00Z");
        let mut days = Vec::new();
        for _ in 0..3 {
            time = times.after(time).unwrap();
            let local = jiff::Timestamp::from_microsecond(time.0).unwrap();
            days.push(local.in_tz("Europe/Berlin").unwrap().day());
        }
        assert_eq!(days, [25, 26, 27]);
    }

    #[test]
    fn what_was_missed_is_one_time() {
        let times = Times::parse("0 * * * *", "UTC").unwrap();
        let (from, to) = (at("2026-11-25T00:30:00Z"), at("2026-11-25T05:10:00Z"));
        assert_eq!(
            times.last_between(from, to),
            Some(at("2026-11-25T05:00:00Z"))
        );
        assert_eq!(times.last_between(to, at("2026-11-25T05:59:00Z")), None);
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (cron, zone) in [
            ("", "UTC"),
            ("0 3 * *", "UTC"),
            ("60 3 * * *", "UTC"),
            ("0 24 * * *", "UTC"),
            ("0 3 0 * *", "UTC"),
            ("0 3 * 13 *", "UTC"),
            ("0 3 * * 8", "UTC"),
            ("*/0 3 * * *", "UTC"),
            ("+5 3 * * *", "UTC"),
            ("1,, 3 * * *", "UTC"),
            ("0 3 * * *", "Mars/Olympus"),
        ] {
            let error = Times::parse(cron, zone).unwrap_err().to_string();
            assert!(error.contains(cron) && error.contains(zone), "{error}");
        }
        for good in [
            "*/15 0-6,22 1 jan-jun mon-fri",
            "0 0 31 12 7",
            "5-50/5 * * * SUN",
        ] {
            assert!(Times::parse(good, "UTC").is_ok(), "{good}");
        }
    }
}
