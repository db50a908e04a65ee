//! Amounts of dollars, read as the decimals that people write, never as binary fractions.

/// Returns the price per token, in whole pico-dollars, of `dollars` per million tokens: `"2.50"` is
/// 2500000. `None` when it is no amount, or too large.
#[must_use]
pub fn pico_per_token(dollars_per_million: &str) -> Option<u64> {
    scaled(dollars_per_million, 6)
}

/// Returns a price per token, in whole pico-dollars, as dollars per million tokens: 2500000 is `"2.5"`,
/// exactly. [`pico_per_token`] reads it back.
#[must_use]
pub fn dollars_per_million(pico_per_token: u64) -> String {
    let text = format!(
        "{}.{:06}",
        pico_per_token / 1_000_000,
        pico_per_token % 1_000_000
    );
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Returns `decimal` (`12`, `0.5`, `2.5e-06`) times 10^`exponent`, rounded to the nearest whole number,
/// halves to the even one. `None` when it is negative, no number, or too large.
pub(super) fn scaled(decimal: &str, exponent: i32) -> Option<u64> {
    let (mantissa, own_exponent) = match decimal.split_once(['e', 'E']) {
        Some((mantissa, own)) => (mantissa, own.parse::<i32>().ok()?),
        None => (decimal, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || digits.len() > 30 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number: u128 = digits.parse().ok()?;
    let fraction_digits = i32::try_from(fraction.len()).ok()?;
    let shift = exponent
        .checked_add(own_exponent)?
        .checked_sub(fraction_digits)?;
    if number == 0 {
        return Some(0);
    }
    let factor = 10_u128.checked_pow(shift.unsigned_abs());
    if 0 <= shift {
        return u64::try_from(number.checked_mul(factor?)?).ok();
    }
    let Some(divisor) = factor else {
        return Some(0);
    };
    let (quotient, rest) = (number / divisor, number % divisor);
    let is_up = divisor < rest * 2 || (divisor == rest * 2 && quotient % 2 == 1);
    u64::try_from(quotient + u128::from(is_up)).ok()
}

#[cfg(test)]
mod tests {
    use super::{dollars_per_million, pico_per_token, scaled};

    #[test]
    fn prices_are_written_as_people_write_them() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000001"),
            (20_000, "0.02"),
            (1_250_000, "1.25"),
            (10_000_000, "10"),
            (150_000_000, "150"),
            (u64::MAX, "18446744073709.551615"),
        ] {
            assert_eq!(dollars_per_million(pico), text);
            assert_eq!(pico_per_token(text), Some(pico));
        }
    }

    #[test]
    fn decimals_are_exact() {
        for (text, expected) in [
            ("2.5e-06", Some(2_500_000)),
            ("0.0000025", Some(2_500_000)),
            ("1.0416666666666666e-06", Some(1_041_667)),
            ("3e-08", Some(30_000)),
            ("1.5E-12", Some(2)),
            ("2.5e-12", Some(2)),
            ("1e-99", Some(0)),
            ("0", Some(0)),
            ("0.0", Some(0)),
            ("1", Some(1_000_000_000_000)),
            ("-1e-6", None),
            ("", None),
            (".", None),
            ("1e99", None),
            ("one", None),
        ] {
            assert_eq!(scaled(text, 12), expected, "{text}");
        }
        assert_eq!(pico_per_token("2.50"), Some(2_500_000));
        assert_eq!(pico_per_token("0.075"), Some(75_000));
    }
}
