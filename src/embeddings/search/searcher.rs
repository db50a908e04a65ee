//! Choosing how to search, and saying how it was done.
//!
//! A walk looks at some rows in any order, a scan at all that may be found, one after the other. The walk
//! is chosen when it is expected to be done sooner and its measured recall is what was asked for; else the
//! scan, which is never wrong.

use crate::embeddings::search::{Index, Keep, Metric, Neighbour, Recall, Scan, nearest};
use crate::embeddings::{self, Matrix, Rows};
use serde::{Deserialize, Serialize};

/// How much longer a walk takes over a row than a scan: it jumps through memory.
const WALK_COST: usize = 2;
/// Of how many rows it is asked whether they may be found, to tell how many may.
const ASKED: usize = 512;

/// Why a search is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// It was asked for.
    Asked,
    /// There are so few rows that a scan is as fast.
    FewRows,
    /// There is no index of these rows.
    NoIndex,
    /// A product is no distance, and the graph needs one.
    NoGraphForDot,
    /// The index does not find enough of what there is.
    RecallNotReached,
    /// So few rows may be found that a walk would mostly meet others.
    FewKept,
    /// So many rows are wanted that a walk would see most of them anyway.
    ManyWanted,
}

/// How a search was done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// By looking at every row that may be found.
    Exact(Why),
    /// By a walk through a graph.
    Graph {
        /// How many candidates it kept.
        effort: usize,
        /// The share of the true nearest ten that was found with that effort or less, when the index was
        /// made.
        recall: f64,
    },
}

/// What was found, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The nearest rows, the nearest first.
    pub neighbours: Vec<Neighbour>,
    /// How they were found.
    pub chosen: Chosen,
}

/// Searches rows, with an index of them where there is one.
#[derive(Clone, Copy)]
pub struct Searcher<'a> {
    /// The rows.
    pub base: &'a dyn Rows,
    /// An index of them.
    pub index: Option<&'a Index>,
    /// What is near.
    pub metric: Metric,
    /// How many threads a scan may take.
    pub threads: usize,
}

impl std::fmt::Debug for Searcher<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Searcher")
            .field("rows", &self.base.len())
            .field("index", &self.index.is_some())
            .field("metric", &self.metric)
            .finish_non_exhaustive()
    }
}

impl Searcher<'_> {
    /// Returns the nearest `k` rows to a query among those to keep, and how they were found.
    ///
    /// # Errors
    ///
    /// `Dimensions` when the query's length is not that of the rows; what reading the rows gives.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        keep: Option<&Keep<'_>>,
    ) -> Result<Answer, embeddings::Error> {
        let chosen = self.choose(k, keep);
        let neighbours = match (chosen, self.index) {
            (Chosen::Graph { effort, .. }, Some(index)) => index.search(query, k, effort, keep)?,
            _ => self.scan(query, k, keep)?,
        };
        Ok(Answer { neighbours, chosen })
    }

    /// Returns how a search would be done.
    #[must_use]
    pub fn choose(&self, k: usize, keep: Option<&Keep<'_>>) -> Chosen {
        let rows = self.base.len();
        if self.metric == Metric::Dot {
            return Chosen::Exact(Why::NoGraphForDot);
        }
        let fits = |index: &&Index| index.len() == rows && index.settings().metric == self.metric;
        let Some(index) = self.index.filter(fits) else {
            return Chosen::Exact(Why::NoIndex);
        };
        if rows < index.settings().least_rows {
            return Chosen::Exact(Why::FewRows);
        }
        let Some(measured) = index.effort() else {
            return Chosen::Exact(Why::RecallNotReached);
        };
        let effort = measured.effort.max(64).max(k.saturating_mul(2));
        let kept = keep.map_or(rows, |keep| count_kept(keep, rows));
        // To keep `effort` rows that may be found, a walk passes `rows / kept` times as many.
        let walk = effort
            .saturating_mul(index.settings().links)
            .saturating_mul(WALK_COST);
        if walk.saturating_mul(rows) < kept.saturating_mul(kept) {
            let at = |at: &&Recall| at.effort <= effort;
            let recall = index.recall().iter().rfind(at);
            let recall = recall.unwrap_or(&measured).share();
            Chosen::Graph { effort, recall }
        } else if walk < rows {
            Chosen::Exact(Why::FewKept)
        } else {
            Chosen::Exact(Why::ManyWanted)
        }
    }

    fn scan(
        &self,
        query: &[f32],
        k: usize,
        keep: Option<&Keep<'_>>,
    ) -> Result<Vec<Neighbour>, embeddings::Error> {
        let queries = Matrix::new(query.len(), query.to_vec()).unwrap_or_default();
        let deleted = |row: usize| self.index.is_some_and(|index| index.is_deleted(row));
        let listed: Vec<usize>;
        let rows = match keep {
            None => None,
            Some(Keep::Rows(rows)) => Some(*rows),
            Some(Keep::If(is_kept)) => {
                listed = (0..self.base.len()).filter(|row| is_kept(*row)).collect();
                Some(listed.as_slice())
            }
        };
        let number = |row: usize| rows.map_or(Some(row), |rows| rows.get(row).copied());
        let skip = |_: usize, row: usize| number(row).is_none_or(deleted);
        let scan = Scan {
            metric: self.metric,
            k,
            threads: self.threads,
            skip: Some(&skip),
        };
        let found = match rows {
            None => nearest(self.base, &queries, &scan)?,
            Some(rows) => {
                let base = self.base;
                nearest(&Selected { base, rows }, &queries, &scan)?
            }
        };
        let found = found.into_iter().flatten().filter_map(|neighbour| {
            let row = number(neighbour.row)?;
            Some(Neighbour { row, ..neighbour })
        });
        Ok(found.collect())
    }
}

