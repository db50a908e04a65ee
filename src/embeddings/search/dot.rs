//! The arithmetic every score is made of: sums in 32 lanes, in one order, on every machine.
//!
//! A compiler may not reorder sums of floats, so a plain loop is a chain of additions, one at a time.
//! With 32 sums that do not wait for one another it becomes vector code, and since the lanes are fixed
//! here and nothing is fused, every machine adds the same numbers in the same order, however wide its
//! vectors are. The sums stand in four groups of eight, of which each fits a register.

use crate::embeddings::registers::wide;
use crate::embeddings::search::Metric;

/// How many sums run beside one another.
const LANES: usize = 32;
/// How many of them stand together.
const GROUP: usize = 8;
/// Squares below this have lost digits; the length is then taken in doubles.
const SMALL_SQUARE: f32 = 1e-30;

/// Returns the product of two vectors of the same length.
#[must_use]
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    wide(
        #[inline(always)]
        || sum(left, right, |left, right| left * right),
    )
}

/// Returns the square of the distance between two vectors of the same length.
#[must_use]
pub fn squared_distance(left: &[f32], right: &[f32]) -> f32 {
    let square = |left: f32, right: f32| {
        let difference = left - right;
        difference * difference
    };
    wide(
        #[inline(always)]
        || sum(left, right, square),
    )
}

/// Adds in lanes what `of` makes of each pair of values, and then the lanes.
#[inline(always)]
fn sum(left: &[f32], right: &[f32], of: impl Fn(f32, f32) -> f32) -> f32 {
    let (lefts, left_rest) = left.as_chunks::<LANES>();
    let (rights, right_rest) = right.as_chunks::<LANES>();
    let mut groups = [[0.0_f32; GROUP]; LANES / GROUP];
    for (left, right) in lefts.iter().zip(rights) {
        add(&mut groups, left, right, &of);
    }
    if !left_rest.is_empty() {
        // Zeros add nothing to their lanes.
        add(&mut groups, &filled(left_rest), &filled(right_rest), &of);
    }
    let mut sums = [0.0_f32; GROUP];
    for group in groups {
        for (sum, value) in sums.iter_mut().zip(group) {
            *sum += value;
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// Adds [`LANES`] pairs, each to its lane.
#[inline(always)]
fn add(
    groups: &mut [[f32; GROUP]; LANES / GROUP],
    left: &[f32; LANES],
    right: &[f32; LANES],
    of: &impl Fn(f32, f32) -> f32,
) {
    let (left, _) = left.as_chunks::<GROUP>();
    let (right, _) = right.as_chunks::<GROUP>();
    for (sums, (left, right)) in groups.iter_mut().zip(left.iter().zip(right)) {
        for (sum, (left, right)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += of(*left, *right);
        }
    }
}

/// Returns values, and zeros after them.
#[inline(always)]
fn filled(values: &[f32]) -> [f32; LANES] {
    let mut all = [0.0; LANES];
    for (place, value) in all.iter_mut().zip(values) {
        *place = *value;
    }
    all
}

/// How long a vector is, if it has a direction.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Length {
    /// This long, more than 0.
    Of(f32),
    /// All its values are 0: it points nowhere.
    Zero,
    /// A value is no number, or infinite, or all are so large together.
    NotFinite,
}

impl Length {
    /// Returns the length of a vector.
    #[must_use]
    pub fn of(vector: &[f32]) -> Self {
        let square = dot(vector, vector);
        if square.is_finite() && square > SMALL_SQUARE {
            return Self::Of(square.sqrt());
        }
        Self::in_doubles(vector)
    }

    #[cold]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a length that fits no f32 becomes infinite, which is looked for"
    )]
    fn in_doubles(vector: &[f32]) -> Self {
        let squares = vector.iter().map(|value| f64::from(*value).powi(2));
        let length = squares.sum::<f64>().sqrt() as f32;
        if !length.is_finite() {
            Self::NotFinite
        } else if length > 0.0 {
            Self::Of(length)
        } else {
            Self::Zero
        }
    }

    /// Returns the length, of a vector that has a direction.
    #[must_use]
    pub const fn value(self) -> Option<f32> {
        match self {
            Self::Of(length) => Some(length),
            Self::Zero | Self::NotFinite => None,
        }
    }
}

/// Returns a vector of length 1 in the same direction; `None` when it has no direction.
#[must_use]
pub fn unit(vector: &[f32]) -> Option<Vec<f32>> {
    let length = Length::of(vector).value()?;
    Some(vector.iter().map(|value| value / length).collect())
}

/// Returns how near a row of a length is to a query. For the cosine the query must be of length 1.
///
/// Zero has one sign here, so that equal scores are equal in every order.
#[must_use]
pub fn score(metric: Metric, query: &[f32], row: &[f32], length: f32) -> f32 {
    let score = match metric {
        Metric::Cosine => (dot(query, row) / length).clamp(-1.0, 1.0),
        Metric::Dot => dot(query, row),
        Metric::Euclidean => -squared_distance(query, row).sqrt(),
    };
    score + 0.0
}

#[cfg(test)]
mod tests {
    use super::{Length, dot, squared_distance, unit};

    #[test]
    fn every_value_is_counted_once() {
        for length in [0_u8, 1, 7, 31, 32, 33, 63, 64, 65, 100] {
            let ones = vec![1.0; usize::from(length)];
            let numbers: Vec<f32> = (1..=length).map(f32::from).collect();
            let sum = numbers.iter().sum::<f32>();
            let squares = numbers.iter().map(|x| (x - 1.0) * (x - 1.0)).sum::<f32>();
            assert!((dot(&ones, &numbers) - sum).abs() < 0.5, "{length}");
            assert!(
                (squared_distance(&ones, &numbers) - squares).abs() < 0.5,
                "{length}"
            );
        }
    }

    #[test]
    fn lengths_are_right_at_both_ends() {
        assert_eq!(Length::of(&[3.0, 4.0]), Length::Of(5.0));
        assert_eq!(Length::of(&[3e30, 4e30]), Length::Of(5e30));
        assert_eq!(Length::of(&[3e-30, 4e-30]), Length::Of(5e-30));
        assert_eq!(Length::of(&[0.0, -0.0]), Length::Zero);
        assert_eq!(Length::of(&[]), Length::Zero);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert_eq!(Length::of(&[1.0, wrong]), Length::NotFinite);
        }
        assert_eq!(Length::of(&[f32::MAX, f32::MAX]), Length::NotFinite);
        assert_eq!(unit(&[0.0, 2.0]), Some(vec![0.0, 1.0]));
        assert_eq!(unit(&[0.0, 0.0]), None);
    }
}
