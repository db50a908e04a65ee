//! Fitting adapters: on documents, chosen by what queries find, judged by other queries.

use crate::embeddings::Error;
use crate::embeddings::adapters::judgement::{Evidence, STAGES, row, units, worth};
use crate::embeddings::adapters::lists::{Asked, List, Sides};
use crate::embeddings::adapters::{AdapterError, Judgement, LearningPoint, Role, Tried};
use crate::embeddings::compare::{CompareError, Progress, Step};
use crate::embeddings::geometry::{
    LinearMap, MapKind, centred_procrustes, isotonic, procrustes, ridge_held_out,
};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::stats::mean;
use serde::{Deserialize, Serialize};
use std::ops::ControlFlow;

/// With how many pairs the learning curve is drawn.
const LEARNING: [usize; 3] = [250, 1_000, 4_000];
/// How many queries it takes to judge.
const LEAST_QUERIES: usize = 20;
/// How many of a query's answers give points of the score map.
const SCORED: usize = 20;
/// How many points the score map has, at most.
const POINTS: usize = 64;

/// Which kind of map is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KindWish {
    /// The one whose answers are best.
    #[default]
    Auto,
    /// A turn.
    Procrustes,
    /// A turn around the means.
    CentredProcrustes,
    /// Least squares with a penalty.
    Ridge,
}

impl KindWish {
    /// The kinds to try. A ridge through fewer dimensions is not among them: it loses half.
    const fn kinds(self) -> &'static [MapKind] {
        match self {
            Self::Auto => &[
                MapKind::CentredProcrustes,
                MapKind::Procrustes,
                MapKind::Ridge,
            ],
            Self::Procrustes => &[MapKind::Procrustes],
            Self::CentredProcrustes => &[MapKind::CentredProcrustes],
            Self::Ridge => &[MapKind::Ridge],
        }
    }
}

/// Vectors of the same texts on both sides, row by row.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pairs {
    /// The old model's.
    pub old: Matrix,
    /// The new model's.
    pub new: Matrix,
}

/// How to fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Which kind.
    pub kind: KindWish,
    /// What for.
    pub role: Role,
    /// The seed of what is drawn.
    pub seed: u64,
    /// How long lists of answers are.
    pub k: usize,
    /// Whether vectors on the side it maps to have length 1.
    pub is_renormalised: bool,
    /// Whether documents stand in for queries.
    pub are_queries_documents: bool,
}

/// What a fit found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The map.
    pub map: LinearMap,
    /// What it is worth.
    pub judgement: Judgement,
    /// From its scores to those of the new model.
    pub score_map: Vec<(f64, f64)>,
}

/// Fits a map. Where kinds compete, one half of the queries chooses and the other half judges; the queries
/// come in an order drawn before.
///
/// # Errors
///
/// `TooFewQueries`, `Unfit`, `Stopped`; those of reading rows.
pub fn fit(
    pairs: &Pairs,
    sides: &Sides<'_>,
    asked: &Asked,
    settings: Settings,
    progress: &mut Progress<'_>,
) -> Result<Found, Error> {
    let asked = asked.judgeable();
    let kinds = settings.kind.kinds();
    check_queries(asked.len(), Some(settings.kind))?;
    let half = if kinds.len() == 1 { 0 } else { asked.len() / 2 };
    let (choosing, judging) = (
        asked.part(&(0..asked.len()).take(half)),
        asked.part(&(0..asked.len()).skip(half)),
    );
    let mut maps = Vec::new();
    let truth = sides.reindexed(&choosing, settings.k)?;
    for (done, kind) in kinds.iter().enumerate() {
        tell(progress, "fitting", done, kinds.len())?;
        let Some(map) = settings.fit(*kind, pairs, usize::MAX) else {
            continue;
        };
        let score = settings.score(&map, sides, &choosing, &truth)?;
        maps.push((score, map));
    }
    // Of equals the first: `sort_by` keeps their order.
    maps.sort_by(|one, other| other.0.total_cmp(&one.0));
    let tried = maps.iter().map(|(score, map)| Tried {
        kind: map.kind(),
        lambda: map.lambda(),
        score: *score,
    });
    let tried: Vec<Tried> = tried.filter(|_| 1 < kinds.len()).collect();
    let Some((_, map)) = maps.into_iter().next() else {
        return Err(AdapterError::Unfit {
            pairs: pairs.old.len(),
        }
        .into());
    };
    tell(progress, "judging", 0, 0)?;
    let (judgement, score_map) = eval(&map, sides, &judging, settings)?;
    let learning = settings.learning(&map, pairs, (sides, &judging), progress)?;
    Ok(Found {
        judgement: Judgement {
            tried,
            learning,
            ..judgement
        },
        score_map,
        map,
    })
}

/// Checks that there are enough queries to judge by; where kinds compete, as many again choose.
///
/// # Errors
///
/// `TooFewQueries`.
pub(crate) fn check_queries(found: usize, competing: Option<KindWish>) -> Result<(), Error> {
    let kinds = competing.map_or(1, |kind| kind.kinds().len());
    let least = LEAST_QUERIES * kinds.min(2);
    if found < least {
        return Err(AdapterError::TooFewQueries { found, least }.into());
    }
    Ok(())
}

