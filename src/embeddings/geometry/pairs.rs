//! Figures over all pairs of a few rows: representational similarity, kernels, evenness on the sphere.
//!
//! They take the square of the number of rows, so hand in a sample of at most [`MOST_ROWS`]. Up to 512
//! rows everything is `f64`; beyond, products are `f32`.

use crate::embeddings::at_once::at_once;
use crate::embeddings::geometry::dense::{Number, finite, lower_gram, rows_of};
use crate::embeddings::ranking::{kendall_tau_b, pearson};
use crate::embeddings::{Matrix, Rows};
use crate::stats::average_ranks;

/// The most rows that figures over all pairs take.
pub const MOST_ROWS: usize = 2_000;
/// Up to so many rows products are made in `f64`.
pub(super) const EXACT_ROWS: usize = 512;
/// Bits of a key that are sorted by at once.
const DIGIT: u32 = 11;

/// A distance of each two rows of a set, in a fixed order.
#[derive(Debug, Clone)]
pub struct PairDistances {
    rows: usize,
    values: Values,
}

#[derive(Debug, Clone)]
enum Values {
    Wide(Vec<f64>),
    Narrow(Vec<f32>),
}

impl PairDistances {
    /// Returns the cosine distances, one minus the cosine. `None` with fewer than three rows or more than
    /// [`MOST_ROWS`], with a zero row, or with a value that is not finite.
    #[must_use]
    pub fn cosine(rows: &Matrix) -> Option<Self> {
        Self::of(rows, cosine::<f64>, cosine::<f32>)
    }

    /// Returns the Euclidean distances. `None` as for [`Self::cosine`]; zero rows are fine.
    #[must_use]
    pub fn euclidean(rows: &Matrix) -> Option<Self> {
        Self::of(rows, euclidean::<f64>, euclidean::<f32>)
    }

    /// Returns Spearman's correlation with the distances of the same items in another space: what
    /// representational similarity analysis (Kriegeskorte and others, 2008) says. `None` when the items
    /// differ in number, or all distances of a side are alike.
    #[must_use]
    pub fn spearman(&self, other: &Self) -> Option<f64> {
        (self.rows == other.rows).then_some(())?;
        match (&self.values, &other.values) {
            (Values::Narrow(one), Values::Narrow(other)) => rank_correlation(one, other),
            _ => pearson(&self.ranks()?, &other.ranks()?),
        }
    }

    /// Returns the correlation of the distances themselves. `None` as for [`Self::spearman`].
    #[must_use]
    pub fn pearson(&self, other: &Self) -> Option<f64> {
        (self.rows == other.rows).then_some(())?;
        pearson(&self.wide(), &other.wide())
    }

    /// Returns Kendall's τ-b of the distances. `None` as for [`Self::spearman`].
    #[must_use]
    pub fn kendall(&self, other: &Self) -> Option<f64> {
        (self.rows == other.rows).then_some(())?;
        kendall_tau_b(&self.wide(), &other.wide())
    }

    /// Returns the median distance.
    #[must_use]
    pub fn median(&self) -> Option<f64> {
        median(self.wide())
    }

    fn of(
        rows: &Matrix,
        wide: fn(&[f64], usize) -> Vec<f64>,
        narrow: fn(&[f32], usize) -> Vec<f32>,
    ) -> Option<Self> {
        let count = rows.len();
        if !(3..=MOST_ROWS).contains(&count) {
            return None;
        }
        let values = if count <= EXACT_ROWS {
            let values: Vec<f64> = rows.values().iter().copied().map(f64::from).collect();
            Values::Wide(wide(&values, rows.dimensions()))
        } else {
            Values::Narrow(narrow(rows.values(), rows.dimensions()))
        };
        let is_finite = match &values {
            Values::Wide(values) => values.iter().all(|value| value.is_finite()),
            Values::Narrow(values) => values.iter().all(|value| value.is_finite()),
        };
        is_finite.then_some(Self {
            rows: count,
            values,
        })
    }

    pub(super) fn wide(&self) -> Vec<f64> {
        match &self.values {
            Values::Wide(values) => values.clone(),
            Values::Narrow(values) => values.iter().copied().map(f64::from).collect(),
        }
    }

    pub(super) fn ranks(&self) -> Option<Vec<f64>> {
        match &self.values {
            Values::Wide(values) => average_ranks(values),
            Values::Narrow(values) => Some(narrow_ranks(values)),
        }
    }
}

/// Returns Spearman's correlation of the cosine distances of the same items in two spaces.
///
/// It is [`PairDistances::spearman`] in one step, each side on a thread of its own. `None` as for it, or for
/// [`PairDistances::cosine`].
#[must_use]
pub fn rsa(a: &Matrix, b: &Matrix) -> Option<f64> {
    let (a, b) = at_once(|| PairDistances::cosine(a), || PairDistances::cosine(b));
    a?.spearman(&b?)
}

