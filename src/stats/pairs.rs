//! Two versions on the same cases, each passed or failed: only the cases that changed say anything.

use super::Estimate;
use super::Interval;
use super::distributions::{
    binomial_at_least, binomial_at_most, binomial_exactly, chi_square_above, is_open_share,
    z_two_sided,
};
use super::proportion::wilson;
use super::special::root_of_increasing;
use serde::{Deserialize, Serialize};

/// With fewer changed cases no two-sided paired test can reach 5 %.
pub const FEWEST_DISCORDANT: u64 = 6;

/// How the outcomes of the same cases differ between a baseline and a candidate.
///
/// Differences are always candidate − baseline: above 0 the candidate is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Pairs {
    /// Cases that only the baseline passed (b in the literature).
    pub regressed: u64,
    /// Cases that only the candidate passed (c in the literature).
    pub improved: u64,
    /// All cases, those without a change included.
    pub total: u64,
}

/// All four outcomes of pairs, for what needs more than the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PairedTable {
    /// Cases that both passed.
    pub both_passed: u64,
    /// Cases that only the baseline passed.
    pub regressed: u64,
    /// Cases that only the candidate passed.
    pub improved: u64,
    /// Cases that both failed.
    pub both_failed: u64,
}

/// McNemar's chi-square with its chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// The statistic.
    pub statistic: f64,
    /// Its degrees of freedom.
    pub freedom: u64,
    /// The chance of one as large when nothing differs.
    pub p_value: f64,
}

impl Pairs {
    /// Returns the pairs with the two versions swapped.
    #[must_use]
    pub const fn swapped(self) -> Self {
        Self {
            regressed: self.improved,
            improved: self.regressed,
            total: self.total,
        }
    }

    /// Returns how many cases changed; `None` when there are no cases, or more changes than cases.
    #[must_use]
    pub fn discordant(self) -> Option<u64> {
        let discordant = self.regressed.checked_add(self.improved)?;
        (0 < self.total && discordant <= self.total).then_some(discordant)
    }

    /// Returns the change of the pass rate, candidate − baseline. `None` as for [`Pairs::discordant`].
    #[must_use]
    pub fn difference(self) -> Option<f64> {
        self.discordant()?;
        Some((self.improved as f64 - self.regressed as f64) / self.total as f64)
    }

    /// Returns the exact two-sided chance of McNemar (1947): min(1, 2·P(Bin(b+c, ½) ≤ min(b, c))).
    ///
    /// 1 when no case changed. `None` as for [`Pairs::discordant`], here and below.
    #[must_use]
    pub fn mcnemar_exact(self) -> Option<f64> {
        let discordant = self.discordant()?;
        let fewer = self.regressed.min(self.improved);
        Some((2.0 * binomial_at_most(fewer, discordant, 0.5)).min(1.0))
    }

    /// Returns the mid-p form of [`Pairs::mcnemar_exact`], which is less cautious (Fagerland et al.,
    /// 2013).
    #[must_use]
    pub fn mcnemar_mid_p(self) -> Option<f64> {
        let discordant = self.discordant()?;
        if discordant == 0 {
            return Some(1.0);
        }
        let fewer = self.regressed.min(self.improved);
        Some(self.mcnemar_exact()? - binomial_exactly(fewer, discordant, 0.5))
    }

    /// Returns McNemar's chi-square with Edwards' continuity correction, (|b−c| − 1)²/(b+c); also
    /// `None` when no case changed.
    #[must_use]
    pub fn mcnemar_chi_square(self) -> Option<ChiSquare> {
        let discordant = self.discordant().filter(|discordant| 0 < *discordant)?;
        let distance = self.regressed.abs_diff(self.improved) as f64;
        let statistic = (distance - 1.0).powi(2) / discordant as f64;
        Some(ChiSquare {
            statistic,
            freedom: 1,
            p_value: chi_square_above(statistic, 1.0),
        })
    }

    /// Returns the exact one-sided chance of at least so many improvements when nothing differs.
    ///
    /// Of [`Pairs::swapped`] it is that of at least so many regressions.
    #[must_use]
    pub fn mcnemar_improved(self) -> Option<f64> {
        Some(binomial_at_least(self.improved, self.discordant()?, 0.5))
    }

