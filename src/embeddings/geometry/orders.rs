//! Scores over all pairs of rows beside what chance gives them: B's rows in many random orders.
//!
//! CKA without bias and representational similarity are correlations of two tables of pairs, and another order
//! of B's rows only moves B's entries about. So an order costs one look at each pair, however long the rows.

use crate::embeddings::at_once::at_once;
use crate::embeddings::geometry::dense::{finite, narrow};
use crate::embeddings::geometry::null::{Null, shuffle};
use crate::embeddings::geometry::pairs::{EXACT_ROWS, MOST_ROWS, PairDistances, below_diagonal};
use crate::embeddings::{Matrix, Rows};
use crate::stats::{Random, mean, quantile};

/// Scores over all pairs of rows, each beside its chance.
#[derive(Debug, Clone, PartialEq)]
pub struct PairNulls {
    /// Linear CKA, debiased.
    pub cka: Null,
    /// Spearman's correlation of the cosine distances of all pairs (RSA).
    pub rsa: Null,
}

/// Returns both scores, and the same from so many random orders of B's rows.
///
/// The scores of orders are right to about 1e-6. `None` when the rows differ in number, are fewer than 5 or
/// more than [`MOST_ROWS`], without orders, or where a score makes no sense.
#[must_use]
pub fn pair_nulls(a: &Matrix, b: &Matrix, orders: usize, seed: u64) -> Option<PairNulls> {
    let size = a.len();
    if b.len() != size || !(5..=MOST_ROWS).contains(&size) || orders == 0 {
        return None;
    }
    let tables = |rows: &Matrix| {
        let kernel = standard(centred_kernel(rows)?)?;
        Some((kernel, standard(centred_ranks(rows)?)?))
    };
    let (of_a, of_b) = at_once(|| tables(a), || tables(b));
    let ((kernel_a, ranks_a), (kernel_b, ranks_b)) = (of_a?, of_b?);
    let (kernels, ranks) = ([kernel_a, kernel_b], [ranks_a, ranks_b]);
    let observed = [&kernels, &ranks].map(|[a, b]| a.iter().zip(b).map(|(a, b)| a * b).sum());
    let tables = Tables {
        size,
        a: together(&kernels[0], &ranks[0]),
        b: square(&together(&kernels[1], &ranks[1]), size),
    };
    let numbers: Vec<u64> = (0..).take(orders).collect();
    let (first, second) = numbers.split_at(orders / 2);
    let run = |numbers: &[u64]| -> Vec<[f64; 2]> {
        let scores = numbers.iter().map(|number| tables.in_order(seed, *number));
        scores.collect()
    };
    let (others, mut scores) = at_once(|| run(first), || run(second));
    scores.extend(others);
    let [cka, rsa]: [f64; 2] = observed;
    let of = |place: usize| -> Vec<f64> {
        let all = scores.iter().filter_map(|score| score.get(place));
        all.copied().collect()
    };
    Some(PairNulls {
        cka: null(cka, &of(0))?,
        rsa: null(rsa, &of(1))?,
    })
}

fn null(score: f64, values: &[f64]) -> Option<Null> {
    let as_high = values.iter().filter(|value| **value >= score).count();
    Some(Null {
        score: finite(score)?,
        mean: mean(values)?,
        high: quantile(values, 0.95)?,
        p_value: (1 + as_high) as f64 / (1 + values.len()) as f64,
    })
}

/// The two tables of both sides.
struct Tables {
    size: usize,
    /// Below the diagonal.
    a: Vec<[f32; 2]>,
    /// Row by row.
    b: Vec<[f32; 2]>,
}