/// Returns about how many of so many rows may be found.
fn count_kept(keep: &Keep<'_>, rows: usize) -> usize {
    match keep {
        Keep::Rows(kept) => kept.len(),
        Keep::If(is_kept) => {
            let apart = rows.div_ceil(ASKED).max(1);
            let kept = (0..rows).step_by(apart).filter(|row| is_kept(*row)).count();
            kept * apart
        }
    }
}

/// Some of the rows, by their numbers in ascending order.
struct Selected<'a> {
    base: &'a dyn Rows,
    rows: &'a [usize],
}

impl Rows for Selected<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn dimensions(&self) -> usize {
        self.base.dimensions()
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), embeddings::Error> {
        let width = self.base.dimensions();
        let count = into.len().checked_div(width).unwrap_or(0);
        let rows = self.rows.get(first..first.saturating_add(count));
        let rows = rows.ok_or(embeddings::Error::NoSuchRow { row: first })?;
        let mut rest = into;
        // Rows that follow one another are read at once.
        for run in rows.chunk_by(|row, next| row + 1 == *next) {
            let (now, later) = rest.split_at_mut(run.len() * width);
            if let Some(row) = run.first() {
                if row.saturating_add(run.len()) > self.base.len() {
                    return Err(embeddings::Error::NoSuchRow { row: *row });
                }
                self.base.read(*row, now)?;
            }
            rest = later;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Chosen, Searcher, Why};
    use crate::embeddings::search::samples::clustered;
    use crate::embeddings::search::{Built, Index, Keep, Metric, Scan, Settings, nearest};
    use crate::embeddings::{Matrix, Rows};

    const SETTINGS: Settings = Settings {
        metric: Metric::Cosine,
        links: 4,
        effort: 12,
        threads: 1,
        wanted_recall: 0.5,
        least_rows: 100,
    };

    fn index(base: &Matrix, settings: &Settings) -> Index {
        match Index::build(base, None, settings).unwrap() {
            Built::Graph(index) => *index,
            Built::Exact(why) => panic!("no index: {why:?}"),
        }
    }

    #[test]
    fn the_choice_follows_its_rule() {
        let base = clustered(1_200, 4, 1);
        let index = index(&base, &SETTINGS);
        let with = Searcher {
            base: &base,
            index: Some(&index),
            metric: Metric::Cosine,
            threads: 1,
        };
        let half: Vec<usize> = (0..1_200).step_by(2).collect();
        let is_most = |row: usize| !row.is_multiple_of(10);
        let is_few = |row: usize| row.is_multiple_of(100);
        // A walk costs 64 · 4 · 2 = 512 rows, divided by the share that is kept.
        for (k, keep, expected) in [
            (10, None, None),
            (10, Some(Keep::If(&is_most)), None),
            (10, Some(Keep::If(&is_few)), Some(Why::FewKept)),
            (10, Some(Keep::Rows(&half)), Some(Why::FewKept)),
            (10, Some(Keep::Rows(&half[..9])), Some(Why::FewKept)),
            (600, None, Some(Why::ManyWanted)),
        ] {
            let chosen = with.choose(k, keep.as_ref());
            match (chosen, expected) {
                (Chosen::Exact(why), Some(expected)) => assert_eq!(why, expected, "{k} {keep:?}"),
                (Chosen::Graph { effort, recall }, None) => {
                    assert_eq!(effort, 64);
                    assert!((0.5..=1.0).contains(&recall));
                }
                other => panic!("{k} {keep:?}: {other:?}"),
            }
        }
        let chosen = |searcher: Searcher<'_>| searcher.choose(10, None);
        let none = Searcher {
            index: None,
            ..with
        };
        assert_eq!(chosen(none), Chosen::Exact(Why::NoIndex));
        let dot = Searcher {
            metric: Metric::Dot,
            ..with
        };
        assert_eq!(chosen(dot), Chosen::Exact(Why::NoGraphForDot));
        let other = Searcher {
            metric: Metric::Euclidean,
            ..with
        };
        assert_eq!(chosen(other), Chosen::Exact(Why::NoIndex));
        let mut strict = index.clone();
        strict.settings.wanted_recall = 1.1;
        let strict = Searcher {
            index: Some(&strict),
            ..with
        };
        assert_eq!(chosen(strict), Chosen::Exact(Why::RecallNotReached));
        let mut many = index.clone();
        many.settings.least_rows = 5_000;
        let few = Searcher {
            index: Some(&many),
            ..with
        };
        assert_eq!(chosen(few), Chosen::Exact(Why::FewRows));
    }

    #[test]
    fn an_exact_answer_is_that_of_the_scan_over_what_is_kept() {
        let base = clustered(300, 4, 2);
        let mut index = index(&base, &SETTINGS);
        index.delete(6);
        let queries = clustered(3, 4, 3);
        let searcher = Searcher {
            base: &base,
            index: Some(&index),
            metric: Metric::Dot,
            threads: 2,
        };
        let kept: Vec<usize> = (0..300).filter(|row| row % 4 != 1).collect();
        let is_kept = |row: usize| row % 4 != 1;
        for keep in [None, Some(Keep::Rows(&kept)), Some(Keep::If(&is_kept))] {
            let skip =
                |_: usize, row: usize| row == 6 || keep.as_ref().is_some_and(|keep| !keep.has(row));
            let metric = Metric::Dot;
            let scan = Scan {
                metric,
                skip: Some(&skip),
                ..Scan::new(20)
            };
            let expected = nearest(&base, &queries, &scan).unwrap();
            for (query, expected) in queries.values().chunks(4).zip(expected) {
                let answer = searcher.search(query, 20, keep.as_ref()).unwrap();
                assert_eq!(answer.neighbours, expected, "{keep:?}");
                assert_eq!(answer.chosen, Chosen::Exact(Why::NoGraphForDot));
            }
        }
        let wrong = searcher.search(&[1.0; 4], 3, Some(&Keep::Rows(&[2, 300])));
        assert!(wrong.is_err());
        assert_eq!(base.len(), 300);
    }

    #[test]
    fn a_walk_is_said_to_be_one() {
        let base = clustered(1_200, 4, 4);
        let index = index(&base, &SETTINGS);
        let searcher = Searcher {
            base: &base,
            index: Some(&index),
            metric: Metric::Cosine,
            threads: 1,
        };
        let query = &base.values()[..4];
        let answer = searcher.search(query, 5, None).unwrap();
        assert!(matches!(answer.chosen, Chosen::Graph { effort: 64, .. }));
        assert_eq!(answer.neighbours, index.search(query, 5, 64, None).unwrap());
        assert_eq!(answer.neighbours[0].row, 0);
    }
}
