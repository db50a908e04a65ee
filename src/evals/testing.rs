//! What tests make up: cases, assertions, subjects, plans and rows that say nothing but what a test needs.

use crate::domain::{RunId, Timestamp};
use crate::evals::grade::{CaseGrade, Mark};
use crate::evals::plan::{Forecast, RunPlan, Side, SidePlan, Subject, SubjectPrompt};
use crate::evals::row::{CellKey, Row};
use crate::evals::suite::{
    Assertion, AssertionKind, AssertionValue, Case, CaseId, CaseOptions, ModelSource, Place,
    Settings,
};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// A case that asserts nothing.
pub(in crate::evals) fn case(id: &str) -> Case {
    Case {
        id: CaseId(id.to_owned()),
        description: None,
        vars: Map::new(),
        asserts: Vec::new(),
        threshold: None,
        scoring: None,
        options: CaseOptions::default(),
        metadata: Map::new(),
        models: Vec::new(),
        prompts: Vec::new(),
        given_output: None,
        cluster: None,
        slices: BTreeMap::new(),
        messages: None,
        group: None,
        place: Place::default(),
    }
}

/// An assertion by its name in suites, `not-` included; null is no value.
pub(in crate::evals) fn assertion(name: &str, value: Value) -> Assertion {
    let (kind, is_negated) = match name.strip_prefix("not-") {
        Some(kind) => (kind, true),
        None => (name, false),
    };
    Assertion {
        kind: AssertionKind::parse(kind).unwrap(),
        is_negated,
        value: (!value.is_null()).then_some(AssertionValue::Json(value)),
        threshold: None,
        weight: 1.0,
        metric: None,
        grader: None,
        rubric_prompt: None,
        transform: None,
        context_transform: None,
        config: Map::new(),
        place: Place::default(),
    }
}

/// A text that the model `m` answers.
pub(in crate::evals) fn subject(label: &str, template: &str) -> Subject {
    Subject {
        label: label.to_owned(),
        prompt_label: "p".to_owned(),
        model_label: "m".to_owned(),
        prompt: SubjectPrompt::Text {
            template: template.to_owned(),
        },
        model: ModelSource::Route("m".to_owned()),
        parameters: Map::new(),
        transform: None,
        delay_ms: 0,
    }
}

/// One subject with its cases.
pub(in crate::evals) fn side(side: Side, subject: Subject, cases: Vec<Case>) -> SidePlan {
    let name = if side == Side::Base {
        "main"
    } else {
        "this directory"
    };
    SidePlan {
        side,
        commit: None,
        name: name.to_owned(),
        subjects: vec![subject],
        cases,
    }
}

/// A plan of a suite `suite` with the usual settings.
pub(in crate::evals) fn plan(suite: &str, sides: Vec<SidePlan>) -> RunPlan {
    RunPlan {
        version: 1,
        suite: suite.to_owned(),
        path: format!("evals/{suite}.yaml"),
        description: None,
        suite_hash: "0".repeat(64),
        sides,
        derived_metrics: Vec::new(),
        settings: Settings::default(),
        judge: None,
        warnings: Vec::new(),
        forecast: Forecast::default(),
        files: Vec::new(),
        committed: None,
        by: None,
        baseline: None,
        quarantined: BTreeSet::new(),
    }
}

/// A row without an answer and without metrics.
pub(in crate::evals) fn row(side: Side, subject: &str, case: &str, mark: Mark) -> Row {
    Row {
        version: 1,
        run: RunId(Uuid::nil()),
        cell: CellKey {
            side,
            subject: subject.to_owned(),
            case: CaseId(case.to_owned()),
            repeat: 0,
        },
        cell_hash: String::new(),
        at: Timestamp(0),
        vars: Map::new(),
        sent: Vec::new(),
        answer: None,
        error: None,
        grade: CaseGrade {
            mark,
            score: f64::from(u8::from(mark == Mark::Pass)),
            reason: "because".to_owned(),
            metrics: BTreeMap::new(),
            assertions: Vec::new(),
        },
    }
}
