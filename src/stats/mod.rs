//! Statistics: how sure a figure is, whether two versions differ, and how many cases would decide.
//!
//! Everything is a pure function of numbers; chance comes from a seed. What makes no sense (no cases,
//! more successes than trials, a value that is not finite, a confidence of 1) gives `None`, never a
//! figure that looks like one. Differences are always candidate − baseline.

mod interval;
mod random;
mod ratio;

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
mod verdict;

mod agreement;
mod judge;

mod charts;
mod conformal;
mod drift;
mod fairness;
mod ranks;
mod stability;

pub mod anytime;

pub use agreement::{Kappa, Weights, cohen_kappa, gwet_ac1, krippendorff_nominal};
pub use bootstrap::{RESAMPLES, bootstrap_bca, bootstrap_percentile};
pub use charts::{Chart, Normal, SmoothedChart, cusum_low, ewma, p_chart, page_hinkley};
pub use conformal::conformal_p_values;
pub use differences::{
    PairedT, SignFlip, Wilcoxon, clustered_difference, paired_t, sign_flip, wilcoxon_exact,
};
pub use distributions::{normal_cdf, normal_quantile};
pub use drift::{
    KolmogorovSmirnov, chi_square_homogeneity, hellinger, jensen_shannon, kolmogorov_smirnov,
    kullback_leibler, psi, psi_by_chance, psi_threshold, standardised_wasserstein, total_variation,
    wasserstein,
};
pub use fairness::{
    Disparity, FOUR_FIFTHS, FlipRate, Flips, Odds, against_rest, demographic_parity,
    equal_opportunity, equalised_odds, flip_rate,
};
pub use interval::{Estimate, Interval};
pub use judge::{
    Confusion, Correction, PredictionPowered, Trust, WEAKEST_JUDGE, prediction_powered,
    rogan_gladen,
};
pub use multiplicity::{benjamini_hochberg, bonferroni, holm};
pub use pairs::{ChiSquare, FEWEST_DISCORDANT, PairedTable, Pairs};
pub use power::{
    Errors, ScoreNoise, connor_cases, detectable_difference, detectable_mean_difference,
    miller_cases, non_inferiority_cases, unpaired_cases, whole_cases,
};
pub use proportion::{bootstrap_share, clopper_pearson, jeffreys, upper_bound_exact, wilson};
pub use random::Random;
pub use ranks::{MannWhitney, average_ranks, mann_whitney};
pub use ratio::{quantile, ratio_of_means, ratio_of_quantiles, slope};
pub use sample::{
    Clustered, Repeats, average_repeats, clustered, mean, pass_at_k, pass_hat_k, standard_error,
    t_interval, variance,
};
pub use stability::{Stability, stability};
pub use unpaired::{Passed, Welch, fisher_exact, fisher_worse, newcombe_hybrid, welch};
pub use verdict::{
    Change, Verdict, needed_differences, needed_pairs, verdict_of_differences, verdict_of_estimate,
    verdict_of_pairs,
};

#[cfg(test)]
mod testing;