    /// Returns the interval of Tango (1998) of the change, by inverting the score test: the one to print.
    ///
    /// It stays within −1 and 1, and has a width when no case changed. Also `None` with a confidence that
    /// is not between 0 and 1, here and below.
    #[must_use]
    pub fn tango(self, confidence: f64) -> Option<Interval> {
        self.discordant()?;
        let z = z_two_sided(confidence)?;
        // The lower end is the upper end of the swapped pairs, so that swapping is exact.
        Some(Interval {
            low: -self.swapped().tango_upper(z)?,
            high: self.tango_upper(z)?,
        })
    }

    /// Returns the lower bound of the change with one-sided `confidence`, by Tango's score test.
    ///
    /// Above −m, the candidate is not worse by more than m.
    #[must_use]
    pub fn non_inferior_lower(self, confidence: f64) -> Option<f64> {
        Some(-self.swapped().non_inferior_upper(confidence)?)
    }

    /// Returns the upper bound of the change with one-sided `confidence`, by Tango's score test.
    #[must_use]
    pub fn non_inferior_upper(self, confidence: f64) -> Option<f64> {
        self.discordant()?;
        if !is_open_share(confidence) {
            return None;
        }
        self.tango_upper(z_two_sided(2.0 * confidence - 1.0)?)
    }

    /// Returns the textbook interval of Wald. With few changes it is too narrow: prefer [`Pairs::tango`].
    #[must_use]
    pub fn wald(self, confidence: f64) -> Option<Interval> {
        let (changed, n) = (self.discordant()? as f64, self.total as f64);
        let difference = self.difference()?;
        let reach = z_two_sided(confidence)? * (changed - difference.powi(2) * n).sqrt() / n;
        Some(Interval::around(difference, reach)?.clamped(-1.0, 1.0))
    }

    /// Returns the adjusted Wald interval of Bonett and Price (2012): as if one more case had changed
    /// each way. The value is its shrunken middle.
    #[must_use]
    pub fn bonett_price(self, confidence: f64) -> Option<Estimate> {
        let (changed, n) = (self.discordant()? as f64 + 2.0, self.total as f64 + 2.0);
        let value = (self.improved as f64 - self.regressed as f64) / n;
        let reach = z_two_sided(confidence)? * (changed - value.powi(2) * n).sqrt() / n;
        Some(Estimate {
            value,
            interval: Interval::around(value, reach)?.clamped(-1.0, 1.0),
        })
    }

    /// The Δ above the observed change at which the score statistic has fallen to −z.
    fn tango_upper(self, z: f64) -> Option<f64> {
        let observed = self.difference()?;
        let upper = root_of_increasing(observed, 1.0, |delta| -z - self.tango_score(delta));
        Some(upper.clamp(observed, 1.0))
    }

    /// Tango's statistic for the hypothesis that the change is `delta`.
    fn tango_score(self, delta: f64) -> f64 {
        let n = self.total as f64;
        let (b, c) = (self.regressed as f64, self.improved as f64);
        let distance = c - b - n * delta;
        let linear = -(b + c) + (2.0 * n - c + b) * delta;
        let constant = -b * delta * (1.0 - delta);
        let root = (linear * linear - 8.0 * n * constant).max(0.0).sqrt();
        let regressed = (root - linear) / (4.0 * n);
        let variance = n * (2.0 * regressed + delta * (1.0 - delta));
        if variance <= 0.0 {
            // Only what was observed has a chance.
            return match distance.partial_cmp(&0.0) {
                Some(std::cmp::Ordering::Less) => f64::NEG_INFINITY,
                Some(std::cmp::Ordering::Greater) => f64::INFINITY,
                _ => 0.0,
            };
        }
        distance / variance.sqrt()
    }
}

impl PairedTable {
    /// Returns what changed.
    #[must_use]
    pub fn pairs(self) -> Option<Pairs> {
        let pairs = Pairs {
            regressed: self.regressed,
            improved: self.improved,
            total: [self.regressed, self.improved, self.both_failed]
                .iter()
                .try_fold(self.both_passed, |sum, count| sum.checked_add(*count))?,
        };
        pairs.discordant().map(|_| pairs)
    }

