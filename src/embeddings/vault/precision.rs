//! How exactly a vector is kept, and the bytes that makes.
//!
//! | precision | bytes of a row | what is lost |
//! | --- | --- | --- |
//! | `f32` | 4 d | nothing |
//! | `f16` | 2 d | half a unit in the 11th binary digit; nothing that changes a neighbour |
//! | `int8` | 4 + d | each value to 1/254 of the largest; some 0.5 % of neighbours |
//! | `binary` | d / 8, rounded up | all but the signs: about 40 % of neighbours; rescore, or only look |
//!
//! Numbers are little-endian; bits begin with the highest of each byte, as numpy's `packbits` has them.

use crate::embeddings::geometry::square;
use crate::embeddings::vault::VaultError;
use half::f16;
use half::slice::HalfFloatSliceExt as _;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// How exactly vectors are kept. The finer is the smaller.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Precision {
    /// As they came.
    F32,
    /// IEEE 754 half precision, rounded to nearest even.
    #[default]
    F16,
    /// Whole numbers from -127 to 127, and the scale of each vector: the largest absolute value / 127.
    Int8,
    /// One bit for each value: whether it is above 0. Read as ±1/√d, so that vectors have length 1.
    Binary,
}

impl Precision {
    /// All, the finest first.
    pub const ALL: [Self; 4] = [Self::F32, Self::F16, Self::Int8, Self::Binary];

    /// The one for which every other serves.
    pub const COARSEST: Self = Self::Binary;

    /// Returns the name: `f16`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Int8 => "int8",
            Self::Binary => "binary",
        }
    }

    /// Returns the bytes of a row.
    #[must_use]
    pub const fn row_bytes(self, dimensions: usize) -> usize {
        match self {
            Self::F32 => dimensions.saturating_mul(4),
            Self::F16 => dimensions.saturating_mul(2),
            Self::Int8 => dimensions.saturating_add(4),
            Self::Binary => dimensions.div_ceil(8),
        }
    }

    /// Returns what of a vector is read again when it is kept so.
    #[must_use]
    pub fn kept(self, vector: &[f32]) -> Vec<f32> {
        let mut row = Vec::with_capacity(self.row_bytes(vector.len()));
        self.encode(vector, &mut row);
        let mut kept = vec![0.0; vector.len()];
        self.decode(&row, &mut kept);
        kept
    }

    /// Returns the number that stands for it in files.
    pub(super) const fn code(self) -> u8 {
        match self {
            Self::F32 => 1,
            Self::F16 => 2,
            Self::Int8 => 3,
            Self::Binary => 4,
        }
    }

    /// Returns the precision a file's number stands for.
    pub(super) fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.code() == code)
    }

    /// Checks that a vector can be kept, and returns what is noted beside it. `row` is for the message.
    ///
    /// # Errors
    ///
    /// `NotFinite`; `NotRepresentable` when half precision has no such numbers.
    pub(super) fn check(self, vector: &[f32], row: usize) -> Result<Mark, VaultError> {
        let square = square(vector);
        if !square.is_finite()
            && let Some((dimension, value)) = first_not_finite(vector)
        {
            return Err(VaultError::NotFinite {
                row,
                dimension,
                value,
            });
        }
        let mark = Mark::of_square(square);
        if self == Self::F16
            && !mark.is_zero()
            && !is_within_f16(vector)
            && let Some(problem) = f16_problem(vector)
        {
            return Err(VaultError::NotRepresentable {
                row,
                precision: self,
                problem,
            });
        }
        Ok(mark)
    }

    /// Appends the row of a vector that was checked to `into`.
    pub(super) fn encode(self, vector: &[f32], into: &mut Vec<u8>) {
        match self {
            Self::F32 => into.extend(vector.iter().flat_map(|value| value.to_le_bytes())),
            Self::F16 => encode_f16(vector, into),
            Self::Int8 => encode_int8(vector, into),
            Self::Binary => into.extend(vector.chunks(8).map(sign_bits)),
        }
    }

    /// Reads a row into `into`, whose length says how many dimensions there are.
    pub(super) fn decode(self, row: &[u8], into: &mut [f32]) {
        match self {
            Self::F32 => {
                let values = row.as_chunks::<4>().0.iter();
                for (place, bytes) in into.iter_mut().zip(values) {
                    *place = f32::from_le_bytes(*bytes);
                }
            }
            Self::F16 => decode_f16(row, into),
            Self::Int8 => {
                let Some((scale, codes)) = row.split_first_chunk::<4>() else {
                    return;
                };
                let scale = f32::from_le_bytes(*scale);
                for (place, code) in into.iter_mut().zip(codes) {
                    *place = f32::from(i8::from_le_bytes([*code])) * scale;
                }
            }
            Self::Binary => {
                let value = unit_value(into.len());
                let bits = row
                    .iter()
                    .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1));
                for (place, bit) in into.iter_mut().zip(bits) {
                    *place = if bit == 1 { value } else { -value };
                }
            }
        }
    }

    /// Returns by how much, at least, a vector differs in some dimension from the one whose row reads as
    /// `kept`: what rounding may account for is taken off.
    pub(super) fn deviation(self, kept: &[f32], vector: &[f32]) -> f32 {
        // The step of int8 is the largest value's 127th part; the largest itself is kept exactly.
        let largest = kept.iter().fold(0_f32, |most, value| most.max(value.abs()));
        let differences = kept.iter().zip(vector).map(|(kept, value)| match self {
            Self::F32 => (kept - value).abs(),
            Self::F16 => (kept - value).abs() - (kept.abs() / 2048.0).max(F16_LEAST / 2.0),
            Self::Int8 => (kept - value).abs() - largest / 254.0,
            Self::Binary if (0.0 < *value) == (0.0 < *kept) => 0.0,
            Self::Binary => value.abs(),
        });
        differences.fold(0.0, f32::max)
    }
}

