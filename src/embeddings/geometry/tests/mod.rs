//! Every figure against what numpy, scipy, scikit-learn, scikit-dimension and `IsoScore` give.

mod chance;
mod fits;

use super::{
    Direction, HoldOut, Moments, PairDistances, Shape, agreement, at, centred_procrustes, cka_rbf,
    effective_rank, equal_rate, in_degrees, iso_score, isotonic, jackknife, kmeans,
    participation_ratio, pca_plane, permutation_null, procrustes, two_nearest, uniformity,
    usual_clusters,
};
use crate::embeddings::fixtures::{Fixture, assert_all_within, assert_within, nearest};
use crate::embeddings::geometry::fit::{explained, least_squares};
use crate::embeddings::ranking::{overlap, rbo_ext};
use crate::embeddings::{Matrix, Rows};
use crate::stats::Random;

fn pairs() -> (Fixture, Matrix, Matrix) {
    let fixture = Fixture::read("pairs_small.json");
    let (a, b) = (fixture.matrix("/A"), fixture.matrix("/B"));
    (fixture, a, b)
}

/// Rows of numbers of −1 to 1.
pub(super) fn noise(rows: usize, dimensions: usize, seed: u64) -> Matrix {
    let mut random = Random::from_seed(seed);
    let values = (0..rows * dimensions).map(|_| {
        let value = 2.0 * random.share() - 1.0;
        super::dense::narrow(value)
    });
    Matrix::new(dimensions, values.collect()).unwrap()
}

#[test]
fn similarities_have_their_reference_values() {
    let (fixture, a, b) = pairs();
    let expected = |name: &str| fixture.number(&format!("/expected/{name}"));
    let moments = Moments::of(&a, &b).unwrap();
    for (ours, name) in [
        (moments.cka_biased(), "cka_linear_biased"),
        (moments.cka_debiased(), "cka_linear_debiased"),
        (
            moments.procrustes_similarity(),
            "procrustes_similarity_nuclear",
        ),
        (moments.procrustes_disparity(), "procrustes_disparity_scipy"),
        (cka_rbf(&a, &b), "cka_rbf_median/biased"),
    ] {
        assert_within(ours.unwrap(), expected(name), 1e-9);
    }
    for (rows, side) in [(&a, "a"), (&b, "b")] {
        let median = PairDistances::euclidean(rows).unwrap().median().unwrap();
        assert_within(
            median,
            expected(&format!("cka_rbf_median/sigma_{side}")),
            1e-9,
        );
    }
    let cosine = |rows: &Matrix| PairDistances::cosine(rows).unwrap();
    let (of_a, of_b) = (cosine(&a), cosine(&b));
    assert_within(
        of_a.spearman(&of_b).unwrap(),
        expected("rsa_cosine/spearman"),
        1e-9,
    );
    assert_within(
        of_a.pearson(&of_b).unwrap(),
        expected("rsa_cosine/pearson"),
        1e-9,
    );
    assert_within(
        of_a.kendall(&of_b).unwrap(),
        expected("rsa_cosine/kendall_tau_b"),
        1e-9,
    );
    let euclidean = |rows: &Matrix| PairDistances::euclidean(rows).unwrap();
    let rho = euclidean(&a).spearman(&euclidean(&b)).unwrap();
    assert_within(rho, expected("rsa_euclidean_spearman"), 1e-9);
}

#[test]
fn canonical_correlations_have_their_reference_values() {
    let (fixture, a, b) = pairs();
    let moments = Moments::of(&a, &b).unwrap();
    let all = moments.canonical(1.0).unwrap();
    let expected = fixture.numbers("/expected/cca_correlations_desc");
    assert_all_within(&all.correlations, &expected, 1e-9);
    let most = moments.canonical(0.99).unwrap();
    let at = "/expected/svcca_0.99";
    assert_eq!(most.axes.0 as u64, fixture.whole(&format!("{at}/k_a")));
    assert_eq!(most.axes.1 as u64, fixture.whole(&format!("{at}/k_b")));
    let expected = fixture.numbers(&format!("{at}/correlations"));
    assert_all_within(&most.correlations, &expected, 1e-9);
    // 48 pairs are too few for 8 and 12 dimensions.
    assert_eq!(moments.cca(), None);
    assert_eq!(moments.svcca(0.99), None);
    let enough = Moments::of(&noise(50, 3, 1), &noise(50, 4, 2)).unwrap();
    assert_eq!(enough.cca().unwrap().len(), 3);
    assert!(enough.svcca(0.99).is_some());
}

