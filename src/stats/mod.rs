//! Statistics: how sure a figure is, whether two versions differ, and how many cases would decide.
//!
//! Everything is a pure function of numbers; chance comes from a seed. What makes no sense (no cases,
//! more successes than trials, a value that is not finite, a confidence of 1) gives `None`, never a
//! figure that looks like one. Differences are always candidate − baseline.

mod interval;
mod random;

mod distributions;
mod special;

mod bootstrap;
mod proportion;
mod sample;

#[cfg(test)]
mod testing;

pub use bootstrap::{RESAMPLES, bootstrap_bca, bootstrap_percentile};
pub use distributions::{normal_cdf, normal_quantile};
pub use interval::{Estimate, Interval};
pub use proportion::{bootstrap_share, clopper_pearson, jeffreys, upper_bound_exact, wilson};
pub use random::Random;
pub use sample::{
    Clustered, Repeats, average_repeats, clustered, mean, pass_at_k, pass_hat_k, standard_error,
    t_interval, variance,
};
