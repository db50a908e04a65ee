//! Every test against what scipy and scikit-learn give, and its promise on quiet windows.

use super::{
    density_gaps, domain_classifier, energy_distance, logistic, logistic_scores, median_gamma, mmd,
    nearest_neighbour_test, novelty,
};
use crate::embeddings::fixtures::{Fixture, assert_all_within, assert_within};
use crate::embeddings::geometry::Shape;
use crate::embeddings::geometry::dense::narrow;
use crate::embeddings::{Matrix, Rows};
use crate::stats::anytime::{SimpleMixture, power_martingale};
use crate::stats::{
    Normal, Random, benjamini_hochberg, conformal_p_values, cusum_low, ewma, jensen_shannon,
    kolmogorov_smirnov, mann_whitney, psi, quantile, wasserstein,
};

fn windows() -> (Fixture, Matrix, Matrix) {
    let fixture = Fixture::read("drift_small.json");
    let (reference, current) = (fixture.matrix("/reference"), fixture.matrix("/current"));
    (fixture, reference, current)
}

/// Rows around a point, normal enough.
fn cloud(rows: usize, centre: &[f64], random: &mut Random) -> Vec<f32> {
    let values = (0..rows).flat_map(|_| centre.to_vec());
    values
        .map(|value| {
            let sum: f64 = (0..4).map(|_| random.share() - 0.5).sum();
            narrow(value + sum)
        })
        .collect()
}

fn first(rows: &Matrix, count: usize) -> Matrix {
    let size = rows.dimensions();
    Matrix::new(size, rows.values()[..count * size].to_vec()).unwrap()
}

#[test]
fn distances_of_windows_have_their_reference_values() {
    let (fixture, reference, current) = windows();
    let expected = |name: &str| fixture.number(&format!("/expected/{name}"));
    let gamma = median_gamma(&reference, &current).unwrap();
    assert_within(gamma, expected("rbf_gamma_median_pooled"), 1e-9);
    let test = mmd(&reference, &current, None, (0, 1)).unwrap();
    assert_within(test.unbiased, expected("mmd2_unbiased"), 1e-9);
    assert_within(test.biased, expected("mmd2_biased"), 1e-9);
    assert_eq!((test.p_value, test.deviation), (None, None));
    let energy = energy_distance(&reference, &current, (0, 1)).unwrap();
    assert_within(energy.biased, expected("energy_distance_sq_V"), 1e-9);
    let shape = |rows: &Matrix| {
        let mut shape = Shape::exact(rows.dimensions());
        shape.add(rows.values()).unwrap();
        shape
    };
    let (before, now) = (shape(&reference), shape(&current));
    for (ours, name) in [
        (before.frechet(&now), "frechet_distance_sq"),
        (now.frechet(&before), "frechet_distance_sq"),
        (before.centroid_distance(&now), "centroid_euclidean"),
        (
            before.centroid_cosine_distance(&now),
            "centroid_cosine_distance",
        ),
    ] {
        assert_within(ours.unwrap(), expected(name), 1e-9);
    }
    let few = mmd(
        &first(&reference, 5),
        &first(&current, 5),
        Some(gamma),
        (252, 1),
    )
    .unwrap();
    assert!(few.is_exact);
    assert_within(
        few.unbiased,
        expected("mmd_permutation_exact_first5/mmd2_u"),
        1e-9,
    );
    let p = expected("mmd_permutation_exact_first5/p_ge");
    assert_within(few.p_value.unwrap(), p, 1e-9);
}

