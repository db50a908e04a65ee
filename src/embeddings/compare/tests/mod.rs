//! Whole comparisons of small snapshots.

mod alignment;
mod references;
mod stopping;
mod verdicts;

use super::report::{ComparisonReport, Figure, SnapshotFacts};
use super::{Queries, Query, QuerySource, Relevant, Settings, Subject, Target, compare};
use crate::embeddings::{Error, Matrix, Rows as _, SnapshotId, Space, Span, TextHash};
use crate::stats::Random;
use std::ops::ControlFlow;

/// A snapshot in memory.
struct Side {
    facts: SnapshotFacts,
    ids: Vec<String>,
    texts: Vec<String>,
    spans: Vec<Option<Span>>,
    rows: Matrix,
}

impl Side {
    /// Items `item-0`, `item-1`, … with these vectors.
    fn new(name: &str, model: &str, rows: Matrix) -> Self {
        let space: Space = serde_json::from_value(serde_json::json!({ "model": model })).unwrap();
        let count = rows.len();
        let ids: Vec<String> = (0..count).map(|row| format!("item-{row}")).collect();
        Self {
            facts: SnapshotFacts {
                name: name.to_owned(),
                id: SnapshotId(format!("snap-{name}")),
                space_id: space.id(),
                space,
                pipeline_id: "pipe-1".to_owned(),
                items: count,
                dimensions: rows.dimensions(),
                precision: "f32".to_owned(),
            },
            texts: ids.iter().map(|id| format!("the text of {id}")).collect(),
            ids,
            spans: Vec::new(),
            rows,
        }
    }
}

/// What a test asks two sides.
#[derive(Default)]
struct Asked {
    list: Vec<Query>,
    a: Matrix,
    b: Matrix,
}

fn run(a: &Side, b: &Side, asked: &Asked, settings: &Settings) -> Result<ComparisonReport, Error> {
    let pipeline = serde_json::json!({});
    let [ids_a, ids_b] = [a, b].map(|side| side.ids.iter().map(String::as_str).collect::<Vec<_>>());
    let [hashes_a, hashes_b] = [a, b].map(|side| {
        side.texts
            .iter()
            .map(|text| TextHash::of(text))
            .collect::<Vec<_>>()
    });
    let text_a = |row: usize| Ok(a.texts.get(row).cloned());
    let text_b = |row: usize| Ok(b.texts.get(row).cloned());
    let subject = |side, ids, hashes, text| Subject::<'_> {
        ids,
        hashes,
        text,
        ..bare(side, &pipeline)
    };
    let a = subject(a, &ids_a, &hashes_a, &text_a);
    let b = subject(b, &ids_b, &hashes_b, &text_b);
    let queries = Queries {
        list: &asked.list,
        a: &asked.a,
        b: &asked.b,
        from: QuerySource::File,
        told: None,
    };
    let queries = (!asked.list.is_empty()).then_some(&queries);
    compare([&a, &b], queries, settings, &mut |_| {
        ControlFlow::Continue(())
    })
}

fn bare<'a>(side: &'a Side, pipeline: &'a serde_json::Value) -> Subject<'a> {
    Subject {
        facts: &side.facts,
        pipeline,
        ids: &[],
        hashes: &[],
        spans: &side.spans,
        rows: &side.rows,
        text: &|_| Ok(None),
        truncated: None,
        noise: None,
        noise_counts: None,
    }
}

/// Few resamples: tests are run unoptimised.
fn quick() -> Settings {
    Settings {
        resamples: 400,
        geometry_rows: 100,
        ..Settings::default()
    }
}

/// Unit vectors around `clusters` directions.
fn clustered(count: usize, dimensions: usize, clusters: usize, seed: u64) -> Matrix {
    let mut random = Random::from_seed(seed);
    let mut normal = move || (0..6).map(|_| random.share() - 0.5).sum::<f64>();
    let centres: Vec<f64> = (0..clusters * dimensions).map(|_| normal()).collect();
    let mut values = Vec::new();
    for row in 0..count {
        let centre = &centres[row % clusters * dimensions..][..dimensions];
        let vector: Vec<f64> = centre.iter().map(|value| value + 0.6 * normal()).collect();
        values.extend(unit(&vector));
    }
    Matrix::new(dimensions, values).unwrap()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "vectors are kept in single precision"
)]
fn unit(vector: &[f64]) -> impl Iterator<Item = f32> {
    let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    vector.iter().map(move |value| (value / length) as f32)
}

/// The same rows, each value changed.
fn changed(rows: &Matrix, mut change: impl FnMut(usize, f64) -> f64) -> Matrix {
    let dimensions = rows.dimensions();
    let mut values = Vec::new();
    for row in rows.values().chunks(dimensions) {
        let vector = row
            .iter()
            .enumerate()
            .map(|(place, value)| change(place, f64::from(*value)));
        values.extend(unit(&vector.collect::<Vec<_>>()));
    }
    Matrix::new(dimensions, values).unwrap()
}

/// Noise on every value.
fn noisy(rows: &Matrix, size: f64, seed: u64) -> Matrix {
    let mut random = Random::from_seed(seed);
    changed(rows, |_, value| value + size * (random.share() - 0.5))
}

/// The first rows.
fn head(rows: &Matrix, count: usize) -> Matrix {
    let values = rows.values()[..count * rows.dimensions()].to_vec();
    Matrix::new(rows.dimensions(), values).unwrap()
}

/// Queries whose answers are the given items.
fn labelled(answers: &[usize], a: Matrix, b: Matrix) -> Asked {
    let query = |(place, item): (usize, &usize)| Query {
        id: format!("q{place}"),
        text: Some(format!("question {place}")),
        relevant: vec![Relevant {
            target: Target::Item(format!("item-{item}")),
            grade: 1.0,
        }],
        item: None,
    };
    Asked {
        list: answers.iter().enumerate().map(query).collect(),
        a,
        b,
    }
}

fn find<'a>(report: &'a ComparisonReport, id: &str) -> &'a Figure {
    let found = report.figures.iter().find(|figure| figure.id == id);
    found.unwrap_or_else(|| {
        let ids: Vec<&str> = report
            .figures
            .iter()
            .map(|figure| figure.id.as_str())
            .collect();
        panic!("no {id} among {ids:?}")
    })
}
