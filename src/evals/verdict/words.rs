//! Figures in words, the same in every sentence.

/// `91.3 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// `+1.2 pp`, `−6.0 pp`.
pub(super) fn points(difference: f64) -> String {
    format!("{} pp", signed(difference * 100.0, 1))
}

/// A number with a real minus sign, and a plus for what is above 0.
pub(super) fn signed(value: f64, digits: usize) -> String {
    let text = format!("{:.digits$}", value.abs());
    let is_zero = text.chars().all(|c| matches!(c, '0' | '.'));
    match (is_zero, value < 0.0) {
        (true, _) => text,
        (false, true) => format!("−{text}"),
        (false, false) => format!("+{text}"),
    }
}

/// A p-value: `.0051`, `<.0001`.
pub(super) fn chance(p_value: f64) -> String {
    if p_value < 0.0001 {
        return "<.0001".to_owned();
    }
    let text = format!("{p_value:.4}");
    text.strip_prefix('0').map_or(text.clone(), str::to_owned)
}

/// `1 case`, `2 cases`.
pub(super) fn cases(count: u64) -> String {
    if count == 1 {
        "1 case".to_owned()
    } else {
        format!("{count} cases")
    }
}

#[cfg(test)]
mod tests {
    use super::{chance, percent, points};

    #[test]
    fn figures_read_well() {
        assert_eq!(percent(0.9134), "91.3 %");
        for (value, text) in [
            (-0.06, "−6.0 pp"),
            (0.0123, "+1.2 pp"),
            (-0.000_01, "0.0 pp"),
        ] {
            assert_eq!(points(value), text);
        }
        assert_eq!(chance(0.0051), ".0051");
        assert_eq!(chance(1.0), "1.0000");
        assert_eq!(chance(1e-9), "<.0001");
    }
}
