//! An assertion made ready: the answer transformed, the value filled or computed.

use crate::evals::grade::{Grade, Graded, Step};
use crate::evals::graders::{CannotJudge, Judged, context};
use crate::evals::script::{self, Purpose, ScriptArguments};
use crate::evals::suite::{Assertion, AssertionKind, AssertionValue, Script};
use crate::evals::{template, values};
use serde_json::Value;
use std::borrow::Cow;

/// An assertion, and what it is held against.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) assertion: &'a Assertion,
    pub(super) graded: &'a Graded<'a>,
    /// The answer's output, through the assertion's transform.
    pub(super) output: Cow<'a, Value>,
    /// The same as text: text as it is, everything else as JSON.
    pub(super) text: String,
    /// The value, filled, or what its script made. `None`: there is none.
    pub(super) value: Option<Value>,
}

impl<'a> Ready<'a> {
    /// Transforms the answer and fills the value.
    pub(super) fn make(
        assertion: &'a Assertion,
        graded: &'a Graded<'a>,
    ) -> Result<Self, CannotJudge> {
        let output = match &assertion.transform {
            None => Cow::Borrowed(&graded.answer.output),
            Some(transform) => {
                let context = context::of_transform(graded);
                let output = script::transform(transform, &graded.answer.output, &context)
                    .map_err(|error| CannotJudge::because(error.to_string()))?;
                Cow::Owned(output)
            }
        };
        let mut ready = Self {
            assertion,
            graded,
            text: values::text_of(&output),
            output,
            value: None,
        };
        ready.value = ready.filled_value()?;
        Ok(ready)
    }

    fn filled_value(&self) -> Result<Option<Value>, CannotJudge> {
        let is_javascript = self.assertion.kind == AssertionKind::Javascript;
        match &self.assertion.value {
            None => Ok(None),
            Some(AssertionValue::Json(value)) => template::fill_value(value, self.graded.vars)
                .map(Some)
                .map_err(|error| CannotJudge::because(error.to_string())),
            Some(AssertionValue::Script(_)) if is_javascript => Ok(None),
            Some(AssertionValue::Script(script)) => {
                let value = self.run(script)?;
                if value.is_boolean() || value.get("pass").is_some() {
                    return Err(CannotJudge::because(
                        "its script returned a grade, where a value to compare with is wanted",
                    ));
                }
                Ok(Some(value))
            }
        }
    }

    /// Runs a script of this assertion with the output and the whole context.
    pub(super) fn run(&self, script: &Script) -> Result<Value, CannotJudge> {
        let context = context::of_assertion(self);
        let arguments = ScriptArguments {
            purpose: Purpose::Assertion,
            input: &self.output,
            context: &context,
        };
        script::run(script, &arguments).map_err(|error| CannotJudge::because(error.to_string()))
    }

    /// The tools that were called on the way to the answer.
    pub(super) fn steps(&self) -> Result<&'a [Step], CannotJudge> {
        self.graded.steps.map_err(CannotJudge::because)
    }

    /// The value, which must be there.
    pub(super) fn needed(&self) -> Result<&Value, CannotJudge> {
        self.value
            .as_ref()
            .ok_or_else(|| CannotJudge::because("it needs a `value`"))
    }

    /// The value, which must be text.
    pub(super) fn needed_text(&self) -> Result<&str, CannotJudge> {
        self.needed()?
            .as_str()
            .ok_or_else(|| CannotJudge::because("its `value` must be text"))
    }

    /// The value, which must be a text or a list of texts with at least one.
    pub(super) fn needed_texts(&self) -> Result<Vec<&str>, CannotJudge> {
        let wrong = || CannotJudge::because("its `value` must be a text or a list of texts");
        match self.needed()? {
            Value::String(text) => Ok(vec![text]),
            Value::Array(items) if !items.is_empty() => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    /// The threshold, which must be there.
    pub(super) fn needed_threshold(&self) -> Result<f64, CannotJudge> {
        self.assertion
            .threshold
            .ok_or_else(|| CannotJudge::because("it needs a `threshold`"))
    }

    /// Passed with 1 or failed with 0, after negation. `found` says what is the case.
    pub(super) fn plain(&self, holds: bool, found: impl Into<String>) -> Judged {
        Ok(Grade::plain(holds != self.assertion.is_negated, found))
    }

    /// A score that passes from the threshold on, after negation: `not-` turns both around.
    pub(super) fn scored(&self, score: f64, default_threshold: f64, what: &str) -> Judged {
        let threshold = self.assertion.threshold.unwrap_or(default_threshold);
        let holds = threshold <= score;
        let side = if holds { "reaches" } else { "is below" };
        let reason = format!("{what} {score:.4} {side} {}", values::float_text(threshold));
        let mut grade = Grade::plain(holds != self.assertion.is_negated, reason);
        grade.score = if self.assertion.is_negated {
            1.0 - score
        } else {
            score
        };
        Ok(grade)
    }
}
