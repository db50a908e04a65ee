//! Whether an answer has the form that its prompt promises.

use crate::prompts::bundle::Bundle;
use crate::prompts::input::compile;
use serde_json::Value;

impl Bundle {
    /// Whether the prompt says what its answers look like.
    #[must_use]
    pub fn promises_form(&self) -> bool {
        self.output().is_some_and(|output| output.schema.is_some())
    }

    /// Returns what is wrong with the form of the answer `text`, without any of its values.
    #[must_use]
    pub fn answer_fault(&self, text: &str) -> Option<String> {
        let schema = self.output()?.schema.as_ref()?;
        let Ok(answer) = serde_json::from_str::<Value>(text) else {
            return Some("it is not JSON".to_owned());
        };
        // A schema that cannot be used is no fault of the answer.
        let validator = self.answer_validator(|| compile(schema).ok())?;
        let fault = validator.iter_errors(&answer).next()?;
        let place = fault.instance_path().to_string();
        let place = if place.is_empty() { "/" } else { &place };
        Some(format!("at `{place}`: {}", fault.masked()))
    }
}

#[cfg(test)]
mod tests {
    use crate::prompts::bundle::tests::bundle;

    #[test]
    fn an_answer_has_the_form_or_not() {
        let prompt = bundle("---\noutput: {schema: {kind(enum): [a, b], note?: string}}\n---\nx");
        assert!(prompt.promises_form());
        for (text, fault) in [
            (r#"{"kind":"a"}"#, None),
            (r#"{"kind":"a","note":"n"}"#, None),
            ("secret", Some("it is not JSON")),
            (
                r#"{"note":"secret"}"#,
                Some("at `/`: \"kind\" is a required property"),
            ),
            (r#"{"kind":"secret"}"#, Some("at `/kind`: ")),
            (r#"{"kind":"a","note":7}"#, Some("at `/note`: ")),
        ] {
            let found = prompt.answer_fault(text);
            assert_eq!(found.is_some(), fault.is_some(), "{text}: {found:?}");
            let found = found.unwrap_or_default();
            assert!(
                found.starts_with(fault.unwrap_or_default()),
                "{text}: {found}"
            );
            assert!(!found.contains("secret"), "{found}");
        }
        let free = bundle("x");
        assert!(!free.promises_form() && free.answer_fault("anything").is_none());
    }
}
