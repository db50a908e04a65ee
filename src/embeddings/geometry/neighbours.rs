//! What lists of nearest neighbours tell about a space: hubs, what nobody is near to, and how many
//! dimensions there are locally.

use crate::embeddings::geometry::dense::finite;
use serde::{Deserialize, Serialize};

/// How often rows are neighbours of others.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InDegrees {
    /// In how many lists each row stands.
    pub counts: Vec<usize>,
    /// The skewness of the counts (Radovanović and others, 2010): above 1 a few hubs are near to
    /// everything. `None` when all counts are alike.
    pub skewness: Option<f64>,
    /// The share of rows that stand in no list: they are never found.
    pub anti_hubs: f64,
}

/// Returns how often each of `rows` rows stands in the lists, of which only the first `k` count. `None`
/// without rows. Entries that are no row are left out.
#[must_use]
pub fn in_degrees(lists: &[Vec<usize>], k: usize, rows: usize) -> Option<InDegrees> {
    if rows == 0 {
        return None;
    }
    let mut counts = vec![0_usize; rows];
    for row in lists.iter().flat_map(|list| list.iter().take(k)) {
        if let Some(count) = counts.get_mut(*row) {
            *count += 1;
        }
    }
    let n = rows as f64;
    let mean = counts.iter().sum::<usize>() as f64 / n;
    let moment = |power: i32| -> f64 {
        let powers = counts
            .iter()
            .map(|count| (*count as f64 - mean).powi(power));
        powers.sum::<f64>() / n
    };
    let variance = moment(2);
    let unseen = counts.iter().filter(|count| **count == 0).count();
    Some(InDegrees {
        skewness: (variance > 0.0)
            .then(|| finite(moment(3) / variance.powf(1.5)))
            .flatten(),
        anti_hubs: unseen as f64 / n,
        counts,
    })
}

/// How many dimensions points lie in locally, by the ratios of the distances to the second and the first
/// neighbour (`TwoNN`; Facco and others, 2017).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TwoNearest {
    /// The slope of the ratios' distribution without the largest tenth of them.
    pub fitted: f64,
    /// Maximum likelihood, n/Σ ln μ.
    pub likelihood: f64,
    /// The same without bias, (n − 1)/Σ ln μ.
    pub unbiased: f64,
}

/// Returns the intrinsic dimension from each point's Euclidean distances to its first and second neighbour.
///
/// Points on top of their neighbour say nothing and are left out. `None` with fewer than ten points left,
/// or when all ratios are 1.
#[must_use]
pub fn two_nearest(distances: &[(f64, f64)]) -> Option<TwoNearest> {
    let usable = distances
        .iter()
        .filter(|(first, second)| 0.0 < *first && first <= second && second.is_finite());
    let mut logs: Vec<f64> = usable
        .map(|(first, second)| (second / first).ln())
        .collect();
    if logs.len() < 10 {
        return None;
    }
    logs.sort_unstable_by(f64::total_cmp);
    let n = logs.len() as f64;
    let sum: f64 = logs.iter().sum();
    // Whole numbers instead of a cast of 0.9·n.
    let kept = logs.len() * 9 / 10;
    let (mut together, mut squares) = (0.0, 0.0);
    for (log, rank) in logs.iter().take(kept).zip(1_u32..) {
        let above = -(-f64::from(rank) / n).ln_1p();
        together += log * above;
        squares += log * log;
    }
    Some(TwoNearest {
        fitted: finite(together / squares)?,
        likelihood: finite(n / sum)?,
        unbiased: finite((n - 1.0) / sum)?,
    })
}
