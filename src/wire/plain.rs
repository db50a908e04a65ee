//! Words and figures as every report writes them: counted, signed, and no longer than they may be.

/// Returns how many of a thing: `1 case`, `2 cases`.
#[must_use]
pub fn count(count: usize, thing: &str) -> String {
    if count == 1 {
        format!("1 {thing}")
    } else {
        format!("{count} {thing}s")
    }
}

/// Returns a p-value: two digits that count, and never 0.
#[must_use]
pub fn chance(p: f64) -> String {
    if p < 0.0001 {
        "< .0001".to_owned()
    } else {
        let text = if p < 0.01 {
            format!("{p:.4}")
        } else {
            format!("{p:.3}")
        };
        text.strip_prefix('0').map_or(text.clone(), str::to_owned)
    }
}

/// Returns a number's text with a real minus, and with no sign before a zero.
#[must_use]
pub fn real_minus(text: &str) -> String {
    if text.chars().all(|c| matches!(c, '+' | '-' | '0' | '.')) {
        return text.trim_start_matches(['+', '-']).to_owned();
    }
    text.replace('-', "−")
}

/// Returns at most so many bytes of a text, and says what it left out.
#[must_use]
pub fn cut(text: &str, bytes: usize) -> String {
    if text.len() <= bytes {
        return text.to_owned();
    }
    let kept = text
        .get(..text.floor_char_boundary(bytes))
        .unwrap_or_default();
    format!("{kept}… ({} more bytes)", text.len() - kept.len())
}

#[cfg(test)]
mod tests {
    use super::{chance, cut, real_minus};

    #[test]
    fn figures_are_read_as_they_are() {
        assert_eq!(chance(0.0051), ".0051");
        assert_eq!(chance(1e-9), "< .0001");
        assert_eq!(chance(1.0), "1.000");
        assert_eq!(real_minus("-0.060"), "−0.060");
        assert_eq!(real_minus("-0.00"), "0.00");
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(cut("äöü", 3), "ä… (4 more bytes)");
        assert_eq!(cut("äöü", 6), "äöü");
    }
}
