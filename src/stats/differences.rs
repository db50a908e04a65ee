//! Two versions on the same cases, each with a score: tests of the differences.
//!
//! They take candidate − baseline, case by case. Pairing is what makes a small suite see anything: the
//! hardness of the cases is in both sides and cancels.

use super::distributions::{normal_two_sided, t_two_sided, t_two_sided_quantile};
use super::random::Random;
use super::sample::{Clustered, clustered, mean, standard_error, variance};
use super::{Estimate, Interval};
use serde::{Deserialize, Serialize};

/// Up to so many differences that are not zero, all sign flips are counted instead of sampled.
const MOST_ENUMERATED: usize = 20;
/// How many sign flips are sampled beyond that.
const SAMPLED_FLIPS: u32 = 100_000;
/// Up to so many differences that are not zero, the distribution of the ranks is exact.
const MOST_RANKED: usize = 100;
/// Differences closer than this part of the largest are equal: 0.9 − 0.8 is to be 0.7 − 0.6.
const EQUAL: f64 = 1e-9;

/// A paired t test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PairedT {
    /// The mean difference with its t interval.
    pub mean: Estimate,
    /// The standard error of the mean difference.
    pub standard_error: f64,
    /// The mean in standard errors; `None` when all differences are alike, which no t distribution
    /// describes.
    pub t: Option<f64>,
    /// The two-sided chance of such a mean when nothing differs. When all differences are alike, that
    /// of the sign-flip test.
    pub p_value: f64,
    /// The mean in standard deviations of the differences (Cohen's `d_z`); `None` as for `t`.
    pub effect_size: Option<f64>,
}

/// Wilcoxon's signed-rank test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Wilcoxon {
    /// The smaller of the two sums of ranks.
    pub statistic: f64,
    /// How many differences are not zero: only they are ranked.
    pub ranked: u64,
    /// The two-sided chance.
    pub p_value: f64,
    /// Whether the chance is counted, ties included, and not that of a normal.
    pub is_exact: bool,
}

/// A sign-flip (paired permutation) test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SignFlip {
    /// The two-sided chance of such a mean when each difference could have either sign.
    pub p_value: f64,
    /// Whether all flips were counted, and not a sample of them.
    pub is_exact: bool,
}

/// Returns the paired t test. `None` with fewer than two differences, with one that is not finite, or
/// with a confidence that is not between 0 and 1.
#[must_use]
pub fn paired_t(differences: &[f64], confidence: f64) -> Option<PairedT> {
    let centre = mean(differences)?;
    let error = standard_error(differences)?;
    let freedom = (differences.len() - 1) as f64;
    let reach = t_two_sided_quantile(confidence, freedom)? * error;
    // Equal decimals differ in their last bits, which is no spread.
    let has_spread = error > centre.abs() * EQUAL;
    let t = has_spread.then(|| centre / error);
    Some(PairedT {
        mean: Estimate {
            value: centre,
            interval: Interval::around(centre, reach)?,
        },
        standard_error: error,
        p_value: match t {
            Some(t) => t_two_sided(t, freedom),
            None if centre.abs() > 0.0 => 0.5_f64.powf(freedom),
            None => 1.0,
        },
        effect_size: t.map(|_| centre / variance(differences).unwrap_or_default().sqrt()),
        t,
    })
}

/// Returns the mean difference with an error that counts cases of one cluster as dependent.
///
/// `None` as for [`clustered`].
#[must_use]
pub fn clustered_difference<C: Ord>(
    differences: &[f64],
    clusters: &[C],
    confidence: f64,
) -> Option<Clustered> {
    clustered(differences, clusters, confidence)
}

