//! The shapes of the two spaces, and how alike they are: figures that describe, and decide nothing.
//!
//! They are of a sample where there are many items. None of them tells good from bad: two spaces can be
//! nearly one by all of them while answers get much worse, and the other way round.

use super::draw::draw_sorted;
use super::evidence::{Context, Evidence, List};
use super::figures::{exactly, figure};
use super::report::{Figure, FigureGroup};
use super::sample::{Sample, read};
use crate::embeddings::Error;
use crate::embeddings::geometry::{
    Moments, PairDistances, Shape, in_degrees, jackknife, participation_ratio, ridge_r2_held_out,
    two_nearest,
};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::search::{Metric, Scan, nearest};
use crate::stats::{Estimate, Interval, mean};
use std::thread;

/// Into how many parts the rows are dealt: one judges, one chooses, the others fit.
const FOLDS: usize = 4;
/// How many rows are read at once.
const BLOCK: usize = 4_096;

/// Returns the figures.
pub(super) fn figures(
    context: &Context<'_>,
    evidence: &Evidence,
    sample: &Sample,
) -> Result<Vec<Figure>, Error> {
    let count = context.settings.geometry_rows.max(FOLDS);
    let units = draw_sorted(
        context.aligned.rows.len(),
        count,
        context.settings.seed ^ 0x60,
    );
    let folds = folds(context, &units)?;
    let mut figures = likeness(&folds, units.len());
    figures.extend(rsa(sample));
    figures.extend(nearness(context, evidence, sample)?);
    Ok(figures)
}

/// Adds up rows in folds, on two threads; rows next to each other are in different folds.
fn folds(context: &Context<'_>, units: &[usize]) -> Result<Vec<Moments>, Error> {
    let [a, b] = context.sides.map(|side| side.rows.dimensions());
    let mut folds: Vec<Moments> = (0..FOLDS).map(|_| Moments::new(a, b)).collect();
    for block in units.chunks(BLOCK) {
        let [rows_a, rows_b] = read(context, block)?;
        let (first, second) = folds.split_at_mut(FOLDS / 2);
        thread::scope(|scope| {
            scope.spawn(|| add_to(first, 0, &rows_a, &rows_b));
            add_to(second, FOLDS / 2, &rows_a, &rows_b);
        });
    }
    Ok(folds)
}

/// Adds to each fold the rows that are its own; `place` is the place of the first of these folds.
fn add_to(folds: &mut [Moments], place: usize, a: &Matrix, b: &Matrix) {
    for (fold, start) in folds.iter_mut().zip(place..) {
        // Rows were read in pairs: they fit.
        let _ = fold.add(&every(a, start), &every(b, start));
    }
}

/// Every so many-th row from `start` on.
fn every(rows: &Matrix, start: usize) -> Vec<f32> {
    let vectors = rows.values().chunks_exact(rows.dimensions().max(1));
    vectors
        .skip(start)
        .step_by(FOLDS)
        .flatten()
        .copied()
        .collect()
}

fn described(id: &str, title: &str, value: Option<f64>, n: usize) -> Option<Figure> {
    Some(Figure {
        estimate: exactly(value.filter(|value| value.is_finite())?),
        n,
        ..figure(id, title, FigureGroup::Descriptor)
    })
}

/// A figure of each side; what is printed as its value is the change.
fn sided(id: &str, title: &str, of: [Option<f64>; 2], n: usize) -> Option<Figure> {
    let sides = [of[0]?, of[1]?];
    let change = described(id, title, Some(sides[1] - sides[0]), n)?;
    Some(Figure {
        sides: Some(sides),
        ..change
    })
}

fn likeness(folds: &[Moments], n: usize) -> Vec<Figure> {
    let mut folds_left = folds.iter();
    let Some(first) = folds_left.next() else {
        return Vec::new();
    };
    let mut all = first.clone();
    for fold in folds_left {
        // Folds of the same snapshots: they fit.
        let _ = all.merge(fold);
    }
    let ridge = ridge_r2_held_out(folds);
    let shapes = [all.a(), all.b()];
    let cca = all.cca().and_then(|correlations| mean(&correlations));
    let mut figures: Vec<Figure> = [
        cka(folds, &all, n),
        described(
            "procrustes",
            "Procrustes similarity: how well one lies on the other once moved, turned and scaled",
            all.procrustes_similarity(),
            n,
        ),
        described(
            "ridge.a_to_b",
            "Share of B's variance that a linear map from A explains, held out",
            ridge.map(|both| both[0]),
            n,
        ),
        described(
            "ridge.b_to_a",
            "Share of A's variance that a linear map from B explains, held out",
            ridge.map(|both| both[1]),
            n,
        ),
        described("cca.mean", "Mean canonical correlation", cca, n),
    ]
    .into_iter()
    .flatten()
    .collect();
    figures.extend(shape_figures(shapes, n));
    figures
}

