//! Whether groups are treated alike.
//!
//! Two kinds of evidence. Rates per group, when each case belongs to one; the largest gap is shown with
//! its interval, which does not know that the gap was picked as the largest: [`against_rest`] does, by
//! Holm. And flips, when the same case is asked for one group and another: a flip rate means nothing
//! without that of the same group asked twice.

use super::Estimate;
use super::judge::Confusion;
use super::multiplicity::holm;
use super::proportion::{share, wilson};
use super::unpaired::{Passed, fisher_exact, newcombe_hybrid};
use serde::{Deserialize, Serialize};

/// The ratio of rates below which the four-fifths rule sees disparate impact.
pub const FOUR_FIFTHS: f64 = 0.8;
/// A group with fewer cases is too small to be shown without its interval.
const SMALL_GROUP: u64 = 30;

/// The largest gap between the rates of groups.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Disparity {
    /// The place of the group with the highest rate.
    pub highest: usize,
    /// The place of the group with the lowest rate.
    pub lowest: usize,
    /// Highest − lowest (demographic parity difference, when the rate is that of a favourable outcome),
    /// with Newcombe's interval.
    pub difference: Estimate,
    /// Lowest / highest (disparate-impact ratio); 1 when all rates are 0.
    pub ratio: f64,
    /// Whether a group has fewer than 30 cases.
    pub has_small_group: bool,
}

/// The gaps of both rates of a classification.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Odds {
    /// The gap of the true-positive rates (equal opportunity).
    pub true_positive: Disparity,
    /// The gap of the false-positive rates.
    pub false_positive: Disparity,
    /// The larger of the two differences (equalised odds).
    pub difference: f64,
}

/// How often the outcome changed between two askings of one case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Flips {
    /// Pairs with different outcomes.
    pub flipped: u64,
    /// All pairs.
    pub total: u64,
}

/// How often another group changes the outcome, beyond what asking twice does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FlipRate {
    /// The flip rate between groups.
    pub observed: Estimate,
    /// The flip rate within one group: the noise.
    pub floor: Estimate,
    /// Observed − floor. Groups are treated differently when its interval is above 0.
    pub excess: Estimate,
}

impl Disparity {
    /// Returns whether the ratio is below four fifths.
    #[must_use]
    pub fn is_disparate(self) -> bool {
        // 0.8 itself passes, also when it was computed.
        self.ratio < FOUR_FIFTHS - 1e-12
    }
}

/// Returns the largest gap of the groups' rates of favourable outcomes.
///
/// `None` with fewer than two groups, a group without cases, or a confidence that is not between 0 and 1.
#[must_use]
pub fn demographic_parity(groups: &[Passed], confidence: f64) -> Option<Disparity> {
    if groups.len() < 2 {
        return None;
    }
    let rates: Vec<f64> = groups
        .iter()
        .map(|group| group.share())
        .collect::<Option<_>>()?;
    let by_rate = |one: &(usize, &f64), other: &(usize, &f64)| one.1.total_cmp(other.1);
    // Of equal rates the first is the highest and the last the lowest, so the two differ.
    let (highest, high) = rates.iter().enumerate().rev().max_by(by_rate)?;
    let (lowest, low) = rates.iter().enumerate().rev().min_by(by_rate)?;
    Some(Disparity {
        highest,
        lowest,
        difference: newcombe_hybrid(*groups.get(highest)?, *groups.get(lowest)?, confidence)?,
        ratio: if *high > 0.0 { low / high } else { 1.0 },
        has_small_group: groups.iter().any(|group| group.total < SMALL_GROUP),
    })
}

/// Returns the largest gap of the groups' true-positive rates: of those who deserve the favourable
/// outcome, who gets it. `None` as for [`demographic_parity`]; each group needs a case that deserves
/// it.
#[must_use]
pub fn equal_opportunity(groups: &[Confusion], confidence: f64) -> Option<Disparity> {
    gap(groups, confidence, |group| {
        (group.true_positive, group.false_negative)
    })
}

/// Returns the largest gaps of both rates. `None` as for [`equal_opportunity`]; each group also needs a
/// case that does not deserve the favourable outcome.
#[must_use]
pub fn equalised_odds(groups: &[Confusion], confidence: f64) -> Option<Odds> {
    let true_positive = equal_opportunity(groups, confidence)?;
    let false_positive = gap(groups, confidence, |group| {
        (group.false_positive, group.true_negative)
    })?;
    Some(Odds {
        true_positive,
        false_positive,
        difference: true_positive
            .difference
            .value
            .max(false_positive.difference.value),
    })
}

/// Returns for each group the chance that it differs so from all others together when nothing differs:
/// Fisher's exact test, two-sided, adjusted for the number of groups by Holm.
///
/// `None` with fewer than two groups, or when a group or the rest of one has no cases.
#[must_use]
pub fn against_rest(groups: &[Passed]) -> Option<Vec<f64>> {
    if groups.len() < 2 {
        return None;
    }
    let all = groups.iter().try_fold(Passed::default(), |sum, group| {
        Some(Passed {
            successes: sum.successes.checked_add(group.successes)?,
            total: sum.total.checked_add(group.total)?,
        })
    })?;
    let p_values: Option<Vec<f64>> = groups
        .iter()
        .map(|group| {
            let rest = Passed {
                successes: all.successes - group.successes,
                total: all.total - group.total,
            };
            fisher_exact(*group, rest)
        })
        .collect();
    holm(&p_values?)
}

