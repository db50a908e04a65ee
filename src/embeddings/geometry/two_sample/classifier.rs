//! Can a classifier tell the windows apart? Logistic regression, judged on rows it did not see.

use crate::embeddings::geometry::dense::{dot, rows_of};
use crate::embeddings::geometry::shape::Shape;
use crate::embeddings::geometry::two_sample::splits::{Splits, pooled};
use crate::embeddings::registers::settled;
use crate::embeddings::{Matrix, Rows};
use crate::stats::{MannWhitney, mann_whitney};
use faer::linalg::solvers::Solve;
use faer::{Mat, Side};

/// A row is judged by the classifier that saw all but its fold.
const FOLDS: usize = 5;
/// Newton's steps at most.
const STEPS: usize = 50;
/// Dimensions beyond which rows are first brought to their principal axes.
const MOST_DIMENSIONS: usize = 64;

/// How well a classifier tells the windows apart.
#[derive(Debug, Clone, PartialEq)]
pub struct DomainTest {
    /// The score of each row, the reference's first, from the classifier that did not see it.
    pub scores: Vec<f64>,
    /// How well the scores separate the windows. Its own p value is too small: the folds share rows.
    pub separation: MannWhitney,
    /// The chance of an AUC as high when nothing differs, by refitting on split windows; `None` without
    /// permutations.
    pub p_value: Option<f64>,
}

/// Returns the test of a domain classifier: logistic regression with a penalty of ½·|w|².
///
/// There are five folds by the number of the row. Beyond 64 dimensions it works on the first 64 principal
/// axes of both windows together, which know nothing of the split.
///
/// Each permutation refits five classifiers: tens of milliseconds at 1 500 rows and 64 dimensions. `None`
/// when a window has fewer than ten rows or more than 2 000, the dimensions differ, or a value is not
/// finite.
#[must_use]
pub fn domain_classifier(
    reference: &Matrix,
    current: &Matrix,
    (permutations, seed): (usize, u64),
) -> Option<DomainTest> {
    if reference.len() < 2 * FOLDS || current.len() < 2 * FOLDS {
        return None;
    }
    let rows = reduced(&pooled(reference, current)?)?;
    let splits = Splits::new(reference.len(), current.len(), permutations, seed);
    let scores = unseen_scores(&rows, &splits.observed)?;
    let mut aucs = Vec::with_capacity(permutations + 1);
    for split in splits.iter() {
        let scores = unseen_scores(&rows, split)?;
        aucs.push(separation(&scores, split)?.auc);
    }
    Some(DomainTest {
        separation: separation(&scores, &splits.observed)?,
        p_value: splits.p_value(&aucs),
        scores,
    })
}

/// Returns the weights of a logistic regression and, last, its intercept.
///
/// They are the least of ½·|w|² plus the logarithmic losses, the intercept free. `None` when rows and
/// labels differ in number, there are none, or it does not come to an end.
#[must_use]
pub fn logistic(rows: &[Vec<f64>], labels: &[bool]) -> Option<Vec<f64>> {
    let width = rows.first()?.len() + 1;
    if rows.len() != labels.len() || rows.iter().any(|row| row.len() + 1 != width) {
        return None;
    }
    let mut flat = Vec::with_capacity(rows.len() * width);
    for row in rows {
        flat.extend_from_slice(row);
        flat.push(1.0);
    }
    newton(&flat, width, labels)
}

/// Returns the score of each row, w·x + intercept: above 0 is the class of `true`.
#[must_use]
pub fn logistic_scores(rows: &[Vec<f64>], weights: &[f64]) -> Vec<f64> {
    let Some((intercept, weights)) = weights.split_last() else {
        return Vec::new();
    };
    rows.iter()
        .map(|row| dot(row, weights) + intercept)
        .collect()
}

/// Scores from classifiers that did not see the row.
fn unseen_scores(rows: &[Vec<f64>], labels: &[bool]) -> Option<Vec<f64>> {
    let mut scores = vec![0.0; rows.len()];
    for fold in 0..FOLDS {
        let seen = |place: &usize| place % FOLDS != fold;
        let pick = rows.iter().zip(labels).enumerate();
        let (train, train_labels): (Vec<Vec<f64>>, Vec<bool>) = pick
            .filter(|(place, _)| seen(place))
            .map(|(_, (row, label))| (row.clone(), *label))
            .unzip();
        let weights = logistic(&train, &train_labels)?;
        let all = logistic_scores(rows, &weights);
        for ((place, score), value) in scores.iter_mut().enumerate().zip(all) {
            if !seen(&place) {
                *score = value;
            }
        }
    }
    Some(scores)
}

