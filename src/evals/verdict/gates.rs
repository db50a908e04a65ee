//! Gates: what must hold for a suite to pass.
//!
//! A case that could not be judged, or was not asked, could have said anything. So each gate is tried
//! twice: as if all those cases were as bad as can be, and as good. It passes if it holds even at the
//! worst, and fails if it does not hold even at the best.

use crate::domain::matches_glob;
use crate::evals::plan::{Side, Subject};
use crate::evals::report::{GateLine, MetricLine, Verdict};
use crate::evals::sequential::Decision;
use crate::evals::suite::{Gate, GateKind, OnInconclusive, Place};
use crate::evals::verdict::figures::{self, Pair, Scored, as_u64, compare};
use crate::evals::verdict::table::{PASS, Said, Score, Table};
use crate::evals::verdict::{cost, groups, judges, line_of, words};
use crate::stats::upper_bound_exact;

/// Whether the metric of a gate, a name or a glob, stands for `metric`.
pub(super) fn covers(gate: &str, metric: &str) -> bool {
    matches_glob(gate, metric)
}

/// Each gate applied to each subject and metric it covers.
pub(super) fn lines(table: &Table<'_>, metrics: &[MetricLine]) -> Vec<GateLine> {
    let gates = &table.plan.settings.gates;
    let mut lines = Vec::new();
    for subject in table.subjects() {
        if gates.is_empty() {
            lines.push(implied(table, subject));
        }
        for gate in gates {
            let covered: Vec<&str> = metrics
                .iter()
                .filter(|line| line.subject == subject.label && covers(&gate.metric, &line.metric))
                .map(|line| line.metric.as_str())
                .collect();
            // What another subject of the suite says is no gap of this one.
            let is_said = metrics
                .iter()
                .any(|line| covers(&gate.metric, &line.metric));
            if covered.is_empty() && !is_said {
                lines.push(uncovered(gate, subject));
            }
            for metric in covered {
                let (verdict, reason) = judge(table, metrics, subject, (gate, metric));
                lines.push(GateLine {
                    gate: gate.clone(),
                    metric: metric.to_owned(),
                    subject: subject.label.clone(),
                    verdict,
                    reason,
                });
            }
        }
    }
    lines
}

/// What a suite without gates means: every case passes; against a base, none that passed fails.
fn implied<'a>(table: &Table<'a>, subject: &'a Subject) -> GateLine {
    let gate = Gate {
        metric: PASS.to_owned(),
        kind: if table.has_base() {
            GateKind::NoRegressions { max_regressed: 0 }
        } else {
            GateKind::Absolute {
                min: None,
                max: None,
                max_failures: Some(0),
                max_upper95: None,
            }
        },
        on_inconclusive: OnInconclusive::Fail,
        place: Place {
            file: table.plan.path.clone(),
            ..Place::default()
        },
    };
    let (verdict, reason) = of_cases(table, subject, &gate, PASS);
    GateLine {
        gate,
        metric: PASS.to_owned(),
        subject: subject.label.clone(),
        verdict,
        reason,
    }
}

fn uncovered(gate: &Gate, subject: &Subject) -> GateLine {
    GateLine {
        gate: gate.clone(),
        metric: gate.metric.clone(),
        subject: subject.label.clone(),
        verdict: Verdict::Invalid,
        reason: format!("no case says anything of `{}`", gate.metric),
    }
}

fn judge<'a>(
    table: &Table<'a>,
    metrics: &[MetricLine],
    subject: &'a Subject,
    (gate, metric): (&Gate, &str),
) -> (Verdict, String) {
    if cost::NAMES.contains(&metric) {
        return of_measure(line_of(metrics, &subject.label, metric), &gate.kind);
    }
    if let Some(reason) = judges::distrust(table, subject, metric) {
        return (Verdict::Invalid, reason);
    }
    if let GateKind::MaxGap { max } = gate.kind {
        return groups::gate(table, subject, metric, max);
    }
    of_cases(table, subject, gate, metric)
}

/// What is assumed of cases that say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fill {
    Worst,
    Best,
}

fn of_cases<'a>(
    table: &Table<'a>,
    subject: &'a Subject,
    gate: &Gate,
    metric: &str,
) -> (Verdict, String) {
    let needs_base = matches!(
        gate.kind,
        GateKind::NonInferior { .. } | GateKind::NoRegressions { .. } | GateKind::Ratio { .. }
    );
    if needs_base && table.partner(subject).is_none() {
        let reason = "there is no base to compare with; give one with --base, or bless a baseline";
        return (Verdict::Invalid, reason.to_owned());
    }
    if let Some(decision) = table.decision(gate, subject).filter(|_| metric == PASS) {
        return of_test(decision, gate);
    }
    let (worst, unknown) = Cases::of(table, subject, metric, Fill::Worst);
    let (best, _) = Cases::of(table, subject, metric, Fill::Best);
    let kind = match gate.kind {
        GateKind::NonInferior { margin, alpha } => GateKind::NonInferior {
            margin,
            alpha: table.last_alpha(gate, alpha),
        },
        kind => kind,
    };
    let (worst, best) = (worst.hold(&kind), best.hold(&kind));
    let unsaid = if unknown == 0 {
        String::new()
    } else {
        format!(
            "; {} could not be judged or were not asked",
            words::cases(unknown)
        )
    };
    match (worst, best) {
        (Held::Yes(reason), _) => (Verdict::Passed, reason),
        (_, Held::No(reason)) => (Verdict::Failed, format!("{reason}{unsaid}")),
        (Held::Unclear(reason) | Held::No(reason), _) => {
            (Verdict::Inconclusive, format!("{reason}{unsaid}"))
        }
    }
}

