//! How good a list is by labels, query by query, as `trec_eval` and `ranx` count.
//!
//! `grades` are those of a list's items in the order of their ranks: 0 for what nobody labelled, and what
//! is above 0 is relevant. A query without anything relevant has no figure: leave it out.

/// Returns the items of a run in the order of `trec_eval`: the highest score first, and of equal scores the later
/// name first.
#[must_use]
pub fn trec_order<T: Ord + Clone>(run: &[(T, f64)]) -> Vec<T> {
    let mut ordered: Vec<&(T, f64)> = run.iter().collect();
    ordered.sort_by(|one, other| {
        let by_score = other.1.total_cmp(&one.1);
        by_score.then_with(|| other.0.cmp(&one.0))
    });
    ordered.into_iter().map(|(name, _)| name.clone()).collect()
}

/// Returns the grades of all that is relevant to a query, the highest first: the list that could not be
/// better.
#[must_use]
pub fn ideal_grades(grades: &[f64]) -> Vec<f64> {
    let mut ideal: Vec<f64> = grades
        .iter()
        .copied()
        .filter(|grade| is_relevant(*grade))
        .collect();
    ideal.sort_unstable_by(|one, other| other.total_cmp(one));
    ideal
}

/// Returns the share of the first `k` that is relevant; places that the list does not fill are not. `None`
/// with a `k` of 0.
#[must_use]
pub fn precision(grades: &[f64], k: usize) -> Option<f64> {
    (k > 0).then(|| relevant_in(grades, k) / k as f64)
}

/// Returns the share of all `relevant` items that stands among the first `k`. `None` when there are none.
#[must_use]
pub fn recall(grades: &[f64], relevant: usize, k: usize) -> Option<f64> {
    (relevant > 0).then(|| relevant_in(grades, k) / relevant as f64)
}

/// Returns the precision among as many as are relevant. `None` when there are none.
#[must_use]
pub fn r_precision(grades: &[f64], relevant: usize) -> Option<f64> {
    precision(grades, relevant)
}

/// Returns whether something relevant stands among the first `k` (success@k).
#[must_use]
pub fn hit(grades: &[f64], k: usize) -> bool {
    grades.iter().take(k).any(|grade| is_relevant(*grade))
}

/// Returns one over the first rank of something relevant, 0 when there is none among the first `k`; its
/// mean is MRR@k.
#[must_use]
pub fn reciprocal_rank(grades: &[f64], k: usize) -> f64 {
    let first = grades.iter().take(k).position(|grade| is_relevant(*grade));
    first.map_or(0.0, |place| 1.0 / (place + 1) as f64)
}

/// Returns the mean of the precisions at the ranks of what is relevant, among the first `k`; what is not
/// found counts 0. Its mean is MAP@k. `None` when nothing is relevant.
#[must_use]
pub fn average_precision(grades: &[f64], relevant: usize, k: usize) -> Option<f64> {
    if relevant == 0 {
        return None;
    }
    let (mut found, mut sum) = (0.0, 0.0);
    for (grade, rank) in grades.iter().take(k).zip(1_u32..) {
        if is_relevant(*grade) {
            found += 1.0;
            sum += found / f64::from(rank);
        }
    }
    Some(sum / relevant as f64)
}

/// Returns nDCG@k with the grade as gain and a discount of log₂(rank + 1) (Järvelin and Kekäläinen, 2002).
///
/// It is over that of the `ideal` grades, which need no order: 0 to 1. `None` when nothing is relevant, or
/// with a `k` of 0.
#[must_use]
pub fn ndcg(grades: &[f64], ideal: &[f64], k: usize) -> Option<f64> {
    normalised(grades, ideal, k, |grade| grade)
}

/// Returns nDCG@k with a gain of 2^grade − 1 (Burges and others, 2005). `None` as for [`ndcg`].
#[must_use]
pub fn ndcg_burges(grades: &[f64], ideal: &[f64], k: usize) -> Option<f64> {
    normalised(grades, ideal, k, |grade| grade.exp2() - 1.0)
}

