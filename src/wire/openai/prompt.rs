//! How a body says which prompt it wants: `OpenAI`'s prompt object, on chat completions and on
//! responses alike, and the fields that clients of other gateways send.

use crate::wire::Error;
use crate::wire::json::{RawObject, as_str, field};
use crate::wire::openai::request::wrong_type;
use bytes::Bytes;

/// The `prompt` object of a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PromptParameter {
    /// The prompt, from `id` or `prompt_id`; missing where `model` names it.
    pub id: Option<String>,
    /// The version, label or selector.
    pub version: Option<String>,
    /// The variables, a JSON object.
    pub variables: Option<Bytes>,
}

/// What clients of other gateways say of a prompt, in fields of their own at the top of the body.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ForeignPrompt {
    /// `prompt_id`.
    pub id: Option<String>,
    /// Fields that say which version: their names and what they say.
    pub selectors: Vec<(&'static str, String)>,
    /// Fields with variables, JSON objects.
    pub variables: Vec<(&'static str, Bytes)>,
}

/// Fields of `LiteLLM` and Helicone whose names are about prompts and nothing else.
const SELECTORS: [&str; 3] = ["prompt_version", "prompt_version_id", "prompt_label"];
const VARIABLES: &str = "prompt_variables";

/// Fields of Helicone that may mean anything where there is no `prompt_id`.
const ENVIRONMENT: &str = "environment";
const INPUTS: &str = "inputs";

impl PromptParameter {
    /// Reads the prompt object of a body; `None` when there is none.
    ///
    /// # Errors
    ///
    /// When it is no object, or a field of it has the wrong type; when `id` and `prompt_id` differ.
    pub fn read(object: &RawObject) -> Result<Option<Self>, Error> {
        let Some(raw) = object.get_some("prompt") else {
            return Ok(None);
        };
        if !raw.starts_with(b"{") {
            return Err(wrong_type("prompt", "an object", raw));
        }
        let text = |key: &str, takes_numbers| {
            let value = field(raw, key).filter(|value| value.as_ref() != b"null");
            string(value.as_ref(), &format!("prompt.{key}"), takes_numbers)
        };
        let id = text("id", false)?;
        let prompt_id = text("prompt_id", false)?;
        if id.is_some() && prompt_id.is_some() && id != prompt_id {
            return Err(Error::InvalidValue {
                param: "prompt.prompt_id".to_owned(),
                problem: "is not the same as `prompt.id`",
            });
        }
        let variables = field(raw, "variables").filter(|value| value.as_ref() != b"null");
        if let Some(variables) = variables.as_ref().filter(|value| !value.starts_with(b"{")) {
            return Err(wrong_type("prompt.variables", "an object", variables));
        }
        Ok(Some(Self {
            id: id.or(prompt_id),
            version: text("version", true)?,
            variables,
        }))
    }
}

impl ForeignPrompt {
    /// Reads the fields of a body.
    ///
    /// # Errors
    ///
    /// When one of them has the wrong type.
    pub fn read(object: &RawObject) -> Result<Self, Error> {
        let id = string(object.get_some("prompt_id"), "prompt_id", false)?;
        let mut found = Self::default();
        let environment = id.is_some().then_some(ENVIRONMENT);
        for name in SELECTORS.into_iter().chain(environment) {
            let takes_numbers = name != ENVIRONMENT;
            if let Some(text) = string(object.get_some(name), name, takes_numbers)? {
                found.selectors.push((name, text));
            }
        }
        let inputs = id.is_some().then_some(INPUTS);
        for name in [VARIABLES].into_iter().chain(inputs) {
            let Some(raw) = object.get_some(name) else {
                continue;
            };
            if !raw.starts_with(b"{") {
                return Err(wrong_type(name, "an object", raw));
            }
            found.variables.push((name, raw.clone()));
        }
        found.id = id;
        Ok(found)
    }

    /// Whether nothing was said.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Takes everything out of `object` that speaks to us and not to a provider.
    pub fn strip(&self, object: &mut RawObject) {
        object.remove("prompt");
        if self.is_empty() {
            return;
        }
        for name in SELECTORS.into_iter().chain(["prompt_id", VARIABLES]) {
            object.remove(name);
        }
        if self.id.is_some() {
            object.remove(ENVIRONMENT);
            object.remove(INPUTS);
        }
    }
}

/// Returns the string that a field is. A version may be a whole number, which is what people write
/// for `v7` before they learn that it is a string.
fn string(raw: Option<&Bytes>, param: &str, takes_numbers: bool) -> Result<Option<String>, Error> {
    let Some(raw) = raw else { return Ok(None) };
    let is_number = takes_numbers && raw.iter().all(u8::is_ascii_digit);
    let text = if is_number {
        std::str::from_utf8(raw).ok().map(Into::into)
    } else {
        as_str(raw)
    };
    text.map(|text| Some(text.into_owned()))
        .ok_or_else(|| wrong_type(param, "a string", raw))
}

#[cfg(test)]
mod tests {
    use super::{ForeignPrompt, PromptParameter};
    use crate::wire::json::RawObject;
    use bytes::Bytes;

    fn object(text: &str) -> RawObject {
        RawObject::parse(&Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    #[test]
    fn a_body_of_the_responses_api_is_read_alike() {
        let body = object(
            r#"{"model":"gpt-5","input":"hi","prompt":{"id":"pmpt_1","version":"2","variables":{"a":1}}}"#,
        );
        let prompt = PromptParameter::read(&body).unwrap().unwrap();
        assert_eq!(prompt.id.as_deref(), Some("pmpt_1"));
        assert_eq!(prompt.version.as_deref(), Some("2"));
        assert_eq!(prompt.variables.unwrap(), r#"{"a":1}"#);
    }

    #[test]
    fn fields_of_other_gateways_are_read_and_taken_out() {
        for (text, selectors, variables, rest) in [
            (
                r#"{"model":"m","prompt_id":"a","prompt_version":2,"prompt_variables":{"x":1}}"#,
                vec![("prompt_version", "2")],
                vec!["prompt_variables"],
                r#"{"model":"m"}"#,
            ),
            (
                r#"{"prompt_id":"a","prompt_label":"staging","prompt_version":null}"#,
                vec![("prompt_label", "staging")],
                vec![],
                "{}",
            ),
            (
                r#"{"prompt_id":"a","environment":"staging","inputs":{"x":1}}"#,
                vec![("environment", "staging")],
                vec!["inputs"],
                "{}",
            ),
            // Without a `prompt_id` these may belong to anybody.
            (
                r#"{"model":"m","environment":7,"inputs":"x"}"#,
                vec![],
                vec![],
                r#"{"model":"m","environment":7,"inputs":"x"}"#,
            ),
        ] {
            let mut body = object(text);
            let found = ForeignPrompt::read(&body).unwrap();
            let named: Vec<_> = found
                .selectors
                .iter()
                .map(|(n, v)| (*n, v.as_str()))
                .collect();
            assert_eq!(named, selectors, "{text}");
            let named: Vec<_> = found.variables.iter().map(|(name, _)| *name).collect();
            assert_eq!(named, variables, "{text}");
            found.strip(&mut body);
            assert_eq!(body.to_bytes(), rest, "{text}");
        }
    }

    #[test]
    fn wrong_types_are_named() {
        for (text, param) in [
            (r#"{"prompt_id":7}"#, "prompt_id"),
            (r#"{"prompt_label":7.5}"#, "prompt_label"),
            (r#"{"prompt_variables":[]}"#, "prompt_variables"),
            (r#"{"prompt_id":"a","inputs":"x"}"#, "inputs"),
            (r#"{"prompt_id":"a","environment":7}"#, "environment"),
        ] {
            let error = ForeignPrompt::read(&object(text)).unwrap_err();
            assert_eq!(error.param(), Some(param), "{text}");
        }
    }
}
