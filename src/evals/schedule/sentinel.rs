//! A sentinel asks the same each time, so that what changes is the provider. Its runs are compared case
//! by case with the first one, and their pass rates are watched as a series.

use crate::domain::RunId;
use crate::evals::baseline::Baseline;
use crate::evals::digest::digest;
use crate::evals::plan::{RunPlan, SubjectPrompt};
use crate::evals::report::{RunReport, Verdict};
use crate::stats::{Normal, cusum_low};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Runs that say what is normal.
const NORMAL_RUNS: usize = 7;
/// The slack and the limit of the chart, in standard deviations.
const CHART: (f64, f64) = (0.5, 4.0);
/// Pass rates that are kept.
const MAX_RATES: usize = 1_000;

/// What a sentinel has seen since something else than the provider changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Watch {
    /// What is asked: suite, prompts, models. With another name the watch begins anew.
    pub(super) key: String,
    /// The run that others are compared with.
    pub(super) reference: RunId,
    /// Cases of that run.
    pub(super) cases: u64,
    /// The pass rate of each run, oldest first.
    pub(super) rates: Vec<f64>,
    /// Why the provider is believed to have changed; `None` when it is not.
    pub(super) drift: Option<String>,
}

/// Returns the name of what `plan` asks: runs of one name differ by the provider alone.
pub(super) fn key(plan: &RunPlan) -> String {
    let subjects = plan.sides.iter().flat_map(|side| &side.subjects);
    let subjects: Vec<Value> = subjects
        .map(|subject| {
            let hash = match &subject.prompt {
                SubjectPrompt::Version { hash, .. } => Some(hash.to_hex()),
                SubjectPrompt::Text { .. } | SubjectPrompt::Chat { .. } => None,
            };
            json!([subject.label, hash, subject.model, subject.parameters])
        })
        .collect();
    let judge = plan.judge.as_ref().map(|judge| &judge.hash);
    digest(&json!([plan.suite_hash, subjects, judge]))
}

/// Notes a run. The first complete one is what others are compared with; one that says nothing is not
/// taken.
pub(super) fn note(before: Option<Watch>, key: &str, report: &RunReport) -> Option<Watch> {
    let before = before.filter(|watch| watch.key == key);
    let is_whole = report.spent.stopped.is_none() && report.verdict != Verdict::Invalid;
    let Some((rate, cases)) = rate(report).filter(|_| is_whole) else {
        return before;
    };
    let Some(mut watch) = before else {
        // Cases without a grade are nothing to hold others against.
        Baseline::of(report).ok()?;
        return Some(Watch {
            key: key.to_owned(),
            reference: report.run,
            cases,
            rates: vec![rate],
            drift: None,
        });
    };
    if MAX_RATES <= watch.rates.len() {
        watch.rates.remove(NORMAL_RUNS);
    }
    watch.rates.push(rate);
    watch.drift = regressed(report, watch.reference).or_else(|| falling(&watch.rates, watch.cases));
    Some(watch)
}

/// The share of cases that pass, over all subjects, and their number.
fn rate(report: &RunReport) -> Option<(f64, u64)> {
    let lines = report.metrics.iter().filter(|line| line.metric == "pass");
    let (mut passed, mut cases) = (0.0, 0_u64);
    for line in lines {
        passed += line.head.value * as_f64(line.cases);
        cases += line.cases;
    }
    (0 < cases).then(|| (passed / as_f64(cases), cases))
}

/// Counts of cases are far below what a float holds exactly.
fn as_f64(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::from(u32::MAX), f64::from)
}

fn regressed(report: &RunReport, reference: RunId) -> Option<String> {
    let is_worse = |change: &Option<String>| change.as_deref() == Some("regressed");
    let mut lines = report.metrics.iter();
    let line = lines.find(|line| line.metric == "pass" && is_worse(&line.change))?;
    Some(format!(
        "`{}` passes {:.1} % of its cases, significantly fewer than in run {reference}",
        line.subject,
        line.head.value * 100.0
    ))
}