/// Returns the uniformity of Wang and Isola (2020) with t = 2: the logarithm of the mean of
/// e^(−2·|x − y|²) over pairs of rows brought to length 1. `None` as for [`PairDistances::cosine`].
#[must_use]
pub fn uniformity(rows: &Matrix) -> Option<f64> {
    // On the unit sphere |x − y|² is 2·(1 − cos).
    let cosines = PairDistances::cosine(rows)?.wide();
    let sum: f64 = cosines.iter().map(|distance| (-4.0 * distance).exp()).sum();
    finite((sum / cosines.len() as f64).ln())
}

/// Returns the CKA of two spaces with Gaussian kernels, each as wide as its median distance, from biased
/// HSIC: 0 to 1. `None` when the rows differ in number, or as for [`PairDistances::euclidean`].
#[must_use]
pub fn cka_rbf(a: &Matrix, b: &Matrix) -> Option<f64> {
    if a.len() != b.len() {
        return None;
    }
    let (a, b) = (CentredKernel::of(a)?, CentredKernel::of(b)?);
    let room = (a.with(&a) * b.with(&b)).sqrt();
    (room > 0.0).then(|| finite(a.with(&b) / room)).flatten()
}

/// A Gaussian kernel of all pairs, and the means of its rows.
struct CentredKernel {
    /// Below the diagonal.
    values: Vec<f64>,
    means: Vec<f64>,
    mean: f64,
}

impl CentredKernel {
    fn of(rows: &Matrix) -> Option<Self> {
        let distances = PairDistances::euclidean(rows)?;
        let median = distances.median().filter(|median| *median > 0.0)?;
        let gamma = 1.0 / (2.0 * median * median);
        let mut values = distances.wide();
        for value in &mut values {
            *value = (-gamma * *value * *value).exp();
        }
        let n = distances.rows;
        let mut sums = vec![1.0; n];
        for (row, of_row) in triangle(&values, n).enumerate() {
            let mut own = 0.0;
            for (sum, value) in sums.iter_mut().zip(of_row) {
                *sum += value;
                own += value;
            }
            if let Some(sum) = sums.get_mut(row + 1) {
                *sum += own;
            }
        }
        let count = n as f64;
        let means: Vec<f64> = sums.iter().map(|sum| sum / count).collect();
        Some(Self {
            mean: means.iter().sum::<f64>() / count,
            values,
            means,
        })
    }

    /// Σ of the products of two kernels after centring: Σ k·l − 2n·Σ k̄·l̄ + n²·k̄̄·l̄̄.
    fn with(&self, other: &Self) -> f64 {
        let n = self.means.len() as f64;
        let pairs = self.values.iter().zip(&other.values);
        let all = 2.0 * pairs.map(|(k, l)| k * l).sum::<f64>() + n;
        let rows = self.means.iter().zip(&other.means);
        let by_row: f64 = rows.map(|(k, l)| k * l).sum();
        all - 2.0 * n * by_row + n * n * self.mean * other.mean
    }
}

/// The rows of a triangle below the diagonal that lies in one list: 1 value, 2 values, …
fn triangle(values: &[f64], rows: usize) -> impl Iterator<Item = &[f64]> {
    let mut rest = values;
    (1..rows).map_while(move |length| {
        let (row, after) = rest.split_at_checked(length)?;
        rest = after;
        Some(row)
    })
}

/// The middle value, or the mean of the two in the middle.
pub(super) fn median<T: Number>(mut values: Vec<T>) -> Option<f64> {
    let middle = values.len() / 2;
    let is_even = values.len().is_multiple_of(2);
    if values.is_empty() {
        return None;
    }
    let by_size = |one: &T, other: &T| one.wide().total_cmp(&other.wide());
    let (below, upper, _) = values.select_nth_unstable_by(middle, by_size);
    let upper = upper.wide();
    if !is_even {
        return finite(upper);
    }
    let lower = below
        .iter()
        .map(|value| value.wide())
        .max_by(f64::total_cmp)?;
    finite(f64::midpoint(lower, upper))
}

fn cosine<T: Number>(values: &[T], dimensions: usize) -> Vec<T> {
    below_diagonal(
        values,
        dimensions,
        |square| T::of(1.0) / square.root(),
        |dot, i, j| T::of(1.0) - dot * i * j,
    )
}

fn euclidean<T: Number>(values: &[T], dimensions: usize) -> Vec<T> {
    below_diagonal(
        values,
        dimensions,
        |square| square,
        |dot, i, j| (i + j - dot - dot).root(),
    )
}

