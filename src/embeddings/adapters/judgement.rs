//! What an adapter is worth, beside doing nothing and beside paying for a new index.

use crate::embeddings::adapters::lists::{Asked, List, NewVectors};
use crate::embeddings::geometry::MapKind;
use crate::embeddings::ranking::{ndcg, overlap};
use crate::embeddings::rows::Matrix;
use crate::stats::{Estimate, Interval, mean, ratio_of_means, t_interval};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

/// How sure intervals are.
const CONFIDENCE: f64 = 0.95;
/// How many candidates the first stage of a cascade hands on.
pub(super) const STAGES: [usize; 4] = [20, 50, 100, 200];
/// Below which share of the new model's own answers an adapter is refused.
pub const LEAST_AGREEMENT: f64 = 0.2;

/// What answers are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JudgedBy {
    /// Labels, by nDCG.
    Labels,
    /// The answers of the new model over the new index, by overlap: closeness to them, not quality.
    NewAnswers,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Advice {
    /// Queries should stay with the old model: the bridge is no better.
    KeepOldModel,
    /// The bridge is better than what is there today.
    Bridge,
    /// It seems better, but chance may account for it, or nobody has said which answers are right.
    CannotDecide,
}

/// A kind of map that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tried {
    /// The kind.
    pub kind: MapKind,
    /// The penalty of a ridge.
    pub lambda: Option<f64>,
    /// What its answers are worth on the queries that choose, 0 to 1.
    pub score: f64,
}

/// What fewer pairs are worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LearningPoint {
    /// On how many pairs it was fitted.
    pub pairs: usize,
    /// What its answers are worth, 0 to 1.
    pub score: f64,
}

/// What a cascade gives: the old index finds candidates, the new model puts them in order.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cascade {
    /// How many candidates.
    pub candidates: usize,
    /// With candidates found through the adapter.
    pub adapted: Estimate,
    /// With candidates found by queries of the old model: no adapter is needed.
    pub adapter_free: Estimate,
    /// `adapted` as a part of a new index.
    pub adapted_of_reindex: Option<f64>,
    /// `adapter_free` as a part of a new index.
    pub adapter_free_of_reindex: Option<f64>,
}

/// What an adapter is worth.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// By what.
    pub judged_by: JudgedBy,
    /// How long lists of answers are.
    pub k: usize,
    /// By how many queries, none of which chose it.
    pub queries: usize,
    /// Among how many items: those that both indexes have.
    pub items: usize,
    /// How many the old index has.
    pub old_items: usize,
    /// Whether documents stood in for queries.
    pub are_queries_documents: bool,
    /// Old queries over the old index.
    pub status_quo: Estimate,
    /// New queries over the old index, through the adapter.
    pub bridge: Estimate,
    /// New queries over the new index.
    pub reindex: Estimate,
    /// bridge − status quo, query by query.
    pub bridge_gain: Estimate,
    /// reindex − status quo, query by query.
    pub reindex_gain: Estimate,
    /// bridge / status quo; `None` when the status quo is worth nothing.
    pub bridge_advantage: Option<Estimate>,
    /// bridge / reindex.
    pub bridge_of_reindex: Option<Estimate>,
    /// Which part of the new model's own answers the bridge gives.
    pub agreement: Estimate,
    /// What follows.
    pub advice: Advice,
    /// The same in a sentence.
    pub verdict: String,
    /// Cascades.
    pub cascades: Vec<Cascade>,
    /// The kinds that were tried, the best first; empty when one was asked for.
    pub tried: Vec<Tried>,
    /// What fewer pairs are worth.
    pub learning: Vec<LearningPoint>,
    /// Why it should not be kept.
    pub refusal: Option<String>,
}

/// Everything that queries found.
pub(super) struct Evidence<'a> {
    pub(super) asked: &'a Asked,
    pub(super) status_quo: Vec<List>,
    pub(super) bridge: Vec<List>,
    pub(super) reindex: Vec<List>,
    pub(super) vectors: NewVectors,
    pub(super) k: usize,
}

/// What lists are worth, query by query.
pub(super) fn worth(asked: &Asked, lists: &[Vec<usize>], truth: &[List], k: usize) -> Vec<f64> {
    let has_labels = asked.has_labels();
    let both = lists.iter().zip(truth).enumerate();
    let worth = both.map(|(place, (list, truth))| {
        if has_labels {
            let grades = asked.grades.get(place);
            return grades.map_or(0.0, |grades| graded(list, grades, k));
        }
        agreed(list, truth, k)
    });
    worth.collect()
}