fn separation(scores: &[f64], labels: &[bool]) -> Option<MannWhitney> {
    let of = |label: bool| -> Vec<f64> {
        let pairs = scores.iter().zip(labels).filter(|(_, own)| **own == label);
        pairs.map(|(score, _)| *score).collect()
    };
    mann_whitney(&of(false), &of(true))
}

/// Newton's method; a step that does not lower the loss is halved.
fn newton(rows: &[f64], width: usize, labels: &[bool]) -> Option<Vec<f64>> {
    let mut weights = vec![0.0; width];
    let mut before = loss(rows, labels, &weights);
    for _ in 0..STEPS {
        let step = newton_step(rows, labels, &weights)?;
        let mut part = 1.0;
        let mut next = moved(&weights, &step, part);
        let mut now = loss(rows, labels, &next);
        while now > before && part > 1e-6 {
            part /= 2.0;
            next = moved(&weights, &step, part);
            now = loss(rows, labels, &next);
        }
        let size = step.iter().map(|value| value.abs()).fold(0.0, f64::max);
        if now <= before {
            weights = next;
            before = now;
        }
        if size < 1e-10 || part <= 1e-6 {
            return Some(weights);
        }
    }
    before.is_finite().then_some(weights)
}

fn moved(weights: &[f64], step: &[f64], part: f64) -> Vec<f64> {
    let pairs = weights.iter().zip(step);
    pairs.map(|(weight, step)| weight - part * step).collect()
}

fn loss(rows: &[f64], labels: &[bool], weights: &[f64]) -> f64 {
    let free = weights.split_last().map_or(&[][..], |(_, free)| free);
    let penalty = dot(free, free) / 2.0;
    let losses = rows
        .chunks_exact(weights.len())
        .zip(labels)
        .map(|(row, label)| {
            let score = dot(row, weights);
            let against = if *label { -score } else { score };
            // ln(1 + e^x) without overflow.
            against.max(0.0) + (-against.abs()).exp().ln_1p()
        });
    penalty + losses.sum::<f64>()
}

/// The gradient over the curvature.
fn newton_step(rows: &[f64], labels: &[bool], weights: &[f64]) -> Option<Vec<f64>> {
    let width = weights.len();
    let mut gradient: Vec<f64> = weights.to_vec();
    if let Some(intercept) = gradient.last_mut() {
        *intercept = 0.0;
    }
    let mut curved = Vec::with_capacity(rows.len());
    for (row, label) in rows.chunks_exact(width).zip(labels) {
        let chance = 1.0 / (1.0 + (-dot(row, weights)).exp());
        let error = chance - f64::from(u8::from(*label));
        let root = (chance * (1.0 - chance)).sqrt();
        for (sum, value) in gradient.iter_mut().zip(row) {
            *sum += error * value;
        }
        curved.extend(row.iter().map(|value| root * value));
    }
    let curved = rows_of(&curved, width);
    let lower = crate::embeddings::geometry::dense::lower_gram(curved.transpose());
    let mut curvature = crate::embeddings::geometry::dense::symmetric(&lower, width);
    let diagonal = curvature.diagonal_mut().column_vector_mut();
    for (entry, place) in diagonal.iter_mut().zip(1..) {
        // The intercept is free, but must be solved for where every chance is 0 or 1.
        *entry += if place == width { 1e-12 } else { 1.0 };
    }
    let gradient = Mat::from_fn(width, 1, |row, _| gradient.get(row).copied().unwrap_or(0.0));
    let step = settled(curvature.llt(Side::Lower).ok()?.solve(&gradient));
    Some(step.col(0).iter().copied().collect())
}

/// The rows, on their first principal axes when they are long.
fn reduced(pool: &Matrix) -> Option<Vec<Vec<f64>>> {
    let size = pool.dimensions();
    let each = pool.values().chunks_exact(size.max(1));
    let wide: Vec<Vec<f64>> = each
        .map(|row| row.iter().copied().map(f64::from).collect())
        .collect();
    if size <= MOST_DIMENSIONS {
        return Some(wide);
    }
    let mut shape = Shape::exact(size);
    shape.add(pool.values())?;
    let mean = shape.mean()?;
    let split = settled(shape.centred()?.self_adjoint_eigen(Side::Lower)).ok()?;
    let axes = split.U().subcols(size - MOST_DIMENSIONS, MOST_DIMENSIONS);
    let centred: Vec<f64> = wide
        .iter()
        .flat_map(|row| row.iter().zip(&mean).map(|(value, mean)| value - mean))
        .collect();
    let seen = settled(rows_of(&centred, size) * axes);
    Some(
        seen.row_iter()
            .map(|row| row.iter().copied().collect())
            .collect(),
    )
}
