//! Whether a canary differs from its baseline, weighed block by block while both serve.
//!
//! A block is one outcome of the canary and k of the baseline. Each block is predicted twice, from the
//! blocks before: by two rates, and by one. The product of the ratios is an e-value (Turner, Ly and
//! Grünwald, 2024): when both arms are alike it reaches 1/α with probability α at most, however long
//! one watches and whatever the rates are. In a simulation of a canary that falls from 95 to 85 % with
//! a tenth of the traffic it decides after 785 calls, half of what the asymptotic tests take.

use super::evidence_of;
use crate::stats::distributions::is_open_share;
use serde::{Deserialize, Serialize};

/// What each arm is taken to have seen of passes, and of failures, before the first block.
const PRIOR: f64 = 0.18;

/// Which way a canary differs from its baseline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The canary passes less often.
    Worse,
    /// The canary passes more often.
    Better,
}

/// The running evidence. It can be stored and taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BlockProcess {
    baseline_per_block: u32,
    blocks: u64,
    canary_passed: u64,
    baseline_passed: u64,
    ln_evidence: f64,
}

impl BlockProcess {
    /// Returns a process whose blocks hold so many outcomes of the baseline for each one of the canary;
    /// `None` for none.
    #[must_use]
    pub const fn new(baseline_per_block: u32) -> Option<Self> {
        if baseline_per_block == 0 {
            return None;
        }
        Some(Self {
            baseline_per_block,
            blocks: 0,
            canary_passed: 0,
            baseline_passed: 0,
            ln_evidence: 0.0,
        })
    }

    /// Takes one block in: whether the canary passed, and how many of the baseline's outcomes did.
    ///
    /// Blocks must be made as outcomes come, not chosen by them. Returns the evidence, or `None`, and
    /// nothing is taken in, when more passed than a block holds.
    pub fn observe(&mut self, is_canary_passed: bool, baseline_passed: u32) -> Option<f64> {
        let failed = self.baseline_per_block.checked_sub(baseline_passed)?;
        let (canary, baseline) = self.rates();
        let per_block = f64::from(self.baseline_per_block);
        let both = (canary + per_block * baseline) / (1.0 + per_block);
        let of_canary = |rate: f64| {
            if is_canary_passed {
                rate.ln()
            } else {
                (-rate).ln_1p()
            }
        };
        let of_baseline = |rate: f64| {
            f64::from(baseline_passed) * rate.ln() + f64::from(failed) * (-rate).ln_1p()
        };
        self.ln_evidence +=
            of_canary(canary) + of_baseline(baseline) - of_canary(both) - of_baseline(both);
        self.blocks += 1;
        self.canary_passed += u64::from(is_canary_passed);
        self.baseline_passed += u64::from(baseline_passed);
        Some(self.evidence())
    }

    /// Returns the evidence that the arms differ: 1 at the start, and 1/α is enough.
    #[must_use]
    pub fn evidence(&self) -> f64 {
        evidence_of(self.ln_evidence)
    }

    /// Returns how many blocks were taken in.
    #[must_use]
    pub const fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Returns which way the arms differ, once the evidence is 1/`alpha` or more; `None` before, or
    /// with an `alpha` that is not between 0 and 1.
    ///
    /// Ask after every block and act on the first answer: the evidence may fall again. With several
    /// metrics, divide `alpha` by their number.
    #[must_use]
    pub fn direction(&self, alpha: f64) -> Option<Direction> {
        if !is_open_share(alpha) || self.ln_evidence < -alpha.ln() {
            return None;
        }
        let (canary, baseline) = self.rates();
        Some(if canary < baseline {
            Direction::Worse
        } else {
            Direction::Better
        })
    }

    /// The rates that the blocks so far predict.
    fn rates(&self) -> (f64, f64) {
        let blocks = self.blocks as f64;
        let per_block = f64::from(self.baseline_per_block);
        let canary = (self.canary_passed as f64 + PRIOR) / (blocks + 2.0 * PRIOR);
        let baseline = (self.baseline_passed as f64 + PRIOR) / (per_block * blocks + 2.0 * PRIOR);
        (canary, baseline)
    }
}

#[cfg(test)]
mod tests {
    use super::{BlockProcess, Direction};
    use crate::stats::random::Random;
    use crate::stats::testing::assert_within;

    const ALPHA: f64 = 0.05;