/// A function of each pair's product and of what is made of the two squares, row by row below the diagonal.
pub(super) fn below_diagonal<T: Number>(
    values: &[T],
    dimensions: usize,
    of_square: impl Fn(T) -> T,
    of_pair: impl Fn(T, T, T) -> T,
) -> Vec<T> {
    let rows = rows_of(values, dimensions);
    let gram = lower_gram(rows);
    let size = rows.nrows();
    let squares: Vec<T> = gram
        .iter()
        .step_by(size + 1)
        .map(|square| of_square(*square))
        .collect();
    let mut pairs = Vec::with_capacity(size * size.saturating_sub(1) / 2);
    for ((row, products), own) in gram.chunks_exact(size.max(1)).enumerate().zip(&squares) {
        let before = products.iter().zip(&squares).take(row);
        pairs.extend(before.map(|(dot, other)| of_pair(*dot, *own, *other)));
    }
    pairs
}

/// Average ranks of finite values, by sorting keys digit by digit.
fn narrow_ranks(values: &[f32]) -> Vec<f64> {
    let ranks = double_ranks(&sorted(values));
    ranks
        .into_iter()
        .map(|rank| f64::from(rank) / 2.0)
        .collect()
}

/// Spearman's correlation of finite values. The ranks of one side are looked up in the order of the other's,
/// and their sums are whole numbers. `None` when all values of a side are alike.
fn rank_correlation(one: &[f32], other: &[f32]) -> Option<f64> {
    let (in_order, ranks) = at_once(|| sorted(one), || double_ranks(&sorted(other)));
    let own: u128 = ranks
        .iter()
        .map(|rank| u128::from(*rank) * u128::from(*rank))
        .sum();
    let (mut both, mut square, mut before) = (0_u128, 0_u128, 0_u64);
    for equal in in_order.chunk_by(|one, other| one.0 == other.0) {
        let (rank, count) = double_rank(before, equal);
        let theirs = equal
            .iter()
            .filter_map(|(_, place)| ranks.get(*place as usize));
        both += u128::from(rank) * theirs.map(|rank| u128::from(*rank)).sum::<u128>();
        square += u128::from(rank) * u128::from(rank) * u128::from(count);
        before += count;
    }
    // The mean of doubled ranks is one more than their number.
    let middle = u128::from(before) * u128::from(before + 1).pow(2);
    let spread = |squares: u128| squares.saturating_sub(middle) as f64;
    let covariance = if both < middle {
        -((middle - both) as f64)
    } else {
        spread(both)
    };
    finite(covariance / (spread(square) * spread(own)).sqrt())
}

/// Twice the average rank of equal values that come after so many, and how many they are.
fn double_rank(before: u64, equal: &[(u32, u32)]) -> (u64, u64) {
    let count = u64::try_from(equal.len()).unwrap_or(0);
    (2 * before + 1 + count, count)
}

/// Twice the average ranks, which are whole numbers, by the places of values.
fn double_ranks(sorted: &[(u32, u32)]) -> Vec<u32> {
    let mut ranks = vec![0; sorted.len()];
    let mut before = 0;
    for equal in sorted.chunk_by(|one, other| one.0 == other.0) {
        let (rank, count) = double_rank(before, equal);
        // Of at most 2 000 rows there are 2 million pairs.
        let rank = u32::try_from(rank).unwrap_or(u32::MAX);
        for (_, place) in equal {
            if let Some(of_place) = ranks.get_mut(*place as usize) {
                *of_place = rank;
            }
        }
        before += count;
    }
    ranks
}

/// Values by their keys, in order, with their places.
fn sorted(values: &[f32]) -> Vec<(u32, u32)> {
    let places = 0_u32..;
    let mut keyed: Vec<(u32, u32)> = values.iter().map(|value| key(*value)).zip(places).collect();
    let mut spare = vec![(0, 0); keyed.len()];
    for shift in [0, DIGIT, 2 * DIGIT] {
        sort_by_digit(&keyed, &mut spare, shift);
        std::mem::swap(&mut keyed, &mut spare);
    }
    keyed
}

/// Bits that are ordered as the values are; −0 and 0 are one.
fn key(value: f32) -> u32 {
    let bits = (value + 0.0).to_bits();
    if bits >> 31 == 0 {
        bits | 1 << 31
    } else {
        !bits
    }
}

fn sort_by_digit(from: &[(u32, u32)], into: &mut [(u32, u32)], shift: u32) {
    let digit = |key: u32| ((key >> shift) & ((1 << DIGIT) - 1)) as usize;
    let mut starts = vec![0_usize; 1 << DIGIT];
    for (key, _) in from {
        if let Some(count) = starts.get_mut(digit(*key)) {
            *count += 1;
        }
    }
    let mut sum = 0;
    for start in &mut starts {
        sum += std::mem::replace(start, sum);
    }
    for entry in from {
        if let Some(start) = starts.get_mut(digit(entry.0)) {
            if let Some(place) = into.get_mut(*start) {
                *place = *entry;
            }
            *start += 1;
        }
    }
}
