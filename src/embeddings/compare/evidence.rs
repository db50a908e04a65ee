//! What both sides answer: exact neighbours of drawn items and of all queries.
//!
//! Items and queries may be sampled, the base never: fewer rows make neighbours more alike than they are.
//! Each side is read once for everything that is asked of it.

use super::align::Aligned;
use super::sample::read_side;
use super::subject::{Queries, Settings, Subject};
use crate::embeddings::Error;
use crate::embeddings::rows::Matrix;
use crate::embeddings::search::{Metric, Scan, nearest};
use std::collections::HashSet;

/// How deep lists go: what the longest figure looks at.
const DEPTH: usize = 100;
/// How deep lists of queries go for the threshold map, where there are few of them.
const DEEPEST: usize = 1_000;
/// How many answers of a side are held at once while lists are so deep.
const ROOM: usize = 1 << 20;
/// How many more rows are asked for, so that equal scores at the end are ordered alike on both sides.
const SPARE: usize = 8;
/// How many times deeper a side is asked whose chunks are parts of the units.
const MOST_PARTS: usize = 8;

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ranked {
    /// What was found, in the numbering of both sides.
    pub(super) unit: usize,
    /// Its row on the side that was asked.
    pub(super) row: usize,
    /// Its cosine.
    pub(super) score: f32,
}

/// Answers in the order of their ranks.
pub(super) type List = Vec<Ranked>;

/// What a side was asked and what it answered; each list of lists in the order of the asked.
#[derive(Debug, Default, Clone)]
pub(super) struct Answers {
    /// To its own vectors of the drawn items, without the items themselves.
    pub(super) items: Vec<List>,
    /// To the queries.
    pub(super) queries: Vec<List>,
    /// The same, as deep as there is room: what passes a low threshold is more than a list to look at.
    pub(super) deep: Vec<List>,
    /// To the other side's vectors of the drawn items; empty when the sides differ in dimensions.
    pub(super) cross_items: Vec<List>,
    /// To the other side's vectors of the queries; likewise.
    pub(super) cross_queries: Vec<List>,
}

impl Answers {
    fn append(&mut self, mut other: Self) {
        self.items.append(&mut other.items);
        self.queries.append(&mut other.queries);
        self.deep.append(&mut other.deep);
        self.cross_items.append(&mut other.cross_items);
        self.cross_queries.append(&mut other.cross_queries);
    }
}

/// Everything that stays the same while evidence is gathered.
#[derive(Clone, Copy)]
pub(super) struct Context<'a> {
    pub(super) sides: [&'a Subject<'a>; 2],
    pub(super) queries: Option<&'a Queries<'a>>,
    pub(super) settings: &'a Settings,
    pub(super) aligned: &'a Aligned,
}