fn wide(rows: &Matrix) -> Vec<Vec<f64>> {
    let each = rows.values().chunks_exact(rows.dimensions());
    each.map(|row| row.iter().copied().map(f64::from).collect())
        .collect()
}

#[test]
fn shapes_have_their_reference_values() {
    let (fixture, a, b) = pairs();
    let moments = Moments::of(&a, &b).unwrap();
    for (rows, shape, side) in [(&a, moments.a(), "a"), (&b, moments.b(), "b")] {
        let at = |name: &str| format!("/expected/geometry_{side}/{name}");
        let expected = |name: &str| fixture.number(&at(name));
        let spectrum = shape.spectrum().unwrap();
        let eigenvalues = fixture.numbers(&at("eigenvalues_cov_ddof1"));
        assert_all_within(&spectrum, &eigenvalues, 1e-9);
        for (ours, name) in [
            (shape.mean_norm(), "mean_norm"),
            (shape.mean_pair_cosine(), "mean_pair_cosine"),
            (participation_ratio(&spectrum), "participation_ratio"),
            (effective_rank(&spectrum), "effective_rank_entropy"),
            (uniformity(rows), "uniformity_t2"),
        ] {
            assert_within(ours.unwrap(), expected(name), 1e-9);
        }
        // The value of the file takes items for dimensions: it is of the transposed rows.
        let mut transposed = Shape::exact(rows.len());
        for dimension in 0..rows.dimensions() {
            let values = rows
                .values()
                .iter()
                .skip(dimension)
                .step_by(rows.dimensions());
            let values: Vec<f32> = values.copied().collect();
            transposed.add(&values).unwrap();
        }
        let score = iso_score(&transposed.spectrum().unwrap()).unwrap();
        assert_within(score, expected("isoscore"), 1e-6);
        let local = two_nearest(&two_distances(rows)).unwrap();
        assert_within(local.fitted, expected("twonn_skdim_discard0.1"), 1e-6);
        assert_within(local.likelihood, expected("twonn_mle"), 1e-9);
        assert_within(local.unbiased, expected("twonn_mle_unbiased"), 1e-9);
    }
}

fn two_distances(rows: &Matrix) -> Vec<(f64, f64)> {
    let rows = wide(rows);
    let of = |(place, row): (usize, &Vec<f64>)| {
        let others = rows.iter().enumerate().filter(|(other, _)| *other != place);
        let mut distances: Vec<f64> = others
            .map(|(_, other)| {
                row.iter()
                    .zip(other)
                    .map(|(x, y)| (x - y).powi(2))
                    .sum::<f64>()
                    .sqrt()
            })
            .collect();
        distances.sort_by(f64::total_cmp);
        (distances[0], distances[1])
    };
    rows.iter().enumerate().map(of).collect()
}

#[test]
fn hubs_have_their_reference_values() {
    let (fixture, a, b) = pairs();
    for (rows, side) in [(&a, "a"), (&b, "b")] {
        let degrees = in_degrees(&nearest(rows, 10), 5, rows.len()).unwrap();
        let at = format!("/expected/knn_k5/indegree_skewness_{side}");
        assert_within(degrees.skewness.unwrap(), fixture.number(&at), 1e-9);
        if side == "a" {
            let counts: Vec<f64> = degrees.counts.iter().map(|count| *count as f64).collect();
            assert_eq!(counts, fixture.numbers("/expected/knn_k5/indegree_a"));
            assert_within(degrees.anti_hubs, 2.0 / 48.0, 1e-12);
        }
    }
    assert_eq!(in_degrees(&[], 5, 0), None);
    assert_eq!(in_degrees(&[], 5, 3).unwrap().skewness, None);
}

#[test]
fn partitions_agree_as_elsewhere() {
    let fixture = Fixture::read("pairs_small.json");
    let labels = |side: &str| -> Vec<usize> {
        let labels = fixture.list(&format!("/expected/clusters/labels_{side}"));
        labels
            .iter()
            .map(|label| usize::try_from(label.whole("")).unwrap())
            .collect()
    };
    let ours = agreement(&labels("a"), &labels("b")).unwrap();
    let at = |name: &str| fixture.number(&format!("/expected/clusters/{name}"));
    assert_within(ours.adjusted_rand, at("ari"), 1e-9);
    assert_within(ours.normalised_information, at("nmi_arithmetic"), 1e-9);
    assert_within(ours.normalised_information, at("v_measure"), 1e-9);
    assert_within(ours.adjusted_information, at("ami"), 1e-9);
    let same = agreement(&[3, 3, 3], &[0, 0, 0]).unwrap();
    assert_within(same.adjusted_information, 1.0, 0.0);
    let apart = agreement(&[0, 0, 0], &[0, 1, 1]).unwrap();
    assert_within(apart.adjusted_rand, 0.0, 1e-12);
    assert_within(apart.normalised_information, 0.0, 1e-12);
    assert_eq!(agreement(&[], &[]), None);
    assert_eq!(agreement(&[1], &[1, 2]), None);
}

