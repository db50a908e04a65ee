//! How sure a mean of shares is.
//!
//! Far from 1 a mean of many shares is nearly normal. Near 1, where most shares are 1, and where all are alike,
//! the spread says nothing any more, and hits are counted instead: k of them in every list. A handful of
//! questions that agree is no certainty: what none of them did may still be what others do.

use crate::stats::{
    Estimate, FEWEST_DISCORDANT, Interval, clopper_pearson, mean, t_interval, upper_bound_exact,
    variance, whole_cases, wilson,
};

/// From which mean on hits are counted.
const NEAR_ONE: f64 = 0.98;
/// With fewer values than this, t knows better than the bootstrap how little they say.
const FEW: usize = 20;
/// An interval narrower than this has no width: equal decimals differ in their last bits.
const NO_WIDTH: f64 = 1e-12;

/// Returns how much narrower an interval is when `drawn` of a `population` were looked at: √(1 − q/n). Nothing
/// is left open when all were.
pub(super) fn finite(drawn: usize, population: Option<usize>) -> f64 {
    let left = population.map_or(1.0, |all| 1.0 - drawn as f64 / all.max(1) as f64);
    left.max(0.0).sqrt()
}

/// Returns a mean of shares of lists of `k` with its interval; `spread` is the interval to use away from
/// 1, and where it is not given, that of t.
pub(super) fn of_shares(
    shares: &[f64],
    k: usize,
    population: Option<usize>,
    confidence: f64,
    spread: Option<Interval>,
) -> Option<Estimate> {
    let value = mean(shares)?;
    let by_spread = of_spread(shares, confidence, spread).filter(|_| value < NEAR_ONE);
    let interval = by_spread.or_else(|| of_hits(shares, value, k, confidence))?;
    Some(shrunk(value, interval, finite(shares.len(), population)))
}

/// Returns the interval of a mean by how much its values differ: the bootstrap's `spread`, or t's where that is not
/// given or the values are few. `None` where no two of them differ.
pub(super) fn of_spread(
    values: &[f64],
    confidence: f64,
    spread: Option<Interval>,
) -> Option<Interval> {
    let spread = spread.filter(|_| FEW <= values.len());
    let interval = spread.or_else(|| t_interval(values, confidence));
    interval.filter(|interval| NO_WIDTH < interval.width())
}

/// Returns which share of all questions may do what none of `n` did, when only `changed` of those did anything:
/// exact, at each end, and about 3.7/n with 95 %. Nothing once enough of them changed for their spread to speak.
pub(super) fn unseen(n: usize, changed: usize, confidence: f64) -> f64 {
    if FEWEST_DISCORDANT <= changed as u64 {
        return 0.0;
    }
    upper_bound_exact(0, n as u64, f64::midpoint(1.0, confidence)).unwrap_or(1.0)
}

/// Returns how many questions that all do nothing leave at most this share unseen, by [`unseen`]; `None` when
/// it is no share.
pub(super) fn cases_for(share: f64, confidence: f64) -> Option<u64> {
    let tail: f64 = (1.0 - confidence) / 2.0;
    let cases = tail.ln() / (-share).ln_1p();
    whole_cases(cases).filter(|_| 0.0 < share && share < 1.0)
}

/// Returns a share of yes with Wilson's interval.
pub(super) fn of_yes(yes: &[f64], population: Option<usize>, confidence: f64) -> Option<Estimate> {
    let value = mean(yes)?;
    let hits = yes.iter().filter(|value| 0.5 < **value).count() as u64;
    let interval = wilson(hits, yes.len() as u64, confidence)?;
    Some(shrunk(value, interval, finite(yes.len(), population)))
}

fn shrunk(value: f64, interval: Interval, factor: f64) -> Estimate {
    let interval = Interval {
        low: (value - (value - interval.low) * factor).min(value),
        high: (value + (interval.high - value) * factor).max(value),
    };
    Estimate {
        value,
        interval: interval.clamped(0.0, 1.0),
    }
}

