//! Answers of two indexes to the same queries, in one numbering of items, so that they can be held against
//! each other.

use crate::embeddings::Error;
use crate::embeddings::geometry::LinearMap;
use crate::embeddings::rows::{Matrix, Rows, cosine};
use crate::embeddings::search::{Scan, nearest};
use std::collections::{BTreeSet, HashMap};
use std::fmt;

/// How many rows are read at a time.
const ROWS_AT_A_TIME: usize = 4096;

/// The two indexes of a migration.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// The old snapshot's vectors.
    pub old: &'a dyn Rows,
    /// The new snapshot's.
    pub new: &'a dyn Rows,
    /// Which row of the new one has the id and the text of each row of the old one; `usize::MAX` where none
    /// has. Answers come from what both have, so that no side finds what the other cannot.
    pub units: &'a [usize],
    /// How many threads search.
    pub threads: usize,
}

impl fmt::Debug for Sides<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Sides");
        fields.field("old", &self.old.len());
        fields.field("new", &self.new.len()).finish()
    }
}

/// Queries with their vectors of both models.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Asked {
    /// As the old model makes them.
    pub old: Matrix,
    /// As the new one does.
    pub new: Matrix,
    /// What answers each, and how well; all empty where nobody has said.
    pub grades: Vec<HashMap<usize, f64>>,
    /// The item that is not an answer to a query, because it is the query.
    pub own: Vec<Option<usize>>,
}

/// Items that were found, the nearest first, with their scores.
pub(super) type List = Vec<(usize, f32)>;

impl Asked {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.own.len()
    }

    /// Whether somebody has said what answers them.
    pub(super) fn has_labels(&self) -> bool {
        self.grades.iter().any(|grades| !grades.is_empty())
    }

    /// The queries at these places.
    pub(super) fn part(&self, places: &(impl Iterator<Item = usize> + Clone)) -> Self {
        let rows = |all: &Matrix| {
            let values = places.clone().filter_map(|place| all.row(place)).flatten();
            Matrix::new(all.dimensions(), values.copied().collect()).unwrap_or_default()
        };
        let grades = places.clone().map(|place| self.grades.get(place));
        let own = places.clone().map(|place| self.own.get(place));
        Self {
            old: rows(&self.old),
            new: rows(&self.new),
            grades: grades
                .map(|found| found.cloned().unwrap_or_default())
                .collect(),
            own: own.map(|found| found.copied().flatten()).collect(),
        }
    }

    /// Only the queries with labels, where there are any.
    pub(super) fn judgeable(&self) -> Self {
        if !self.has_labels() {
            return self.clone();
        }
        let is_labelled = |place: &usize| {
            let grades = self.grades.get(*place);
            grades.is_some_and(|grades| grades.values().any(|grade| 0.0 < *grade))
        };
        let places: Vec<usize> = (0..self.len()).filter(is_labelled).collect();
        self.part(&places.iter().copied())
    }
}