fn shape_figures(shapes: [&Shape; 2], n: usize) -> Vec<Figure> {
    let ratio = |shape: &Shape| participation_ratio(&shape.spectrum()?);
    [
        sided(
            "norm",
            "Mean length of a vector",
            shapes.map(Shape::mean_norm),
            n,
        ),
        sided(
            "mean_cosine",
            "Mean cosine of two items",
            shapes.map(Shape::mean_pair_cosine),
            n,
        ),
        sided(
            "participation_ratio",
            "Directions that carry the variance (participation ratio)",
            shapes.map(ratio),
            n,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn cka(folds: &[Moments], all: &Moments, n: usize) -> Option<Figure> {
    let value = all.cka_debiased()?;
    let made = described("cka.debiased", "Linear CKA, debiased", Some(value), n)?;
    let error = jackknife(folds, Moments::cka_debiased).map(|(_, error)| error);
    let interval = error.map(|error| Interval {
        low: value - 1.96 * error,
        high: value + 1.96 * error,
    });
    Some(Figure {
        estimate: Estimate {
            value,
            interval: interval.unwrap_or(made.estimate.interval),
        },
        has_interval: interval.is_some(),
        chance: Some(0.0),
        ..made
    })
}

/// Whether pairs that are far in A are far in B.
fn rsa(sample: &Sample) -> Option<Figure> {
    let distances = PairDistances::cosine(&sample.a).zip(PairDistances::cosine(&sample.b));
    let value = distances.and_then(|(a, b)| a.spearman(&b));
    let made = described(
        "rsa",
        "Rank correlation of all pairs' distances (RSA)",
        value,
        sample.units.len(),
    );
    made.map(|made| Figure {
        chance: Some(0.0),
        ..made
    })
}

/// What neighbourhoods look like: how many dimensions they have, and whether a few items are near everything.
fn nearness(
    context: &Context<'_>,
    evidence: &Evidence,
    sample: &Sample,
) -> Result<Vec<Figure>, Error> {
    let lists = evidence.answers.each_ref().map(|answers| &answers.items);
    let local = lists.map(|lists| Some(two_nearest(&distances(lists))?.unbiased));
    let k = context.k().min(sample.units.len().saturating_sub(1));
    let mut skews = [None, None];
    for (skew, rows) in skews.iter_mut().zip([&sample.a, &sample.b]) {
        let scan = Scan {
            metric: Metric::Cosine,
            k,
            threads: context.settings.threads,
            skip: Some(&|query, row| query == row),
        };
        let found = nearest(rows, rows, &scan)?.into_iter();
        let lists = found.map(|list| list.iter().map(|near| near.row).collect());
        let lists: Vec<Vec<usize>> = lists.collect();
        *skew = in_degrees(&lists, k, rows.len()).and_then(|degrees| degrees.skewness);
    }
    let figures = [
        sided(
            "dimension",
            "Dimensions of a neighbourhood (TwoNN)",
            local,
            evidence.items.len(),
        ),
        sided(
            "hub_skew",
            "Skewness of how often an item is a neighbour (hubs), in a sample",
            skews,
            sample.units.len(),
        ),
    ];
    Ok(figures.into_iter().flatten().collect())
}

/// The distances on the unit sphere to the first two neighbours.
fn distances(lists: &[List]) -> Vec<(f64, f64)> {
    let distance = |list: &List, place: usize| {
        let ranked = list.get(place)?;
        Some((2.0 - 2.0 * f64::from(ranked.score)).max(0.0).sqrt())
    };
    let pairs = lists
        .iter()
        .map(|list| distance(list, 0).zip(distance(list, 1)));
    pairs.flatten().collect()
}