fn graded(list: &[usize], grades: &HashMap<usize, f64>, k: usize) -> f64 {
    let found = list.iter().take(k);
    let found: Vec<f64> = found
        .map(|unit| grades.get(unit).copied().unwrap_or(0.0))
        .collect();
    let ideal: Vec<f64> = grades.values().copied().collect();
    ndcg(&found, &ideal, k).unwrap_or(0.0)
}

fn agreed(list: &[usize], truth: &[(usize, f32)], k: usize) -> f64 {
    let truth: Vec<usize> = truth.iter().take(k).map(|(unit, _)| *unit).collect();
    let list: Vec<usize> = list.iter().take(k).copied().collect();
    overlap(&list, &truth, k.min(truth.len().max(1)))
}

pub(super) fn units(lists: &[List]) -> Vec<Vec<usize>> {
    let units = lists
        .iter()
        .map(|list| list.iter().map(|(unit, _)| *unit).collect());
    units.collect()
}

/// A mean with its interval, within these bounds.
fn estimate(values: &[f64], low: f64) -> Estimate {
    let value = mean(values).unwrap_or(0.0);
    let point = Interval {
        low: value,
        high: value,
    };
    Estimate {
        value,
        interval: t_interval(values, CONFIDENCE)
            .unwrap_or(point)
            .clamped(low, 1.0),
    }
}

fn differences(after: &[f64], before: &[f64]) -> Vec<f64> {
    let pairs = after.iter().zip(before);
    pairs.map(|(after, before)| after - before).collect()
}

impl Evidence<'_> {
    /// Judges; among which items, what chose and what fewer pairs give comes from the caller.
    pub(super) fn judge(&self) -> Judgement {
        let k = self.k;
        let score = |lists: &[Vec<usize>]| worth(self.asked, lists, &self.reindex, k);
        let status_quo = score(&units(&self.status_quo));
        let bridged = units(&self.bridge);
        let bridge = score(&bridged);
        let reindex = score(&units(&self.reindex));
        let agreement = bridged.iter().zip(&self.reindex);
        let agreement = agreement.map(|(list, truth)| agreed(list, truth, k));
        let agreement = estimate(&agreement.collect::<Vec<_>>(), 0.0);
        let advantage = ratio_of_means(&bridge, &status_quo, CONFIDENCE);
        let gain = estimate(&differences(&bridge, &status_quo), -1.0);
        let judged_by = if self.asked.has_labels() {
            JudgedBy::Labels
        } else {
            JudgedBy::NewAnswers
        };
        let advice = advice(advantage, gain, judged_by);
        Judgement {
            judged_by,
            k,
            queries: self.asked.len(),
            items: 0,
            old_items: 0,
            are_queries_documents: false,
            bridge_gain: gain,
            reindex_gain: estimate(&differences(&reindex, &status_quo), -1.0),
            bridge_advantage: advantage,
            bridge_of_reindex: ratio_of_means(&bridge, &reindex, CONFIDENCE),
            advice,
            verdict: verdict(advice, advantage, judged_by),
            cascades: self.cascades(&reindex),
            refusal: refusal((agreement, k), advantage, judged_by),
            status_quo: estimate(&status_quo, 0.0),
            bridge: estimate(&bridge, 0.0),
            reindex: estimate(&reindex, 0.0),
            agreement,
            tried: Vec::new(),
            learning: Vec::new(),
        }
    }

    fn cascades(&self, reindex: &[f64]) -> Vec<Cascade> {
        let whole = mean(reindex).filter(|whole| 0.0 < *whole);
        let of = |estimate: Estimate| whole.map(|whole| estimate.value / whole);
        let stages = STAGES.into_iter().map(|candidates| {
            let adapted = self.reranked(&self.bridge, candidates);
            let adapter_free = self.reranked(&self.status_quo, candidates);
            Cascade {
                candidates,
                adapted,
                adapter_free,
                adapted_of_reindex: of(adapted),
                adapter_free_of_reindex: of(adapter_free),
            }
        });
        stages.collect()
    }

    fn reranked(&self, lists: &[List], candidates: usize) -> Estimate {
        let all = lists.iter().enumerate();
        let lists = all.map(|(place, list)| {
            let query = row(&self.asked.new, place);
            self.vectors.reranked(list, candidates, query)
        });
        let lists: Vec<Vec<usize>> = lists.collect();
        estimate(&worth(self.asked, &lists, &self.reindex, self.k), 0.0)
    }
}

pub(super) fn row(matrix: &Matrix, place: usize) -> &[f32] {
    matrix.row(place).unwrap_or_default()
}

