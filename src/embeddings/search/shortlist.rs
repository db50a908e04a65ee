//! The best few of many offers, for who is offered thousands of rows a query.
//!
//! A heap puts every offer in its place among all others. Here offers are gathered until there are twice as many as are
//! wanted, and then the worse half goes: a few steps an offer, however many are wanted. The floor is that of the last
//! time, so a few more rows are offered than must be.

use crate::embeddings::search::Neighbour;
use std::cmp::Ordering;

/// More room than this is not taken before it is needed.
const ROOM: usize = 1_024;
/// So many are gathered at least before any go.
const LEAST: usize = 16;

/// The nearest `k` of what was offered. Which they are does not depend on the order of offers.
#[derive(Debug, Clone)]
pub(super) struct Shortlist {
    k: usize,
    kept: Vec<Neighbour>,
    /// The worst that may stay, once `k` were there.
    floor: Option<Neighbour>,
}

impl Shortlist {
    pub(super) fn new(k: usize) -> Self {
        Self {
            k,
            kept: Vec::with_capacity(k.min(ROOM)),
            floor: None,
        }
    }

    /// Returns the score that must at least be reached; `None` while there is room.
    pub(super) fn floor(&self) -> Option<f32> {
        self.floor.map(|neighbour| neighbour.score)
    }

    pub(super) fn offer(&mut self, neighbour: Neighbour) {
        if self.k == 0
            || self
                .floor
                .is_some_and(|floor| neighbour.rank(&floor) != Ordering::Less)
        {
            return;
        }
        self.kept.push(neighbour);
        let is_first_time = self.floor.is_none() && self.kept.len() == self.k;
        if is_first_time || self.kept.len() == self.k.saturating_mul(2).max(LEAST) {
            self.cut();
        }
    }

    /// Leaves the best, and notes the worst of them.
    fn cut(&mut self) {
        if let Some(last) = self.k.checked_sub(1).filter(|last| *last < self.kept.len()) {
            let (_, worst, _) = self.kept.select_nth_unstable_by(last, Neighbour::rank);
            self.floor = Some(*worst);
            self.kept.truncate(self.k);
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        for neighbour in other.kept {
            self.offer(neighbour);
        }
    }

    /// Returns them, the nearest first.
    pub(super) fn into_sorted(mut self) -> Vec<Neighbour> {
        self.kept.sort_unstable_by(Neighbour::rank);
        self.kept.truncate(self.k);
        self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::Shortlist;
    use crate::embeddings::search::Neighbour;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_stay_whatever_the_order(
            scores in prop::collection::vec(0_u8..40, 0..200),
            k in 0_usize..50,
            half in 0_usize..200,
        ) {
            let all: Vec<Neighbour> = scores
                .iter()
                .enumerate()
                .map(|(row, score)| Neighbour { row, score: f32::from(*score) })
                .collect();
            let (mut list, mut other) = (Shortlist::new(k), Shortlist::new(k));
            for (place, neighbour) in all.iter().enumerate() {
                let list = if place < half { &mut list } else { &mut other };
                list.offer(*neighbour);
                if let Some(floor) = list.floor() {
                    let better = all.iter().filter(|other| floor <= other.score).count();
                    prop_assert!(k <= better, "a floor leaves room for all that are wanted");
                }
            }
            list.merge(other);
            let mut expected = all;
            expected.sort_by(Neighbour::rank);
            expected.truncate(k);
            prop_assert_eq!(list.into_sorted(), expected);
        }
    }
}
