//! How long a provider asks to wait, in all the forms that providers use.

use crate::domain::Timestamp;
use crate::providers::refusal::text;
use http::HeaderMap;
use jiff::civil::DateTime;
use jiff::fmt::rfc2822;
use jiff::tz::Offset;
use std::time::Duration;

/// Returns the wait that `headers` ask for: `retry-after-ms`, else `retry-after`, else the reset
/// of the rate limit that is used up. Waits of zero, in the past, or that are no numbers are
/// ignored.
pub(super) fn wait(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let milliseconds = text(headers, "retry-after-ms").and_then(|value| number(value, 1e-3));
    milliseconds
        .or_else(|| text(headers, "retry-after").and_then(|value| seconds_or_date(value, now)))
        .or_else(|| reset(headers, now))
}

/// Returns when the limit resets that is used up; when none says so, the nearest reset.
fn reset(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    const LIMITS: [(&str, &str); 7] = [
        (
            "x-ratelimit-reset-requests",
            "x-ratelimit-remaining-requests",
        ),
        ("x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"),
        ("x-ratelimit-reset", "x-ratelimit-remaining"),
        (
            "anthropic-ratelimit-requests-reset",
            "anthropic-ratelimit-requests-remaining",
        ),
        (
            "anthropic-ratelimit-tokens-reset",
            "anthropic-ratelimit-tokens-remaining",
        ),
        (
            "anthropic-ratelimit-input-tokens-reset",
            "anthropic-ratelimit-input-tokens-remaining",
        ),
        (
            "anthropic-ratelimit-output-tokens-reset",
            "anthropic-ratelimit-output-tokens-remaining",
        ),
    ];
    let mut used_up = None;
    let mut nearest: Option<Duration> = None;
    for (reset, remaining) in LIMITS {
        let Some(wait) = text(headers, reset).and_then(|value| reset_value(value, now)) else {
            continue;
        };
        if text(headers, remaining).is_some_and(|left| left.trim() == "0") {
            used_up = used_up.max(Some(wait));
        }
        nearest = Some(nearest.map_or(wait, |other| other.min(wait)));
    }
    used_up.or(nearest)
}

/// Reads `12`, `1.5`, or a date of RFC 9110.
fn seconds_or_date(value: &str, now: Timestamp) -> Option<Duration> {
    if value.trim().parse::<f64>().is_ok() {
        return number(value, 1.0);
    }
    until(http_date(value.trim())?, now)
}

/// Reads `12`, a Unix time in seconds or milliseconds, `6m0s`, `250ms`, or a date of RFC 3339.
fn reset_value(value: &str, now: Timestamp) -> Option<Duration> {
    // A wait of more than a year is a point in time; of 30 000 years, one in milliseconds.
    const YEAR_SECONDS: f64 = 31_536_000.0;
    const MILLISECONDS_FROM: f64 = 1e12;
    let value = value.trim();
    if let Ok(plain) = value.parse::<f64>() {
        if plain < YEAR_SECONDS {
            return number(value, 1.0);
        }
        let seconds = if plain < MILLISECONDS_FROM {
            plain
        } else {
            plain / 1e3
        };
        let target = Duration::try_from_secs_f64(seconds).ok()?;
        return until(i64::try_from(target.as_micros()).ok()?, now);
    }
    compound(value).or_else(|| {
        let target: jiff::Timestamp = value.parse().ok()?;
        until(target.as_microsecond(), now)
    })
}

/// Reads a positive number of units of `unit_seconds`.
fn number(value: &str, unit_seconds: f64) -> Option<Duration> {
    let seconds = value.trim().parse::<f64>().ok()? * unit_seconds;
    positive(Duration::try_from_secs_f64(seconds).ok()?)
}

/// Reads durations as Go prints them: `1h2m3.5s`, `250ms`.
fn compound(value: &str) -> Option<Duration> {
    let mut rest = value;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (amount, tail) = rest.split_at_checked(digits)?;
        let letters = tail
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, after) = tail.split_at_checked(letters)?;
        let unit_seconds = match unit {
            "d" => 86_400.0,
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            _ => return None,
        };
        let seconds = amount.parse::<f64>().ok()? * unit_seconds;
        total = total.checked_add(Duration::try_from_secs_f64(seconds).ok()?)?;
        rest = after;
    }
    positive(total)
}