#[test]
fn real_vectors_have_their_reference_values() {
    let fixture = Fixture::read("real_minilm_64.json");
    let (a, b) = (fixture.base64("/a_b64", 48), fixture.base64("/b_b64", 64));
    let moments = Moments::of(&a, &b).unwrap();
    let expected = |name: &str| fixture.number(&format!("/expected/{name}"));
    for (ours, name) in [
        (moments.cka_debiased(), "cka_linear_debiased"),
        (moments.cka_biased(), "cka_linear_biased"),
        (
            moments.procrustes_similarity(),
            "procrustes_similarity_nuclear",
        ),
    ] {
        assert_within(ours.unwrap(), expected(name), 1e-6);
    }
    let cosine = |rows: &Matrix| PairDistances::cosine(rows).unwrap();
    let rho = cosine(&a).spearman(&cosine(&b)).unwrap();
    assert_within(rho, expected("rsa_cosine_spearman"), 1e-6);
    let (of_a, of_b) = (nearest(&a, 10), nearest(&b, 10));
    for k in [5, 10] {
        let lists = of_a.iter().zip(&of_b);
        let each: Vec<f64> = lists.clone().map(|(a, b)| overlap(a, b, k)).collect();
        assert_eq!(
            each,
            fixture.numbers(&format!("/expected/k{k}/overlap_per_item"))
        );
        let rbo: f64 = lists.map(|(a, b)| rbo_ext(&a[..k], &b[..k], 0.9)).sum();
        assert_within(
            rbo / 64.0,
            expected(&format!("k{k}/rbo_ext_p0.9_mean")),
            1e-6,
        );
    }
}

#[test]
fn a_turned_space_is_the_same_space() {
    let a = noise(60, 4, 7);
    // A quarter turn in two planes, scaled and moved.
    let turned = a.values().chunks_exact(4).flat_map(|row| {
        [
            -row[1] * 3.0 + 1.0,
            row[0] * 3.0,
            row[3] * 3.0 - 2.0,
            -row[2] * 3.0,
        ]
    });
    let b = Matrix::new(4, turned.collect()).unwrap();
    let moments = Moments::of(&a, &b).unwrap();
    assert_within(moments.cka_debiased().unwrap(), 1.0, 1e-6);
    assert_within(moments.procrustes_similarity().unwrap(), 1.0, 1e-6);
    assert!(moments.procrustes_similarity_uncentred().unwrap() < 1.0);
    assert_within(moments.ridge_r2(0.0).unwrap()[0], 1.0, 1e-6);
    let plane = pca_plane(&a, &b).unwrap();
    for (a, b) in plane.a.iter().zip(&plane.b) {
        assert_all_within(a, b, 1e-5);
    }
    assert!(0.5 < plane.shown && plane.shown < 1.0);
}

#[test]
fn moments_add_up() {
    let (a, b) = (noise(57, 5, 1), noise(57, 3, 2));
    let whole = Moments::of(&a, &b).unwrap();
    let mut left = Moments::exact(5, 3);
    left.add(&a.values()[..100], &b.values()[..60]).unwrap();
    let mut right = Moments::exact(5, 3);
    right.add(&a.values()[100..], &b.values()[60..]).unwrap();
    let mut both = left.clone();
    both.merge(&right).unwrap();
    assert_eq!(both.count(), 57);
    let figures = |moments: &Moments| {
        [
            moments.cka_debiased(),
            moments.hsic_debiased(),
            moments.procrustes_similarity(),
        ]
        .map(Option::unwrap)
    };
    assert_all_within(&figures(&both), &figures(&whole), 1e-12);
    both.remove(&right).unwrap();
    assert_all_within(&figures(&both), &figures(&left), 1e-12);
    let mut fast = Moments::new(5, 3);
    fast.add(a.values(), b.values()).unwrap();
    assert_all_within(&figures(&fast), &figures(&whole), 1e-5);
    assert_eq!(left.add(&[0.0; 5], &[0.0; 6]), None);
    assert_eq!(left.add(&[0.0; 4], &[0.0; 3]), None);
    assert_eq!(left.merge(&Moments::new(5, 4)), None);
    assert_eq!(left.remove(&whole), None);
    assert_eq!(left.count(), 20);
}

