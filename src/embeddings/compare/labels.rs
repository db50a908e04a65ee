//! How good answers are by labels: the only evidence of better and worse.
//!
//! Both sides answer the same queries, so differences are taken query by query, where the hardness of a
//! query is in both and cancels.

use super::align::Targets;
use super::evidence::{Context, Evidence, List};
use super::figures::{exactly, figure};
use super::interval::{of_spread, unseen};
use super::joint::Joint;
use super::report::{Fate, Figure, FigureGroup};
use crate::embeddings::ranking::{average_precision, hit, ndcg, recall, reciprocal_rank};
use crate::stats::{
    Errors, Estimate, Interval, Pairs, detectable_mean_difference, holm, mean, variance,
};
use std::collections::HashMap;

/// How many figures there are of a list.
const MEASURES: usize = 5;
/// The place of nDCG among them.
const NDCG: usize = 0;
/// The place of the hit rate, which is yes or no.
const HIT: usize = 3;

/// A query whose answers somebody has judged.
#[derive(Debug, Clone)]
pub(super) struct Judged {
    /// Its place among the queries asked.
    pub(super) place: usize,
    /// What answers it, and how well.
    pub(super) grades: HashMap<usize, f64>,
    /// What A's and B's lists are worth.
    worth: [[f64; MEASURES]; 2],
    /// The first rank of something relevant in A and B, from 1.
    pub(super) first: [Option<usize>; 2],
    /// Whether relevant answers came or went.
    pub(super) fate: Fate,
}

impl Judged {
    /// Returns nDCG@k in A and B.
    pub(super) fn ndcg(&self) -> [f64; 2] {
        self.worth.map(|worth| worth[NDCG])
    }
}

/// All queries with labels, and what could not be used.
#[derive(Debug, Clone, Default)]
pub(super) struct Labels {
    /// The queries.
    pub(super) judged: Vec<Judged>,
    /// How many labels point at nothing that is compared.
    pub(super) lost: usize,
}

/// Differences B - A, query by query, as what is said of their mean needs them.
struct Differences<'a> {
    values: &'a [f64],
    mean: f64,
    /// Queries on which B wins, loses, ties.
    win_loss_tie: [usize; 3],
    /// What may be unseen at either end.
    unseen: f64,
}

impl<'a> Differences<'a> {
    fn new(values: &'a [f64], confidence: f64) -> Option<Self> {
        let count = |is: fn(f64) -> bool| values.iter().filter(|value| is(**value)).count();
        let (won, lost) = (count(|value| 1e-12 < value), count(|value| value < -1e-12));
        Some(Self {
            values,
            mean: mean(values)?,
            win_loss_tie: [won, lost, values.len() - won - lost],
            unseen: unseen(values.len(), won + lost, confidence),
        })
    }

    /// The interval of the mean: the bootstrap's, wider where the queries are few, or few of them changed.
    fn interval(&self, bootstrap: Interval, confidence: f64) -> Interval {
        let spread = of_spread(self.values, confidence, Some(bootstrap));
        let spread = spread.unwrap_or(exactly(self.mean).interval);
        let interval = Interval {
            low: spread.low.min(self.mean - self.unseen),
            high: spread.high.max(self.mean + self.unseen),
        };
        interval.clamped(-1.0, 1.0)
    }

    /// The smallest difference that so many queries find; `None` when they would find none.
    fn detectable(&self) -> Option<f64> {
        let count = self.values.len();
        let spread = variance(self.values).unwrap_or_default();
        // A mean that may be off by so much has at least this spread.
        let hidden = (self.unseen / 1.96).powi(2) * count as f64;
        let least =
            detectable_mean_difference(count as u64, spread.max(hidden), Errors::default())?;
        (least <= 1.0).then_some(least)
    }
}

impl Labels {
    /// Judges both sides' answers.
    pub(super) fn new(context: &Context<'_>, evidence: &Evidence, targets: &Targets<'_>) -> Self {
        let mut labels = Self::default();
        let Some(queries) = context.queries else {
            return labels;
        };
        let [a, b] = &evidence.answers;
        let asked = evidence
            .queries
            .iter()
            .zip(a.queries.iter().zip(&b.queries));
        for (place, ((query, _), (a, b))) in asked.enumerate() {
            let Some(query) = queries.list.get(*query) else {
                continue;
            };
            let (grades, lost) = targets.grades(&query.relevant);
            labels.lost += lost;
            if grades.is_empty() {
                continue;
            }
            let k = context.k();
            let firsts = [a, b].map(|list| {
                let place = list
                    .iter()
                    .position(|ranked| grades.contains_key(&ranked.unit));
                place.map(|place| place + 1)
            });
            let worth = [a, b].map(|list| worth(list, &grades, k));
            labels.judged.push(Judged {
                place,
                worth,
                first: firsts,
                fate: fate(firsts, k),
                grades,
            });
        }
        labels
    }

    /// Returns nDCG@k of lists of the judged queries, which stand in the order of all queries asked.
    pub(super) fn ndcg_of(&self, lists: &[List], k: usize) -> Vec<f64> {
        let judged = self.judged.iter();
        let values = judged.map(|judged| {
            let list = lists.get(judged.place);
            list.map_or(0.0, |list| worth(list, &judged.grades, k)[NDCG])
        });
        values.collect()
    }

