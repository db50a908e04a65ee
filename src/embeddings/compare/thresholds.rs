//! Which score in B lets through as much as a score in A: a threshold that stays where it was lets
//! through something else, even after a good change.

use super::evidence::{Evidence, List};
use super::labels::Labels;
use super::report::Threshold;
use crate::embeddings::geometry::{EqualRate, equal_rate};

/// How many resamples of the queries stand behind an interval.
const RESAMPLES: usize = 200;
/// With fewer rows than this in steps of 0.05, the steps are of 0.01.
const FEWEST_ROWS: usize = 5;
/// A threshold that lets through more than this share of everything is none.
const MOST_PASSING: f64 = 0.5;

/// Which scores of B stand for scores of A, and how far down that is known.
#[derive(Debug, Default)]
pub(super) struct ThresholdMap {
    pub(super) rows: Vec<Threshold>,
    /// Why it ends where it does.
    pub(super) notes: Vec<String>,
}

/// Scores of one side, query by query.
struct Scores {
    lists: Vec<Vec<f32>>,
    /// Below this, some lists end before their scores do; -1 where none does.
    floor: f64,
    /// The length of the shortest list that ends so.
    shortest: usize,
}

impl Scores {
    fn new(lists: &[List], base: usize) -> Self {
        let scores = |list: &List| list.iter().map(|ranked| ranked.score).collect();
        let ending = || lists.iter().filter(|list| list.len() + 1 < base);
        let ends = ending().filter_map(|list| list.last());
        Self {
            floor: ends.map(|last| f64::from(last.score)).fold(-1.0, f64::max),
            shortest: ending().map(Vec::len).min().unwrap_or_default(),
            lists: lists.iter().map(scores).collect(),
        }
    }
}

/// Returns the map, from the highest threshold down to where the lists still see everything; empty without
/// queries.
pub(super) fn map(evidence: &Evidence, labels: &Labels, base: usize, seed: u64) -> ThresholdMap {
    let [a, b] = &evidence.answers;
    let (in_a, in_b) = (Scores::new(&a.deep, base), Scores::new(&b.deep, base));
    if in_a.lists.is_empty() {
        return ThresholdMap::default();
    }
    let most = MOST_PASSING * base as f64;
    let rows = rows(&in_a, &in_b, most, seed)
        .into_iter()
        .filter_map(|row| {
            let b = row.b?;
            Some(Threshold {
                a: row.a,
                b,
                b_interval: row.b_interval?,
                per_query: row.per_query,
                per_query_unchanged: row.per_query_unchanged,
                has_more_unchanged: row.a <= in_b.floor,
                hits: hits(evidence, labels, [row.a, row.a, b]),
            })
        });
    let rows: Vec<Threshold> = rows.collect();
    ThresholdMap {
        notes: notes(&rows, &in_a, &in_b),
        rows,
    }
}

/// Where the map ends and its counts do, when that is for the length of lists.
fn notes(rows: &[Threshold], in_a: &Scores, in_b: &Scores) -> Vec<String> {
    let mut notes = Vec::new();
    if rows.is_empty() {
        notes.push(
            "there is no threshold map: no threshold has pairs of six queries above it within their lists"
                .to_owned(),
        );
    }
    let ending = [in_a, in_b].into_iter().filter(|side| -1.0 < side.floor);
    let shortest = ending.map(|side| side.shortest).min();
    if let (Some(last), Some(shortest)) = (rows.last(), shortest) {
        notes.push(format!(
            "the threshold map ends at {:.2}: below it more may pass for a query than its list of {shortest} answers holds \
             (fewer queries have longer lists)",
            last.a
        ));
    }
    if 1 < rows.len() {
        notes.push(
            "intervals of the threshold map are at 95 % each: of twenty, one may miss".to_owned(),
        );
    }
    if let Some(first) = rows.iter().find(|row| row.has_more_unchanged) {
        notes.push(format!(
            "from {:.2} down, more answers of B pass unchanged than its lists of {} hold: these counts are the least",
            first.a, in_b.shortest
        ));
    }
    notes
}

