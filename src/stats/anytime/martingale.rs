//! Betting against "nothing changed": p values that come one by one, and a capital that grows only when
//! they are too small.
//!
//! While p values are uniform (or larger) the capital reaches c in one of c streams at most, however long
//! one looks (Ville, 1939). An alarm at 100 is false in one stream of a hundred.

use serde::{Deserialize, Serialize};

/// A bet on small p values with every power at once: the integral of Π ε·pᵢ^(ε−1) over ε from 0 to 1
/// (the simple mixture of Vovk and others, 2003).
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct SimpleMixture {
    count: u64,
    /// −Σ ln p
    surprise: f64,
}

impl SimpleMixture {
    /// Returns a capital of 1, before any p value.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            count: 0,
            surprise: 0.0,
        }
    }

    /// Takes a p value and returns the capital after it, as its decimal logarithm. `None`, and nothing is
    /// taken, when it is not above 0 and at most 1.
    #[must_use]
    pub fn observe(&mut self, p_value: f64) -> Option<f64> {
        if !(0.0 < p_value && p_value <= 1.0) {
            return None;
        }
        self.count += 1;
        self.surprise -= p_value.ln();
        Some(self.log10_capital())
    }

    /// Returns the capital as its decimal logarithm.
    ///
    /// With n values and S = −Σ ln p the integral is Σⱼ Sʲ/((n+1)(n+2)…(n+1+j)), all of whose terms are
    /// above 0.
    #[must_use]
    pub fn log10_capital(&self) -> f64 {
        const LARGE: f64 = 1e200;
        let mut divisor = self.count as f64 + 1.0;
        let mut term = 1.0 / divisor;
        let (mut sum, mut taken_out) = (term, 0.0);
        loop {
            divisor += 1.0;
            term *= self.surprise / divisor;
            sum += term;
            if sum > LARGE {
                term /= LARGE;
                sum /= LARGE;
                taken_out += LARGE.log10();
            }
            // From there on the terms fall faster than a geometric series of a half.
            if self.surprise < divisor / 2.0 && term < sum * 1e-17 {
                return sum.log10() + taken_out;
            }
        }
    }

    /// Returns how many p values were taken.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }
}

/// Returns the capital after each p value when the bet is always `ε·p^(ε−1)`, as decimal logarithms.
///
/// Small ε bets on very small p values. `None` when ε is not between 0 and 1, or a p value is not above 0
/// and at most 1.
#[must_use]
pub fn power_martingale(p_values: &[f64], epsilon: f64) -> Option<Vec<f64>> {
    let is_usable = |p: &f64| 0.0 < *p && *p <= 1.0;
    if !(0.0 < epsilon && epsilon < 1.0 && p_values.iter().all(is_usable)) {
        return None;
    }
    let mut capital = 0.0;
    let after = p_values.iter().map(|p| {
        capital += epsilon.log10() + (epsilon - 1.0) * p.log10();
        capital
    });
    Some(after.collect())
}

#[cfg(test)]
mod tests {
    use super::{SimpleMixture, power_martingale};
    use crate::stats::random::Random;
    use crate::stats::testing::assert_within;

    #[test]
    fn capital_has_its_closed_forms() {
        // One value p: ∫ ε·p^(ε−1) dε = (p·ln p − p + 1)/(p·ln²p).
        let p = 0.01_f64;
        let expected = (p * p.ln() - p + 1.0) / (p * p.ln().powi(2));
        let mut mixture = SimpleMixture::new();
        assert_within(mixture.log10_capital(), 0.0, 1e-12);
        assert_within(mixture.observe(p).unwrap(), expected.log10(), 1e-12);
        let mut sure = SimpleMixture::default();
        assert_within(sure.observe(1.0).unwrap(), 0.5_f64.log10(), 1e-12);
        assert_eq!(sure.observe(0.0), None);
        assert_eq!(sure.observe(f64::NAN), None);
        assert_eq!(sure.count(), 1);
        for _ in 0..2_000 {
            let _ = mixture.observe(1e-9);
        }
        assert!(mixture.log10_capital() > 10_000.0 && mixture.log10_capital().is_finite());
    }

    #[test]
    fn quiet_streams_rarely_alarm() {
        let mut random = Random::from_seed(3);
        let mut alarms = 0;
        for _ in 0..200 {
            let mut mixture = SimpleMixture::new();
            let reached = (0..300).any(|_| mixture.observe(1.0 - random.share()).unwrap() >= 1.0);
            alarms += u32::from(reached);
        }
        assert!(alarms <= 30, "{alarms} of 200 reach 10");
    }

    #[test]
    fn a_power_is_a_product() {
        let after = power_martingale(&[0.5, 0.01], 0.5).unwrap();
        assert_within(after[1], (0.5 / 0.5_f64.sqrt() * 0.5 / 0.1).log10(), 1e-12);
        assert_eq!(power_martingale(&[0.5], 1.0), None);
        assert_eq!(power_martingale(&[0.0], 0.5), None);
    }
}
