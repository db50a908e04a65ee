//! A line for each subject and metric, `pass` first, then the suite's own, then money and time.

use crate::evals::plan::{Side, Subject};
use crate::evals::report::{Figure, MetricLine};
use crate::evals::suite::GateKind;
use crate::evals::verdict::figures::{
    self, ASSUMED_DISCORDANCE, Comparison, Pair, Scored, as_u64, compare, compare_anytime, outcomes,
};
use crate::evals::verdict::table::{PASS, Said, Score, Table};
use crate::evals::verdict::{USUAL_MARGIN, cost, gates};
use crate::stats::{Change, Errors, detectable_difference, holm, pass_hat_k};

/// All lines.
pub(super) fn lines(table: &Table<'_>) -> Vec<MetricLine> {
    let mut lines = Vec::new();
    for subject in table.subjects() {
        for metric in table.metric_names(subject) {
            lines.extend(line(table, subject, &metric, &|_| true));
        }
        lines.extend(cost::lines(table, subject));
    }
    lines
}

/// Corrects the p-values of metrics that gates ask about: of many looks one finds something by chance (Holm, 1979).
pub(super) fn correct(table: &Table<'_>, lines: &mut [MetricLine]) {
    let gates = &table.plan.settings.gates;
    let is_gated = |line: &MetricLine| {
        let covers = |gate: &crate::evals::suite::Gate| gates::covers(&gate.metric, &line.metric);
        line.p_value.is_some() && gates.iter().any(covers)
    };
    let raw: Vec<f64> = lines
        .iter()
        .filter(|line| is_gated(line))
        .filter_map(|line| line.p_value.as_ref().map(|(_, p_value)| *p_value))
        .collect();
    let Some(adjusted) = holm(&raw) else { return };
    let gated = lines.iter_mut().filter(|line| is_gated(line));
    for (line, adjusted) in gated.zip(adjusted) {
        line.adjusted_p = Some(adjusted);
    }
}

/// The line of `metric` over the cases that `is_wanted`; `None` when no case says anything of it.
pub(super) fn line<'a>(
    table: &Table<'a>,
    subject: &'a Subject,
    metric: &str,
    is_wanted: &dyn Fn(&crate::evals::suite::Case) -> bool,
) -> Option<MetricLine> {
    let gathered = Gathered::of(table, subject, metric, is_wanted);
    let figure = if table.is_tested() {
        figures::anytime_figure
    } else {
        figures::figure
    };
    let head = figure(&gathered.head)?;
    let margin = margin_of(table, metric);
    let comparison = if table.is_tested() {
        compare_anytime(&gathered.pairs, margin)
    } else {
        compare(&gathered.pairs, margin, 0.05)
    };
    let outcomes = outcomes(&gathered.pairs);
    let is_share = gathered.head.iter().all(|case| case.score.is_binary);
    Some(MetricLine {
        subject: subject.label.clone(),
        metric: metric.to_owned(),
        unit: if is_share { "share" } else { "score" }.to_owned(),
        cases: as_u64(gathered.head.len()),
        errors: gathered.errors,
        base: figure(&gathered.base),
        head,
        detectable_drop: comparison
            .as_ref()
            .map_or_else(|| assumed(gathered.head.len()), |found| found.detectable),
        regressed: outcomes.regressed,
        improved: outcomes.improved,
        pass_hat_k: pass_hat(&gathered.head),
        ..of_comparison(comparison)
    })
}

/// The cases of a metric on both sides.
pub(super) struct Gathered<'a> {
    pub(super) head: Vec<Scored<'a>>,
    pub(super) base: Vec<Scored<'a>>,
    pub(super) pairs: Vec<Pair<'a>>,
    /// Cases of head that could not be judged.
    pub(super) errors: u64,
}

impl<'a> Gathered<'a> {
    pub(super) fn of(
        table: &Table<'a>,
        subject: &'a Subject,
        metric: &str,
        is_wanted: &dyn Fn(&crate::evals::suite::Case) -> bool,
    ) -> Self {
        let partner = table.partner(subject);
        let mut gathered = Self {
            head: Vec::new(),
            base: Vec::new(),
            pairs: Vec::new(),
            errors: 0,
        };
        for case in table
            .gating_cases(Side::Head, subject)
            .filter(|case| is_wanted(case))
        {
            let cluster = case.cluster.as_deref();
            let head = table.said(Side::Head, subject, case, metric);
            let base = partner.map_or(Said::Missing, |partner| {
                table.said(Side::Base, partner, case, metric)
            });
            gathered.errors += u64::from(head == Said::Error);
            let scored = |score: Score| Scored { score, cluster };
            gathered.head.extend(score(head).map(scored));
            gathered.base.extend(score(base).map(scored));
            if let (Some(base), Some(head)) = (score(base), score(head)) {
                gathered.pairs.push(Pair {
                    base,
                    head,
                    cluster,
                });
            }
        }
        gathered
    }
}

const fn score(said: Said) -> Option<Score> {
    match said {
        Said::Score(score) => Some(score),
        Said::Error | Said::Missing | Said::Nothing => None,
    }
}

/// The margin that the suite's gates give a metric.
fn margin_of(table: &Table<'_>, metric: &str) -> f64 {
    let gates = table.plan.settings.gates.iter();
    gates
        .filter(|gate| gates::covers(&gate.metric, metric))
        .find_map(|gate| match gate.kind {
            GateKind::NonInferior { margin, .. } => Some(margin),
            _ => None,
        })
        .unwrap_or(USUAL_MARGIN)
}

/// What a comparison with this many cases could see, if one case of ten changed.
fn assumed(cases: usize) -> Option<f64> {
    detectable_difference(as_u64(cases), ASSUMED_DISCORDANCE, Errors::default())
        .filter(|_| 1 < cases)
}

/// The share of cases whose every repeat passes, without bias: the mean of C(c,k)/C(n,k) at k = n.
fn pass_hat(cases: &[Scored<'_>]) -> Option<(u32, f64)> {
    let repeats = cases.iter().map(|case| case.score.repeats).min()?;
    if repeats < 2 {
        return None;
    }
    let shares: Option<Vec<f64>> = cases
        .iter()
        .map(|case| {
            let (n, c) = (case.score.repeats.into(), case.score.passed.into());
            pass_hat_k(n, c, repeats.into())
        })
        .collect();
    Some((repeats, crate::stats::mean(&shares?)?))
}

/// A line that holds only what a comparison says.
pub(super) fn of_comparison(comparison: Option<Comparison>) -> MetricLine {
    let word = comparison
        .as_ref()
        .map(|found| word(found.change).to_owned());
    let needed_cases = comparison.as_ref().and_then(|found| found.needed);
    let detectable_drop = comparison.as_ref().and_then(|found| found.detectable);
    let (delta, p_value) =
        comparison.map_or((None, None), |found| (Some(found.delta), found.p_value));
    MetricLine {
        subject: String::new(),
        metric: PASS.to_owned(),
        unit: String::new(),
        cases: 0,
        errors: 0,
        base: None,
        head: Figure {
            value: 0.0,
            low: None,
            high: None,
        },
        delta,
        regressed: 0,
        improved: 0,
        p_value,
        adjusted_p: None,
        change: word,
        detectable_drop,
        needed_cases,
        pass_hat_k: None,
    }
}

const fn word(change: Change) -> &'static str {
    match change {
        Change::Improved => "improved",
        Change::Ok => "ok",
        Change::SlightlyWorse => "slightly_worse",
        Change::Regressed => "regressed",
        Change::Inconclusive => "inconclusive",
        Change::InsufficientData => "insufficient_data",
    }
}
