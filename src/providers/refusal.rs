//! What an answer other than 2xx means, as its status, its head and its body say it.

use crate::providers::error::ErrorKind;
use crate::wire::openai::ProviderFault;
use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;

/// Returns a provider's own id of a request, under the names in use.
pub(super) fn request_id(headers: &HeaderMap) -> Option<String> {
    const NAMES: [HeaderName; 4] = [
        HeaderName::from_static("x-request-id"),
        HeaderName::from_static("request-id"),
        HeaderName::from_static("apim-request-id"),
        HeaderName::from_static("x-amzn-requestid"),
    ];
    NAMES
        .into_iter()
        .find_map(|name| text(headers, name))
        .map(|id| id.chars().take(200).collect())
}

/// Returns the value of a header that is text.
pub(super) fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// Returns Amazon's name of an error, which stands in a header (`Name:http://…`) or in the body's `__type`
/// (`namespace#Name`).
pub(super) fn error_type(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Typed {
        #[serde(rename = "__type")]
        name: String,
    }
    let in_head = text(headers, HeaderName::from_static("x-amzn-errortype")).map(str::to_owned);
    let value = in_head.or_else(|| Some(serde_json::from_slice::<Typed>(body).ok()?.name))?;
    let name = value.split(':').next()?.rsplit('#').next()?.trim();
    (!name.is_empty()).then(|| name.chars().take(200).collect())
}

/// Returns the status for which a fault inside a good answer stands, by the names that providers give their
/// errors; 500 for what nobody knows.
///
/// Sources: the lists of error codes of `OpenAI` and Anthropic, `google.rpc.Code`, and the errors of Bedrock's
/// `ConverseStream`.
pub(super) fn status_of_fault(fault: &ProviderFault) -> StatusCode {
    let names = [fault.code.as_deref(), fault.kind.as_deref()];
    let known = names.into_iter().flatten().find_map(status_of_name);
    let known = known.and_then(|status| StatusCode::from_u16(status).ok());
    known.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn status_of_name(name: &str) -> Option<u16> {
    Some(match name {
        "insufficient_quota"
        | "billing_hard_limit_reached"
        | "billing_error"
        | "enforced_spend_limit_reached"
        | "ServiceQuotaExceededException" => 402,
        "rate_limit_exceeded"
        | "rate_limit_error"
        | "too_many_requests"
        | "RESOURCE_EXHAUSTED"
        | "RATE_LIMIT_EXCEEDED"
        | "ThrottlingException"
        | "ModelNotReadyException" => 429,
        "overloaded_error"
        | "overloaded"
        | "engine_overloaded"
        | "server_is_overloaded"
        | "slow_down"
        | "service_unavailable"
        | "UNAVAILABLE"
        | "ServiceUnavailableException" => 503,
        "timeout_error" | "DEADLINE_EXCEEDED" | "ModelTimeoutException" => 504,
        "invalid_api_key"
        | "authentication_error"
        | "UNAUTHENTICATED"
        | "API_KEY_INVALID"
        | "ExpiredTokenException"
        | "UnrecognizedClientException" => 401,
        "permission_error"
        | "permission_denied"
        | "PERMISSION_DENIED"
        | "AccessDeniedException" => 403,
        "not_found_error" | "model_not_found" | "NOT_FOUND" | "ResourceNotFoundException" => 404,
        "conflict_error" | "ABORTED" | "ALREADY_EXISTS" => 409,
        "request_too_large" => 413,
        "invalid_request_error"
        | "invalid_value"
        | "invalid_prompt"
        | "context_length_exceeded"
        | "content_filter"
        | "content_policy_violation"
        | "image_content_policy_violation"
        | "string_above_max_length"
        | "unsupported_parameter"
        | "unsupported_value"
        | "INVALID_ARGUMENT"
        | "FAILED_PRECONDITION"
        | "OUT_OF_RANGE"
        | "ValidationException" => 400,
        // Some have no name but the number of a status.
        number => {
            return number
                .parse()
                .ok()
                .filter(|status| (400..600).contains(status));
        }
    })
}

/// Returns what a status other than 2xx means.
pub(super) fn kind_of(status: StatusCode, error_type: Option<&str>, body: &[u8]) -> ErrorKind {
    // Amazon's names say more than its statuses.
    match error_type {
        Some("ThrottlingException") => return ErrorKind::RateLimited,
        Some("ServiceQuotaExceededException") => return ErrorKind::QuotaExhausted,
        Some("ModelNotReadyException" | "ServiceUnavailableException") => {
            return ErrorKind::Overloaded;
        }
        Some(
            "ModelErrorException"
            | "ModelStreamErrorException"
            | "ModelTimeoutException"
            | "InternalServerException",
        ) => {
            return ErrorKind::ServerError;
        }
        _ => {}
    }
    match status.as_u16() {
        402 => ErrorKind::QuotaExhausted,
        429 if is_out_of_quota(body) => ErrorKind::QuotaExhausted,
        429 => ErrorKind::RateLimited,
        503 | 529 => ErrorKind::Overloaded,
        // Both say "the same again, please": the request took too long to arrive, or came too soon.
        408 | 425 => ErrorKind::ServerError,
        400..=499 => ErrorKind::Rejected,
        500..=599 => ErrorKind::ServerError,
        _ => ErrorKind::InvalidResponse,
    }
}

/// Whether a 429 is about money. The codes are `OpenAI`'s and Anthropic's; they are looked for as
/// bytes because the bodies of compatible servers differ in where they put them.
fn is_out_of_quota(body: &[u8]) -> bool {
    [
        "\"insufficient_quota\"",
        "\"billing_hard_limit_reached\"",
        "\"enforced_spend_limit_reached\"",
    ]
    .into_iter()
    .any(|code| memchr::memmem::find(body, code.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use super::{kind_of, status_of_fault};
    use crate::providers::ErrorKind;
    use crate::wire::openai::ProviderFault;

    #[test]
    fn faults_mean_what_their_status_would_have_meant() {
        for (code, kind, status, means) in [
            (None, Some("overloaded_error"), 503, ErrorKind::Overloaded),
            (
                Some("rate_limit_exceeded"),
                Some("tokens"),
                429,
                ErrorKind::RateLimited,
            ),
            (
                Some("insufficient_quota"),
                Some("insufficient_quota"),
                402,
                ErrorKind::QuotaExhausted,
            ),
            (
                Some("API_KEY_INVALID"),
                Some("INVALID_ARGUMENT"),
                401,
                ErrorKind::Rejected,
            ),
            (None, Some("INVALID_ARGUMENT"), 400, ErrorKind::Rejected),
            (
                Some("ModelStreamErrorException"),
                None,
                500,
                ErrorKind::ServerError,
            ),
            (
                Some("ModelNotReadyException"),
                None,
                429,
                ErrorKind::Overloaded,
            ),
            (Some("ValidationException"), None, 400, ErrorKind::Rejected),
            (Some("529"), None, 529, ErrorKind::Overloaded),
            (
                Some("1301"),
                Some("server_error"),
                500,
                ErrorKind::ServerError,
            ),
            (None, None, 500, ErrorKind::ServerError),
        ] {
            let fault = ProviderFault {
                code: code.map(str::to_owned),
                kind: kind.map(str::to_owned),
                ..ProviderFault::default()
            };
            let stands_for = status_of_fault(&fault);
            assert_eq!(stands_for.as_u16(), status, "{fault:?}");
            assert_eq!(kind_of(stands_for, fault.name(), b""), means, "{fault:?}");
        }
    }
}
