//! Grades an answer: rules are decided off the runtime's threads, since scripts hold a thread; what a model
//! or a comparison must decide is the affair of judges.

use crate::evals::grade::{AssertionGrade, CaseGrade, Grade, Graded, Mark, Step};
use crate::evals::graders;
use crate::evals::judges::{self, JudgeContext};
use crate::evals::plan::Subject;
use crate::evals::row::Answer;
use crate::evals::script;
use crate::evals::suite::{AssertNode, Assertion, Case, Decider};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// An answer with all that is asked about it, to be taken to another thread.
#[derive(Debug, Clone)]
pub(super) struct Work {
    pub(super) answer: Answer,
    pub(super) log_probs: Option<Vec<f64>>,
    pub(super) case: Case,
    pub(super) subject: Subject,
    pub(super) vars: Map<String, Value>,
    pub(super) prompt: String,
    pub(super) sent: Vec<Value>,
    /// In words, why the case's session tells of none.
    pub(super) steps: Result<Vec<Step>, String>,
    pub(super) canary: Option<String>,
    pub(super) repeat: u32,
}

impl Work {
    pub(super) fn graded(&self) -> Graded<'_> {
        Graded {
            answer: &self.answer,
            log_probs: self.log_probs.as_deref(),
            case: &self.case,
            subject: &self.subject,
            vars: &self.vars,
            prompt: &self.prompt,
            sent: &self.sent,
            steps: self.steps.as_deref().map_err(String::as_str),
            canary: self.canary.as_deref(),
            repeat: self.repeat,
        }
    }

    /// Returns the assertions with their places.
    pub(super) fn assertions(&self) -> Vec<(String, &Assertion)> {
        let mut all = Vec::new();
        for (index, node) in self.case.asserts.iter().enumerate() {
            match node {
                AssertNode::One(assertion) => all.push((index.to_string(), assertion.as_ref())),
                AssertNode::Set(set) => {
                    let inner = set.asserts.iter().enumerate();
                    all.extend(inner.map(|(place, one)| (format!("{index}.{place}"), one)));
                }
            }
        }
        all
    }
}

/// Transforms the answer: first as the model says, then as the case does.
///
/// # Errors
///
/// In words, when a script gives no value.
pub(super) async fn transform(mut work: Work) -> Result<Work, (Box<Work>, String)> {
    let scripts = [&work.subject.transform, &work.case.options.transform];
    let scripts: Vec<_> = scripts.into_iter().flatten().cloned().collect();
    if scripts.is_empty() {
        return Ok(work);
    }
    let before = work.clone();
    let transformed = spawn_blocking(move || {
        let context = json!({
            "vars": work.vars,
            "prompt": {"raw": work.prompt, "label": work.subject.prompt_label},
            "metadata": work.case.metadata,
        });
        for script in &scripts {
            let output = script::transform(script, &work.answer.output, &context);
            match output {
                Ok(output) => work.answer.output = output,
                Err(error) => return Err((Box::new(work), error.to_string())),
            }
        }
        Ok(work)
    });
    let failed = |error: tokio::task::JoinError| Err((Box::new(before), error.to_string()));
    transformed.await.unwrap_or_else(failed)
}

/// Returns the case's variables, with those that its script returns laid over them.
///
/// # Errors
///
/// In words, when the script gives no object.
pub(super) async fn transform_vars(case: &Case) -> Result<Map<String, Value>, String> {
    let Some(script) = case.options.transform_vars.clone() else {
        return Ok(case.vars.clone());
    };
    let vars = Value::Object(case.vars.clone());
    let transformed = spawn_blocking(move || script::transform_vars(&script, &vars, &json!({})));
    let transformed = transformed.await.map_err(|error| error.to_string())?;
    match transformed.map_err(|error| format!("`transformVars`: {error}"))? {
        Value::Object(changed) => {
            let mut vars = case.vars.clone();
            vars.extend(changed);
            Ok(vars)
        }
        _ => Err("`transformVars` returned no object of variables".to_owned()),
    }
}

/// Grades an answer. What compares it with others of its case is left out: see [`comparing`].
///
/// [`comparing`]: crate::evals::run::comparing
pub(super) async fn grade(work: &Arc<Work>, context: &JudgeContext<'_>) -> CaseGrade {
    let rules = Arc::clone(work);
    let decided = spawn_blocking(move || by_rules(&rules)).await;
    let grades = match decided {
        Ok(grades) => grades,
        Err(error) => return unjudged(format!("a grader failed: {error}")),
    };
    let mut placed = Vec::new();
    for ((path, assertion), grade) in work.assertions().into_iter().zip(grades) {
        let grade = match grade {
            Some(grade) => grade,
            None if assertion.kind.decider() == Decider::Comparison => continue,
            None => judges::decide(assertion, &work.graded(), context).await,
        };
        placed.push(graders::place(path, assertion, &work.vars, grade));
    }
    sum(work, placed).await
}

/// Returns what the assertions of a case come to.
pub(super) async fn sum(work: &Arc<Work>, placed: Vec<AssertionGrade>) -> CaseGrade {
    let work = Arc::clone(work);
    let sum = move || graders::aggregate_with(&work.case, &work.vars, placed);
    let sum = spawn_blocking(sum).await;
    sum.unwrap_or_else(|error| unjudged(format!("a grader failed: {error}")))
}

/// Decides what rules decide; `None` for the rest.
fn by_rules(work: &Work) -> Vec<Option<Grade>> {
    let assertions = work.assertions().into_iter();
    let grades = assertions.map(|(_, assertion)| match assertion.kind.decider() {
        Decider::Rule | Decider::Nobody => Some(graders::decide(assertion, &work.graded())),
        Decider::Model | Decider::Comparison => None,
    });
    grades.collect()
}

/// The grade of a case that could not be judged at all.
pub(super) fn unjudged(reason: String) -> CaseGrade {
    CaseGrade {
        mark: Mark::Error,
        score: 0.0,
        reason,
        metrics: BTreeMap::new(),
        assertions: Vec::<AssertionGrade>::new(),
    }
}
