//! Judges: how far they can be trusted, and what the figures are without their errors.

use crate::evals::grade::{AssertionGrade, Judged, Mark};
use crate::evals::plan::{Calibration, JudgePlan, Side, Subject, SubjectPrompt};
use crate::evals::report::{Figure, JudgeLine};
use crate::evals::row::Row;
use crate::evals::suite::{AssertionKind, ModelSource};
use crate::evals::verdict::figures::with;
use crate::evals::verdict::table::{PASS, Table};
use crate::stats::{Confusion, Correction, Estimate, rogan_gladen};
use std::collections::BTreeMap;

const CONFIDENCE: f64 = 0.95;

/// Whether the kind's score is a model's opinion, which must be held against people's.
pub(super) const fn is_opinion(kind: AssertionKind) -> bool {
    matches!(
        kind,
        AssertionKind::LlmRubric
            | AssertionKind::GEval
            | AssertionKind::Factuality
            | AssertionKind::ModelGradedFactuality
            | AssertionKind::ModelGradedClosedqa
            | AssertionKind::ContextRecall
            | AssertionKind::ContextRelevance
            | AssertionKind::ContextFaithfulness
            | AssertionKind::ConversationRelevance
            | AssertionKind::TrajectoryGoalSuccess
            | AssertionKind::SelectBest
    )
}

/// Why `metric` may not gate: a judge has a say in it that was not measured against people well enough.
pub(super) fn distrust(table: &Table<'_>, subject: &Subject, metric: &str) -> Option<String> {
    let rows = rows_of(table, subject);
    let has_say = rows
        .iter()
        .flat_map(|row| &row.grade.assertions)
        .any(|grade| {
            let is_ours =
                metric == PASS && 0.0 < grade.weight || grade.metric.as_deref() == Some(metric);
            is_ours && is_opinion(grade.kind)
        });
    has_say.then(|| doubt(table, subject)).flatten()
}

/// What is wrong with the judge, if anything.
fn doubt(table: &Table<'_>, subject: &Subject) -> Option<String> {
    let rules = &table.plan.settings.judge;
    let Some(judge) = &table.plan.judge else {
        return Some(
            "its judge has no file, so it is not calibrated; see `evals calibrate`".to_owned(),
        );
    };
    let Some(calibration) = judge.calibration else {
        return Some(format!(
            "the judge `{}` is not calibrated; run `evals calibrate`",
            judge.path
        ));
    };
    let confusion = confusion(calibration);
    let labels = labels(calibration);
    if labels < u64::from(rules.min_labels) {
        return Some(format!(
            "the judge `{}` has {labels} human labels, {} are needed",
            judge.path, rules.min_labels
        ));
    }
    let rates = [
        (
            "good",
            confusion.true_positive_rate(CONFIDENCE),
            rules.min_true_positive_rate,
        ),
        (
            "bad",
            confusion.true_negative_rate(CONFIDENCE),
            rules.min_true_negative_rate,
        ),
    ];
    for (kind, rate, least) in rates {
        let Some(rate) = rate else {
            return Some(format!(
                "the judge `{}` has no label of a {kind} answer",
                judge.path
            ));
        };
        if rate.value < least {
            return Some(format!(
                "the judge `{}` knows {:.0} % of the {kind} answers, {:.0} % are needed",
                judge.path,
                rate.value * 100.0,
                least * 100.0
            ));
        }
    }
    (rules.must_differ_from_target && is_same_family(&judge.model, subject)).then(|| {
        format!(
            "the judge `{}` is of the same family as the model under test",
            judge.model
        )
    })
}

/// A line for each judge that was asked.
pub(super) fn lines(table: &Table<'_>) -> Vec<JudgeLine> {
    let mut found: BTreeMap<&str, &Judged> = BTreeMap::new();
    for row in &table.finished.rows {
        for grade in &row.grade.assertions {
            if let Some(judged) = grade
                .grade
                .judged
                .as_ref()
                .filter(|_| is_opinion(grade.kind))
            {
                found.entry(judged.judge_hash.as_str()).or_insert(judged);
            }
        }
    }
    found.values().map(|judged| line(table, judged)).collect()
}

