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

mod differences;
mod pairs;
mod unpaired;

mod multiplicity;
mod power;

#[cfg(test)]
mod testing;

pub use bootstrap::{RESAMPLES, bootstrap_bca, bootstrap_percentile};
pub use differences::{
    PairedT, SignFlip, Wilcoxon, clustered_difference, paired_t, sign_flip, wilcoxon_exact,
};
pub use distributions::{normal_cdf, normal_quantile};
pub use interval::{Estimate, Interval};
pub use multiplicity::{benjamini_hochberg, bonferroni, holm};
pub use pairs::{ChiSquare, FEWEST_DISCORDANT, PairedTable, Pairs};
pub use power::{
    Errors, ScoreNoise, connor_cases, detectable_difference, detectable_mean_difference,
    miller_cases, non_inferiority_cases, unpaired_cases, whole_cases,
};
pub use proportion::{bootstrap_share, clopper_pearson, jeffreys, upper_bound_exact, wilson};
pub use random::Random;
pub use sample::{
    Clustered, Repeats, average_repeats, clustered, mean, pass_at_k, pass_hat_k, standard_error,
    t_interval, variance,
};
pub use unpaired::{Passed, Welch, fisher_exact, fisher_worse, newcombe_hybrid, welch};