/// Nothing is better than today by default: who does nothing risks nothing. Only labels say what is better;
/// without them a bridge that comes no nearer to the new model than today's answers is of no use all the same.
fn advice(advantage: Option<Estimate>, gain: Estimate, judged_by: JudgedBy) -> Advice {
    let (value, low, same) = match advantage {
        Some(advantage) => (advantage.value, advantage.interval.low, 1.0),
        None => (gain.value, gain.interval.low, 0.0),
    };
    if value <= same {
        Advice::KeepOldModel
    } else if low <= same || judged_by == JudgedBy::NewAnswers {
        Advice::CannotDecide
    } else {
        Advice::Bridge
    }
}

fn verdict(advice: Advice, advantage: Option<Estimate>, judged_by: JudgedBy) -> String {
    let times = advantage.map_or_else(String::new, |times| {
        let Interval { low, high } = times.interval;
        format!(" {:.3} [{low:.3}, {high:.3}] times", times.value)
    });
    match advice {
        Advice::KeepOldModel if judged_by == JudgedBy::NewAnswers => format!(
            "keep the old model for queries: through the adapter answers come{times} as near to the new model's as today's do"
        ),
        Advice::CannotDecide if judged_by == JudgedBy::NewAnswers => format!(
            "cannot decide: through the adapter answers come{times} as near to the new model's as today's do, but only labels say which are better; until then keep the old model for queries"
        ),
        Advice::KeepOldModel => format!(
            "keep the old model for queries: through the adapter answers are worth{times} what they are today (by labels)"
        ),
        Advice::Bridge => format!(
            "the bridge is better than today: answers are worth{times} what they are (by labels)"
        ),
        Advice::CannotDecide => format!(
            "cannot decide: through the adapter answers are worth{times} what they are today (by labels); more queries would tell, until then keep the old model for queries"
        ),
    }
}

/// An adapter that hardly gives what the new model would is not worth keeping, and neither is one of which labels
/// say for certain that doing nothing is better.
fn refusal(
    (agreement, k): (Estimate, usize),
    advantage: Option<Estimate>,
    judged_by: JudgedBy,
) -> Option<String> {
    if agreement.value < LEAST_AGREEMENT {
        return Some(format!(
            "of the new model's first {k} answers the adapter gives {:.1} %, and it takes {:.0} %",
            100.0 * agreement.value,
            100.0 * LEAST_AGREEMENT
        ));
    }
    let worse = advantage.filter(|times| times.interval.high < 1.0)?;
    let Interval { low, high } = worse.interval;
    (judged_by == JudgedBy::Labels).then(|| {
        format!(
            "by labels its answers are worth {:.3} [{low:.3}, {high:.3}] times those without it",
            worse.value
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Advice, JudgedBy, advice, refusal};
    use crate::stats::{Estimate, Interval};

    fn estimate(value: f64, low: f64, high: f64) -> Estimate {
        Estimate {
            value,
            interval: Interval { low, high },
        }
    }

    #[test]
    fn what_is_certainly_worse_by_labels_is_refused() {
        let close = estimate(0.236, 0.2, 0.27);
        for (agreement, advantage, by_labels, by_answers) in [
            (close, Some(estimate(0.51, 0.44, 0.59)), true, false),
            (close, Some(estimate(0.95, 0.89, 1.01)), false, false),
            (close, None, false, false),
            (estimate(0.1, 0.0, 0.2), None, true, true),
        ] {
            let found = [JudgedBy::Labels, JudgedBy::NewAnswers]
                .map(|judged_by| refusal((agreement, 10), advantage, judged_by).is_some());
            assert_eq!(
                found,
                [by_labels, by_answers],
                "{agreement:?} {advantage:?}"
            );
        }
        let told = refusal(
            (close, 10),
            Some(estimate(0.51, 0.44, 0.59)),
            JudgedBy::Labels,
        );
        assert!(told.unwrap().contains("0.510 [0.440, 0.590] times"));
    }

    #[test]
    fn only_labels_say_that_a_bridge_is_better() {
        let none = estimate(0.0, 0.0, 0.0);
        for (advantage, by_labels, by_answers) in [
            (
                estimate(1.2, 1.1, 1.3),
                Advice::Bridge,
                Advice::CannotDecide,
            ),
            (
                estimate(1.2, 0.9, 1.5),
                Advice::CannotDecide,
                Advice::CannotDecide,
            ),
            (
                estimate(1.0, 0.9, 1.1),
                Advice::KeepOldModel,
                Advice::KeepOldModel,
            ),
        ] {
            let found = [JudgedBy::Labels, JudgedBy::NewAnswers]
                .map(|judged_by| advice(Some(advantage), none, judged_by));
            assert_eq!(found, [by_labels, by_answers]);
        }
    }
}
