//! An index: a graph over the rows of a snapshot, with its recall measured when it was made.
//!
//! `hnsw_rs` links the rows, and is let go of when it has: its structure of shared pointers and locks takes
//! ten times the memory of the links, its loader ends the process on a file it does not like, and what it
//! loads borrows from the loader. The links are copied to plain arrays ([`Graph`]), which are searched,
//! written and read here. Nothing is ever added to a snapshot, so nothing is to an index; rows that are deleted
//! are marked and taken out of the graph, and when every fifth is gone, the index is made anew.
//!
//! How good a graph is cannot be known from its settings. So some rows are held back while the others are
//! linked, searched for in the half-made graph and by the exact scan, and only then linked as well.

use crate::embeddings::search::dot::{self, Length};
use crate::embeddings::search::graph::{Graph, Layer, Vectors};
use crate::embeddings::search::{Error, Keep, Metric, Neighbour, Scan, Why, exact};
use crate::embeddings::{self, Matrix, Rows};
use hnsw_rs::anndists::dist::distances::Distance;
use hnsw_rs::hnsw::Hnsw;
use serde::{Deserialize, Serialize};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Below so many rows a scan is as fast as a graph.
pub const LEAST_ROWS: usize = 20_000;
/// How many layers a graph may have; the 17th would need 16^16 rows.
const MAX_LAYERS: usize = 16;
/// How many rows are held back to measure the recall.
const HELD_BACK: usize = 200;
/// Of how many neighbours the recall is measured.
pub const RECALL_OF: usize = 10;
/// With how much effort the recall is measured.
const EFFORTS: [usize; 7] = [10, 20, 40, 64, 128, 256, 512];
/// An index of which one row in so many is deleted is worn out.
const WORN_OUT: usize = 5;

/// How to make an index.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// What is near.
    pub metric: Metric,
    /// To how many others a row is linked in each upper layer; to twice as many in the lowest. From 2 to
    /// 64.
    pub links: usize,
    /// How many candidates are looked at for the links of a row.
    pub effort: usize,
    /// How many threads link rows. With one, the same rows give the same graph; with more, a graph of the
    /// same recall, within its error.
    pub threads: usize,
    /// Which recall is wanted of a search.
    pub wanted_recall: f64,
    /// Below how many rows no index is made.
    pub least_rows: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            metric: Metric::Cosine,
            links: 16,
            effort: 100,
            threads: 1,
            wanted_recall: 0.99,
            least_rows: LEAST_ROWS,
        }
    }
}

/// How many of the nearest rows a search found, of how many there were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recall {
    /// How many candidates the search kept (`ef`).
    pub effort: usize,
    /// How many it found.
    pub found: usize,
    /// Of how many.
    pub of: usize,
}

impl Recall {
    /// Returns the share that was found, from 0 to 1.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a few thousand answers are counted"
    )]
    pub fn share(&self) -> f64 {
        self.found as f64 / self.of.max(1) as f64
    }
}

/// An index, or why none was made.
#[derive(Debug)]
pub enum Built {
    /// A scan does as well.
    Exact(Why),
    /// Here it is.
    Graph(Box<Index>),
}

/// A graph over rows, which it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Index {
    pub(super) settings: Settings,
    pub(super) vectors: Vectors,
    pub(super) graph: Graph,
    /// One bit for each row that is no longer found.
    pub(super) deleted: Vec<u64>,
    /// How many rows were taken out since the index was made.
    pub(super) gone: usize,
    pub(super) recall: Vec<Recall>,
}

