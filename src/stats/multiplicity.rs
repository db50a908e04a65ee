//! Many tests at once: chances adjusted so that one lucky metric among many is not taken for a finding.
//!
//! Holm is for metrics that gate (no false alarm among all of them), Benjamini and Hochberg for slices
//! one explores. Gates that must *all* hold, as non-inferiority of every metric, need no adjustment.

use super::distributions::is_share;

/// Returns each chance times their number, at most 1, in the order given (Bonferroni).
///
/// `None` when one is not a chance, here and below.
#[must_use]
pub fn bonferroni(p_values: &[f64]) -> Option<Vec<f64>> {
    are_chances(p_values)?;
    let count = p_values.len() as f64;
    Some(p_values.iter().map(|p| (p * count).min(1.0)).collect())
}

/// Returns the chances adjusted step down by Holm (1979), in the order given.
#[must_use]
pub fn holm(p_values: &[f64]) -> Option<Vec<f64>> {
    let mut worst = 0.0_f64;
    let count = p_values.len();
    adjusted(
        p_values,
        ascending(p_values)?.into_iter().enumerate(),
        |place, p| {
            worst = worst.max((p * (count - place) as f64).min(1.0));
            worst
        },
    )
}

/// Returns the chances adjusted step up by Benjamini and Hochberg (1995), in the order given: the share
/// of false findings among all that are taken.
#[must_use]
pub fn benjamini_hochberg(p_values: &[f64]) -> Option<Vec<f64>> {
    let mut best = 1.0_f64;
    let count = p_values.len() as f64;
    adjusted(
        p_values,
        ascending(p_values)?.into_iter().enumerate().rev(),
        |place, p| {
            best = best.min(p * count / (place + 1) as f64);
            best
        },
    )
}

/// Lays what `adjust` makes of each chance, told its place from the smallest, back in the order given.
fn adjusted(
    p_values: &[f64],
    order: impl Iterator<Item = (usize, usize)>,
    mut adjust: impl FnMut(usize, f64) -> f64,
) -> Option<Vec<f64>> {
    let mut result = vec![0.0; p_values.len()];
    for (place, index) in order {
        *result.get_mut(index)? = adjust(place, *p_values.get(index)?);
    }
    Some(result)
}

/// The indexes of the chances from the smallest to the largest.
fn ascending(p_values: &[f64]) -> Option<Vec<usize>> {
    are_chances(p_values)?;
    let mut order: Vec<(f64, usize)> = p_values.iter().copied().zip(0..).collect();
    order.sort_by(|one, other| one.0.total_cmp(&other.0));
    Some(order.into_iter().map(|(_, index)| index).collect())
}

fn are_chances(p_values: &[f64]) -> Option<()> {
    p_values.iter().all(|p| is_share(*p)).then_some(())
}

#[cfg(test)]
mod tests {
    use super::{benjamini_hochberg, bonferroni, holm};
    use crate::stats::testing::assert_close;
    use proptest::prelude::*;

    #[test]
    fn adjustments_have_their_reference_values() {
        let p_values = [0.01, 0.04, 0.03, 0.005, 0.2];
        for (actual, expected) in [
            (bonferroni(&p_values), [0.05, 0.2, 0.15, 0.025, 1.0]),
            (holm(&p_values), [0.04, 0.09, 0.09, 0.025, 0.2]),
            (
                benjamini_hochberg(&p_values),
                [0.025, 0.05, 0.05, 0.025, 0.2],
            ),
        ] {
            for (actual, expected) in actual.unwrap().into_iter().zip(expected) {
                assert_close(actual, expected);
            }
        }
    }

    #[test]
    fn nonsense_is_not_adjusted() {
        for call in [bonferroni, holm, benjamini_hochberg] {
            assert_eq!(call(&[]), Some(vec![]));
            assert_eq!(call(&[0.5, f64::NAN]), None);
            assert_eq!(call(&[1.1]), None);
            assert_eq!(call(&[-0.1]), None);
        }
    }

    proptest! {
        #[test]
        fn adjustments_stand_in_their_order(p_values in prop::collection::vec(0.0..=1.0_f64, 1..30)) {
            let (crude, family) = (bonferroni(&p_values).unwrap(), holm(&p_values).unwrap());
            let shares = benjamini_hochberg(&p_values).unwrap();
            for (place, p) in p_values.iter().enumerate() {
                prop_assert!(*p <= shares[place] + 1e-15);
                prop_assert!(shares[place] <= family[place] + 1e-15);
                prop_assert!(family[place] <= crude[place] + 1e-15);
                prop_assert!(crude[place] <= 1.0);
                for (other_place, other) in p_values.iter().enumerate() {
                    prop_assert!(other < p || family[place] <= family[other_place]);
                    prop_assert!(other < p || shares[place] <= shares[other_place]);
                }
            }
        }
    }
}
