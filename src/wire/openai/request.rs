//! Requests for an answer of a model, decoded only as far as the gateway decides by them.

use crate::domain::Dialect;
use crate::wire::Error;
use crate::wire::json::{RawObject, as_str, field, first_field, split_array, type_name};
use crate::wire::openai::prompt::{ForeignPrompt, PromptParameter};
use bytes::Bytes;

/// The most messages that a request may have.
pub(in crate::wire) const MAX_MESSAGES: usize = 4096;

/// A request for an answer, in whatever dialect a client asks.
#[derive(Debug, Clone)]
pub struct ChatRequest {
    /// The dialect it is written in.
    pub dialect: Dialect,
    /// The whole body; fields that are not known here are carried along in it.
    pub object: RawObject,
    /// The model, never empty; may name a prompt. Missing only where a prompt is named otherwise,
    /// which may bring its own.
    pub model: Option<String>,
    /// Whether a stream is asked for.
    pub stream: bool,
    /// Whether `stream_options.include_usage` is set.
    pub client_wants_usage: bool,
    /// The messages; empty when there are none. Of chat completions, each is an object with a string
    /// `role`; of other dialects, they are whatever the model reads: instructions, items, a bare text.
    pub messages: Vec<Bytes>,
    /// The prompt object, when there is one.
    pub prompt: Option<PromptParameter>,
    /// What other gateways' clients say of a prompt.
    pub foreign: ForeignPrompt,
    /// The end user, from `safety_identifier` or `user`.
    pub user: Option<String>,
    /// The session, from `metadata.session_id`.
    pub session: Option<String>,
    /// The most output tokens, from `max_completion_tokens` or `max_tokens`.
    pub max_tokens: Option<u64>,
    /// How many answers are asked for (`n`).
    pub choices: u64,
}

impl ChatRequest {
    /// Decodes `body`.
    ///
    /// # Errors
    ///
    /// What [`RawObject::parse`] finds; a missing or empty `model`; a parameter of the wrong type
    /// among those that are read; more than 4096 messages.
    pub fn decode(body: &Bytes) -> Result<Self, Error> {
        let (object, noted) = RawObject::parse_noting(body, "messages")?;
        let prompt = PromptParameter::read(&object)?;
        let foreign = ForeignPrompt::read(&object)?;
        let may_lack_model = prompt.is_some() || foreign.id.is_some();
        Self::of(object, noted, (prompt, foreign), may_lack_model)
    }

