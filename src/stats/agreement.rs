//! How far raters agree beyond chance: two judges, or a judge and a human.
//!
//! Show [`Confusion`](super::Confusion)'s rates beside κ: when nearly everything passes, κ is low
//! although the raters agree on 92 of 100.

use super::distributions::z_two_sided;
use super::{Estimate, Interval};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How far apart two ratings count as disagreement, for ratings on a scale.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weights {
    /// Any two different ratings disagree fully.
    Unweighted,
    /// By their distance.
    Linear,
    /// By the square of their distance.
    Quadratic,
}

/// Cohen's κ with its error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Kappa {
    /// κ: 1 is full agreement, 0 what chance gives; with its interval.
    pub kappa: Estimate,
    /// The asymptotic standard error.
    pub standard_error: f64,
    /// The (weighted) share of agreement, chance included.
    pub observed: f64,
}

/// Returns κ of Cohen (1960) from a square table of counts, rows one rater, columns the other.
///
/// `κ = (p_o − p_e)/(1 − p_e)`, its error after Fleiss, Cohen and Everitt (1969).
///
/// `None` when the table is empty or not square, when all ratings are one category (κ is not defined),
/// or with a confidence that is not between 0 and 1.
#[must_use]
pub fn cohen_kappa<R: AsRef<[u64]>>(
    table: &[R],
    weights: Weights,
    confidence: f64,
) -> Option<Kappa> {
    let shares = Shares::of(table)?;
    let cells = shares.cells(weights);
    let observed: f64 = cells.iter().map(|cell| cell.share * cell.weight).sum();
    let expected: f64 = cells
        .iter()
        .map(|cell| cell.row * cell.column * cell.weight)
        .sum();
    let room = 1.0 - expected;
    if room <= 1e-12 {
        return None;
    }
    let value = (observed - expected) / room;
    let spread: f64 = cells
        .iter()
        .map(|cell| {
            let distance = cell.weight * room - cell.marginal_weight * (1.0 - observed);
            cell.share * distance * distance
        })
        .sum();
    let centre = observed * expected - 2.0 * expected + observed;
    let variance = (spread - centre * centre).max(0.0) / (shares.total * room.powi(4));
    let standard_error = variance.sqrt();
    let interval = Interval::around(value, z_two_sided(confidence)? * standard_error)?;
    Some(Kappa {
        kappa: Estimate {
            value,
            interval: interval.clamped(-1.0, 1.0),
        },
        standard_error,
        observed,
    })
}

/// Returns the agreement coefficient AC1 of Gwet (2008), which does not collapse when nearly all
/// ratings are alike.
///
/// `None` when the table is empty, not square, or of one category.
#[must_use]
pub fn gwet_ac1<R: AsRef<[u64]>>(table: &[R]) -> Option<f64> {
    let shares = Shares::of(table)?;
    let categories = shares.rows.len() as f64;
    if shares.rows.len() < 2 {
        return None;
    }
    let observed: f64 = shares
        .cells(Weights::Unweighted)
        .iter()
        .map(|cell| cell.share * cell.weight)
        .sum();
    let chance = shares
        .rows
        .iter()
        .zip(&shares.columns)
        .map(|(row, column)| {
            let share = f64::midpoint(*row, *column);
            share * (1.0 - share)
        });
    let expected = chance.sum::<f64>() / (categories - 1.0);
    Some((observed - expected) / (1.0 - expected))
}

