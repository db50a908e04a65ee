//! Errors in Anthropic's shape: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

use crate::wire::openai::{ErrorEnvelope, ProviderFault};
use crate::wire::tree::Object;
use bytes::Bytes;

/// The types that Anthropic's clients know.
const TYPES: [&str; 11] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "request_too_large",
    "rate_limit_error",
    "timeout_error",
    "api_error",
    "overloaded_error",
];

/// Reads an answer with an error `status`. Its finer code (`error_code`) is the code where there is one.
#[must_use]
pub fn read_fault(status: u16, content_type: Option<&str>, body: &[u8]) -> ProviderFault {
    let fault = ProviderFault::read(status, content_type, body);
    let parsed: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let error = parsed.as_ref().and_then(|body| body.get("error"));
    let details = error.and_then(|error| error.get("details"));
    let code = [details, error]
        .into_iter()
        .flatten()
        .find_map(|place| place.get("error_code")?.as_str());
    ProviderFault {
        code: fault.code.or_else(|| code.map(ToOwned::to_owned)),
        ..fault
    }
}

/// Writes an error for a client. The type follows the status, as the classes of Anthropic's SDKs do; what is known
/// beyond the shape (`code`, `param`, `hint`) stands beside it.
#[must_use]
pub fn write_fault(status: u16, fault: &ErrorEnvelope<'_>) -> Bytes {
    let error = Object::of_type(type_of_status(status))
        .with("message", fault.message)
        .with_some("code", fault.code)
        .with_some("param", fault.param)
        .with_some("hint", fault.hint);
    Object::of_type("error")
        .with("error", error)
        .with_some("request_id", fault.request_id)
        .to_bytes()
}

const fn type_of_status(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        402 => "billing_error",
        403 => "permission_error",
        404 => "not_found_error",
        408 | 504 => "timeout_error",
        409 => "conflict_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        503 | 529 => "overloaded_error",
        500.. => "api_error",
        _ => "invalid_request_error",
    }
}

/// Returns the event that ends a broken stream. What the provider called it stands beside the type, where that is
/// another name.
#[must_use]
pub fn event_of_fault(fault: &ProviderFault) -> Bytes {
    let kind = type_of_fault(fault);
    let error = Object::of_type(kind)
        .with("message", &fault.message)
        .with_some("code", fault.name().filter(|name| *name != kind))
        .with_some("param", fault.param.as_deref());
    event("error", &Object::of_type("error").with("error", error))
}

/// Returns the type that says most nearly what a provider said.
fn type_of_fault(fault: &ProviderFault) -> &'static str {
    let said = [fault.kind.as_deref(), fault.code.as_deref()];
    let said = || said.into_iter().flatten();
    if let Some(known) = TYPES
        .into_iter()
        .find(|known| said().any(|said| said == *known))
    {
        return known;
    }
    let says = |words: &[&str]| {
        said().any(|said| {
            let said = said.to_ascii_lowercase();
            words.iter().any(|word| said.contains(word))
        })
    };
    if says(&["rate_limit", "throttl", "exhausted", "quota", "429"]) {
        "rate_limit_error"
    } else if says(&["overload", "unavailable", "503", "529"]) {
        "overloaded_error"
    } else if says(&["timeout", "deadline", "504"]) {
        "timeout_error"
    } else if says(&["invalid_request", "invalid_argument", "validation", "400"]) {
        "invalid_request_error"
    } else {
        "api_error"
    }
}

/// Returns an event of a stream.
pub(super) fn event(name: &str, data: &Object) -> Bytes {
    let mut event = format!("event: {name}\ndata: ").into_bytes();
    event.extend_from_slice(&data.to_bytes());
    event.extend_from_slice(b"\n\n");
    event.into()
}

#[cfg(test)]
mod tests {
    use super::{event_of_fault, read_fault, write_fault};
    use crate::wire::openai::{ErrorEnvelope, ProviderFault};

    #[test]
    fn errors_have_anthropics_shape() {
        let envelope = ErrorEnvelope {
            message: "no key",
            kind: "authentication_error",
            param: None,
            code: Some("invalid_api_key"),
            inner: None,
            hint: None,
            request_id: Some("req_1"),
        };
        assert_eq!(
            write_fault(401, &envelope),
            r#"{"type":"error","error":{"type":"authentication_error","message":"no key","code":"invalid_api_key"},"request_id":"req_1"}"#
        );
        for (status, kind) in [
            (400, "invalid_request_error"),
            (422, "invalid_request_error"),
            (402, "billing_error"),
            (413, "request_too_large"),
            (429, "rate_limit_error"),
            (502, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ] {
            let body = write_fault(status, &envelope);
            let parsed: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(parsed["error"]["type"], kind);
        }
    }

    #[test]
    fn faults_are_read_with_their_finer_code() {
        let fault = read_fault(
            429,
            None,
            br#"{"type":"error","error":{"type":"rate_limit_error","message":"spent","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
        );
        assert_eq!(fault.kind.as_deref(), Some("rate_limit_error"));
        assert_eq!(fault.code.as_deref(), Some("enforced_spend_limit_reached"));
        assert_eq!(fault.message, "spent");
    }

    #[test]
    fn streams_end_with_the_nearest_type() {
        for (kind, expected) in [
            (Some("overloaded_error"), "overloaded_error"),
            (Some("ThrottlingException"), "rate_limit_error"),
            (Some("RESOURCE_EXHAUSTED"), "rate_limit_error"),
            (Some("UNAVAILABLE"), "overloaded_error"),
            (Some("server_error"), "api_error"),
            (Some("upstream_invalid"), "api_error"),
            (Some("INVALID_ARGUMENT"), "invalid_request_error"),
            (None, "api_error"),
        ] {
            let fault = ProviderFault {
                message: "m".to_owned(),
                kind: kind.map(ToOwned::to_owned),
                ..ProviderFault::default()
            };
            let code = kind.filter(|kind| *kind != expected);
            let code = code.map_or_else(String::new, |code| format!(",\"code\":\"{code}\""));
            assert_eq!(
                event_of_fault(&fault),
                format!(
                    "event: error\ndata: {{\"type\":\"error\",\"error\":{{\"type\":\"{expected}\",\"message\":\"m\"{code}}}}}\n\n"
                )
            );
        }
    }
}
