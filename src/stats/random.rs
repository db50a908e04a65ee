//! Chance from a seed: the same seed gives the same figures on every machine and in every release.
//!
//! A report must be computable again years later, so the generator is part of the format and is not
//! left to a library that may change it. It is SplitMix64 (Steele, Lea and Flood, 2014): 64 bits of
//! state, fit for resampling, not for secrets.

/// A stream of random numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Returns the stream that belongs to `seed`.
    #[must_use]
    pub const fn from_seed(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 bits.
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number of 0 up to 1, 1 excluded.
    pub fn share(&mut self) -> f64 {
        const TWO_TO_53: f64 = 9_007_199_254_740_992.0;
        (self.bits() >> 11) as f64 / TWO_TO_53
    }

    /// Returns whether something of this chance happens.
    pub fn happens(&mut self, chance: f64) -> bool {
        self.share() < chance
    }

    /// Returns a place in a list of `count`; 0 when there is none.
    ///
    /// The product's upper half is a place (Lemire, 2019); that some places are likelier by `count` in
    /// 2^64 cannot be seen.
    pub fn below(&mut self, count: usize) -> usize {
        let product = u128::from(self.bits()) * count as u128;
        usize::try_from(product >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Random;
    use crate::stats::testing::assert_within;

    /// The figures of old reports hang on these.
    #[test]
    fn a_seed_always_gives_the_same_numbers() {
        let mut random = Random::from_seed(1_234_567);
        let numbers: Vec<u64> = (0..3).map(|_| random.bits()).collect();
        assert_eq!(
            numbers,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn shares_and_places_are_even() {
        let mut random = Random::from_seed(1);
        let mut places = [0_u32; 7];
        let mut sum = 0.0;
        for _ in 0..70_000 {
            places[random.below(7)] += 1;
            sum += random.share();
        }
        assert!(
            places.iter().all(|count| (9_600..10_400).contains(count)),
            "{places:?}"
        );
        assert_within(sum / 70_000.0, 0.5, 0.005);
        assert_eq!(random.below(0), 0);
    }
}