/// What a test on the way has decided, which the answers behind it change no more.
fn of_test(decision: Decision, gate: &Gate) -> (Verdict, String) {
    let margin = match gate.kind {
        GateKind::NonInferior { margin, .. } => margin,
        _ => 0.0,
    };
    let (verdict, found) = if decision.is_worse {
        (Verdict::Failed, "worse than base".to_owned())
    } else {
        let margin = words::percent(margin);
        (Verdict::Passed, format!("not worse than base by {margin}"))
    };
    let cases = words::cases(as_u64(decision.cases));
    let reason = format!(
        "{found} after {cases}, by an anytime-valid test: evidence {:.1}, {:.0} is enough",
        decision.evidence, decision.enough
    );
    (verdict, reason)
}

/// Whether a gate holds, with the figures in words.
enum Held {
    Yes(String),
    No(String),
    Unclear(String),
}

/// The cases of a gate, those that say nothing filled in.
struct Cases<'a> {
    head: Vec<Scored<'a>>,
    pairs: Vec<Pair<'a>>,
}

impl<'a> Cases<'a> {
    /// Also returns how many had to be filled in.
    fn of(table: &Table<'a>, subject: &'a Subject, metric: &str, fill: Fill) -> (Self, u64) {
        let partner = table.partner(subject);
        let (mut cases, mut unknown) = (
            Self {
                head: Vec::new(),
                pairs: Vec::new(),
            },
            0,
        );
        for case in table.gating_cases(Side::Head, subject) {
            let cluster = case.cluster.as_deref();
            let said = table.said(Side::Head, subject, case, metric);
            let head = match said {
                Said::Score(score) => score,
                Said::Nothing => continue,
                Said::Error | Said::Missing => filled(fill == Fill::Best),
            };
            let base = partner.map(|partner| table.said(Side::Base, partner, case, metric));
            let is_known = |said: Said| matches!(said, Said::Score(_));
            // A case that is new in head has no pair; that is no gap.
            let is_new = base.is_some() && !has_case(table, &case.id.0);
            let is_unknown = !is_known(said) || base.is_some_and(|base| !is_known(base) && !is_new);
            unknown += u64::from(is_unknown);
            cases.head.push(Scored {
                score: head,
                cluster,
            });
            if let Some(base) = base.filter(|_| !is_new) {
                let base = match base {
                    Said::Score(score) => score,
                    _ => filled(fill == Fill::Worst),
                };
                cases.pairs.push(Pair {
                    base,
                    head,
                    cluster,
                });
            }
        }
        (cases, unknown)
    }

    fn hold(&self, kind: &GateKind) -> Held {
        match *kind {
            GateKind::NonInferior { margin, alpha } => self.not_worse(margin, alpha),
            GateKind::NoRegressions { max_regressed } => self.few_regressions(max_regressed),
            GateKind::Absolute {
                min,
                max,
                max_failures,
                max_upper95,
            } => self.within(min, max, max_failures, max_upper95),
            GateKind::Ratio { max } => self.ratio(max),
            // Judged by the groups.
            GateKind::MaxGap { .. } => Held::Unclear("there are no groups".to_owned()),
        }
    }

    fn not_worse(&self, margin: f64, alpha: f64) -> Held {
        let Some(found) = compare(&self.pairs, margin, alpha) else {
            return Held::Unclear("there are too few pairs to compare".to_owned());
        };
        let (low, high) = (
            found.delta.low.unwrap_or(-1.0),
            found.delta.high.unwrap_or(1.0),
        );
        let mut reason = format!(
            "{}, 95 % interval {} to {}, one-sided bound {}, margin −{}",
            words::points(found.delta.value),
            words::points(low),
            words::points(high),
            words::points(found.lower),
            words::percent(margin),
        );
        if -margin < found.lower {
            return Held::Yes(reason);
        }
        if high < 0.0 {
            return Held::No(reason);
        }
        if let Some(needed) = found.needed {
            reason = format!("{reason}; about {needed} cases would decide");
        }
        Held::Unclear(reason)
    }

    fn few_regressions(&self, most: u64) -> Held {
        let outcomes = figures::outcomes(&self.pairs);
        let reason = format!(
            "{} that passed on base fail on head, at most {most} may",
            words::cases(outcomes.regressed)
        );
        if self.pairs.is_empty() {
            return Held::Unclear("no case is on both sides".to_owned());
        }
        if outcomes.regressed <= most {
            Held::Yes(reason)
        } else {
            Held::No(reason)
        }
    }