/// Judges a map by queries, and gives the line from its scores to the new model's.
///
/// # Errors
///
/// `TooFewQueries`; those of reading rows.
pub fn eval(
    map: &LinearMap,
    sides: &Sides<'_>,
    asked: &Asked,
    settings: Settings,
) -> Result<(Judgement, Vec<(f64, f64)>), Error> {
    let asked = &asked.judgeable();
    check_queries(asked.len(), None)?;
    let depth = STAGES.into_iter().fold(settings.k, usize::max);
    let status_quo = sides.status_quo(asked, depth)?;
    let bridge = settings.bridge(map, sides, asked, depth)?;
    let vectors = sides.new_vectors(&[&status_quo, &bridge])?;
    let evidence = Evidence {
        reindex: sides.reindexed(asked, settings.k)?,
        asked,
        status_quo,
        bridge,
        vectors,
        k: settings.k,
    };
    let judgement = Judgement {
        items: sides.common(),
        old_items: sides.old.len(),
        are_queries_documents: settings.are_queries_documents,
        ..evidence.judge()
    };
    Ok((judgement, score_map(&evidence)))
}

impl Settings {
    /// Fits one kind on the first `most` pairs, with coefficients as they are kept.
    pub(super) fn fit(&self, kind: MapKind, pairs: &Pairs, most: usize) -> Option<LinearMap> {
        let first = |rows: &Matrix| {
            let count = most.saturating_mul(rows.dimensions());
            let values = rows.values().iter().take(count).copied().collect();
            Matrix::new(rows.dimensions(), values)
        };
        let (old, new) = (first(&pairs.old)?, first(&pairs.new)?);
        let (from, to) = match self.role {
            Role::Queries => (new, old),
            Role::Documents => (old, new),
        };
        let map = match kind {
            MapKind::Procrustes => procrustes(&from, &to),
            MapKind::CentredProcrustes => centred_procrustes(&from, &to),
            MapKind::Ridge | MapKind::LowRank => ridge_held_out(&from, &to, self.seed),
        }?;
        let map = map.renormalised(self.is_renormalised);
        // Halves lose nothing that changes an answer; what is beyond them stays as it is.
        Some(map.halved().unwrap_or(map))
    }

    fn bridge(
        &self,
        map: &LinearMap,
        sides: &Sides<'_>,
        asked: &Asked,
        k: usize,
    ) -> Result<Vec<List>, Error> {
        match self.role {
            Role::Queries => {
                let mapped = map.apply(&asked.new).unwrap_or_default();
                sides.bridged_queries(&mapped, &asked.own, k)
            }
            Role::Documents => sides.bridged_documents(map, asked, k),
        }
    }

    /// What a map's answers are worth on average; 0 without queries.
    fn score(
        &self,
        map: &LinearMap,
        sides: &Sides<'_>,
        asked: &Asked,
        truth: &[List],
    ) -> Result<f64, Error> {
        if asked.len() == 0 {
            return Ok(0.0);
        }
        let lists = units(&self.bridge(map, sides, asked, self.k)?);
        Ok(mean(&worth(asked, &lists, truth, self.k)).unwrap_or(0.0))
    }

    fn learning(
        &self,
        map: &LinearMap,
        pairs: &Pairs,
        (sides, asked): (&Sides<'_>, &Asked),
        progress: &mut Progress<'_>,
    ) -> Result<Vec<LearningPoint>, Error> {
        let truth = sides.reindexed(asked, self.k)?;
        let all = pairs.old.len();
        let mut points = Vec::new();
        for count in LEARNING.into_iter().filter(|count| *count < all) {
            tell(progress, "learning", points.len(), LEARNING.len())?;
            if let Some(fitted) = self.fit(map.kind(), pairs, count) {
                let score = self.score(&fitted, sides, asked, &truth)?;
                points.push(LearningPoint {
                    pairs: count,
                    score,
                });
            }
        }
        let score = self.score(map, sides, asked, &truth)?;
        points.push(LearningPoint { pairs: all, score });
        Ok(points)
    }
}

/// Tells a step; whoever does not wait any more gets nothing.
fn tell(
    progress: &mut Progress<'_>,
    stage: &'static str,
    done: usize,
    total: usize,
) -> Result<(), Error> {
    match progress(Step { stage, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(CompareError::Stopped.into()),
    }
}

/// The line that never falls from the bridge's scores to the new model's of the same pairs, thinned.
fn score_map(evidence: &Evidence<'_>) -> Vec<(f64, f64)> {
    let mut points = Vec::new();
    for (place, list) in evidence.bridge.iter().enumerate() {
        let query = row(&evidence.asked.new, place);
        let scored = list.iter().take(SCORED).filter_map(|(unit, score)| {
            let native = evidence.vectors.score(*unit, query)?;
            Some((f64::from(*score), native))
        });
        points.extend(scored);
    }
    let line = isotonic(&points);
    if line.len() <= POINTS {
        return line;
    }
    let last = line.len() - 1;
    let places = (0..POINTS).map(|place| place * last / (POINTS - 1));
    places
        .filter_map(|place| line.get(place).copied())
        .collect()
}
