//! Fitting maps from one space to another on rows that belong together.
//!
//! Fit on documents, judge on queries, and by what is found, not by how near the rows come: the best map
//! by distance is not the best by answers.

use crate::embeddings::at_once::at_once;
use crate::embeddings::geometry::dense::{entries_dot, finite, row_major};
use crate::embeddings::geometry::map::{Fitted, LinearMap, MapKind};
use crate::embeddings::geometry::moments::Moments;
use crate::embeddings::geometry::shape::{Shape, subtract_outer};
use crate::embeddings::registers::settled;
use crate::embeddings::{Matrix, Rows};
use crate::stats::Random;
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

/// The penalties that are tried, as parts of the mean variance of a dimension.
const LAMBDAS: [f64; 7] = [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0];
/// One row of so many is held out to choose the penalty by.
const HELD_OUT: usize = 5;

/// Which way a map goes between the sides of moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From A to B.
    AToB,
    /// From B to A.
    BToA,
}

/// Returns the turn that brings `from` nearest to `to` (orthogonal Procrustes; Schönemann, 1966), without
/// moving anything.
///
/// The dimensions may differ. `None` when the rows differ in number, or there are none.
#[must_use]
pub fn procrustes(from: &Matrix, to: &Matrix) -> Option<LinearMap> {
    turn(&Moments::of(from, to)?, Direction::AToB, false)?.into_map()
}

/// Returns the turn around the means that brings `from` nearest to `to`: the first choice where the new
/// space has as many dimensions or more. `None` as for [`procrustes`].
#[must_use]
pub fn centred_procrustes(from: &Matrix, to: &Matrix) -> Option<LinearMap> {
    turn(&Moments::of(from, to)?, Direction::AToB, true)?.into_map()
}

/// Returns the affine map with the least squared distance plus λ·‖W‖²; the intercept is not penalised.
/// `None` as for [`procrustes`], or when λ is negative, not finite, or too small to solve with.
#[must_use]
pub fn ridge(from: &Matrix, to: &Matrix, lambda: f64) -> Option<LinearMap> {
    least_squares(&Moments::of(from, to)?, Direction::AToB, lambda)?.into_map()
}

/// Returns the [`ridge`] whose λ did best on a fifth of the rows, drawn by the seed and held out; fitted
/// on all. `None` as for [`procrustes`], or with fewer than ten rows.
#[must_use]
pub fn ridge_held_out(from: &Matrix, to: &Matrix, seed: u64) -> Option<LinearMap> {
    let (held, rest) = split(from, to, seed)?;
    let lambda = best_lambda(&rest, &held, Direction::AToB)?;
    let mut all = rest;
    all.merge(&held)?;
    least_squares(&all, Direction::AToB, lambda)?.into_map()
}

/// Returns [`ridge`] through no more than `rank` dimensions. It loses more than it saves between most
/// spaces. `None` as for [`ridge`], or with a rank of 0.
#[must_use]
pub fn low_rank(from: &Matrix, to: &Matrix, lambda: f64, rank: usize) -> Option<LinearMap> {
    let fitted = least_squares(&Moments::of(from, to)?, Direction::AToB, lambda)?;
    truncated(fitted, rank)?.into_map()
}

/// Folds in three parts, for a fit that others choose and judge. It holds the sums of each part once: those of many
/// dimensions are large.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldOut {
    fit: Moments,
    choose: Moments,
    judge: Moments,
}

impl HoldOut {
    /// Takes the last fold to judge, the one before it to choose, the others to fit. `None` with fewer than three, or
    /// of different dimensions.
    #[must_use]
    pub fn of(folds: Vec<Moments>) -> Option<Self> {
        let mut folds = folds;
        let (judge, choose) = (folds.pop()?, folds.pop()?);
        let mut folds = folds.into_iter();
        let mut fit = folds.next()?;
        for fold in folds {
            fit.merge(&fold)?;
        }
        Some(Self { fit, choose, judge })
    }

