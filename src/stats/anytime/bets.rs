//! Bets on the mean of bounded values: evidence and an interval that hold whenever one looks.
//!
//! Against the claim that a mean is at most m, a gambler stakes a share s of what may be lost on each
//! value: the wealth is multiplied by 1 + s·(x − m)/(m − low). While the claim holds the game is fair or
//! worse, so the wealth reaches 1/α with chance α at most, at any time, whatever the values' distribution
//! (Waudby-Smith and Ramdas, 2024). Here several gamblers stake different shares, and the evidence is the
//! mean of what they have. Of pairs of outcomes and m = 0 that is the sequential test of `McNemar`.

use super::evidence_of;
use crate::stats::Interval;
use crate::stats::special::root_of_increasing;

/// What the gamblers stake: large shares find large differences soon, small ones find small ones at all.
const STAKES: [f64; 8] = [0.96, 0.75, 0.5, 0.3, 0.17, 0.09, 0.045, 0.02];

/// The running evidence that a mean is on one side of a bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeanBet {
    bound: f64,
    /// The value that is worst for the gamblers; below the bound for evidence that the mean is above.
    worst: f64,
    ln_wealth: [f64; STAKES.len()],
    ln_highest: f64,
}

impl MeanBet {
    /// Returns the bet that the mean is above `bound`, of values that are `low` or more; `None` unless
    /// `low` is below `bound`.
    #[must_use]
    pub fn above(bound: f64, low: f64) -> Option<Self> {
        (low < bound && (bound - low).is_finite()).then_some(Self::new(bound, low))
    }

    /// Returns the bet that the mean is below `bound`, of values that are `high` or less; `None` unless
    /// `high` is above `bound`.
    #[must_use]
    pub fn below(bound: f64, high: f64) -> Option<Self> {
        (bound < high && (high - bound).is_finite()).then_some(Self::new(bound, high))
    }

    const fn new(bound: f64, worst: f64) -> Self {
        Self {
            bound,
            worst,
            ln_wealth: [0.0; STAKES.len()],
            ln_highest: 0.0,
        }
    }

    /// Takes a value in. Returns the evidence, or `None`, and nothing is taken in, when the value is worse
    /// than the worst there may be.
    pub fn observe(&mut self, value: f64) -> Option<f64> {
        let gain = gain(value, self.bound, self.worst)?;
        for (wealth, stake) in self.ln_wealth.iter_mut().zip(STAKES) {
            *wealth += (stake * gain).ln_1p();
        }
        let ln_evidence = ln_mean(&self.ln_wealth);
        self.ln_highest = self.ln_highest.max(ln_evidence);
        Some(evidence_of(ln_evidence))
    }

    /// Returns the highest evidence there was: 1 at the start. The claim may be given up, with error rate
    /// α, once it is 1/α, and stays given up.
    #[must_use]
    pub fn highest(&self) -> f64 {
        evidence_of(self.ln_highest)
    }
}

/// What a stake of 1 wins on a value: −1 at worst.
fn gain(value: f64, bound: f64, worst: f64) -> Option<f64> {
    let gain = (value - bound) / (bound - worst);
    (-1.0 <= gain && gain.is_finite()).then_some(gain)
}

/// The logarithm of the mean of numbers given by their logarithms.
fn ln_mean(logarithms: &[f64; STAKES.len()]) -> f64 {
    let highest = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logarithms.iter().map(|ln| (ln - highest).exp()).sum();
    highest + (sum / STAKES.len() as f64).ln()
}

/// Returns the means that values from `low` to `high` do not speak against, at any time.
///
/// Those that neither bet has evidence 2/α against. `None` without values, with one that is out of bounds,
/// or an `alpha` that is not between 0 and 1.
#[must_use]
pub fn mean_sequence(values: &[f64], (low, high): (f64, f64), alpha: f64) -> Option<Interval> {
    let is_inside = |value: &f64| (low..=high).contains(value);
    let is_open = 0.0 < alpha && alpha < 1.0;
    if values.is_empty() || !is_open || low >= high || !values.iter().all(is_inside) {
        return None;
    }
    let counted = counted(values);
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let enough = (2.0 / alpha).ln();
    let against = |bound: f64, worst: f64| {
        let mut ln_wealth = [0.0; STAKES.len()];
        for (value, count) in &counted {
            let gain = (value - bound) / (bound - worst);
            for (wealth, stake) in ln_wealth.iter_mut().zip(STAKES) {
                *wealth += count * (stake * gain).ln_1p();
            }
        }
        ln_mean(&ln_wealth)
    };
    // The evidence falls as the bound comes near the mean, on either side of it.
    let lower = root_of_increasing(low, mean, |bound| enough - against(bound, low));
    let upper = root_of_increasing(mean, high, |bound| against(bound, high) - enough);
    Some(Interval {
        low: lower.clamp(low, mean),
        high: upper.clamp(mean, high),
    })
}