/// Whether the series has left its course and not come back. What is normal are the first runs; their spread is
/// at least that of chance among so many cases, so that a series without any is no false alarm.
fn falling(rates: &[f64], cases: u64) -> Option<String> {
    let (first, rest) = rates.split_at_checked(NORMAL_RUNS)?;
    let newest = rest.last()?;
    let count = as_f64(u64::try_from(first.len()).unwrap_or(u64::MAX));
    let mean = first.iter().sum::<f64>() / count;
    let squares: f64 = first.iter().map(|rate| (rate - mean).powi(2)).sum();
    let cases = as_f64(cases);
    let share = (mean * cases + 1.0) / (cases + 2.0);
    let chance = (share * (1.0 - share) / cases.max(1.0)).sqrt();
    let normal = Normal {
        mean,
        deviation: (squares / (count - 1.0)).sqrt().max(chance),
    };
    let (slack, limit) = CHART;
    let chart = cusum_low(rest, normal, slack, limit)?;
    let is_out = chart.values.last().is_some_and(|sum| limit < *sum);
    is_out.then(|| {
        format!(
            "the pass rate fell from {:.1} % to {:.1} % over the last runs",
            mean * 100.0,
            newest * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::{Watch, falling, note};
    use crate::domain::RunId;
    use crate::evals::render::fixtures;
    use crate::evals::report::{RunReport, Verdict};

    /// A report of one subject that passes `rate` of 50 cases.
    fn report(rate: f64, change: &str) -> RunReport {
        let mut report = fixtures::regression(12);
        report.run = RunId::fresh();
        report.verdict = Verdict::Passed;
        report.spent.stopped = None;
        report.rows.clear();
        report.changes.clear();
        report.metrics.retain(|line| line.metric == "pass");
        report.metrics.truncate(1);
        for line in &mut report.metrics {
            line.head.value = rate;
            line.cases = 50;
            line.change = Some(change.to_owned());
        }
        report
    }

    fn watched(reports: &[RunReport]) -> Option<Watch> {
        let mut watch = None;
        for report in reports {
            watch = note(watch, "one", report);
        }
        watch
    }

    #[test]
    fn the_first_complete_run_is_what_others_are_compared_with() {
        let mut invalid = report(0.2, "ok");
        invalid.verdict = Verdict::Invalid;
        let mut stopped = report(0.2, "ok");
        stopped.spent.stopped = Some("it was stopped".to_owned());
        assert_eq!(watched(&[invalid.clone(), stopped.clone()]), None);
        let good = report(0.9, "ok");
        let watch = watched(&[
            invalid.clone(),
            good.clone(),
            stopped,
            invalid,
            report(0.88, "ok"),
        ]);
        let watch = watch.unwrap();
        assert_eq!((watch.reference, watch.rates.len()), (good.run, 2));
        assert_eq!(watch.drift, None);
        // Another prompt is another series.
        let other = note(Some(watch), "other", &report(0.5, "ok")).unwrap();
        assert_eq!(other.rates, [0.5]);
    }

    #[test]
    fn a_run_that_is_worse_case_by_case_is_drift_until_one_is_not() {
        let watch = watched(&[report(0.9, "ok"), report(0.6, "regressed")]).unwrap();
        let drift = watch.drift.clone().unwrap();
        assert!(drift.contains("60.0 %"), "{drift}");
        let watch = note(Some(watch), "one", &report(0.9, "ok")).unwrap();
        assert_eq!(watch.drift, None);
    }

    #[test]
    fn a_small_lasting_drop_is_drift_where_each_run_alone_is_none() {
        let mut rates = vec![0.9; 7];
        assert_eq!(falling(&rates, 50), None, "nothing is watched yet");
        rates.extend([0.9, 0.92, 0.88, 0.9]);
        assert_eq!(falling(&rates, 50), None);
        rates.extend([0.8; 5]);
        assert!(falling(&rates, 50).is_some());
        // Everything passes, and then one case of fifty does not.
        let mut perfect = vec![1.0; 20];
        perfect.push(0.98);
        assert_eq!(falling(&perfect, 50), None);
    }
}