    /// Returns the part of a side's variance that a ridge explains which was fitted and chosen on other pairs:
    /// of B from A, then of A from B; each on a thread of its own.
    ///
    /// It is 1 − (unexplained)/(all), over all dimensions; below 0 when the mean would have been better. `None`
    /// without variance.
    #[must_use]
    pub fn ridge_r2(&self) -> Option<[f64; 2]> {
        let r2 = |direction| {
            let lambda = best_lambda(&self.fit, &self.choose, direction)?;
            let fitted = least_squares(&self.fit, direction, lambda)?;
            explained(&self.judge, &fitted, direction)
        };
        let (there, back) = at_once(|| r2(Direction::AToB), || r2(Direction::BToA));
        Some([there?, back?])
    }

    /// Returns the sums of all parts together. `None` when they are of different dimensions.
    #[must_use]
    pub fn whole(self) -> Option<Moments> {
        let mut whole = self.fit;
        whole.merge(&self.choose)?;
        drop(self.choose);
        whole.merge(&self.judge)?;
        Some(whole)
    }
}

impl Moments {
    /// Returns the part of B's variance that a ridge from A explains on the pairs it was fitted on, and
    /// the part of A's from B; over all dimensions. `None` when λ does not solve, or without variance.
    #[must_use]
    pub fn ridge_r2(&self, lambda: f64) -> Option<[f64; 2]> {
        let r2 = |direction| explained(self, &least_squares(self, direction, lambda)?, direction);
        Some([r2(Direction::AToB)?, r2(Direction::BToA)?])
    }

    fn sides(&self, direction: Direction) -> (&Shape, &Shape) {
        match direction {
            Direction::AToB => (&self.a, &self.b),
            Direction::BToA => (&self.b, &self.a),
        }
    }
}

/// The turn between the sides of moments.
pub(super) fn turn(moments: &Moments, direction: Direction, is_centred: bool) -> Option<Fitted> {
    Some(turn_and_strength(moments, direction, is_centred)?.0)
}

/// The turn between the sides of moments, and the sum of the singular values of what is between them.
pub(super) fn turn_and_strength(
    moments: &Moments,
    direction: Direction,
    is_centred: bool,
) -> Option<(Fitted, f64)> {
    let cross = if is_centred {
        moments.centred_cross()?
    } else {
        moments.raw_cross().to_owned()
    };
    let cross = oriented(cross, direction);
    let parts = settled(cross.thin_svd()).ok()?;
    let (from, to) = moments.sides(direction);
    let mean = |shape: &Shape| {
        if is_centred {
            shape.mean()
        } else {
            Some(vec![0.0; shape.dimensions()])
        }
    };
    let fitted = Fitted {
        kind: if is_centred {
            MapKind::CentredProcrustes
        } else {
            MapKind::Procrustes
        },
        matrix: row_major(settled(parts.U() * parts.V().transpose()).as_ref()),
        from_mean: mean(from)?,
        to_mean: mean(to)?,
        lambda: None,
    };
    Some((fitted, parts.S().column_vector().iter().sum()))
}

/// Ridge between the sides of moments.
pub(super) fn least_squares(
    moments: &Moments,
    direction: Direction,
    lambda: f64,
) -> Option<Fitted> {
    if !(lambda.is_finite() && lambda >= 0.0) {
        return None;
    }
    let (from, to) = moments.sides(direction);
    let mut products = from.centred()?;
    for entry in products.diagonal_mut().column_vector_mut().iter_mut() {
        *entry += lambda;
    }
    let factor = settled(products.llt(Side::Lower)).ok()?;
    drop(products);
    let mut solved = oriented(moments.centred_cross()?, direction);
    factor.solve_in_place(&mut solved);
    drop(factor);
    let matrix = row_major(settled(solved).as_ref());
    matrix.iter().all(|value| value.is_finite()).then_some(())?;
    Some(Fitted {
        kind: MapKind::Ridge,
        matrix,
        from_mean: from.mean()?,
        to_mean: to.mean()?,
        lambda: Some(lambda),
    })
}

/// A fit through its largest `rank` singular directions.
pub(super) fn truncated(fitted: Fitted, rank: usize) -> Option<Fitted> {
    let to = fitted.to_mean.len();
    let parts = settled(super::dense::rows_of(&fitted.matrix, to).thin_svd()).ok()?;
    let rank = rank.min(parts.S().dim());
    if rank == 0 {
        return None;
    }
    let strengths: Vec<f64> = parts.S().column_vector().iter().copied().collect();
    let (u, v) = (parts.U(), parts.V());
    let left = Mat::from_fn(u.nrows(), rank, |row, column| {
        u[(row, column)] * strengths.get(column).copied().unwrap_or(0.0)
    });
    let matrix = settled(left * v.subcols(0, rank).transpose());
    Some(Fitted {
        kind: MapKind::LowRank,
        matrix: row_major(matrix.as_ref()),
        ..fitted
    })
}

