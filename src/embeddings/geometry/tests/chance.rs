//! What unrelated spaces score, by orders and by formula.

use super::{noise, pairs};
use crate::embeddings::geometry::{
    Moments, PairDistances, cca_chance, pair_nulls, permutation_null, procrustes_chance,
};
use crate::embeddings::{Matrix, Rows};
use crate::stats::mean;

/// Every value and a little of its own.
fn near(rows: &Matrix, by: f32, seed: u64) -> Matrix {
    let more = noise(rows.len(), rows.dimensions(), seed);
    let values = rows.values().iter().zip(more.values());
    Matrix::new(rows.dimensions(), values.map(|(x, y)| x + by * y).collect()).unwrap()
}

#[test]
fn scores_over_pairs_are_those_that_are_computed_otherwise() {
    let (_, a, b) = pairs();
    let nulls = pair_nulls(&a, &b, 60, 1).unwrap();
    let moments = Moments::of(&a, &b).unwrap();
    assert!((nulls.cka.score - moments.cka_debiased().unwrap()).abs() < 1e-9);
    let [of_a, of_b] = [&a, &b].map(|rows| PairDistances::cosine(rows).unwrap());
    assert!((nulls.rsa.score - of_a.spearman(&of_b).unwrap()).abs() < 1e-9);
    let slow = permutation_null(&a, &b, 300, 1, Moments::cka_debiased).unwrap();
    assert!(
        (nulls.cka.high - slow.high).abs() < 0.03,
        "{nulls:?} {slow:?}"
    );
    assert!(
        nulls.cka.mean.abs() < 0.02 && nulls.rsa.mean.abs() < 0.02,
        "{nulls:?}"
    );
}

#[test]
fn an_order_says_whether_a_score_is_chance() {
    // More than are computed in doubles.
    let rows = noise(600, 6, 1);
    let related = pair_nulls(&rows, &near(&rows, 1.0, 2), 40, 3).unwrap();
    assert!(related.cka.p_value < 0.03 && related.rsa.p_value < 0.03);
    assert!(related.cka.high < related.cka.score && 0.2 < related.rsa.score);
    let unrelated = pair_nulls(&rows, &noise(600, 8, 4), 40, 3).unwrap();
    assert!(
        unrelated.cka.score.abs() < 0.05 && unrelated.cka.high < 0.05,
        "{unrelated:?}"
    );
    assert_eq!(pair_nulls(&rows, &noise(599, 6, 1), 40, 3), None);
    assert_eq!(pair_nulls(&rows, &rows, 0, 3), None);
    assert_eq!(pair_nulls(&noise(4, 2, 1), &noise(4, 2, 2), 9, 3), None);
}

#[test]
fn the_chance_of_procrustes_and_cca_is_what_unrelated_rows_score() {
    let [a, b] = [noise(1_200, 20, 1), noise(1_200, 30, 2)];
    let moments = Moments::of(&a, &b).unwrap();
    let sample = |rows: &Matrix| {
        let values = rows.values().iter().take(300 * rows.dimensions());
        Matrix::new(rows.dimensions(), values.copied().collect()).unwrap()
    };
    let chance = procrustes_chance(&sample(&a), &sample(&b), (3, 5), 1_200).unwrap();
    let scored = moments.procrustes_similarity().unwrap();
    assert!((chance / scored - 1.0).abs() < 0.12, "{chance} {scored}");
    let chance = cca_chance([30, 20], 1_200).unwrap();
    let scored = moments.cca().and_then(|all| mean(&all)).unwrap();
    assert!((chance / scored - 1.0).abs() < 0.12, "{chance} {scored}");
    assert_eq!(cca_chance([20, 30], 51), None);
    assert_eq!(cca_chance([0, 3], 51), None);
}