impl Index {
    /// Makes an index of rows. Rows that are zero or not finite are left out. Recall is measured on
    /// `queries`, or else on rows that are held back for it.
    ///
    /// # Errors
    ///
    /// What reading the rows gives; `Stopped` when linking them failed.
    pub fn build(
        base: &dyn Rows,
        queries: Option<&Matrix>,
        settings: &Settings,
    ) -> Result<Built, embeddings::Error> {
        if let Some(why) = why_not(base, settings) {
            return Ok(Built::Exact(why));
        }
        let mut values = vec![0.0; base.len() * base.dimensions()];
        base.read(0, &mut values)?;
        let vectors = Vectors::new(settings.metric, base.dimensions(), values);
        let deleted = vec![0; base.len().div_ceil(64)];
        let index = Self::of_vectors(vectors, deleted, queries, settings)?;
        Ok(Built::Graph(Box::new(index)))
    }

    /// Makes the index anew without the rows that were deleted.
    ///
    /// # Errors
    ///
    /// As [`Index::build`].
    pub fn rebuild(self, queries: Option<&Matrix>) -> Result<Self, embeddings::Error> {
        let settings = self.settings;
        Self::of_vectors(self.vectors, self.deleted, queries, &settings)
    }

    fn of_vectors(
        vectors: Vectors,
        deleted: Vec<u64>,
        queries: Option<&Matrix>,
        settings: &Settings,
    ) -> Result<Self, embeddings::Error> {
        let mut index = Self {
            settings: *settings,
            vectors,
            graph: Graph::default(),
            deleted,
            gone: 0,
            recall: Vec::new(),
        };
        let rows: Vec<usize> = (0..index.vectors.lengths.len())
            .filter(|row| index.is_findable(*row))
            .collect();
        // `hnsw_rs` has no errors but panics.
        let made = catch_unwind(AssertUnwindSafe(|| index.link(&rows, queries)));
        made.map_err(|_| Error::Stopped)??;
        Ok(index)
    }

    /// Links rows and measures how well they are found.
    fn link(&mut self, rows: &[usize], queries: Option<&Matrix>) -> Result<(), embeddings::Error> {
        let settings = self.settings;
        let linking = Linking {
            hnsw: Hnsw::new(
                settings.links.clamp(2, 64),
                rows.len(),
                MAX_LAYERS,
                settings.effort.max(1),
                Near(settings.metric),
            ),
            next: AtomicUsize::new(0),
        };
        if let Some(queries) = queries {
            linking.insert(&self.vectors, rows, settings.threads)?;
            self.graph = linking.flatten(self.vectors.lengths.len());
            return self.measure(queries, &[]);
        }
        let apart = rows.len().div_ceil(HELD_BACK).max(10);
        let (held, linked): (Vec<_>, Vec<_>) = rows
            .iter()
            .enumerate()
            .partition(|(place, _)| place % apart == apart / 2);
        let only_rows = |list: Vec<(usize, &usize)>| -> Vec<usize> {
            list.into_iter().map(|(_, row)| *row).collect()
        };
        let (held, linked) = (only_rows(held), only_rows(linked));
        linking.insert(&self.vectors, &linked, settings.threads)?;
        self.graph = linking.flatten(self.vectors.lengths.len());
        let queries = held.iter().flat_map(|row| self.vectors.row(*row)).copied();
        let queries = Matrix::new(self.vectors.dimensions, queries.collect());
        self.measure(&queries.unwrap_or_default(), &held)?;
        linking.insert(&self.vectors, &held, settings.threads)?;
        self.graph = linking.flatten(self.vectors.lengths.len());
        Ok(())
    }

    /// Measures the recall on queries, while some rows are not linked.
    fn measure(&mut self, queries: &Matrix, missing: &[usize]) -> Result<(), embeddings::Error> {
        let is_out = |row: usize| !self.is_findable(row) || missing.binary_search(&row).is_ok();
        let skip = |_: usize, row: usize| is_out(row);
        let scan = Scan {
            metric: self.settings.metric,
            threads: self.settings.threads,
            skip: Some(&skip),
            ..Scan::new(RECALL_OF)
        };
        let truth = exact::nearest(self, queries, &scan)?;
        let mut recall = Vec::new();
        for effort in EFFORTS {
            let mut at = Recall {
                effort,
                found: 0,
                of: 0,
            };
            let all = queries.values().chunks_exact(queries.dimensions().max(1));
            for (query, truth) in all.zip(&truth) {
                let found = self.search(query, RECALL_OF, effort, None)?;
                at.of += truth.len();
                let is_found = |near: &&Neighbour| found.iter().any(|other| other.row == near.row);
                at.found += truth.iter().filter(is_found).count();
            }
            recall.push(at);
        }
        self.recall = recall;
        Ok(())
    }