fn line(table: &Table<'_>, judged: &Judged) -> JudgeLine {
    let plan = table
        .plan
        .judge
        .as_ref()
        .filter(|plan| plan.model == judged.model);
    let calibration = plan.and_then(|plan| plan.calibration);
    let confusion = calibration.map(confusion);
    let doubts: Vec<String> = table
        .subjects()
        .filter_map(|subject| doubt(table, subject))
        .take(1)
        .collect();
    let rate = |of: fn(Confusion, f64) -> Option<Estimate>| {
        let estimate = of(confusion?, CONFIDENCE)?;
        Some(with(estimate.value, Some(estimate.interval)))
    };
    JudgeLine {
        model: judged.model.clone(),
        hash: judged.judge_hash.clone(),
        path: plan.map(|plan: &JudgePlan| plan.path.clone()),
        true_positive_rate: rate(Confusion::true_positive_rate),
        true_negative_rate: rate(Confusion::true_negative_rate),
        labels: calibration.map_or(0, labels),
        may_gate: doubts.is_empty(),
        corrected: confusion
            .map(|found| corrected(table, found))
            .unwrap_or_default(),
        length_slope: length_slope(table, &judged.judge_hash),
        notes: doubts,
    }
}

/// The share of good answers by subject, the judge's errors taken out (Rogan and Gladen, 1978).
fn corrected(table: &Table<'_>, confusion: Confusion) -> BTreeMap<String, Figure> {
    let mut figures = BTreeMap::new();
    for subject in table.subjects() {
        let (mut passed, mut count) = (0_u64, 0_u64);
        for grade in rows_of(table, subject)
            .iter()
            .flat_map(|row| &row.grade.assertions)
        {
            if is_opinion(grade.kind) && grade.grade.mark != Mark::Error {
                count += 1;
                passed += u64::from(grade.grade.mark == Mark::Pass);
            }
        }
        if let Some(Correction::Corrected { share, .. }) =
            rogan_gladen(passed, count, confusion, CONFIDENCE)
        {
            figures.insert(
                subject.label.clone(),
                with(share.value, Some(share.interval)),
            );
        }
    }
    figures
}

/// The change of the judge's score with each doubling of the output: least squares on log2 of its bytes.
fn length_slope(table: &Table<'_>, judge: &str) -> Option<f64> {
    let of_judge = |grade: &&AssertionGrade| {
        let judged = grade.grade.judged.as_ref();
        judged.is_some_and(|judged| judged.judge_hash == judge)
    };
    let mut points = Vec::new();
    for row in &table.finished.rows {
        let Some(answer) = &row.answer else { continue };
        let bytes = answer.output.as_str().map_or(0, str::len);
        if bytes == 0 {
            continue;
        }
        #[expect(clippy::cast_precision_loss, reason = "a length")]
        let x = (bytes as f64).log2();
        points.extend(
            row.grade
                .assertions
                .iter()
                .filter(of_judge)
                .map(|grade| (x, grade.grade.score)),
        );
    }
    crate::stats::slope(&points)
}

fn rows_of<'a>(table: &Table<'a>, subject: &Subject) -> Vec<&'a Row> {
    let rows = table.finished.rows.iter();
    rows.filter(|row| row.cell.side == Side::Head && row.cell.subject == subject.label)
        .collect()
}

/// Whether judge and subject are from one maker: `openai/gpt-…` and `openai/o3`.
fn is_same_family(judge: &str, subject: &Subject) -> bool {
    fn family(model: &str) -> &str {
        let maker = model.split('/').next().unwrap_or(model);
        match maker.split('-').next().unwrap_or(maker) {
            "gpt" | "o1" | "o3" | "o4" | "chatgpt" => "openai",
            "claude" => "anthropic",
            _ => maker,
        }
    }
    let target = match (&subject.model, &subject.prompt) {
        (ModelSource::Route(model), _) => Some(model.as_str()),
        (ModelSource::OfPrompt, SubjectPrompt::Version { model, .. }) => model.as_deref(),
        _ => None,
    };
    target.is_some_and(|target| family(target) == family(judge))
}

const fn confusion(calibration: Calibration) -> Confusion {
    Confusion {
        true_positive: calibration.true_positives,
        false_negative: calibration.false_negatives,
        true_negative: calibration.true_negatives,
        false_positive: calibration.false_positives,
    }
}

const fn labels(calibration: Calibration) -> u64 {
    calibration.true_positives
        + calibration.false_negatives
        + calibration.true_negatives
        + calibration.false_positives
}
