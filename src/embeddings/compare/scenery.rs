//! What is shown beside the figures: geometry, scores, clusters, and a picture.

use super::change::Changes;
use super::clusters::{Assigned, changes};
use super::descriptors;
use super::draw::cosine;
use super::evidence::{Context, Evidence, List};
use super::gather::{Progress, report};
use super::labels::Labels;
use super::report::{ClusterChange, Density, Figure, ProjectedItem, Projection, ScorePair};
use super::sample::{Sample, read};
use super::tables::Shown;
use crate::embeddings::Error;
use crate::embeddings::at_once::at_once;
use crate::embeddings::geometry::{isotonic, pca_plane, quantiles};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::stats::Random;

/// How many items pairs and pictures are made of.
const SAMPLED: usize = 1_500;
/// How many pairs of each kind the scatter shows.
const PAIRS: usize = 400;
/// How many items the picture shows.
const POINTS: usize = 600;
/// How many bins a density has, from -1 to 1.
const BINS: usize = 40;

/// Everything that is shown and not decided by.
#[derive(Debug, Default)]
pub(super) struct Scenery {
    pub(super) figures: Vec<Figure>,
    pub(super) scatter: Vec<ScorePair>,
    pub(super) scatter_line: Vec<(f64, f64)>,
    pub(super) densities: Vec<Density>,
    pub(super) clusters: Vec<ClusterChange>,
    pub(super) projection: Projection,
    pub(super) notes: Vec<String>,
}

impl Scenery {
    /// Looks at it; across two chunkers only at scores, for no item of one is an item of the other.
    pub(super) fn new(
        context: &Context<'_>,
        evidence: &Evidence,
        items: &Changes,
        labels: &Labels,
        progress: &mut Progress<'_>,
    ) -> Result<Self, Error> {
        let mut found = Self {
            densities: answers(context, evidence),
            ..Self::default()
        };
        if context.aligned.rows.is_empty() {
            found.notes.push(
                "geometry, items and clusters are not compared across two chunkers".to_owned(),
            );
            return Ok(found);
        }
        report(progress, "geometry", 0, 1)?;
        let seed = context.settings.seed;
        let most = context.settings.geometry_rows;
        let sample = Sample::new(context, SAMPLED.min(most), seed ^ 0x5A)?;
        let (assigned, geometry) = at_once(
            || Assigned::new(context),
            || descriptors::figures(context, evidence, &sample),
        );
        let (figures, notes) = geometry?;
        found.figures = figures;
        found.notes.extend(notes);
        let rows = context.aligned.count;
        if context.settings.geometry_rows < rows {
            found.notes.push(format!(
                "geometry is of {} drawn items of {rows}; of {} for distances of pairs",
                context.settings.geometry_rows,
                sample.units.len()
            ));
        }
        found.add_pairs(context, evidence, &sample)?;
        report(progress, "clusters", 0, 1)?;
        let assigned = assigned?;
        found.clusters = changes(context, evidence, items, labels, &assigned)?;
        found.projection = projection(context, &sample, &assigned)?;
        Ok(found)
    }

    /// Scores of neighbours and of pairs drawn at random.
    fn add_pairs(
        &mut self,
        context: &Context<'_>,
        evidence: &Evidence,
        sample: &Sample,
    ) -> Result<(), Error> {
        let near = near_pairs(context, evidence)?;
        let drawn = random_pairs(sample, context.settings.seed, SAMPLED);
        for side in 0..2 {
            let scores = drawn
                .iter()
                .map(|pair| if side == 0 { pair.a } else { pair.b });
            self.densities
                .extend(density("random", side, &scores.collect::<Vec<_>>()));
        }
        self.scatter = near;
        self.scatter.extend(drawn.into_iter().take(PAIRS));
        let points: Vec<(f64, f64)> = self.scatter.iter().map(|pair| (pair.a, pair.b)).collect();
        self.scatter_line = isotonic(&points);
        Ok(())
    }
}

