//! Rounds: the same texts embedded in one request, again and again. Whether newer rounds are of the model that
//! older ones are of is a question of rounds, not of texts: what disturbs a request disturbs all its texts.
//!
//! A newer round that is as near to an older one as those are to each other needs no test. One that is
//! farther is asked for again, and the two groups of rounds are then held against all other ways to part them.
//! Nothing is assumed of the noise but that rounds of one model come in any order, so that the chance of a
//! false alarm is exact. Where a provider answers the same every time, any change is seen.

use crate::embeddings::rows::cosine;
use crate::embeddings::{Matrix, Rows as _};
use crate::stats::Random;
use serde::{Deserialize, Serialize};

/// How many rounds make what is normal, and how many judge a change.
pub const ROUNDS: usize = 8;
/// The most rounds that are normal together.
pub(super) const MOST_ROUNDS: usize = 32;
/// Up to so many ways to part the rounds all are tried; beyond, so many are drawn.
const PARTINGS: u64 = 20_000;

/// How far a round is from what is normal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// How many texts have a number that moved beyond the noise.
    pub moved: usize,
    /// Of how many texts.
    pub texts: usize,
    /// The largest difference in a dimension; `None` when the vectors have another length.
    pub deviation: Option<f64>,
    /// The cosine of the text that moved most.
    pub lowest_cosine: Option<f64>,
    /// The mean cosine of all texts.
    pub mean_cosine: Option<f64>,
}

/// Returns the largest difference in a dimension; infinite when two rounds have not one shape.
pub(super) fn deviation(one: &Matrix, other: &Matrix) -> f64 {
    if one.len() != other.len() || one.dimensions() != other.dimensions() {
        return f64::INFINITY;
    }
    largest(one.values(), other.values())
}

fn largest(one: &[f32], other: &[f32]) -> f64 {
    let pairs = one.iter().zip(other);
    pairs.fold(0.0, |most: f64, (x, y)| {
        most.max((f64::from(*x) - f64::from(*y)).abs())
    })
}

/// Returns how far a round is from the nearest of others, and which one that is.
pub(super) fn nearest<'a>(
    rounds: impl IntoIterator<Item = &'a Matrix>,
    round: &Matrix,
) -> Option<(f64, &'a Matrix)> {
    let each = rounds
        .into_iter()
        .map(|other| (deviation(other, round), other));
    each.min_by(|one, other| one.0.total_cmp(&other.0))
}

/// Returns how far a round of these is at most from the nearest of the others: the noise that they show.
pub(super) fn noise(rounds: &[Matrix]) -> f64 {
    let each = rounds.iter().enumerate().filter_map(|(place, round)| {
        let others = rounds.iter().enumerate();
        let others = others.filter(|(other, _)| *other != place);
        Some(nearest(others.map(|(_, round)| round), round)?.0)
    });
    each.fold(0.0, f64::max)
}

/// Returns how far two of these rounds are from each other at most.
pub(super) fn widest(rounds: &[Matrix]) -> f64 {
    let each = rounds.iter().enumerate().flat_map(|(place, round)| {
        let others = rounds.iter().skip(place + 1);
        others.map(move |other| deviation(round, other))
    });
    each.fold(0.0, f64::max)
}

/// Says how far a round is from the nearest of those that are normal.
pub(super) fn change(normal: &[Matrix], round: &Matrix, floor: f64) -> Change {
    let texts = round.len();
    let found = nearest(normal, round).filter(|(deviation, _)| deviation.is_finite());
    let Some((deviation, before)) = found else {
        return Change {
            moved: texts,
            texts,
            deviation: None,
            lowest_cosine: None,
            mean_cosine: None,
        };
    };
    let pairs = (0..texts).filter_map(|text| before.row(text).zip(round.row(text)));
    let moved = pairs.clone();
    let moved = moved.filter(|(before, now)| floor < largest(before, now));
    let cosines: Vec<f64> = pairs
        .clone()
        .filter_map(|(before, now)| cosine(before, now))
        .collect();
    Change {
        moved: moved.count(),
        texts,
        deviation: Some(deviation),
        lowest_cosine: cosines.iter().copied().min_by(f64::total_cmp),
        mean_cosine: crate::stats::mean(&cosines),
    }
}

/// Returns the least chance that rounds can show: that of the one parting which they are, and its mirror where
/// the two sides are as many.
pub(super) fn least_chance(then: usize, now: usize) -> f64 {
    let all = partings(then + now, now);
    let alike = if then == now { 2.0 } else { 1.0 };
    if all <= PARTINGS {
        alike / all as f64
    } else {
        1.0 / PARTINGS as f64
    }
}

