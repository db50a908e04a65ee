//! How far two distributions are apart: yesterday's traffic and today's.
//!
//! Fixed thresholds mislead with little data: with a hundred values on each side and ten bins, PSI passes
//! its usual 0.1 in five of six comparisons of traffic with itself. [`psi_threshold`] knows the numbers.

use super::distributions::{chi_square_above, chi_square_quantile_above, is_open_share};
use super::pairs::ChiSquare;
use super::sample::{mean, squares};
use serde::{Deserialize, Serialize};

/// What stands for an empty bin, whose logarithm has no value.
const EMPTY_BIN: f64 = 1e-4;
/// The PSI that practice begins to care about.
const NOTABLE_PSI: f64 = 0.1;
/// Fewer values on a side say nothing about PSI.
const FEWEST_VALUES: u64 = 200;
/// Up to so many pairs of values, the chance of a Kolmogorov–Smirnov distance is counted.
const MOST_COUNTED: usize = 1_000_000;

/// How far the empirical distributions of two samples are apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KolmogorovSmirnov {
    /// The largest distance between the two distribution functions, 0 to 1.
    pub distance: f64,
    /// The chance of one as large when both come from one distribution; cautious when values are tied.
    pub p_value: f64,
    /// Whether the chance is counted and not a limit for many values.
    pub is_exact: bool,
}

/// Returns the population stability index Σ(c − r)·ln(c/r) of two lists of shares; an empty bin counts
/// as 0.0001.
///
/// `None` when the lists differ in length, are empty, or are not shares that sum up to 1, here and below.
#[must_use]
pub fn psi(reference: &[f64], current: &[f64]) -> Option<f64> {
    let pairs = shares(reference, current)?;
    let filled = |share: f64| if share > 0.0 { share } else { EMPTY_BIN };
    let parts = pairs.map(|(r, c)| (filled(r), filled(c)));
    Some(parts.map(|(r, c)| (c - r) * (c / r).ln()).sum())
}

/// Returns the PSI above which traffic has drifted: 0.1, or what chance exceeds in 1 % of comparisons
/// of this size.
///
/// `None` with fewer than 200 values on a side, or fewer than two bins.
#[must_use]
pub fn psi_threshold(reference: u64, current: u64, bins: u64) -> Option<f64> {
    if reference.min(current) < FEWEST_VALUES {
        return None;
    }
    Some(psi_by_chance(reference, current, bins, 0.01)?.max(NOTABLE_PSI))
}

/// Returns the PSI that chance alone exceeds with the probability `alpha`: (1/n + 1/m)·χ² with bins − 1
/// degrees of freedom.
///
/// `None` without values, with fewer than two bins, or with an `alpha` that is not between 0 and 1.
#[must_use]
pub fn psi_by_chance(reference: u64, current: u64, bins: u64, alpha: f64) -> Option<f64> {
    if reference == 0 || current == 0 || bins < 2 || !is_open_share(alpha) {
        return None;
    }
    let scale = 1.0 / reference as f64 + 1.0 / current as f64;
    Some(scale * chi_square_quantile_above(alpha, (bins - 1) as f64))
}

/// Returns the divergence of Kullback and Leibler of `current` from `reference`, Σ c·ln(c/r), in nats;
/// also `None` when something happens that never did before, where it is infinite.
#[must_use]
pub fn kullback_leibler(reference: &[f64], current: &[f64]) -> Option<f64> {
    let sum: f64 = shares(reference, current)?
        .map(|(r, c)| relative(c, r))
        .sum();
    sum.is_finite().then_some(sum)
}

/// Returns the distance of Jensen and Shannon, the root of the divergence in nats: 0 to √ln 2.
#[must_use]
pub fn jensen_shannon(reference: &[f64], current: &[f64]) -> Option<f64> {
    let parts = shares(reference, current)?.map(|(r, c)| {
        let middle = f64::midpoint(r, c);
        f64::midpoint(relative(r, middle), relative(c, middle))
    });
    Some(parts.sum::<f64>().max(0.0).sqrt())
}

/// Returns the distance of Hellinger, √(½·Σ(√r − √c)²): 0 to 1.
#[must_use]
pub fn hellinger(reference: &[f64], current: &[f64]) -> Option<f64> {
    let parts = shares(reference, current)?.map(|(r, c)| (r.sqrt() - c.sqrt()).powi(2));
    Some((parts.sum::<f64>() / 2.0).sqrt())
}