    /// Decodes a body in `dialect`, which is one that clients speak. `is_named` when something outside of
    /// it names a prompt, so that `model` may be missing.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn decode_as(dialect: Dialect, body: &Bytes, is_named: bool) -> Result<Self, Error> {
        match dialect {
            Dialect::Responses => {
                Self::decode_input(dialect, body, ("input", "instructions"), is_named)
            }
            Dialect::Messages => {
                Self::decode_input(dialect, body, ("messages", "system"), is_named)
            }
            Dialect::Chat | Dialect::Gemini | Dialect::Converse if is_named => {
                Self::decode_named(body)
            }
            Dialect::Chat | Dialect::Gemini | Dialect::Converse => Self::decode(body),
        }
    }

    /// Decodes a body whose messages stand at `input`, and the instructions before them at `head`.
    fn decode_input(
        dialect: Dialect,
        body: &Bytes,
        (input, head): (&str, &str),
        is_named: bool,
    ) -> Result<Self, Error> {
        let (object, noted) = RawObject::parse_noting(body, input)?;
        let prompt = PromptParameter::read(&object)?;
        let foreign = ForeignPrompt::read(&object)?;
        let is_named = is_named || prompt.is_some() || foreign.id.is_some();
        let may_lack_model = is_named && object.get_some("model").is_none();
        let metadata = object.get_some("metadata");
        let at = |key: &str| metadata.and_then(|metadata| string_at(metadata, key));
        let user = object.get_str("safety_identifier");
        let user = user.or_else(|| object.get_str("user")).map(Into::into);
        let mut messages: Vec<Bytes> = object.get_some(head).cloned().into_iter().collect();
        match (noted, object.get_some(input)) {
            (Some(items), _) => messages.extend(items),
            (None, Some(raw)) => {
                messages.extend(split_array(raw).unwrap_or_else(|| vec![raw.clone()]))
            }
            (None, None) => {}
        }
        if MAX_MESSAGES < messages.len() {
            return Err(Error::TooManyMessages {
                count: messages.len(),
                limit: MAX_MESSAGES,
            });
        }
        let limit = match optional_u64(&object, "max_output_tokens")? {
            None => optional_u64(&object, "max_tokens")?,
            limit => limit,
        };
        Ok(Self {
            dialect,
            model: if may_lack_model {
                None
            } else {
                Some(required_model(&object)?)
            },
            stream: optional_bool(&object, "stream")?,
            // Both dialects report the usage of a stream unasked.
            client_wants_usage: true,
            messages,
            prompt,
            foreign,
            user: user.or_else(|| at("user_id")),
            session: at("session_id"),
            max_tokens: limit,
            choices: 1,
            object,
        })
    }

    /// Decodes the body of a request that names its prompt in a header.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`], but `model` may be missing.
    pub fn decode_named(body: &Bytes) -> Result<Self, Error> {
        let (object, noted) = RawObject::parse_noting(body, "messages")?;
        let prompt = PromptParameter::read(&object)?;
        let foreign = ForeignPrompt::read(&object)?;
        Self::of(object, noted, (prompt, foreign), true)
    }

    /// Decodes the body of a request whose prompt is named by its path: its variables stand at the
    /// top. An empty body has none.
    ///
    /// # Errors
    ///
    /// As [`Self::decode`].
    pub fn decode_for_rendering(body: &Bytes) -> Result<Self, Error> {
        let (mut object, messages) = if body.is_empty() {
            (RawObject::default(), None)
        } else {
            RawObject::parse_noting(body, "messages")?
        };
        let variables = object.remove("variables");
        if let Some(raw) = variables.as_ref().filter(|raw| !raw.starts_with(b"{")) {
            return Err(wrong_type("variables", "an object", raw));
        }
        let prompt = PromptParameter::read(&object)?.unwrap_or_default();
        let mut foreign = ForeignPrompt::read(&object)?;
        foreign
            .variables
            .extend(variables.map(|raw| ("variables", raw)));
        Self::of(object, messages, (Some(prompt), foreign), true)
    }

    fn of(
        object: RawObject,
        noted: Option<Vec<Bytes>>,
        (prompt, foreign): (Option<PromptParameter>, ForeignPrompt),
        may_lack_model: bool,
    ) -> Result<Self, Error> {
        let metadata = object.get_some("metadata");
        let may_lack_model = may_lack_model && object.get_some("model").is_none();
        Ok(Self {
            dialect: Dialect::Chat,
            model: if may_lack_model {
                None
            } else {
                Some(required_model(&object)?)
            },
            stream: optional_bool(&object, "stream")?,
            client_wants_usage: wants_usage(&object)?,
            messages: messages(&object, noted)?,
            prompt,
            foreign,
            user: object
                .get_str("safety_identifier")
                .or_else(|| object.get_str("user"))
                .map(Into::into),
            session: metadata.and_then(|metadata| string_at(metadata, "session_id")),
            max_tokens: match optional_u64(&object, "max_completion_tokens")? {
                None => optional_u64(&object, "max_tokens")?,
                limit => limit,
            },
            choices: optional_u64(&object, "n")?.unwrap_or(1),
            object,
        })
    }

    /// Returns the messages of a request that names no prompt.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn required_messages(&self) -> Result<&[Bytes], Error> {
        let input = match self.dialect {
            Dialect::Responses => "input",
            Dialect::Chat | Dialect::Messages | Dialect::Gemini | Dialect::Converse => "messages",
        };
        if self.object.get_some(input).is_none() {
            return Err(Error::missing(input));
        }
        if self.messages.is_empty() {
            return Err(Error::InvalidValue {
                param: input.to_owned(),
                problem: "is empty",
            });
        }
        Ok(&self.messages)
    }
}

/// Returns `model`, which every operation needs.
pub(super) fn required_model(object: &RawObject) -> Result<String, Error> {
    let raw = object
        .get_some("model")
        .ok_or_else(|| Error::missing("model"))?;
    let model = as_str(raw).ok_or_else(|| wrong_type("model", "a string", raw))?;
    if model.trim().is_empty() {
        return Err(Error::InvalidValue {
            param: "model".to_owned(),
            problem: "is empty",
        });
    }
    Ok(model.into_owned())
}

