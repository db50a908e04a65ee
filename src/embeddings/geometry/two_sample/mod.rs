//! Do two windows of vectors come from one distribution? Tests whose false alarms are what they promise,
//! because each gets its chance from random splits of the windows themselves.
//!
//! Windows are of one space and hold at most [`MOST_WINDOW`] rows each, zero rows and rows that are not
//! finite left out. Repetitions are the caller's to take out: one bot is not drift.

mod classifier;
mod kernel;
mod near;
mod novelty;
mod splits;

pub use classifier::{DomainTest, domain_classifier, logistic, logistic_scores};
pub use kernel::{KernelTest, energy_distance, median_gamma, mmd};
pub use near::{NearTest, nearest_neighbour_test};
pub use novelty::{Novelty, density_gaps, nearest_distances, novelty};

/// The most rows of a window.
pub const MOST_WINDOW: usize = 2_000;

#[cfg(test)]
mod tests;
