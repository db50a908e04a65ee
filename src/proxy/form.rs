//! Whether a whole answer has the form that its prompt promises.

use crate::prompts::Bundle;
use crate::proxy::Error;
use crate::proxy::call::Call;
use bytes::Bytes;
use serde_json::Value;

/// What is to be said of the form of an answer.
#[derive(Debug)]
pub(crate) enum Form {
    /// Nothing.
    Good,
    /// It is handed over with a warning.
    Doubtful(String),
    /// It must not be handed over.
    Refused(Error),
}

impl Form {
    /// Looks at the answer `body` of `call`.
    pub(crate) fn of(call: &Call, body: &Bytes) -> Self {
        let Some(bundle) = call.bundle.as_ref().filter(|it| it.promises_form()) else {
            return Self::Good;
        };
        let Some(fault) = fault(bundle, body) else {
            return Self::Good;
        };
        if !bundle.enforces_output() {
            return Self::Doubtful(format!("the answer does not have its form: {fault}"));
        }
        let prompt = call.prompt.as_ref().map(|stamp| stamp.key.to_string());
        Self::Refused(Error::OutputInvalid {
            prompt: prompt.unwrap_or_default(),
            fault,
        })
    }
}

/// The first fault among the choices that say something; a refusal or a tool call promises no form.
fn fault(bundle: &Bundle, body: &Bytes) -> Option<String> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let choices = answer.get("choices")?.as_array()?;
    let texts = choices.iter().filter_map(|choice| {
        let message = choice.get("message")?;
        let text = message.get("content")?.as_str()?;
        let has = |key: &str| message.get(key).is_some_and(|value| !value.is_null());
        (!has("tool_calls") && !has("refusal")).then_some(text)
    });
    texts.filter_map(|text| bundle.answer_fault(text)).next()
}