/// Densities of the scores of first answers and of all first k, of queries or else of items.
fn answers(context: &Context<'_>, evidence: &Evidence) -> Vec<Density> {
    let mut densities = Vec::new();
    for (name, length) in [("top1", 1), ("topk", context.k())] {
        for (side, answers) in evidence.answers.iter().enumerate() {
            let lists = if answers.queries.is_empty() {
                &answers.items
            } else {
                &answers.queries
            };
            let first = |list: &List| -> Vec<f64> {
                list.iter()
                    .take(length)
                    .map(|ranked| f64::from(ranked.score))
                    .collect()
            };
            let scores: Vec<f64> = lists.iter().flat_map(first).collect();
            densities.extend(density(name, side, &scores));
        }
    }
    densities
}

fn density(of: &str, side: usize, scores: &[f64]) -> Option<Density> {
    let marks = quantiles(scores, &[0.05, 0.25, 0.5, 0.75, 0.95])?;
    let mut counts = vec![0_usize; BINS];
    for score in scores {
        let place = (score + 1.0) / 2.0 * BINS as f64;
        let bin = (1..BINS).take_while(|bin| *bin as f64 <= place).count();
        if let Some(count) = counts.get_mut(bin) {
            *count += 1;
        }
    }
    let all = scores.len() as f64;
    Some(Density {
        of: of.to_owned(),
        side,
        quantiles: marks.try_into().ok()?,
        shares: counts.into_iter().map(|count| count as f64 / all).collect(),
    })
}

/// Pairs of an item and a neighbour it has in A, each time one of the next rank.
fn near_pairs(context: &Context<'_>, evidence: &Evidence) -> Result<Vec<ScorePair>, Error> {
    let k = context.k();
    let lists = evidence
        .items
        .iter()
        .zip(&evidence.answers[0].items)
        .take(PAIRS);
    let pairs = lists.enumerate().filter_map(|(place, (unit, list))| {
        let near = list.get(place % k)?;
        Some([*unit, near.unit])
    });
    let units: Vec<usize> = pairs.flatten().collect();
    let [a, b] = read(context, &units)?;
    let pair =
        |place: usize, rows: &Matrix| Some(cosine(rows.row(2 * place)?, rows.row(2 * place + 1)?));
    let pairs = (0..units.len() / 2).filter_map(|place| {
        Some(ScorePair {
            a: pair(place, &a)?,
            b: pair(place, &b)?,
            is_near: true,
        })
    });
    Ok(pairs.collect())
}

fn random_pairs(sample: &Sample, seed: u64, count: usize) -> Vec<ScorePair> {
    let mut random = Random::from_seed(seed ^ 0x9A);
    let rows = sample.units.len();
    let pairs = (0..count).filter_map(|_| {
        let one = random.below(rows);
        let other = (one + 1 + random.below(rows.saturating_sub(1))) % rows.max(1);
        let score = |side: &Matrix| Some(cosine(side.row(one)?, side.row(other)?));
        Some(ScorePair {
            a: score(&sample.a)?,
            b: score(&sample.b)?,
            is_near: false,
        })
    });
    pairs.collect()
}

/// Where items are on a plane.
fn projection(
    context: &Context<'_>,
    sample: &Sample,
    assigned: &Assigned,
) -> Result<Projection, Error> {
    let Some(plane) = pca_plane(&sample.a, &sample.b) else {
        return Ok(Projection::default());
    };
    let shown = Shown::new(context);
    let step = sample.a.len().div_ceil(POINTS).max(1);
    let all = sample.units.iter().zip(plane.a.iter().zip(&plane.b));
    let points = all.step_by(step).map(|(unit, (a, b))| {
        let row = context.aligned.rows.get(*unit).map_or(0, |rows| rows[0]);
        let id = context.sides[0].ids.get(row);
        Ok(ProjectedItem {
            id: id.map_or(String::new(), |id| (*id).to_owned()),
            text: shown.text(0, row)?,
            a: *a,
            b: *b,
            cluster: assigned.of(*unit).unwrap_or_default(),
        })
    });
    Ok(Projection {
        shown: plane.shown,
        points: points.collect::<Result<_, Error>>()?,
    })
}
