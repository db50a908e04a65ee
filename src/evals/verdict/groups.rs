//! Groups that must be treated alike: how often the outcome flips with nothing but the group changed,
//! less how often it flips when nothing changes at all.

use crate::evals::plan::{Side, Subject};
use crate::evals::report::{Figure, GroupLine, Verdict};
use crate::evals::suite::{Case, GroupMember};
use crate::evals::verdict::figures::{as_u64, with};
use crate::evals::verdict::table::{PASS, Said, Table};
use crate::evals::verdict::words;
use crate::stats::{Flips, Pairs, Passed, demographic_parity, flip_rate, holm, wilson};
use std::collections::BTreeMap;

const CONFIDENCE: f64 = 0.95;

/// The outcomes of one group, by pair: the sample and its control.
type Outcomes<'a> = BTreeMap<&'a str, (Option<bool>, Option<bool>)>;

/// A line for every two groups of every subject, on `pass` and on each metric that has outcomes.
pub(super) fn lines(table: &Table<'_>) -> Vec<GroupLine> {
    let mut lines = Vec::new();
    for subject in table.subjects() {
        let has_groups = table
            .cases(Side::Head, subject)
            .any(|case| case.group.is_some());
        if !has_groups {
            continue;
        }
        for metric in table.metric_names(subject) {
            lines.extend(of_metric(table, subject, &metric));
        }
    }
    lines
}

/// Whether the gap between any two groups, beyond the noise, is at most `max`.
pub(super) fn gate<'a>(
    table: &Table<'a>,
    subject: &'a Subject,
    metric: &str,
    max: f64,
) -> (Verdict, String) {
    let lines = of_metric(table, subject, metric);
    let beyond = |line: &GroupLine| line.excess.unwrap_or(line.flip_rate);
    let Some(worst) = lines
        .iter()
        .max_by(|a, b| beyond(a).value.total_cmp(&beyond(b).value))
    else {
        let reason = "no two groups have cases in common";
        return (Verdict::Invalid, reason.to_owned());
    };
    let figure = beyond(worst);
    let reason = format!(
        "{} and {}: {} of {} pairs flip beyond the noise, at most {} may",
        worst.groups.0,
        worst.groups.1,
        words::percent(figure.value),
        worst.pairs,
        words::percent(max)
    );
    if figure.value <= max && figure.high.is_none_or(|high| high <= max) {
        (Verdict::Passed, reason)
    } else if figure.low.is_some_and(|low| max < low) {
        (Verdict::Failed, reason)
    } else if worst.noise.is_none() && max < figure.value {
        let reason = format!("{reason}; without a control the noise is not known");
        (Verdict::Inconclusive, reason)
    } else {
        (
            Verdict::Inconclusive,
            format!("{reason}; the interval reaches both sides"),
        )
    }
}

fn of_metric<'a>(table: &Table<'a>, subject: &'a Subject, metric: &str) -> Vec<GroupLine> {
    let groups = gather(table, subject, metric);
    let names: Vec<&str> = groups.keys().copied().collect();
    let mut lines = Vec::new();
    for (index, first) in names.iter().enumerate() {
        for second in names.iter().skip(index + 1) {
            let two = (groups.get(first), groups.get(second));
            if let (Some(one), Some(other)) = two {
                lines.extend(line(subject, metric, (first, one), (second, other)));
            }
        }
    }
    let raw: Vec<f64> = lines.iter().filter_map(|line| line.p_value).collect();
    if let Some(adjusted) = holm(&raw) {
        let with_p = lines.iter_mut().filter(|line| line.p_value.is_some());
        for (line, p_value) in with_p.zip(adjusted) {
            line.p_value = Some(p_value);
        }
    }
    lines
}

fn gather<'a>(
    table: &Table<'a>,
    subject: &'a Subject,
    metric: &str,
) -> BTreeMap<&'a str, Outcomes<'a>> {
    let mut groups: BTreeMap<&str, Outcomes<'_>> = BTreeMap::new();
    for case in table.gating_cases(Side::Head, subject) {
        let Case {
            group:
                Some(GroupMember {
                    pair,
                    group,
                    is_control,
                }),
            ..
        } = case
        else {
            continue;
        };
        let outcome = match table.said(Side::Head, subject, case, metric) {
            Said::Score(score) if metric == PASS || score.is_binary => {
                Some(score.passed == score.repeats)
            }
            _ => None,
        };
        let slot = groups.entry(group).or_default().entry(pair).or_default();
        if *is_control {
            slot.1 = outcome;
        } else {
            slot.0 = outcome;
        }
    }
    groups
}

fn line(
    subject: &Subject,
    metric: &str,
    (first, one): (&str, &Outcomes<'_>),
    (second, other): (&str, &Outcomes<'_>),
) -> Option<GroupLine> {
    let both: Vec<(bool, bool)> = one
        .iter()
        .filter_map(|(pair, (a, _))| Some(((*a)?, other.get(pair)?.0?)))
        .collect();
    let controls: Vec<(bool, bool)> = [one, other]
        .into_iter()
        .flat_map(|group| group.values())
        .filter_map(|(sample, control)| Some(((*sample)?, (*control)?)))
        .collect();
    let flips = flips(&both);
    let noise = flips_of_controls(&controls);
    let count = |is_passed: fn(&(bool, bool)) -> bool| Passed {
        successes: as_u64(both.iter().filter(|pair| is_passed(pair)).count()),
        total: as_u64(both.len()),
    };
    let passed = [count(|pair| pair.0), count(|pair| pair.1)];
    // Second is "head" in the words of pairs: a gap above 0 means that the first passes more.
    let pairs = Pairs {
        regressed: as_u64(both.iter().filter(|pair| pair.0 && !pair.1).count()),
        improved: as_u64(both.iter().filter(|pair| !pair.0 && pair.1).count()),
        total: as_u64(both.len()),
    };
    let gap = pairs.swapped();
    Some(GroupLine {
        subject: subject.label.clone(),
        metric: metric.to_owned(),
        groups: (first.to_owned(), second.to_owned()),
        pairs: pairs.total,
        flip_rate: rate(flips)?,
        noise: noise.and_then(rate),
        excess: noise.and_then(|noise| {
            let excess = flip_rate(flips, noise, CONFIDENCE)?.excess;
            Some(with(excess.value, Some(excess.interval)))
        }),
        p_value: pairs.mcnemar_exact(),
        gap: with(gap.difference()?, gap.tango(CONFIDENCE)),
        impact_ratio: demographic_parity(&passed, CONFIDENCE).map(|disparity| disparity.ratio),
    })
}

fn flips(pairs: &[(bool, bool)]) -> Flips {
    Flips {
        flipped: as_u64(pairs.iter().filter(|(a, b)| a != b).count()),
        total: as_u64(pairs.len()),
    }
}

fn flips_of_controls(controls: &[(bool, bool)]) -> Option<Flips> {
    (!controls.is_empty()).then(|| flips(controls))
}

fn rate(flips: Flips) -> Option<Figure> {
    let interval = wilson(flips.flipped, flips.total, CONFIDENCE)?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of cases are far below 2^53"
    )]
    let share = flips.flipped as f64 / flips.total as f64;
    Some(with(share, Some(interval)))
}