/// The exact interval of the hits of all lists, as if there were fewer by as much as hits of one list hang
/// together (the design effect).
fn of_hits(shares: &[f64], value: f64, k: usize, confidence: f64) -> Option<Interval> {
    let by_chance = value * (1.0 - value) / k.max(1) as f64;
    let together = match variance(shares) {
        Some(seen) if 0.0 < by_chance => (seen / by_chance).max(1.0),
        _ => 1.0,
    };
    let trials = whole_cases(
        ((shares.len() * k.max(1)) as f64 / together)
            .floor()
            .max(1.0),
    )?;
    let hits = whole_cases((value * trials as f64 + 1e-9).floor())?;
    let interval = clopper_pearson(hits.min(trials), trials, confidence)?;
    Some(Interval {
        low: interval.low.min(value),
        high: interval.high.max(value),
    })
}

#[cfg(test)]
mod tests {
    use super::{cases_for, of_shares, of_spread, of_yes, unseen};
    use crate::embeddings::compare::draw::draw;
    use crate::stats::{Interval, Random, mean};

    /// In how many of 300 samples the mean of a whole population is inside.
    fn covered(population: &[f64], drawn: usize) -> usize {
        let truth = mean(population).unwrap();
        let inside = (0..300).filter(|seed| {
            let places = draw(population.len(), drawn, *seed);
            let sample: Vec<f64> = places.iter().map(|place| population[*place]).collect();
            let estimate = of_shares(&sample, 10, Some(population.len()), 0.95, None).unwrap();
            estimate.interval.contains(truth)
        });
        inside.count()
    }

    /// Shares of ten, each hit with its list's own chance.
    fn shares(chance: impl Fn(&mut Random) -> f64) -> Vec<f64> {
        let mut random = Random::from_seed(11);
        let one = |_| {
            let chance = chance(&mut random);
            let hits = (0..10).filter(|_| random.happens(chance)).count();
            hits as f64 / 10.0
        };
        (0..2_000).map(one).collect()
    }

    #[test]
    fn the_truth_is_inside_as_often_as_promised() {
        // A new version; a noisy one; numerics only, and a few lists that fell apart.
        for population in [
            shares(|random| random.share()),
            shares(|_| 0.97),
            shares(|_| 0.997),
            shares(|random| if random.happens(0.1) { 0.9 } else { 1.0 }),
        ] {
            let inside = covered(&population, 200);
            assert!(inside >= 277, "{inside} of 300");
        }
    }

    #[test]
    fn the_ends_are_known() {
        let all = of_shares(&[0.5, 0.7, 0.6], 10, Some(3), 0.95, None).unwrap();
        assert!(all.interval.width() < 1e-12 && (all.value - 0.6).abs() < 1e-12);
        let same = of_shares(&[1.0; 100], 10, None, 0.95, None).unwrap();
        assert!((same.interval.low - 0.996_317_9).abs() < 1e-6, "{same:?}");
        assert_eq!(of_shares(&[], 10, None, 0.95, None), None);
        // Two that are alike are no certainty, and no bootstrap of them says so.
        let none = Interval {
            low: 0.5,
            high: 0.5,
        };
        let alike = of_shares(&[0.5; 2], 10, None, 0.95, Some(none)).unwrap();
        assert!((alike.interval.low - 0.271_96).abs() < 1e-4, "{alike:?}");
        assert!((alike.interval.high - 0.728_04).abs() < 1e-4, "{alike:?}");
        let yes = of_yes(&[1.0, 0.0, 1.0, 1.0], None, 0.95).unwrap();
        assert!((yes.interval.low - 0.300_64).abs() < 1e-4, "{yes:?}");
    }

    #[test]
    fn what_none_of_a_few_did_others_may_do() {
        for (n, changed, expected) in [
            (1, 0, 0.975),
            (10, 0, 0.308_5),
            (113, 5, 0.032_1),
            (113, 6, 0.0),
        ] {
            let share = unseen(n, changed, 0.95);
            assert!((share - expected).abs() < 1e-4, "{n} {changed}: {share}");
        }
        assert_eq!(cases_for(0.01, 0.95), Some(368));
        assert!(unseen(368, 0, 0.95) <= 0.01 && 0.01 < unseen(367, 0, 0.95));
        for no_share in [0.0, 1.0, -0.5, f64::NAN] {
            assert_eq!(cases_for(no_share, 0.95), None);
        }
        assert_eq!(of_spread(&[0.2; 30], 0.95, None), None);
    }
}