/// From here on numbers round to infinity in half precision.
const F16_BEYOND: f32 = 65_520.0;
/// The least positive number of half precision; up to half of it rounds to 0.
const F16_LEAST: f32 = 5.960_464_5e-8;
/// How many values are converted at a time.
const CHUNK: usize = 256;

fn first_not_finite(vector: &[f32]) -> Option<(usize, f32)> {
    let mut values = vector.iter().copied().enumerate();
    values.find(|(_, value)| !value.is_finite())
}

fn encode_f16(vector: &[f32], into: &mut Vec<u8>) {
    let mut halves = [f16::ZERO; CHUNK];
    for values in vector.chunks(CHUNK) {
        let Some(halves) = halves.get_mut(..values.len()) else {
            continue;
        };
        halves.convert_from_f32_slice(values);
        let start = into.len();
        into.resize(start + 2 * values.len(), 0);
        let places = into.get_mut(start..).unwrap_or_default();
        for (place, half) in places.as_chunks_mut::<2>().0.iter_mut().zip(halves) {
            *place = half.to_le_bytes();
        }
    }
}

fn decode_f16(row: &[u8], into: &mut [f32]) {
    let mut halves = [f16::ZERO; CHUNK];
    for (bytes, places) in row.chunks(CHUNK * 2).zip(into.chunks_mut(CHUNK)) {
        let Some(halves) = halves.get_mut(..places.len()) else {
            continue;
        };
        for (half, bytes) in halves.iter_mut().zip(bytes.as_chunks::<2>().0) {
            *half = f16::from_le_bytes(*bytes);
        }
        halves.convert_to_f32_slice(places);
    }
}

/// Whether half precision surely has all values, and none that counts becomes 0: what most vectors are. A loop that
/// does not stop is vector code.
fn is_within_f16(vector: &[f32]) -> bool {
    let (mut is_small, mut is_there) = (true, false);
    for value in vector {
        is_small &= value.abs() < F16_BEYOND;
        is_there |= F16_LEAST < value.abs();
    }
    is_small && is_there
}