/// Returns the whole number at `key`; missing and `null` are the same.
pub(super) fn optional_u64(object: &RawObject, key: &str) -> Result<Option<u64>, Error> {
    let Some(raw) = object.get_some(key) else {
        return Ok(None);
    };
    let number = std::str::from_utf8(raw).ok().and_then(|t| t.parse().ok());
    number
        .map(Some)
        .ok_or_else(|| wrong_type(key, "a whole number", raw))
}

/// An error about `raw` at `param` that is not `expected`.
pub(super) fn wrong_type(param: &str, expected: &'static str, raw: &[u8]) -> Error {
    Error::InvalidType {
        param: param.to_owned(),
        expected,
        found: type_name(raw),
    }
}

fn optional_bool(object: &RawObject, key: &str) -> Result<bool, Error> {
    match object.get_some(key) {
        None => Ok(false),
        Some(raw) => object
            .get_bool(key)
            .ok_or_else(|| wrong_type(key, "a boolean", raw)),
    }
}

fn wants_usage(object: &RawObject) -> Result<bool, Error> {
    let Some(options) = object.get_some("stream_options") else {
        return Ok(false);
    };
    if !options.starts_with(b"{") {
        return Err(wrong_type("stream_options", "an object", options));
    }
    match field(options, "include_usage").as_deref() {
        None | Some(b"false" | b"null") => Ok(false),
        Some(b"true") => Ok(true),
        Some(raw) => Err(wrong_type("stream_options.include_usage", "a boolean", raw)),
    }
}

fn messages(object: &RawObject, noted: Option<Vec<Bytes>>) -> Result<Vec<Bytes>, Error> {
    let Some(raw) = object.get_some("messages") else {
        return Ok(Vec::new());
    };
    let messages = noted.or_else(|| split_array(raw));
    let messages = messages.ok_or_else(|| wrong_type("messages", "an array", raw))?;
    if MAX_MESSAGES < messages.len() {
        return Err(Error::TooManyMessages {
            count: messages.len(),
            limit: MAX_MESSAGES,
        });
    }
    for (place, message) in messages.iter().enumerate() {
        check_message(place, message)?;
    }
    Ok(messages)
}

fn check_message(place: usize, message: &Bytes) -> Result<(), Error> {
    if !message.starts_with(b"{") {
        let param = format!("messages[{place}]");
        return Err(wrong_type(&param, "an object", message));
    }
    match first_field(message, "role") {
        Some(role) if role.starts_with(b"\"") => Ok(()),
        Some(role) => {
            let param = format!("messages[{place}].role");
            Err(wrong_type(&param, "a string", &role))
        }
        None => Err(Error::missing(format!("messages[{place}].role"))),
    }
}

