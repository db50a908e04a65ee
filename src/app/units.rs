//! Amounts with units, as people write them in a config: `250ms`, `30s`, `10m`, `10MiB`.

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::time::Duration;

/// A span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(pub Duration);

/// An amount of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size(pub u64);

/// Splits `10MiB` into 10 and `MiB`.
fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit.trim()))
}

fn parse_span(text: &str) -> Option<Span> {
    let (number, unit) = split(text.trim())?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number
        .checked_mul(millis)
        .map(|millis| Span(Duration::from_millis(millis)))
}

fn parse_size(text: &str) -> Option<Size> {
    let (number, unit) = split(text.trim())?;
    let bytes = match unit {
        "" | "B" => 1,
        "kB" | "KB" => 1_000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes).map(Size)
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .write_str("a time with its unit, as in \"250ms\", \"30s\", \"10m\", \"1h\" or \"7d\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Span, E> {
        parse_span(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

struct SizeVisitor;

impl Visitor<'_> for SizeVisitor {
    type Value = Size;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a size with its unit, as in \"64KiB\", \"10MiB\" or \"1GiB\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Size, E> {
        parse_size(text).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(text), &self))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanVisitor)
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SizeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::{Size, Span, parse_size, parse_span};
    use std::time::Duration;

    #[test]
    fn units_are_needed_and_read() {
        assert_eq!(parse_span("250ms"), Some(Span(Duration::from_millis(250))));
        assert_eq!(parse_span("2 h"), Some(Span(Duration::from_secs(7_200))));
        assert_eq!(parse_size("10MiB"), Some(Size(10 << 20)));
        for bad in ["", "10", "s", "-1s", "1.5s", "10y", "99999999999999999999s"] {
            assert_eq!(parse_span(bad), None, "{bad}");
        }
        assert_eq!(parse_size("1XB"), None);
    }
}
