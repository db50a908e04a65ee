//! The functions that distributions are made of: gamma, beta and their incomplete forms.
//!
//! They are written here because the crates that hold them bring matrices along. All are good to
//! about 1e-13; the tests hold them against closed forms and published tables.

/// Half the logarithm of 2π.
const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;
/// What a fraction is never divided by, in place of zero.
const TINY: f64 = 1e-300;
/// How close to 1 a factor must come for a continued fraction to have converged.
const CONVERGED: f64 = 1e-15;
/// How many steps a series may take. The incomplete beta needs about the root of its larger parameter.
const MAX_STEPS: u32 = 50_000;

/// Returns the logarithm of the gamma function, for `x` above zero.
pub(super) fn ln_gamma(x: f64) -> f64 {
    let (mut product, mut shifted) = (1.0, x);
    while shifted < 10.0 {
        product *= shifted;
        shifted += 1.0;
    }
    (shifted - 0.5) * shifted.ln() - shifted + HALF_LN_TWO_PI + stirling_rest(shifted)
        - product.ln()
}

/// Returns the logarithm of the beta function, for parameters above zero.
///
/// With large parameters the three gammas nearly cancel, so that is done on paper first.
pub(super) fn ln_beta(a: f64, b: f64) -> f64 {
    let (small, large) = (a.min(b), a.max(b));
    let sum = small + large;
    if large < 10.0 {
        return ln_gamma(small) + ln_gamma(large) - ln_gamma(sum);
    }
    let common =
        stirling_rest(large) - stirling_rest(sum) - (large - 0.5) * (small / large).ln_1p();
    if small < 10.0 {
        ln_gamma(small) + small - small * sum.ln() + common
    } else {
        (small - 0.5) * (small / sum).ln() - 0.5 * sum.ln()
            + HALF_LN_TWO_PI
            + stirling_rest(small)
            + common
    }
}

/// Returns the logarithm of the number of ways to choose `k` of `n`, for `k` up to `n`.
pub(super) fn ln_choose(n: f64, k: f64) -> f64 {
    -(n + 1.0).ln() - ln_beta(n - k + 1.0, k + 1.0)
}

/// Returns the regularised incomplete beta function `I_x(a, b)`: the chance that a beta variable is
/// below `x`.
pub(super) fn beta_below(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (a * x.ln() + b * (-x).ln_1p() - ln_beta(a, b)).exp();
    // The fraction converges fast on this side of the mean only.
    if x < (a + 1.0) / (a + b + 2.0) {
        (front * beta_fraction(a, b, x) / a).clamp(0.0, 1.0)
    } else {
        (1.0 - front * beta_fraction(b, a, 1.0 - x) / b).clamp(0.0, 1.0)
    }
}

/// Returns the `share` quantile of a beta variable.
///
/// Halving is slower than Newton's steps and cannot leave the interval.
pub(super) fn beta_quantile(a: f64, b: f64, share: f64) -> f64 {
    root_of_increasing(0.0, 1.0, |x| beta_below(a, b, x) - share)
}

/// Returns the regularised upper incomplete gamma function Q(a, x).
pub(super) fn gamma_above(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        (1.0 - front * gamma_series(a, x)).clamp(0.0, 1.0)
    } else {
        (front * gamma_fraction(a, x)).clamp(0.0, 1.0)
    }
}

/// Returns where `rising`, a function that does not fall, crosses zero between `low` and `high`.
pub(super) fn root_of_increasing(low: f64, high: f64, rising: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (low, high);
    // The distance of two neighbouring numbers near zero is tiny, so an end of zero takes many halvings.
    for _ in 0..200 {
        let middle = low + (high - low) / 2.0;
        if middle <= low || high <= middle {
            break;
        }
        if rising(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    low + (high - low) / 2.0
}

/// The series that Stirling's formula ends in, for `x` of 10 and more.
fn stirling_rest(x: f64) -> f64 {
    let inverse = 1.0 / (x * x);
    let series = [
        1.0 / 156.0,
        -691.0 / 360_360.0,
        1.0 / 1_188.0,
        -1.0 / 1_680.0,
        1.0 / 1_260.0,
        -1.0 / 360.0,
        1.0 / 12.0,
    ];
    let sum = series.iter().fold(0.0, |sum, term| sum * inverse + term);
    sum / x
}

/// The continued fraction of the incomplete beta, by the method of Lentz.
fn beta_fraction(a: f64, b: f64, x: f64) -> f64 {
    let mut upper = 1.0;
    let mut lower = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = lower;
    for step in 1..=MAX_STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a - 1.0 + 2.0 * m) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 1.0 + 2.0 * m));
        let mut factor = 1.0;
        for term in [even, odd] {
            lower = 1.0 / away_from_zero(1.0 + term * lower);
            upper = away_from_zero(1.0 + term / upper);
            factor = lower * upper;
            value *= factor;
        }
        if (factor - 1.0).abs() < CONVERGED {
            break;
        }
    }
    value
}