/// Reads a date in one of the three forms of RFC 9110, as microseconds since the epoch.
fn http_date(value: &str) -> Option<i64> {
    if let Ok(timestamp) = rfc2822::DateTimeParser::new().parse_timestamp(value) {
        return Some(timestamp.as_microsecond());
    }
    ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"]
        .into_iter()
        .find_map(|format| DateTime::strptime(format, value).ok())
        .and_then(|date| Offset::UTC.to_timestamp(date).ok())
        .map(jiff::Timestamp::as_microsecond)
}

fn until(target_micros: i64, now: Timestamp) -> Option<Duration> {
    let wait = u64::try_from(target_micros.checked_sub(now.0)?).ok()?;
    positive(Duration::from_micros(wait))
}

fn positive(wait: Duration) -> Option<Duration> {
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::wait;
    use crate::domain::Timestamp;
    use http::{HeaderMap, HeaderName, HeaderValue};
    use std::time::Duration;

    /// Sun, 06 Nov 1994 08:49:37 GMT.
    const NOW: Timestamp = Timestamp(784_111_777_000_000);

    fn milliseconds(headers: &[(&str, &str)]) -> Option<u128> {
        let map: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                let name: HeaderName = name.parse().unwrap();
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect();
        wait(&map, NOW).map(|wait| wait.as_millis())
    }

    #[test]
    fn all_forms_are_read() {
        let requests = "x-ratelimit-reset-requests";
        for (name, value, expected) in [
            ("retry-after-ms", "1500", Some(1_500)),
            ("retry-after-ms", "12.5", Some(12)),
            ("retry-after-ms", "0", None),
            ("retry-after", "2", Some(2_000)),
            ("retry-after", " 2 ", Some(2_000)),
            ("retry-after", "0.25", Some(250)),
            ("retry-after", "0", None),
            ("retry-after", "-3", None),
            ("retry-after", "NaN", None),
            ("retry-after", "inf", None),
            ("retry-after", "1e9", Some(1_000_000_000_000)),
            ("retry-after", "soon", None),
            ("retry-after", "", None),
            ("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", Some(10_000)),
            (
                "retry-after",
                "Sunday, 06-Nov-94 08:49:47 GMT",
                Some(10_000),
            ),
            ("retry-after", "Sun Nov  6 08:49:47 1994", Some(10_000)),
            ("retry-after", "Sun, 06 Nov 1994 08:49:37 GMT", None),
            ("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT", None),
            (requests, "6m0s", Some(360_000)),
            (requests, "1m30.5s", Some(90_500)),
            (requests, "20ms", Some(20)),
            (requests, "0s", None),
            (requests, "7", Some(7_000)),
            ("x-ratelimit-reset", "784111780", Some(3_000)),
            (
                "x-ratelimit-reset",
                "1784111780000",
                Some(999_999_780_000 + 223_000),
            ),
            ("x-ratelimit-reset", "784111770", None),
            (
                "anthropic-ratelimit-tokens-reset",
                "1994-11-06T08:49:40Z",
                Some(3_000),
            ),
            (
                "anthropic-ratelimit-tokens-reset",
                "1994-11-06T08:49:30Z",
                None,
            ),
        ] {
            assert_eq!(milliseconds(&[(name, value)]), expected, "{name}: {value}");
        }
    }

    #[test]
    fn the_most_precise_header_wins_and_bad_ones_are_passed_over() {
        assert_eq!(
            milliseconds(&[("retry-after-ms", "300"), ("retry-after", "1")]),
            Some(300)
        );
        assert_eq!(
            milliseconds(&[("retry-after-ms", "x"), ("retry-after", "1")]),
            Some(1_000)
        );
        assert_eq!(
            milliseconds(&[("retry-after", "0"), ("x-ratelimit-reset", "4")]),
            Some(4_000)
        );
    }

    #[test]
    fn the_limit_that_is_used_up_decides() {
        let both = [
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-requests", "5"),
            ("x-ratelimit-reset-tokens", "9s"),
        ];
        assert_eq!(milliseconds(&both), Some(1_000));
        let mut used_up = both.to_vec();
        used_up.push(("x-ratelimit-remaining-tokens", "0"));
        assert_eq!(milliseconds(&used_up), Some(9_000));
        assert_eq!(wait(&HeaderMap::new(), NOW), None::<Duration>);
    }
}
