//! The mean of one version's scores, and how sure it is.
//!
//! Cases that come from one document, conversation or template are not independent: [`clustered`]
//! counts them as what they are. Repeats of one case are no cases at all: [`average_repeats`] first.

use super::distributions::t_two_sided_quantile;
use super::{Estimate, Interval};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Fewer clusters than this make a clustered error unreliable.
const ENOUGH_CLUSTERS: u64 = 20;

/// A mean of cases that come in clusters.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Clustered {
    /// The mean over all cases, and its interval by t with one degree of freedom less than clusters.
    pub mean: Estimate,
    /// The cluster-robust standard error with the correction for few clusters (CR1).
    pub standard_error: f64,
    /// The same without the correction (CR0).
    pub uncorrected_error: f64,
    /// The standard error that independent cases would have.
    pub naive_error: f64,
    /// How many clusters there are.
    pub clusters: u64,
    /// Whether there are too few clusters (under 20) to trust the error.
    pub is_few: bool,
}

/// Where the noise of repeated cases comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repeats {
    /// The mean of each case, in the order of the cases: what all further statistics take.
    pub means: Vec<f64>,
    /// The variance of a single repeat around the mean of its case.
    pub within: f64,
    /// The variance of the cases' true means; the within-part is taken out, so it may be 0.
    pub between: f64,
}

/// Returns the mean; `None` without values, or with one that is not finite.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    let sum: f64 = values.iter().sum();
    let mean = sum / values.len() as f64;
    mean.is_finite().then_some(mean)
}

/// Returns the variance with n − 1; `None` with fewer than two values, or one that is not finite.
#[must_use]
pub fn variance(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let variance = squares(values, mean(values)?) / (values.len() - 1) as f64;
    variance.is_finite().then_some(variance)
}

/// Returns the standard error of the mean, √(s²/n). `None` as for [`variance`].
#[must_use]
pub fn standard_error(values: &[f64]) -> Option<f64> {
    Some((variance(values)? / values.len() as f64).sqrt())
}

/// Returns the t interval of the mean. `None` as for [`variance`], or with a confidence that is not
/// between 0 and 1.
///
/// It knows of no bounds: for 0/1 outcomes it may exceed 1, and [`wilson`](super::wilson) is right.
#[must_use]
pub fn t_interval(values: &[f64], confidence: f64) -> Option<Interval> {
    let error = standard_error(values)?;
    let t = t_two_sided_quantile(confidence, (values.len() - 1) as f64)?;
    Interval::around(mean(values)?, t * error)
}

/// Returns the mean with its cluster-robust error; `clusters` names the cluster of each value.
///
/// CR0 = `√(Σ_c (Σ_{i∈c} (xᵢ − x̄))²) / n`, CR1 = CR0·√(C/(C−1)), as in Liang and Zeger (1986). `None`
/// when the lists differ in length, with fewer than two clusters, or as for [`t_interval`].
#[must_use]
pub fn clustered<C: Ord>(values: &[f64], clusters: &[C], confidence: f64) -> Option<Clustered> {
    if values.len() != clusters.len() {
        return None;
    }
    let centre = mean(values)?;
    let mut sums: BTreeMap<&C, f64> = BTreeMap::new();
    for (value, cluster) in values.iter().zip(clusters) {
        *sums.entry(cluster).or_default() += value - centre;
    }
    if sums.len() < 2 {
        return None;
    }
    let count = sums.len() as f64;
    let squares: f64 = sums.values().map(|sum| sum * sum).sum();
    let uncorrected_error = squares.sqrt() / values.len() as f64;
    let standard_error = uncorrected_error * (count / (count - 1.0)).sqrt();
    let t = t_two_sided_quantile(confidence, count - 1.0)?;
    Some(Clustered {
        mean: Estimate {
            value: centre,
            interval: Interval::around(centre, t * standard_error)?,
        },
        standard_error,
        uncorrected_error,
        naive_error: self::standard_error(values)?,
        clusters: sums.len() as u64,
        is_few: (sums.len() as u64) < ENOUGH_CLUSTERS,
    })
}

