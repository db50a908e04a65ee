//! Examples of what is new, in groups that belong together, and what each is nearest to of the known.

use crate::embeddings::drift::detect::{NEIGHBOUR, picked};
use crate::embeddings::drift::words::telling_words;
use crate::embeddings::geometry::{kmeans, usual_clusters};
use crate::embeddings::{Matrix, Rows as _};
use serde::{Deserialize, Serialize};

/// The most rows that are put into groups.
const MOST_ROWS: usize = 300;
/// The most groups that are told.
const MOST_GROUPS: usize = 5;
/// The examples of a group.
const MOST_EXAMPLES: usize = 5;
/// The words of a group.
const MOST_WORDS: usize = 4;
/// The longest example, in characters.
const LONGEST: usize = 200;

/// Texts that belong together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// How many texts of the new region are in it.
    pub texts: usize,
    /// Its own words.
    pub words: Vec<String>,
    /// Its beginnings, the newest kind first.
    pub examples: Vec<String>,
    /// The texts' rows in the window, all of them.
    pub rows: Vec<usize>,
    /// What it is nearest to of what was known.
    pub nearest: Option<KnownTopic>,
}

/// A topic of the reference.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KnownTopic {
    /// Its words.
    pub words: Vec<String>,
    /// The cosine between its centre and the group's.
    pub similarity: f64,
}

/// A window or a reference: vectors and their texts, where those are kept.
#[derive(Debug, Clone, Copy)]
pub struct Told<'a> {
    /// The vectors.
    pub rows: &'a Matrix,
    /// The text of each row; empty where none is kept.
    pub texts: &'a [String],
}

/// Returns the groups of the new rows, the largest first.
///
/// Rows are joined by single linkage where they are at least as near as rows of the region mostly are to their
/// neighbours.
#[must_use]
pub fn groups(reference: Told<'_>, current: Told<'_>, new: &[usize], seed: u64) -> Vec<Group> {
    let new = new.get(..MOST_ROWS.min(new.len())).unwrap_or_default();
    let Some(units) = picked(current.rows, new).map(|rows| unit(&rows)) else {
        return Vec::new();
    };
    let mut members = linked(&units);
    // Stable: of equal groups the one with the newest row is first.
    members.sort_by_key(|group| std::cmp::Reverse(group.len()));
    members.truncate(MOST_GROUPS);
    let topics = Topics::of(reference, seed);
    let known: Vec<&str> = reference.texts.iter().map(String::as_str).collect();
    members
        .into_iter()
        .map(|members| {
            let rows: Vec<usize> = members
                .iter()
                .filter_map(|place| new.get(*place).copied())
                .collect();
            let own = texts_of(current, |row| rows.contains(&row));
            let mut others = texts_of(current, |row| !rows.contains(&row));
            others.extend(&known);
            let centre = centre(&units, &members);
            let first = rows.iter().filter_map(|row| current.texts.get(*row));
            Group {
                texts: rows.len(),
                words: telling_words(&own, &others, &known, MOST_WORDS),
                examples: first.take(MOST_EXAMPLES).map(|text| short(text)).collect(),
                nearest: topics.nearest(&centre, reference),
                rows,
            }
        })
        .collect()
}

/// The beginning of a text, on one line.
pub(super) fn short(text: &str) -> String {
    let plain = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if plain.chars().count() <= LONGEST {
        return plain;
    }
    let start: String = plain.chars().take(LONGEST - 1).collect();
    format!("{start}…")
}

fn texts_of<'a>(told: Told<'a>, is_in: impl Fn(usize) -> bool) -> Vec<&'a str> {
    let texts = told.texts.iter().enumerate();
    texts
        .filter(|(row, _)| is_in(*row))
        .map(|(_, text)| text.as_str())
        .collect()
}

/// Rows at length 1; a zero row stays as it is.
fn unit(rows: &Matrix) -> Vec<Vec<f64>> {
    let size = rows.dimensions().max(1);
    let rows = rows.values().chunks_exact(size);
    rows.map(|row| scaled(row.iter().copied().map(f64::from).collect()))
        .collect()
}

fn scaled(mut row: Vec<f64>) -> Vec<f64> {
    let norm = dot(&row, &row).sqrt();
    if 0.0 < norm {
        for value in &mut row {
            *value /= norm;
        }
    }
    row
}

fn dot(one: &[f64], other: &[f64]) -> f64 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// The places of the rows in groups, in the order of their first.
fn linked(rows: &[Vec<f64>]) -> Vec<Vec<usize>> {
    let likeness: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| rows.iter().map(|other| dot(row, other)).collect())
        .collect();
    let least = usual_likeness(&likeness);
    let mut is_taken = vec![false; rows.len()];
    let mut groups = Vec::new();
    for first in 0..rows.len() {
        let mut group = Vec::new();
        let mut waiting = vec![first];
        while let Some(place) = waiting.pop() {
            let Some(taken) = is_taken.get_mut(place).filter(|taken| !**taken) else {
                continue;
            };
            *taken = true;
            group.push(place);
            let near = likeness.get(place).into_iter().flatten().enumerate();
            waiting.extend(near.filter(|(_, value)| least <= **value).map(|(at, _)| at));
        }
        if !group.is_empty() {
            group.sort_unstable();
            groups.push(group);
        }
    }
    groups
}

/// The median likeness of a row and its k-th neighbour among the rows.
fn usual_likeness(likeness: &[Vec<f64>]) -> f64 {
    let place = NEIGHBOUR.min(likeness.len() / 4).max(1);
    let each = likeness.iter().filter_map(|row| {
        let mut row = row.clone();
        row.sort_by(|one, other| other.total_cmp(one));
        // The first is the row itself.
        row.get(place).copied()
    });
    let values: Vec<f64> = each.collect();
    crate::stats::quantile(&values, 0.5).unwrap_or(1.0)
}

fn centre(units: &[Vec<f64>], members: &[usize]) -> Vec<f64> {
    let mut sum = vec![0.0; units.first().map_or(0, Vec::len)];
    for row in members.iter().filter_map(|place| units.get(*place)) {
        for (sum, value) in sum.iter_mut().zip(row) {
            *sum += value;
        }
    }
    scaled(sum)
}

/// What the reference is about.
struct Topics {
    labels: Vec<usize>,
    centres: Vec<Vec<f64>>,
}

impl Topics {
    fn of(reference: Told<'_>, seed: u64) -> Self {
        let many = usual_clusters(reference.rows.len());
        let clusters = kmeans(reference.rows, many, seed);
        Self {
            labels: clusters.labels,
            centres: unit(&clusters.centres),
        }
    }

    fn nearest(&self, centre: &[f64], reference: Told<'_>) -> Option<KnownTopic> {
        let each = self.centres.iter().map(|known| dot(known, centre));
        let (topic, similarity) = each
            .enumerate()
            .max_by(|one, other| one.1.total_cmp(&other.1))?;
        let is_in = |row: usize| self.labels.get(row) == Some(&topic);
        let own = texts_of(reference, is_in);
        let others = texts_of(reference, |row| !is_in(row));
        Some(KnownTopic {
            words: telling_words(&own, &others, &others, MOST_WORDS),
            similarity,
        })
    }
}
