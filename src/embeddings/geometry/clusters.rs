//! Clusters of A, which B's items keep by their ids.
//!
//! They are fitted once. Two fits of the same vectors from two seeds agree in a third of their pairs, so
//! clusterings of A and of B are never compared: what an item belongs to in A is carried over.

use crate::embeddings::geometry::dense::{narrow, rows_of, square};
use crate::embeddings::registers::leave_wide_vectors;
use crate::embeddings::search::dot::{dot, squared_distance};
use crate::embeddings::{Matrix, Rows};
use crate::stats::Random;
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, Par};

/// Centres are fitted on at most so many rows for each.
const ROWS_PER_CLUSTER: usize = 64;
/// Rounds of Lloyd's algorithm at most.
const ROUNDS: usize = 25;
/// Rows whose distances are computed at once.
const BLOCK: usize = 2_048;

/// Rows by the centre they are nearest to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Clusters {
    /// The cluster of each row.
    pub labels: Vec<usize>,
    /// The centres, one row each.
    pub centres: Matrix,
    /// Rows in each cluster.
    pub sizes: Vec<usize>,
    /// The mean squared distance of a row to its centre.
    pub spread: f64,
}

/// Returns √(n/2) clusters for n rows, at least 1 and at most 200: enough to see where something changed.
#[must_use]
pub fn usual_clusters(rows: usize) -> usize {
    (rows / 2).isqrt().clamp(1, 200)
}

/// Returns `k` clusters (k-means from k-means++ starts; Arthur and Vassilvitskii, 2007).
///
/// Centres are fitted on at most 64 rows for each, drawn by the seed, and every row is then put to the
/// nearest, the first of equals.
///
/// There are fewer clusters than `k` when there are fewer different rows, and none without rows or with a
/// `k` of 0. Rows that are not finite are the caller's to leave out.
#[must_use]
pub fn kmeans(rows: &Matrix, k: usize, seed: u64) -> Clusters {
    let mut random = Random::from_seed(seed);
    let sample = sample(rows, k.saturating_mul(ROWS_PER_CLUSTER), &mut random);
    let mut centres = starts(&sample, k, &mut random);
    if centres.is_empty() {
        return Clusters::default();
    }
    let mut before = f64::INFINITY;
    for _ in 0..ROUNDS {
        let assigned = assign(&sample, &centres);
        let spread: f64 = assigned.iter().map(|(_, square)| square).sum();
        centres = means(&sample, &assigned, &centres);
        // What is left is rounding.
        if spread >= before * (1.0 - 1e-6) {
            break;
        }
        before = spread;
    }
    let assigned = assign(rows, &centres);
    let mut sizes = vec![0; centres.len()];
    for (label, _) in &assigned {
        if let Some(size) = sizes.get_mut(*label) {
            *size += 1;
        }
    }
    let squares: f64 = assigned.iter().map(|(_, square)| square).sum();
    Clusters {
        spread: squares / assigned.len() as f64,
        labels: assigned.into_iter().map(|(label, _)| label).collect(),
        centres,
        sizes,
    }
}

impl Clusters {
    /// Returns the cluster that each of other rows of the same space is nearest to. `None` when they are
    /// of other dimensions, or there are no clusters.
    #[must_use]
    pub fn nearest(&self, rows: &Matrix) -> Option<Vec<usize>> {
        let is_usable = !self.sizes.is_empty() && rows.dimensions() == self.centres.dimensions();
        is_usable.then(|| {
            let assigned = assign(rows, &self.centres).into_iter();
            assigned.map(|(label, _)| label).collect()
        })
    }
}

/// At most `most` rows, each as likely as the others, in their order.
fn sample(rows: &Matrix, most: usize, random: &mut Random) -> Matrix {
    if rows.len() <= most {
        return rows.clone();
    }
    let mut values = Vec::with_capacity(most * rows.dimensions());
    let mut left = most;
    for (place, row) in rows.values().chunks_exact(rows.dimensions()).enumerate() {
        if random.below(rows.len() - place) < left {
            values.extend_from_slice(row);
            left -= 1;
        }
    }
    Matrix::new(rows.dimensions(), values).unwrap_or_default()
}

