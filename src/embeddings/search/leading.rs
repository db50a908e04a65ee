//! A few directions along which the rows mostly lie, and a bound of what all others can add.
//!
//! The product of two vectors is the product of their parts along some directions at right angles, and of
//! their rests; and the latter is at most the product of the rests' lengths (Cauchy and Schwarz). Where rows
//! lie mostly along a third of as many directions as they have dimensions, as those of language models do, a
//! product of a third of the size says of nearly all rows that they cannot be among the best.
//!
//! The directions are those of the greatest sums of squares over some rows, by one step of subspace iteration
//! that starts from rows (Halko, Martinsson and Tropp, Finding structure with randomness, 2011, section 4.5).
//! How good they are decides what is gained, and never what is found: the bound holds for any
//! directions, and how far they are from right angles is measured and part of it.

use crate::embeddings::registers::settled;
use crate::embeddings::search::dot::{Length, dot};
use crate::embeddings::{self, Rows};
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};

/// How many rows are looked at: so many groups of rows that follow one another.
const GROUPS: usize = 64;
const GROUP: usize = 16;
/// How many queries are looked at.
const QUERIES: usize = 64;
/// So many widths are tried.
const WIDTHS: usize = 6;
/// Fewer dimensions, or fewer queries, leave nothing to gain.
const LEAST: usize = 128;
/// The directions must be cheap beside the scan: this many times the pairs of rows and directions.
const PAYS: usize = 128;
/// What it costs to score a row that the bound lets pass, in multiplications of a product: to get there, and for each
/// dimension.
const LOOK: (f64, f64) = (2_000.0, 3.5);
/// A bound that costs more than this share of whole products is not worth it.
const WORTH: f64 = 0.75;

/// Directions, of length 1 and at right angles, nearly.
#[derive(Debug)]
pub(super) struct Leading {
    dimensions: usize,
    width: usize,
    /// One direction after the other.
    directions: Vec<f32>,
    /// What roundings, and angles that are not quite right, can add, as a share of the product of two lengths.
    slack: f32,
}

impl Leading {
    /// Returns directions for a scan of `base` for the nearest `k` of each query, when it is cheaper with them.
    ///
    /// # Errors
    ///
    /// What reading rows gives.
    pub(super) fn of(
        base: &dyn Rows,
        queries: &[f32],
        k: usize,
    ) -> Result<Option<Self>, embeddings::Error> {
        let dimensions = base.dimensions();
        let count = queries.len().checked_div(dimensions).unwrap_or_default();
        let most = most_directions(dimensions, GROUPS * GROUP);
        let pairs = count.saturating_mul(base.len());
        if dimensions < LEAST || count < LEAST || pairs < PAYS * GROUPS * GROUP * most {
            return Ok(None);
        }
        let rows = some_rows(base)?;
        let queries = some_queries(queries, dimensions);
        let trial = Trial {
            rows: &rows,
            queries: &queries,
            dimensions,
            share: share(k, base.len()),
            count,
        };
        Ok(Self::of_rows(&rows, dimensions).and_then(|all| trial.best(&all)))
    }

    /// Returns as many directions as there are to choose from, those of the greatest sums of squares first.
    pub(super) fn of_rows(rows: &[f32], dimensions: usize) -> Option<Self> {
        let count = rows.len() / dimensions;
        let most = most_directions(dimensions, count);
        let rows = MatRef::from_row_major_slice(rows, count, dimensions);
        let start = Mat::from_fn(dimensions, most, |place, column| {
            rows[(column * count / most, place)]
        });
        let turned = settled(rows.transpose() * settled(rows * start));
        let basis = settled(turned.qr().compute_thin_Q());
        let parts = settled(rows * &basis);
        let sums = settled(parts.transpose() * &parts);
        let split = settled(sums.self_adjoint_eigen(Side::Lower)).ok()?;
        let basis = settled(basis * split.U().reverse_cols());
        Some(Self::new(basis.as_ref()))
    }

