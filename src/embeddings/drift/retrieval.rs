//! Retrieval drift: whether what is asked now finds less near answers in a snapshot than what was asked before.

use crate::embeddings::drift::detect::Finding;
use crate::embeddings::search::Neighbour;
use crate::stats::{Estimate, Passed, holm, mann_whitney, newcombe_hybrid, quantile, wilson};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// How many of the nearest count as found.
pub(super) const NEAREST: usize = 10;
/// The share of the reference's queries that lies below the threshold when none is said.
const USUAL_BELOW: f64 = 0.1;
/// The confidence of intervals.
const CONFIDENCE: f64 = 0.95;

/// How what is asked finds its answers, now and before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrieval {
    /// The snapshot that is searched.
    pub snapshot: String,
    /// The chance of best answers that are so much less near.
    pub p_value: f64,
    /// The chance that a query of the window finds a less near best answer than one of the reference: 0.5 when
    /// nothing changed.
    pub auc: f64,
    /// The cosine below which a best answer is far: what was said, or the tenth part of the reference's lies
    /// below it.
    pub threshold: f64,
    /// The share of the window's queries whose best answer is below it.
    pub below: Estimate,
    /// The share of the reference's.
    pub before: f64,
    /// By how much the share grew.
    pub excess: Estimate,
    /// The median cosine of a best answer now, and before.
    pub medians: (f64, f64),
    /// The share below among what is new, and among the rest of the window.
    pub new_and_rest: Option<(f64, f64)>,
    /// Items that are among the ten nearest of no query, now and before, by as many queries each.
    pub never_found: (usize, usize),
    /// By how many queries.
    pub queries: usize,
    /// Items of the snapshot.
    pub items: usize,
}

/// Where queries were looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Searched<'a> {
    /// The snapshot.
    pub(super) snapshot: &'a str,
    /// How many items it has.
    pub(super) items: usize,
    /// The cosine below which a best answer is far, where somebody said so.
    pub(super) threshold: Option<f64>,
}

/// Holds what queries found against what others found before; `None` when either found nothing.
///
/// Queries of the window and of the reference are strangers to the snapshot alike, so that the rank sum of
/// their best answers is exact whatever the snapshot holds.
pub(super) fn retrieval(
    searched: Searched<'_>,
    (before, now): (&[Vec<Neighbour>], &[Vec<Neighbour>]),
    new: &[usize],
) -> Option<Retrieval> {
    let (known, current) = (best(before)?, best(now)?);
    let ranks = mann_whitney(&known, &current)?;
    // Only less near is worse.
    let half = ranks.p_value / 2.0;
    let p_value = if ranks.auc <= 0.5 { half } else { 1.0 - half };
    let threshold = match searched.threshold {
        Some(threshold) => threshold,
        None => quantile(&known, USUAL_BELOW)?,
    };
    let below = |values: &[f64]| Passed {
        successes: values.iter().filter(|value| **value < threshold).count() as u64,
        total: values.len() as u64,
    };
    let (far, far_before) = (below(&current), below(&known));
    let is_new: HashSet<usize> = new.iter().copied().collect();
    let (fresh, rest): (Vec<_>, Vec<_>) = current
        .iter()
        .copied()
        .enumerate()
        .partition(|(row, _)| is_new.contains(row));
    let values = |rows: Vec<(usize, f64)>| rows.into_iter().map(|(_, value)| value).collect();
    let (fresh, rest): (Vec<f64>, Vec<f64>) = (values(fresh), values(rest));
    let queries = before.len().min(now.len());
    Some(Retrieval {
        snapshot: searched.snapshot.to_owned(),
        p_value,
        auc: 1.0 - ranks.auc,
        threshold,
        below: Estimate {
            value: far.share()?,
            interval: wilson(far.successes, far.total, CONFIDENCE)?,
        },
        before: far_before.share()?,
        excess: newcombe_hybrid(far, far_before, CONFIDENCE)?,
        medians: (quantile(&current, 0.5)?, quantile(&known, 0.5)?),
        new_and_rest: below(&fresh).share().zip(below(&rest).share()),
        never_found: (
            searched.items - found(now, queries).min(searched.items),
            searched.items - found(before, queries).min(searched.items),
        ),
        queries,
        items: searched.items,
    })
}

