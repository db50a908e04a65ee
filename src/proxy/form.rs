//! Whether a whole answer has the form that its prompt promises.

use crate::domain::Dialect;
use crate::prompts::Bundle;
use crate::proxy::Error;
use crate::proxy::call::Call;
use crate::wire::conversation::Part;
use crate::wire::translate;
use bytes::Bytes;

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
        let Some(fault) = fault(bundle, call.dialect, body) else {
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
fn fault(bundle: &Bundle, dialect: Dialect, body: &Bytes) -> Option<String> {
    let reply = translate::read_reply(dialect, body).ok()?;
    let texts = reply
        .choices
        .iter()
        .filter_map(|choice| text(&choice.parts));
    texts.filter_map(|text| bundle.answer_fault(&text)).next()
}

/// What an answer says; `None` when it is a refusal, a tool call, or no text at all.
fn text(parts: &[Part]) -> Option<String> {
    let mut said = None::<String>;
    for part in parts {
        match part {
            Part::Text { text, .. } => said.get_or_insert_default().push_str(text),
            Part::Refusal(_) | Part::ToolCall(_) => return None,
            _ => {}
        }
    }
    said
}