    fn new(directions: MatRef<'_, f32>) -> Self {
        let (dimensions, width) = directions.shape();
        let columns = directions.col_iter();
        Self {
            dimensions,
            width,
            slack: slack(directions),
            directions: columns.flat_map(|column| column.iter().copied()).collect(),
        }
    }

    /// Returns how many directions there are.
    pub(super) const fn width(&self) -> usize {
        self.width
    }

    /// Returns the parts of rows along the directions, row by row.
    pub(super) fn parts(&self, rows: &[f32]) -> Vec<f32> {
        products(rows, &self.directions, self.dimensions)
    }

    /// Returns at least how long the rest of a row of this length is, beside such a part.
    ///
    /// The product of two rests bounds all that the product of the parts lacks, roundings included: of two
    /// pairs of summands `ab + cd` is at most the product of the roots of `a² + c²` and `b² + d²`.
    pub(super) fn rest(&self, length: f32, part: &[f32]) -> f32 {
        let square = length * length;
        ((square - dot(part, part)).max(0.0) + self.slack * square).sqrt()
    }

    /// Returns the first few of the directions.
    pub(super) fn first(&self, width: usize) -> Option<Self> {
        let directions = self.directions.get(..width * self.dimensions)?;
        let all = MatRef::from_column_major_slice(directions, self.dimensions, width);
        Some(Self::new(all))
    }
}

/// Returns of how many directions one may choose, so many rows having been seen.
fn most_directions(dimensions: usize, rows: usize) -> usize {
    (dimensions.min(rows) / 2).max(1)
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows")]
fn share(k: usize, rows: usize) -> f64 {
    k as f64 / rows.max(1) as f64
}

/// Returns what the bound must add for products of these directions, as a share of the product of two lengths.
///
/// Let `w` directions differ from right angles by a matrix of norm `g`, and a coordinate of a part be rounded by at
/// most `r` times the length. Then a part is off by `r√w` lengths, the square of a rest by twice that and `g`, and
/// the product of two parts by as much again.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "dimensions are few, and the norm is rounded up"
)]
fn slack(directions: MatRef<'_, f32>) -> f32 {
    let (dimensions, width) = directions.shape();
    let wide = Mat::from_fn(dimensions, width, |place, column| {
        f64::from(directions[(place, column)])
    });
    let angles = settled(wide.transpose() * &wide) - Mat::<f64>::identity(width, width);
    let rounding = (dimensions + 32) as f32 * f32::EPSILON;
    4.0 * (rounding * (width as f32).sqrt() + settled(angles.norm_l2()) as f32)
}

/// Some queries and rows that a bound is tried on.
struct Trial<'a> {
    rows: &'a [f32],
    queries: &'a [f32],
    dimensions: usize,
    /// Which share of all rows is wanted.
    share: f64,
    /// How many queries there are in all: they share the price of the rows' parts.
    count: usize,
}

impl Trial<'_> {
    /// Returns as many of the directions as make the scan cheapest; `None` when whole products do.
    #[expect(clippy::cast_precision_loss, reason = "widths and counts, for a price")]
    fn best(&self, all: &Leading) -> Option<Leading> {
        let whole = products(self.queries, self.rows, self.dimensions);
        let rows = self.rows.len() / self.dimensions;
        let floors: Vec<f32> = whole.chunks(rows).map(|row| self.floor(row)).collect();
        let parts = [self.queries, self.rows].map(|of| all.parts(of));
        let dimensions = self.dimensions as f64;
        let step = all.width.div_ceil(WIDTHS).next_multiple_of(16);
        let widths = (step..=all.width).step_by(step);
        let priced = widths.map(|width| {
            let [queries, rows] =
                [&parts[0], &parts[1]].map(|parts| Parts::new(parts, all.width, width));
            let look = LOOK.0 + LOOK.1 * dimensions;
            let multiplied = width as f64 * (1.0 + dimensions / self.count as f64);
            (multiplied + queries.passing(&rows, &floors) * look, width)
        });
        let (price, width) = priced.min_by(|one, other| one.0.total_cmp(&other.0))?;
        (price < WORTH * dimensions).then(|| all.first(width))?
    }

    /// Returns the score that the last of the wanted share of rows has.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share of a few rows"
    )]
    fn floor(&self, scores: &[f32]) -> f32 {
        let mut scores = scores.to_vec();
        let rank = ((self.share * scores.len() as f64).ceil() as usize).clamp(1, scores.len());
        let place = scores.len() - rank;
        let (_, floor, _) = scores.select_nth_unstable_by(place, f32::total_cmp);
        *floor
    }
}

