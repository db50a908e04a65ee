//! Amounts as people read them: a few digits, a sign where they are differences, and never a zero for
//! what is not known.

use crate::domain::PicoDollars;

/// Returns an amount in dollars, with as many digits as tell it apart.
pub(super) fn dollars(pico: Option<u64>) -> String {
    pico.map_or_else(|| "unknown".to_owned(), |pico| PicoDollars(pico).to_short())
}

/// Returns a difference in dollars, with its sign.
pub(super) fn difference(pico: Option<i64>) -> String {
    match pico {
        None => "unknown".to_owned(),
        Some(0) => "no difference".to_owned(),
        Some(pico) => {
            let sign = if pico < 0 { '-' } else { '+' };
            format!("{sign}{}", PicoDollars(pico.unsigned_abs()).to_short())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{difference, dollars};

    #[test]
    fn amounts_are_short_and_never_false() {
        for (pico, text) in [
            (None, "unknown"),
            (Some(0), "$0"),
            (Some(41_234_567), "$0.00004123"),
            (Some(1_234_567_890_123), "$1.235"),
            (Some(7), "$0.000000000007"),
        ] {
            assert_eq!(dollars(pico), text);
        }
        assert_eq!(difference(Some(-41_000_000)), "-$0.000041");
        assert_eq!(difference(Some(0)), "no difference");
        assert_eq!(difference(None), "unknown");
    }
}