fn f16_problem(vector: &[f32]) -> Option<String> {
    let largest = vector.iter().copied().fold(0_f32, |most, value| {
        if most.abs() < value.abs() {
            value
        } else {
            most
        }
    });
    if F16_BEYOND <= largest.abs() {
        return Some(format!("its value {largest} is beyond 65504"));
    }
    let is_lost = largest.abs() <= F16_LEAST / 2.0;
    is_lost.then(|| format!("its largest value, {largest}, would become 0"))
}

fn encode_int8(vector: &[f32], into: &mut Vec<u8>) {
    let largest = vector
        .iter()
        .fold(0_f32, |most, value| most.max(value.abs()));
    let scale = largest / 127.0;
    into.extend(scale.to_le_bytes());
    // A scale that rounds to 0 belongs to a vector without any length to speak of.
    let codes = vector.iter().map(|value| {
        let code = if 0.0 < scale { value / scale } else { 0.0 };
        small_integer(code.round_ties_even()).to_le_bytes()
    });
    into.extend(codes.flatten());
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a whole number, brought to the range before"
)]
fn small_integer(value: f32) -> i8 {
    value.clamp(-127.0, 127.0) as i8
}

fn sign_bits(values: &[f32]) -> u8 {
    let bits = values.iter().zip((0..8).rev());
    bits.fold(0, |byte, (value, shift)| {
        byte | (u8::from(0.0 < *value) << shift)
    })
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "a number of dimensions is small"
)]
fn unit_value(dimensions: usize) -> f32 {
    (1.0 / (dimensions.max(1) as f64).sqrt()) as f32
}

/// What is noted beside a vector, so that it can be counted without being read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark(pub(super) u8);

/// How far a length may be from 1.
const UNIT_TOLERANCE: f64 = 1e-3;

impl Mark {
    const ZERO: u8 = 1;
    const NOT_UNIT: u8 = 2;

    /// Returns the mark of a vector.
    pub(super) fn of(vector: &[f32]) -> Self {
        Self::of_square(square(vector))
    }

    fn of_square(square: f64) -> Self {
        if square == 0.0 {
            Self(Self::ZERO)
        } else if UNIT_TOLERANCE < (square.sqrt() - 1.0).abs() {
            Self(Self::NOT_UNIT)
        } else {
            Self(0)
        }
    }

    /// Returns whether all values are 0.
    pub(super) const fn is_zero(self) -> bool {
        self.0 & Self::ZERO != 0
    }

