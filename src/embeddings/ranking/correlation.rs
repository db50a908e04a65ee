//! How two orders of the same things agree, as one number from −1 to 1.

use crate::stats::average_ranks;
use std::collections::HashMap;
use std::hash::Hash;

/// Returns the correlation of two lists of values. `None` with fewer than two, lists of different
/// lengths, values that are not finite, or all alike on a side.
#[must_use]
pub fn pearson(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < 2 {
        return None;
    }
    let n = x.len() as f64;
    let (x_mean, y_mean) = (x.iter().sum::<f64>() / n, y.iter().sum::<f64>() / n);
    let (mut together, mut x_squares, mut y_squares) = (0.0, 0.0, 0.0);
    for (x, y) in x.iter().zip(y) {
        let (x, y) = (x - x_mean, y - y_mean);
        together += x * y;
        x_squares += x * x;
        y_squares += y * y;
    }
    if x_squares <= 0.0 || y_squares <= 0.0 {
        return None;
    }
    let correlation = together / (x_squares.sqrt() * y_squares.sqrt());
    correlation
        .is_finite()
        .then_some(correlation.clamp(-1.0, 1.0))
}

/// Returns the correlation of the ranks, equal values with their mean rank. `None` as for [`pearson`].
#[must_use]
pub fn spearman(x: &[f64], y: &[f64]) -> Option<f64> {
    pearson(&average_ranks(x)?, &average_ranks(y)?)
}

/// Returns Kendall's τ-b (1945): pairs in the same order minus pairs in the other, over the pairs that
/// are not tied; in n·log n steps (Knight, 1966). `None` as for [`pearson`].
#[must_use]
pub fn kendall_tau_b(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.len() < 2 || x.iter().chain(y).any(|value| !value.is_finite()) {
        return None;
    }
    let mut points: Vec<(f64, f64)> = x.iter().copied().zip(y.iter().copied()).collect();
    points.sort_unstable_by(|one, other| {
        let by_x = one.0.total_cmp(&other.0);
        by_x.then_with(|| one.1.total_cmp(&other.1))
    });
    let tied_x = tied(points.chunk_by(|one, other| one.0 >= other.0));
    let tied_both = tied(points.chunk_by(|one, other| one.0 >= other.0 && one.1 >= other.1));
    let mut ys: Vec<f64> = points.into_iter().map(|(_, y)| y).collect();
    let crossed = sort_counting(&mut ys) as f64;
    let tied_y = tied(ys.chunk_by(|one, other| one >= other));
    let all = pairs(x.len());
    let room = (all - tied_x).sqrt() * (all - tied_y).sqrt();
    let agreement = all - tied_x - tied_y + tied_both - 2.0 * crossed;
    (room > 0.0).then(|| (agreement / room).clamp(-1.0, 1.0))
}

/// Returns Kendall's τ-b over everything that stands in either list. What a list lacks comes behind all
/// it has, tied. `None` with fewer than two things, or when a list says nothing about their order.
#[must_use]
pub fn kendall_of_union<T: Eq + Hash>(a: &[T], b: &[T]) -> Option<f64> {
    let places = |list: &[T]| -> Vec<f64> {
        let place: HashMap<&T, usize> = list.iter().zip(0..).collect();
        let only_b = b.iter().filter(|item| !a.contains(item));
        a.iter()
            .chain(only_b)
            .map(|item| place.get(item).copied().unwrap_or(list.len()) as f64)
            .collect()
    };
    kendall_tau_b(&places(a), &places(b))
}

/// Returns the weighted τ of Vigna (2015) with hyperbolic weights that add up: an exchange among the
/// highest values costs most. It is the mean of weighing by the order of `x` and by that of `y`.
///
/// It looks at every pair. `None` as for [`pearson`].
#[must_use]
pub fn weighted_tau(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.len() != y.len() || x.iter().chain(y).any(|value| !value.is_finite()) {
        return None;
    }
    let by_x = weighted_by(x, y)?;
    let by_y = weighted_by(y, x)?;
    Some(f64::midpoint(by_x, by_y))
}

/// Weighted by the places of `first`, equal ones by those of `second`.
fn weighted_by(first: &[f64], second: &[f64]) -> Option<f64> {
    let mut points: Vec<(f64, f64)> = first.iter().copied().zip(second.iter().copied()).collect();
    points.sort_by(|one, other| {
        let by_first = other.0.total_cmp(&one.0);
        by_first.then_with(|| other.1.total_cmp(&one.1))
    });
    let (mut together, mut of_first, mut of_second) = (0.0, 0.0, 0.0);
    for (place, one) in points.iter().enumerate() {
        let weight = 1.0 / (place + 1) as f64;
        for (other_place, other) in points.iter().enumerate().skip(place + 1) {
            let weight = weight + 1.0 / (other_place + 1) as f64;
            let (x, y) = (order(one.0, other.0), order(one.1, other.1));
            together += weight * x * y;
            of_first += weight * x * x;
            of_second += weight * y * y;
        }
    }
    let room = of_first.sqrt() * of_second.sqrt();
    (room > 0.0).then(|| together / room)
}

