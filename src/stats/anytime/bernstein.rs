//! A confidence sequence for the mean of values from 0 to 1 that learns their spread on the way.
//!
//! Where values hardly differ (a share of neighbours that is nearly always 1), it is many times narrower
//! than one that must assume the worst spread.

use crate::stats::distributions::{is_open_share, is_share};
use crate::stats::{Estimate, Interval};

/// The largest bet on one value; beyond it a single value could end the game.
const LARGEST_BET: f64 = 0.5;

/// The empirical Bernstein sequence (Waudby-Smith and Ramdas, 2024, theorem 2), value by value.
///
/// Its interval holds the mean at all times together with probability 1 − α, so one may look after every
/// value and stop when one has seen enough.
#[derive(Debug, Clone, PartialEq)]
pub struct BernsteinSequence {
    alpha: f64,
    count: f64,
    sum: f64,
    squares: f64,
    bets: f64,
    won: f64,
    penalty: f64,
    interval: Interval,
}

impl BernsteinSequence {
    /// Returns a sequence before its first value; `None` with an `alpha` that is not between 0 and 1.
    #[must_use]
    pub fn new(alpha: f64) -> Option<Self> {
        is_open_share(alpha).then_some(Self {
            alpha,
            count: 0.0,
            sum: 0.0,
            squares: 0.0,
            bets: 0.0,
            won: 0.0,
            penalty: 0.0,
            interval: Interval {
                low: 0.0,
                high: 1.0,
            },
        })
    }

    /// Takes a value and returns the interval after it; `None`, and nothing taken, when it is not from 0
    /// to 1.
    pub fn observe(&mut self, value: f64) -> Option<Interval> {
        if !is_share(value) {
            return None;
        }
        // What is bet on a value may know only those before it.
        let centre_before = (0.5 + self.sum) / (self.count + 1.0);
        let variance_before = (0.25 + self.squares) / (self.count + 1.0);
        self.count += 1.0;
        let level = (2.0 / self.alpha).ln();
        let bet = (2.0 * level / (variance_before * self.count * (self.count + 1.0).ln()))
            .sqrt()
            .min(LARGEST_BET);
        let surprise = value - centre_before;
        self.bets += bet;
        self.won += bet * value;
        self.penalty += 4.0 * surprise * surprise * (-(1.0 - bet).ln() - bet) / 4.0;
        self.sum += value;
        let centre = (0.5 + self.sum) / (self.count + 1.0);
        self.squares += (value - centre).powi(2);
        let middle = self.won / self.bets;
        let reach = (level + self.penalty) / self.bets;
        // The truth is in all intervals so far, and so in what they share.
        let narrowed = Interval {
            low: self.interval.low.max(middle - reach),
            high: self.interval.high.min(middle + reach),
        };
        if narrowed.low <= narrowed.high {
            self.interval = narrowed;
        }
        Some(self.interval)
    }

    /// Returns how many values were taken.
    #[must_use]
    pub const fn count(&self) -> f64 {
        self.count
    }

    /// Returns the mean so far with its interval; `None` before the first value.
    #[must_use]
    pub fn estimate(&self) -> Option<Estimate> {
        (0.0 < self.count).then(|| Estimate {
            value: self.sum / self.count,
            interval: self.interval,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::BernsteinSequence;
    use crate::stats::Random;

    /// How many of 200 streams leave their interval at any of 400 looks, and how wide it is at the end.
    fn missed(draw: impl Fn(&mut Random) -> f64, mean: f64) -> (usize, f64) {
        let (mut missed, mut width) = (0, 0.0);
        for seed in 0..200 {
            let mut random = Random::from_seed(seed);
            let mut sequence = BernsteinSequence::new(0.05).unwrap();
            let is_missed = (0..400).fold(false, |is_missed, _| {
                let interval = sequence.observe(draw(&mut random)).unwrap();
                is_missed || !interval.contains(mean)
            });
            missed += usize::from(is_missed);
            width += sequence.estimate().unwrap().interval.width() / 200.0;
        }
        (missed, width)
    }

    #[test]
    fn the_mean_is_inside_at_every_look() {
        let (missed_of_shares, wide) = missed(Random::share, 0.5);
        let (missed_of_rare, narrow) = missed(|random| f64::from(!random.happens(0.02)), 0.98);
        assert!(missed_of_shares <= 10, "{missed_of_shares} of 200");
        assert!(missed_of_rare <= 10, "{missed_of_rare} of 200");
        assert!(narrow < 0.08 && narrow < wide, "{narrow} {wide}");
    }

    #[test]
    fn nonsense_is_not_taken() {
        assert_eq!(BernsteinSequence::new(0.0), None);
        let mut sequence = BernsteinSequence::new(0.05).unwrap();
        assert_eq!(sequence.observe(1.5), None);
        assert_eq!(sequence.observe(f64::NAN), None);
        assert_eq!(sequence.estimate(), None);
        sequence.observe(0.25);
        assert_eq!(
            sequence.estimate().map(|estimate| estimate.value),
            Some(0.25)
        );
    }
}