/// Returns Krippendorff's α for ratings without an order; each unit lists the ratings it got, by any
/// number of raters.
///
/// Units with one rating say nothing and are left out. `None` when no unit has two ratings, or all are
/// alike.
#[must_use]
pub fn krippendorff_nominal<U: AsRef<[R]>, R: Ord>(units: &[U]) -> Option<f64> {
    let mut totals: BTreeMap<&R, f64> = BTreeMap::new();
    let mut disagreement = 0.0;
    let mut total = 0.0;
    for unit in units {
        let ratings = unit.as_ref();
        if ratings.len() < 2 {
            continue;
        }
        let count = ratings.len() as f64;
        let mut counts: BTreeMap<&R, f64> = BTreeMap::new();
        for rating in ratings {
            *counts.entry(rating).or_default() += 1.0;
            *totals.entry(rating).or_default() += 1.0;
        }
        let alike: f64 = counts.values().map(|count| count * count).sum();
        disagreement += (count * count - alike) / (count - 1.0);
        total += count;
    }
    let alike: f64 = totals.values().map(|count| count * count).sum();
    let expected = total * total - alike;
    (expected > 0.0).then(|| 1.0 - (total - 1.0) * disagreement / expected)
}

/// A table of counts as shares, with its margins.
struct Shares {
    cells: Vec<Vec<f64>>,
    rows: Vec<f64>,
    columns: Vec<f64>,
    total: f64,
}

/// One cell of a table, and what κ's formulas want to know of it.
struct Cell {
    share: f64,
    weight: f64,
    /// The margin of its row.
    row: f64,
    /// The margin of its column.
    column: f64,
    /// The mean weight of its row, by the columns' margins, and that of its column, together.
    marginal_weight: f64,
}

impl Shares {
    fn of<R: AsRef<[u64]>>(table: &[R]) -> Option<Self> {
        let size = table.len();
        if table.iter().any(|row| row.as_ref().len() != size) {
            return None;
        }
        let counts = table.iter().flat_map(AsRef::as_ref);
        let total = counts.map(|count| *count as f64).sum::<f64>();
        if total <= 0.0 {
            return None;
        }
        let cells: Vec<Vec<f64>> = table
            .iter()
            .map(|row| {
                row.as_ref()
                    .iter()
                    .map(|count| *count as f64 / total)
                    .collect()
            })
            .collect();
        let mut columns = vec![0.0; size];
        for row in &cells {
            for (sum, share) in columns.iter_mut().zip(row) {
                *sum += share;
            }
        }
        Some(Self {
            rows: cells.iter().map(|row| row.iter().sum()).collect(),
            columns,
            cells,
            total,
        })
    }

    fn cells(&self, weights: Weights) -> Vec<Cell> {
        let size = self.rows.len();
        let mean_weight = |place: usize, margins: &[f64]| -> f64 {
            let weighed = margins.iter().enumerate();
            weighed
                .map(|(other, share)| share * weights.of(place, other, size))
                .sum()
        };
        let of_rows: Vec<f64> = (0..size)
            .map(|place| mean_weight(place, &self.columns))
            .collect();
        let of_columns: Vec<f64> = (0..size)
            .map(|place| mean_weight(place, &self.rows))
            .collect();
        let mut cells = Vec::with_capacity(size * size);
        let rows = self.cells.iter().zip(&self.rows).zip(of_rows).enumerate();
        for (place, ((shares, row), row_weight)) in rows {
            let columns = shares
                .iter()
                .zip(&self.columns)
                .zip(&of_columns)
                .enumerate();
            cells.extend(
                columns.map(|(other, ((share, column), column_weight))| Cell {
                    share: *share,
                    weight: weights.of(place, other, size),
                    row: *row,
                    column: *column,
                    marginal_weight: row_weight + column_weight,
                }),
            );
        }
        cells
    }
}