/// Returns the total variation distance, ½·Σ|r − c|: the share of traffic that would have to move.
#[must_use]
pub fn total_variation(reference: &[f64], current: &[f64]) -> Option<f64> {
    let parts = shares(reference, current)?.map(|(r, c)| (r - c).abs());
    Some(parts.sum::<f64>() / 2.0)
}

/// Returns the chi-square test that two lists of counts come from one distribution. Bins that are empty
/// in both are left out.
///
/// `None` when the lists differ in length, one is all zeros, or fewer than two bins are left.
#[must_use]
pub fn chi_square_homogeneity(reference: &[u64], current: &[u64]) -> Option<ChiSquare> {
    if reference.len() != current.len() {
        return None;
    }
    let total = |counts: &[u64]| counts.iter().map(|count| *count as f64).sum::<f64>();
    let (of_reference, of_current) = (total(reference), total(current));
    let all = of_reference + of_current;
    let (mut statistic, mut bins) = (0.0, 0_u64);
    for (r, c) in reference.iter().zip(current) {
        let (r, c) = (*r as f64, *c as f64);
        if r + c <= 0.0 {
            continue;
        }
        bins += 1;
        for (count, side) in [(r, of_reference), (c, of_current)] {
            let expected = (r + c) * side / all;
            statistic += (count - expected).powi(2) / expected;
        }
    }
    let freedom = bins.checked_sub(1).filter(|freedom| 0 < *freedom)?;
    (of_reference > 0.0 && of_current > 0.0).then(|| ChiSquare {
        statistic,
        freedom,
        p_value: chi_square_above(statistic, freedom as f64),
    })
}

/// Returns the test of Kolmogorov and Smirnov for two samples.
///
/// The chance is counted up to a million pairs of values. `None` when a sample is empty or holds a
/// value that is not finite.
#[must_use]
pub fn kolmogorov_smirnov(reference: &[f64], current: &[f64]) -> Option<KolmogorovSmirnov> {
    let steps = steps(reference, current)?;
    let (n, m) = (reference.len(), current.len());
    // In whole numbers: |i·m − j·n| of n·m.
    let largest = steps
        .iter()
        .map(|step| (step.reference * m).abs_diff(step.current * n))
        .max()?;
    let distance = largest as f64 / (n as f64 * m as f64);
    let is_exact = n.saturating_mul(m) <= MOST_COUNTED;
    let p_value = if is_exact {
        share_of_far_paths(n, m, largest)
    } else {
        kolmogorov_above(distance * (n as f64 * m as f64 / (n + m) as f64).sqrt())
    };
    Some(KolmogorovSmirnov {
        distance,
        p_value,
        is_exact,
    })
}

/// Returns how far values moved on average (Wasserstein's first distance), in their own unit.
///
/// `None` as for [`kolmogorov_smirnov`].
#[must_use]
pub fn wasserstein(reference: &[f64], current: &[f64]) -> Option<f64> {
    let steps = steps(reference, current)?;
    let (n, m) = (reference.len() as f64, current.len() as f64);
    let areas = steps.iter().zip(steps.iter().skip(1)).map(|(step, next)| {
        let distance = step.reference as f64 / n - step.current as f64 / m;
        distance.abs() * (next.value - step.value)
    });
    Some(areas.sum())
}

/// Returns [`wasserstein`] in standard deviations (with n) of the reference; also `None` when that has
/// none.
#[must_use]
pub fn standardised_wasserstein(reference: &[f64], current: &[f64]) -> Option<f64> {
    let centre = mean(reference)?;
    let deviation = (squares(reference, centre) / reference.len() as f64).sqrt();
    let distance = wasserstein(reference, current)? / deviation;
    distance.is_finite().then_some(distance)
}

/// The pairs of two lists of shares, if they are that.
fn shares<'a>(
    reference: &'a [f64],
    current: &'a [f64],
) -> Option<impl Iterator<Item = (f64, f64)> + 'a> {
    let are_shares = |list: &[f64]| {
        list.iter().all(|share| *share >= 0.0) && (list.iter().sum::<f64>() - 1.0).abs() < 1e-6
    };
    (reference.len() == current.len() && are_shares(reference) && are_shares(current))
        .then(|| reference.iter().copied().zip(current.iter().copied()))
}

/// `share · ln(share/other)`, 0 where nothing is.
fn relative(share: f64, other: f64) -> f64 {
    if share <= 0.0 {
        0.0
    } else {
        share * (share / other).ln()
    }
}