    /// Returns the interval of the change by method 10 of Newcombe (1998): Wilson's intervals of both
    /// rates, joined by their correlation. `None` without cases or with a confidence not between 0 and
    /// 1.
    #[must_use]
    pub fn newcombe(self, confidence: f64) -> Option<Interval> {
        let pairs = self.pairs()?;
        let passed = [
            self.both_passed + self.improved,
            self.both_passed + self.regressed,
        ];
        let [candidate, baseline] = passed.map(|count| count as f64 / pairs.total as f64);
        let [of_candidate, of_baseline] =
            passed.map(|count| wilson(count, pairs.total, confidence));
        let (of_candidate, of_baseline) = (of_candidate?, of_baseline?);
        let correlation = self.correlation(pairs.total as f64);
        let reach = |one: f64, other: f64| {
            (one * one - 2.0 * correlation * one * other + other * other)
                .max(0.0)
                .sqrt()
        };
        let difference = pairs.difference()?;
        let down = reach(candidate - of_candidate.low, of_baseline.high - baseline);
        let up = reach(of_candidate.high - candidate, baseline - of_baseline.low);
        Some(
            Interval {
                low: difference - down,
                high: difference + up,
            }
            .clamped(-1.0, 1.0),
        )
    }

    /// The correlation of the outcomes, continuity-corrected as Newcombe does.
    fn correlation(self, n: f64) -> f64 {
        let [a, b, c, d] = [
            self.both_passed,
            self.improved,
            self.regressed,
            self.both_failed,
        ]
        .map(|count| count as f64);
        let margins = (a + b) * (c + d) * (a + c) * (b + d);
        let product = a * d - b * c;
        let corrected = if product > 0.0 {
            (product - n / 2.0).max(0.0)
        } else {
            product
        };
        if margins <= 0.0 {
            0.0
        } else {
            corrected / margins.sqrt()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PairedTable, Pairs};
    use crate::stats::distributions::times_ln;
    use crate::stats::special::ln_gamma;
    use crate::stats::testing::{assert_close, assert_interval, assert_within};
    use proptest::prelude::*;

    fn pairs(regressed: u64, improved: u64, total: u64) -> Pairs {
        Pairs {
            regressed,
            improved,
            total,
        }
    }

    #[test]
    fn mcnemar_has_its_reference_values() {
        for (b, c, exact, mid, statistic, chance, one_sided) in [
            (
                3,
                12,
                0.035_156_25,
                0.021_270_751_95,
                4.266_666_667,
                0.038_867_103_81,
                0.017_578_125,
            ),
            (
                1,
                8,
                0.039_062_5,
                0.021_484_375,
                4.0,
                0.045_500_263_9,
                0.019_531_25,
            ),
            (5, 5, 1.0, 0.753_906_25, 0.1, 0.751_829_634, 0.623_046_875),
            (
                0,
                6,
                0.031_25,
                0.015_625,
                4.166_666_667,
                0.041_226_833_34,
                0.015_625,
            ),
            (
                10,
                25,
                0.016_673_847_8,
                0.011_330_984_18,
                5.6,
                0.017_960_477_53,
                0.008_336_923_9,
            ),
        ] {
            let pairs = pairs(b, c, 100);
            assert_close(pairs.mcnemar_exact().unwrap(), exact);
            assert_close(pairs.mcnemar_mid_p().unwrap(), mid);
            let chi_square = pairs.mcnemar_chi_square().unwrap();
            assert_close(chi_square.statistic, statistic);
            assert_close(chi_square.p_value, chance);
            assert_close(pairs.mcnemar_improved().unwrap(), one_sided);
        }
        let pairs = pairs(2, 30, 100);
        assert_within(pairs.mcnemar_exact().unwrap() / 2.463_348_21e-7, 1.0, 1e-8);
        assert_within(pairs.mcnemar_mid_p().unwrap() / 1.308_508_217e-7, 1.0, 1e-8);
        assert_within(pairs.mcnemar_chi_square().unwrap().p_value, 1.815e-6, 1e-9);
        assert_within(pairs.mcnemar_improved().unwrap(), 1.2317e-7, 1e-11);
    }

    #[test]
    fn five_changes_one_way_prove_nothing() {
        assert_close(pairs(0, 5, 1_000).mcnemar_exact().unwrap(), 0.0625);
        assert_close(pairs(0, 0, 9).mcnemar_exact().unwrap(), 1.0);
        assert_close(pairs(0, 0, 9).mcnemar_mid_p().unwrap(), 1.0);
        assert_eq!(pairs(0, 0, 9).mcnemar_chi_square(), None);
    }

    #[test]
    fn tango_has_its_reference_values() {
        for (b, c, n, low, high) in [
            (3, 12, 100, 0.015_977_141_7, 0.173_742_844_7),
            (5, 5, 100, -0.070_221_199_4, 0.070_221_199_4),
            (10, 25, 200, 0.017_912_007_7, 0.135_514_590_1),
            (2, 0, 50, -0.134_600_906_9, 0.034_201_503_1),
            (2, 12, 50, 0.061_112_406_2, 0.344_708_748_3),
        ] {
            assert_interval(pairs(b, c, n).tango(0.95).unwrap(), low, high);
        }
    }

    #[test]
    fn the_simpler_intervals_have_their_reference_values() {
        for (b, c, n, wald, middle, adjusted) in [
            (
                3,
                12,
                100,
                [0.016_168_908_5, 0.163_831_091_5],
                0.088_235_294_1,
                [0.010_881_029_8, 0.165_589_558_4],
            ),
            (
                5,
                5,
                100,
                [-0.061_979_503_2, 0.061_979_503_2],
                0.0,
                [-0.066_563_866_7, 0.066_563_866_7],
            ),
            (
                10,
                25,
                200,
                [0.017_962_859_1, 0.132_037_140_9],
                0.074_257_425_7,
                [0.016_132_811_1, 0.132_382_040_4],
            ),
            (
                2,
                0,
                50,
                [-0.094_316_115_2, 0.014_316_115_2],
                -0.038_461_538_5,
                [-0.113_116_411_2, 0.036_193_334_2],
            ),
        ] {
            let pairs = pairs(b, c, n);
            assert_interval(pairs.wald(0.95).unwrap(), wald[0], wald[1]);
            let estimate = pairs.bonett_price(0.95).unwrap();
            assert_close(estimate.value, middle);
            assert_interval(estimate.interval, adjusted[0], adjusted[1]);
        }
    }

    #[test]
    fn newcombe_has_its_reference_values() {
        for (table, low, high) in [
            ([36, 12, 2, 0], 0.056_929_584, 0.340_427_603),
            ([80, 12, 3, 5], 0.012_587_132_9, 0.172_286_530_3),
        ] {
            let [both_passed, improved, regressed, both_failed] = table;
            let table = PairedTable {
                both_passed,
                regressed,
                improved,
                both_failed,
            };
            assert_interval(table.newcombe(0.95).unwrap(), low, high);
        }
    }

    #[test]
    fn bounds_of_non_inferiority_have_their_reference_values() {
        for (b, c, n, low, high) in [
            (10, 10, 500, -0.015_591_199_7, 0.015_591_199_7),
            (20, 10, 500, -0.039_281_495_9, -0.002_070_655_5),
            (3, 3, 100, -0.047_253_209_9, 0.047_253_209_9),
            (25, 10, 500, -0.050_750_146_8, -0.010_963_335_6),
            (0, 0, 100, -0.026_342_720_8, 0.026_342_720_8),
            (0, 0, 300, -0.008_937_872_2, 0.008_937_872_2),
            (2, 1, 40, -0.119_993_701_3, 0.062_709_632_4),
            (12, 3, 100, -0.158_763_694_2, -0.028_858_241_6),
        ] {
            let pairs = pairs(b, c, n);
            assert_close(pairs.non_inferior_lower(0.95).unwrap(), low);
            assert_close(pairs.non_inferior_upper(0.95).unwrap(), high);
        }
        // Not significantly worse, and yet not shown to be no worse than three points.
        let seen = pairs(20, 10, 500);
        assert_within(seen.mcnemar_exact().unwrap(), 0.0987, 1e-4);
        assert!(seen.non_inferior_lower(0.95).unwrap() < -0.03);
    }

    #[test]
    fn nonsense_has_no_figures() {
        for pairs in [pairs(0, 0, 0), pairs(3, 3, 5), pairs(u64::MAX, 1, 5)] {
            assert_eq!(pairs.difference(), None);
            assert_eq!(pairs.mcnemar_exact(), None);
            assert_eq!(pairs.mcnemar_mid_p(), None);
            assert_eq!(pairs.mcnemar_improved(), None);
            assert_eq!(pairs.tango(0.95), None);
            assert_eq!(pairs.wald(0.95), None);
            assert_eq!(pairs.bonett_price(0.95), None);
            assert_eq!(pairs.non_inferior_lower(0.95), None);
        }
        for confidence in [0.0, 1.0, 1.5, f64::NAN] {
            assert_eq!(pairs(1, 1, 5).tango(confidence), None);
            assert_eq!(pairs(1, 1, 5).non_inferior_lower(confidence), None);
        }
        assert_eq!(PairedTable::default().newcombe(0.95), None);
    }

    #[test]
    fn all_cases_may_change() {
        let interval = pairs(0, 10, 10).tango(0.95).unwrap();
        assert_close(interval.high, 1.0);
        let square = 1.959_963_984_540_054_f64.powi(2);
        assert_close(interval.low, (10.0 - square) / (10.0 + square));
    }

    /// The chance of these outcomes when a case regresses and improves with these chances.
    fn chance(seen: Pairs, regress: f64, improve: f64) -> f64 {
        let same = seen.total - seen.regressed - seen.improved;
        let counts = [seen.regressed, seen.improved, same].map(|count| count as f64);
        let chances = [regress, improve, 1.0 - regress - improve];
        let ln_ways = counts
            .iter()
            .fold(ln_gamma(seen.total as f64 + 1.0), |sum, count| {
                sum - ln_gamma(count + 1.0)
            });
        let parts = counts.iter().zip(chances);
        (ln_ways
            + parts
                .map(|(count, chance)| times_ln(*count, chance))
                .sum::<f64>())
        .exp()
    }

    /// Summed over all outcomes of 40 cases.
    #[test]
    fn tango_covers_what_it_says() {
        let all = (0..=40).flat_map(|b| (0..=40 - b).map(move |c| pairs(b, c, 40)));
        let all: Vec<Pairs> = all.collect();
        for (regress, improve) in [
            (0.05, 0.05),
            (0.02, 0.08),
            (0.1, 0.02),
            (0.2, 0.2),
            (0.01, 0.0),
        ] {
            let covers = |seen: &Pairs| seen.tango(0.95).unwrap().contains(improve - regress);
            let covered: f64 = all
                .iter()
                .map(|seen| (seen, chance(*seen, regress, improve)))
                // What hardly ever happens cannot change the sum.
                .filter(|(seen, chance)| *chance > 1e-7 && covers(seen))
                .map(|(_, chance)| chance)
                .sum();
            assert!(
                (0.925..=1.0).contains(&covered),
                "{covered} for {regress}, {improve}"
            );
        }
    }

    proptest! {
        #[test]
        fn intervals_hold_the_change_and_turn_with_it(
            b in 0..60_u64, c in 0..60_u64, more in 0..300_u64, confidence in 0.5..0.99_f64,
        ) {
            prop_assume!(0 < b + c + more);
            let seen = pairs(b, c, b + c + more);
            let turned = seen.swapped();
            let difference = seen.difference().unwrap();
            for call in [Pairs::tango, Pairs::wald] {
                let interval = call(seen, confidence).unwrap();
                prop_assert!(interval.contains(difference));
                prop_assert!(-1.0 <= interval.low && interval.high <= 1.0);
                let other = call(turned, confidence).unwrap().negated();
                prop_assert!((other.low - interval.low).abs() < 1e-12);
                prop_assert!((other.high - interval.high).abs() < 1e-12);
            }
            let wider = seen.tango(f64::midpoint(1.0, confidence)).unwrap();
            prop_assert!(wider.width() >= seen.tango(confidence).unwrap().width());
            let twice = pairs(2 * b, 2 * c, 2 * seen.total).tango(confidence).unwrap();
            prop_assert!(twice.width() <= seen.tango(confidence).unwrap().width());
            let exact = seen.mcnemar_exact().unwrap();
            prop_assert!((exact - turned.mcnemar_exact().unwrap()).abs() < 1e-12);
            prop_assert!(seen.mcnemar_mid_p().unwrap() <= exact);
        }
    }
}