impl Weights {
    /// How much two places of a scale of this size agree: 1 fully, 0 not at all.
    fn of(self, one: usize, other: usize, size: usize) -> f64 {
        let distance = one.abs_diff(other) as f64 / size.saturating_sub(1).max(1) as f64;
        match self {
            Self::Unweighted => f64::from(u8::from(one == other)),
            Self::Linear => 1.0 - distance,
            Self::Quadratic => 1.0 - distance * distance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Weights, cohen_kappa, gwet_ac1, krippendorff_nominal};
    use crate::stats::testing::{assert_close, assert_interval, assert_within};
    use proptest::prelude::*;

    #[test]
    fn kappa_has_its_reference_values() {
        let result = cohen_kappa(&[[45, 5], [10, 40]], Weights::Unweighted, 0.95).unwrap();
        assert_close(result.kappa.value, 0.7);
        assert_close(result.standard_error, 0.071_056_315_69);
        assert_interval(result.kappa.interval, 0.560_732_180_4, 0.839_267_819_6);
        let scale = [[20, 5, 0], [3, 15, 4], [1, 2, 10]];
        for (weights, kappa) in [
            (Weights::Unweighted, 0.614_395_886_9),
            (Weights::Linear, 0.679_572_763_7),
            (Weights::Quadratic, 0.75),
        ] {
            assert_close(
                cohen_kappa(&scale, weights, 0.95).unwrap().kappa.value,
                kappa,
            );
        }
    }

    #[test]
    fn agreement_on_a_skewed_table_is_a_trap_for_kappa_only() {
        let skewed = [[88, 2], [6, 4]];
        let result = cohen_kappa(&skewed, Weights::Unweighted, 0.95).unwrap();
        assert_close(result.observed, 0.92);
        assert_close(result.kappa.value, 0.459_459_459_5);
        assert_within(result.kappa.interval.low, 0.146, 5e-4);
        assert_within(result.kappa.interval.high, 0.773, 5e-4);
        assert_close(gwet_ac1(&skewed).unwrap(), 0.906_191_369_6);
    }

    #[test]
    fn alpha_has_its_reference_value() {
        let one = [1, 1, 0, 1, 0, 0, 1, 1, 0, 1];
        let other = [1, 0, 0, 1, 0, 1, 1, 1, 0, 1];
        let units: Vec<[u8; 2]> = one.into_iter().zip(other).map(|(a, b)| [a, b]).collect();
        assert_close(krippendorff_nominal(&units).unwrap(), 0.604_166_666_7);
        // A unit with one rating changes nothing.
        let mut more: Vec<Vec<u8>> = units.iter().map(|unit| unit.to_vec()).collect();
        more.push(vec![1]);
        assert_close(krippendorff_nominal(&more).unwrap(), 0.604_166_666_7);
    }

    #[test]
    fn nonsense_has_no_agreement() {
        for table in [
            vec![],
            vec![vec![0, 0], vec![0, 0]],
            vec![vec![1, 2]],
            vec![vec![5]],
        ] {
            assert_eq!(cohen_kappa(&table, Weights::Linear, 0.95), None);
            assert_eq!(gwet_ac1(&table), None);
        }
        let one_category = [[9, 0], [0, 0]];
        assert_eq!(cohen_kappa(&one_category, Weights::Unweighted, 0.95), None);
        assert_eq!(
            cohen_kappa(&[[1, 2], [3, 4]], Weights::Unweighted, 1.0),
            None
        );
        assert_eq!(krippendorff_nominal::<[u8; 2], _>(&[[1, 1], [1, 1]]), None);
        assert_eq!(krippendorff_nominal::<[u8; 1], _>(&[[1]]), None);
    }

    proptest! {
        #[test]
        fn raters_may_be_swapped(counts in prop::array::uniform4(1..100_u64)) {
            let [a, b, c, d] = counts;
            let there = cohen_kappa(&[[a, b], [c, d]], Weights::Unweighted, 0.95).unwrap();
            let back = cohen_kappa(&[[a, c], [b, d]], Weights::Unweighted, 0.95).unwrap();
            prop_assert!((there.kappa.value - back.kappa.value).abs() < 1e-12);
            prop_assert!((there.standard_error - back.standard_error).abs() < 1e-12);
            prop_assert!(there.kappa.interval.contains(there.kappa.value));
            let ac1 = gwet_ac1(&[[a, b], [c, d]]).unwrap();
            prop_assert!((-1.0..=1.0).contains(&ac1));
        }
    }
}