/// How many values of each sample are not above `value`.
struct Step {
    value: f64,
    reference: usize,
    current: usize,
}

/// The steps of both distribution functions, at each value that occurs.
fn steps(reference: &[f64], current: &[f64]) -> Option<Vec<Step>> {
    mean(reference)?;
    mean(current)?;
    let mut values: Vec<(f64, bool)> = reference.iter().map(|value| (*value, true)).collect();
    values.extend(current.iter().map(|value| (*value, false)));
    values.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut steps: Vec<Step> = Vec::with_capacity(values.len());
    let (mut of_reference, mut of_current) = (0, 0);
    for (value, is_reference) in values {
        of_reference += usize::from(is_reference);
        of_current += usize::from(!is_reference);
        let step = Step {
            value,
            reference: of_reference,
            current: of_current,
        };
        match steps.last_mut() {
            Some(last) if last.value >= value => *last = step,
            _ => steps.push(step),
        }
    }
    Some(steps)
}

/// The share of all orders of n and m values whose distance somewhere is `far` or more, in units of
/// 1/(n·m).
///
/// An order is a path on a grid. Walking all at once, a place holds the chance that a path comes
/// through without having been far; what steps out is added up.
fn share_of_far_paths(n: usize, m: usize, far: usize) -> f64 {
    let mut row = vec![0.0; m + 1];
    let mut gone = 0.0;
    for i in 0..=n {
        let mut left = 0.0;
        for (j, place) in row.iter_mut().enumerate() {
            let before = (n + m + 1 - i - j) as f64;
            let from_above = *place * (n + 1 - i) as f64 / before;
            let from_left = left * (m + 1 - j) as f64 / before;
            let mut here = match (i, j) {
                (0, 0) => 1.0,
                (0, _) => from_left,
                (_, 0) => from_above,
                _ => from_above + from_left,
            };
            if (i * m).abs_diff(j * n) >= far {
                gone += here;
                here = 0.0;
            }
            *place = here;
            left = here;
        }
    }
    gone.min(1.0)
}