#[test]
fn figures_of_one_dimension_have_their_reference_values() {
    let (fixture, reference, current) = windows();
    let column = |rows: &Matrix, dimension: usize| -> Vec<f64> {
        let values = rows
            .values()
            .iter()
            .skip(dimension)
            .step_by(rows.dimensions());
        values.copied().map(f64::from).collect()
    };
    let tests = fixture.list("/expected/ks_per_dim");
    let moved = fixture.numbers("/expected/wasserstein1_per_dim");
    let mut p_values = Vec::new();
    for (dimension, (expected, moved)) in tests.iter().zip(moved).enumerate() {
        let (before, now) = (column(&reference, dimension), column(&current, dimension));
        let test = kolmogorov_smirnov(&before, &now).unwrap();
        assert_within(test.distance, expected.number("/D"), 1e-9);
        assert_within(test.p_value, expected.number("/p_exact"), 1e-9);
        assert_within(wasserstein(&before, &now).unwrap(), moved, 1e-9);
        p_values.push(test.p_value);
    }
    let adjusted = benjamini_hochberg(&p_values).unwrap();
    assert_all_within(&adjusted, &fixture.numbers("/expected/bh_adjusted_p"), 1e-9);

    let (before, now) = (column(&reference, 0), column(&current, 0));
    let edges: Vec<f64> = [0.2, 0.4, 0.6, 0.8]
        .map(|share| quantile(&before, share).unwrap())
        .to_vec();
    let at = "/expected/psi_dim0";
    let inner = fixture.numbers(&format!("{at}/inner_edges_linear_quantile"));
    assert_all_within(&edges, &inner, 1e-9);
    let shares = |values: &[f64], counts: &str| -> Vec<f64> {
        let mut bins = [0.0; 5];
        for value in values {
            bins[edges.partition_point(|edge| edge < value)] += 1.0;
        }
        assert_eq!(bins.to_vec(), fixture.numbers(&format!("{at}/{counts}")));
        let all = values.len() as f64 + 2.5;
        bins.iter().map(|count| (count + 0.5) / all).collect()
    };
    let (before, now) = (shares(&before, "ref_counts"), shares(&now, "cur_counts"));
    assert_within(
        psi(&before, &now).unwrap(),
        fixture.number(&format!("{at}/psi")),
        1e-9,
    );
    let distance = jensen_shannon(&before, &now).unwrap() / std::f64::consts::LN_2.sqrt();
    assert_within(
        distance,
        fixture.number(&format!("{at}/js_distance_base2")),
        1e-9,
    );
    let divergence = fixture.number(&format!("{at}/js_divergence_base2"));
    assert_within(distance * distance, divergence, 1e-9);
}

#[test]
fn a_classifier_has_its_reference_values() {
    let (fixture, reference, current) = windows();
    let at = |name: &str| format!("/expected/domain_classifier/{name}");
    let tolerance = fixture.number(&at("tolerance_abs"));
    let wide: Vec<Vec<f64>> = reference
        .values()
        .chunks_exact(6)
        .chain(current.values().chunks_exact(6))
        .map(|row| row.iter().copied().map(f64::from).collect())
        .collect();
    let labels: Vec<bool> = (0..72).map(|row| row >= 40).collect();
    let weights = logistic(&wide, &labels).unwrap();
    let coefficients = fixture.numbers(&at("in_sample_coef"));
    assert_all_within(&weights[..6], &coefficients, tolerance);
    assert_within(
        weights[6],
        fixture.number(&at("in_sample_intercept")),
        tolerance,
    );
    let scores = logistic_scores(&wide, &weights);
    let seen = mann_whitney(&scores[..40], &scores[40..]).unwrap();
    assert_within(seen.auc, fixture.number(&at("in_sample_auc")), 1e-9);

    let test = domain_classifier(&reference, &current, (19, 1)).unwrap();
    assert_all_within(&test.scores, &fixture.numbers(&at("oof_scores")), tolerance);
    assert_within(test.separation.auc, fixture.number(&at("oof_auc")), 1e-9);
    assert_within(
        test.separation.u,
        fixture.number(&at("mannwhitney_u")),
        1e-9,
    );
    let p = fixture.number(&at("p_asymptotic"));
    assert_within(test.separation.p_value, p, 1e-9);
    assert!((0.05..=1.0).contains(&test.p_value.unwrap()));
    for case in fixture.list("/expected/auc_with_ties") {
        let (scores, labels) = (case.numbers("/scores"), case.numbers("/labels"));
        let of = |label: f64| -> Vec<f64> {
            let pairs = scores.iter().zip(&labels);
            pairs
                .filter(|(_, own)| (**own - label).abs() < 0.5)
                .map(|(score, _)| *score)
                .collect()
        };
        let auc = mann_whitney(&of(0.0), &of(1.0)).unwrap().auc;
        assert_within(auc, case.number("/auc"), 1e-9);
    }
}