/// Thresholds in A that both sides' lists reach down to, in the coarser steps that give enough of them; at most so
/// many pairs of a query above each.
fn rows(in_a: &Scores, in_b: &Scores, most: f64, seed: u64) -> Vec<EqualRate> {
    let mut rows = Vec::new();
    for step in [5_u32, 1] {
        let starts = (1..100).rev().filter(|hundredth| hundredth % step == 0);
        let starts = starts.map(|hundredth| f64::from(hundredth) / 100.0);
        let starts: Vec<f64> = starts
            .filter(|start| in_a.floor < *start && passing(&in_a.lists, *start) <= most)
            .collect();
        let found = equal_rate(&in_a.lists, &in_b.lists, &starts, RESAMPLES, seed);
        rows = found.unwrap_or_default();
        rows.retain(|row| row.b_interval.is_some() && row.b.is_some_and(|b| in_b.floor < b));
        if FEWEST_ROWS <= rows.len() {
            break;
        }
    }
    rows
}

/// How many scores of a query reach a threshold, in the mean.
fn passing(lists: &[Vec<f32>], threshold: f64) -> f64 {
    let passing = lists
        .iter()
        .map(|list| list.partition_point(|score| threshold <= f64::from(*score)));
    passing.sum::<usize>() as f64 / lists.len() as f64
}

/// The shares of labelled queries with something relevant above a score in A, in B, in B.
fn hits(evidence: &Evidence, labels: &Labels, least: [f64; 3]) -> Option<[f64; 3]> {
    let [a, b] = &evidence.answers;
    let share = |lists: &[List], least: f64| {
        let judged = labels.judged.iter();
        let hits = judged.filter(|judged| {
            let list = lists.get(judged.place).map_or(&[][..], Vec::as_slice);
            let mut above = list
                .iter()
                .take_while(|ranked| least <= f64::from(ranked.score));
            above.any(|ranked| judged.grades.contains_key(&ranked.unit))
        });
        hits.count() as f64 / labels.judged.len() as f64
    };
    let [in_a, unchanged, mapped] = least;
    (!labels.judged.is_empty()).then(|| {
        [
            share(&a.deep, in_a),
            share(&b.deep, unchanged),
            share(&b.deep, mapped),
        ]
    })
}

#[cfg(test)]
mod tests {
    use super::map;
    use crate::embeddings::compare::evidence::{Answers, Evidence, List, Ranked};
    use crate::embeddings::compare::labels::Labels;

    fn answers(scores: [f32; 4]) -> Answers {
        let list: List = (0..)
            .zip(scores)
            .map(|(unit, score)| Ranked {
                unit,
                row: unit,
                score,
            })
            .collect();
        Answers {
            deep: vec![list; 8],
            ..Answers::default()
        }
    }

    #[test]
    fn where_lists_end_counts_are_the_least() {
        let evidence = Evidence {
            answers: [
                answers([0.91, 0.81, 0.71, 0.31]),
                answers([0.95, 0.92, 0.85, 0.61]),
            ],
            ..Evidence::default()
        };
        let found = map(&evidence, &Labels::default(), 1_000, 1);
        let row = |a: f64| {
            let rows = found.rows.iter();
            let mut near = rows.filter(|row| (row.a - a).abs() < 1e-9);
            near.next().cloned()
        };
        let [high, low] = [0.65, 0.5].map(|a| row(a).unwrap());
        assert!(!high.has_more_unchanged && low.has_more_unchanged);
        assert!((high.per_query_unchanged - 3.0).abs() < 1e-9, "{high:?}");
        assert!((low.b - 0.85).abs() < 1e-6, "{low:?}");
        assert_eq!(row(0.3), None, "below it A's lists end");
        let notes = found.notes.join("\n");
        assert!(notes.contains("ends at 0.35"), "{notes}");
        assert!(notes.contains("from 0.60 down"), "{notes}");
        // Of the whole base nothing is missing.
        let whole = map(&evidence, &Labels::default(), 5, 1);
        let each = "intervals of the threshold map are at 95 % each: of twenty, one may miss";
        assert_eq!(whole.notes, [each]);
        assert!(whole.rows.iter().all(|row| !row.has_more_unchanged));
    }

    #[test]
    fn a_threshold_of_few_queries_is_none() {
        let mut evidence = Evidence {
            answers: [
                answers([0.91, 0.81, 0.71, 0.31]),
                answers([0.95, 0.92, 0.85, 0.61]),
            ],
            ..Evidence::default()
        };
        for answers in &mut evidence.answers {
            answers.deep.truncate(5);
        }
        let found = map(&evidence, &Labels::default(), 1_000, 1);
        assert_eq!(found.rows, []);
        assert!(found.notes[0].contains("no threshold has pairs of six queries"));
    }
}
