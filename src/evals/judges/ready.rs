//! An assertion made ready to be judged: the answer transformed, the value filled or computed.
//!
//! Scripts hold a thread for up to a second, so they run beside the runtime's threads.

use crate::evals::grade::Graded;
use crate::evals::script::{self, Purpose, ScriptArguments};
use crate::evals::suite::{Assertion, AssertionValue, Script};
use crate::evals::{template, values};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

/// An assertion, and what it is held against.
#[derive(Debug)]
pub(super) struct Ready<'a> {
    pub(super) assertion: &'a Assertion,
    pub(super) graded: &'a Graded<'a>,
    /// The answer's output, through the assertion's transform.
    pub(super) output: Value,
    /// The same as text: text as it is, everything else as JSON.
    pub(super) text: String,
    /// The value, filled, or what its script made. `None`: there is none.
    pub(super) value: Option<Value>,
    /// The author's instructions, of the assertion or of its case.
    pub(super) rubric_prompt: Option<&'a Value>,
}

impl<'a> Ready<'a> {
    /// Transforms the answer and fills the value.
    ///
    /// # Errors
    ///
    /// In words, when a script gives no value or a template cannot be filled.
    pub(super) async fn make(
        assertion: &'a Assertion,
        graded: &'a Graded<'a>,
    ) -> Result<Self, String> {
        let output = match &assertion.transform {
            None => graded.answer.output.clone(),
            Some(transform) => transformed(transform, &graded.answer.output, graded).await?,
        };
        let value = match &assertion.value {
            None => None,
            Some(AssertionValue::Json(value)) => {
                let filled = template::fill_value(value, graded.vars);
                Some(filled.map_err(|error| error.to_string())?)
            }
            Some(AssertionValue::Script(script)) => {
                Some(computed(script, &output, assertion, graded).await?)
            }
        };
        let own = assertion.rubric_prompt.as_ref();
        Ok(Self {
            assertion,
            graded,
            text: values::text_of(&output),
            output,
            value: value.filter(|value| !value.is_null()),
            rubric_prompt: own.or(graded.case.options.rubric_prompt.as_ref()),
        })
    }

    /// The value, which must be text.
    pub(super) fn needed_text(&self) -> Result<&str, String> {
        let value = self.value.as_ref().ok_or("it needs a `value`")?;
        let text = value.as_str().filter(|text| !text.trim().is_empty());
        text.ok_or_else(|| "its `value` must be text".to_owned())
    }

    /// The value, which must be a text or a list of texts with at least one.
    pub(super) fn needed_texts(&self) -> Result<Vec<&str>, String> {
        let wrong = || "its `value` must be a text or a list of texts".to_owned();
        match self.value.as_ref().ok_or("it needs a `value`")? {
            Value::String(text) => Ok(vec![text]),
            Value::Array(items) if !items.is_empty() => {
                let texts: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
                texts.ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }

    /// A variable that must be text.
    pub(super) fn needed_var(&self, name: &str) -> Result<&'a str, String> {
        let text = self.graded.vars.get(name).and_then(Value::as_str);
        let text = text.filter(|text| !text.is_empty());
        text.ok_or_else(|| format!("it needs a variable `{name}` with the user's question"))
    }

    /// The author's instructions for a phase of several: by name, or by place in a list of texts.
    pub(super) fn phase(&self, name: &str, place: usize) -> Option<&'a Value> {
        match self.rubric_prompt? {
            Value::Object(phases) => phases.get(name),
            Value::Array(phases) if phases.iter().all(Value::is_string) => phases.get(place),
            _ => None,
        }
    }
}

/// Runs a transform of an output.
pub(super) async fn transformed(
    script: &Script,
    output: &Value,
    graded: &Graded<'_>,
) -> Result<Value, String> {
    let (script, output, context) = (script.clone(), output.clone(), context_of(graded));
    let run = move || script::transform(&script, &output, &context);
    let value = spawn_blocking(run)
        .await
        .map_err(|error| error.to_string())?;
    value.map_err(|error| error.to_string())
}

async fn computed(
    script: &Script,
    output: &Value,
    assertion: &Assertion,
    graded: &Graded<'_>,
) -> Result<Value, String> {
    let mut context = context_of(graded);
    if let Value::Object(fields) = &mut context {
        fields.insert("config".to_owned(), json!(assertion.config));
        fields.insert("threshold".to_owned(), json!(assertion.threshold));
        fields.insert("prompt".to_owned(), graded.prompt.into());
    }
    let (script, output) = (script.clone(), output.clone());
    let run = move || {
        let arguments = ScriptArguments {
            purpose: Purpose::Assertion,
            input: &output,
            context: &context,
        };
        script::run(&script, &arguments)
    };
    let value = spawn_blocking(run)
        .await
        .map_err(|error| error.to_string())?;
    value.map_err(|error| error.to_string())
}

/// What scripts are told beside the output.
fn context_of(graded: &Graded<'_>) -> Value {
    json!({
        "vars": graded.vars,
        "prompt": {"label": graded.prompt, "raw": graded.prompt},
        "metadata": graded.case.metadata,
        "steps": graded.steps.ok(),
    })
}