fn string_at(object: &Bytes, key: &str) -> Option<String> {
    as_str(&field(object, key)?).map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::{ChatRequest, MAX_MESSAGES, PromptParameter};
    use bytes::Bytes;

    fn decode(body: &str) -> Result<ChatRequest, super::Error> {
        ChatRequest::decode(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn a_request_is_read_and_carried_whole() {
        let body = r#"{"model":"gpt-4o","stream":true,"stream_options":{"include_usage":true},
            "messages":[{"role":"system","content":"s"},{"content":"}{","role":"user"}],
            "user":"u-1","metadata":{"session_id":"s-1"},"max_tokens":9,"n":2,"x_unknown":[1e400]}"#;
        let request = decode(body).unwrap();
        assert_eq!(request.model.as_deref(), Some("gpt-4o"));
        assert!(request.stream && request.client_wants_usage);
        assert_eq!(request.messages.len(), 2);
        assert_eq!(
            request.required_messages().unwrap()[1],
            r#"{"content":"}{","role":"user"}"#
        );
        assert_eq!(request.user.as_deref(), Some("u-1"));
        assert_eq!(request.session.as_deref(), Some("s-1"));
        assert_eq!((request.max_tokens, request.choices), (Some(9), 2));
        assert_eq!(request.object.get("x_unknown").unwrap(), "[1e400]");
        assert_eq!(request.prompt, None);
    }

    #[test]
    fn nulls_are_as_missing() {
        let body = r#"{"model":"m","messages":null,"prompt":null,"stream":null,"stream_options":null,
            "user":null,"metadata":null,"max_tokens":null,"max_completion_tokens":null,"n":null}"#;
        let request = decode(body).unwrap();
        assert!(!request.stream && !request.client_wants_usage && request.messages.is_empty());
        assert_eq!(
            request.required_messages().unwrap_err().kind(),
            "missing_required_parameter"
        );
        assert_eq!(
            decode(r#"{"model":"m","messages":[]}"#)
                .unwrap()
                .required_messages()
                .unwrap_err()
                .kind(),
            "invalid_value"
        );
    }

    #[test]
    fn prompt_objects_are_read_in_both_spellings() {
        let prompt = |text: &str| {
            decode(&format!(r#"{{"model":"m","prompt":{text}}}"#)).map(|r| r.prompt.unwrap())
        };
        let full = prompt(r#"{"id":"support/refund","version":"v7","variables":{"a":{"b":1}}}"#);
        assert_eq!(
            full.unwrap(),
            PromptParameter {
                id: Some("support/refund".to_owned()),
                version: Some("v7".to_owned()),
                variables: Some(Bytes::from_static(br#"{"a":{"b":1}}"#)),
            }
        );
        let other = prompt(r#"{"prompt_id":"a","version":7,"variables":null}"#).unwrap();
        assert_eq!(
            (other.id.as_deref(), other.version.as_deref()),
            (Some("a"), Some("7"))
        );
        assert_eq!(other.variables, None);
        for (text, param) in [
            (r#""support/refund""#, "prompt"),
            (r#"{"id":7}"#, "prompt.id"),
            (r#"{"id":"a","prompt_id":"b"}"#, "prompt.prompt_id"),
            (r#"{"id":"a","version":[]}"#, "prompt.version"),
            (r#"{"id":"a","variables":"x"}"#, "prompt.variables"),
        ] {
            assert_eq!(prompt(text).unwrap_err().param(), Some(param), "{text}");
        }
    }

    #[test]
    fn bad_parameters_are_named() {
        for (body, kind, param) in [
            (r#"{"messages":[]}"#, "missing_required_parameter", "model"),
            (r#"{"model":null}"#, "missing_required_parameter", "model"),
            (r#"{"model":" "}"#, "invalid_value", "model"),
            (r#"{"model":1}"#, "invalid_type", "model"),
            (
                r#"{"model":"m","messages":"hi"}"#,
                "invalid_type",
                "messages",
            ),
            (
                r#"{"model":"m","messages":["hi"]}"#,
                "invalid_type",
                "messages[0]",
            ),
            (
                r#"{"model":"m","messages":[{"role":"user"},{"content":"x"}]}"#,
                "missing_required_parameter",
                "messages[1].role",
            ),
            (
                r#"{"model":"m","messages":[{"role":null}]}"#,
                "invalid_type",
                "messages[0].role",
            ),
            (r#"{"model":"m","stream":"yes"}"#, "invalid_type", "stream"),
            (
                r#"{"model":"m","stream_options":[]}"#,
                "invalid_type",
                "stream_options",
            ),
            (
                r#"{"model":"m","stream_options":{"include_usage":1}}"#,
                "invalid_type",
                "stream_options.include_usage",
            ),
            (
                r#"{"model":"m","max_tokens":-1}"#,
                "invalid_type",
                "max_tokens",
            ),
            (r#"{"model":"m","n":1.5}"#, "invalid_type", "n"),
            (r#"{"model":"m","model":"n"}"#, "duplicate_key", "model"),
        ] {
            let error = decode(body).unwrap_err();
            assert_eq!((error.kind(), error.param()), (kind, Some(param)), "{body}");
        }
    }

    #[test]
    fn messages_are_counted() {
        let message = r#"{"role":"user"},"#.repeat(MAX_MESSAGES);
        let body = format!(r#"{{"model":"m","messages":[{message}{{"role":"user"}}]}}"#);
        assert_eq!(decode(&body).unwrap_err().kind(), "too_many_messages");
        let body = format!(
            r#"{{"model":"m","messages":[{}]}}"#,
            message.trim_end_matches(',')
        );
        assert_eq!(decode(&body).unwrap().messages.len(), MAX_MESSAGES);
    }
}
