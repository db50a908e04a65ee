//! Reference values of others, for tests: `tests/fixtures/embeddings`.

use crate::embeddings::{Matrix, Rows};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// A file of reference values, or a part of one; parts are found by JSON pointers.
pub(crate) struct Fixture(Value);

impl Fixture {
    pub(crate) fn read(name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/embeddings");
        let text = std::fs::read_to_string(root.join(name)).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    #[track_caller]
    fn at(&self, pointer: &str) -> &Value {
        let found = self.0.pointer(pointer);
        found.unwrap_or_else(|| panic!("the fixture has no {pointer}"))
    }

    #[track_caller]
    pub(crate) fn number(&self, pointer: &str) -> f64 {
        self.at(pointer).as_f64().unwrap()
    }

    #[track_caller]
    pub(crate) fn whole(&self, pointer: &str) -> u64 {
        self.at(pointer).as_u64().unwrap()
    }

    #[track_caller]
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.at(pointer).as_str().unwrap()
    }

    #[track_caller]
    pub(crate) fn numbers(&self, pointer: &str) -> Vec<f64> {
        numbers(self.at(pointer))
    }

    #[track_caller]
    pub(crate) fn words(&self, pointer: &str) -> Vec<String> {
        let list = self.at(pointer).as_array().unwrap();
        list.iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect()
    }

    #[track_caller]
    pub(crate) fn list(&self, pointer: &str) -> Vec<Self> {
        let list = self.at(pointer).as_array().unwrap();
        list.iter().cloned().map(Self).collect()
    }

    #[track_caller]
    pub(crate) fn rows(&self, pointer: &str) -> Vec<Vec<f64>> {
        self.at(pointer)
            .as_array()
            .unwrap()
            .iter()
            .map(numbers)
            .collect()
    }

    #[track_caller]
    pub(crate) fn matrix(&self, pointer: &str) -> Matrix {
        let rows = self.rows(pointer);
        let values = rows
            .iter()
            .flatten()
            .map(|value| value.to_string().parse().unwrap());
        Matrix::new(rows[0].len(), values.collect()).unwrap()
    }

    /// Little-endian `f32` in base64.
    #[track_caller]
    pub(crate) fn base64(&self, pointer: &str, dimensions: usize) -> Matrix {
        const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text = self.text(pointer).trim_end_matches('=');
        let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
        for digit in text.chars() {
            bits = (bits << 6) | u32::try_from(DIGITS.find(digit).unwrap()).unwrap();
            count += 6;
            if count >= 8 {
                count -= 8;
                bytes.push(u8::try_from((bits >> count) & 0xFF).unwrap());
            }
        }
        let values = bytes.chunks_exact(4);
        let values = values.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()));
        Matrix::new(dimensions, values.collect()).unwrap()
    }

    #[track_caller]
    pub(crate) fn map(&self, pointer: &str) -> BTreeMap<String, f64> {
        map(self.at(pointer))
    }

    #[track_caller]
    pub(crate) fn maps(&self, pointer: &str) -> BTreeMap<String, BTreeMap<String, f64>> {
        let object = self.at(pointer).as_object().unwrap();
        object
            .iter()
            .map(|(key, value)| (key.clone(), map(value)))
            .collect()
    }
}

/// The `k` nearest rows of each row by cosine, without itself; of equals the first.
pub(crate) fn nearest(rows: &Matrix, k: usize) -> Vec<Vec<usize>> {
    let wide: Vec<Vec<f64>> = rows
        .values()
        .chunks_exact(rows.dimensions())
        .map(|row| row.iter().copied().map(f64::from).collect())
        .collect();
    let dot = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    let of = |place: usize| {
        let own = &wide[place];
        let near =
            |other: &usize| dot(own, &wide[*other]) / dot(&wide[*other], &wide[*other]).sqrt();
        let mut others: Vec<usize> = (0..wide.len()).filter(|other| *other != place).collect();
        others.sort_by(|i, j| near(j).total_cmp(&near(i)));
        others.truncate(k);
        others
    };
    (0..wide.len()).map(of).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    let list = value.as_array().unwrap();
    list.iter().map(|value| value.as_f64().unwrap()).collect()
}

fn map(value: &Value) -> BTreeMap<String, f64> {
    let object = value.as_object().unwrap();
    object
        .iter()
        .map(|(key, value)| (key.clone(), value.as_f64().unwrap()))
        .collect()
}

/// Fails unless `actual` is no further than `tolerance` from `expected`.
#[track_caller]
pub(crate) fn assert_within(actual: f64, expected: f64, tolerance: f64) {
    let distance = (actual - expected).abs();
    assert!(
        distance <= tolerance,
        "{actual} is {distance:e} away from {expected}, more than {tolerance:e}"
    );
}

/// Fails unless every value is no further than `tolerance` from the expected one.
#[track_caller]
pub(crate) fn assert_all_within(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (actual, expected) in actual.iter().zip(expected) {
        assert_within(*actual, *expected, tolerance);
    }
}