/// Parts of vectors of length 1 along the first few directions, and their rests.
struct Parts {
    width: usize,
    values: Vec<f32>,
    rests: Vec<f32>,
}

impl Parts {
    fn new(parts: &[f32], all: usize, width: usize) -> Self {
        let first = || parts.chunks_exact(all).filter_map(|part| part.get(..width));
        let rest = |part: &[f32]| (1.0 - dot(part, part)).max(0.0).sqrt();
        Self {
            width,
            values: first().flatten().copied().collect(),
            rests: first().map(rest).collect(),
        }
    }

    /// Returns for which share of all pairs of queries and rows the bound reaches the query's floor.
    #[expect(clippy::cast_precision_loss, reason = "a share of few pairs")]
    fn passing(&self, rows: &Self, floors: &[f32]) -> f64 {
        let products = products(&self.values, &rows.values, self.width);
        let queries = products
            .chunks(rows.rests.len())
            .zip(&self.rests)
            .zip(floors);
        let passing = queries.map(|((products, rest), floor)| {
            let bounds = products.iter().zip(&rows.rests);
            bounds
                .filter(|(product, other)| *product + rest * *other >= *floor)
                .count()
        });
        passing.sum::<usize>() as f64 / products.len() as f64
    }
}

/// Returns the products of all rows of two matrices, those of the first row first.
fn products(left: &[f32], right: &[f32], width: usize) -> Vec<f32> {
    let (rows, columns) = (left.len() / width, right.len() / width);
    let mut products = vec![0.0; rows * columns];
    matmul(
        MatMut::from_row_major_slice_mut(&mut products, rows, columns),
        Accum::Replace,
        MatRef::from_row_major_slice(left, rows, width),
        MatRef::from_row_major_slice(right, columns, width).transpose(),
        1.0_f32,
        Par::Seq,
    );
    settled(products)
}

/// Returns rows from everywhere, each of length 1; those that have no direction are left out.
fn some_rows(base: &dyn Rows) -> Result<Vec<f32>, embeddings::Error> {
    let width = base.dimensions();
    let mut rows = Vec::with_capacity(GROUPS * GROUP * width);
    let mut group = vec![0.0; GROUP * width];
    for number in 0..GROUPS {
        base.read((base.len() - GROUP) * number / GROUPS, &mut group)?;
        rows.extend(group.chunks_exact(width).flat_map(units));
    }
    Ok(rows)
}

/// Returns some of the queries, each of length 1.
fn some_queries(queries: &[f32], width: usize) -> Vec<f32> {
    let step = (queries.len() / width).div_ceil(QUERIES).max(1);
    let some = queries.chunks_exact(width).step_by(step);
    some.flat_map(units).collect()
}