impl Sides<'_> {
    /// What old queries find in the old index.
    pub(super) fn status_quo(&self, asked: &Asked, k: usize) -> Result<Vec<List>, Error> {
        self.of_old(self.old, &asked.old, &asked.own, k)
    }

    /// How many items both indexes have.
    pub(super) fn common(&self) -> usize {
        let units = self.units.iter();
        units.filter(|unit| **unit < self.new.len()).count()
    }

    /// What new queries find in the new index.
    pub(super) fn reindexed(&self, asked: &Asked, k: usize) -> Result<Vec<List>, Error> {
        let mut is_common = vec![false; self.new.len()];
        for unit in self.units {
            if let Some(place) = is_common.get_mut(*unit) {
                *place = true;
            }
        }
        let is_skipped = |query: usize, row: usize| {
            is_common.get(row) != Some(&true) || asked.own.get(query) == Some(&Some(row))
        };
        let scan = Scan {
            threads: self.threads,
            skip: Some(&is_skipped),
            ..Scan::new(k)
        };
        let found = nearest(self.new, &asked.new, &scan)?.into_iter();
        let list = |list: Vec<crate::embeddings::search::Neighbour>| {
            let pairs = list.into_iter().map(|found| (found.row, found.score));
            pairs.collect()
        };
        Ok(found.map(list).collect())
    }

    /// What mapped queries find in the old index.
    pub(super) fn bridged_queries(
        &self,
        queries: &Matrix,
        own: &[Option<usize>],
        k: usize,
    ) -> Result<Vec<List>, Error> {
        self.of_old(self.old, queries, own, k)
    }

    /// What new queries find in the old index, mapped.
    pub(super) fn bridged_documents(
        &self,
        map: &LinearMap,
        asked: &Asked,
        k: usize,
    ) -> Result<Vec<List>, Error> {
        let base = Mapped {
            rows: self.old,
            map,
        };
        self.of_old(&base, &asked.new, &asked.own, k)
    }

    fn of_old(
        &self,
        base: &dyn Rows,
        queries: &Matrix,
        own: &[Option<usize>],
        k: usize,
    ) -> Result<Vec<List>, Error> {
        let unit = |row: usize| self.units.get(row).copied().unwrap_or(usize::MAX);
        let is_skipped = |query: usize, row: usize| {
            let unit = unit(row);
            self.new.len() <= unit || own.get(query).copied().flatten() == Some(unit)
        };
        let scan = Scan {
            threads: self.threads,
            skip: Some(&is_skipped),
            ..Scan::new(k)
        };
        let found = nearest(base, queries, &scan)?.into_iter();
        let list = |list: Vec<crate::embeddings::search::Neighbour>| {
            let pairs = list.into_iter().map(|found| (unit(found.row), found.score));
            pairs.collect()
        };
        Ok(found.map(list).collect())
    }

    /// The new vectors of all items of these lists that have one.
    pub(super) fn new_vectors(&self, lists: &[&[List]]) -> Result<NewVectors, Error> {
        let all = lists.iter().copied().flatten().flatten();
        let wanted: BTreeSet<usize> = all
            .map(|(unit, _)| *unit)
            .filter(|unit| *unit < self.new.len())
            .collect();
        let rows: Vec<usize> = wanted.into_iter().collect();
        let matrix = gather(self.new, &rows)?;
        Ok(NewVectors { rows, matrix })
    }
}

/// Vectors of some rows of the new index.
pub(super) struct NewVectors {
    rows: Vec<usize>,
    matrix: Matrix,
}

impl NewVectors {
    /// The cosine of an item's new vector and a query; `None` where there is no such vector.
    pub(super) fn score(&self, unit: usize, query: &[f32]) -> Option<f64> {
        let place = self.rows.binary_search(&unit).ok()?;
        cosine(self.matrix.row(place)?, query)
    }

    /// The first `count` items of a list, put in order by their new vectors.
    pub(super) fn reranked(
        &self,
        list: &[(usize, f32)],
        count: usize,
        query: &[f32],
    ) -> Vec<usize> {
        let scored = list.iter().take(count).filter_map(|(unit, _)| {
            let score = self.score(*unit, query)?;
            Some((score, *unit))
        });
        let mut scored: Vec<(f64, usize)> = scored.collect();
        scored.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
        scored.into_iter().map(|(_, unit)| unit).collect()
    }
}

/// Reads some rows, in ascending order, with one pass over all.
pub(crate) fn gather(rows: &dyn Rows, wanted: &[usize]) -> Result<Matrix, Error> {
    let dimensions = rows.dimensions();
    let mut values = Vec::with_capacity(wanted.len().saturating_mul(dimensions));
    let mut block = Vec::new();
    let mut left = wanted.iter().copied().peekable();
    while let Some(next) = left.peek().copied() {
        let first = next - next % ROWS_AT_A_TIME;
        let end = rows.len().min(first + ROWS_AT_A_TIME);
        block.resize(end.saturating_sub(first) * dimensions, 0.0);
        rows.read(first, &mut block)?;
        while let Some(row) = left.next_if(|row| *row < first + ROWS_AT_A_TIME) {
            let start = (row - first) * dimensions;
            let found = block.get(start..start + dimensions);
            values.extend_from_slice(found.ok_or(Error::NoSuchRow { row })?);
        }
    }
    Ok(Matrix::new(dimensions, values).unwrap_or_default())
}

/// Rows as a map makes them, made when they are read.
struct Mapped<'a> {
    rows: &'a dyn Rows,
    map: &'a LinearMap,
}

impl Rows for Mapped<'_> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn dimensions(&self) -> usize {
        self.map.to_dimensions()
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), Error> {
        let count = into.len().checked_div(self.dimensions()).unwrap_or(0);
        let from = self.rows.dimensions();
        let mut values = vec![0.0; count.saturating_mul(from)];
        self.rows.read(first, &mut values)?;
        let rows = Matrix::new(from, values);
        let mapped = rows.and_then(|rows| self.map.apply(&rows));
        let mapped = mapped.ok_or(Error::NoSuchRow { row: first })?;
        into.copy_from_slice(mapped.values());
        Ok(())
    }
}