/// Returns the chance of newer rounds that lie as far from older ones, were all of one model; `None` when
/// either has fewer than two, all together are more than 64, or their shapes differ.
///
/// It is the energy distance of Székely and Rizzo (2004) between the two groups under all their partings, or
/// under a draw of them where they are too many.
pub(super) fn chance(then: &[Matrix], now: &[Matrix], seed: u64) -> Option<f64> {
    let all: Vec<&Matrix> = then.iter().chain(now).collect();
    if then.len() < 2 || now.len() < 2 || 64 < all.len() {
        return None;
    }
    let mut far = Vec::with_capacity(all.len());
    for one in &all {
        let row: Option<Vec<f64>> = all.iter().map(|other| distance(one, other)).collect();
        far.push(row?);
    }
    let newer = |count: usize| (1_u64 << count) - 1;
    let observed = gap(&far, newer(now.len()) << then.len());
    // Sums in another order differ in their last digits.
    let least = observed - observed.abs() * 1e-9;
    let (mut extreme, mut tried) = (0_u64, 0_u64);
    let mut count = |parting: u64| {
        tried += 1;
        extreme += u64::from(least <= gap(&far, parting));
    };
    if partings(all.len(), now.len()) <= PARTINGS {
        let mut parting = newer(now.len());
        while parting < 1 << all.len() {
            count(parting);
            parting = next_of_as_many(parting)?;
        }
    } else {
        // What was seen is one of those that might have been.
        count(newer(now.len()) << then.len());
        let mut random = Random::from_seed(seed);
        let mut places: Vec<u32> = (0..).take(all.len()).collect();
        for _ in 1..PARTINGS {
            let mut parting = 0;
            for place in 0..now.len() {
                places.swap(place, place + random.below(all.len() - place));
                parting |= 1_u64 << places.get(place)?;
            }
            count(parting);
        }
    }
    Some(extreme as f64 / tried as f64)
}

/// The next larger number with as many bits.
fn next_of_as_many(bits: u64) -> Option<u64> {
    let lowest = bits & bits.wrapping_neg();
    let ripple = bits.checked_add(lowest)?;
    Some(ripple | (((bits ^ ripple) >> 2) / lowest))
}

/// In how many ways `some` of `all` can be taken; the largest number when that is larger.
fn partings(all: usize, some: usize) -> u64 {
    let mut ways = 1_u64;
    for taken in 0..some.min(all - some.min(all)) {
        let (Ok(left), Ok(part)) = (u64::try_from(all - taken), u64::try_from(taken + 1)) else {
            return u64::MAX;
        };
        let Some(more) = ways.checked_mul(left) else {
            return u64::MAX;
        };
        ways = more / part;
    }
    ways
}

/// The mean distance of the two vectors of a text.
fn distance(one: &Matrix, other: &Matrix) -> Option<f64> {
    if one.len() != other.len() || one.dimensions() != other.dimensions() || one.is_empty() {
        return None;
    }
    let size = one.dimensions();
    let pairs = one
        .values()
        .chunks_exact(size)
        .zip(other.values().chunks_exact(size));
    let each = pairs.map(|(one, other)| {
        let pairs = one.iter().zip(other);
        let squares = pairs.map(|(x, y)| (f64::from(*x) - f64::from(*y)).powi(2));
        squares.sum::<f64>().sqrt()
    });
    Some(each.sum::<f64>() / one.len() as f64)
}

/// How much farther rounds of the two sides are from each other than from their own.
fn gap(far: &[Vec<f64>], newer: u64) -> f64 {
    let (mut sums, mut counts) = ([0.0; 3], [0.0; 3]);
    for (one, row) in far.iter().enumerate() {
        for (other, distance) in row.iter().enumerate().take(one) {
            let side = usize::from(newer >> one & 1 == 1) + usize::from(newer >> other & 1 == 1);
            if let (Some(sum), Some(count)) = (sums.get_mut(side), counts.get_mut(side)) {
                *sum += distance;
                *count += 1.0;
            }
        }
    }
    let [old, between, new] = sums;
    let [old_pairs, pairs, new_pairs] = counts;
    between / pairs - f64::midpoint(old / old_pairs, new / new_pairs)
}

#[cfg(test)]
mod tests {
    use super::{
        ROUNDS, chance, change, deviation, least_chance, nearest, next_of_as_many, noise, partings,
        widest,
    };
    use crate::embeddings::Matrix;
    use crate::stats::Random;

    const TEXTS: usize = 4;
    const SIZE: usize = 6;

    /// A round of one model, disturbed by up to `noise` in every number.
    fn round(random: &mut Random, model: u64, noise: f64) -> Matrix {
        let mut own = Random::from_seed(model);
        let values = (0..TEXTS * SIZE).map(|_| {
            let value = own.share() - 0.5 + noise * (random.share() - 0.5);
            #[expect(clippy::cast_possible_truncation, reason = "made-up vectors")]
            let narrow = value as f32;
            narrow
        });
        Matrix::new(SIZE, values.collect()).unwrap()
    }

