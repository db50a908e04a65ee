//! Figures with as many digits as they deserve: two of what their error leaves open, and no more.

use crate::stats::Estimate;
use crate::wire::plain::real_minus;

/// Decimals of a figure nothing is known of.
const USUAL: usize = 3;
/// Decimals nobody needs more than.
const MOST: usize = 6;

/// Returns a count as a number.
pub(super) fn real(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Returns how many decimals an estimate deserves: two digits of half its interval's width, else the usual
/// ones of a number of its size.
pub(super) fn decimals(estimate: &Estimate, has_interval: bool) -> usize {
    let half = estimate.interval.width() / 2.0;
    if !has_interval || !half.is_finite() || half <= 0.0 {
        return usual(estimate.value);
    }
    let digits = [10.0, 1.0, 0.1, 0.01, 0.001];
    let decimals = digits.iter().take_while(|digit| half < **digit).count();
    // Half a width of 0.018 is known to 0.001.
    decimals.min(4)
}

/// Returns how many decimals a number of this size is written with.
fn usual(value: f64) -> usize {
    match value.abs() {
        size if size < 10.0 => USUAL,
        size if size < 1_000.0 => 1,
        _ => 0,
    }
}

/// Returns a number with so many decimals and a real minus; close to 1 is not 1, and close to 0 is not 0.
pub(super) fn fixed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    let mut text = format!("{value:.decimals$}");
    let is_round = |text: &str| {
        matches!(
            text.trim_start_matches('-').trim_end_matches('0'),
            "1." | "0."
        )
    };
    let is_exact = value.abs() <= 0.0 || (value.abs() - 1.0).abs() <= 0.0;
    if is_round(&text) && !is_exact {
        let finer = (decimals..=MOST).map(|decimals| format!("{value:.decimals$}"));
        text = finer
            .into_iter()
            .find(|text| !is_round(text))
            .unwrap_or(text);
    }
    real_minus(&text)
}

/// Returns a number with the usual decimals of its size.
pub(super) fn number(value: f64) -> String {
    fixed(value, usual(value))
}

/// Returns a difference with its sign, which a zero does not have.
pub(super) fn signed(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return "unknown".to_owned();
    }
    real_minus(&format!("{value:+.decimals$}"))
}

/// Returns a share as a whole percentage: `54 %`.
pub(super) fn percent(share: f64) -> String {
    if !share.is_finite() {
        return "unknown".to_owned();
    }
    let text = real_minus(&format!("{:.0}", share * 100.0));
    match text.as_str() {
        "100" if share < 1.0 => "> 99 %".to_owned(),
        "0" if 0.0 < share => "< 1 %".to_owned(),
        _ => format!("{text} %"),
    }
}

/// Returns a count with its thousands apart, from five digits on: `1100`, `23,700`.
pub(super) fn grouped(count: usize) -> String {
    let digits = count.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if 0 < place && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Returns how many of a thing there are, with thousands apart.
pub(super) fn count(count: usize, thing: &str) -> String {
    let plural = match (count, thing.strip_suffix('y')) {
        (1, _) => return format!("1 {thing}"),
        (_, Some(stem)) => format!("{stem}ies"),
        (_, None) => format!("{thing}s"),
    };
    format!("{} {plural}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::{count, decimals, fixed, grouped, number, percent, signed};
    use crate::stats::{Estimate, Interval};

    #[test]
    fn digits_follow_the_error() {
        for (low, high, wanted) in [
            (0.523, 0.559, 3),
            (0.40, 0.70, 2),
            (0.9981, 0.9989, 4),
            (110.0, 120.0, 1),
            (1_000.0, 3_000.0, 0),
        ] {
            let value = f64::midpoint(low, high);
            let estimate = Estimate {
                value,
                interval: Interval { low, high },
            };
            assert_eq!(decimals(&estimate, true), wanted, "{low} {high}");
        }
    }

    #[test]
    fn nothing_is_rounded_to_certainty() {
        for (value, wanted) in [
            (0.54, "0.540"),
            (-0.0, "0.000"),
            (-0.126, "−0.126"),
            (0.99996, "0.99996"),
            (1.0, "1.000"),
            (0.00002, "0.00002"),
            (1e-12, "0.000"),
            (123.45, "123.5"),
            (f64::NAN, "unknown"),
        ] {
            assert_eq!(number(value), wanted);
        }
        assert_eq!(fixed(-0.001, 2), "−0.001");
        assert_eq!(signed(0.0581, 3), "+0.058");
        assert_eq!(signed(-0.0001, 3), "0.000");
        assert_eq!(percent(0.999), "> 99 %");
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(
            (grouped(1_100), grouped(1_234_567)),
            ("1100".to_owned(), "1,234,567".to_owned())
        );
        assert_eq!(count(2, "query"), "2 queries");
    }
}