/// Starts that lie apart: each next one is drawn by its squared distance to those before.
fn starts(rows: &Matrix, k: usize, random: &mut Random) -> Matrix {
    let mut values: Vec<f32> = Vec::new();
    let mut squares = vec![f64::INFINITY; rows.len()];
    let mut next = random.below(rows.len());
    for _ in 0..k.min(rows.len()) {
        let Some(start) = rows.row(next) else {
            break;
        };
        values.extend_from_slice(start);
        let each = rows.values().chunks_exact(rows.dimensions().max(1));
        for (square, row) in squares.iter_mut().zip(each) {
            *square = square.min(f64::from(squared_distance(row, start)));
        }
        let whole: f64 = squares.iter().sum();
        if whole <= 0.0 {
            break;
        }
        let mut left = random.share() * whole;
        let drawn = squares.iter().position(|square| {
            left -= square;
            left < 0.0
        });
        let last = squares.iter().rposition(|square| *square > 0.0);
        next = drawn.or(last).unwrap_or(0);
    }
    Matrix::new(rows.dimensions(), values).unwrap_or_default()
}

/// The nearest centre of each row, and the squared distance to it.
fn assign(rows: &Matrix, centres: &Matrix) -> Vec<(usize, f64)> {
    let (size, count) = (rows.dimensions(), centres.len());
    let halves: Vec<f32> = centres
        .values()
        .chunks_exact(size.max(1))
        .map(|centre| narrow(square(centre) / 2.0))
        .collect();
    let mut assigned = Vec::with_capacity(rows.len());
    for values in rows.values().chunks(BLOCK * size.max(1)) {
        let block = rows_of(values, size);
        let mut products = vec![0.0_f32; block.nrows() * count];
        matmul(
            MatMut::from_row_major_slice_mut(&mut products, block.nrows(), count),
            Accum::Replace,
            block,
            rows_of(centres.values(), size).transpose(),
            1.0,
            Par::Seq,
        );
        leave_wide_vectors();
        for (row, products) in values.chunks_exact(size).zip(products.chunks_exact(count)) {
            // |x − c|² = |x|² − 2·(x·c − |c|²/2)
            let near = products.iter().zip(&halves).map(|(dot, half)| dot - half);
            let best = near
                .enumerate()
                .reduce(|best, other| if other.1 > best.1 { other } else { best });
            let own = f64::from(dot(row, row));
            let (label, near) = best.unwrap_or_default();
            assigned.push((label, (own - 2.0 * f64::from(near)).max(0.0)));
        }
    }
    assigned
}

/// The means of the rows of each centre. One without rows goes to the row that is farthest from its own.
fn means(rows: &Matrix, assigned: &[(usize, f64)], centres: &Matrix) -> Matrix {
    let size = rows.dimensions();
    let mut sums = vec![vec![0.0_f64; size]; centres.len()];
    let mut counts = vec![0.0_f64; centres.len()];
    for (row, (label, _)) in rows.values().chunks_exact(size).zip(assigned) {
        if let (Some(sums), Some(count)) = (sums.get_mut(*label), counts.get_mut(*label)) {
            *count += 1.0;
            for (sum, value) in sums.iter_mut().zip(row) {
                *sum += f64::from(*value);
            }
        }
    }
    let mut far: Vec<usize> = (0..assigned.len()).collect();
    let far_square = |place: &usize| assigned.get(*place).map_or(0.0, |(_, square)| *square);
    if counts.iter().any(|count| *count < 0.5) {
        far.sort_by(|one, other| far_square(one).total_cmp(&far_square(other)));
    }
    let mut values = Vec::with_capacity(size * centres.len());
    for (sums, count) in sums.iter().zip(&counts) {
        if *count > 0.5 {
            values.extend(sums.iter().map(|sum| narrow(sum / count)));
        } else if let Some(row) = far.pop().and_then(|place| rows.row(place)) {
            values.extend_from_slice(row);
        }
    }
    Matrix::new(size, values).unwrap_or_default()
}