#[test]
fn folds_give_the_error_of_a_figure() {
    let (a, b) = (noise(120, 4, 1), noise(120, 4, 2));
    let folds: Vec<Moments> = (0..6)
        .map(|fold| {
            let range = fold * 80..(fold + 1) * 80;
            let mut moments = Moments::exact(4, 4);
            moments
                .add(&a.values()[range.clone()], &b.values()[range])
                .unwrap();
            moments
        })
        .collect();
    let whole = Moments::of(&a, &b).unwrap();
    let (value, error) = jackknife(&folds, |moments| moments.a().mean_norm()).unwrap();
    assert_within(value, whole.a().mean_norm().unwrap(), 1e-9);
    // Of a mean over equal folds, it is the standard error of the folds' means.
    let means: Vec<f64> = folds
        .iter()
        .map(|fold| fold.a().mean_norm().unwrap())
        .collect();
    assert_within(error, crate::stats::standard_error(&means).unwrap(), 1e-9);
    assert_eq!(jackknife(&folds[..1], Moments::cka_debiased), None);
    assert_eq!(HoldOut::of(folds[..2].to_vec()), None);
    let held_out = HoldOut::of(folds).unwrap();
    let [a_to_b, b_to_a] = held_out.ridge_r2().unwrap();
    assert!(
        a_to_b.abs() < 0.3 && b_to_a.abs() < 0.3,
        "{a_to_b} {b_to_a}"
    );
    let together = held_out.whole().unwrap();
    assert_within(
        together.cka_debiased().unwrap(),
        whole.cka_debiased().unwrap(),
        1e-9,
    );
    let fit = least_squares(&whole, Direction::AToB, 1.0).unwrap();
    assert!(explained(&whole, &fit, Direction::AToB).unwrap() >= 0.0);
}

#[test]
fn scores_without_relation_are_their_own_null() {
    let (a, b) = (noise(60, 6, 1), noise(60, 5, 2));
    let null = permutation_null(&a, &b, 60, 1, Moments::cka_biased).unwrap();
    assert!(null.p_value > 0.02, "{null:?}");
    assert!(null.mean > 0.02 && null.high > null.mean, "{null:?}");
    let null = permutation_null(&a, &a, 60, 1, Moments::cka_biased).unwrap();
    assert_within(null.p_value, 1.0 / 61.0, 1e-12);
    assert_eq!(permutation_null(&a, &b, 0, 1, Moments::cka_biased), None);
}

#[test]
fn many_pairs_are_ranked_as_few() {
    let (a, b) = (noise(530, 3, 1), noise(530, 3, 2));
    let both: Vec<f32> = a
        .values()
        .chunks_exact(3)
        .zip(b.values().chunks_exact(3))
        .flat_map(|(a, b)| [a[0], a[1], b[2]])
        .collect();
    let b = Matrix::new(3, both).unwrap();
    let cosine = |rows: &Matrix| PairDistances::cosine(rows).unwrap();
    let (of_a, of_b) = (cosine(&a), cosine(&b));
    let slow = crate::embeddings::ranking::spearman(&of_a.wide(), &of_b.wide()).unwrap();
    assert_within(of_a.spearman(&of_b).unwrap(), slow, 1e-12);
}

#[test]
fn clusters_are_found_and_repeat() {
    let mut random = Random::from_seed(4);
    let centres = [[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]];
    let values = (0..90).flat_map(|row| {
        let centre: [f64; 2] = centres[row % 3];
        centre.map(|value| super::dense::narrow(value + random.share()))
    });
    let rows = Matrix::new(2, values.collect()).unwrap();
    let clusters = kmeans(&rows, 3, 1);
    assert_eq!(clusters, kmeans(&rows, 3, 1));
    assert_eq!(clusters.sizes, [30, 30, 30]);
    let truth: Vec<usize> = (0..90).map(|row| row % 3).collect();
    let found = agreement(&clusters.labels, &truth).unwrap();
    assert_within(found.adjusted_rand, 1.0, 1e-12);
    assert!(clusters.spread < 0.3, "{}", clusters.spread);
    assert_eq!(clusters.nearest(&rows).unwrap(), clusters.labels);
    assert_eq!(clusters.nearest(&noise(2, 3, 1)), None);
    let alike = Matrix::new(2, vec![1.0; 20]).unwrap();
    assert_eq!(kmeans(&alike, 4, 1).sizes, [10]);
    assert_eq!(kmeans(&rows, 0, 1).labels.len(), 0);
    assert_eq!(kmeans(&Matrix::default(), 3, 1).labels.len(), 0);
    assert_eq!([0, 50, 1_000_000].map(usual_clusters), [1, 5, 200]);
    // More rows than the centres are fitted on.
    let many = kmeans(&noise(300, 2, 9), 2, 1);
    assert_eq!(many.sizes.iter().sum::<usize>(), 300);
}

