//! A navigable small world, frozen: who is linked to whom, in plain arrays, and how to walk there.
//!
//! The graph is that of Malkov and Yashunin (Efficient and robust approximate nearest neighbour search
//! using hierarchical navigable small world graphs, 2016): every upper layer is a thinned-out copy of the
//! one below, a walk goes downhill layer by layer, and in the lowest keeps the best `ef` rows it has seen.
//! It never changes, so it needs no locks, and every answer can be had again.

use crate::embeddings::search::dot::{self, Length};
use crate::embeddings::search::top::{Ranked, Top};
use crate::embeddings::search::{Metric, Neighbour};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// The rows a graph links, and how long each is: 0 for those that are not ranked.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Vectors {
    pub(super) metric: Metric,
    pub(super) dimensions: usize,
    pub(super) values: Vec<f32>,
    pub(super) lengths: Vec<f32>,
}

impl Vectors {
    pub(super) fn new(metric: Metric, dimensions: usize, values: Vec<f32>) -> Self {
        let lengths = values.chunks_exact(dimensions.max(1));
        let lengths = lengths.map(|row| Length::of(row).value().unwrap_or_default());
        Self {
            metric,
            dimensions,
            lengths: lengths.collect(),
            values,
        }
    }

    pub(super) fn row(&self, row: usize) -> &[f32] {
        let start = row * self.dimensions;
        let values = self.values.get(start..start + self.dimensions);
        values.unwrap_or_default()
    }

    pub(super) fn is_ranked(&self, row: usize) -> bool {
        self.lengths.get(row).is_some_and(|length| *length > 0.0)
    }

    /// Returns how near a row is to a query that [`Vectors::prepare`] made.
    pub(super) fn near(&self, query: &[f32], row: usize) -> Neighbour {
        let length = self.lengths.get(row).copied().unwrap_or_default();
        Neighbour {
            row,
            score: dot::score(self.metric, query, self.row(row), length),
        }
    }

    /// Reads a value of each row. They are far apart in memory, and asked for together they arrive
    /// together.
    fn touch(&self, rows: &[usize]) {
        let firsts = rows
            .iter()
            .map(|row| self.values.get(row * self.dimensions));
        let all = firsts.flatten().fold(0, |all, value| all ^ value.to_bits());
        std::hint::black_box(all);
    }

    /// Returns a query as it is scored; `None` when it has no direction.
    pub(super) fn prepare(&self, query: &[f32]) -> Option<Vec<f32>> {
        let unit = dot::unit(query)?;
        Some(match self.metric {
            Metric::Cosine => unit,
            Metric::Dot | Metric::Euclidean => query.to_vec(),
        })
    }
}

/// The links of a layer: those of its `i`-th node are `links[ends[i - 1]..ends[i]]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Layer {
    /// Which rows are in the layer, in ascending order. The lowest layer has all rows and no list.
    pub(super) nodes: Vec<u32>,
    pub(super) ends: Vec<u32>,
    pub(super) links: Vec<u32>,
}

impl Layer {
    pub(super) fn push(&mut self, links: impl Iterator<Item = u32>) {
        self.links.extend(links);
        self.ends
            .push(u32::try_from(self.links.len()).unwrap_or(u32::MAX));
    }

    /// Returns whether a row of the lowest layer is linked to others.
    pub(super) fn has_links(&self, row: usize) -> bool {
        !self.of_place(row).is_empty()
    }

    pub(super) fn of_place(&self, place: usize) -> &[u32] {
        let end = self.ends.get(place).copied().unwrap_or_default();
        let before = place
            .checked_sub(1)
            .and_then(|before| self.ends.get(before));
        let start = before.copied().unwrap_or_default();
        self.links
            .get(start as usize..end as usize)
            .unwrap_or_default()
    }

    /// Returns the links of a row, in whichever layer.
    pub(super) fn of_row_or_place(&self, row: u32) -> &[u32] {
        if self.nodes.is_empty() {
            self.of_place(row as usize)
        } else {
            self.of_row(row as usize)
        }
    }

    fn of_row(&self, row: usize) -> &[u32] {
        let place = u32::try_from(row)
            .ok()
            .map(|row| self.nodes.binary_search(&row));
        match place {
            Some(Ok(place)) => self.of_place(place),
            Some(Err(_)) | None => &[],
        }
    }