/// Returns the mean of each case's repeats, and how much of the noise more repeats could remove.
///
/// The error of the mean of n cases with K repeats is √((between + within/K)/n), after Miller (2024); n·K
/// outcomes are never n·K cases. `None` without cases, with a case without repeats, or a value that is
/// not finite. Where no case is repeated, all noise counts as `between`.
#[must_use]
pub fn average_repeats<R: AsRef<[f64]>>(cases: &[R]) -> Option<Repeats> {
    let means: Vec<f64> = cases
        .iter()
        .map(|case| mean(case.as_ref()))
        .collect::<Option<_>>()?;
    mean(&means)?;
    let (mut squares_within, mut freedom, mut inverse_counts) = (0.0, 0_usize, 0.0);
    for (case, mean) in cases.iter().zip(&means) {
        let repeats = case.as_ref();
        squares_within += squares(repeats, *mean);
        freedom += repeats.len() - 1;
        inverse_counts += 1.0 / repeats.len() as f64;
    }
    let within = if freedom == 0 {
        0.0
    } else {
        squares_within / freedom as f64
    };
    let of_means = variance(&means).unwrap_or(0.0);
    let part = within * inverse_counts / cases.len() as f64;
    (within.is_finite() && of_means.is_finite()).then(|| Repeats {
        between: (of_means - part).max(0.0),
        within,
        means,
    })
}

/// Returns the chance that at least one of `k` answers passes, when `c` of `n` did: 1 − C(n−c, k)/C(n, k)
/// (Chen et al., 2021). `None` unless c ≤ n and 1 ≤ k ≤ n.
#[must_use]
pub fn pass_at_k(n: u64, c: u64, k: u64) -> Option<f64> {
    if n < c {
        return None;
    }
    Some(1.0 - draws_all(n, n - c, k)?)
}

/// Returns the chance that all of `k` answers pass, when `c` of `n` did: C(c, k)/C(n, k), pass^k of Yao
/// et al. (2024). `None` as for [`pass_at_k`].
///
/// (c/n)^k would be too high: .343 instead of .292 for 7 of 10 and k = 3.
#[must_use]
pub fn pass_hat_k(n: u64, c: u64, k: u64) -> Option<f64> {
    draws_all(n, c, k)
}

/// The chance that `k` drawn of `n` without putting back all belong to the `marked`.
fn draws_all(n: u64, marked: u64, k: u64) -> Option<f64> {
    if k == 0 || n < k || n < marked {
        return None;
    }
    if marked < k {
        return Some(0.0);
    }
    // The shorter of two equal products: k factors, or as many as are not marked.
    let unmarked = n - marked;
    let chance = if k <= unmarked {
        (0..k)
            .map(|i| (marked - i) as f64 / (n - i) as f64)
            .product()
    } else {
        (0..unmarked)
            .map(|i| (n - k - i) as f64 / (n - i) as f64)
            .product()
    };
    Some(chance)
}

/// The sum of squared distances from `centre`.
pub(super) fn squares(values: &[f64], centre: f64) -> f64 {
    values.iter().map(|value| (value - centre).powi(2)).sum()
}

#[cfg(test)]
mod tests {
    use super::{
        average_repeats, clustered, mean, pass_at_k, pass_hat_k, standard_error, t_interval,
        variance,
    };
    use crate::stats::testing::{assert_close, assert_interval};
    use proptest::prelude::*;

