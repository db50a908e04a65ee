//! Fits and maps against numpy, scipy and scikit-learn.

use super::{noise, pairs, wide};
use crate::embeddings::fixtures::{Fixture, assert_all_within, assert_within};
use crate::embeddings::geometry::fit::{least_squares, truncated, turn, unexplained};
use crate::embeddings::geometry::map::Fitted;
use crate::embeddings::geometry::{
    Direction, LinearMap, Moments, centred_procrustes, low_rank, procrustes, ridge, ridge_held_out,
};
use crate::embeddings::ranking::overlap;
use crate::embeddings::{Matrix, Rows};

#[test]
fn fits_have_their_reference_values() {
    let (fixture, a, b) = pairs();
    let moments = Moments::of(&a, &b).unwrap();
    let turned = turn(&moments, Direction::BToA, false).unwrap();
    let at = "/expected/procrustes_b_to_a_rect";
    let expected = fixture.rows(&format!("{at}/R")).concat();
    assert_all_within(&turned.matrix, &expected, 1e-9);
    let rest = unexplained(&moments, &turned, Direction::BToA)
        .unwrap()
        .sqrt();
    assert_within(rest, fixture.number(&format!("{at}/residual_fro")), 1e-9);
    let strengths = moments.raw_cross().singular_values().unwrap();
    let expected = fixture.numbers(&format!("{at}/singular_values"));
    assert_all_within(&strengths, &expected, 1e-8);
    let scale: f64 = strengths.iter().sum();
    let at = "/expected/procrustes_b_to_a_padded/scale_sum_singular";
    assert_within(scale, fixture.number(at), 1e-8);

    let fitted = least_squares(&moments, Direction::BToA, 2.0).unwrap();
    let at = "/expected/ridge_b_to_a_alpha2";
    let coefficients = fixture.rows(&format!("{at}/coef"));
    for (from, row) in fitted.matrix.chunks_exact(8).enumerate() {
        for (value, of_output) in row.iter().zip(&coefficients) {
            assert_within(*value, of_output[from], 1e-9);
        }
    }
    let intercept = mapped(&fitted, &[0.0; 12]);
    assert_all_within(
        &intercept,
        &fixture.numbers(&format!("{at}/intercept")),
        1e-9,
    );
    let rest = unexplained(&moments, &fitted, Direction::BToA).unwrap();
    assert_within(
        rest.sqrt(),
        fixture.number(&format!("{at}/residual_fro")),
        1e-9,
    );
    let [_, b_to_a] = moments.ridge_r2(2.0).unwrap();
    assert_within(b_to_a, 1.0 - rest / moments.a.spread().unwrap(), 1e-12);
    let mean = r2_by_output(&fitted, &b, &a);
    assert_within(mean, fixture.number(&format!("{at}/r2_uniform")), 1e-9);
}

/// A row through a fit, in `f64`.
fn mapped(fitted: &Fitted, row: &[f64]) -> Vec<f64> {
    let mut mapped = fitted.to_mean.clone();
    let matrix = fitted.matrix.chunks_exact(mapped.len());
    for ((value, mean), weights) in row.iter().zip(&fitted.from_mean).zip(matrix) {
        for (sum, weight) in mapped.iter_mut().zip(weights) {
            *sum += (value - mean) * weight;
        }
    }
    mapped
}

/// The mean over the outputs of the part of each that is explained.
fn r2_by_output(fitted: &Fitted, from: &Matrix, to: &Matrix) -> f64 {
    let (from, to) = (wide(from), wide(to));
    let mut sum = 0.0;
    for (output, mean) in fitted.to_mean.iter().enumerate() {
        let (mut rest, mut whole) = (0.0, 0.0);
        for (x, y) in from.iter().zip(&to) {
            rest += (y[output] - mapped(fitted, x)[output]).powi(2);
            whole += (y[output] - mean).powi(2);
        }
        sum += 1.0 - rest / whole;
    }
    sum / fitted.to_mean.len() as f64
}

