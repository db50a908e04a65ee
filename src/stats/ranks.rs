//! Values by their order alone: ranks, and how well a score separates two samples.

use super::distributions::normal_two_sided;
use serde::{Deserialize, Serialize};

/// How well a score separates two samples: the test of Mann and Whitney (1947).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MannWhitney {
    /// The chance that a value of the current sample is above one of the reference, ties counting half:
    /// the area under the ROC curve. 0.5 is no separation.
    pub auc: f64,
    /// The statistic U of the current sample.
    pub u: f64,
    /// The two-sided chance when both come from one distribution, by a normal that is corrected for ties
    /// and continuity.
    pub p_value: f64,
}

/// Returns the ranks of the values from 1 on, equal ones with the mean of theirs. `None` when one is not
/// finite.
#[must_use]
pub fn average_ranks(values: &[f64]) -> Option<Vec<f64>> {
    if values.iter().any(|value| !value.is_finite()) {
        return None;
    }
    let mut ordered: Vec<(usize, f64)> = values.iter().copied().enumerate().collect();
    ordered.sort_unstable_by(|one, other| one.1.total_cmp(&other.1));
    let mut ranks = vec![0.0; values.len()];
    let mut before = 0.0;
    for equal in ordered.chunk_by(|one, other| one.1 >= other.1) {
        let count = equal.len() as f64;
        for (place, _) in equal {
            if let Some(rank) = ranks.get_mut(*place) {
                *rank = before + f64::midpoint(1.0, count);
            }
        }
        before += count;
    }
    Some(ranks)
}

/// Returns the test of Mann and Whitney that `current` is neither above nor below `reference`.
///
/// `None` when a sample is empty or holds a value that is not finite. When all values are alike, the
/// chance is 1.
#[must_use]
pub fn mann_whitney(reference: &[f64], current: &[f64]) -> Option<MannWhitney> {
    if reference.is_empty() || current.is_empty() {
        return None;
    }
    let pooled: Vec<f64> = current.iter().chain(reference).copied().collect();
    let ranks = average_ranks(&pooled)?;
    let (n, m) = (current.len() as f64, reference.len() as f64);
    let u = ranks.iter().take(current.len()).sum::<f64>() - n * (n + 1.0) / 2.0;
    let all = n + m;
    let mut sorted = ranks;
    sorted.sort_unstable_by(f64::total_cmp);
    let ties: f64 = sorted
        .chunk_by(|one, other| one >= other)
        .map(|equal| (equal.len() as f64).powi(3) - equal.len() as f64)
        .sum();
    let variance = n * m / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    let distance = ((u - n * m / 2.0).abs() - 0.5).max(0.0);
    Some(MannWhitney {
        auc: u / (n * m),
        u,
        p_value: if variance > 0.0 {
            normal_two_sided(distance / variance.sqrt())
        } else {
            1.0
        },
    })
}

#[cfg(test)]
mod tests {
    use super::{average_ranks, mann_whitney};
    use crate::stats::testing::{assert_close, assert_within};

    #[test]
    fn equal_values_share_their_ranks() {
        let ranks = average_ranks(&[0.3, 0.1, 0.3, -2.0, 0.3]).unwrap();
        assert_eq!(ranks, [4.0, 2.0, 4.0, 1.0, 4.0]);
        assert_eq!(average_ranks(&[]), Some(Vec::new()));
        assert_eq!(average_ranks(&[f64::NAN]), None);
    }

    #[test]
    fn a_score_separates_as_elsewhere() {
        let apart = mann_whitney(&[0.1, 0.4], &[0.35, 0.8]).unwrap();
        assert_close(apart.auc, 0.75);
        let alike = mann_whitney(&[0.5, 0.5], &[0.5, 0.5]).unwrap();
        assert_close(alike.auc, 0.5);
        assert_close(alike.p_value, 1.0);
        let tied = mann_whitney(&[0.2, 0.3, 0.1], &[0.2, 0.9, 0.9]).unwrap();
        assert_within(tied.auc, 0.833_333_333, 1e-9);
        assert_eq!(mann_whitney(&[], &[1.0]), None);
        assert_eq!(mann_whitney(&[f64::INFINITY], &[1.0]), None);
    }
}