/// Values with how often they come: outcomes are few.
fn counted(values: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut counted: Vec<(f64, f64)> = Vec::new();
    for value in sorted {
        match counted.last_mut() {
            Some((last, count)) if last.total_cmp(&value).is_eq() => *count += 1.0,
            _ => counted.push((value, 1.0)),
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::{MeanBet, STAKES, mean_sequence};
    use crate::stats::Pairs;
    use crate::stats::anytime::mcnemar_regression_evidence;
    use crate::stats::random::Random;
    use crate::stats::testing::assert_close;

    /// A difference of a pair: −1 with chance `regressed`, 1 with `improved`, else 0.
    fn difference(random: &mut Random, regressed: f64, improved: f64) -> f64 {
        let at = random.share();
        if at < regressed {
            -1.0
        } else if at < regressed + improved {
            1.0
        } else {
            0.0
        }
    }

    #[test]
    fn the_evidence_is_the_mean_of_what_the_gamblers_have() {
        let mut bet = MeanBet::above(-0.25, -1.0).unwrap();
        bet.observe(0.5).unwrap();
        let evidence = bet.observe(-1.0).unwrap();
        // The first value wins its stake once, the second loses it.
        let wealth = STAKES.iter().map(|stake| (1.0 + stake) * (1.0 - stake));
        assert_close(evidence, wealth.sum::<f64>() / 8.0);
        let first = STAKES.iter().map(|stake| 1.0 + stake).sum::<f64>() / 8.0;
        assert_close(bet.highest(), first);
    }

    #[test]
    fn what_makes_no_sense_is_no_bet() {
        assert_eq!(MeanBet::above(-1.0, -1.0), None);
        assert_eq!(MeanBet::below(1.0, 0.5), None);
        let mut bet = MeanBet::below(0.0, 1.0).unwrap();
        assert_eq!(bet.observe(1.5), None);
        assert_eq!(bet.observe(f64::NAN), None);
        assert_close(bet.highest(), 1.0);
        for (values, bounds, alpha) in [
            (&[][..], (0.0, 1.0), 0.05),
            (&[2.0][..], (0.0, 1.0), 0.05),
            (&[0.5][..], (1.0, 0.0), 0.05),
            (&[0.5][..], (0.0, 1.0), 1.0),
        ] {
            assert_eq!(mean_sequence(values, bounds, alpha), None);
        }
    }

    #[test]
    fn it_sees_what_the_sequential_mcnemar_test_sees() {
        for (regressed, improved) in [(12, 3), (20, 10), (8, 0), (5, 5)] {
            let mut bet = MeanBet::below(0.0, 1.0).unwrap();
            let mut evidence = 1.0;
            let values = [(-1.0, regressed), (1.0, improved), (0.0, 40)];
            for (value, count) in values {
                for _ in 0..count {
                    evidence = bet.observe(value).unwrap();
                }
            }
            let pairs = Pairs {
                regressed,
                improved,
                total: regressed + improved + 40,
            };
            let known = mcnemar_regression_evidence(pairs).unwrap();
            let ratio = evidence / known;
            assert!(
                (0.4..2.5).contains(&ratio),
                "{regressed} {improved}: {ratio}"
            );
        }
    }

    #[test]
    fn the_interval_holds_the_mean_at_all_times_and_closes_in() {
        let mut random = Random::from_seed(7);
        let mut misses = 0;
        for _ in 0..100 {
            let mut values = Vec::new();
            let mut has_missed = false;
            for n in 1..=300 {
                values.push(difference(&mut random, 0.08, 0.04));
                if n % 20 == 0 {
                    let interval = mean_sequence(&values, (-1.0, 1.0), 0.05).unwrap();
                    has_missed |= !interval.contains(-0.04);
                }
            }
            misses += i32::from(has_missed);
        }
        assert!(misses <= 5, "{misses}");
        let same = mean_sequence(&[0.0; 200], (-1.0, 1.0), 0.05).unwrap();
        assert!(-0.05 < same.low && same.high < 0.05, "{same:?}");
        let few = mean_sequence(&[0.0; 2], (-1.0, 1.0), 0.05).unwrap();
        assert!(few.low < -0.9 && 0.9 < few.high, "{few:?}");
    }

    #[test]
    fn looking_after_every_pair_raises_no_more_false_alarms_than_promised() {
        let mut random = Random::from_seed(11);
        // At the edge of what is claimed, the evidence reaches 20 in one run of twenty at most.
        let (mut worse, mut not_worse) = (0, 0);
        for _ in 0..400 {
            let mut below = MeanBet::below(0.0, 1.0).unwrap();
            let mut above = MeanBet::above(-0.05, -1.0).unwrap();
            for _ in 0..400 {
                below.observe(difference(&mut random, 0.06, 0.06)).unwrap();
                above.observe(difference(&mut random, 0.09, 0.04)).unwrap();
            }
            worse += i32::from(20.0 <= below.highest());
            not_worse += i32::from(20.0 <= above.highest());
        }
        assert!(worse <= 20, "{worse} of 400");
        assert!(not_worse <= 20, "{not_worse} of 400");
    }

    #[test]
    fn a_real_drop_is_found_and_none_is_shown_to_be_none() {
        let mut random = Random::from_seed(13);
        let (mut drops, mut equals) = (0, 0);
        for _ in 0..100 {
            let mut below = MeanBet::below(0.0, 1.0).unwrap();
            let mut above = MeanBet::above(-0.05, -1.0).unwrap();
            for _ in 0..500 {
                below.observe(difference(&mut random, 0.15, 0.03)).unwrap();
                above.observe(difference(&mut random, 0.02, 0.02)).unwrap();
            }
            drops += i32::from(40.0 <= below.highest());
            equals += i32::from(20.0 <= above.highest());
        }
        assert!(95 <= drops, "{drops} of 100");
        assert!(90 <= equals, "{equals} of 100");
    }
}
