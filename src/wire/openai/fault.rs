//! Errors: what providers say in the many shapes they say it in, and the one shape we say it in.

use crate::wire::text::{Text, string_of, truncated};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::num::NonZeroU32;

/// The longest message that is kept of a provider's error, in characters.
const MAX_MESSAGE: usize = 500;

/// The longest `innererror` that is kept, in bytes.
const MAX_INNER: usize = 4096;

/// What a provider said was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct ProviderFault {
    /// The message, never empty, at most 500 characters. May hold what the provider echoes of the
    /// request: scrub it before it is shown.
    pub message: String,
    /// The provider's `type`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The provider's `code`; numbers as text. Its `type` where the number only repeats the status.
    pub code: Option<String>,
    /// The parameter at fault.
    pub param: Option<String>,
    /// What stands behind the code: `Azure`'s `innererror`, JSON of at most 4 KiB.
    #[serde(skip)]
    pub inner: Option<Box<str>>,
    /// How long the fault itself says to wait, in milliseconds.
    #[serde(skip)]
    pub retry_after: Option<NonZeroU32>,
    /// Whether it was found here: the answer is none, or broke off, and nobody said why.
    #[serde(skip)]
    pub is_found: bool,
}

impl ProviderFault {
    /// Returns the fault of an answer that is none, by our own `code`.
    #[must_use]
    pub fn found(message: impl Into<String>, code: &str) -> Self {
        Self {
            message: message.into(),
            code: Some(code.to_owned()),
            is_found: true,
            ..Self::default()
        }
    }

