//! A figure and how far it can be trusted.

use serde::{Deserialize, Serialize};

/// A range in which a quantity lies, ends included.
///
/// Invariant: both ends are numbers, and `low` is not above `high`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// A figure with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The most plausible value.
    pub value: f64,
    /// Where the value may lie.
    pub interval: Interval,
}

impl Interval {
    /// Returns how far the ends are apart.
    #[must_use]
    pub fn width(self) -> f64 {
        self.high - self.low
    }

    /// Returns whether `value` lies between the ends or on one.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Returns the part between `low` and `high`.
    #[must_use]
    pub fn clamped(self, low: f64, high: f64) -> Self {
        Self {
            low: self.low.clamp(low, high),
            high: self.high.clamp(low, high),
        }
    }

    /// Returns the interval of the quantity with the other sign.
    #[must_use]
    pub fn negated(self) -> Self {
        Self {
            low: -self.high,
            high: -self.low,
        }
    }

    /// The interval that reaches `reach` to both sides; `None` when that is not a number.
    pub(super) fn around(value: f64, reach: f64) -> Option<Self> {
        let interval = Self {
            low: value - reach,
            high: value + reach,
        };
        (interval.low <= interval.high && interval.width().is_finite()).then_some(interval)
    }
}