impl Context<'_> {
    /// Returns the length of the headline's lists, which cannot be longer than there are others.
    pub(super) fn k(&self) -> usize {
        self.settings.k.clamp(1, (self.aligned.count - 1).max(1))
    }

    /// Returns how deep lists go.
    pub(super) fn depth(&self) -> usize {
        DEPTH.max(self.k()).min(self.aligned.count)
    }

    /// Returns how deep lists go when so many are asked for together.
    fn deepest(&self, lists: usize) -> usize {
        let each = ROOM / (lists * self.parts_of(0).max(self.parts_of(1))).max(1);
        each.clamp(self.depth(), DEEPEST.max(self.depth()))
            .min(self.aligned.count)
    }

    /// How many rows of a side are parts of one unit.
    fn parts_of(&self, side: usize) -> usize {
        let rows = self.sides.get(side).map_or(0, |subject| subject.rows.len());
        match self.aligned.facts.is_by_span {
            true => (rows.div_ceil(self.aligned.count.max(1)) + 1).min(MOST_PARTS),
            false => 1,
        }
    }

    /// Returns whether each side can be asked with the other's vectors.
    pub(super) fn is_crossing(&self) -> bool {
        let [a, b] = self.sides;
        a.rows.dimensions() == b.rows.dimensions()
    }

    /// Asks both sides about items, by their units, and queries, by their places.
    pub(super) fn ask(
        &self,
        items: &[usize],
        queries: &[(usize, Option<usize>)],
    ) -> Result<[Answers; 2], Error> {
        Ok([
            self.ask_side(0, items, queries)?,
            self.ask_side(1, items, queries)?,
        ])
    }

    fn ask_side(
        &self,
        side: usize,
        items: &[usize],
        queries: &[(usize, Option<usize>)],
    ) -> Result<Answers, Error> {
        let mut stack = Stack::default();
        let others: &[usize] = if self.is_crossing() {
            &[side, 1 - side]
        } else {
            &[side]
        };
        for from in others {
            self.push_items(*from, items, &mut stack)?;
            self.push_queries(*from, queries, &mut stack);
        }
        let depth = self.depth();
        let deepest = match queries.is_empty() {
            true => depth,
            false => self.deepest(stack.left_out.len()),
        };
        let mut lists = self.answer(side, stack, deepest)?.into_iter();
        let mut take = |count: usize| -> Vec<List> { lists.by_ref().take(count).collect() };
        let short = |lists: &[List]| -> Vec<List> {
            let heads = lists
                .iter()
                .map(|list| list.iter().take(depth).copied().collect());
            heads.collect()
        };
        let items_found = short(&take(items.len()));
        let deep = take(queries.len());
        Ok(Answers {
            items: items_found,
            queries: short(&deep),
            deep,
            cross_items: short(&take(items.len())),
            cross_queries: short(&take(queries.len())),
        })
    }

    fn push_items(&self, from: usize, items: &[usize], stack: &mut Stack) -> Result<(), Error> {
        stack
            .values
            .extend(read_side(self, from, items)?.into_values());
        stack.left_out.extend(items.iter().map(|unit| Some(*unit)));
        Ok(())
    }

    fn push_queries(&self, from: usize, queries: &[(usize, Option<usize>)], stack: &mut Stack) {
        let Some(given) = self.queries else { return };
        let vectors = if from == 0 { given.a } else { given.b };
        for (place, left_out) in queries {
            if let Some(vector) = vectors.row(*place) {
                stack.values.extend_from_slice(vector);
                stack.left_out.push(*left_out);
            }
        }
    }

    /// Returns the lists of a side for a stack of vectors, so deep.
    pub(super) fn answer(
        &self,
        side: usize,
        stack: Stack,
        depth: usize,
    ) -> Result<Vec<List>, Error> {
        let (Some(subject), Some(units)) = (self.sides.get(side), self.aligned.units.get(side))
        else {
            return Ok(Vec::new());
        };
        let left_out = stack.left_out;
        if left_out.is_empty() {
            return Ok(Vec::new());
        }
        let dimensions = subject.rows.dimensions();
        let vectors = Matrix::new(dimensions, stack.values).unwrap_or_default();
        let unit_of = |row: usize| units.get(row).copied().flatten();
        let skip = |query: usize, row: usize| match unit_of(row) {
            None => true,
            Some(unit) => left_out.get(query).copied().flatten() == Some(unit),
        };
        let scan = Scan {
            metric: Metric::Cosine,
            k: depth * self.parts_of(side) + SPARE,
            threads: self.settings.threads,
            skip: Some(&skip),
        };
        let found = nearest(subject.rows, &vectors, &scan)?;
        let lists = found.into_iter().map(|neighbours| {
            let ranked = neighbours.into_iter().filter_map(|neighbour| {
                Some(Ranked {
                    unit: unit_of(neighbour.row)?,
                    row: neighbour.row,
                    score: neighbour.score,
                })
            });
            in_units(ranked.collect(), depth, self.aligned.facts.is_by_span)
        });
        Ok(lists.collect())
    }
}

/// Orders equal scores by unit, so that both sides order them alike, and keeps the first of each unit.
fn in_units(mut list: List, depth: usize, has_parts: bool) -> List {
    list.sort_by(|one, other| {
        let by_score = other.score.total_cmp(&one.score);
        by_score.then(one.unit.cmp(&other.unit))
    });
    if has_parts {
        let mut seen = HashSet::new();
        list.retain(|ranked| seen.insert(ranked.unit));
    }
    list.truncate(depth);
    list
}

/// Vectors that a side is asked with, and what each must not answer.
#[derive(Debug, Default)]
pub(super) struct Stack {
    pub(super) values: Vec<f32>,
    pub(super) left_out: Vec<Option<usize>>,
}

/// All evidence.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    /// The drawn items, by their units.
    pub(super) items: Vec<usize>,
    /// The queries that were asked, by their places, and the unit that each must not answer.
    pub(super) queries: Vec<(usize, Option<usize>)>,
    /// What A and B answered.
    pub(super) answers: [Answers; 2],
    /// Whether more could have been asked.
    pub(super) is_stopped_early: bool,
}

impl Evidence {
    /// Asks about some more.
    pub(super) fn extend(
        &mut self,
        context: &Context<'_>,
        items: &[usize],
        queries: &[(usize, Option<usize>)],
    ) -> Result<(), Error> {
        let [first, second] = context.ask(items, queries)?;
        let [a, b] = &mut self.answers;
        a.append(first);
        b.append(second);
        self.items.extend_from_slice(items);
        self.queries.extend_from_slice(queries);
        Ok(())
    }
}

/// Returns the units of a list.
pub(super) fn units(list: &[Ranked]) -> Vec<usize> {
    list.iter().map(|ranked| ranked.unit).collect()
}