    /// Reads the body of an answer with an error `status`. Never fails: what cannot be understood is
    /// quoted.
    #[must_use]
    pub fn read(status: u16, content_type: Option<&str>, body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body);
        let text = text.trim();
        if let Some(fault) = Self::from_json(text) {
            return fault;
        }
        let is_html =
            content_type.is_some_and(|kind| kind.contains("html")) || text.starts_with('<');
        let message = match (text.is_empty(), is_html) {
            (true, _) => format!("status {status} with an empty body"),
            (false, true) => match html_title(text) {
                Some(title) => format!("status {status} with an HTML page: {title}"),
                None => format!("status {status} with an HTML page"),
            },
            (false, false) => text.to_owned(),
        };
        Self {
            message: truncated(&message, MAX_MESSAGE),
            is_found: text.is_empty() || is_html,
            ..Self::default()
        }
    }

    /// Reads an error in any of the JSON shapes: `{"error": {...}}`, `{"error": "text"}`,
    /// `{"message": ...}`, `{"detail": ...}`, or an array of one of them.
    #[must_use]
    pub fn from_json(text: &str) -> Option<Self> {
        let text = if text.starts_with('[') {
            let list: Vec<&RawValue> = serde_json::from_str(text).ok()?;
            list.first()?.get()
        } else {
            text
        };
        let outer: Outer<'_> = serde_json::from_str(text).ok()?;
        match outer.error.map(RawValue::get) {
            Some(error) if error.starts_with('{') => Some(Self::from_error(error)),
            Some(error) if is_truthy(error) => Some(Self {
                message: describe(error),
                kind: text_of(outer.kind),
                code: code_of(outer.code, outer.kind),
                param: text_of(outer.param),
                ..Self::default()
            }),
            _ => {
                let said = outer.message.or(outer.detail)?;
                Some(Self {
                    message: describe(said.get()),
                    kind: text_of(outer.kind),
                    code: code_of(outer.code, outer.kind),
                    param: text_of(outer.param),
                    ..Self::default()
                })
            }
        }
    }

    /// Reads the value of an `error` key.
    #[must_use]
    pub fn from_error(error: &str) -> Self {
        let Ok(inner) = serde_json::from_str::<Outer<'_>>(error) else {
            return Self {
                message: describe(error),
                ..Self::default()
            };
        };
        let said = inner.message.or(inner.detail).or(inner.error);
        let mut message = said.map_or_else(|| describe(error), |said| describe(said.get()));
        // OpenRouter says "Provider returned error" and hides the cause in the metadata.
        let cause = inner.metadata.and_then(|metadata| metadata.raw);
        if let Some(cause) = cause.map(|cause| describe(cause.get())) {
            message = truncated(&format!("{message}: {cause}"), MAX_MESSAGE);
        }
        // Google's number is that of the status, which its name says better; others send the number twice.
        let status = text_of(inner.status).filter(|status| !is_number(status));
        let code =
            code_of(inner.code, inner.kind).filter(|code| status.is_none() || !is_number(code));
        Self {
            message,
            kind: text_of(inner.kind).or_else(|| status.clone()),
            code: code.or(status),
            param: text_of(inner.param),
            inner: inner.innererror.and_then(inner_of),
            ..Self::default()
        }
    }

    /// Returns the name by which the provider calls it: its code, else its type.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.code.as_deref().or(self.kind.as_deref())
    }

    /// Returns the fault with every text changed by `scrub`.
    #[must_use]
    pub fn scrubbed(self, scrub: impl Fn(&str) -> String) -> Self {
        Self {
            message: scrub(&self.message),
            kind: self.kind.as_deref().map(&scrub),
            code: self.code.as_deref().map(&scrub),
            param: self.param.as_deref().map(&scrub),
            inner: self.inner.as_deref().map(|inner| scrub(inner).into()),
            retry_after: self.retry_after,
            is_found: self.is_found,
        }
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns an object that is not too long to be handed on.
fn inner_of(raw: &RawValue) -> Option<Box<str>> {
    let json = raw.get();
    (json.starts_with('{') && json.len() <= MAX_INNER).then(|| json.into())
}

/// Returns what names the error best. Local servers (llama.cpp, vLLM) write the status once more as `code`,
/// and say in `type` what it is about.
fn code_of(code: Option<&RawValue>, kind: Option<&RawValue>) -> Option<String> {
    let is_status = code.is_some_and(|code| {
        let number: Result<u16, _> = code.get().parse();
        number.is_ok_and(|number| (400..600).contains(&number))
    });
    let kind = kind
        .filter(|_| is_status)
        .and_then(|kind| text_of(Some(kind)));
    kind.or_else(|| text_of(code))
}

/// Whether a JSON value counts as an error where SDKs ask `if data.error`.
pub(in crate::wire) fn is_truthy(json: &str) -> bool {
    !matches!(json, "null" | "false" | "\"\"" | "0" | "{}" | "[]")
}

/// The `OpenAI` error object, with the two keys that this gateway adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErrorEnvelope<'a> {
    /// What was wrong.
    pub message: &'a str,
    /// The class: `invalid_request_error`, `rate_limit_error`, ...
    pub kind: &'a str,
    /// The parameter at fault.
    pub param: Option<&'a str>,
    /// The stable code.
    pub code: Option<&'a str>,
    /// What the provider says stands behind the code (`innererror`), as JSON.
    pub inner: Option<&'a str>,
    /// What to do about it.
    pub hint: Option<&'a str>,
    /// The call, for the log.
    pub request_id: Option<&'a str>,
}

impl From<&ErrorEnvelope<'_>> for ProviderFault {
    fn from(error: &ErrorEnvelope<'_>) -> Self {
        Self {
            message: error.message.to_owned(),
            kind: Some(error.kind.to_owned()),
            code: error.code.map(str::to_owned),
            param: error.param.map(str::to_owned),
            inner: error.inner.map(Into::into),
            ..Self::default()
        }
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: EnvelopeError<'a>,
}

#[derive(Serialize)]
struct EnvelopeError<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
    #[serde(rename = "innererror", skip_serializing_if = "Option::is_none")]
    inner: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
}