/// The λ whose fit on the one explains most of the other.
fn best_lambda(fit: &Moments, held: &Moments, direction: Direction) -> Option<f64> {
    let (from, _) = fit.sides(direction);
    let scale = from.spread()? / from.dimensions() as f64;
    let tried = LAMBDAS.iter().filter_map(|part| {
        let fitted = least_squares(fit, direction, part * scale)?;
        Some((explained(held, &fitted, direction)?, part * scale))
    });
    let best = tried.max_by(|one, other| one.0.total_cmp(&other.0))?;
    Some(best.1)
}

/// How much of the variance of pairs a map explains.
pub(super) fn explained(pairs: &Moments, map: &Fitted, direction: Direction) -> Option<f64> {
    let (_, to) = pairs.sides(direction);
    let whole = to.spread()?;
    let share = 1.0 - unexplained(pairs, map, direction)? / whole;
    (whole > 0.0).then(|| finite(share)).flatten()
}

/// Σ |y − map(x)|² from moments: every sum is moved to the means of the map.
pub(super) fn unexplained(pairs: &Moments, map: &Fitted, direction: Direction) -> Option<f64> {
    let (from, to) = pairs.sides(direction);
    let n = from.rows()?;
    let apart = |shape: &Shape, mean: &[f64]| -> Option<Vec<f64>> {
        let own = shape.mean()?;
        Some(own.iter().zip(mean).map(|(own, mean)| own - mean).collect())
    };
    let (dx, dy) = (apart(from, &map.from_mean)?, apart(to, &map.to_mean)?);
    let matrix = super::dense::rows_of(&map.matrix, map.to_mean.len());
    let along = {
        let mut cross = oriented(pairs.centred_cross()?, direction);
        subtract_outer(&mut cross, &dx, &dy, -n);
        entries_dot(matrix, cross.as_ref())
    };
    let mut products = from.centred()?;
    subtract_outer(&mut products, &dx, &dx, -n);
    let through = settled(&products * matrix);
    let squares = to.spread()? + n * dy.iter().map(|value| value * value).sum::<f64>();
    let rest = squares - 2.0 * along + entries_dot(matrix, through.as_ref());
    finite(rest.max(0.0))
}

fn oriented(cross: Mat<f64>, direction: Direction) -> Mat<f64> {
    match direction {
        Direction::AToB => cross,
        Direction::BToA => cross.transpose().to_owned(),
    }
}

/// Moments of the rows held out, and of the rest.
fn split(from: &Matrix, to: &Matrix, seed: u64) -> Option<(Moments, Moments)> {
    let is_usable = from.len() == to.len() && from.len() >= 2 * HELD_OUT;
    is_usable.then_some(())?;
    let mut random = Random::from_seed(seed);
    let mut sides = [(Vec::new(), Vec::new()), (Vec::new(), Vec::new())];
    let [held, rest] = &mut sides;
    // Every stretch of five rows gives one, so that both parts are there whatever the seed.
    let xs = from.values().chunks(HELD_OUT * from.dimensions().max(1));
    let ys = to.values().chunks(HELD_OUT * to.dimensions().max(1));
    for (x, y) in xs.zip(ys) {
        let out = random.below(HELD_OUT);
        let x = x.chunks_exact(from.dimensions());
        for (place, (x, y)) in x.zip(y.chunks_exact(to.dimensions())).enumerate() {
            let part = if place == out { &mut *held } else { &mut *rest };
            part.0.extend_from_slice(x);
            part.1.extend_from_slice(y);
        }
    }
    let moments = |(x, y): &(Vec<f32>, Vec<f32>)| {
        let mut moments = Moments::exact(from.dimensions(), to.dimensions());
        moments.add(x, y)?;
        Some(moments)
    };
    Some((moments(held)?, moments(rest)?))
}
