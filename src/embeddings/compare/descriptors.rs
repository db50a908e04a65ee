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
use crate::embeddings::at_once::at_once;
use crate::embeddings::geometry::{
    HoldOut, Moments, PairNulls, Shape, cca_chance, in_degrees, in_own_span, jackknife, pair_nulls,
    participation_ratio, procrustes_chance, rsa as rank_correlation, two_nearest,
};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::search::{Metric, Scan, nearest};
use crate::stats::{Estimate, Interval, mean};

/// Into how many parts the rows are dealt: one judges, one chooses, the others fit.
const FOLDS: usize = 4;
/// In how many random orders B's rows stand for the chance of scores over pairs.
const ORDERS: usize = 100;
/// The same for a score of all singular values, which hardly varies: the less, the more there are.
const FEW_ORDERS: u64 = 3;
/// Beyond so many dimensions, where each order takes a second and more, one order says it.
const MANY_DIMENSIONS: usize = 1_000;
/// How many rows are read at once.
const BLOCK: usize = 4_096;

/// Returns the figures, and how their chance came about.
pub(super) fn figures(
    context: &Context<'_>,
    evidence: &Evidence,
    sample: &Sample,
) -> Result<(Vec<Figure>, Vec<String>), Error> {
    let count = context.settings.geometry_rows.max(FOLDS);
    let units = draw_sorted(
        context.aligned.rows.len(),
        count,
        context.settings.seed ^ 0x60,
    );
    let folds = folds(context, &units)?;
    let nulls = || pair_nulls(&sample.a, &sample.b, ORDERS, context.settings.seed ^ 0x4E);
    let (nulls, mut figures) = at_once(nulls, || likeness(folds, units.len()));
    figures.extend(rsa(sample, nulls.as_ref()));
    figures.extend(nearness(context, evidence, sample)?);
    let mut notes = Vec::new();
    if let Some(nulls) = nulls {
        let seed = context.settings.seed ^ 0x4F;
        hold_against_chance(&mut figures, &nulls, sample, seed);
        notes.push(chance_in_words(&nulls, sample, units.len()));
    }
    Ok((figures, notes))
}

/// Writes beside the scores what they are when B's rows stand in random orders.
fn hold_against_chance(figures: &mut [Figure], nulls: &PairNulls, sample: &Sample, seed: u64) {
    for figure in figures {
        let dimensions = [&sample.a, &sample.b].map(|side| side.dimensions());
        figure.chance = match figure.id.as_str() {
            "cka.debiased" => Some(nulls.cka.mean),
            "rsa" => Some(nulls.rsa.mean),
            "procrustes" => {
                let orders = few_orders(dimensions);
                procrustes_chance(&sample.a, &sample.b, (orders, seed), figure.n)
            }
            "cca.mean" => cca_chance(dimensions, figure.n),
            // Held out: what is learnt of unrelated rows explains nothing of others.
            "ridge.a_to_b" | "ridge.b_to_a" => Some(0.0),
            _ => figure.chance,
        };
    }
}

fn few_orders(dimensions: [usize; 2]) -> u64 {
    if dimensions.into_iter().min() > Some(MANY_DIMENSIONS) {
        1
    } else {
        FEW_ORDERS
    }
}

fn chance_in_words(nulls: &PairNulls, sample: &Sample, rows: usize) -> String {
    let orders = few_orders([&sample.a, &sample.b].map(|side| side.dimensions()));
    let orders = if orders == 1 {
        "one order".to_owned()
    } else {
        format!("{orders} orders")
    };
    format!(
        "chance of geometry: B's rows in {ORDERS} random orders among {} items, of which 95 % stay below {:.4} \
         (`cka.debiased`) and {:.4} (`rsa`); `procrustes` by {orders}, brought to {rows} items by \
         their root; `cca.mean` by Wachter's law",
        sample.units.len(),
        nulls.cka.high,
        nulls.rsa.high
    )
}

/// Adds up rows in folds; those of few rows in the space they span, for no figure leaves it.
fn folds(context: &Context<'_>, units: &[usize]) -> Result<Vec<Moments>, Error> {
    let [a, b] = context.sides.map(|side| side.rows.dimensions());
    if units.len() < a.max(b) {
        let [rows_a, rows_b] = read(context, units)?;
        let (rows_a, rows_b) = (in_own_span(&rows_a), in_own_span(&rows_b));
        let mut folds = empty_folds(rows_a.dimensions(), rows_b.dimensions());
        deal(&mut folds, &rows_a, &rows_b);
        return Ok(folds);
    }
    let mut folds = empty_folds(a, b);
    for block in units.chunks(BLOCK) {
        let [rows_a, rows_b] = read(context, block)?;
        deal(&mut folds, &rows_a, &rows_b);
    }
    Ok(folds)
}

fn empty_folds(a: usize, b: usize) -> Vec<Moments> {
    (0..FOLDS).map(|_| Moments::new(a, b)).collect()
}

/// Deals rows to folds, on two threads; rows next to each other go to different ones.
fn deal(folds: &mut [Moments], a: &Matrix, b: &Matrix) {
    let (first, second) = folds.split_at_mut(FOLDS / 2);
    at_once(
        || add_to(first, 0, a, b),
        || add_to(second, FOLDS / 2, a, b),
    );
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
    let own = vectors.skip(start).step_by(FOLDS);
    let mut values = Vec::with_capacity(own.len() * rows.dimensions());
    own.for_each(|vector| values.extend_from_slice(vector));
    values
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

fn likeness(folds: Vec<Moments>, n: usize) -> Vec<Figure> {
    let error = jackknife(&folds, Moments::cka_debiased).map(|(_, error)| error);
    let Some(held_out) = HoldOut::of(folds) else {
        return Vec::new();
    };
    let ridge = held_out.ridge_r2();
    let Some(all) = held_out.whole() else {
        return Vec::new();
    };
    let shapes = [all.a(), all.b()];
    let cca = all.cca().and_then(|correlations| mean(&correlations));
    let mut figures: Vec<Figure> = [
        cka(&all, error, n),
        described(
            "procrustes",
            "Procrustes similarity",
            all.procrustes_similarity(),
            n,
        ),
        described(
            "ridge.a_to_b",
            "Variance of B that a map of A explains",
            ridge.map(|both| both[0]),
            n,
        ),
        described(
            "ridge.b_to_a",
            "Variance of A that a map of B explains",
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
            "Effective dimensions (participation ratio)",
            shapes.map(ratio),
            n,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn cka(all: &Moments, error: Option<f64>, n: usize) -> Option<Figure> {
    let value = all.cka_debiased()?;
    let made = described("cka.debiased", "Linear CKA, debiased", Some(value), n)?;
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
        ..made
    })
}

/// Whether pairs that are far in A are far in B.
fn rsa(sample: &Sample, nulls: Option<&PairNulls>) -> Option<Figure> {
    let again = || rank_correlation(&sample.a, &sample.b);
    described(
        "rsa",
        "Rank correlation of distances (RSA)",
        nulls.map_or_else(again, |nulls| Some(nulls.rsa.score)),
        sample.units.len(),
    )
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
            "Hubs: skewness of being a neighbour",
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
