//! When a provider turns a model off, and whether that is near enough to be told.

use crate::domain::Timestamp;
use crate::metering::PriceRow;
use jiff::Timestamp as Instant;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;

/// How many days before it a retirement is told with every answer.
const NOTICE_DAYS: i64 = 60;

/// The day from which on a model is no longer there, as seen from another day. Days are UTC's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retirement {
    day: Date,
    days_left: i64,
}

impl Retirement {
    /// Returns the day that `date` (`2026-12-11`) names, as seen at a time; `None` when it is no date.
    #[must_use]
    pub fn of(date: &str, at: Timestamp) -> Option<Self> {
        let day: Date = date.parse().ok()?;
        let midnight = day.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let now = Instant::from_microsecond(at.0).ok()?;
        let today = now.to_zoned(TimeZone::UTC).date();
        let today = today.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let days_left = (midnight.as_second() - today.as_second()) / 86_400;
        Some(Self { day, days_left })
    }

    /// Returns the day: `2026-12-11`.
    #[must_use]
    pub const fn day(self) -> Date {
        self.day
    }

    /// Returns the days until then; 0 on the day itself, negative afterwards.
    #[must_use]
    pub const fn days_left(self) -> i64 {
        self.days_left
    }

    /// Whether it is at most sixty days away, or past.
    #[must_use]
    pub const fn is_near(self) -> bool {
        self.days_left <= NOTICE_DAYS
    }

    /// Whether the model is said to be gone.
    #[must_use]
    pub const fn is_past(self) -> bool {
        self.days_left <= 0
    }

    /// Returns the first moment of the day as a header says it (RFC 8594, RFC 9110):
    /// `Fri, 11 Dec 2026 00:00:00 GMT`.
    #[must_use]
    pub fn http_date(self) -> String {
        self.day.strftime("%a, %d %b %Y 00:00:00 GMT").to_string()
    }

    /// Returns the first moment of the day as JSON says it: `2026-12-11T00:00:00Z`.
    #[must_use]
    pub fn rfc3339(self) -> String {
        self.day.strftime("%Y-%m-%dT00:00:00Z").to_string()
    }
}

impl fmt::Display for Retirement {
    /// Goes on after the model: `will be shut down on 2026-12-11, in 15 days`.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, days) = (self.day, self.days_left);
        match days {
            1 => write!(formatter, "will be shut down on {day}, in 1 day"),
            2.. => write!(formatter, "will be shut down on {day}, in {days} days"),
            0 => write!(formatter, "is shut down today, on {day}"),
            -1 => write!(formatter, "was shut down on {day}, 1 day ago"),
            _ => write!(formatter, "was shut down on {day}, {} days ago", -days),
        }
    }
}

impl PriceRow {
    /// Returns the day the provider turns the model off, as seen at a time; `None` when none is known.
    #[must_use]
    pub fn retirement(&self, at: Timestamp) -> Option<Retirement> {
        Retirement::of(self.shutdown_date.as_deref()?, at)
    }
}

#[cfg(test)]
mod tests {
    use super::Retirement;
    use crate::domain::Timestamp;

    /// 2026-11-26T00:00:00Z.
    const TODAY: i64 = 1_795_651_200_000_000;

    #[test]
    fn a_day_is_told_from_sixty_days_before_on() {
        for (date, days, is_near, words) in [
            (
                "2027-01-26",
                61,
                false,
                "will be shut down on 2027-01-26, in 61 days",
            ),
            (
                "2027-01-25",
                60,
                true,
                "will be shut down on 2027-01-25, in 60 days",
            ),
            (
                "2026-11-27",
                1,
                true,
                "will be shut down on 2026-11-27, in 1 day",
            ),
            ("2026-11-26", 0, true, "is shut down today, on 2026-11-26"),
            (
                "2026-11-25",
                -1,
                true,
                "was shut down on 2026-11-25, 1 day ago",
            ),
            (
                "2026-01-31",
                -299,
                true,
                "was shut down on 2026-01-31, 299 days ago",
            ),
        ] {
            // The day is the same from its first moment to its last.
            for micros in [0, 86_399_999_999] {
                let it = Retirement::of(date, Timestamp(TODAY + micros)).unwrap();
                assert_eq!((it.days_left(), it.is_near()), (days, is_near), "{date}");
                assert_eq!(it.to_string(), words);
                assert_eq!(it.is_past(), days <= 0);
            }
        }
        for date in ["", "soon", "2026-13-01"] {
            assert_eq!(Retirement::of(date, Timestamp(TODAY)), None);
        }
    }

    #[test]
    fn headers_and_json_have_their_own_forms() {
        let it = Retirement::of("2026-12-11", Timestamp(TODAY)).unwrap();
        assert_eq!(it.http_date(), "Fri, 11 Dec 2026 00:00:00 GMT");
        assert_eq!(it.rfc3339(), "2026-12-11T00:00:00Z");
    }
}
