//! What two lists of scores of the same cases come to.

use crate::evals::report::Figure;
use crate::evals::verdict::table::Score;
use crate::stats::anytime::{MeanBet, mean_sequence};
use crate::stats::{
    Change, Errors, Estimate, Interval, Pairs, clustered, clustered_difference,
    detectable_difference, detectable_mean_difference, mean, needed_differences, sign_flip,
    t_interval, variance, verdict_of_differences, verdict_of_estimate, verdict_of_pairs, wilson,
};

const CONFIDENCE: f64 = 0.95;
/// The share of cases that are taken to change where nothing was compared, and at least, for what could
/// have been seen: that none changed so far is no promise.
pub(super) const ASSUMED_DISCORDANCE: f64 = 0.10;
/// Chance in the report comes from here: the same rows give the same report.
const SEED: u64 = 0;

/// A case with its scores.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scored<'a> {
    pub(super) score: Score,
    pub(super) cluster: Option<&'a str>,
}

/// A case with its scores on both sides.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) base: Score,
    pub(super) head: Score,
    pub(super) cluster: Option<&'a str>,
}

/// What a comparison comes to.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    pub(super) delta: Figure,
    /// The one-sided lower bound at the asked error rate.
    pub(super) lower: f64,
    pub(super) change: Change,
    pub(super) p_value: Option<(String, f64)>,
    pub(super) detectable: Option<f64>,
    pub(super) needed: Option<u64>,
}

