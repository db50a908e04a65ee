//! Money in whole pico-dollars: a price per million tokens in micro-dollars is a price per token in
//! pico-dollars, so costs are products of integers and nothing is rounded before it is shown.

use serde::{Deserialize, Serialize};

/// An amount of money in 10^-12 US dollars.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct PicoDollars(pub u64);

impl PicoDollars {
    /// Returns the amount as a decimal number of dollars, exact, without trailing zeros: `0.00042`.
    #[must_use]
    pub fn to_dollars(self) -> String {
        const PICO: u64 = 1_000_000_000_000;
        let whole = self.0 / PICO;
        let rest = self.0 % PICO;
        if rest == 0 {
            return whole.to_string();
        }
        let digits = format!("{rest:012}");
        format!("{whole}.{}", digits.trim_end_matches('0'))
    }

    /// Returns the amount in dollars as people read it: `$` and four digits that count, whole cents stay
    /// whole.
    #[must_use]
    pub fn to_short(self) -> String {
        let digits = self.0.checked_ilog10().unwrap_or(0);
        let unit = 10_u64.pow(digits.saturating_sub(3).min(10));
        let kept = self.0.saturating_add(unit / 2) / unit * unit;
        format!("${}", Self(kept).to_dollars())
    }
}

/// How far a cost can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CostQuality {
    /// The provider reported the usage and the price is in the table.
    Exact,
    /// The tokens were counted here, because the provider reported none.
    Estimated,
    /// There is no price, or nothing to count: the amount is `null`, never 0.
    #[default]
    Unknown,
}

/// What a call cost.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Cost {
    /// The amount; `None` when it is not known.
    pub pico_usd: Option<PicoDollars>,
    /// How good the amount is.
    pub quality: CostQuality,
    /// The row of the price table that was used, as `provider/model@date`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::PicoDollars;

    #[test]
    fn dollars_are_exact() {
        for (pico, text) in [
            (0, "0"),
            (1, "0.000000000001"),
            (420_000_000, "0.00042"),
            (1_500_000_000_000, "1.5"),
            (2_000_000_000_000, "2"),
        ] {
            assert_eq!(PicoDollars(pico).to_dollars(), text);
        }
    }
}
