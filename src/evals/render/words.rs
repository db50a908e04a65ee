//! What all forms for people say in the same words: figures, changes, gates, costs, and what could not be seen.

use super::units::{plain, rounded, signed, tenths};
use crate::domain::PicoDollars;
use crate::evals::plan::Side;
use crate::evals::report::{
    CaseChange, Figure, GateLine, GroupLine, JudgeLine, MetricLine, RunReport, SafetyLine,
    SideLine, Verdict,
};
use crate::evals::suite::GateKind;

pub use super::units::{
    chance, count, cut, difference, dollars, duration, is_ratio, points, time, value,
};

const DAY: i64 = 86_400_000_000;

/// Returns the verdict in a word.
#[must_use]
pub const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Passed => "passed",
        Verdict::Failed => "failed",
        Verdict::Inconclusive => "inconclusive",
        Verdict::Invalid => "invalid",
    }
}

/// One line of the table that every form shows: a metric, both figures, what changed, and its gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The subject's label.
    pub subject: String,
    /// The metric or the category of safety.
    pub metric: String,
    /// The figure of base, if there is one.
    pub base: Option<String>,
    /// The figure of head.
    pub head: String,
    /// What changed, with its interval; for safety the bound of the failure rate.
    pub delta: Option<String>,
    /// Cases that newly fail and newly pass.
    pub flips: Option<(u64, u64)>,
    /// What the gate asks.
    pub gate: Option<String>,
    /// What came of it.
    pub verdict: Option<Verdict>,
    /// What has changed, in a word.
    pub change: Option<String>,
}

/// Returns the table: metrics with their gates, then categories of safety, then gates that fit neither.
#[must_use]
pub fn standings(report: &RunReport) -> Vec<Standing> {
    let mut gates: Vec<&GateLine> = report.gates.iter().collect();
    let mut rows = Vec::new();
    for line in &report.metrics {
        let mine = taken(&mut gates, |gate| {
            gate.metric == line.metric && gate.subject == line.subject
        });
        if mine.is_empty() {
            rows.push(of_metric(line, None));
        }
        rows.extend(mine.into_iter().map(|gate| of_metric(line, Some(gate))));
    }
    for line in report.safety.iter().filter(|line| line.side == Side::Head) {
        let base = report
            .safety
            .iter()
            .find(|other| other.side == Side::Base && other.category == line.category);
        let mine = taken(&mut gates, |gate| gate.metric == line.category);
        if mine.is_empty() {
            rows.push(of_safety(line, base, None));
        }
        rows.extend(
            mine.into_iter()
                .map(|gate| of_safety(line, base, Some(gate))),
        );
    }
    rows.extend(gates.into_iter().map(alone));
    rows
}

fn taken<'a>(
    gates: &mut Vec<&'a GateLine>,
    is_mine: impl Fn(&GateLine) -> bool,
) -> Vec<&'a GateLine> {
    let (mine, rest) = gates.iter().partition(|gate| is_mine(gate));
    *gates = rest;
    mine
}

fn of_metric(line: &MetricLine, gate: Option<&GateLine>) -> Standing {
    let is_flipping = line.base.is_some() && line.unit == "share";
    Standing {
        subject: line.subject.clone(),
        metric: line.metric.clone(),
        base: line.base.map(|figure| value(figure.value, &line.unit)),
        head: value(line.head.value, &line.unit),
        delta: line.delta.map(|delta| difference(&delta, &line.unit)),
        flips: is_flipping.then_some((line.regressed, line.improved)),
        gate: gate.map(|gate| asked(&gate.gate.kind)),
        verdict: gate.map(|gate| gate.verdict),
        change: line.change.clone(),
    }
}

fn of_safety(line: &SafetyLine, base: Option<&SafetyLine>, gate: Option<&GateLine>) -> Standing {
    let counts = |line: &SafetyLine| format!("{}/{}", line.failures, line.cases);
    Standing {
        subject: gate.map_or_else(String::new, |gate| gate.subject.clone()),
        metric: line.category.clone(),
        base: base.map(counts),
        head: counts(line),
        delta: Some(format!("upper 95 % {}", value(line.upper95, "share"))),
        flips: None,
        gate: gate.map(|gate| asked(&gate.gate.kind)),
        verdict: gate.map(|gate| gate.verdict),
        change: None,
    }
}

