//! What two lists have in common: shares of sets, and overlap that counts the first ranks more.
//!
//! Rank-biased overlap is that of Webber, Moffat and Zobel (2010): with a persistence p of 0.9, 86 % of
//! the weight lies on the first ten ranks.

use std::collections::HashSet;
use std::hash::Hash;

/// Returns the share of the first `k` of both lists that they have in common: 0 to 1. Lists that are
/// shorter have fewer in common; with a `k` of 0 it is 0.
#[must_use]
pub fn overlap<T: Eq + Hash>(a: &[T], b: &[T], k: usize) -> f64 {
    if k == 0 {
        return 0.0;
    }
    in_common(a, b, k) as f64 / k as f64
}

/// Returns how many of all that stand among the first `k` of a list stand there in both: 0 to 1, 0 when
/// there are none.
#[must_use]
pub fn jaccard<T: Eq + Hash>(a: &[T], b: &[T], k: usize) -> f64 {
    let common = in_common(a, b, k);
    let all = a.len().min(k) + b.len().min(k) - common;
    if all == 0 {
        return 0.0;
    }
    common as f64 / all as f64
}

/// Returns whether both lists begin with the same; two empty lists do not.
#[must_use]
pub fn is_top1_same<T: PartialEq>(a: &[T], b: &[T]) -> bool {
    a.first().is_some_and(|first| b.first() == Some(first))
}

/// Returns what overlap@k two unrelated spaces have when each of `items` looks for its neighbours among
/// the others: k/(n−1), at most 1. `None` with fewer than two items.
#[must_use]
pub fn chance(k: usize, items: usize) -> Option<f64> {
    let others = items.checked_sub(1).filter(|others| 0 < *others)?;
    Some((k as f64 / others as f64).min(1.0))
}

/// Returns an overlap of which chance is taken out, (o − c)/(1 − c): 0 is chance, 1 all. `None` when
/// chance is 1.
#[must_use]
pub fn beyond_chance(overlap: f64, chance: f64) -> Option<f64> {
    let beyond = (overlap - chance) / (1.0 - chance);
    (chance < 1.0 && beyond.is_finite()).then_some(beyond)
}

/// Returns how many the first d of both lists have in common, for each depth d from 1 to the length of
/// the longer one.
#[must_use]
pub fn overlap_by_depth<T: Eq + Hash>(a: &[T], b: &[T]) -> Vec<usize> {
    let (mut seen_a, mut seen_b) = (HashSet::new(), HashSet::new());
    let mut common = 0;
    let depths = 0..a.len().max(b.len());
    let count = |depth: usize| {
        if let Some(item) = a.get(depth) {
            common += usize::from(seen_b.contains(item));
            seen_a.insert(item);
        }
        if let Some(item) = b.get(depth) {
            common += usize::from(seen_a.contains(item));
            seen_b.insert(item);
        }
        common
    };
    depths.map(count).collect()
}

/// Returns rank-biased overlap of what both lists show, `(1−p)·Σ p^(d−1)·X_d/d` up to the length of the
/// shorter one. What is beyond counts as nothing, so equal lists stay below 1.
///
/// `None` when p is not between 0 and 1.
#[must_use]
pub fn rbo_truncated<T: Eq + Hash>(a: &[T], b: &[T], p: f64) -> Option<f64> {
    let shown = a.len().min(b.len());
    is_persistence(p).then(|| seen(&overlap_by_depth(a, b), shown, p))
}

/// Returns rank-biased overlap as if both lists went on as they are: equation 30, and 32 where one is
/// longer. 1 for equal lists, 0 for lists with nothing in common and for an empty one.
///
/// With a p of 0 only the first ranks count; with 1 only the share at the end. What lies beyond these is
/// taken as them.
#[must_use]
pub fn rbo_ext<T: Eq + Hash>(a: &[T], b: &[T], p: f64) -> f64 {
    let p = if p.is_nan() { 0.0 } else { p.clamp(0.0, 1.0) };
    let depths = overlap_by_depth(a, b);
    let short = a.len().min(b.len());
    let (Some(at_short), Some(at_long)) = (
        short.checked_sub(1).and_then(|place| depths.get(place)),
        depths.last(),
    ) else {
        return 0.0;
    };
    let (at_short, at_long) = (*at_short as f64, *at_long as f64);
    let (s, l) = (short as f64, depths.len() as f64);
    let mut weight = (1.0 - p) * p.powf(s);
    let mut assumed = 0.0;
    for depth in short + 1..=depths.len() {
        let d = depth as f64;
        assumed += weight * at_short * (d - s) / (s * d);
        weight *= p;
    }
    let rest = ((at_long - at_short) / l + at_short / s) * p.powf(l);
    seen(&depths, depths.len(), p) + assumed + rest
}

/// Returns the least that rank-biased overlap can be, whatever follows: equation 11 at the length of the
/// shorter list. `None` when p is not between 0 and 1.
#[must_use]
pub fn rbo_min<T: Eq + Hash>(a: &[T], b: &[T], p: f64) -> Option<f64> {
    if !is_persistence(p) {
        return None;
    }
    let shown = a.len().min(b.len());
    let mut depths = overlap_by_depth(a, b);
    depths.truncate(shown);
    let last = depths.last().copied().unwrap_or(0) as f64;
    let mut power = 1.0;
    let mut sum = 0.0;
    for (common, depth) in depths.iter().zip(1_u32..) {
        power *= p;
        sum += (*common as f64 - last) * power / f64::from(depth);
    }
    Some((1.0 - p) / p * (sum - last * (-p).ln_1p()))
}

