//! Labelled answers as questions to the judge: directly, or as the cases of a run, which is recorded,
//! budgeted and continued like any other.

use crate::domain::Cost;
use crate::evals::digest::digest;
use crate::evals::grade::{Grade, Graded};
use crate::evals::judges::calibration::labels::{Label, Labelled, labelled};
use crate::evals::judges::calibration::report::{CalibrationReport, Opinion, report};
use crate::evals::judges::calibration::stored::identity;
use crate::evals::judges::{JudgeContext, decide};
use crate::evals::plan::{Forecast, JudgePlan, RunPlan, Side, SidePlan, Subject, SubjectPrompt};
use crate::evals::row::{Answer, Row};
use crate::evals::suite::{
    AssertNode, Assertion, AssertionKind, AssertionValue, Case, CaseId, CaseOptions, ModelSource,
    Place, Settings,
};
use crate::evals::values;
use futures_util::{StreamExt, stream};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Judgements at the same time.
const CONCURRENCY: usize = 8;
/// What cases are called, before their place.
const NAME: &str = "answer-";

/// Asks the judge about every labelled answer, and compares.
pub async fn calibrate(
    judge: &JudgePlan,
    labels: &[Label],
    context: &JudgeContext<'_>,
) -> CalibrationReport {
    let context = JudgeContext {
        judge: Some(judge),
        ..*context
    };
    let answers = labelled(labels);
    let asked = answers.iter().enumerate().map(|(place, answer)| {
        let context = &context;
        async move {
            let (case, assertion) = (case(place, answer, judge), assertion(answer, judge));
            let subject = subject();
            let answer = answer_of(&answer.first.output);
            let graded = Graded {
                answer: &answer,
                log_probs: None,
                case: &case,
                subject: &subject,
                vars: &case.vars,
                prompt: "",
                sent: &[],
                steps: Ok(&[]),
                canary: None,
                repeat: 0,
            };
            Some(decide(&assertion, &graded, context).await)
        }
    });
    // Made before they are polled: what lives in the closure must not cross an await.
    let asked: Vec<_> = asked.collect();
    let opinions: Vec<_> = stream::iter(asked).buffered(CONCURRENCY).collect().await;
    report(judge, labels, &opinions)
}

/// Returns the labelled answers as a run.
///
/// It has a case for each, in the order of the file, whose answer is given and whose only assertion is the
/// judge's: [`opinions`] reads its rows.
#[must_use]
pub fn plan(judge: &JudgePlan, labels: &[Label]) -> RunPlan {
    let answers = labelled(labels);
    let cases: Vec<Case> = answers
        .iter()
        .enumerate()
        .map(|(place, answer)| case(place, answer, judge))
        .collect();
    let votes = 1 + judge.panel.len();
    let judge_calls = u64::try_from(cases.len() * votes).unwrap_or(u64::MAX);
    RunPlan {
        version: 1,
        suite: format!("calibration of {}", judge.path),
        path: judge.path.clone(),
        description: None,
        suite_hash: digest(&("calibration/1", identity(judge), &cases)),
        sides: vec![SidePlan {
            side: Side::Head,
            commit: None,
            name: "this directory".to_owned(),
            subjects: vec![subject()],
            cases,
        }],
        derived_metrics: Vec::new(),
        settings: Settings {
            concurrency: u32::try_from(CONCURRENCY).unwrap_or(1),
            max_error_share: 1.0,
            ..Settings::default()
        },
        judge: Some(judge.clone()),
        warnings: Vec::new(),
        forecast: Forecast {
            judge_calls,
            ..Forecast::default()
        },
        files: Vec::new(),
        committed: None,
        by: None,
        baseline: None,
        quarantined: std::collections::BTreeSet::new(),
    }
}

/// Returns the judge's opinions from the rows of such a run, in the order of the answers.
#[must_use]
pub fn opinions(labels: &[Label], rows: &[Row]) -> Vec<Opinion> {
    let count = labelled(labels).len();
    let mut opinions: Vec<Opinion> = vec![None; count];
    for row in rows {
        let place = row
            .cell
            .case
            .0
            .strip_prefix(NAME)
            .and_then(|number| number.parse().ok());
        let slot = place.and_then(|place: usize| opinions.get_mut(place));
        if let Some(slot) = slot {
            let graded = row
                .grade
                .assertions
                .first()
                .map(|graded| graded.grade.clone());
            *slot = Some(graded.unwrap_or_else(|| Grade::error(row.grade.reason.as_str())));
        }
    }
    opinions
}

/// Nobody is asked for an answer.
fn subject() -> Subject {
    Subject {
        label: "labelled answers".to_owned(),
        prompt_label: "labelled answers".to_owned(),
        model_label: "people".to_owned(),
        prompt: SubjectPrompt::Text {
            template: String::new(),
        },
        model: ModelSource::Echo,
        parameters: Map::new(),
        transform: None,
        delay_ms: 0,
    }
}

fn case(place: usize, answer: &Labelled<'_>, judge: &JudgePlan) -> Case {
    let label = answer.first;
    let at = Place {
        file: judge.path.clone(),
        line: label.line,
        column: 0,
    };
    Case {
        id: CaseId(format!("{NAME}{place}")),
        description: None,
        vars: label.vars.clone(),
        asserts: vec![AssertNode::One(Box::new(assertion(answer, judge)))],
        threshold: None,
        scoring: None,
        options: CaseOptions::default(),
        metadata: Map::new(),
        models: Vec::new(),
        prompts: Vec::new(),
        given_output: Some(label.output.clone()),
        cluster: None,
        slices: BTreeMap::new(),
        messages: None,
        group: None,
        place: at,
    }
}

fn assertion(answer: &Labelled<'_>, judge: &JudgePlan) -> Assertion {
    let rubric = answer.first.rubric.clone();
    Assertion {
        kind: AssertionKind::LlmRubric,
        is_negated: false,
        value: rubric.map(|rubric| AssertionValue::Json(Value::String(rubric))),
        threshold: None,
        weight: 1.0,
        metric: None,
        grader: None,
        rubric_prompt: None,
        transform: None,
        context_transform: None,
        config: Map::new(),
        place: Place {
            file: judge.path.clone(),
            line: answer.first.line,
            column: 0,
        },
    }
}

fn answer_of(output: &Value) -> Answer {
    Answer {
        call: None,
        output: output.clone(),
        message: json!({"role": "assistant", "content": values::text_of(output)}),
        finish_reason: None,
        model_returned: None,
        usage: None,
        cost: Cost::default(),
        latency_us: 0,
        cached_from: None,
    }
}