/// The chance that Kolmogorov's limit is above `x`.
fn kolmogorov_above(x: f64) -> f64 {
    if x < 0.2 {
        return 1.0;
    }
    let terms = (1..=100_u32).map(|k| {
        let sign = if k % 2 == 1 { 2.0 } else { -2.0 };
        sign * (-2.0 * f64::from(k).powi(2) * x * x).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::{
        chi_square_homogeneity, hellinger, jensen_shannon, kolmogorov_above, kolmogorov_smirnov,
        kullback_leibler, psi, psi_by_chance, psi_threshold, share_of_far_paths,
        standardised_wasserstein, total_variation, wasserstein,
    };
    use crate::stats::random::Random;
    use crate::stats::testing::{assert_close, assert_within};
    use proptest::prelude::*;

    const REFERENCE: [f64; 5] = [0.1, 0.2, 0.4, 0.2, 0.1];
    const CURRENT: [f64; 5] = [0.15, 0.25, 0.3, 0.2, 0.1];

    #[test]
    fn distances_of_shares_have_their_reference_values() {
        assert_close(psi(&REFERENCE, &CURRENT).unwrap(), 0.060_198_640_2);
        assert_close(
            psi(&[0.5, 0.5, 0.0], &[0.4, 0.5, 0.1]).unwrap(),
            0.712_399_107_5,
        );
        assert_close(
            kullback_leibler(&REFERENCE, &CURRENT).unwrap(),
            0.030_301_032_3,
        );
        let distance = jensen_shannon(&REFERENCE, &CURRENT).unwrap();
        assert_close(distance, 0.086_558_515_7);
        assert_close(distance / std::f64::consts::LN_2.sqrt(), 0.103_967_372_9);
        assert_close(hellinger(&REFERENCE, &CURRENT).unwrap(), 0.086_651_910_5);
        assert_close(total_variation(&REFERENCE, &CURRENT).unwrap(), 0.1);
    }

    #[test]
    fn tests_of_samples_have_their_reference_values() {
        let test = chi_square_homogeneity(&[50, 30, 20], &[40, 35, 25]).unwrap();
        assert_close(test.statistic, 2.051_282_051);
        assert_close(test.p_value, 0.358_566_541_4);
        assert_eq!(test.freedom, 2);
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        let shifted: Vec<f64> = values.iter().map(|value| value + 1.5).collect();
        let near = kolmogorov_smirnov(&values, &shifted).unwrap();
        assert_close(near.distance, 0.2);
        assert_close(near.p_value, 0.994_457_554_8);
        let grown = [2.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 89.0];
        let far = kolmogorov_smirnov(&values, &grown).unwrap();
        assert_close(far.distance, 0.5);
        assert_close(far.p_value, 0.167_821_342_7);
        assert_close(wasserstein(&values, &grown).unwrap(), 17.7);
        assert_close(
            standardised_wasserstein(&values, &grown).unwrap(),
            6.162_349_021,
        );
    }

    #[test]
    fn the_limit_takes_over_where_counting_ends() {
        let far = 70_000;
        let limit = kolmogorov_above(0.07 * (1_000.0 * 1_000.0 / 2_000.0_f64).sqrt());
        assert_within(share_of_far_paths(1_000, 1_000, far), limit, 0.002);
        assert_close(kolmogorov_above(0.0), 1.0);
    }

    #[test]
    fn the_threshold_of_psi_knows_the_numbers() {
        for (bins, by_chance) in [(5, 0.03795), (10, 0.06768), (20, 0.12057)] {
            assert_within(
                psi_by_chance(500, 500, bins, 0.05).unwrap(),
                by_chance,
                6e-6,
            );
        }
        assert_close(psi_threshold(10_000, 10_000, 10).unwrap(), 0.1);
        assert!(psi_threshold(200, 200, 10).unwrap() > 0.2);
        assert_eq!(psi_threshold(199, 10_000, 10), None);
    }

    /// A hundred values on each side: the usual threshold alarms nearly always, ours says nothing.
    #[test]
    fn psi_of_traffic_with_itself_is_not_small() {
        let mut random = Random::from_seed(51);
        let mut draw = || {
            let mut shares = [0.0; 10];
            for _ in 0..100 {
                shares[random.below(10)] += 0.01;
            }
            shares
        };
        let alarms = (0..500)
            .filter(|_| psi(&draw(), &draw()).unwrap() > 0.1)
            .count();
        assert!((380..470).contains(&alarms), "{alarms} of 500");
    }

    #[test]
    fn nonsense_has_no_distance() {
        for call in [
            psi,
            kullback_leibler,
            jensen_shannon,
            hellinger,
            total_variation,
        ] {
            assert_eq!(call(&[], &[]), None);
            assert_eq!(call(&[1.0], &[0.5, 0.5]), None);
            assert_eq!(call(&[0.5, 0.4], &[0.5, 0.5]), None);
            assert_eq!(call(&[1.5, -0.5], &[0.5, 0.5]), None);
            assert_eq!(call(&[f64::NAN, 0.5], &[0.5, 0.5]), None);
        }
        assert_eq!(kullback_leibler(&[1.0, 0.0], &[0.5, 0.5]), None);
        assert_eq!(chi_square_homogeneity(&[1, 2], &[1]), None);
        assert_eq!(chi_square_homogeneity(&[0, 0], &[1, 2]), None);
        assert_eq!(chi_square_homogeneity(&[5, 0], &[7, 0]), None);
        assert_eq!(kolmogorov_smirnov(&[], &[1.0]), None);
        assert_eq!(kolmogorov_smirnov(&[f64::NAN], &[1.0]), None);
        assert_eq!(wasserstein(&[1.0], &[]), None);
        assert_eq!(standardised_wasserstein(&[1.0, 1.0], &[2.0]), None);
        assert_eq!(psi_by_chance(0, 5, 5, 0.05), None);
        assert_eq!(psi_by_chance(5, 5, 1, 0.05), None);
    }

    proptest! {
        #[test]
        fn a_shift_is_its_own_distance(
            values in prop::collection::vec(-50.0..50.0_f64, 1..30), shift in 0.0..10.0_f64,
        ) {
            let shifted: Vec<f64> = values.iter().map(|value| value + shift).collect();
            prop_assert!((wasserstein(&values, &shifted).unwrap() - shift).abs() < 1e-9);
            let same = kolmogorov_smirnov(&values, &values).unwrap();
            prop_assert!(same.distance <= 0.0 && same.p_value >= 1.0);
            let there = kolmogorov_smirnov(&values, &shifted).unwrap();
            let back = kolmogorov_smirnov(&shifted, &values).unwrap();
            prop_assert!((there.p_value - back.p_value).abs() < 1e-9);
        }
    }
}
