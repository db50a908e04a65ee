//! A grade: passed, failed, or an error, with a score and the reason.

use crate::domain::{CallId, Cost, TokenUsage};
use crate::evals::plan::Subject;
use crate::evals::row::Answer;
use crate::evals::suite::{AssertionKind, Case};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is graded: an answer, and all that an assertion may ask about it.
#[derive(Debug, Clone, Copy)]
pub struct Graded<'a> {
    /// The answer; its `output` has been through the transforms of model and case.
    pub answer: &'a Answer,
    /// Log probabilities of the answer's tokens, when they were asked for.
    pub log_probs: Option<&'a [f64]>,
    /// The case.
    pub case: &'a Case,
    /// What was tested.
    pub subject: &'a Subject,
    /// The filled variables.
    pub vars: &'a Map<String, Value>,
    /// The filled prompt: the text of a single user message, else the messages as JSON.
    pub prompt: &'a str,
    /// The messages that were sent.
    pub sent: &'a [Value],
    /// What was done on the way to the answer: the tool calls of the answer, or of the session that the case
    /// names. In words, why that session tells of none.
    pub steps: Result<&'a [Step], &'a str>,
    /// The canary that was planted, when the case uses one.
    pub canary: Option<&'a str>,
    /// Which repeat, from 0.
    pub repeat: u32,
}

/// A tool that was called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub name: String,
    /// Its arguments: JSON, or the text where it is none.
    pub arguments: Value,
    /// What it returned, where a session tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be judged; neither of the two, whatever is negated or weighed.
    Error,
}

/// What an assertion says of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// What came out.
    pub mark: Mark,
    /// From 0 to 1 as a rule; scripts may say otherwise.
    pub score: f64,
    /// Why, for people.
    pub reason: String,
    /// Scores by name that a script returns.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub named_scores: BTreeMap<String, f64>,
    /// What a judge cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
    /// Findings of safety detectors as `(detector, count)`; never the text itself.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<SafetyFinding>,
}

impl Grade {
    /// A grade without more than mark, score and reason.
    #[must_use]
    pub const fn of(mark: Mark, score: f64, reason: String) -> Self {
        Self {
            mark,
            score,
            reason,
            named_scores: BTreeMap::new(),
            judged: None,
            findings: Vec::new(),
        }
    }

    /// What could not be judged, and why.
    #[must_use]
    pub fn error(reason: impl Into<String>) -> Self {
        Self::of(Mark::Error, 0.0, reason.into())
    }

    /// Passed with 1 or failed with 0.
    #[must_use]
    pub fn plain(is_pass: bool, reason: impl Into<String>) -> Self {
        let (mark, score) = if is_pass {
            (Mark::Pass, 1.0)
        } else {
            (Mark::Fail, 0.0)
        };
        Self::of(mark, score, reason.into())
    }
}

/// What a judgement took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Judged {
    /// The model that judged.
    pub model: String,
    /// SHA-256 of the judge: its instructions, model and parameters.
    pub judge_hash: String,
    /// Its calls.
    pub calls: Vec<CallId>,
    /// What they cost together.
    pub cost: Cost,
    /// Their tokens together.
    pub usage: TokenUsage,
    /// Whether the judgement came from the cache.
    pub is_cached: bool,
    /// The model that answered, by its own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model_returned: Option<String>,
    /// What the judge returned.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub verdict: Value,
}

/// What a safety detector found, without the text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SafetyFinding {
    /// The detector's name: `pii/email`.
    pub detector: String,
    /// How bad it is: `low`, `medium`, `high`, `critical`.
    pub severity: String,
    /// How often.
    pub count: u64,
}

/// The grade of one assertion of a case, in the order of the suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AssertionGrade {
    /// Its place: `2`, or `2.0` inside a set.
    pub path: String,
    /// What is checked.
    pub kind: AssertionKind,
    /// Whether it is the `not-` form.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_negated: bool,
    /// The metric it is counted under, filled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// Its weight.
    pub weight: f64,
    /// The value it was held against, filled, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What came out.
    #[serde(flatten)]
    pub grade: Grade,
}

/// The grade of a whole case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseGrade {
    /// What came out; an error of one assertion is an error of the case.
    pub mark: Mark,
    /// The weighted mean of the scores; 1 without assertions.
    pub score: f64,
    /// Why: the reason of the first assertion that did not pass.
    pub reason: String,
    /// Weighted means of the scores by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricScore>,
    /// Each assertion.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assertions: Vec<AssertionGrade>,
}

/// What a case says of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MetricScore {
    /// The weighted mean of the scores.
    pub score: f64,
    /// Whether every assertion of the metric passed; `None` when one is an error.
    pub is_pass: Option<bool>,
    /// The sum of the weights.
    pub weight: f64,
}