fn normalised(grades: &[f64], ideal: &[f64], k: usize, gain: fn(f64) -> f64) -> Option<f64> {
    let best = discounted(&ideal_grades(ideal), k, gain);
    let share = discounted(grades, k, gain) / best;
    (best > 0.0 && share.is_finite()).then_some(share)
}

fn discounted(grades: &[f64], k: usize, gain: fn(f64) -> f64) -> f64 {
    let ranked = grades.iter().take(k).zip(2_u32..);
    let gains = ranked.map(|(grade, place)| {
        if is_relevant(*grade) {
            gain(*grade) / f64::from(place).log2()
        } else {
            0.0
        }
    });
    gains.sum()
}

fn relevant_in(grades: &[f64], k: usize) -> f64 {
    let first = grades.iter().take(k);
    first.filter(|grade| is_relevant(**grade)).count() as f64
}

fn is_relevant(grade: f64) -> bool {
    grade > 0.0
}

#[cfg(test)]
mod tests {
    use super::{
        average_precision, hit, ideal_grades, ndcg, ndcg_burges, precision, r_precision, recall,
        reciprocal_rank, trec_order,
    };
    use crate::embeddings::fixtures::{Fixture, assert_within};
    use crate::stats::{
        Pairs, bootstrap_bca, bootstrap_percentile, clopper_pearson, paired_t, sign_flip, wilson,
    };
    use std::collections::BTreeMap;

    /// The figures of each query of a run, by name.
    fn figures(fixture: &Fixture, run: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
        let mut all: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
        for (query, scores) in fixture.maps(run) {
            let labels = &fixture.maps("/qrels")[&query];
            let run: Vec<(String, f64)> = scores.into_iter().collect();
            let order = trec_order(&run);
            let grade = |name: &String| labels.get(name).copied().unwrap_or(0.0);
            let grades: Vec<f64> = order.iter().map(grade).collect();
            let ideal = ideal_grades(&labels.values().copied().collect::<Vec<f64>>());
            let relevant = ideal.len();
            let mut put = |name: &str, value: f64| {
                all.entry(name.to_owned())
                    .or_default()
                    .insert(query.clone(), value);
            };
            for k in [5, 10, 20] {
                put(&format!("precision@{k}"), precision(&grades, k).unwrap());
                put(
                    &format!("recall@{k}"),
                    recall(&grades, relevant, k).unwrap(),
                );
                put(&format!("ndcg@{k}"), ndcg(&grades, &ideal, k).unwrap());
            }
            put("ndcg_burges@10", ndcg_burges(&grades, &ideal, 10).unwrap());
            put("mrr@10", reciprocal_rank(&grades, 10));
            for k in [1, 5] {
                put(
                    &format!("hit_rate@{k}"),
                    f64::from(u8::from(hit(&grades, k))),
                );
            }
            let map = average_precision(&grades, relevant, 20);
            put("map@20", map.unwrap());
            put("r-precision", r_precision(&grades, relevant).unwrap());
        }
        all
    }

    #[test]
    fn figures_are_those_of_others() {
        let fixture = Fixture::read("retrieval_metrics.json");
        let tolerance = fixture.number("/tolerance_abs");
        for (side, run) in [("A", "/run_a"), ("B", "/run_b")] {
            let ours = figures(&fixture, run);
            let theirs = fixture.maps(&format!("/per_query/{side}"));
            let means = fixture.map(&format!("/means/{side}"));
            assert_eq!(theirs.len(), means.len());
            for (metric, queries) in theirs {
                let ours = &ours[&metric];
                for (query, value) in queries {
                    assert_within(ours[&query], value, tolerance);
                }
                let mean = ours.values().sum::<f64>() / ours.len() as f64;
                assert_within(mean, means[&metric], tolerance);
            }
        }
    }