#[test]
fn novelty_has_its_reference_values() {
    let (fixture, reference, current) = windows();
    let found = novelty(&reference, &current).unwrap();
    let expected = fixture.numbers("/expected/novelty/nn_cosine_distance_current_to_ref");
    assert_all_within(&found.distances, &expected, 1e-9);
    let expected = fixture.numbers("/expected/novelty/conformal_p");
    assert_all_within(&found.p_values, &expected, 1e-9);
}

#[test]
fn streams_have_their_reference_values() {
    let fixture = Fixture::read("sequential.json");
    let tolerance = fixture.number("/tolerance_abs");
    for case in fixture.list("/martingales") {
        let p_values = case.numbers("/p");
        let mut mixture = SimpleMixture::new();
        let after: Vec<f64> = p_values
            .iter()
            .map(|p| mixture.observe(*p).unwrap())
            .collect();
        for (prefix, capital) in case.map("/log10_simple_mixture_martingale_at_prefix") {
            let prefix: usize = prefix.parse().unwrap();
            assert_within(after[prefix - 1], capital, tolerance);
        }
        for epsilon in [0.5, 0.92] {
            let capital = *power_martingale(&p_values, epsilon)
                .unwrap()
                .last()
                .unwrap();
            let expected = case.number(&format!("/power_martingale_eps{epsilon}_final_log10"));
            assert_within(capital, expected, tolerance);
        }
    }
    let series = fixture.numbers("/cusum_ewma/x");
    let normal = Normal {
        mean: 0.0,
        deviation: 1.0,
    };
    let turned: Vec<f64> = series.iter().map(|value| -value).collect();
    let sums = cusum_low(&turned, normal, 0.25, 4.0).unwrap().values;
    assert_all_within(
        &sums,
        &fixture.numbers("/cusum_ewma/cusum_k0.25"),
        tolerance,
    );
    let smoothed = ewma(&series, normal, 0.1, 3.0).unwrap().chart.values;
    assert_all_within(
        &smoothed,
        &fixture.numbers("/cusum_ewma/ewma_lambda0.1"),
        tolerance,
    );
    for case in fixture.list("/conformal_p") {
        let ours = conformal_p_values(&case.numbers("/calibration"), &case.numbers("/scores"));
        assert_all_within(&ours.unwrap(), &case.numbers("/p_conservative"), tolerance);
    }
}

/// A new topic of a fifth of the traffic: everything sees it, and the gap finds its rows.
#[test]
fn a_new_topic_is_seen() {
    let mut random = Random::from_seed(8);
    let known = [2.0, 0.0, 0.0];
    let reference = Matrix::new(3, cloud(60, &known, &mut random)).unwrap();
    let mut values = cloud(40, &known, &mut random);
    values.extend(cloud(10, &[0.0, 3.0, 0.0], &mut random));
    let current = Matrix::new(3, values).unwrap();
    let chance = (99, 1);
    let kernel = mmd(&reference, &current, None, chance).unwrap();
    assert_within(kernel.p_value.unwrap(), 0.01, 1e-9);
    assert!(
        kernel.unbiased > 3.0 * kernel.deviation.unwrap(),
        "{kernel:?}"
    );
    let energy = energy_distance(&reference, &current, chance).unwrap();
    assert_within(energy.p_value.unwrap(), 0.01, 1e-9);
    let near = nearest_neighbour_test(&reference, &current, 5, chance).unwrap();
    assert!(
        near.own > near.expected && near.p_value.unwrap() <= 0.05,
        "{near:?}"
    );
    let gaps = density_gaps(&reference, &current, 5).unwrap();
    let mut order: Vec<usize> = (0..50).collect();
    order.sort_by(|i, j| gaps[*j].total_cmp(&gaps[*i]));
    assert!(order[..10].iter().all(|row| *row >= 40), "{order:?}");
}

