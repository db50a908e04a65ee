//! Figures, amounts and times as people read them, and texts no longer than they may be.

use crate::domain::{PicoDollars, Timestamp};
use crate::evals::report::Figure;
use crate::wire::plain::real_minus;

pub use crate::wire::plain::{chance, count, cut};

/// Returns a figure with its unit: `91.3 %`, `$0.0019`, `1.84 s`.
#[must_use]
pub fn value(value: f64, unit: &str) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    match unit {
        "share" => format!("{} %", tenths(value * 100.0)),
        "usd" => short_dollars(value),
        "ms" if 1_000.0 <= value => format!("{:.2} s", value / 1_000.0),
        "ms" => format!("{value:.0} ms"),
        "tokens" => format!("{value:.0}"),
        _ => signless_zero(&format!("{value:.3}")),
    }
}

/// Money as statistics make it; four digits that count.
fn short_dollars(dollars: f64) -> String {
    let magnitude = dollars.abs().log10().floor();
    let decimals = (3.0 - magnitude).clamp(2.0, 12.0);
    let decimals = (2..=12)
        .rev()
        .find(|count| f64::from(*count) <= decimals)
        .unwrap_or(2);
    let text = format!("{dollars:.*}", usize::try_from(decimals).unwrap_or(2));
    let trimmed = text.trim_end_matches('0');
    let cents = text.find('.').map_or(0, |dot| dot + 3);
    format!("${}", text.get(..trimmed.len().max(cents)).unwrap_or(&text))
}

/// Whether a change is a ratio (money, time, tokens) and no difference.
#[must_use]
pub fn is_ratio(unit: &str) -> bool {
    matches!(unit, "usd" | "ms" | "tokens")
}

/// Returns what changed: `−6.0 pp [−10.3, −2.1]`, or `×0.90 [0.88, 0.92]`.
#[must_use]
pub fn difference(delta: &Figure, unit: &str) -> String {
    let (text, show): (String, fn(f64) -> String) = if is_ratio(unit) {
        (format!("×{:.2}", delta.value), |end| format!("{end:.2}"))
    } else if unit == "share" {
        (format!("{} pp", points(delta.value)), points)
    } else {
        (signed(delta.value), signed)
    };
    match (delta.low, delta.high) {
        (Some(low), Some(high)) => format!("{text} [{}, {}]", show(low), show(high)),
        _ => text,
    }
}

/// Returns a difference of shares in percentage points with its sign, without the unit.
#[must_use]
pub fn points(difference: f64) -> String {
    real_minus(&format!("{:+.1}", difference * 100.0))
}

pub(super) fn signed(difference: f64) -> String {
    real_minus(&format!("{difference:+.3}"))
}

fn signless_zero(text: &str) -> String {
    real_minus(text)
}

pub(super) fn tenths(percent: f64) -> String {
    let text = format!("{percent:.1}");
    // Close to certain is not certain.
    match text.as_str() {
        "100.0" if percent < 100.0 => "> 99.9".to_owned(),
        "0.0" if 0.0 < percent => "< 0.1".to_owned(),
        _ => signless_zero(&text),
    }
}

/// A share as a percentage; anything larger is in the metric's own unit.
pub(super) fn plain(number: f64) -> String {
    if (0.0..=1.0).contains(&number) {
        format!("{} %", rounded(number * 100.0))
    } else {
        rounded(number)
    }
}

pub(super) fn rounded(number: f64) -> String {
    let text = format!("{number:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    text.to_owned()
}

/// Returns an amount, or that it is not known.
#[must_use]
pub fn dollars(amount: Option<PicoDollars>) -> String {
    let Some(amount) = amount else {
        return "unknown".to_owned();
    };
    let text = amount.to_short();
    // Cents come in pairs.
    match text.split_once('.') {
        Some((_, decimals)) if decimals.len() == 1 => format!("{text}0"),
        _ => text,
    }
}

/// Returns a duration: `4.2 s`, `3 min 10 s`.
#[must_use]
pub fn duration(millis: u64) -> String {
    if millis < 60_000 {
        format!("{}.{} s", millis / 1_000, millis % 1_000 / 100)
    } else {
        format!("{} min {} s", millis / 60_000, millis % 60_000 / 1_000)
    }
}

/// Returns a point in time as people and programs read it, in UTC to the second.
#[must_use]
pub fn time(at: Timestamp) -> String {
    let at = jiff::Timestamp::from_microsecond(at.0).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::{difference, duration, points, value};
    use crate::evals::report::Figure;

    #[test]
    fn figures_are_read_as_they_are() {
        for (number, unit, text) in [
            (0.9133, "share", "91.3 %"),
            (0.99999, "share", "> 99.9 %"),
            (0.0001, "share", "< 0.1 %"),
            (1.0, "share", "100.0 %"),
            (0.0, "share", "0.0 %"),
            (0.0019, "usd", "$0.0019"),
            (1.5, "usd", "$1.50"),
            (0.0, "usd", "$0.00"),
            (12_345.678, "usd", "$12345.68"),
            (840.2, "ms", "840 ms"),
            (1_840.0, "ms", "1.84 s"),
            (0.5, "score", "0.500"),
            (f64::NAN, "share", "unknown"),
        ] {
            assert_eq!(value(number, unit), text, "{number} {unit}");
        }
        let figure = |value, low, high| Figure {
            value,
            low: Some(low),
            high: Some(high),
        };
        assert_eq!(
            difference(&figure(-0.06, -0.103, -0.021), "share"),
            "−6.0 pp [−10.3, −2.1]"
        );
        assert_eq!(
            difference(&figure(0.9, 0.88, 0.92), "usd"),
            "×0.90 [0.88, 0.92]"
        );
        assert_eq!(points(-0.0001), "0.0");
        assert_eq!(duration(190_000), "3 min 10 s");
    }
}