    #[test]
    fn differences_are_tested_as_elsewhere() {
        let fixture = Fixture::read("retrieval_metrics.json");
        let (a, b) = (figures(&fixture, "/run_a"), figures(&fixture, "/run_b"));
        for metric in ["ndcg@10", "recall@10", "mrr@10"] {
            let at = |name: &str| fixture.number(&format!("/paired/{metric}/{name}"));
            let ends = |name: &str| fixture.numbers(&format!("/paired/{metric}/{name}"));
            let differences: Vec<f64> = b[metric]
                .iter()
                .map(|(query, value)| value - a[metric][query])
                .collect();
            let paired = paired_t(&differences, 0.95).unwrap();
            assert_within(paired.mean.value, at("mean_diff_b_minus_a"), 1e-9);
            let deviation = crate::stats::variance(&differences).unwrap().sqrt();
            assert_within(deviation, at("sd_diff_ddof1"), 1e-9);
            assert_within(paired.t.unwrap(), at("t"), 1e-8);
            assert_within(paired.p_value, at("p_t_two_sided"), 1e-8);
            assert_within(paired.mean.interval.low, ends("ci95_t")[0], 1e-8);
            assert_within(paired.mean.interval.high, ends("ci95_t")[1], 1e-8);
            let flipped = sign_flip(&differences, 1).unwrap();
            assert_within(flipped.p_value, at("p_signflip_exact_two_sided"), 1e-9);
            let count = |test: fn(f64) -> bool| {
                differences
                    .iter()
                    .filter(|difference| test(**difference))
                    .count() as f64
            };
            assert_within(count(|d| d > 1e-12), at("wins_b"), 0.0);
            assert_within(count(|d| d < -1e-12), at("losses_b"), 0.0);
            // Ten thousand resamples instead of 200 000: more room than the file gives.
            let room = 3.0 * at("bootstrap_tolerance_abs");
            for (ours, name) in [
                (bootstrap_percentile(&differences, 0.95, 5), "percentile"),
                (bootstrap_bca(&differences, 0.95, 5), "bca"),
            ] {
                let (ours, ends) = (ours.unwrap(), ends(&format!("ci95_bootstrap_{name}_200k")));
                assert_within(ours.low, ends[0], room);
                assert_within(ours.high, ends[1], room);
            }
        }
    }

    #[test]
    fn shares_have_the_intervals_of_others() {
        let fixture = Fixture::read("retrieval_metrics.json");
        let at = |name: &str| fixture.whole(&format!("/paired/hit_rate@1_mcnemar_exact/{name}"));
        let pairs = Pairs {
            regressed: at("lost"),
            improved: at("gained"),
            total: 14,
        };
        let p = fixture.number("/paired/hit_rate@1_mcnemar_exact/p_two_sided");
        assert_within(pairs.mcnemar_exact().unwrap(), p, 1e-9);
        for case in fixture.list("/proportion_intervals") {
            let (x, n) = (case.whole("/x"), case.whole("/n"));
            for (ours, name) in [
                (wilson(x, n, 0.95), "/wilson95"),
                (clopper_pearson(x, n, 0.95), "/clopper_pearson95"),
            ] {
                let (ours, ends) = (ours.unwrap(), case.numbers(name));
                assert_within(ours.low, ends[0], 1e-9);
                assert_within(ours.high, ends[1], 1e-9);
            }
        }
    }

    #[test]
    fn equal_scores_come_in_the_order_of_trec() {
        let run = [("d1", 0.5), ("d3", 0.5), ("d2", 0.9)];
        assert_eq!(trec_order(&run), ["d2", "d3", "d1"]);
    }

    #[test]
    fn without_anything_relevant_there_is_no_figure() {
        assert_eq!(precision(&[1.0], 0), None);
        assert_eq!(recall(&[0.0], 0, 5), None);
        assert_eq!(r_precision(&[0.0], 0), None);
        assert_eq!(average_precision(&[0.0], 0, 5), None);
        assert_eq!(ndcg(&[0.0], &[0.0], 5), None);
        assert_eq!(ndcg(&[1.0], &[1.0], 0), None);
        assert_eq!(ndcg_burges(&[], &[], 5), None);
        assert!(!hit(&[], 5));
        assert!(reciprocal_rank(&[0.0, 1.0], 1).abs() < 1e-12);
    }
}