    fn rounds(random: &mut Random, model: u64, noise: f64, count: usize) -> Vec<Matrix> {
        (0..count).map(|_| round(random, model, noise)).collect()
    }

    #[test]
    fn where_nothing_is_noise_any_bit_is_a_change() {
        let mut random = Random::from_seed(1);
        let normal = rounds(&mut random, 5, 0.0, ROUNDS);
        assert_eq!((noise(&normal), widest(&normal)), (0.0, 0.0));
        let same = round(&mut random, 5, 0.0);
        assert_eq!(nearest(&normal, &same).unwrap().0, 0.0);
        assert_eq!(change(&normal, &same, 0.0).moved, 0);
        let mut values = same.into_values();
        values[7] = f32::from_bits(values[7].to_bits() + 1);
        let other = Matrix::new(SIZE, values).unwrap();
        let found = change(&normal, &other, 0.0);
        assert_eq!((found.moved, found.texts), (1, TEXTS));
        assert!(0.0 < found.deviation.unwrap() && found.deviation.unwrap() < 1e-6);
        assert!(0.999_999 < found.lowest_cosine.unwrap());
        let now = vec![other; ROUNDS];
        assert_eq!(chance(&normal, &now, 1), Some(2.0 / 12_870.0));
        assert_eq!(least_chance(ROUNDS, ROUNDS), 2.0 / 12_870.0);
    }

    #[test]
    fn another_model_is_told_from_noise() {
        let mut random = Random::from_seed(2);
        let normal = rounds(&mut random, 5, 0.01, ROUNDS);
        let floor = noise(&normal);
        assert!(0.0 < floor && floor <= widest(&normal) && widest(&normal) <= 0.01 + 1e-6);
        let now = rounds(&mut random, 6, 0.01, ROUNDS);
        let found = change(&normal, &now[0], floor);
        assert_eq!(found.moved, TEXTS);
        assert!(found.lowest_cosine.unwrap() < 0.9);
        assert_eq!(chance(&normal, &now, 1), Some(2.0 / 12_870.0));
        // More rounds than can be parted in all ways: what was drawn holds too.
        let many = rounds(&mut random, 5, 0.01, 2 * ROUNDS);
        let drawn = chance(&many, &now, 1).unwrap();
        assert!(drawn <= 3.0 / 20_000.0, "{drawn}");
        assert_eq!(least_chance(2 * ROUNDS, ROUNDS), 1.0 / 20_000.0);
    }

    #[test]
    fn vectors_of_another_length_are_another_model() {
        let one = Matrix::new(2, vec![0.0; 8]).unwrap();
        let other = Matrix::new(4, vec![0.0; 16]).unwrap();
        assert!(deviation(&one, &other).is_infinite());
        let found = change(std::slice::from_ref(&one), &other, 0.1);
        assert_eq!((found.moved, found.deviation), (4, None));
        assert_eq!(
            chance(&[one.clone(), one], &[other.clone(), other], 1),
            None
        );
    }

    #[test]
    fn partings_are_counted_and_all_are_tried_once() {
        assert_eq!(partings(16, 8), 12_870);
        assert_eq!(partings(4, 2), 6);
        let mut seen = vec![0b0011_u64];
        while seen.len() < 6 {
            seen.push(next_of_as_many(*seen.last().unwrap()).unwrap());
        }
        assert_eq!(seen, [0b0011, 0b0101, 0b0110, 0b1001, 0b1010, 0b1100]);
    }

    /// A provider that answers from three unlike machines, each with noise of its own.
    fn machines(random: &mut Random, count: usize) -> Vec<Matrix> {
        let each = (0..count).map(|_| {
            let machine = u64::try_from(random.below(3)).unwrap();
            round(random, 100 + machine, 0.001)
        });
        each.collect()
    }

    #[test]
    fn chance_alone_alarms_no_more_often_than_it_may() {
        // Five rounds each: 252 partings, so that a test takes no time and many can be made.
        let mut random = Random::from_seed(3);
        let (tests, level) = (400_u32, 0.05);
        for is_steady in [true, false] {
            let mut alarms = 0;
            for seed in 0..u64::from(tests) {
                let all = if is_steady {
                    rounds(&mut random, 5, 0.01, 10)
                } else {
                    machines(&mut random, 10)
                };
                let (then, now) = all.split_at(5);
                if nearest(then, &now[0]).unwrap().0 <= noise(then) {
                    continue;
                }
                alarms += u32::from(chance(then, now, seed).unwrap() <= level);
            }
            // 20 are expected at most, and more than 34 have a chance of 0.001.
            assert!(alarms <= 34, "{alarms} of {tests}");
        }
    }
}