    /// Returns the nearest rows to a query, as far as a walk that keeps `effort` candidates finds them,
    /// among those to keep. Empty for a query that has no direction.
    ///
    /// # Errors
    ///
    /// `Dimensions` when the query's length is not that of the rows.
    pub fn search(
        &self,
        query: &[f32],
        k: usize,
        effort: usize,
        keep: Option<&Keep<'_>>,
    ) -> Result<Vec<Neighbour>, Error> {
        if query.len() != self.vectors.dimensions {
            return Err(Error::Dimensions {
                query: query.len(),
                base: self.vectors.dimensions,
            });
        }
        let Some(query) = self.vectors.prepare(query) else {
            return Ok(Vec::new());
        };
        let is_wanted = |row: usize| !self.is_deleted(row) && keep.is_none_or(|keep| keep.has(row));
        let effort = effort.max(k).min(self.vectors.lengths.len());
        let mut found = self.graph.walk(&self.vectors, &query, effort, &is_wanted);
        found.retain(|neighbour| neighbour.score.is_finite());
        found.truncate(k);
        Ok(found)
    }

    /// Marks a row as no longer to be found.
    pub fn delete(&mut self, row: usize) {
        if let Some(word) = self.deleted.get_mut(row / 64) {
            *word |= 1 << (row % 64);
        }
    }

    /// Returns whether a row was deleted.
    #[must_use]
    pub fn is_deleted(&self, row: usize) -> bool {
        let word = self.deleted.get(row / 64);
        word.is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    fn is_findable(&self, row: usize) -> bool {
        self.vectors.is_ranked(row) && !self.is_deleted(row)
    }

    /// Returns whether so many rows of the graph were deleted that walks waste their time on them, or that its
    /// links are no longer those it was measured with.
    #[must_use]
    pub fn is_worn_out(&self) -> bool {
        let lowest = self.graph.layers.first();
        let is_linked = |row: &usize| lowest.is_some_and(|layer| layer.has_links(*row));
        let deleted = (0..self.vectors.lengths.len()).filter(|row| self.is_deleted(*row));
        let deleted = deleted.filter(is_linked).count();
        (deleted + self.gone) * WORN_OUT >= self.vectors.lengths.len() + self.gone
    }

    /// Returns the recall that was measured, for each effort.
    #[must_use]
    pub fn recall(&self) -> &[Recall] {
        &self.recall
    }

    /// Returns the least effort with which the wanted recall was reached; `None` when none was enough.
    #[must_use]
    pub fn effort(&self) -> Option<Recall> {
        let wanted = self.settings.wanted_recall;
        self.recall.iter().copied().find(|at| at.share() >= wanted)
    }

    /// Returns how the index was made.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns how many bytes of memory the index takes: the rows, and all else.
    #[must_use]
    pub fn bytes(&self) -> (usize, usize) {
        let rows = size_of_val(self.vectors.values.as_slice());
        let lengths = size_of_val(self.vectors.lengths.as_slice());
        let deleted = size_of_val(self.deleted.as_slice());
        (rows, self.graph.bytes() + lengths + deleted)
    }
}

impl Rows for Index {
    fn len(&self) -> usize {
        self.vectors.lengths.len()
    }

    fn dimensions(&self) -> usize {
        self.vectors.dimensions
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), embeddings::Error> {
        let start = first.saturating_mul(self.vectors.dimensions);
        let values = self
            .vectors
            .values
            .get(start..start.saturating_add(into.len()));
        into.copy_from_slice(values.ok_or(embeddings::Error::NoSuchRow { row: first })?);
        Ok(())
    }