/// The figure of one side.
pub(super) fn figure(cases: &[Scored<'_>]) -> Option<Figure> {
    let values: Vec<f64> = cases.iter().map(|case| case.score.mean).collect();
    let value = mean(&values)?;
    let interval = if let Some(clusters) = clusters(cases.iter().map(|case| case.cluster)) {
        clustered(&values, &clusters, CONFIDENCE).map(|clustered| clustered.mean.interval)
    } else if cases.iter().all(|case| is_single(case.score)) {
        let passed = cases.iter().filter(|case| 0 < case.score.passed).count();
        wilson(as_u64(passed), as_u64(cases.len()), CONFIDENCE)
    } else {
        t_interval(&values, CONFIDENCE)
    };
    let is_share = values.iter().all(|value| (0.0..=1.0).contains(value));
    let interval = interval.map(|interval| {
        if is_share {
            interval.clamped(0.0, 1.0)
        } else {
            interval
        }
    });
    Some(with(value, interval))
}

/// Compares two sides; `None` without a pair, or with one pair of scores.
pub(super) fn compare(pairs: &[Pair<'_>], margin: f64, alpha: f64) -> Option<Comparison> {
    let clusters = clusters(pairs.iter().map(|pair| pair.cluster));
    let is_binary = pairs
        .iter()
        .all(|pair| is_single(pair.base) && is_single(pair.head));
    match clusters {
        Some(clusters) => of_clusters(pairs, &clusters, margin, alpha),
        None if is_binary => of_outcomes(pairs, margin, alpha),
        None => of_scores(pairs, margin, alpha),
    }
}

/// The figure of one side, with an interval that holds whenever one stops. Scores beyond 0 and 1 have none.
pub(super) fn anytime_figure(cases: &[Scored<'_>]) -> Option<Figure> {
    let values: Vec<f64> = cases.iter().map(|case| case.score.mean).collect();
    let interval = mean_sequence(&values, (0.0, 1.0), 1.0 - CONFIDENCE);
    Some(with(mean(&values)?, interval))
}

/// Compares two sides by what holds whenever one stops; `None` for scores beyond 0 and 1.
pub(super) fn compare_anytime(pairs: &[Pair<'_>], margin: f64) -> Option<Comparison> {
    let differences = differences(pairs);
    let interval = |alpha: f64| mean_sequence(&differences, (-1.0, 1.0), alpha);
    let estimate = Estimate {
        value: mean(&differences)?,
        interval: interval(1.0 - CONFIDENCE)?,
    };
    let lower = interval(2.0 * (1.0 - CONFIDENCE))?.low;
    let changed = differences.iter().filter(|value| **value != 0.0).count();
    let counts = (as_u64(changed), as_u64(differences.len()));
    let verdict = verdict_of_estimate(estimate, lower, counts, margin)?;
    Some(Comparison {
        delta: of_estimate(estimate),
        lower,
        change: verdict.change,
        p_value: anytime_p_value(&differences)
            .map(|p_value| ("anytime-valid bets".to_owned(), p_value)),
        detectable: detectable_of(&differences),
        needed: None,
    })
}

/// That the sides are alike: one over the evidence, which is the mean of that of both directions.
fn anytime_p_value(differences: &[f64]) -> Option<f64> {
    let (mut below, mut above) = (MeanBet::below(0.0, 1.0)?, MeanBet::above(0.0, -1.0)?);
    let mut evidence = 1.0;
    for difference in differences {
        evidence = f64::midpoint(below.observe(*difference)?, above.observe(*difference)?);
    }
    Some((1.0 / evidence).min(1.0))
}

/// The outcomes of pairs, counted.
pub(super) fn outcomes(pairs: &[Pair<'_>]) -> Pairs {
    let count = |wanted: (bool, bool)| {
        let passed = |score: Score| score.passed == score.repeats;
        let fits = |pair: &&Pair<'_>| (passed(pair.base), passed(pair.head)) == wanted;
        as_u64(pairs.iter().filter(fits).count())
    };
    Pairs {
        regressed: count((true, false)),
        improved: count((false, true)),
        total: as_u64(pairs.len()),
    }
}

fn of_outcomes(pairs: &[Pair<'_>], margin: f64, alpha: f64) -> Option<Comparison> {
    let outcomes = outcomes(pairs);
    let verdict = verdict_of_pairs(outcomes, margin)?;
    let discordance = outcomes.discordant()? as f64 / outcomes.total as f64;
    Some(Comparison {
        delta: of_estimate(verdict.difference),
        lower: outcomes.non_inferior_lower(1.0 - alpha)?,
        change: verdict.change,
        p_value: outcomes
            .mcnemar_exact()
            .map(|p_value| ("McNemar exact".to_owned(), p_value)),
        detectable: detectable_difference(
            outcomes.total,
            discordance.max(ASSUMED_DISCORDANCE),
            Errors::default(),
        ),
        needed: verdict.needed_cases,
    })
}

fn of_scores(pairs: &[Pair<'_>], margin: f64, alpha: f64) -> Option<Comparison> {
    let differences = differences(pairs);
    let verdict = verdict_of_differences(&differences, margin)?;
    let lower = t_interval(&differences, 1.0 - 2.0 * alpha)
        .map_or(verdict.lower_bound, |interval| interval.low);
    // Without spread the t interval has no width, and the verdict's own bound says what may be unseen.
    let lower = lower.min(if is_flat(&differences) {
        verdict.lower_bound
    } else {
        f64::INFINITY
    });
    Some(Comparison {
        delta: of_estimate(verdict.difference),
        lower,
        change: verdict.change,
        p_value: sign_flip(&differences, SEED).map(|test| {
            let name = if test.is_exact {
                "sign flip, exact"
            } else {
                "sign flip"
            };
            (name.to_owned(), test.p_value)
        }),
        detectable: detectable_of(&differences),
        needed: verdict.needed_cases,
    })
}

fn of_clusters(
    pairs: &[Pair<'_>],
    clusters: &[&str],
    margin: f64,
    alpha: f64,
) -> Option<Comparison> {
    let differences = differences(pairs);
    let two_sided = clustered_difference(&differences, clusters, CONFIDENCE)?;
    let one_sided = |alpha: f64| {
        clustered_difference(&differences, clusters, 1.0 - 2.0 * alpha)
            .map(|clustered| clustered.mean.interval.low)
    };
    let changed = differences.iter().filter(|value| **value != 0.0).count();
    let verdict = verdict_of_estimate(
        two_sided.mean,
        one_sided(1.0 - CONFIDENCE)?,
        (as_u64(changed), as_u64(differences.len())),
        margin,
    )?;
    Some(Comparison {
        delta: of_estimate(two_sided.mean),
        lower: one_sided(alpha)?,
        change: verdict.change,
        p_value: None,
        detectable: detectable_of(&differences),
        needed: verdict
            .needed_cases
            .or_else(|| needed_differences(&differences, margin)),
    })
}

fn detectable_of(differences: &[f64]) -> Option<f64> {
    let variance = variance(differences).filter(|variance| 0.0 < *variance)?;
    detectable_mean_difference(as_u64(differences.len()), variance, Errors::default())
}

fn is_flat(differences: &[f64]) -> bool {
    variance(differences).is_none_or(|variance| variance == 0.0)
}

fn differences(pairs: &[Pair<'_>]) -> Vec<f64> {
    pairs
        .iter()
        .map(|pair| pair.head.mean - pair.base.mean)
        .collect()
}

/// The cluster of each case; a case without one is a cluster of its own. `None` when no case has one.
fn clusters<'a>(cases: impl Iterator<Item = Option<&'a str>> + Clone) -> Option<Vec<&'a str>> {
    // Cases without a cluster would need a name each; a suite either has clusters or has none, and
    // those without are one more cluster, which only widens the interval.
    cases
        .clone()
        .any(|cluster| cluster.is_some())
        .then(|| cases.map(|cluster| cluster.unwrap_or("")).collect())
}

const fn is_single(score: Score) -> bool {
    score.is_binary && score.repeats == 1
}

const fn of_estimate(estimate: Estimate) -> Figure {
    Figure {
        value: estimate.value,
        low: Some(estimate.interval.low),
        high: Some(estimate.interval.high),
    }
}

pub(super) fn with(value: f64, interval: Option<Interval>) -> Figure {
    Figure {
        value,
        low: interval.map(|interval| interval.low),
        high: interval.map(|interval| interval.high),
    }
}

pub(super) fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