/// Returns Wilcoxon's signed-rank test: counted up to 100 differences that are not zero, ties included,
/// and by a normal with corrections for ties and continuity beyond.
///
/// Without a difference the chance is 1. `None` without values, or with one that is not finite.
#[must_use]
pub fn wilcoxon_exact(differences: &[f64]) -> Option<Wilcoxon> {
    let changed = not_zero(differences)?;
    let ranks = doubled_ranks(&changed);
    let total: u64 = ranks.iter().sum();
    let positive: u64 = changed
        .iter()
        .zip(&ranks)
        .filter_map(|(difference, rank)| (*difference > 0.0).then_some(*rank))
        .sum();
    let smaller = positive.min(total - positive);
    let is_exact = changed.len() <= MOST_RANKED;
    let p_value = if is_exact {
        (2.0 * share_of_sums_up_to(&ranks, smaller)).min(1.0)
    } else {
        // In doubled ranks: mean total/2, variance Σ rank²/4, and one half of a rank for continuity.
        let squares: f64 = ranks.iter().map(|rank| (*rank as f64).powi(2)).sum();
        let distance = (total as f64 / 2.0 - smaller as f64 - 1.0).max(0.0);
        normal_two_sided(distance / (squares / 4.0).sqrt())
    };
    Some(Wilcoxon {
        statistic: smaller as f64 / 2.0,
        ranked: changed.len() as u64,
        p_value,
        is_exact,
    })
}

/// Returns the sign-flip test of the mean: all flips up to 20 differences that are not zero, 100 000
/// seeded ones beyond, with p = (1 + hits)/(1 + flips).
///
/// Without a difference the chance is 1. `None` without values, or with one that is not finite.
#[must_use]
pub fn sign_flip(differences: &[f64], seed: u64) -> Option<SignFlip> {
    let changed = not_zero(differences)?;
    let sum: f64 = changed.iter().sum();
    let size: f64 = changed.iter().map(|difference| difference.abs()).sum();
    let reached = sum.abs() - size * EQUAL;
    let is_exact = changed.len() <= MOST_ENUMERATED;
    let p_value = if is_exact {
        share_of_flips(&changed, reached)
    } else {
        let mut random = Random::from_seed(seed);
        let hits = (0..SAMPLED_FLIPS)
            .filter(|_| flipped_sum(&changed, &mut random).abs() >= reached)
            .count();
        (1.0 + hits as f64) / (1.0 + f64::from(SAMPLED_FLIPS))
    };
    Some(SignFlip { p_value, is_exact })
}

/// The differences that are not zero; `None` when they are none, or one is not finite.
pub(super) fn not_zero(differences: &[f64]) -> Option<Vec<f64>> {
    mean(differences)?;
    let largest = differences
        .iter()
        .fold(0.0_f64, |max, value| max.max(value.abs()));
    Some(
        differences
            .iter()
            .copied()
            .filter(|difference| difference.abs() > largest * EQUAL)
            .collect(),
    )
}

/// Twice the rank of each size, so that the middle ranks of ties are whole.
fn doubled_ranks(differences: &[f64]) -> Vec<u64> {
    let mut sizes: Vec<f64> = differences
        .iter()
        .map(|difference| difference.abs())
        .collect();
    sizes.sort_unstable_by(f64::total_cmp);
    let slack = sizes.last().copied().unwrap_or_default() * EQUAL;
    differences
        .iter()
        .map(|difference| {
            let size = difference.abs();
            let smaller = sizes.partition_point(|other| *other < size - slack);
            let up_to = sizes.partition_point(|other| *other <= size + slack);
            // Ranks smaller + 1 to up_to; twice their middle.
            (smaller + 1 + up_to) as u64
        })
        .collect()
}

/// The share of all choices of `ranks` whose sum is not above `most`.
fn share_of_sums_up_to(ranks: &[u64], most: u64) -> f64 {
    let Ok(most) = usize::try_from(most) else {
        return 1.0;
    };
    let mut shares = vec![0.0; most + 1];
    if let Some(first) = shares.first_mut() {
        *first = 1.0;
    }
    for rank in ranks {
        let rank = usize::try_from(*rank).unwrap_or(usize::MAX);
        let before = shares.clone();
        let with_rank = std::iter::repeat_n(0.0, rank.min(shares.len())).chain(before);
        for (share, with_rank) in shares.iter_mut().zip(with_rank) {
            *share = f64::midpoint(*share, with_rank);
        }
    }
    shares.iter().sum()
}