    const SCORES: [f64; 10] = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0];

    #[test]
    fn a_mean_has_its_reference_error() {
        assert_close(mean(&SCORES).unwrap(), 0.7);
        assert_close(standard_error(&SCORES).unwrap(), 0.152_752_523_2);
        let interval = t_interval(&SCORES, 0.95).unwrap();
        assert_interval(interval, 0.354_449_785_6, 1.045_550_214);
    }

    #[test]
    fn clusters_widen_the_error() {
        let values = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0];
        let clusters = ["a", "a", "a", "a", "b", "b", "b", "c", "c", "c"];
        let result = clustered(&values, &clusters, 0.95).unwrap();
        assert_close(result.uncorrected_error, 0.143_527_000_9);
        assert_close(result.standard_error, 0.175_783_958_3);
        assert_close(result.naive_error, 0.152_752_523_2);
        assert_interval(result.mean.interval, -0.056_337_328_1, 1.456_337_328);
        assert_eq!((result.clusters, result.is_few), (3, true));
    }

    #[test]
    fn clusters_of_one_are_independent_cases() {
        let ids: Vec<usize> = (0..SCORES.len()).collect();
        let result = clustered(&SCORES, &ids, 0.95).unwrap();
        assert_close(result.standard_error, result.naive_error);
    }

    #[test]
    fn repeats_are_averaged_and_their_noise_told_apart() {
        let repeats = average_repeats(&[vec![1.0, 0.0], vec![1.0, 1.0], vec![0.0, 0.0]]).unwrap();
        assert_eq!(repeats.means, [0.5, 1.0, 0.0]);
        assert_close(repeats.within, 0.5 / 3.0);
        assert_close(repeats.between, 0.25 - 0.25 / 3.0);
        let single = average_repeats(&[[1.0], [0.0]]).unwrap();
        assert_close(single.within, 0.0);
        assert_close(single.between, 0.5);
        assert_eq!(average_repeats::<Vec<f64>>(&[]), None);
        assert_eq!(average_repeats(&[vec![1.0], vec![]]), None);
        assert_eq!(average_repeats(&[[f64::NAN]]), None);
    }

    #[test]
    fn passing_once_and_passing_always() {
        for (n, c, k, at, hat) in [
            (10, 7, 3, 0.991_666_666_7, 0.291_666_666_7),
            (5, 3, 2, 0.9, 0.3),
            (4, 1, 2, 0.5, 0.0),
            (3, 2, 3, 1.0, 0.0),
        ] {
            assert_close(pass_at_k(n, c, k).unwrap(), at);
            assert_close(pass_hat_k(n, c, k).unwrap(), hat);
        }
        for (n, c, k) in [(0, 0, 1), (3, 4, 1), (3, 1, 0), (3, 1, 4)] {
            assert_eq!(pass_at_k(n, c, k), None);
            assert_eq!(pass_hat_k(n, c, k), None);
        }
    }

    #[test]
    fn nonsense_has_no_error() {
        for values in [
            &[][..],
            &[1.0],
            &[1.0, f64::NAN],
            &[1.0, f64::INFINITY],
            &[1e308, -1e308],
        ] {
            assert_eq!(variance(values), None);
            assert_eq!(standard_error(values), None);
            assert_eq!(t_interval(values, 0.95), None);
        }
        assert_eq!(mean(&[]), None);
        assert_eq!(t_interval(&SCORES, 1.0), None);
        assert_eq!(clustered(&[1.0, 2.0], &["a"], 0.95), None);
        assert_eq!(clustered(&[1.0, 2.0], &["a", "a"], 0.95), None);
    }

    proptest! {
        #[test]
        fn passing_behaves_with_k(n in 2..60_u64, c in 0..60_u64, k in 1..59_u64) {
            prop_assume!(c <= n && k < n);
            let (at, hat) = (pass_at_k(n, c, k).unwrap(), pass_hat_k(n, c, k).unwrap());
            prop_assert!(hat <= at + 1e-12);
            prop_assert!(at <= pass_at_k(n, c, k + 1).unwrap() + 1e-12);
            prop_assert!(pass_hat_k(n, c, k + 1).unwrap() <= hat + 1e-12);
            prop_assert!((0.0..=1.0 + 1e-12).contains(&at) && (0.0..=1.0 + 1e-12).contains(&hat));
        }

        #[test]
        fn an_interval_holds_its_mean(values in prop::collection::vec(-5.0..5.0_f64, 2..40)) {
            let interval = t_interval(&values, 0.95).unwrap();
            prop_assert!(interval.contains(mean(&values).unwrap()));
        }
    }
}