impl Tables {
    /// Returns the scores with B's rows in the order of a number.
    fn in_order(&self, seed: u64, number: u64) -> [f64; 2] {
        let mut order: Vec<usize> = (0..self.size).collect();
        shuffle(&mut order, &mut Random::from_seed(seed ^ number << 20));
        let mut sums = [0.0; 2];
        let mut rest = self.a.as_slice();
        for (row, place) in order.iter().enumerate() {
            let Some((own, after)) = rest.split_at_checked(row) else {
                break;
            };
            rest = after;
            let others = self.b.get(place * self.size..(place + 1) * self.size);
            let others = others.unwrap_or_default();
            let mut of_row = [0.0_f32; 2];
            for (a, other) in own.iter().zip(&order) {
                let b = others.get(*other).copied().unwrap_or_default();
                of_row[0] += a[0] * b[0];
                of_row[1] += a[1] * b[1];
            }
            sums[0] += f64::from(of_row[0]);
            sums[1] += f64::from(of_row[1]);
        }
        sums
    }
}

/// The products of all pairs, centred so that each row's sum without itself is 0: what makes CKA free of bias
/// (Székely and Rizzo, 2014).
fn centred_kernel(rows: &Matrix) -> Option<Vec<f64>> {
    let (size, dimensions) = (rows.len(), rows.dimensions());
    let mut pairs: Vec<f64> = if size <= EXACT_ROWS {
        let values: Vec<f64> = rows.values().iter().copied().map(f64::from).collect();
        below_diagonal(&values, dimensions, |square| square, |dot, _, _| dot)
    } else {
        let pairs = below_diagonal(rows.values(), dimensions, |square| square, |dot, _, _| dot);
        pairs.into_iter().map(f64::from).collect()
    };
    let mut sums = vec![0.0; size];
    each_row(&pairs, size, |row, of_row| {
        let mut own = 0.0;
        for (sum, value) in sums.iter_mut().zip(of_row) {
            *sum += value;
            own += value;
        }
        if let Some(sum) = sums.get_mut(row) {
            *sum += own;
        }
    });
    let n = size as f64;
    let all = sums.iter().sum::<f64>() / ((n - 1.0) * (n - 2.0));
    for sum in &mut sums {
        *sum /= n - 2.0;
    }
    let mut rest = pairs.as_mut_slice();
    for (row, own) in sums.iter().enumerate() {
        let (of_row, after) = rest.split_at_mut_checked(row)?;
        for (value, other) in of_row.iter_mut().zip(&sums) {
            *value += all - own - other;
        }
        rest = after;
    }
    Some(pairs)
}

fn centred_ranks(rows: &Matrix) -> Option<Vec<f64>> {
    let mut ranks = PairDistances::cosine(rows)?.ranks()?;
    let middle = mean(&ranks)?;
    for rank in &mut ranks {
        *rank -= middle;
    }
    Some(ranks)
}

/// Brings a list to length 1. `None` when it has none.
fn standard(mut values: Vec<f64>) -> Option<Vec<f64>> {
    let length = values.iter().map(|value| value * value).sum::<f64>().sqrt();
    if !(length.is_finite() && length > 0.0) {
        return None;
    }
    for value in &mut values {
        *value /= length;
    }
    Some(values)
}

fn together(one: &[f64], other: &[f64]) -> Vec<[f32; 2]> {
    let both = one.iter().zip(other);
    both.map(|(one, other)| [narrow(*one), narrow(*other)])
        .collect()
}

/// The whole of a symmetric table of which what is below the diagonal is known; 0 on the diagonal.
fn square(lower: &[[f32; 2]], size: usize) -> Vec<[f32; 2]> {
    let mut whole = vec![[0.0; 2]; size * size];
    each_row(lower, size, |row, of_row| {
        let start = row * size;
        if let Some(place) = whole.get_mut(start..start + row) {
            place.copy_from_slice(of_row);
        }
        for (value, place) in of_row.iter().zip(whole.iter_mut().skip(row).step_by(size)) {
            *place = *value;
        }
    });
    whole
}

fn each_row<T>(lower: &[T], size: usize, mut visit: impl FnMut(usize, &[T])) {
    let mut rest = lower;
    for row in 0..size {
        let Some((of_row, after)) = rest.split_at_checked(row) else {
            return;
        };
        visit(row, of_row);
        rest = after;
    }
}