/// The share of all flips of signs whose sum is at least `reached` away from zero.
///
/// Each step flips one sign (Gray's order), and the first sign stays: its flips mirror the others.
fn share_of_flips(changed: &[f64], reached: f64) -> f64 {
    let mut signed = changed.to_vec();
    let mut sum: f64 = signed.iter().sum();
    let flips = 1_u32 << changed.len().saturating_sub(1);
    let mut hits = u32::from(sum.abs() >= reached);
    for step in 1..flips {
        let place = step.trailing_zeros() as usize + 1;
        if let Some(value) = signed.get_mut(place) {
            sum -= 2.0 * *value;
            *value = -*value;
        }
        hits += u32::from(sum.abs() >= reached);
    }
    f64::from(hits) / f64::from(flips)
}

/// The sum with random signs, 64 of them from one draw.
fn flipped_sum(changed: &[f64], random: &mut Random) -> f64 {
    let mut sum = 0.0;
    for values in changed.chunks(64) {
        let mut bits = random.bits();
        for value in values {
            sum += if bits & 1 == 0 { *value } else { -*value };
            bits >>= 1;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::{clustered_difference, paired_t, share_of_flips, sign_flip, wilcoxon_exact};
    use crate::stats::random::Random;
    use crate::stats::testing::{assert_close, assert_interval, assert_within};
    use proptest::prelude::*;

    pub(crate) const BASELINE: [f64; 10] = [0.8, 0.6, 1.0, 0.4, 0.9, 0.7, 0.5, 1.0, 0.3, 0.6];
    pub(crate) const CANDIDATE: [f64; 10] = [0.9, 0.7, 1.0, 0.6, 0.9, 0.6, 0.8, 1.0, 0.5, 0.7];

    fn differences() -> Vec<f64> {
        CANDIDATE
            .iter()
            .zip(&BASELINE)
            .map(|(new, old)| new - old)
            .collect()
    }

    #[test]
    fn the_tests_have_their_reference_values() {
        let t = paired_t(&differences(), 0.95).unwrap();
        assert_close(t.mean.value, 0.09);
        assert_close(t.standard_error, 0.037_859_388_97);
        assert_close(t.t.unwrap(), 2.377_217_447);
        assert_close(t.p_value, 0.041_416_150_49);
        assert_close(t.effect_size.unwrap(), 0.751_742_162_6);
        assert_interval(t.mean.interval, 0.004_356_112_058, 0.175_643_887_9);
        let ranks = wilcoxon_exact(&differences()).unwrap();
        assert_close(ranks.statistic, 2.5);
        assert_close(ranks.p_value, 0.078_125);
        assert_eq!((ranks.ranked, ranks.is_exact), (7, true));
        let flips = sign_flip(&differences(), 1).unwrap();
        assert_close(flips.p_value, 0.078_125);
        assert!(flips.is_exact);
    }

    #[test]
    fn clusters_widen_the_error_of_differences() {
        let alone = paired_t(&differences(), 0.95).unwrap();
        let clusters = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4];
        let together = clustered_difference(&differences(), &clusters, 0.95).unwrap();
        assert_close(together.naive_error, alone.standard_error);
        // By hand: sums of distances from .09 are .02, .02, −.28, .12, .12.
        let squares: f64 = [0.02, 0.02, -0.28, 0.12, 0.12_f64]
            .iter()
            .map(|x| x * x)
            .sum();
        assert_close(together.uncorrected_error, squares.sqrt() / 10.0);
        let separate: Vec<usize> = (0..10).collect();
        let separate = clustered_difference(&differences(), &separate, 0.95).unwrap();
        assert_close(separate.standard_error, alone.standard_error);
    }

    #[test]
    fn sampled_flips_come_near_counted_ones() {
        let mut random = Random::from_seed(3);
        let values: Vec<f64> = (0..21).map(|_| random.share() - 0.35).collect();
        let sampled = sign_flip(&values, 5).unwrap();
        assert!(!sampled.is_exact);
        let reached = values.iter().sum::<f64>().abs() - 1e-9;
        assert_within(sampled.p_value, share_of_flips(&values, reached), 0.004);
    }

    #[test]
    fn a_normal_takes_over_from_counted_ranks_without_a_jump() {
        let mut random = Random::from_seed(9);
        let values: Vec<f64> = (0..101).map(|_| random.share() - 0.45).collect();
        let normal = wilcoxon_exact(&values).unwrap();
        let counted = wilcoxon_exact(&values[..100]).unwrap();
        assert!(!normal.is_exact && counted.is_exact);
        assert_within(normal.p_value, counted.p_value, 0.05);
        let ranks = super::doubled_ranks(&values);
        let smaller = (normal.statistic * 2.0).round();
        let smaller = (0..10_000)
            .find(|rank| f64::from(*rank) >= smaller)
            .unwrap();
        let exact = 2.0 * super::share_of_sums_up_to(&ranks, u64::try_from(smaller).unwrap());
        assert_within(normal.p_value, exact, 0.002);
    }

    #[test]
    fn differences_that_are_alike_are_told_from_proof() {
        let same = paired_t(&[0.0; 8], 0.95).unwrap();
        assert_eq!((same.t, same.effect_size), (None, None));
        assert_close(same.p_value, 1.0);
        let shifted = paired_t(&[0.1; 5], 0.95).unwrap();
        assert_eq!(shifted.t, None);
        assert_close(shifted.p_value, sign_flip(&[0.1; 5], 1).unwrap().p_value);
        assert_close(wilcoxon_exact(&[0.0; 8]).unwrap().p_value, 1.0);
        assert_close(sign_flip(&[0.0; 8], 1).unwrap().p_value, 1.0);
    }

    #[test]
    fn nonsense_has_no_test() {
        for values in [&[][..], &[f64::NAN, 1.0], &[f64::INFINITY, 1.0]] {
            assert_eq!(paired_t(values, 0.95), None);
            assert_eq!(wilcoxon_exact(values), None);
            assert_eq!(sign_flip(values, 1), None);
        }
        assert_eq!(paired_t(&[1.0], 0.95), None);
        assert_eq!(paired_t(&[1.0, 2.0], 0.0), None);
    }

    proptest! {
        #[test]
        fn turning_the_sides_turns_the_sign(
            values in prop::collection::vec(-1.0..1.0_f64, 2..14),
        ) {
            let turned: Vec<f64> = values.iter().map(|value| -value).collect();
            let (one, other) = (paired_t(&values, 0.9).unwrap(), paired_t(&turned, 0.9).unwrap());
            prop_assert!((one.mean.value + other.mean.value).abs() < 1e-12);
            prop_assert!((one.p_value - other.p_value).abs() < 1e-12);
            let interval = other.mean.interval.negated();
            prop_assert!((one.mean.interval.low - interval.low).abs() < 1e-12);
            let (one, other) = (wilcoxon_exact(&values).unwrap(), wilcoxon_exact(&turned).unwrap());
            prop_assert!((one.p_value - other.p_value).abs() < 1e-12);
            let (one, other) = (sign_flip(&values, 1).unwrap(), sign_flip(&turned, 1).unwrap());
            prop_assert!((one.p_value - other.p_value).abs() < 1e-12);
            prop_assert!(0.0 < one.p_value && one.p_value <= 1.0);
        }
    }
}