/// `(1−p)·Σ p^(d−1)·X_d/d` over the first depths.
fn seen(depths: &[usize], shown: usize, p: f64) -> f64 {
    let mut weight = 1.0 - p;
    let mut sum = 0.0;
    for (common, depth) in depths.iter().take(shown).zip(1_u32..) {
        sum += weight * *common as f64 / f64::from(depth);
        weight *= p;
    }
    sum
}

fn in_common<T: Eq + Hash>(a: &[T], b: &[T], k: usize) -> usize {
    let among: HashSet<&T> = a.iter().take(k).collect();
    b.iter().take(k).filter(|item| among.contains(item)).count()
}

fn is_persistence(p: f64) -> bool {
    0.0 < p && p < 1.0
}

#[cfg(test)]
mod tests {
    use super::{
        beyond_chance, chance, is_top1_same, jaccard, overlap, overlap_by_depth, rbo_ext, rbo_min,
        rbo_truncated,
    };
    use crate::embeddings::fixtures::{Fixture, assert_within};

    #[test]
    fn rank_biased_overlap_has_its_reference_values() {
        let fixture = Fixture::read("ranking.json");
        let tolerance = fixture.number("/tolerance_abs");
        for kind in ["rbo_even", "rbo_uneven"] {
            for case in fixture.list(&format!("/{kind}")) {
                let (a, b) = (case.words("/S"), case.words("/T"));
                let p = case.number("/p");
                let truncated = rbo_truncated(&a, &b, p).unwrap();
                assert_within(truncated, case.number("/rbo_truncated"), tolerance);
                assert_within(rbo_ext(&a, &b, p), case.number("/rbo_ext"), tolerance);
                if kind == "rbo_even" {
                    let least = rbo_min(&a, &b, p).unwrap();
                    assert_within(least, case.number("/rbo_min_eq11"), tolerance);
                    let depths: Vec<f64> = overlap_by_depth(&a, &b)
                        .iter()
                        .map(|common| *common as f64)
                        .collect();
                    assert_eq!(depths, case.numbers("/overlap_by_depth"));
                }
            }
        }
    }

    #[test]
    fn lists_of_neighbours_overlap_as_elsewhere() {
        let fixture = Fixture::read("pairs_small.json");
        let lists = |side: &str| -> Vec<Vec<f64>> {
            fixture.rows(&format!("/expected/knn_k10/neighbours_{side}"))
        };
        let whole = |list: &[f64]| -> Vec<u64> { list.iter().map(|row| row.to_bits()).collect() };
        let pairs: Vec<(Vec<u64>, Vec<u64>)> = lists("a")
            .iter()
            .zip(&lists("b"))
            .map(|(a, b)| (whole(a), whole(b)))
            .collect();
        let mean = |of: &dyn Fn(&[u64], &[u64]) -> f64| -> f64 {
            pairs.iter().map(|(a, b)| of(a, b)).sum::<f64>() / pairs.len() as f64
        };
        for k in [1, 5, 10] {
            let at = |name: &str| format!("/expected/knn_k{k}/{name}");
            let each: Vec<f64> = pairs.iter().map(|(a, b)| overlap(a, b, k)).collect();
            assert_eq!(each, fixture.numbers(&at("overlap_per_item")));
            let mean_overlap = mean(&|a, b| overlap(a, b, k));
            assert_within(mean_overlap, fixture.number(&at("overlap_mean")), 1e-9);
            let mean_jaccard = mean(&|a, b| jaccard(a, b, k));
            assert_within(mean_jaccard, fixture.number(&at("jaccard_mean")), 1e-9);
            let by_chance = chance(k, pairs.len()).unwrap();
            assert_within(by_chance, fixture.number(&at("chance")), 1e-9);
            let corrected = beyond_chance(mean_overlap, by_chance).unwrap();
            let expected = fixture.number(&at("overlap_chance_corrected"));
            assert_within(corrected, expected, 1e-9);
        }
        let top1 = mean(&|a, b| f64::from(u8::from(is_top1_same(a, b))));
        assert_within(top1, fixture.number("/expected/top1_agreement"), 1e-9);
        let truncated = mean(&|a, b| rbo_truncated(a, b, 0.9).unwrap());
        let at = "/expected/knn_k10/rbo_p0.9_truncated_mean";
        assert_within(truncated, fixture.number(at), 1e-9);
        let extrapolated = mean(&|a, b| rbo_ext(a, b, 0.9));
        let at = "/expected/knn_k10/rbo_p0.9_ext_mean";
        assert_within(extrapolated, fixture.number(at), 1e-9);
    }

    #[test]
    fn nothing_has_nothing_in_common() {
        let (none, some): ([u8; 0], [u8; 2]) = ([], [1, 2]);
        assert!(overlap(&some, &some, 0).abs() < 1e-12);
        assert!(jaccard(&none, &none, 5).abs() < 1e-12);
        assert!(rbo_ext(&none, &some, 0.9).abs() < 1e-12);
        assert!(!is_top1_same(&none, &none));
        assert_eq!(rbo_truncated(&some, &some, 1.0), None);
        assert_eq!(rbo_min(&some, &some, f64::NAN), None);
        assert_within(rbo_ext(&some, &[1, 3], 0.0), 1.0, 1e-12);
        assert_within(rbo_ext(&some, &[1, 3], 1.0), 0.5, 1e-12);
        assert_eq!(chance(5, 1), None);
        assert_eq!(chance(10, 3), Some(1.0));
        assert_eq!(beyond_chance(1.0, 1.0), None);
    }
}