#[test]
fn adapters_have_their_reference_values() {
    let fixture = Fixture::read("adapter.json");
    let (x, y) = (fixture.matrix("/X"), fixture.matrix("/Y"));
    let cut = |rows: &Matrix, from: usize, to: usize| {
        let size = rows.dimensions();
        Matrix::new(size, rows.values()[from * size..to * size].to_vec()).unwrap()
    };
    let (from, to) = (cut(&x, 0, 80), cut(&y, 0, 80));
    let moments = Moments::of(&from, &to).unwrap();
    let least = least_squares(&moments, Direction::AToB, 0.5).unwrap();
    let fits = [
        (
            "procrustes",
            turn(&moments, Direction::AToB, false),
            "R",
            procrustes(&from, &to),
        ),
        (
            "procrustes_centred",
            turn(&moments, Direction::AToB, true),
            "R",
            centred_procrustes(&from, &to),
        ),
        (
            "ridge_alpha0.5",
            Some(least.clone()),
            "W_row_major_dx_by_dy",
            ridge(&from, &to, 0.5),
        ),
        (
            "ridge_rank2",
            truncated(least, 2),
            "W",
            low_rank(&from, &to, 0.5, 2),
        ),
    ];
    for (name, fitted, matrix, map) in fits {
        let (fitted, map) = (fitted.unwrap(), map.unwrap());
        let expected = fixture.rows(&format!("/fits/{name}/{matrix}")).concat();
        assert_all_within(&fitted.matrix, &expected, 1e-9);
        let expected = fixture.rows(&format!("/predictions/{name}"));
        for (row, expected) in wide(&cut(&x, 80, 100)).iter().zip(&expected) {
            assert_all_within(&mapped(&fitted, row), expected, 1e-9);
        }
        let ours = map.apply(&cut(&x, 80, 100)).unwrap();
        for (row, expected) in wide(&ours).iter().zip(&expected) {
            assert_all_within(row, expected, 5e-6);
        }
        let (common, cosine) = answers(&wide(&ours), &wide(&y));
        assert_within(common, fixture.number(&format!("/overlap5/{name}")), 1e-9);
        assert_within(
            cosine,
            fixture.number(&format!("/mean_cosine/{name}")),
            1e-6,
        );
    }
}

/// overlap@5 and cosine of mapped rows with the last 20 of the true ones.
fn answers(ours: &[Vec<f64>], truth: &[Vec<f64>]) -> (f64, f64) {
    let (mut common, mut cosines) = (0.0, 0.0);
    for (row, own) in ours.iter().zip(&truth[80..]) {
        common += overlap(&near(row, truth, 5), &near(own, truth, 5), 5);
        cosines += cosine_of(row, own);
    }
    (common / 20.0, cosines / 20.0)
}

fn cosine_of(x: &[f64], y: &[f64]) -> f64 {
    let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    dot(x, y) / (dot(x, x) * dot(y, y)).sqrt()
}

fn near(query: &[f64], rows: &[Vec<f64>], k: usize) -> Vec<usize> {
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by(|i, j| cosine_of(query, &rows[*j]).total_cmp(&cosine_of(query, &rows[*i])));
    order.truncate(k);
    order
}

#[test]
fn a_row_without_a_direction_gets_none() {
    let (mut rows, to) = (noise(40, 6, 1).into_values(), noise(40, 4, 2));
    rows.truncate(39 * 6);
    rows.extend([0.0; 6]);
    let from = Matrix::new(6, rows).unwrap();
    let mapped = ridge_held_out(&from, &to, 3).unwrap().apply(&from).unwrap();
    assert_eq!(mapped.row(39), Some(&[0.0; 4][..]));
    assert_ne!(mapped.row(38), Some(&[0.0; 4][..]));
}

#[test]
fn a_map_is_the_same_before_and_after_it_is_stored() {
    let (from, to) = (noise(40, 6, 1), noise(40, 4, 2));
    let map = ridge_held_out(&from, &to, 3).unwrap();
    assert_eq!(map.from_dimensions(), 6);
    assert_eq!(map.to_dimensions(), 4);
    assert!(map.lambda().unwrap() > 0.0);
    let halved = map.halved().unwrap().renormalised(true);
    for map in [map, halved] {
        let text = serde_json::to_string(&map).unwrap();
        let read: LinearMap = serde_json::from_str(&text).unwrap();
        assert_eq!(read, map);
        let rows = map.apply(&from).unwrap();
        let norm: f64 = wide(&rows)[0].iter().map(|value| value * value).sum();
        assert_eq!((norm - 1.0).abs() < 1e-6, map.is_renormalised());
        let broken = text.replace("\"to_mean\":[", "\"to_mean\":[0.5,");
        assert!(serde_json::from_str::<LinearMap>(&broken).is_err());
    }
}
