//! Spaces as shapes: how alike two are, how one is turned onto the other, and whether two samples come from
//! one.
//!
//! Pure functions of rows, deterministic by their seeds. What makes no sense (too few rows, no spread)
//! gives `None`, never a figure that looks like one. Zero rows and rows with values that are not finite
//! are the caller's to leave out and count.

mod clusters;
mod dense;
mod fit;
mod map;
mod moments;
mod neighbours;
mod null;
mod orders;
mod pairs;
mod partition;
mod plane;
mod scores;
mod shape;
mod similarity;
mod span;

pub mod two_sample;

pub(in crate::embeddings) use dense::square;

pub use clusters::{Clusters, kmeans, usual_clusters};
pub use fit::{
    Direction, HoldOut, centred_procrustes, low_rank, procrustes, ridge, ridge_held_out,
};
pub use map::{InvalidMap, LinearMap, MapKind, MapParts};
pub use moments::Moments;
pub use neighbours::{InDegrees, TwoNearest, in_degrees, two_nearest};
pub use null::{Null, cca_chance, permutation_null, procrustes_chance};
pub use orders::{PairNulls, pair_nulls};
pub use pairs::{MOST_ROWS, PairDistances, cka_rbf, rsa, uniformity};
pub use partition::{Agreement, agreement};
pub use plane::{Plane, pca_plane};
pub use scores::{EqualRate, at, equal_rate, isotonic, quantiles};
pub use shape::{Shape, effective_rank, iso_score, participation_ratio};
pub use similarity::jackknife;
pub use span::in_own_span;

#[cfg(test)]
mod tests;