    fn in_memory(&self) -> Option<&[f32]> {
        Some(&self.vectors.values)
    }
}

/// Returns why no index is made.
fn why_not(base: &dyn Rows, settings: &Settings) -> Option<Why> {
    if settings.metric == Metric::Dot {
        Some(Why::NoGraphForDot)
    } else if base.len() < settings.least_rows.max(1) || u32::try_from(base.len()).is_err() {
        Some(Why::FewRows)
    } else {
        None
    }
}

/// The distance rows are linked by: never negative, never not a number.
struct Near(Metric);

impl Distance<f32> for Near {
    fn eval(&self, left: &[f32], right: &[f32]) -> f32 {
        match self.0 {
            // A vector's product with itself may be a little more than 1.
            Metric::Cosine | Metric::Dot => (1.0 - dot::dot(left, right)).max(0.0),
            Metric::Euclidean => dot::squared_distance(left, right).min(f32::MAX),
        }
    }
}

/// A graph that is being made.
struct Linking {
    hnsw: Hnsw<'static, f32, Near>,
    next: AtomicUsize,
}

impl Linking {
    /// Links rows, on so many threads.
    fn insert(&self, vectors: &Vectors, rows: &[usize], threads: usize) -> Result<(), Error> {
        self.next.store(0, Ordering::Relaxed);
        let insert = |row: usize| {
            let values = vectors.row(row);
            match (vectors.metric, Length::of(values)) {
                (Metric::Euclidean, Length::Of(_)) => self.hnsw.insert((values, row)),
                (_, Length::Of(length)) => {
                    let unit: Vec<f32> = values.iter().map(|value| value / length).collect();
                    self.hnsw.insert((&unit, row));
                }
                (_, Length::Zero | Length::NotFinite) => {}
            }
        };
        let work = || {
            while let Some(row) = rows.get(self.next.fetch_add(1, Ordering::Relaxed)) {
                insert(*row);
            }
        };
        // The first row finds an empty graph, which two at once must not.
        if let Some(row) = rows.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            insert(*row);
        }
        if threads <= 1 {
            work();
            return Ok(());
        }
        thread::scope(|scope| {
            let handles: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let ends = handles.into_iter().map(thread::ScopedJoinHandle::join);
            // Every thread is waited for, whatever the others came to.
            let ends: Vec<_> = ends.collect();
            let has_failed = ends.iter().any(Result::is_err);
            if has_failed {
                Err(Error::Stopped)
            } else {
                Ok(())
            }
        })
    }

    /// Copies the links: of each row, in each layer up to its own, those that lead to rows of that layer.
    fn flatten(&self, rows: usize) -> Graph {
        let points = self.hnsw.get_point_indexation();
        let highest = usize::from(self.hnsw.get_max_level_observed());
        let mut links: Vec<Vec<(u32, Vec<u32>)>> = vec![Vec::new(); highest + 1];
        for level in 0..=highest {
            for point in points.get_layer_iterator(level) {
                let around = point.get_neighborhood_id();
                for (height, layer) in links.iter_mut().enumerate().take(level + 1) {
                    let near = around.get(height).into_iter().flatten();
                    let near = near.filter(|near| usize::from(near.p_id.0) >= height);
                    let near = near.map(|near| number(near.d_id));
                    layer.push((number(point.get_origin_id()), near.collect()));
                }
            }
        }
        for layer in &mut links {
            layer.sort_unstable_by_key(|(row, _)| *row);
        }
        let entry = links.last().and_then(|layer| layer.first());
        let entry = entry.map_or(0, |(row, _)| *row);
        let mut layers = links.into_iter();
        let lowest = layers.next().map(|layer| lowest_layer(layer, rows));
        let upper = layers.map(|nodes| {
            let mut layer = Layer::default();
            for (row, near) in nodes {
                layer.nodes.push(row);
                layer.push(near.into_iter());
            }
            layer
        });
        Graph {
            entry,
            layers: lowest.into_iter().chain(upper).collect(),
        }
    }
}