    /// Returns whether the length is not 1; false for zero vectors.
    pub(super) const fn is_not_unit(self) -> bool {
        self.0 & Self::NOT_UNIT != 0
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|known| known.name() == text);
        found
            .ok_or_else(|| format!("`{text}` is no precision; there are f32, f16, int8 and binary"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Mark, Precision};
    use proptest::prelude::*;
    use serde_json::Value;

    fn fixture() -> Value {
        let text = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/embeddings/quantisation_formats.json"
        ));
        serde_json::from_str(text).unwrap()
    }

    #[expect(clippy::cast_possible_truncation, reason = "written from f32")]
    fn float(value: &Value) -> f32 {
        value.as_f64().unwrap() as f32
    }

    fn vectors(fixture: &Value) -> Vec<Vec<f32>> {
        let rows = fixture["vectors_f32"].as_array().unwrap().iter();
        rows.map(|row| row.as_array().unwrap().iter().map(float).collect())
            .collect()
    }

    fn encode(precision: Precision, vector: &[f32]) -> Vec<u8> {
        let mut bytes = Vec::new();
        precision.encode(vector, &mut bytes);
        assert_eq!(bytes.len(), precision.row_bytes(vector.len()));
        bytes
    }

    fn decode(precision: Precision, bytes: &[u8], dimensions: usize) -> Vec<f32> {
        let mut vector = vec![f32::NAN; dimensions];
        precision.decode(bytes, &mut vector);
        vector
    }

    #[test]
    fn half_precision_has_the_bits_the_fixture_has() {
        for case in fixture()["f16"].as_array().unwrap() {
            let value = float(&case["f32"]);
            let bytes = encode(Precision::F16, &[value]);
            let bits = u64::from(u16::from_le_bytes([bytes[0], bytes[1]]));
            assert_eq!(bits, case["f16_bits"].as_u64().unwrap(), "{value}");
            let checked = Precision::F16.check(&[value, 1.0], 0);
            match &case["back"] {
                Value::Null => assert!(checked.is_err(), "{value}"),
                back => {
                    assert!(checked.is_ok(), "{value}");
                    let wanted = float(back);
                    let found = decode(Precision::F16, &bytes, 1)[0];
                    assert_eq!(found.to_bits(), wanted.to_bits(), "{value}");
                }
            }
        }
    }

    #[test]
    fn small_integers_and_bits_are_those_of_the_fixture() {
        let fixture = fixture();
        let cases = fixture["int8"].as_array().unwrap();
        let bits = fixture["binary"].as_array().unwrap();
        for ((vector, case), bits) in vectors(&fixture).iter().zip(cases).zip(bits) {
            let bytes = encode(Precision::Int8, vector);
            let scale = f32::from_le_bytes(bytes[..4].try_into().unwrap());
            assert!((scale - float(&case["scale_absmax_over_127"])).abs() < 1e-8);
            let codes = bytes[4..]
                .iter()
                .map(|byte| i64::from(i8::from_le_bytes([*byte])));
            let wanted = case["codes"].as_array().unwrap().iter();
            assert!(codes.eq(wanted.map(|code| code.as_i64().unwrap())));
            let read = decode(Precision::Int8, &bytes, vector.len());
            let dot = |a: &[f32], b: &[f32]| {
                let products = a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b));
                products.sum::<f64>()
            };
            let cosine = dot(&read, vector) / (dot(&read, &read) * dot(vector, vector)).sqrt();
            assert!((cosine - case["cosine_with_original"].as_f64().unwrap()).abs() < 1e-7);
            let bytes = encode(Precision::Binary, vector);
            let hex = format!("{:02x}{:02x}", bytes[0], bytes[1]);
            assert_eq!(hex, bits["bits_msb_first_hex"].as_str().unwrap());
            let read = decode(Precision::Binary, &bytes, vector.len());
            assert!((dot(&read, &read) - 1.0).abs() < 1e-6);
            assert!(
                read.iter()
                    .zip(vector)
                    .all(|(a, b)| (0.0 < *a) == (0.0 < *b))
            );
        }
    }

    #[test]
    fn lengths_are_noted() {
        assert!(Mark::of(&[0.0, -0.0]).is_zero());
        assert!(!Mark::of(&[0.6, 0.8]).is_not_unit() && !Mark::of(&[0.6, 0.8]).is_zero());
        assert!(Mark::of(&[0.6, 0.9]).is_not_unit());
        // What is beyond the range of f32 when squared has a length all the same.
        assert!(Mark::of(&[3e38, 3e38]).is_not_unit());
        assert!(Mark::of(&[1e-30]).is_not_unit());
        assert!(Precision::F32.check(&[3e38, 3e38, 3e38], 0).is_ok());
    }

    proptest! {
        #[test]
        fn rounding_stays_in_its_bounds_and_is_no_deviation(
            vector in prop::collection::vec(-2.0_f32..2.0, 1..40),
            code in 1_u8..5,
        ) {
            let precision = Precision::from_code(code).unwrap();
            prop_assume!(precision.check(&vector, 0).is_ok());
            let read = decode(precision, &encode(precision, &vector), vector.len());
            let largest = vector.iter().fold(0_f32, |most, value| most.max(value.abs()));
            for (read, value) in read.iter().zip(&vector) {
                let bound = match precision {
                    Precision::F32 => 0.0,
                    Precision::F16 => value.abs() / 2000.0 + 3.1e-8,
                    Precision::Int8 => largest / 253.0,
                    Precision::Binary => f32::INFINITY,
                };
                prop_assert!((read - value).abs() <= bound);
            }
            prop_assert!(precision.deviation(&read, &vector) < 1e-6);
        }
    }
}