/// The series of the lower incomplete gamma without its front.
fn gamma_series(a: f64, x: f64) -> f64 {
    let mut term = 1.0 / a;
    let mut sum = term;
    for step in 1..=MAX_STEPS {
        term *= x / (a + f64::from(step));
        sum += term;
        if term < sum * CONVERGED {
            break;
        }
    }
    sum
}

/// The continued fraction of the upper incomplete gamma without its front.
fn gamma_fraction(a: f64, x: f64) -> f64 {
    let mut base = x + 1.0 - a;
    let mut upper = 1.0 / TINY;
    let mut lower = 1.0 / away_from_zero(base);
    let mut value = lower;
    for step in 1..=MAX_STEPS {
        let m = f64::from(step);
        let term = -m * (m - a);
        base += 2.0;
        lower = 1.0 / away_from_zero(term * lower + base);
        upper = away_from_zero(base + term / upper);
        value *= lower * upper;
        if (lower * upper - 1.0).abs() < CONVERGED {
            break;
        }
    }
    value
}

fn away_from_zero(x: f64) -> f64 {
    if x.abs() < TINY { TINY } else { x }
}

#[cfg(test)]
mod tests {
    use super::{beta_below, beta_quantile, gamma_above, ln_beta, ln_choose, ln_gamma};
    use crate::stats::testing::{assert_close, assert_within};
    use proptest::prelude::*;
    use std::f64::consts::PI;

    #[test]
    fn gamma_has_its_closed_forms() {
        let mut factorial: f64 = 1.0;
        for n in 1..=20_u32 {
            factorial *= f64::from(n);
            assert_within(ln_gamma(f64::from(n) + 1.0), factorial.ln(), 1e-13);
        }
        assert_within(ln_gamma(0.5), PI.sqrt().ln(), 1e-14);
        assert_within(ln_gamma(1.5), (PI.sqrt() / 2.0).ln(), 1e-14);
        assert_within(ln_gamma(1.0), 0.0, 1e-14);
        // A published value.
        assert_within(ln_gamma(100.0), 359.134_205_369_575_4, 1e-11);
    }

    #[test]
    fn beta_agrees_with_gamma_on_every_branch() {
        for a in [0.5, 1.0, 9.5, 10.0, 30.0, 200.0] {
            for b in [0.5, 2.0, 9.5, 11.0, 45.0, 150.0] {
                let plain = ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
                assert_within(ln_beta(a, b), plain, 1e-11);
            }
        }
        // B(1, b) = 1 / b also where the gammas are a hundred million.
        assert_within(ln_beta(1.0, 1e7), -(1e7_f64.ln()), 1e-12);
        assert_within(ln_choose(5.0, 2.0), 10.0_f64.ln(), 1e-14);
    }

    #[test]
    fn incomplete_beta_has_its_closed_forms() {
        for x in [0.01, 0.2, 0.5, 0.77, 0.99_f64] {
            assert_within(beta_below(1.0, 1.0, x), x, 1e-14);
            assert_within(beta_below(3.0, 1.0, x), x.powi(3), 1e-14);
            assert_within(beta_below(1.0, 4.0, x), 1.0 - (1.0 - x).powi(4), 1e-14);
            let arcsine = 2.0 / PI * x.sqrt().asin();
            assert_within(beta_below(0.5, 0.5, x), arcsine, 1e-13);
        }
        assert_within(beta_below(1e6, 1e6, 0.5), 0.5, 1e-9);
    }

    #[test]
    fn incomplete_gamma_has_its_closed_forms() {
        for x in [0.1, 1.0, 1.9, 2.1, 30.0_f64] {
            assert_within(gamma_above(1.0, x), (-x).exp(), 1e-14);
            assert_within(gamma_above(2.0, x), (1.0 + x) * (-x).exp(), 1e-14);
        }
        assert_close(gamma_above(0.5, 0.0), 1.0);
    }

    proptest! {
        #[test]
        fn a_quantile_is_where_its_share_lies_below(
            a in 0.5..300.0_f64, b in 0.5..300.0_f64, share in 0.001..0.999_f64,
        ) {
            let x = beta_quantile(a, b, share);
            prop_assert!((beta_below(a, b, x) - share).abs() < 1e-9);
        }
    }
}
