//! Where it changed: clusters of A, carried to B by the ids of their items.
//!
//! B is not clustered: two fits of the same vectors already disagree, so a comparison of two says nothing.

use super::change::Changes;
use super::draw::draw_sorted;
use super::evidence::{Context, Evidence, List};
use super::labels::{Judged, Labels};
use super::report::ClusterChange;
use super::sample::read_side;
use super::words::Words;
use crate::embeddings::Error;
use crate::embeddings::at_once::at_once;
use crate::embeddings::geometry::{Clusters, kmeans, usual_clusters};
use crate::stats::mean;

/// On how many items clusters are fitted.
const FITTED: usize = 6_000;
/// How many items are assigned at once.
const BLOCK: usize = 4_096;
/// Of how many items of a cluster the words are counted.
const READ_TEXTS: usize = 40;

/// The cluster of every unit.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    /// By unit.
    pub(super) of_unit: Vec<usize>,
    /// How many clusters there are.
    pub(super) count: usize,
}

impl Assigned {
    /// Fits clusters in A and puts every item into one.
    pub(super) fn new(context: &Context<'_>) -> Result<Self, Error> {
        let count = context.aligned.rows.len();
        let seed = context.settings.seed ^ 0xC1;
        let fitted = FITTED.min(context.settings.geometry_rows);
        let fitted = read_side(context, 0, &draw_sorted(count, fitted, seed))?;
        let clusters = kmeans(&fitted, usual_clusters(count), seed);
        drop(fitted);
        let middle = count.div_ceil(2).next_multiple_of(BLOCK).min(count);
        let (second, first) = at_once(
            || assign(context, &clusters, middle..count),
            || assign(context, &clusters, 0..middle),
        );
        let mut of_unit = first?;
        of_unit.append(&mut second?);
        Ok(Self {
            of_unit,
            count: clusters.sizes.len(),
        })
    }

    /// Returns the cluster of a unit.
    pub(super) fn of(&self, unit: usize) -> Option<usize> {
        self.of_unit.get(unit).copied()
    }
}

fn assign(
    context: &Context<'_>,
    clusters: &Clusters,
    range: std::ops::Range<usize>,
) -> Result<Vec<usize>, Error> {
    let units: Vec<usize> = range.collect();
    let mut found = Vec::with_capacity(units.len());
    for block in units.chunks(BLOCK) {
        let rows = read_side(context, 0, block)?;
        found.extend(
            clusters
                .nearest(&rows)
                .unwrap_or_else(|| vec![0; block.len()]),
        );
    }
    Ok(found)
}

/// What is known of a cluster while it is counted.
#[derive(Debug, Default, Clone)]
struct Counted {
    items: usize,
    overlaps: Vec<f64>,
    cohesion: [Vec<f64>; 2],
    differences: Vec<f64>,
}

/// Returns what became of each cluster, those that changed most first.
pub(super) fn changes(
    context: &Context<'_>,
    evidence: &Evidence,
    items: &Changes,
    labels: &Labels,
    assigned: &Assigned,
) -> Result<Vec<ClusterChange>, Error> {
    let mut counted = vec![Counted::default(); assigned.count];
    for cluster in &assigned.of_unit {
        if let Some(counted) = counted.get_mut(*cluster) {
            counted.items += 1;
        }
    }
    let k = context.k();
    let [a, b] = &evidence.answers;
    let asked = evidence.items.iter().zip(items.overlap_at(k));
    for ((unit, overlap), lists) in asked.zip(a.items.iter().zip(&b.items)) {
        let cluster = assigned.of(*unit);
        if let Some((cluster, counted)) =
            cluster.and_then(|cluster| Some((cluster, counted.get_mut(cluster)?)))
        {
            counted.overlaps.push(*overlap);
            for (shares, list) in counted.cohesion.iter_mut().zip([lists.0, lists.1]) {
                shares.push(cohesion(list, k, cluster, assigned));
            }
        }
    }
    for judged in &labels.judged {
        let cluster = main_answer(judged).and_then(|unit| assigned.of(unit));
        if let Some(counted) = cluster.and_then(|cluster| counted.get_mut(cluster)) {
            let [before, after] = judged.ndcg();
            counted.differences.push(after - before);
        }
    }
    let words = words(context, assigned)?;
    let clusters = counted.into_iter().zip(words).enumerate();
    let mut found: Vec<ClusterChange> = clusters
        .filter(|(_, (counted, _))| 0 < counted.items)
        .map(|(cluster, (counted, words))| counted.into_change(cluster, words))
        .collect();
    found.sort_by(|one, other| {
        let least = |change: &ClusterChange| change.overlap.unwrap_or(2.0);
        let by_overlap = least(one).total_cmp(&least(other));
        by_overlap.then(one.cluster.cmp(&other.cluster))
    });
    Ok(found)
}

impl Counted {
    fn into_change(self, cluster: usize, words: Vec<String>) -> ClusterChange {
        let [a, b] = self.cohesion.map(|shares| mean(&shares));
        ClusterChange {
            cluster,
            words,
            items: self.items,
            overlap: mean(&self.overlaps),
            cohesion: a.zip(b).map(|(a, b)| [a, b]),
            ndcg_delta: mean(&self.differences),
            queries: self.differences.len(),
        }
    }
}

/// The share of the first `k` that are of a cluster.
fn cohesion(list: &List, k: usize, cluster: usize, assigned: &Assigned) -> f64 {
    let first = list.iter().take(k);
    let inside = first.filter(|ranked| assigned.of(ranked.unit) == Some(cluster));
    inside.count() as f64 / k as f64
}

/// The best answer of a query; of equally good ones the first.
fn main_answer(judged: &Judged) -> Option<usize> {
    let grades = judged.grades.iter();
    let best = grades.max_by(|one, other| one.1.total_cmp(other.1).then(other.0.cmp(one.0)));
    best.map(|(unit, _)| *unit)
}

fn words(context: &Context<'_>, assigned: &Assigned) -> Result<Vec<Vec<String>>, Error> {
    let mut words = Words::new(assigned.count);
    if !context.settings.is_showing_texts {
        return Ok(words.typical());
    }
    let mut read = vec![0; assigned.count];
    for (cluster, rows) in assigned.of_unit.iter().zip(&context.aligned.rows) {
        let Some(count) = read.get_mut(*cluster).filter(|count| **count < READ_TEXTS) else {
            continue;
        };
        *count += 1;
        if let Some(text) = (context.sides[0].text)(rows[0])? {
            words.add(*cluster, &text);
        }
    }
    Ok(words.typical())
}
