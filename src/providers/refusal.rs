//! What an answer other than 2xx means, as its status, its head and its body say it.

use crate::providers::error::ErrorKind;
use http::header::AsHeaderName;
use http::{HeaderMap, HeaderName, StatusCode};

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

/// Returns the name in Amazon's header: `Name:http://…`, or `namespace#Name`.
pub(super) fn error_type(headers: &HeaderMap) -> Option<String> {
    let value = text(headers, HeaderName::from_static("x-amzn-errortype"))?;
    let name = value.split(':').next()?.rsplit('#').next()?.trim();
    (!name.is_empty()).then(|| name.chars().take(200).collect())
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
        Some("ModelErrorException" | "ModelTimeoutException" | "InternalServerException") => {
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