impl ErrorEnvelope<'_> {
    /// Returns the body of an error response: `{"error": {...}}` with `message`, `type`, `param` and
    /// `code` always there.
    #[must_use]
    pub fn to_body(self) -> Bytes {
        self.to_json().into()
    }

    /// Returns the event that ends a broken stream; SDKs raise on its `error` key.
    #[must_use]
    pub fn to_event(self) -> Bytes {
        let mut event = b"data: ".to_vec();
        event.extend(self.to_json());
        event.extend(b"\n\n");
        event.into()
    }

    fn to_json(self) -> Vec<u8> {
        let envelope = Envelope {
            error: EnvelopeError {
                message: self.message,
                kind: self.kind,
                param: self.param,
                code: self.code,
                inner: self.inner.and_then(|json| serde_json::from_str(json).ok()),
                hint: self.hint,
                request_id: self.request_id,
            },
        };
        // Strings always serialise.
        serde_json::to_vec(&envelope).unwrap_or_default()
    }
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
    #[serde(borrow)]
    code: Option<&'a RawValue>,
    #[serde(borrow)]
    param: Option<&'a RawValue>,
    #[serde(borrow)]
    innererror: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "lenient")]
    metadata: Option<Metadata<'a>>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    raw: Option<&'a RawValue>,
}

/// Reads metadata that is an object and ignores any other.
fn lenient<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Metadata<'de>>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Returns a string or number as text; nothing for other values.
fn text_of(raw: Option<&RawValue>) -> Option<String> {
    let text: Text<'_> = serde_json::from_str(raw?.get()).ok()?;
    (!text.0.is_empty()).then(|| truncated(&text.0, 100))
}

/// Returns what a JSON value says: a string itself, the `msg`s of a list of problems, else the JSON.
fn describe(raw: &str) -> String {
    #[derive(Deserialize)]
    struct Problem<'a> {
        #[serde(borrow)]
        msg: Text<'a>,
    }
    let text = match string_of(raw) {
        Some(text) => text.into_owned(),
        None => match serde_json::from_str::<Vec<Problem<'_>>>(raw) {
            Ok(problems) if !problems.is_empty() => {
                let messages: Vec<_> = problems.iter().map(|p| p.msg.0.as_ref()).collect();
                messages.join("; ")
            }
            _ => raw.to_owned(),
        },
    };
    let text = text.trim();
    if text.is_empty() {
        return "the provider gave no message".to_owned();
    }
    truncated(text, MAX_MESSAGE)
}

