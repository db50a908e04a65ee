//! The best few of many: a heap with the worst of them on top.

use crate::embeddings::search::Neighbour;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// More room than this is not taken before it is needed.
const ROOM: usize = 1_024;

/// A neighbour among neighbours: greater is worse.
#[derive(Debug, Clone, Copy)]
struct Worse(Neighbour);

impl Ord for Worse {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.rank(&other.0)
    }
}

impl PartialOrd for Worse {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Worse {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Worse {}

/// The nearest `k` of what was offered. Which they are does not depend on the order of offers.
#[derive(Debug, Clone)]
pub(super) struct Top {
    k: usize,
    heap: BinaryHeap<Worse>,
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
        worst.map(|Worse(neighbour)| neighbour.score)
    }

    pub(super) fn offer(&mut self, neighbour: Neighbour) {
        if self.heap.len() < self.k {
            self.heap.push(Worse(neighbour));
        } else if let Some(mut worst) = self.heap.peek_mut()
            && neighbour.rank(&worst.0) == Ordering::Less
        {
            *worst = Worse(neighbour);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for Worse(neighbour) in other.heap {
            self.offer(neighbour);
        }
    }

    /// Returns them, the nearest first.
    pub(super) fn into_sorted(self) -> Vec<Neighbour> {
        let sorted = self.heap.into_sorted_vec().into_iter();
        sorted.map(|Worse(neighbour)| neighbour).collect()
    }
}
