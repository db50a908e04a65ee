//! The best few of many, for a walk that ends by the worst of them: a heap with that one on top.

use crate::embeddings::search::Neighbour;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// More room than this is not taken before it is needed.
const ROOM: usize = 1_024;

/// A neighbour among neighbours: greater is worse.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ranked(pub(super) Neighbour);

impl Ord for Ranked {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rank(&other.0)
    }
}

impl PartialOrd for Ranked {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ranked {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Ranked {}

/// The nearest `k` of what was offered. Which they are does not depend on the order of offers.
#[derive(Debug, Clone)]
pub(super) struct Top {
    k: usize,
    heap: BinaryHeap<Ranked>,
}

impl Top {
    pub(super) fn new(k: usize) -> Self {
        Self {
            k,
            heap: BinaryHeap::with_capacity(k.min(ROOM)),
        }
    }

    /// Returns the score that must at least be reached; `None` while there is room.
    pub(super) fn floor(&self) -> Option<f32> {
        let worst = self.heap.peek().filter(|_| self.heap.len() >= self.k);
        worst.map(|Ranked(neighbour)| neighbour.score)
    }

    pub(super) fn offer(&mut self, neighbour: Neighbour) {
        if self.heap.len() < self.k {
            self.heap.push(Ranked(neighbour));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && neighbour.rank(&worst.0) == Ordering::Less
        {
            *worst = Ranked(neighbour);
        }
    }

    /// Returns them, the nearest first.
    pub(super) fn into_sorted(self) -> Vec<Neighbour> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        sorted.map(|Ranked(neighbour)| neighbour).collect()
    }
}