    /// Returns whether every list ends where the next begins, and every link leads to a row.
    fn is_sound(&self, rows: usize) -> bool {
        let last = self.ends.last().copied().unwrap_or_default();
        self.ends.is_sorted()
            && last as usize == self.links.len()
            && self.nodes.is_sorted_by(|one, next| one < next)
            && self
                .links
                .iter()
                .chain(&self.nodes)
                .all(|row| (*row as usize) < rows)
    }
}

/// The layers, the lowest first, and where a walk begins.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Graph {
    pub(super) entry: u32,
    pub(super) layers: Vec<Layer>,
}

impl Graph {
    /// Returns whether the graph is one of so many rows.
    pub(super) fn is_sound(&self, rows: usize) -> bool {
        let Some((lowest, upper)) = self.layers.split_first() else {
            return false;
        };
        let is_whole = |layer: &Layer| layer.nodes.len() == layer.ends.len();
        (self.entry as usize) < rows
            && lowest.nodes.is_empty()
            && lowest.ends.len() == rows
            && upper.iter().all(is_whole)
            && self.layers.iter().all(|layer| layer.is_sound(rows))
    }

    /// Returns how many bytes the links take.
    pub(super) fn bytes(&self) -> usize {
        let numbers = |layer: &Layer| layer.nodes.len() + layer.ends.len() + layer.links.len();
        self.layers.iter().map(numbers).sum::<usize>() * size_of::<u32>()
    }

    /// Returns the best `ef` rows a walk comes across that `is_wanted`, the nearest first.
    pub(super) fn walk(
        &self,
        vectors: &Vectors,
        query: &[f32],
        ef: usize,
        is_wanted: &dyn Fn(usize) -> bool,
    ) -> Vec<Neighbour> {
        let Some(lowest) = self.layers.first() else {
            return Vec::new();
        };
        let start = self.descend(vectors, query);
        let mut walk = Walk {
            best: Top::new(ef.max(1)),
            open: BinaryHeap::new(),
            seen: vec![0; vectors.lengths.len().div_ceil(64)],
            is_wanted,
        };
        walk.is_new(start.row);
        walk.visit(start);
        let mut near = Vec::new();
        while let Some(here) = walk.next() {
            let links = lowest.of_place(here.row).iter();
            near.clear();
            near.extend(
                links
                    .map(|row| *row as usize)
                    .filter(|row| walk.is_new(*row)),
            );
            vectors.touch(&near);
            for row in &near {
                walk.visit(vectors.near(query, *row));
            }
        }
        walk.best.into_sorted()
    }

    /// Walks downhill through the upper layers.
    fn descend(&self, vectors: &Vectors, query: &[f32]) -> Neighbour {
        let mut here = vectors.near(query, self.entry as usize);
        for layer in self.layers.iter().skip(1).rev() {
            loop {
                let links = layer.of_row(here.row).iter();
                let near = links.map(|row| vectors.near(query, *row as usize));
                let best = near.min_by(Neighbour::rank);
                match best {
                    Some(best) if best.score > here.score => here = best,
                    Some(_) | None => break,
                }
            }
        }
        here
    }
}

/// A walk through the lowest layer.
struct Walk<'a> {
    best: Top,
    /// Where it may go on.
    open: BinaryHeap<Reverse<Ranked>>,
    /// One bit for each row it has seen.
    seen: Vec<u64>,
    is_wanted: &'a dyn Fn(usize) -> bool,
}

impl Walk<'_> {
    /// Returns whether a row had not been seen; now it is.
    fn is_new(&mut self, row: usize) -> bool {
        let Some(word) = self.seen.get_mut(row / 64) else {
            return false;
        };
        let bit = 1 << (row % 64);
        let is_new = *word & bit == 0;
        *word |= bit;
        is_new
    }

    /// Takes up a row that is nearer than the worst of the best.
    fn visit(&mut self, neighbour: Neighbour) {
        let floor = self.best.floor();
        if floor.is_none_or(|floor| neighbour.score > floor) {
            self.open.push(Reverse(Ranked(neighbour)));
            if (self.is_wanted)(neighbour.row) {
                self.best.offer(neighbour);
            }
        }
    }

    /// Returns the nearest row the walk has not gone on from, while that may lead to a better one.
    fn next(&mut self) -> Option<Neighbour> {
        let Reverse(Ranked(nearest)) = self.open.pop()?;
        let is_over = self.best.floor().is_some_and(|floor| nearest.score < floor);
        (!is_over).then_some(nearest)
    }
}