#[test]
fn a_line_that_never_falls_pools_what_does() {
    let line = isotonic(&[
        (1.0, 1.0),
        (2.0, 3.0),
        (3.0, 2.0),
        (4.0, 4.0),
        (4.0, 6.0),
        (f64::NAN, 0.0),
    ]);
    assert_eq!(line, [(1.0, 1.0), (2.0, 2.5), (3.0, 2.5), (4.0, 5.0)]);
    for (x, y) in [(0.0, 1.0), (1.5, 1.75), (2.5, 2.5), (4.0, 5.0), (9.0, 5.0)] {
        assert_within(at(&line, x).unwrap(), y, 1e-12);
    }
    assert_eq!(at(&[], 1.0), None);
    assert_eq!(isotonic(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]).len(), 3);
}

#[test]
fn thresholds_let_through_as_many() {
    // Three times the same two queries: fewer would say nothing of how far it may be off.
    let thrice = |lists: [[f32; 3]; 2]| {
        let lists = lists.map(|list| list.to_vec());
        vec![lists; 3].concat()
    };
    let a = thrice([[0.9, 0.6, 0.3], [0.8, 0.5, 0.2]]);
    let b = thrice([[0.7, 0.4, 0.1], [0.65, 0.35, 0.05]]);
    let rows = equal_rate(&a, &b, &[0.5, 0.95, 0.0], 200, 1).unwrap();
    assert_within(rows[0].b.unwrap(), 0.35, 1e-6);
    assert_within(rows[0].per_query, 2.0, 1e-12);
    assert_within(rows[0].per_query_unchanged, 1.0, 1e-12);
    let [low, high] = rows[0].b_interval.unwrap();
    assert!(low <= 0.35 + 1e-6 && 0.35 <= high + 1e-6, "{low} {high}");
    assert_eq!((rows[1].b, rows[1].b_interval), (None, None));
    assert_within(rows[2].b.unwrap(), 0.05, 1e-6);
    // Only three of the six queries reach 0.85, and five queries are too few for anything.
    let rows = equal_rate(&a, &b, &[0.85], 200, 1).unwrap();
    assert!(rows[0].b.is_some() && rows[0].b_interval.is_none());
    let rows = equal_rate(&a[..5], &b[..5], &[0.5], 200, 1).unwrap();
    assert!(rows[0].b.is_some() && rows[0].b_interval.is_none());
    assert_eq!(equal_rate(&a, &b[..1], &[0.5], 10, 1), None);
    assert_eq!(equal_rate(&[], &[], &[0.5], 10, 1), None);
    assert_eq!(
        equal_rate(&[vec![f32::NAN]], &[vec![0.0]], &[0.5], 10, 1),
        None
    );
}

#[test]
fn nonsense_has_no_figure() {
    let empty = Moments::new(2, 2);
    for figure in [
        Moments::cka_debiased,
        Moments::cka_biased,
        Moments::procrustes_similarity,
        Moments::procrustes_similarity_uncentred,
        Moments::hsic_debiased,
    ] {
        assert_eq!(figure(&empty), None);
    }
    let flat = Matrix::new(2, vec![1.0; 20]).unwrap();
    let alike = Moments::of(&flat, &noise(10, 2, 1)).unwrap();
    assert_eq!(alike.cka_biased(), None);
    assert_eq!(alike.procrustes_similarity(), None);
    assert_eq!(alike.ridge_r2(0.0), None);
    assert_eq!(alike.ridge_r2(f64::NAN), None);
    assert_eq!(pca_plane(&flat, &flat), None);
    assert_eq!(participation_ratio(&[0.0, 0.0]), None);
    assert_eq!(effective_rank(&[0.0, 0.0]), None);
    assert_eq!(iso_score(&[1.0]), None);
    assert_eq!(uniformity(&Matrix::new(2, vec![0.0; 8]).unwrap()), None);
    assert_eq!(cka_rbf(&flat, &flat), None);
    assert_eq!(two_nearest(&[(1.0, 1.0); 20]), None);
    assert_eq!(procrustes(&flat, &noise(9, 2, 1)), None);
    assert_eq!(
        centred_procrustes(&Matrix::default(), &Matrix::default()),
        None
    );
    let mut broken = Shape::new(1);
    broken.add(&[f32::NAN, 1.0]).unwrap();
    assert_eq!(broken.mean(), None);
    assert_eq!(broken.mean_norm(), None);
    assert_eq!(broken.spectrum(), None);
}
