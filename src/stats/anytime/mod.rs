//! Tests that may be looked at after every call.
//!
//! An ordinary test holds its promise for one look at the end. A z-test looked at every hundred calls
//! raises a false alarm in four of ten comparisons of a version with itself; these stay below α however
//! often one looks. Two forms: a confidence sequence is an interval that holds the truth at *all* times
//! with probability 1 − α; an e-value is evidence against a hypothesis, and 1/α of it is enough at any
//! time.
//!
//! Which one: [`BlockProcess`] to take a canary back, [`non_inferiority_evidence`] to promote it,
//! [`mcnemar_evidence`] for shadow traffic, which is paired, [`MeanBet`] for pairs with a margin or with
//! scores, [`beta_binomial_sequence`] for one rate and [`mean_sequence`] for a mean. Those are exact. The others rest on many data: with a plug-in variance and a small arm near 95 % they
//! were seen to raise 20 % of false alarms instead of 5; feed them [`smoothed_variance`].

mod bernstein;
mod bets;
mod block;
mod evidence;
mod martingale;
mod release;
mod sequence;

pub use bernstein::BernsteinSequence;
pub use bets::{MeanBet, mean_sequence};
pub use block::{BlockProcess, Direction};
pub use evidence::{
    LikelihoodRatio, ToPromote, likelihood_ratio, mcnemar_evidence, mcnemar_regression_evidence,
    mixture_ratio, mixture_reach, non_inferiority_evidence,
};
pub use martingale::{SimpleMixture, power_martingale};
pub use release::{Release, Step, release_step};
pub use sequence::{
    asymptotic_reach, asymptotic_sequence, beta_binomial_evidence, beta_binomial_sequence,
    hoeffding_reach, hoeffding_sequence, smoothed_variance, tuned_rho,
};

/// Evidence from its logarithm; more than a number can hold is the largest one, which JSON can carry.
fn evidence_of(ln_evidence: f64) -> f64 {
    ln_evidence.exp().min(f64::MAX)
}
