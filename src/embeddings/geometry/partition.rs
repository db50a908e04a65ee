//! How far two partitions of the same items agree.
//!
//! For clusters that were carried over by id, or against labels of people; never for two fits of k-means.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Agreement of two partitions: 1 is the same, whatever the names of the parts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// The Rand index without chance (Hubert and Arabie, 1985): 0 is chance.
    pub adjusted_rand: f64,
    /// Mutual information over the mean of the entropies, which is the V-measure too (Rosenberg and
    /// Hirschberg, 2007); it rises with the number of parts.
    pub normalised_information: f64,
    /// Mutual information without chance (Vinh and others, 2010): 0 is chance.
    pub adjusted_information: f64,
}

/// Returns how far two partitions agree, given the part of each item in both. `None` without items, or
/// when the lists differ in length.
#[must_use]
pub fn agreement(a: &[usize], b: &[usize]) -> Option<Agreement> {
    if a.is_empty() || a.len() != b.len() {
        return None;
    }
    let mut cells: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    let (mut rows, mut columns) = (BTreeMap::new(), BTreeMap::new());
    for (a, b) in a.iter().zip(b) {
        *cells.entry((*a, *b)).or_default() += 1;
        *rows.entry(*a).or_default() += 1;
        *columns.entry(*b).or_default() += 1;
    }
    let table = Table {
        n: a.len(),
        cells: cells.into_values().collect(),
        rows: rows.into_values().collect(),
        columns: columns.into_values().collect(),
    };
    Some(table.agreement(information(a, b)))
}

/// Counts of items in both, in a part of the one, in a part of the other.
struct Table {
    n: usize,
    cells: Vec<usize>,
    rows: Vec<usize>,
    columns: Vec<usize>,
}

impl Table {
    fn agreement(&self, information: f64) -> Agreement {
        let (of_rows, of_columns) = (self.entropy(&self.rows), self.entropy(&self.columns));
        let mean = f64::midpoint(of_rows, of_columns);
        let is_trivial = |parts: &[usize]| parts.len() == 1 || parts.len() == self.n;
        // Two partitions into one part each, or into single items, are the same.
        if is_trivial(&self.rows) && self.rows.len() == self.columns.len() {
            return Agreement {
                adjusted_rand: 1.0,
                normalised_information: 1.0,
                adjusted_information: 1.0,
            };
        }
        let expected = self.expected_information();
        Agreement {
            adjusted_rand: self.adjusted_rand(),
            normalised_information: information / mean,
            adjusted_information: (information - expected) / (mean - expected),
        }
    }

    fn adjusted_rand(&self) -> f64 {
        let pairs = |counts: &[usize]| -> f64 { counts.iter().map(|count| pairs(*count)).sum() };
        let (both, of_rows, of_columns) =
            (pairs(&self.cells), pairs(&self.rows), pairs(&self.columns));
        let expected = of_rows * of_columns / pairs(&[self.n]);
        (both - expected) / (f64::midpoint(of_rows, of_columns) - expected)
    }

    fn entropy(&self, parts: &[usize]) -> f64 {
        let n = self.n as f64;
        let shares = parts.iter().map(|count| *count as f64 / n);
        shares.map(|share| -share * share.ln()).sum()
    }

    /// The mutual information of two random partitions with parts of these sizes.
    fn expected_information(&self) -> f64 {
        let factorials = ln_factorials(self.n);
        let ln_factorial = |count: usize| factorials.get(count).copied().unwrap_or(0.0);
        let n = self.n as f64;
        let mut sum = 0.0;
        for row in &self.rows {
            for column in &self.columns {
                let least = (row + column).saturating_sub(self.n).max(1);
                let fixed = ln_factorial(*row)
                    + ln_factorial(*column)
                    + ln_factorial(self.n - row)
                    + ln_factorial(self.n - column)
                    - ln_factorial(self.n);
                for both in least..=*row.min(column) {
                    let ways = fixed
                        - ln_factorial(both)
                        - ln_factorial(row - both)
                        - ln_factorial(column - both)
                        - ln_factorial(self.n + both - row - column);
                    let shared = both as f64;
                    let gain = (n * shared / (*row as f64 * *column as f64)).ln();
                    sum += shared / n * gain * ways.exp();
                }
            }
        }
        sum
    }
}

/// The mutual information of two partitions, in nats.
fn information(a: &[usize], b: &[usize]) -> f64 {
    let mut cells: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    let (mut rows, mut columns): (BTreeMap<usize, f64>, BTreeMap<usize, f64>) = Default::default();
    for (a, b) in a.iter().zip(b) {
        *cells.entry((*a, *b)).or_default() += 1.0;
        *rows.entry(*a).or_default() += 1.0;
        *columns.entry(*b).or_default() += 1.0;
    }
    let n = a.len() as f64;
    let of = |counts: &BTreeMap<usize, f64>, part: usize| counts.get(&part).copied().unwrap_or(1.0);
    let parts = cells.iter().map(|((row, column), count)| {
        count / n * (n * count / (of(&rows, *row) * of(&columns, *column))).ln()
    });
    parts.sum::<f64>().max(0.0)
}

fn pairs(count: usize) -> f64 {
    count as f64 * count.saturating_sub(1) as f64 / 2.0
}

/// ln 0!, ln 1!, … ln n!
fn ln_factorials(n: usize) -> Vec<f64> {
    let mut sum = 0.0;
    let later = (1..=n).map(|count| {
        sum += (count as f64).ln();
        sum
    });
    std::iter::once(0.0).chain(later).collect()
}