fn units(row: &[f32]) -> impl Iterator<Item = f32> {
    let length = Length::of(row).value();
    let values = length.map(|length| row.iter().map(move |value| value / length));
    values.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::{Leading, Trial};
    use crate::embeddings::search::dot::dot;
    use crate::embeddings::search::samples::clustered;
    use crate::embeddings::{Matrix, Rows};
    use faer::Mat;
    use proptest::prelude::*;

    /// The product of two rows, and what is at most said of it.
    fn product_and_bound(leading: &Leading, one: &[f32], other: &[f32]) -> (f64, f64) {
        let exact = one
            .iter()
            .zip(other)
            .map(|(a, b)| f64::from(*a) * f64::from(*b))
            .sum();
        let [of_one, of_other] = [one, other].map(|row| leading.parts(row));
        let [left, right] = [(one, &of_one), (other, &of_other)]
            .map(|(row, part)| leading.rest(dot(row, row).sqrt(), part));
        let product = f64::from(dot(&of_one, &of_other));
        (exact, product + f64::from(left) * f64::from(right))
    }

    proptest! {
        #[test]
        fn no_product_is_beyond_the_bound(
            values in prop::collection::vec(-1.0_f32..1.0, 48 * 6),
            factor in prop::sample::select(vec![1e-12_f32, 1.0, 1e12]),
            width in 1_usize..24,
        ) {
            let rows = Matrix::new(48, values.iter().map(|value| value * factor).collect()).unwrap();
            let directions = Leading::of_rows(clustered(200, 48, 1).values(), 48).unwrap();
            let leading = directions.first(width).unwrap();
            for (one, other) in (0..6).flat_map(|one| (0..6).map(move |other| (one, other))) {
                let (one, other) = (rows.row(one).unwrap(), rows.row(other).unwrap());
                let (exact, bound) = product_and_bound(&leading, one, other);
                prop_assert!(exact <= bound, "{exact} {bound}");
            }
        }
    }

    #[test]
    fn directions_that_are_none_bound_as_well() {
        let crooked = Mat::from_fn(8, 3, |place, column| {
            [0.5, 0.3, 0.2][column] + f32::from(u8::try_from(place).unwrap()) / 20.0
        });
        let leading = Leading::new(crooked.as_ref());
        let rows = clustered(40, 8, 3);
        for number in 0..40 {
            let (one, other) = (
                rows.row(number).unwrap(),
                rows.row(number * 7 % 40).unwrap(),
            );
            let (exact, bound) = product_and_bound(&leading, one, other);
            assert!(exact <= bound, "{exact} {bound}");
        }
    }

    #[test]
    fn rows_along_few_directions_need_few_and_noise_needs_whole_products() {
        // 256 dimensions, of which 16 hold nearly all.
        let (few, noise) = (clustered(1_100, 16, 5), clustered(1_100, 256, 6));
        let long = |number: usize| {
            let own = few.row(number).unwrap().iter().map(|value| value * 20.0);
            let rest = noise
                .row(number)
                .unwrap()
                .iter()
                .skip(16)
                .map(|value| value * 0.05);
            own.chain(rest).collect::<Vec<f32>>()
        };
        let along: Vec<f32> = (0..1_100).flat_map(long).collect();
        let value = |place: u64| {
            let mixed = (place + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mixed = (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            f32::from(u16::try_from(mixed >> 48).unwrap()) / 32_768.0 - 1.0
        };
        let everywhere: Vec<f32> = (0..1_100 * 256).map(value).collect();
        let best = |values: &[f32]| {
            let unit = |row: &[f32]| super::units(row).collect::<Vec<f32>>();
            let units: Vec<f32> = values.chunks(256).flat_map(unit).collect();
            let (rows, queries) = units.split_at(1_024 * 256);
            let trial = Trial {
                rows,
                queries,
                dimensions: 256,
                share: 0.001,
                count: 1_000,
            };
            trial
                .best(&Leading::of_rows(rows, 256).unwrap())
                .map(|found| found.width())
        };
        assert_eq!(best(&along), Some(32));
        assert_eq!(best(&everywhere), None);
    }

    #[test]
    fn small_scans_do_without() {
        let (base, queries) = (clustered(3_000, 130, 1), clustered(200, 130, 2));
        assert!(Leading::of(&base, queries.values(), 10).unwrap().is_none());
        assert!(Leading::of(&base, &[], 10).unwrap().is_none());
        let empty = Matrix::default();
        assert!(empty.is_empty() && Leading::of(&empty, &[], 10).unwrap().is_none());
    }
}
