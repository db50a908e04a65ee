//! Lists of answers: how alike two of them are, and how good one is by labels.
//!
//! Everything is a pure function of lists in the order of their ranks, the best first, without
//! repetitions. Likeness says that something changed; only labels say whether for the better.

mod correlation;
mod labels;
mod overlap;

pub use correlation::{kendall_of_union, kendall_tau_b, pearson, spearman, weighted_tau};
pub use labels::{
    average_precision, hit, ideal_grades, ndcg, ndcg_burges, precision, r_precision, recall,
    reciprocal_rank, trec_order,
};
pub use overlap::{
    beyond_chance, chance, is_top1_same, jaccard, overlap, overlap_by_depth, rbo_ext, rbo_min,
    rbo_truncated,
};