    fn within(
        &self,
        min: Option<f64>,
        max: Option<f64>,
        max_failures: Option<u64>,
        max_upper95: Option<f64>,
    ) -> Held {
        let Some(figure) = figures::figure(&self.head) else {
            return Held::Unclear("no case says anything".to_owned());
        };
        let count = as_u64(self.head.len());
        let failures = self
            .head
            .iter()
            .filter(|case| case.score.passed < case.score.repeats);
        let failures = as_u64(failures.count());
        let upper = upper_bound_exact(failures, count, 0.95).unwrap_or(1.0);
        let mut parts = vec![format!(
            "{} over {}",
            shown(figure.value),
            words::cases(count)
        )];
        let (mut holds, mut is_shown) = (true, true);
        if let Some(min) = min {
            parts.push(format!("at least {}", shown(min)));
            holds &= min <= figure.value;
        }
        if let Some(max) = max {
            parts.push(format!("at most {}", shown(max)));
            holds &= figure.value <= max;
        }
        if let Some(most) = max_failures {
            parts.push(format!("{failures} failed, at most {most} may"));
            holds &= failures <= most;
        }
        if let Some(most) = max_upper95 {
            let (upper_text, most_text) = (words::percent(upper), words::percent(most));
            parts.push(format!(
                "the failure rate is at most {upper_text} (95 %), {most_text} is allowed"
            ));
            is_shown = upper <= most;
            holds &= failure_rate(failures, count) <= most;
        }
        let reason = parts.join(", ");
        match (holds, is_shown) {
            (true, true) => Held::Yes(reason),
            // Nothing speaks against it, but so few cases do not show it.
            (true, false) => Held::Unclear(format!("{reason}; more cases would show it")),
            (false, _) => Held::No(reason),
        }
    }

    fn ratio(&self, max: f64) -> Held {
        let base: Vec<f64> = self.pairs.iter().map(|pair| pair.base.mean).collect();
        let head: Vec<f64> = self.pairs.iter().map(|pair| pair.head.mean).collect();
        match crate::stats::ratio_of_means(&head, &base, 0.95) {
            Some(ratio) => held_ratio(ratio.value, Some(ratio.interval.low), max),
            None => Held::Unclear("the figure of base is 0, or there are too few pairs".to_owned()),
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of cases are far below 2^53"
)]
fn failure_rate(failures: u64, count: u64) -> f64 {
    failures as f64 / count.max(1) as f64
}

fn has_case(table: &Table<'_>, id: &str) -> bool {
    let base = table.side(Side::Base);
    base.is_some_and(|side| side.cases.iter().any(|case| case.id.0 == id))
}

fn filled(is_good: bool) -> Score {
    Score {
        mean: f64::from(u8::from(is_good)),
        is_binary: true,
        passed: u32::from(is_good),
        repeats: 1,
    }
}

fn shown(value: f64) -> String {
    if (0.0..=1.0).contains(&value) {
        words::percent(value)
    } else {
        format!("{value:.3}")
    }
}

/// Money, time and tokens have no good or bad cases: the figure decides.
fn of_measure(line: Option<&MetricLine>, kind: &GateKind) -> (Verdict, String) {
    let Some(line) = line else {
        return (Verdict::Invalid, "no answer has this figure".to_owned());
    };
    let held = match *kind {
        GateKind::Ratio { max } => match (line.delta, line.base) {
            (Some(ratio), _) => held_ratio(ratio.value, ratio.low, max),
            (None, Some(base)) if base.value == 0.0 => held_from_nothing(line),
            _ => {
                let reason = "there is no base with this figure to compare with";
                return (Verdict::Invalid, reason.to_owned());
            }
        },
        GateKind::Absolute { min, max, .. } => {
            let value = line.head.value;
            let holds = min.is_none_or(|min| min <= value) && max.is_none_or(|max| value <= max);
            let reason = format!("{value:.6} {}", line.unit);
            if holds {
                Held::Yes(reason)
            } else {
                Held::No(reason)
            }
        }
        _ => {
            let reason = format!("`{}` takes gates of kind ratio or absolute", line.metric);
            return (Verdict::Invalid, reason);
        }
    };
    match held {
        Held::Yes(reason) => (Verdict::Passed, reason),
        Held::No(reason) => (Verdict::Failed, reason),
        Held::Unclear(reason) => (Verdict::Inconclusive, reason),
    }
}

/// Nothing has no multiple but itself.
fn held_from_nothing(line: &MetricLine) -> Held {
    let value = line.head.value;
    if value == 0.0 {
        Held::Yes("0 on both sides".to_owned())
    } else {
        Held::No(format!("{value:.6} {}, and base had 0", line.unit))
    }
}

/// A ratio above the bound whose interval reaches below it decides nothing.
fn held_ratio(value: f64, low: Option<f64>, max: f64) -> Held {
    let reason = format!("×{value:.2} of base, at most ×{max:.2}");
    if value <= max {
        Held::Yes(reason)
    } else if low.is_some_and(|low| low <= max) {
        Held::Unclear(format!("{reason}; its interval reaches below"))
    } else {
        Held::No(reason)
    }
}
