//! The distributions that tests and intervals are read from: normal, t, chi-square, binomial.

use super::special::{beta_below, beta_quantile, gamma_above, ln_choose};
use std::f64::consts::PI;

/// Returns the chance that a standard normal variable is below `x`.
#[must_use]
pub fn normal_cdf(x: f64) -> f64 {
    normal_above(-x)
}

/// Returns the point below which a standard normal variable lies with the chance `share`; `None` unless
/// `share` is strictly between 0 and 1.
///
/// A start by formula 26.2.23 of Abramowitz and Stegun, then Halley's steps.
#[must_use]
pub fn normal_quantile(share: f64) -> Option<f64> {
    if !is_open_share(share) {
        return None;
    }
    let tail = share.min(1.0 - share);
    let t = (-2.0 * tail.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    let mut x = t - above / below;
    for _ in 0..3 {
        let density = (-x * x / 2.0).exp() / (2.0 * PI).sqrt();
        let step = (normal_above(x) - tail) / density;
        if !step.is_finite() {
            break;
        }
        x += step / (1.0 - x * step / 2.0);
    }
    Some(if share < 0.5 { -x } else { x })
}

/// The normal quantile of a two-sided confidence: 1.96 for 0.95.
pub(super) fn z_two_sided(confidence: f64) -> Option<f64> {
    if !is_open_share(confidence) {
        return None;
    }
    normal_quantile(0.5 + confidence / 2.0)
}

/// The chance that a standard normal variable is above `x`.
pub(super) fn normal_above(x: f64) -> f64 {
    let tail = gamma_above(0.5, x * x / 2.0) / 2.0;
    if x < 0.0 { 1.0 - tail } else { tail }
}

/// The chance that a normal variable is further from 0 than `x`, on either side.
pub(super) fn normal_two_sided(x: f64) -> f64 {
    gamma_above(0.5, x * x / 2.0)
}

/// The t quantile of a two-sided confidence with `freedom` degrees of freedom.
pub(super) fn t_two_sided_quantile(confidence: f64, freedom: f64) -> Option<f64> {
    if !is_open_share(confidence) || freedom.is_nan() || freedom <= 0.0 {
        return None;
    }
    let share = beta_quantile(0.5, freedom / 2.0, confidence);
    let t = (freedom * share / (1.0 - share)).sqrt();
    t.is_finite().then_some(t)
}

/// The chance that a t variable is further from 0 than `t`, on either side.
pub(super) fn t_two_sided(t: f64, freedom: f64) -> f64 {
    beta_below(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The chance that a chi-square variable is above `x`.
pub(super) fn chi_square_above(x: f64, freedom: f64) -> f64 {
    gamma_above(freedom / 2.0, x / 2.0)
}

/// The point above which a chi-square variable lies with the chance `share`.
pub(super) fn chi_square_quantile_above(share: f64, freedom: f64) -> f64 {
    let mut high = freedom + 1.0;
    while chi_square_above(high, freedom) > share && high < 1e12 {
        high *= 2.0;
    }
    super::special::root_of_increasing(0.0, high, |x| share - chi_square_above(x, freedom))
}

/// The chance of at most `k` successes in `n` trials of chance `p`.
pub(super) fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    if n <= k {
        return 1.0;
    }
    beta_below((n - k) as f64, k as f64 + 1.0, 1.0 - p)
}

/// The chance of `k` and more successes in `n` trials of chance `p`.
pub(super) fn binomial_at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 {
        return 1.0;
    }
    if n < k {
        return 0.0;
    }
    beta_below(k as f64, (n - k) as f64 + 1.0, p)
}

/// The chance of exactly `k` successes in `n` trials of chance `p`.
pub(super) fn binomial_exactly(k: u64, n: u64, p: f64) -> f64 {
    if n < k {
        return 0.0;
    }
    let (hits, misses) = (k as f64, (n - k) as f64);
    (ln_choose(n as f64, hits) + times_ln(hits, p) + times_ln(misses, 1.0 - p)).exp()
}

/// The smallest number of successes that at least the `share` of outcomes do not exceed.
pub(super) fn binomial_quantile(share: f64, n: u64, p: f64) -> u64 {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if binomial_at_most(middle, n, p) < share {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// `count · ln(share)`, where nothing seen of what cannot be counts as nothing.
pub(super) fn times_ln(count: f64, share: f64) -> f64 {
    if count <= 0.0 {
        0.0
    } else {
        count * share.ln()
    }
}

/// Whether `share` lies strictly between 0 and 1, as a confidence or a level must.
pub(super) fn is_open_share(share: f64) -> bool {
    0.0 < share && share < 1.0
}

/// Whether `share` lies between 0 and 1, ends included.
pub(super) fn is_share(share: f64) -> bool {
    (0.0..=1.0).contains(&share)
}

#[cfg(test)]
mod tests {
    use super::{
        binomial_at_least, binomial_at_most, binomial_exactly, binomial_quantile, chi_square_above,
        chi_square_quantile_above, normal_above, normal_cdf, normal_quantile, t_two_sided,
        t_two_sided_quantile, z_two_sided,
    };
    use crate::stats::testing::{assert_close, assert_within};
    use proptest::prelude::*;

    #[test]
    fn the_normal_has_its_published_points() {
        for (share, point) in [
            (0.975, 1.959_963_984_540_054),
            (0.95, 1.644_853_626_951_472_7),
            (0.90, 1.281_551_565_544_600_4),
            (0.80, 0.841_621_233_572_914_2),
            (0.5, 0.0),
            (0.025, -1.959_963_984_540_054),
        ] {
            assert_within(normal_quantile(share).unwrap(), point, 1e-13);
            assert_within(normal_cdf(point), share, 1e-14);
        }
        // The far tail keeps its digits.
        assert_within(normal_above(6.0) / 9.865_876_450_376_98e-10, 1.0, 1e-12);
        assert_close(z_two_sided(0.95).unwrap(), 1.959_963_985);
    }

    #[test]
    fn t_has_its_published_points() {
        for (freedom, point) in [
            (1.0, 12.706_204_736),
            (2.0, 4.302_652_73),
            (4.0, 2.776_445_105),
            (9.0, 2.262_157_163),
            (19.0, 2.093_024_054),
            (29.0, 2.045_229_642),
            (99.0, 1.984_216_952),
        ] {
            let t = t_two_sided_quantile(0.95, freedom).unwrap();
            assert_close(t, point);
            assert_close(t_two_sided(t, freedom), 0.05);
        }
        // With much freedom it is the normal and a first correction.
        let normal = z_two_sided(0.95).unwrap();
        let corrected = normal + (normal.powi(3) + normal) / 4e6;
        assert_close(t_two_sided_quantile(0.95, 1e6).unwrap(), corrected);
    }

    #[test]
    fn chi_square_is_a_squared_normal() {
        assert_close(
            chi_square_above(1.959_963_984_540_054_f64.powi(2), 1.0),
            0.05,
        );
        assert_close(chi_square_above(2.0, 2.0), (-1.0_f64).exp());
        assert_within(chi_square_quantile_above(0.05, 9.0), 16.918_977_604_6, 1e-8);
    }

    #[test]
    fn a_binomial_is_the_sum_of_its_parts() {
        let (n, p) = (23, 0.37);
        let mut sum = 0.0;
        for k in 0..=n {
            assert_close(binomial_at_least(k, n, p), 1.0 - sum);
            sum += binomial_exactly(k, n, p);
            assert_close(binomial_at_most(k, n, p), sum);
        }
        assert_close(binomial_exactly(0, 5, 0.0), 1.0);
        assert_close(binomial_exactly(5, 5, 1.0), 1.0);
        assert_eq!(binomial_quantile(0.5, 10, 0.5), 5);
    }

    #[test]
    fn what_is_no_share_has_no_quantile() {
        for share in [0.0, 1.0, -0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(normal_quantile(share), None);
            assert_eq!(z_two_sided(share), None);
            assert_eq!(t_two_sided_quantile(share, 5.0), None);
        }
        assert_eq!(t_two_sided_quantile(0.95, 0.0), None);
        assert_eq!(t_two_sided_quantile(0.95, f64::NAN), None);
    }

    proptest! {
        #[test]
        fn quantile_and_chance_undo_each_other(share in 1e-12..1.0_f64) {
            let x = normal_quantile(share).unwrap();
            prop_assert!((normal_cdf(x) - share).abs() < 1e-12);
        }
    }
}