fn alone(gate: &GateLine) -> Standing {
    Standing {
        subject: gate.subject.clone(),
        metric: gate.metric.clone(),
        base: None,
        head: "-".to_owned(),
        delta: None,
        flips: None,
        gate: Some(asked(&gate.gate.kind)),
        verdict: Some(gate.verdict),
        change: None,
    }
}

/// Returns what a gate asks: `≥ −3 pp`, `≤ ×1.10`, `0 fails, upper ≤ 10 %`.
#[must_use]
pub fn asked(kind: &GateKind) -> String {
    let share = |share: f64| format!("{} %", rounded(share * 100.0));
    match *kind {
        GateKind::NonInferior { margin, .. } => format!("≥ −{} pp", rounded(margin * 100.0)),
        GateKind::Ratio { max } => format!("≤ ×{max:.2}"),
        GateKind::NoRegressions { max_regressed } => format!("≤ {max_regressed} newly failing"),
        GateKind::MaxGap { max } => format!("gap ≤ {} pp", rounded(max * 100.0)),
        GateKind::Absolute {
            min,
            max,
            max_failures,
            max_upper95,
        } => {
            let parts = [
                min.map(|min| format!("≥ {}", plain(min))),
                max.map(|max| format!("≤ {}", plain(max))),
                max_failures.map(|most| match most {
                    0 => "0 fails".to_owned(),
                    1 => "≤ 1 fail".to_owned(),
                    most => format!("≤ {most} fails"),
                }),
                max_upper95.map(|most| format!("upper ≤ {}", share(most))),
            ];
            parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
        }
    }
}

/// Returns what the suite could have seen, in a sentence for all metrics that could see the same.
#[must_use]
pub fn sight(report: &RunReport) -> Vec<String> {
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for line in &report.metrics {
        let Some(told) = seen(line) else {
            continue;
        };
        let name = format!("`{}`", line.metric);
        match lines.iter_mut().find(|(other, _)| *other == told) {
            Some((_, names)) if names.contains(&name) => {}
            Some((_, names)) => names.push(name),
            None => lines.push((told, vec![name])),
        }
    }
    lines
        .into_iter()
        .map(|(told, names)| format!("{}: {told}", names.join(", ")))
        .collect()
}

fn seen(line: &MetricLine) -> Option<String> {
    let drop = line.detectable_drop?;
    let drop = if line.unit == "share" {
        format!("{} points", tenths(drop * 100.0))
    } else {
        format!("{drop:.3}")
    };
    let more = line.needed_cases.map_or_else(String::new, |needed| {
        format!("; about {needed} cases would decide it")
    });
    let cases = count(usize::try_from(line.cases).unwrap_or(usize::MAX), "case");
    Some(format!(
        "with {cases}, a drop of less than {drop} would most likely have gone unseen{more}"
    ))
}

/// Returns how old the baseline is, when its answers are not of this run.
#[must_use]
pub fn baseline_age(report: &RunReport) -> Option<String> {
    let base = report.sides.iter().find(|side| side.side == Side::Base)?;
    let asked = base.asked?;
    let days = report.ended.0.saturating_sub(asked.0).div_euclid(DAY);
    let age = match days {
        i64::MIN..=0 => "less than a day old".to_owned(),
        1 => "1 day old".to_owned(),
        days => format!("{days} days old"),
    };
    let stale = if 3 < days { ", run it anew" } else { "" };
    Some(format!("The baseline is {age}{stale}."))
}

/// Returns what is known of a judge: `gpt-5: TPR 93 %, TNR 91 % (120 labels)`.
#[must_use]
pub fn judge(judge: &JudgeLine) -> String {
    let rate = |name: &str, figure: Option<Figure>| {
        figure.map(|figure| format!("{name} {}", value(figure.value, "share")))
    };
    let rates = [
        rate("knows good answers", judge.true_positive_rate),
        rate("knows bad answers", judge.true_negative_rate),
    ];
    let rates: Vec<String> = rates.into_iter().flatten().collect();
    let mut text = if rates.is_empty() {
        format!("Judge `{}` is not calibrated", judge.model)
    } else {
        format!(
            "Judge `{}` {} ({} labels)",
            judge.model,
            rates.join(", "),
            judge.labels
        )
    };
    if !judge.may_gate {
        text.push_str("; its scores may not gate");
    }
    if let Some(slope) = judge.length_slope {
        let slope = signed(slope);
        text.push_str(&format!(
            "; {slope} for each doubling of an answer's length"
        ));
    }
    for note in &judge.notes {
        text.push_str("; ");
        text.push_str(note);
    }
    text.push('.');
    text
}

