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

    /// Appends a vector's row to `into`.
    ///
    /// # Errors
    ///
    /// `NotFinite`; `NotRepresentable` when half precision has no such numbers. `row` is for the message.
    pub(super) fn encode(
        self,
        vector: &[f32],
        row: usize,
        into: &mut Vec<u8>,
    ) -> Result<(), VaultError> {
        if let Some((dimension, value)) = first_not_finite(vector) {
            return Err(VaultError::NotFinite {
                row,
                dimension,
                value,
            });
        }
        match self {
            Self::F32 => into.extend(vector.iter().flat_map(|value| value.to_le_bytes())),
            Self::F16 => {
                let start = into.len();
                encode_f16(vector, into);
                let problem = f16_problem(vector, into.get(start..).unwrap_or_default());
                if let Some(problem) = problem {
                    into.truncate(start);
                    return Err(VaultError::NotRepresentable {
                        row,
                        precision: self,
                        problem,
                    });
                }
            }
            Self::Int8 => encode_int8(vector, into),
            Self::Binary => into.extend(vector.chunks(8).map(sign_bits)),
        }
        Ok(())
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
                for (place, bits) in into.chunks_mut(8).zip(row) {
                    for (place, shift) in place.iter_mut().zip((0..8).rev()) {
                        *place = if (bits >> shift) & 1 == 1 {
                            value
                        } else {
                            -value
                        };
                    }
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

/// The least positive number of half precision.
const F16_LEAST: f32 = 5.960_464_5e-8;
/// How many values are converted at a time.
const CHUNK: usize = 256;

fn first_not_finite(vector: &[f32]) -> Option<(usize, f32)> {
    // A sum is not finite if a part of it is not; only then is looked closer. It may also overflow.
    let sum: f32 = vector.iter().map(|value| value * 0.0).sum();
    if sum == 0.0 {
        return None;
    }
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
        into.extend(halves.iter().flat_map(|half| half.to_le_bytes()));
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

fn f16_problem(vector: &[f32], row: &[u8]) -> Option<String> {
    let halves = row.as_chunks::<2>().0.iter();
    let (mut is_zero, mut overflow) = (true, None);
    for (half, value) in halves.zip(vector) {
        let half = u16::from_le_bytes(*half) & 0x7fff;
        is_zero &= half == 0;
        if half == 0x7c00 && overflow.is_none() {
            overflow = Some(*value);
        }
    }
    if let Some(value) = overflow {
        return Some(format!("its value {value} is beyond 65504"));
    }
    let was_zero = vector.iter().all(|value| *value == 0.0);
    (is_zero && !was_zero)
        .then(|| "all its values are so small that they would become 0".to_owned())
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