/// The promise of a p value: on windows of the same traffic it is small as rarely as it says.
#[test]
fn quiet_windows_rarely_alarm() {
    let mut random = Random::from_seed(5);
    let mut alarms = [0_u32; 3];
    for round in 0..40 {
        let mut window =
            |rows: usize| Matrix::new(2, cloud(rows, &[1.0, 0.0], &mut random)).unwrap();
        let (reference, current) = (window(24), window(16));
        let chance = (39, round);
        let p_values = [
            mmd(&reference, &current, None, chance).unwrap().p_value,
            energy_distance(&reference, &current, chance)
                .unwrap()
                .p_value,
            nearest_neighbour_test(&reference, &current, 3, chance)
                .unwrap()
                .p_value,
        ];
        for (alarms, p) in alarms.iter_mut().zip(p_values) {
            *alarms += u32::from(p.unwrap() <= 0.1);
        }
    }
    assert!(
        alarms.iter().all(|count| *count <= 10),
        "{alarms:?} of 40 at 0.1"
    );
}

#[test]
fn narrow_numbers_say_the_same() {
    let mut random = Random::from_seed(2);
    let reference = Matrix::new(3, cloud(300, &[1.0, 0.0, 0.0], &mut random)).unwrap();
    let current = Matrix::new(3, cloud(230, &[1.3, 0.0, 0.0], &mut random)).unwrap();
    // Beyond 512 rows products are narrow; the statistic is that of the formula in wide numbers.
    let gamma = median_gamma(&reference, &current).unwrap();
    let test = mmd(&reference, &current, None, (19, 1)).unwrap();
    let kernel = |x: &[f32], y: &[f32]| -> f64 {
        let square: f64 = x.iter().zip(y).map(|(x, y)| f64::from(x - y).powi(2)).sum();
        (-gamma * square).exp()
    };
    let mean = |x: &Matrix, y: &Matrix| -> f64 {
        let pairs = x.values().chunks_exact(3).flat_map(|one| {
            y.values()
                .chunks_exact(3)
                .map(move |other| kernel(one, other))
        });
        pairs.sum::<f64>() / (x.len() * y.len()) as f64
    };
    let biased =
        mean(&reference, &reference) + mean(&current, &current) - 2.0 * mean(&reference, &current);
    assert_within(test.biased, biased, 1e-5);
    assert_within(test.p_value.unwrap(), 0.05, 1e-9);
}

#[test]
fn nonsense_is_no_window() {
    let (_, reference, current) = windows();
    let one = first(&current, 1);
    let other_space = Matrix::new(2, vec![1.0; 20]).unwrap();
    for wrong in [&one, &other_space, &Matrix::default()] {
        assert_eq!(mmd(&reference, wrong, None, (9, 1)), None);
        assert_eq!(energy_distance(wrong, &reference, (9, 1)), None);
        assert_eq!(nearest_neighbour_test(&reference, wrong, 3, (9, 1)), None);
        assert_eq!(novelty(&reference, wrong), None);
        assert_eq!(domain_classifier(&reference, wrong, (9, 1)), None);
        assert_eq!(density_gaps(&reference, wrong, 3), None);
    }
    let alike = Matrix::new(2, vec![1.0; 20]).unwrap();
    assert_eq!(mmd(&alike, &alike, None, (9, 1)), None);
    assert_eq!(mmd(&alike, &alike, Some(f64::NAN), (9, 1)), None);
    assert_eq!(
        nearest_neighbour_test(&reference, &current, 0, (9, 1)),
        None
    );
    assert_eq!(
        nearest_neighbour_test(&reference, &current, 72, (9, 1)),
        None
    );
    let zero = Matrix::new(6, vec![0.0; 60]).unwrap();
    assert_eq!(nearest_neighbour_test(&reference, &zero, 3, (9, 1)), None);
    assert_eq!(novelty(&reference, &zero), None);
    assert_eq!(logistic(&[], &[]), None);
    assert_eq!(logistic(&[vec![1.0]], &[]), None);
}