/// The cosine of each query's best answer.
fn best(all: &[Vec<Neighbour>]) -> Option<Vec<f64>> {
    let first = |found: &Vec<Neighbour>| found.first().map(|found| f64::from(found.score));
    all.iter().map(first).collect()
}

/// How many items some of so many queries find, which are taken evenly.
fn found(all: &[Vec<Neighbour>], queries: usize) -> usize {
    let step = all.len().checked_div(queries).unwrap_or(1).max(1);
    let taken = all.iter().step_by(step).take(queries);
    let rows: HashSet<usize> = taken.flatten().map(|found| found.row).collect();
    rows.len()
}

impl Finding {
    /// Takes what retrieval showed as a third test beside the two: their chances are adjusted together.
    #[must_use]
    pub(super) fn with(mut self, retrieval: Option<Retrieval>) -> Self {
        if let Some(retrieval) = &retrieval {
            let chances = [self.p_shift, self.p_novelty, retrieval.p_value];
            if let Some(adjusted) = holm(&chances) {
                self.p_value = adjusted.into_iter().fold(1.0, f64::min);
            }
        }
        self.retrieval = retrieval;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::{NEAREST, Searched, retrieval};
    use crate::embeddings::search::Neighbour;
    use crate::stats::Random;

    /// What queries find: each a stretch of items, the best of them as near as `best` says.
    fn found(random: &mut Random, queries: usize, items: usize, best: f64) -> Vec<Vec<Neighbour>> {
        let each = (0..queries).map(|_| {
            let first = random.below(items);
            #[expect(clippy::cast_possible_truncation, reason = "made-up cosines")]
            let score = (best + 0.1 * (random.share() - 0.5)) as f32;
            let near = (0..NEAREST).map(|place| Neighbour {
                row: (first + place) % items,
                score,
            });
            near.collect()
        });
        each.collect()
    }

    fn searched(threshold: Option<f64>) -> Searched<'static> {
        Searched {
            snapshot: "docs@2",
            items: 1_000,
            threshold,
        }
    }

    #[test]
    fn queries_that_find_less_are_told_by_their_share_below_the_threshold() {
        let mut random = Random::from_seed(1);
        let before = found(&mut random, 200, 1_000, 0.7);
        let mut now = found(&mut random, 90, 1_000, 0.7);
        now.extend(found(&mut random, 10, 20, 0.3));
        let new: Vec<usize> = (90..100).collect();
        let seen = retrieval(searched(None), (&before, &now), &new).unwrap();
        assert!(0.66 < seen.threshold && seen.threshold < 0.67, "{seen:?}");
        assert!((seen.before - 0.1).abs() < 0.011, "{seen:?}");
        assert!((0.15..0.3).contains(&seen.below.value), "{seen:?}");
        let (fresh, rest) = seen.new_and_rest.unwrap();
        assert!(fresh > 0.99 && rest < 0.25, "{seen:?}");
        assert!(seen.p_value < 0.05 && 0.5 < seen.auc, "{seen:?}");
        assert_eq!((seen.queries, seen.items), (100, 1_000));
        // Ten queries that all find the same leave more items to nobody.
        assert!(seen.never_found.1 < seen.never_found.0, "{seen:?}");
        let said = retrieval(searched(Some(0.5)), (&before, &now), &new).unwrap();
        assert!((said.below.value - 0.1).abs() < 1e-9 && said.before <= 0.0);
    }

    #[test]
    fn what_finds_as_much_as_before_is_no_drift() {
        let mut random = Random::from_seed(2);
        let tests = 200_u32;
        let mut hits = 0;
        for _ in 0..tests {
            let before = found(&mut random, 80, 100, 0.7);
            let now = found(&mut random, 60, 100, 0.7);
            let seen = retrieval(searched(None), (&before, &now), &[]).unwrap();
            hits += u32::from(seen.p_value <= 0.05);
        }
        // 10 are expected, and more than 20 have a chance of 0.001.
        assert!(hits <= 20, "{hits}");
        let nearer = found(&mut random, 60, 100, 0.9);
        let before = found(&mut random, 80, 100, 0.7);
        let seen = retrieval(searched(None), (&before, &nearer), &[]).unwrap();
        assert!(0.9 < seen.p_value, "{seen:?}");
        assert_eq!(
            retrieval(searched(None), (&before, &[Vec::new()]), &[]),
            None
        );
    }
}