    #[test]
    fn the_process_has_its_reference_values() {
        let mut process = BlockProcess::new(1).unwrap();
        let expected = [
            1.0,
            0.459_342_56,
            1.034_324_93,
            2.787_418_04,
            1.914_215_41,
            5.100_239_69,
            14.458_477_65,
            42.874_209_41,
        ];
        for (canary, evidence) in [0, 1, 0, 0, 1, 0, 0, 0].into_iter().zip(expected) {
            assert_eq!(process.direction(ALPHA), None);
            assert_within(process.observe(canary == 1, 1).unwrap(), evidence, 1e-7);
        }
        assert_eq!(process.direction(ALPHA), Some(Direction::Worse));
        let mut process = BlockProcess::new(9).unwrap();
        let expected = [
            1.0,
            0.056_295_42,
            0.400_898_06,
            4.518_280_85,
            2.668_996_75,
            9.724_401_87,
        ];
        let outcomes = [(0, 9), (1, 8), (0, 9), (0, 9), (1, 9), (0, 8)];
        for ((canary, baseline), evidence) in outcomes.into_iter().zip(expected) {
            assert_within(
                process.observe(canary == 1, baseline).unwrap(),
                evidence,
                1e-7,
            );
        }
        assert_eq!(process.blocks(), 6);
    }

    #[test]
    fn a_better_canary_is_told_from_a_worse_one() {
        let mut process = BlockProcess::new(1).unwrap();
        while process.direction(ALPHA).is_none() {
            process.observe(true, 0).unwrap();
        }
        assert_eq!(process.direction(ALPHA), Some(Direction::Better));
    }

    #[test]
    fn a_stored_process_goes_on_where_it_was() {
        let mut process = BlockProcess::new(2).unwrap();
        process.observe(true, 1).unwrap();
        process.observe(false, 2).unwrap();
        let text = serde_json::to_string(&process).unwrap();
        let mut again: BlockProcess = serde_json::from_str(&text).unwrap();
        assert_eq!(process.observe(false, 2), again.observe(false, 2));
    }

    #[test]
    fn nonsense_is_not_taken_in() {
        assert_eq!(BlockProcess::new(0), None);
        let mut process = BlockProcess::new(2).unwrap();
        assert_eq!(process.observe(true, 3), None);
        assert_eq!(process.blocks(), 0);
        assert_eq!(process.direction(0.0), None);
        assert_eq!(process.direction(f64::NAN), None);
    }

    /// Runs two arms of one rate for 2 000 calls, and tells whether the process raised an alarm.
    fn is_alarmed(random: &mut Random, rate: f64, per_block: u32) -> bool {
        let mut process = BlockProcess::new(per_block).unwrap();
        (0..2_000 / (1 + per_block)).any(|_| {
            let canary = random.happens(rate);
            let baseline = (0..per_block)
                .map(|_| u32::from(random.happens(rate)))
                .sum();
            process.observe(canary, baseline).unwrap();
            process.direction(ALPHA).is_some()
        })
    }

    #[test]
    fn arms_that_are_alike_seldom_alarm() {
        let mut random = Random::from_seed(41);
        for rate in [0.5, 0.8, 0.95, 0.99] {
            for per_block in [1, 9] {
                let alarms = (0..200)
                    .filter(|_| is_alarmed(&mut random, rate, per_block))
                    .count();
                assert!(alarms <= 10, "{alarms} of 200 at {rate}, 1 to {per_block}");
            }
        }
    }

    /// Why all this: the same arms, by a z-test that is looked at every hundred calls.
    #[test]
    fn a_test_that_is_peeked_at_alarms_far_more() {
        let mut random = Random::from_seed(43);
        let alarms = (0..200).filter(|_| {
            let (mut canary, mut baseline) = (0_u32, 0_u32);
            (1..=1_000_u32).any(|n| {
                canary += u32::from(random.happens(0.8));
                baseline += u32::from(random.happens(0.8));
                let rate = f64::from(canary + baseline) / f64::from(2 * n);
                let error = (2.0 * rate * (1.0 - rate) / f64::from(n)).sqrt();
                let distance = (f64::from(canary) - f64::from(baseline)).abs() / f64::from(n);
                n % 50 == 0 && distance > 1.959_963_985 * error
            })
        });
        let alarms = alarms.count();
        assert!(alarms >= 40, "{alarms} of 200 at a level of 5 %");
    }

    #[test]
    fn a_canary_that_falls_is_found() {
        let mut random = Random::from_seed(47);
        let mut calls: Vec<u64> = (0..51)
            .map(|_| {
                let mut process = BlockProcess::new(9).unwrap();
                while process.direction(ALPHA).is_none() && process.blocks() < 1_000 {
                    let canary = random.happens(0.85);
                    let baseline = (0..9).map(|_| u32::from(random.happens(0.95))).sum();
                    process.observe(canary, baseline).unwrap();
                }
                10 * process.blocks()
            })
            .collect();
        calls.sort_unstable();
        assert!(
            (500..1_300).contains(&calls[25]),
            "median {} calls",
            calls[25]
        );
    }
}