/// Returns the layer in which every row has its place, those without links too.
fn lowest_layer(nodes: Vec<(u32, Vec<u32>)>, rows: usize) -> Layer {
    let mut layer = Layer::default();
    for (row, near) in nodes {
        while layer.ends.len() < row as usize {
            layer.push(std::iter::empty());
        }
        layer.push(near.into_iter());
    }
    while layer.ends.len() < rows {
        layer.push(std::iter::empty());
    }
    layer
}

/// Rows were counted before they were linked: every number fits.
fn number(row: usize) -> u32 {
    u32::try_from(row).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Built, Index, Settings};
    use crate::embeddings::search::samples::clustered;
    use crate::embeddings::search::{Keep, Metric, Neighbour, Scan, Why, nearest};
    use crate::embeddings::{Matrix, Rows};

    const WIDTH: usize = 12;
    const SMALL: Settings = Settings {
        metric: Metric::Cosine,
        links: 8,
        effort: 40,
        threads: 1,
        wanted_recall: 0.95,
        least_rows: 10,
    };

    fn build(base: &Matrix, settings: &Settings) -> Index {
        match Index::build(base, None, settings).unwrap() {
            Built::Graph(index) => *index,
            Built::Exact(why) => panic!("no index: {why:?}"),
        }
    }

    fn rows(found: &[Neighbour]) -> Vec<usize> {
        found.iter().map(|neighbour| neighbour.row).collect()
    }

    /// Returns how much of the truth the index finds with an effort of 64.
    fn recall(index: &Index, base: &Matrix, queries: &Matrix, keep: Option<&Keep<'_>>) -> f64 {
        let skip =
            |_: usize, row: usize| index.is_deleted(row) || keep.is_some_and(|keep| !keep.has(row));
        let metric = index.settings().metric;
        let scan = Scan {
            metric,
            skip: Some(&skip),
            ..Scan::new(10)
        };
        let truth = nearest(base, queries, &scan).unwrap();
        let (mut hits, mut all) = (0.0, 0.0);
        for (query, truth) in queries.values().chunks(WIDTH).zip(truth) {
            let found = index.search(query, 10, 64, keep).unwrap();
            assert!(found.is_sorted_by(|near, far| near.rank(far).is_lt()));
            for neighbour in truth {
                all += 1.0;
                // Where the graph finds a row, its score is that of the scan, to the last bit.
                hits += f64::from(u8::from(found.contains(&neighbour)));
            }
        }
        hits / all
    }

    #[test]
    fn most_of_what_is_near_is_found_and_the_recall_is_known() {
        let (base, queries) = (clustered(500, WIDTH, 1), clustered(40, WIDTH, 2));
        for metric in [Metric::Cosine, Metric::Euclidean] {
            let index = build(&base, &Settings { metric, ..SMALL });
            assert!(recall(&index, &base, &queries, None) > 0.95, "{metric:?}");
            let measured = index.recall();
            assert!(measured.iter().all(|at| at.of == 50 * 10), "{measured:?}");
            assert!(measured.is_sorted_by_key(|at| at.effort));
            assert!(measured.last().unwrap().share() > 0.95, "{measured:?}");
            let enough = index.effort().unwrap();
            let fewer = measured.iter().filter(|at| at.effort < enough.effort);
            assert!(enough.share() >= 0.95 && fewer.into_iter().all(|at| at.share() < 0.95));
        }
    }

    #[test]
    fn one_thread_gives_one_graph_and_several_give_one_as_good() {
        let (base, queries) = (clustered(400, WIDTH, 3), clustered(30, WIDTH, 4));
        let index = build(&base, &SMALL);
        assert_eq!(build(&base, &SMALL), index);
        let threads = Settings {
            threads: 3,
            ..SMALL
        };
        assert!(recall(&build(&base, &threads), &base, &queries, None) > 0.95);
        let asked = Index::build(&base, Some(&queries), &SMALL).unwrap();
        let Built::Graph(asked) = asked else { panic!() };
        assert!(asked.recall().iter().all(|at| at.of == 30 * 10));
    }

    #[test]
    fn only_what_is_kept_is_found() {
        let (base, queries) = (clustered(600, WIDTH, 5), clustered(30, WIDTH, 6));
        let index = build(&base, &SMALL);
        let third: Vec<usize> = (0..600).filter(|row| row % 3 == 0).collect();
        let is_third = |row: usize| row.is_multiple_of(3);
        for keep in [Keep::Rows(&third), Keep::If(&is_third)] {
            assert!(
                recall(&index, &base, &queries, Some(&keep)) > 0.9,
                "{keep:?}"
            );
            for query in queries.values().chunks(WIDTH) {
                let found = index.search(query, 10, 64, Some(&keep)).unwrap();
                assert!(found.len() == 10 && rows(&found).into_iter().all(is_third));
            }
        }
        let none = index.search(&base.values()[..WIDTH], 10, 64, Some(&Keep::Rows(&[])));
        assert!(none.unwrap().is_empty());
    }

    #[test]
    fn deleted_rows_are_not_found_and_wear_the_index_out() {
        let (base, queries) = (clustered(400, WIDTH, 7), clustered(30, WIDTH, 8));
        let mut index = build(&base, &SMALL);
        for row in (0..400).step_by(5).take(79) {
            index.delete(row);
        }
        assert!(!index.is_worn_out());
        index.delete(399);
        index.delete(9_999);
        assert!(index.is_worn_out());
        assert!(recall(&index, &base, &queries, None) > 0.9);
        let anew = index.clone().rebuild(None).unwrap();
        assert!(!anew.is_worn_out() && anew.is_deleted(399));
        assert!(recall(&anew, &base, &queries, None) > 0.9);
        for query in queries.values().chunks(WIDTH) {
            for index in [&index, &anew] {
                let found = index.search(query, 400, 400, None).unwrap();
                assert!(found.len() > 300, "{}", found.len());
                assert!(found.iter().all(|found| !index.is_deleted(found.row)));
            }
        }
    }

    #[test]
    fn what_cannot_be_ranked_or_is_there_many_times_does_no_harm() {
        // A vector whose product with itself is more than 1, many times.
        let mut values = base_of_one(100);
        values.extend(vec![0.0; 3 * WIDTH]);
        values.extend(vec![f32::NAN; WIDTH]);
        values.extend(clustered(200, WIDTH, 9).into_values());
        let base = Matrix::new(WIDTH, values).unwrap();
        let index = build(&base, &SMALL);
        for query in base.values().chunks(WIDTH).skip(104) {
            let found = rows(&index.search(query, 10, 64, None).unwrap());
            assert!(!found.is_empty() && !found.iter().any(|row| (100..104).contains(row)));
        }
        let unranked = index.search(&[0.0; WIDTH], 10, 64, None).unwrap();
        assert!(unranked.is_empty());
        let error = index.search(&[1.0], 10, 64, None).unwrap_err();
        assert_eq!(error.kind(), "embedding_dimensions_mismatch");
    }

    fn base_of_one(count: usize) -> Vec<f32> {
        let row = clustered(1, WIDTH, 11).into_values();
        row.repeat(count)
    }

    #[test]
    fn no_index_is_made_where_a_scan_does_as_well() {
        let base = clustered(60, WIDTH, 10);
        let why = |settings: &Settings| match Index::build(&base, None, settings).unwrap() {
            Built::Exact(why) => Some(why),
            Built::Graph(_) => None,
        };
        assert_eq!(why(&Settings::default()), Some(Why::FewRows));
        let dot = Settings {
            metric: Metric::Dot,
            ..SMALL
        };
        assert_eq!(why(&dot), Some(Why::NoGraphForDot));
        assert_eq!(why(&SMALL), None);
        assert_eq!(base.len(), 60);
    }
}