fn html_title(page: &str) -> Option<&str> {
    let (_, rest) = page.split_once("<title>")?;
    let (title, _) = rest.split_once("</title>")?;
    Some(title.trim()).filter(|title| !title.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{ErrorEnvelope, ProviderFault};

    type Case = (
        &'static str,
        &'static str,
        Option<&'static str>,
        Option<&'static str>,
        Option<&'static str>,
    );

    /// Body, message, type, code, parameter.
    const CASES: &[Case] = &[
        (
            r#"{"error":{"message":"bad key","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}"#,
            "bad key",
            Some("invalid_request_error"),
            Some("invalid_api_key"),
            None,
        ),
        (r#"{"error":"overloaded"}"#, "overloaded", None, None, None),
        (
            r#"{"error":{"message":"x","code":429}}"#,
            "x",
            None,
            Some("429"),
            None,
        ),
        (
            r#"{"object":"error","message":"too long","type":"BadRequestError","param":"max_tokens","code":400}"#,
            "too long",
            Some("BadRequestError"),
            Some("BadRequestError"),
            Some("max_tokens"),
        ),
        (
            r#"{"error":{"code":400,"message":"too long","type":"exceed_context_size_error","n_prompt_tokens":620,"n_ctx":256}}"#,
            "too long",
            Some("exceed_context_size_error"),
            Some("exceed_context_size_error"),
            None,
        ),
        (
            r#"{"error":{"code":17,"message":"m","type":"kind"}}"#,
            "m",
            Some("kind"),
            Some("17"),
            None,
        ),
        (r#"{"detail":"Not Found"}"#, "Not Found", None, None, None),
        (
            r#"{"detail":[{"loc":["body"],"msg":"field required"},{"msg":"too short"}]}"#,
            "field required; too short",
            None,
            None,
            None,
        ),
        (
            r#"[{"error":{"code":400,"message":"API key not valid","status":"INVALID_ARGUMENT"}}]"#,
            "API key not valid",
            Some("INVALID_ARGUMENT"),
            Some("INVALID_ARGUMENT"),
            None,
        ),
        (
            r#"{"error":{"message":"filtered","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            "filtered",
            None,
            Some("content_filter"),
            Some("prompt"),
        ),
        (
            r#"{"error":{"message":"Provider returned error","code":502,"metadata":{"raw":"upstream is down"}}}"#,
            "Provider returned error: upstream is down",
            None,
            Some("502"),
            None,
        ),
        (
            r#"{"error":{"metadata":"odd","message":"m"}}"#,
            "m",
            None,
            None,
            None,
        ),
        (
            r#"{"error":{"message":{"en":"no"}}}"#,
            r#"{"en":"no"}"#,
            None,
            None,
            None,
        ),
        (r#"{"error":{}, "message":"m"}"#, "{}", None, None, None),
        ("", "status 503 with an empty body", None, None, None),
        ("upstream timed out", "upstream timed out", None, None, None),
        (
            "<html><head><title> 502 Bad Gateway </title></head></html>",
            "status 503 with an HTML page: 502 Bad Gateway",
            None,
            None,
            None,
        ),
        ("{\"error\":", "{\"error\":", None, None, None),
        ("[]", "[]", None, None, None),
    ];

    #[test]
    fn every_shape_of_error_is_read() {
        for (body, message, kind, code, param) in CASES {
            let fault = ProviderFault::read(503, Some("application/json"), body.as_bytes());
            assert_eq!(
                (
                    fault.message.as_str(),
                    fault.kind.as_deref(),
                    fault.code.as_deref(),
                    fault.param.as_deref()
                ),
                (*message, *kind, *code, *param),
                "{body}"
            );
        }
    }

    #[test]
    fn what_stands_behind_a_code_goes_along() {
        let inner = r#"{"code":"ResponsibleAIPolicyViolation","content_filter_result":{"hate":{"filtered":true}}}"#;
        let fault = ProviderFault::from_error(&format!(
            r#"{{"message":"m","code":"content_filter","innererror":{inner}}}"#
        ));
        assert_eq!(fault.inner.as_deref(), Some(inner));
        let envelope = ErrorEnvelope {
            message: "m",
            kind: "k",
            param: None,
            code: None,
            inner: fault.inner.as_deref(),
            hint: None,
            request_id: None,
        };
        assert_eq!(
            envelope.to_body(),
            format!(
                r#"{{"error":{{"message":"m","type":"k","param":null,"code":null,"innererror":{inner}}}}}"#
            )
        );
        let long = format!(
            r#"{{"message":"m","innererror":{{"a":"{}"}}}}"#,
            "x".repeat(5000)
        );
        assert_eq!(ProviderFault::from_error(&long).inner, None);
    }

    #[test]
    fn long_messages_are_cut_between_characters() {
        let body = format!(r#"{{"error":"{}"}}"#, "ü".repeat(2000));
        let fault = ProviderFault::read(500, None, body.as_bytes());
        assert_eq!(fault.message.chars().count(), 501);
        assert!(
            ProviderFault::read(500, None, b"\xff\xfe")
                .message
                .contains('\u{fffd}')
        );
    }

    #[test]
    fn envelopes_have_all_four_keys() {
        let envelope = ErrorEnvelope {
            message: "no \"model\"",
            kind: "invalid_request_error",
            param: None,
            code: None,
            inner: None,
            hint: None,
            request_id: None,
        };
        assert_eq!(
            envelope.to_body(),
            r#"{"error":{"message":"no \"model\"","type":"invalid_request_error","param":null,"code":null}}"#
        );
        let full = ErrorEnvelope {
            param: Some("model"),
            code: Some("model_not_found"),
            hint: Some("try"),
            request_id: Some("7"),
            ..envelope
        };
        assert_eq!(
            full.to_event(),
            "data: {\"error\":{\"message\":\"no \\\"model\\\"\",\"type\":\"invalid_request_error\",\
             \"param\":\"model\",\"code\":\"model_not_found\",\"hint\":\"try\",\"request_id\":\"7\"}}\n\n"
        );
    }
}
