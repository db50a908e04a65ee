//! Chance for several figures of the same queries at once: one resample gives a mean of each.
//!
//! Drawing a query is what a resample costs; adding up five figures of it instead of one is free.

use crate::embeddings::at_once::at_once;
use crate::stats::{Interval, Random, quantile, sign_flip};

/// Up to so many differences all flips are counted, which is better than any sample of them.
const MOST_COUNTED: usize = 20;

/// Figures side by side: a row for every query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Joint {
    width: usize,
    values: Vec<f64>,
}

impl Joint {
    /// Puts columns side by side; `None` without a column or a row, or when they are not equally long.
    pub(super) fn new(columns: &[Vec<f64>]) -> Option<Self> {
        let length = columns.first()?.len();
        if length == 0 || columns.iter().any(|column| column.len() != length) {
            return None;
        }
        let values = (0..length).flat_map(|row| {
            let row = columns.iter().map(move |column| column.get(row));
            row.map(|value| value.copied().unwrap_or_default())
        });
        Some(Self {
            width: columns.len(),
            values: values.collect(),
        })
    }

    fn rows(&self) -> usize {
        self.values.len().checked_div(self.width).unwrap_or(0)
    }

    /// Returns the percentile interval of each column's mean; `None` when `confidence` is none.
    pub(super) fn bootstrap(
        &self,
        resamples: usize,
        confidence: f64,
        seed: u64,
    ) -> Option<Vec<Interval>> {
        let tail = (1.0 - confidence) / 2.0;
        let count = self.rows() as f64;
        let means = self.in_parts(resamples, seed, |random, sums| {
            for _ in 0..self.rows() {
                let start = random.below(self.rows()) * self.width;
                let row = self.values.get(start..start + self.width);
                let pairs = sums.iter_mut().zip(row.unwrap_or_default());
                pairs.for_each(|(sum, value)| *sum += value);
            }
        });
        let of_column = |column: usize| {
            let means = means.iter().skip(column).step_by(self.width);
            let means: Vec<f64> = means.map(|sum| sum / count).collect();
            Some(Interval {
                low: quantile(&means, tail)?,
                high: quantile(&means, 1.0 - tail)?,
            })
        };
        (0..self.width).map(of_column).collect()
    }

    /// Returns the two-sided chance of each column's mean when every difference could have either sign.
    pub(super) fn sign_flips(&self, flips: usize, seed: u64) -> Option<Vec<f64>> {
        let columns: Vec<Vec<f64>> = (0..self.width)
            .map(|column| self.values.iter().skip(column).step_by(self.width).copied())
            .map(Iterator::collect)
            .collect();
        let changed = |column: &Vec<f64>| column.iter().filter(|value| value.abs() > 0.0).count();
        if columns.iter().all(|column| changed(column) <= MOST_COUNTED) {
            let exact = columns.iter().map(|column| sign_flip(column, seed));
            return exact.map(|test| Some(test?.p_value)).collect();
        }
        let sums = self.in_parts(flips, seed, |random, sums| self.flip(random, sums));
        let chances = columns.iter().enumerate().map(|(place, column)| {
            let sum: f64 = column.iter().sum();
            let size: f64 = column.iter().map(|value| value.abs()).sum();
            let reached = sum.abs() - size * 1e-9;
            let drawn = sums.iter().skip(place).step_by(self.width);
            let hits = drawn.filter(|sum| sum.abs() >= reached).count();
            Some((1.0 + hits as f64) / (1.0 + (sums.len() / self.width) as f64))
        });
        chances.collect()
    }

    /// Adds up all rows, each with a random sign; 64 signs from one draw.
    fn flip(&self, random: &mut Random, sums: &mut [f64]) {
        for rows in self.values.chunks(self.width * 64) {
            let mut bits = random.bits();
            for row in rows.chunks(self.width) {
                let sign = if bits & 1 == 0 { 1.0 } else { -1.0 };
                let pairs = sums.iter_mut().zip(row);
                pairs.for_each(|(sum, value)| *sum += sign * value);
                bits >>= 1;
            }
        }
    }

    /// Fills `times` rows of sums, each by `fill`; half of them on another thread, whatever the number of cores:
    /// figures do not hang on a machine.
    fn in_parts(
        &self,
        times: usize,
        seed: u64,
        fill: impl Fn(&mut Random, &mut [f64]) + Sync,
    ) -> Vec<f64> {
        let part = |part: u64| {
            let mut random =
                Random::from_seed(seed ^ (part + 1).wrapping_mul(0xD1B5_4A32_D192_ED03));
            let times = times.div_ceil(2);
            let mut sums = vec![0.0; times * self.width];
            let rows = sums.chunks_mut(self.width.max(1));
            rows.for_each(|row| fill(&mut random, row));
            sums
        };
        let (second, mut first) = at_once(|| part(1), || part(0));
        first.extend(second);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::Joint;
    use crate::stats::{Random, mean};

    #[test]
    fn intervals_hold_the_mean_as_often_as_they_say() {
        let mut missed = 0;
        for seed in 0..200 {
            let mut random = Random::from_seed(seed);
            let values: Vec<f64> = (0..60).map(|_| random.share() * random.share()).collect();
            let joint = Joint::new(&[values.clone(), vec![0.5; 60]]).unwrap();
            let intervals = joint.bootstrap(200, 0.9, seed).unwrap();
            assert!(intervals[0].contains(mean(&values).unwrap()));
            assert!((intervals[1].low - 0.5).abs() < 1e-12 && intervals[1].width() < 1e-12);
            missed += usize::from(!intervals[0].contains(0.25));
        }
        // 20 are expected; the percentile form is a little short for 60 skewed values.
        assert!((10..=36).contains(&missed), "{missed} of 200");
    }

    #[test]
    fn flips_find_what_is_there_and_nothing_else() {
        let mut random = Random::from_seed(3);
        let noise: Vec<f64> = (0..100).map(|_| random.share() - 0.5).collect();
        let shifted: Vec<f64> = noise.iter().map(|value| value + 0.2).collect();
        let joint = Joint::new(&[noise, shifted]).unwrap();
        let chances = joint.sign_flips(2_000, 1).unwrap();
        assert!(chances[0] > 0.05 && chances[1] < 0.001, "{chances:?}");
        assert_eq!(joint.sign_flips(2_000, 1), Some(chances));
        assert_eq!(Joint::new(&[vec![], vec![]]), None);
        assert_eq!(Joint::new(&[vec![1.0], vec![]]), None);
    }
}