fn order(one: f64, other: f64) -> f64 {
    match one.total_cmp(&other) {
        std::cmp::Ordering::Less => -1.0,
        std::cmp::Ordering::Equal => 0.0,
        std::cmp::Ordering::Greater => 1.0,
    }
}

fn pairs(count: usize) -> f64 {
    count as f64 * count.saturating_sub(1) as f64 / 2.0
}

fn tied<'a, T: 'a>(groups: impl Iterator<Item = &'a [T]>) -> f64 {
    groups.map(|group| pairs(group.len())).sum()
}

/// Sorts, and returns how many pairs stood the wrong way round.
fn sort_counting(values: &mut [f64]) -> u64 {
    if values.len() < 2 {
        return 0;
    }
    let (left, right) = values.split_at_mut(values.len() / 2);
    let mut crossed = sort_counting(left) + sort_counting(right);
    let mut merged = Vec::with_capacity(left.len() + right.len());
    let mut rights = right.iter().copied().peekable();
    for (place, value) in left.iter().enumerate() {
        while let Some(smaller) = rights.next_if(|other| other < value) {
            merged.push(smaller);
            crossed += (left.len() - place) as u64;
        }
        merged.push(*value);
    }
    merged.extend(rights);
    values.copy_from_slice(&merged);
    crossed
}

#[cfg(test)]
mod tests {
    use super::{kendall_of_union, kendall_tau_b, pearson, spearman, weighted_tau};
    use crate::embeddings::fixtures::{Fixture, assert_within};
    use proptest::prelude::*;

    #[test]
    fn correlations_have_their_reference_values() {
        let fixture = Fixture::read("ranking.json");
        let tolerance = fixture.number("/tolerance_abs");
        for case in fixture.list("/rank_correlation") {
            let (x, y) = (case.numbers("/x"), case.numbers("/y"));
            let tau = kendall_tau_b(&x, &y).unwrap();
            assert_within(tau, case.number("/kendall_tau_b"), tolerance);
            let rho = spearman(&x, &y).unwrap();
            assert_within(rho, case.number("/spearman"), tolerance);
            let weighted = weighted_tau(&x, &y).unwrap();
            let expected = case.number("/weighted_tau_additive_hyperbolic");
            assert_within(weighted, expected, tolerance);
        }
    }

    #[test]
    fn what_a_list_lacks_comes_last() {
        let tau = kendall_of_union(&["a", "b", "c"], &["a", "b", "c"]).unwrap();
        assert_within(tau, 1.0, 1e-12);
        // Ranks (1, 2, 3, 3) and (1, 3, 3, 2): of 4 pairs untied in both, 3 agree.
        let tau = kendall_of_union(&["a", "b"], &["a", "d"]).unwrap();
        assert_within(tau, 1.0 / 3.0, 1e-12);
        assert_eq!(kendall_of_union(&["a"], &["a"]), None);
        assert_eq!(kendall_of_union::<u8>(&[], &[]), None);
    }

    #[test]
    fn nonsense_has_no_correlation() {
        for call in [pearson, spearman, kendall_tau_b, weighted_tau] {
            assert_eq!(call(&[], &[]), None);
            assert_eq!(call(&[1.0], &[1.0]), None);
            assert_eq!(call(&[1.0, 1.0], &[1.0, 2.0]), None);
            assert_eq!(call(&[1.0, 2.0], &[1.0]), None);
            assert_eq!(call(&[1.0, f64::NAN], &[1.0, 2.0]), None);
        }
    }

    proptest! {
        #[test]
        fn counting_in_order_is_counting_all(
            points in prop::collection::vec((0_u8..6, 0_u8..6), 2..25),
        ) {
            let x: Vec<f64> = points.iter().map(|(x, _)| f64::from(*x)).collect();
            let y: Vec<f64> = points.iter().map(|(_, y)| f64::from(*y)).collect();
            let (mut agreement, mut of_x, mut of_y) = (0.0_f64, 0.0_f64, 0.0_f64);
            for (i, one) in points.iter().enumerate() {
                for other in &points[..i] {
                    let x = (f64::from(one.0) - f64::from(other.0)).signum()
                        * f64::from(u8::from(one.0 != other.0));
                    let y = (f64::from(one.1) - f64::from(other.1)).signum()
                        * f64::from(u8::from(one.1 != other.1));
                    agreement += x * y;
                    of_x += x * x;
                    of_y += y * y;
                }
            }
            match kendall_tau_b(&x, &y) {
                Some(tau) => prop_assert!((tau - agreement / (of_x * of_y).sqrt()).abs() < 1e-9),
                None => prop_assert!(of_x * of_y < 0.5),
            }
        }
    }
}