    fn column(&self, measure: usize, of: impl Fn([f64; 2]) -> f64) -> Vec<f64> {
        let judged = self.judged.iter().map(|judged| {
            judged
                .worth
                .map(|worth| worth.get(measure).copied().unwrap_or_default())
        });
        judged.map(of).collect()
    }

    fn pairs(&self) -> Pairs {
        let count = |fate: Fate| self.judged.iter().filter(|one| one.fate == fate).count() as u64;
        Pairs {
            regressed: count(Fate::Lost),
            improved: count(Fate::Gained),
            total: self.judged.len() as u64,
        }
    }

    /// Returns the figures; none without labels.
    pub(super) fn figures(&self, context: &Context<'_>) -> Vec<Figure> {
        let settings = context.settings;
        let columns: Vec<Vec<f64>> = (0..MEASURES)
            .map(|measure| self.column(measure, |[a, b]| b - a))
            .collect();
        let Some(joint) = Joint::new(&columns) else {
            return Vec::new();
        };
        let intervals = joint.bootstrap(settings.resamples, settings.confidence, settings.seed);
        let chances = joint.sign_flips(settings.resamples, settings.seed);
        let (Some(intervals), Some(mut chances)) = (intervals, chances) else {
            return Vec::new();
        };
        let pairs = self.pairs();
        if let Some(chance) = chances.get_mut(HIT) {
            *chance = pairs.mcnemar_exact().unwrap_or(*chance);
        }
        let adjusted = holm(&chances).unwrap_or(chances);
        let k = context.k();
        let mut figures = Vec::new();
        for (measure, values) in columns.iter().enumerate() {
            let found = (intervals.get(measure), adjusted.get(measure));
            let differences = Differences::new(values, settings.confidence);
            if let ((Some(bootstrap), Some(chance)), Some(differences)) = (found, differences) {
                let by_spread = || differences.interval(*bootstrap, settings.confidence);
                let tango = (measure == HIT).then(|| pairs.tango(settings.confidence));
                let interval = tango.flatten().unwrap_or_else(by_spread);
                let figure = self.figure(measure, k, &differences, interval);
                figures.extend(figure.map(|figure| Figure {
                    p_value: Some(*chance),
                    ..figure
                }));
            }
        }
        figures.extend(self.fates(pairs));
        figures
    }

    /// Returns the variance of the differences of nDCG; `None` with fewer than two judged queries.
    pub(super) fn spread(&self) -> Option<f64> {
        variance(&self.column(NDCG, |[a, b]| b - a))
    }

    fn figure(
        &self,
        measure: usize,
        k: usize,
        differences: &Differences<'_>,
        interval: Interval,
    ) -> Option<Figure> {
        let (name, title) = name(measure, k);
        let a = mean(&self.column(measure, |[a, _]| a))?;
        let b = mean(&self.column(measure, |[_, b]| b))?;
        Some(Figure {
            estimate: Estimate {
                value: differences.mean,
                interval,
            },
            has_interval: true,
            sides: Some([a, b]),
            n: differences.values.len(),
            win_loss_tie: Some(differences.win_loss_tie),
            detectable: differences.detectable(),
            ..figure(format!("label.{name}.delta"), title, FigureGroup::Labels)
        })
    }

    /// How many queries lose all their relevant answers, and how many gain some.
    fn fates(&self, pairs: Pairs) -> [Figure; 2] {
        [
            ("label.lost", "lose all relevant answers", pairs.regressed),
            ("label.gained", "gain a relevant answer", pairs.improved),
        ]
        .map(|(id, what, count)| Figure {
            estimate: exactly(count as f64),
            n: self.judged.len(),
            ..figure(id, format!("Queries that {what}"), FigureGroup::Labels)
        })
    }
}

fn name(measure: usize, k: usize) -> (String, String) {
    match measure {
        NDCG => (format!("ndcg@{k}"), format!("nDCG@{k}")),
        1 => (format!("recall@{k}"), format!("Recall@{k}")),
        2 => (
            format!("mrr@{k}"),
            format!("Mean reciprocal rank, first {k}"),
        ),
        HIT => (
            format!("hit@{k}"),
            format!("Queries answered in the first {k}"),
        ),
        _ => ("map".to_owned(), "Mean average precision".to_owned()),
    }
}

fn worth(list: &List, relevant: &HashMap<usize, f64>, k: usize) -> [f64; MEASURES] {
    let grades = list
        .iter()
        .map(|ranked| relevant.get(&ranked.unit).copied().unwrap_or(0.0));
    let grades: Vec<f64> = grades.collect();
    let mut ideal: Vec<f64> = relevant.values().copied().collect();
    // The order of a map is no order: sums would differ in their last bits.
    ideal.sort_unstable_by(|one, other| other.total_cmp(one));
    [
        ndcg(&grades, &ideal, k).unwrap_or_default(),
        recall(&grades, ideal.len(), k).unwrap_or_default(),
        reciprocal_rank(&grades, k),
        f64::from(hit(&grades, k)),
        average_precision(&grades, ideal.len(), grades.len()).unwrap_or_default(),
    ]
}

fn fate(firsts: [Option<usize>; 2], k: usize) -> Fate {
    let is_in = |first: Option<usize>| first.is_some_and(|rank| rank <= k);
    match firsts.map(is_in) {
        [true, false] => Fate::Lost,
        [false, true] => Fate::Gained,
        _ => Fate::Kept,
    }
}