/// Returns how often another group changes the outcome, beyond what asking the same group twice does.
///
/// `None` when either was not tried, with more flips than pairs, or with a confidence that is not
/// between 0 and 1.
#[must_use]
pub fn flip_rate(between: Flips, within: Flips, confidence: f64) -> Option<FlipRate> {
    let [observed, floor] = [between, within].map(|flips| {
        Some(Estimate {
            value: share(flips.flipped, flips.total)?,
            interval: wilson(flips.flipped, flips.total, confidence)?,
        })
    });
    let [between, within] = [between, within].map(|flips| Passed {
        successes: flips.flipped,
        total: flips.total,
    });
    Some(FlipRate {
        observed: observed?,
        floor: floor?,
        excess: newcombe_hybrid(between, within, confidence)?,
    })
}

fn gap(
    groups: &[Confusion],
    confidence: f64,
    outcomes: impl Fn(&Confusion) -> (u64, u64),
) -> Option<Disparity> {
    let rates: Option<Vec<Passed>> = groups
        .iter()
        .map(|group| {
            let (hits, misses) = outcomes(group);
            Some(Passed {
                successes: hits,
                total: hits.checked_add(misses)?,
            })
        })
        .collect();
    demographic_parity(&rates?, confidence)
}

#[cfg(test)]
mod tests {
    use super::{
        Flips, against_rest, demographic_parity, equal_opportunity, equalised_odds, flip_rate,
    };
    use crate::stats::testing::{assert_close, assert_interval};
    use crate::stats::{Confusion, Passed, newcombe_hybrid};

    const fn passed(successes: u64, total: u64) -> Passed {
        Passed { successes, total }
    }

    #[test]
    fn gaps_have_their_reference_values() {
        let disparity = demographic_parity(&[passed(30, 60), passed(45, 60)], 0.95).unwrap();
        assert_close(disparity.difference.value, 0.25);
        assert_close(disparity.ratio, 0.666_666_666_7);
        assert_eq!((disparity.highest, disparity.lowest), (1, 0));
        assert!(disparity.is_disparate() && !disparity.has_small_group);
        let by_hand = newcombe_hybrid(passed(45, 60), passed(30, 60), 0.95).unwrap();
        assert_eq!(disparity.difference, by_hand);
        let four_fifths = demographic_parity(&[passed(50, 100), passed(40, 100)], 0.95).unwrap();
        assert!(!four_fifths.is_disparate());
    }

    #[test]
    fn odds_are_the_larger_gap() {
        let group = |true_positive, false_positive| Confusion {
            true_positive,
            false_negative: 20 - true_positive,
            false_positive,
            true_negative: 20 - false_positive,
        };
        let groups = [group(18, 4), group(12, 1), group(15, 2)];
        let odds = equalised_odds(&groups, 0.95).unwrap();
        assert_close(odds.true_positive.difference.value, 0.3);
        assert_close(odds.false_positive.difference.value, 0.15);
        assert_close(odds.difference, 0.3);
        assert!(odds.true_positive.has_small_group);
        assert_eq!(equal_opportunity(&groups, 0.95), Some(odds.true_positive));
    }

    #[test]
    fn groups_that_are_alike_have_no_gap() {
        let disparity = demographic_parity(&[passed(0, 40), passed(0, 40)], 0.95).unwrap();
        assert_close(disparity.ratio, 1.0);
        assert_close(disparity.difference.value, 0.0);
        assert_ne!(disparity.highest, disparity.lowest);
        let chances = against_rest(&[passed(20, 40), passed(20, 40), passed(20, 40)]).unwrap();
        assert!(chances.iter().all(|p| *p > 0.999));
    }

    #[test]
    fn a_group_apart_is_found_among_many() {
        let groups = [
            passed(36, 40),
            passed(35, 40),
            passed(36, 40),
            passed(18, 40),
        ];
        let chances = against_rest(&groups).unwrap();
        assert!(chances[3] < 1e-5 && chances[0] > 0.05, "{chances:?}");
    }

    #[test]
    fn flips_are_counted_beyond_the_noise() {
        let flips = |flipped, total| Flips { flipped, total };
        let rate = flip_rate(flips(12, 100), flips(4, 100), 0.95).unwrap();
        assert_close(rate.excess.value, 0.08);
        assert!(rate.excess.interval.contains(0.08));
        let same = flip_rate(flips(4, 100), flips(4, 100), 0.95).unwrap();
        assert_close(same.excess.value, 0.0);
        assert_interval(
            same.excess.interval,
            -same.excess.interval.high,
            same.excess.interval.high,
        );
        assert!(
            flip_rate(flips(30, 100), flips(4, 100), 0.95)
                .unwrap()
                .excess
                .interval
                .low
                > 0.0
        );
        assert_eq!(flip_rate(flips(1, 10), flips(0, 0), 0.95), None);
        assert_eq!(flip_rate(flips(3, 2), flips(1, 2), 0.95), None);
        assert_eq!(flip_rate(flips(1, 2), flips(1, 2), 1.0), None);
    }

    #[test]
    fn nonsense_has_no_gap() {
        assert_eq!(demographic_parity(&[passed(1, 2)], 0.95), None);
        assert_eq!(
            demographic_parity(&[passed(1, 2), passed(0, 0)], 0.95),
            None
        );
        assert_eq!(
            demographic_parity(&[passed(1, 2), passed(3, 2)], 0.95),
            None
        );
        assert_eq!(
            demographic_parity(&[passed(1, 2), passed(1, 2)], f64::NAN),
            None
        );
        assert_eq!(equalised_odds(&[Confusion::default(); 2], 0.95), None);
        assert_eq!(against_rest(&[passed(1, 2)]), None);
        assert_eq!(against_rest(&[passed(1, 2), passed(0, 0)]), None);
    }
}