/// Returns what of a run's cost is not of its cases: `judges $0.80, embedding outputs $0.01`.
#[must_use]
pub fn of_cost(report: &RunReport) -> String {
    let judges = report.spent.judges;
    let Some(shift) = &report.output_shift else {
        return format!("judges {}", dollars(judges));
    };
    let embedding = shift.cost.unwrap_or_default();
    let judges = judges.map(|all| PicoDollars(all.0.saturating_sub(embedding.0)));
    format!(
        "judges {}, embedding outputs {}",
        dollars(judges),
        dollars(shift.cost)
    )
}

/// Returns what the run took: money, calls, cache, errors, time.
#[must_use]
pub fn cost(report: &RunReport) -> String {
    let spent = &report.spent;
    let total = spent
        .cases
        .zip(spent.judges)
        .map(|(cases, judges)| PicoDollars(cases.0.saturating_add(judges.0)));
    let rows = report.rows.len();
    let mut text = format!(
        "Cost {} ({}), {} calls",
        dollars(total),
        of_cost(report),
        spent.case_calls.saturating_add(spent.judge_calls)
    );
    if 0 < spent.cached && 0 < rows {
        text.push_str(&format!(", {} of {rows} answers cached", spent.cached));
    }
    if 0 < spent.resumed {
        text.push_str(&format!(", {} taken over", spent.resumed));
    }
    let errors = count(usize::try_from(spent.errors).unwrap_or(usize::MAX), "error");
    text.push_str(&format!(", {errors}, {}.", duration(spent.duration_ms)));
    if let Some(stopped) = &spent.stopped {
        text.push_str(&format!(" Ended early: {stopped}."));
    }
    text
}

/// Returns a side: `main (3f2a91bc)`.
#[must_use]
pub fn side(side: &SideLine) -> String {
    let short = |commit: &String| commit.chars().take(8).collect::<String>();
    match side
        .commit
        .as_ref()
        .filter(|commit| !commit.starts_with(&side.name))
    {
        Some(commit) => format!("{} ({})", side.name, short(commit)),
        None => side.name.clone(),
    }
}

/// Returns the name of a side.
#[must_use]
pub const fn side_name(side: Side) -> &'static str {
    match side {
        Side::Base => "base",
        Side::Head => "head",
    }
}

/// Returns what became of two groups.
#[must_use]
pub fn group(group: &GroupLine) -> String {
    let (first, second) = &group.groups;
    let share = |figure: &Figure| value(figure.value, "share");
    let mut text = format!(
        "`{first}` and `{second}`: {} of {} pairs come out differently",
        share(&group.flip_rate),
        group.pairs
    );
    match (&group.noise, &group.excess) {
        (Some(noise), Some(excess)) => text.push_str(&format!(
            " (noise {}, beyond it {})",
            share(noise),
            difference(excess, "share")
        )),
        _ => text.push_str(" (the noise is not known: no group was asked twice)"),
    }
    text.push_str(&format!(", gap {}", difference(&group.gap, "share")));
    if let Some(ratio) = group.impact_ratio {
        let floor = if ratio < 0.8 {
            ", below four fifths"
        } else {
            ""
        };
        text.push_str(&format!(", impact ratio {ratio:.2}{floor}"));
    }
    if let Some(p) = group.p_value {
        text.push_str(&format!(", p {}", chance(p)));
    }
    text
}

/// Returns the changes of a kind.
pub fn of_kind<'a>(
    report: &'a RunReport,
    kinds: &'a [&'a str],
) -> impl Iterator<Item = &'a CaseChange> {
    report
        .changes
        .iter()
        .filter(move |change| kinds.contains(&change.kind.as_str()))
}

/// Returns a name that is safe as the name of a file: `safety/injection` becomes `safety-injection`.
#[must_use]
pub fn file_stem(suite: &str) -> String {
    let kept = |c: char| {
        if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
            c
        } else {
            '-'
        }
    };
    let name: String = suite.chars().map(kept).take(100).collect();
    let name = name.trim_matches(['-', '.']);
    if name.is_empty() {
        "suite".to_owned()
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::file_stem;

    #[test]
    fn names_of_files_are_plain() {
        assert_eq!(file_stem("../a b/c"), "a-b-c");
        assert_eq!(file_stem("safety/injection"), "safety-injection");
        assert_eq!(file_stem("…"), "suite");
    }
}
