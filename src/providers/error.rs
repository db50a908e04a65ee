//! What can go wrong at a provider, told apart by what the caller should do next.

use crate::domain::{self, Blame, Dialect};
use crate::providers::causes::{deepest_cause, holds, inside};
use crate::providers::client::{DialTimeout, Failure};
use crate::providers::credentials::Fault;
use crate::providers::refusal::{error_type, kind_of, request_id, status_of_fault, text};
use crate::providers::retry_after;
use crate::wire::openai::ProviderFault;
use crate::wire::rpc_status;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

/// How much of a provider's error body is kept.
pub(super) const MAX_ERROR_BODY_BYTES: u64 = 64 * 1024;

/// One of the four clocks that run over a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Clock {
    /// Until the connection stands, TLS included.
    Connect,
    /// From the request until the head of the answer, and the first byte of a stream.
    FirstByte,
    /// Between two pieces of the answer.
    Idle,
    /// Over everything.
    Total,
}

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The configuration of a provider cannot be used.
    Config,
    /// No provider has that name.
    UnknownProvider,
    /// There are no credentials to ask with, or they could not be had.
    Credentials,
    /// There was no connection: refused, unreachable, or the name does not resolve.
    Connect,
    /// The connection stands, but TLS does not: a wrong or expired certificate, say.
    Tls,
    /// A clock ran out.
    Timeout(Clock),
    /// The connection broke before the answer was complete.
    Reset,
    /// The provider refused the request (4xx).
    Rejected,
    /// Too many requests for now (429).
    RateLimited,
    /// The account has no money or quota left; waiting does not help.
    QuotaExhausted,
    /// The provider says that it is overloaded (503, 529).
    Overloaded,
    /// The provider failed (other 5xx).
    ServerError,
    /// The answer is no answer: a redirect, HTML, an unexpected encoding, nothing.
    InvalidResponse,
    /// The answer is larger than `max_response_bytes`.
    TooLarge,
}

impl ErrorKind {
    /// Returns the stable name for records, metrics and error codes.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "provider_config",
            Self::UnknownProvider => "unknown_provider",
            Self::Credentials => "provider_credentials",
            Self::Connect => "provider_unreachable",
            Self::Tls => "provider_tls",
            Self::Timeout(Clock::Connect) => "provider_connect_timeout",
            Self::Timeout(Clock::FirstByte) => "provider_first_byte_timeout",
            Self::Timeout(Clock::Idle) => "provider_idle_timeout",
            Self::Timeout(Clock::Total) => "provider_total_timeout",
            Self::Reset => "provider_reset",
            Self::Rejected => "provider_rejected",
            Self::RateLimited => "provider_rate_limited",
            Self::QuotaExhausted => "provider_quota_exhausted",
            Self::Overloaded => "provider_overloaded",
            Self::ServerError => "provider_error",
            Self::InvalidResponse => "provider_invalid_response",
            Self::TooLarge => "provider_response_too_large",
        }
    }

    /// Whether the same request to the same provider may succeed a moment later.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Connect
            | Self::Timeout(Clock::Connect | Clock::FirstByte | Clock::Idle)
            | Self::Reset
            | Self::RateLimited
            | Self::Overloaded
            | Self::ServerError
            | Self::InvalidResponse => true,
            // What failed is believed for a moment, so the same again fails the same.
            Self::Credentials
            | Self::Config
            | Self::UnknownProvider
            | Self::Tls
            | Self::Timeout(Clock::Total)
            | Self::Rejected
            | Self::QuotaExhausted
            | Self::TooLarge => false,
        }
    }
}

/// A call of a provider that did not succeed.
///
/// Invariant: neither `Display` nor `Debug` shows a key, a URL or a body.
#[derive(Clone, thiserror::Error)]
#[error("provider `{provider}` {message}")]
pub struct Error {
    kind: ErrorKind,
    provider: String,
    message: String,
    /// Boxed with the rest that only an answered request has: errors travel in `Result`s.
    answer: Option<Box<Answer>>,
    /// What to do, where the kind alone does not say it.
    hint: Option<Box<str>>,
    sent: bool,
}

/// What a provider said when it refused.
#[derive(Clone)]
struct Answer {
    status: u16,
    retry_after: Option<Duration>,
    request_id: Option<String>,
    content_type: String,
    dialect: Dialect,
    error_type: Option<String>,
    body: Bytes,
    /// Whether the head said 200, and the answer itself that it is none.
    is_inside: bool,
}

impl Error {
    /// Returns an error of a request of which nothing can have reached the provider.
    pub(super) fn unsent(kind: ErrorKind, provider: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            provider: provider.to_owned(),
            message: message.into(),
            answer: None,
            hint: None,
            sent: false,
        }
    }

    /// Returns the error for credentials that cannot be had.
    pub(super) fn credentials(provider: &str, fault: Fault) -> Self {
        Self {
            hint: Some(fault.hint.into()),
            ..Self::unsent(ErrorKind::Credentials, provider, fault.message)
        }
    }

    /// Returns an error of a request that may have reached the provider, and may be billed.
    pub(super) fn sent(kind: ErrorKind, provider: &str, message: impl Into<String>) -> Self {
        Self {
            sent: true,
            ..Self::unsent(kind, provider, message)
        }
    }

    /// Returns the error for a clock that ran out after `limit`.
    pub(super) fn timeout(clock: Clock, provider: &str, limit: Duration) -> Self {
        let what = match clock {
            Clock::Connect => "did not accept a connection within",
            Clock::FirstByte => "did not begin to answer within",
            Clock::Idle => "sent nothing for",
            Clock::Total => "did not finish within",
        };
        let message = format!("{what} {limit:?}");
        match clock {
            Clock::Connect => Self::unsent(ErrorKind::Timeout(clock), provider, message),
            Clock::FirstByte | Clock::Idle | Clock::Total => {
                Self::sent(ErrorKind::Timeout(clock), provider, message)
            }
        }
    }

    /// Returns the error for an answer that is larger than `limit` bytes.
    pub(super) fn too_large(provider: &str, limit: u64) -> Self {
        let message = format!("sent more than {limit} bytes");
        Self::sent(ErrorKind::TooLarge, provider, message)
    }

    /// Returns the error for an answer with a status other than 2xx.
    pub(super) fn from_answer(
        provider: &str,
        status: StatusCode,
        headers: &HeaderMap,
        body: Bytes,
        now: domain::Timestamp,
    ) -> Self {
        let error_type = error_type(headers, &body);
        let kind = kind_of(status, error_type.as_deref(), &body);
        let wait = retry_after::wait(headers, now);
        let answer = Answer {
            status: status.as_u16(),
            retry_after: wait.or_else(|| rpc_status::retry_delay(&body)),
            request_id: request_id(headers),
            content_type: text(headers, CONTENT_TYPE).unwrap_or_default().to_owned(),
            dialect: Dialect::Chat,
            error_type,
            body,
            is_inside: false,
        };
        let message = if status.is_redirection() {
            format!("answered with a redirect ({status}), which is not followed")
        } else {
            format!("answered {status}")
        };
        Self {
            answer: Some(Box::new(answer)),
            ..Self::sent(kind, provider, message)
        }
    }

    /// Returns the error for a fault that `provider` told in an answer or a stream with the status 200. It means
    /// what it would have meant as a status.
    #[must_use]
    pub fn from_fault(provider: &str, fault: &ProviderFault) -> Self {
        let status = status_of_fault(fault);
        let answer = Answer {
            status: status.as_u16(),
            retry_after: fault
                .retry_after
                .map(|wait| Duration::from_millis(u64::from(wait.get()))),
            request_id: None,
            content_type: String::new(),
            dialect: Dialect::Chat,
            error_type: None,
            body: Bytes::new(),
            is_inside: true,
        };
        let message = match fault.name() {
            Some(name) => format!("answered 200 with the error `{name}`"),
            None => "answered 200 with an error".to_owned(),
        };
        Self {
            answer: Some(Box::new(answer)),
            ..Self::sent(kind_of(status, fault.name(), b""), provider, message)
        }
    }

    /// Returns the error with the dialect that its body is written in.
    pub(super) fn in_dialect(mut self, dialect: Dialect) -> Self {
        if let Some(answer) = &mut self.answer {
            answer.dialect = dialect;
        }
        self
    }

    /// Returns the error for a request or a body that broke off; `limit` is that of connecting.
    pub(super) fn from_transport(provider: &str, limit: Duration, failure: Failure) -> Self {
        match failure {
            Failure::Direct(error) if error.is_connect() => {
                Self::unconnected(provider, limit, &error, holds::<DialTimeout>(&error))
            }
            Failure::Direct(error) => Self::broken_off(provider, &error),
            Failure::Body(error) => Self::broken_off(provider, &error),
            // Some base URLs carry keys in their query, and all are nobody's business.
            Failure::Proxied(error) => {
                let error = error.without_url();
                if error.is_connect() {
                    return Self::unconnected(provider, limit, &error, error.is_timeout());
                }
                if error.is_builder() {
                    let cause = deepest_cause(&error);
                    let message = format!("was given a request that cannot be sent: {cause}");
                    return Self::unsent(ErrorKind::Config, provider, message);
                }
                Self::broken_off(provider, &error)
            }
        }
    }

    fn unconnected(
        provider: &str,
        limit: Duration,
        error: &(dyn StdError + 'static),
        is_timeout: bool,
    ) -> Self {
        let cause = deepest_cause(error);
        if is_timeout {
            Self::timeout(Clock::Connect, provider, limit)
        } else if holds::<rustls::Error>(error) {
            Self::unsent(ErrorKind::Tls, provider, format!("failed in TLS: {cause}"))
        } else {
            let message = format!("cannot be reached: {cause}");
            Self::unsent(ErrorKind::Connect, provider, message)
        }
    }

    fn broken_off(provider: &str, error: &(dyn StdError + 'static)) -> Self {
        let cause = deepest_cause(error);
        // What came was no HTTP, or a head without end: not a connection that failed.
        if inside::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
            let message = format!("answered with what is no HTTP response: {cause}");
            return Self::sent(ErrorKind::InvalidResponse, provider, message);
        }
        Self::sent(ErrorKind::Reset, provider, format!("broke off: {cause}"))
    }

    /// Returns what went wrong.
    #[must_use]
    pub const fn error_kind(&self) -> ErrorKind {
        self.kind
    }

    /// Returns the stable name of what went wrong.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        self.kind.as_str()
    }

    /// Returns whose fault it is. A refused key is ours, other refusals are the client's.
    #[must_use]
    pub fn blame(&self) -> Blame {
        match self.kind {
            ErrorKind::Config | ErrorKind::UnknownProvider | ErrorKind::Credentials => {
                Blame::Gateway
            }
            ErrorKind::Rejected if matches!(self.status(), Some(401 | 403)) => Blame::Gateway,
            ErrorKind::Rejected => Blame::Client,
            ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Timeout(_)
            | ErrorKind::Reset
            | ErrorKind::RateLimited
            | ErrorKind::QuotaExhausted
            | ErrorKind::Overloaded
            | ErrorKind::ServerError
            | ErrorKind::InvalidResponse
            | ErrorKind::TooLarge => Blame::Provider,
        }
    }

    /// Returns what the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let provider = &self.provider;
        if let Some(hint) = &self.hint {
            return Some(hint.to_string());
        }
        match self.kind {
            ErrorKind::Rejected if matches!(self.status(), Some(401 | 403)) => {
                Some(format!("check the key of provider `{provider}`"))
            }
            ErrorKind::Connect => Some(format!(
                "check `base_url` of provider `{provider}` and the network"
            )),
            ErrorKind::Tls => Some("check the certificate and the system's root store".to_owned()),
            ErrorKind::QuotaExhausted => {
                Some(format!("check the billing of the account at `{provider}`"))
            }
            ErrorKind::TooLarge => Some(format!(
                "raise `max_response_bytes` of provider `{provider}`"
            )),
            ErrorKind::InvalidResponse => Some(format!(
                "check that `base_url` of provider `{provider}` is its API"
            )),
            ErrorKind::Config
            | ErrorKind::UnknownProvider
            | ErrorKind::Credentials
            | ErrorKind::Timeout(_)
            | ErrorKind::Reset
            | ErrorKind::Rejected
            | ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::ServerError => None,
        }
    }

    /// Whether the same request to the same provider may succeed a moment later.
    #[must_use]
    pub const fn is_retryable(&self) -> bool {
        self.kind.is_retryable()
    }

    /// Whether another provider may succeed: always, unless the request itself was refused or the
    /// time is up.
    #[must_use]
    pub fn may_fall_back(&self) -> bool {
        match self.kind {
            ErrorKind::Timeout(Clock::Total) => false,
            ErrorKind::Rejected => matches!(self.status(), Some(401 | 403 | 404)),
            ErrorKind::Config
            | ErrorKind::UnknownProvider
            | ErrorKind::Credentials
            | ErrorKind::Connect
            | ErrorKind::Tls
            | ErrorKind::Timeout(Clock::Connect | Clock::FirstByte | Clock::Idle)
            | ErrorKind::Reset
            | ErrorKind::RateLimited
            | ErrorKind::QuotaExhausted
            | ErrorKind::Overloaded
            | ErrorKind::ServerError
            | ErrorKind::InvalidResponse
            | ErrorKind::TooLarge => true,
        }
    }

    /// Whether bytes of the request may have reached the provider, so that it may bill them.
    #[must_use]
    pub const fn was_sent(&self) -> bool {
        self.sent
    }

    /// Returns what happened, to be said after the provider's name.
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    /// Returns the provider's name in the config.
    #[must_use]
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Returns the status that the head of the answer had, when there was one.
    #[must_use]
    pub fn head_status(&self) -> Option<u16> {
        let answer = self.answer.as_ref()?;
        Some(if answer.is_inside { 200 } else { answer.status })
    }

    /// Returns the HTTP status, when there was an answer; of an error inside a good one, that which it stands
    /// for.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.answer.as_ref().map(|answer| answer.status)
    }

    /// Returns how long the provider asks to wait; never zero.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.answer.as_ref().and_then(|answer| answer.retry_after)
    }

    /// Returns the provider's own request id, when there was one.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.answer.as_ref()?.request_id.as_deref()
    }

    /// Returns the dialect that the body is written in, when there was an answer.
    #[must_use]
    pub fn dialect(&self) -> Option<Dialect> {
        self.answer.as_ref().map(|answer| answer.dialect)
    }

    /// Returns the kind of fault that the head of the answer names (`ThrottlingException`), as Amazon's
    /// services do.
    #[must_use]
    pub fn header_error_type(&self) -> Option<&str> {
        self.answer.as_ref()?.error_type.as_deref()
    }

    /// Returns the media type of the body, empty when there is none.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.answer
            .as_ref()
            .map_or("", |answer| answer.content_type.as_str())
    }

    /// Returns the provider's answer, cut off at 64 KiB.
    #[must_use]
    pub fn body(&self) -> Option<&Bytes> {
        self.answer.as_ref().map(|answer| &answer.body)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Error")
            .field("kind", &self.kind)
            .field("provider", &self.provider)
            .field("message", &self.message)
            .field("status", &self.status())
            .field("sent", &self.sent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Error, ErrorKind};
    use crate::domain::{Blame, Dialect, Timestamp};
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use std::time::Duration;

    fn answered(status: u16, body: &'static str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Error::from_answer(
            "p",
            status,
            &HeaderMap::new(),
            Bytes::from(body),
            Timestamp(0),
        )
    }

    #[test]
    fn statuses_become_kinds() {
        for (status, body, kind, retry, fall_back, blame) in [
            (400, "", ErrorKind::Rejected, false, false, Blame::Client),
            (401, "", ErrorKind::Rejected, false, true, Blame::Gateway),
            (
                402,
                "",
                ErrorKind::QuotaExhausted,
                false,
                true,
                Blame::Provider,
            ),
            (404, "", ErrorKind::Rejected, false, true, Blame::Client),
            (408, "", ErrorKind::ServerError, true, true, Blame::Provider),
            (422, "", ErrorKind::Rejected, false, false, Blame::Client),
            (429, "", ErrorKind::RateLimited, true, true, Blame::Provider),
            (
                429,
                r#"{"error":{"code":"insufficient_quota"}}"#,
                ErrorKind::QuotaExhausted,
                false,
                true,
                Blame::Provider,
            ),
            (500, "", ErrorKind::ServerError, true, true, Blame::Provider),
            (503, "", ErrorKind::Overloaded, true, true, Blame::Provider),
            (529, "", ErrorKind::Overloaded, true, true, Blame::Provider),
            (
                302,
                "",
                ErrorKind::InvalidResponse,
                true,
                true,
                Blame::Provider,
            ),
        ] {
            let error = answered(status, body);
            assert_eq!(error.error_kind(), kind, "{status}");
            assert_eq!(error.is_retryable(), retry, "{status}");
            assert_eq!(error.may_fall_back(), fall_back, "{status}");
            assert_eq!(error.blame(), blame, "{status}");
            assert_eq!(error.status(), Some(status));
            assert!(error.was_sent());
        }
    }

    #[test]
    fn amazons_names_say_more_than_its_statuses() {
        for (status, name, kind, retry) in [
            (429, "ThrottlingException", ErrorKind::RateLimited, true),
            (429, "ModelNotReadyException", ErrorKind::Overloaded, true),
            (424, "ModelErrorException", ErrorKind::ServerError, true),
            (408, "ModelTimeoutException", ErrorKind::ServerError, true),
            (400, "ValidationException", ErrorKind::Rejected, false),
            (
                400,
                "ServiceQuotaExceededException",
                ErrorKind::QuotaExhausted,
                false,
            ),
            (
                403,
                "com.amazon.coral.service#ExpiredTokenException",
                ErrorKind::Rejected,
                false,
            ),
        ] {
            let mut headers = HeaderMap::new();
            let value = format!("{name}:http://internal.amazon.com/coral/x/");
            headers.insert("x-amzn-errortype", value.parse().unwrap());
            let status = StatusCode::from_u16(status).unwrap();
            let error = Error::from_answer("p", status, &headers, Bytes::new(), Timestamp(0))
                .in_dialect(Dialect::Converse);
            assert_eq!(
                (error.error_kind(), error.is_retryable()),
                (kind, retry),
                "{name}"
            );
            assert_eq!(error.header_error_type(), name.rsplit('#').next());
            assert_eq!(error.dialect(), Some(Dialect::Converse));
        }
    }

    #[test]
    fn a_wait_in_the_body_counts_when_the_head_has_none() {
        let body = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[
            {"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"7s"}]}}"#;
        let error = answered(429, body);
        assert_eq!(error.error_kind(), ErrorKind::RateLimited);
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    }

    #[test]
    fn only_a_connect_timeout_is_surely_unsent() {
        for (clock, sent) in [
            (Clock::Connect, false),
            (Clock::FirstByte, true),
            (Clock::Idle, true),
            (Clock::Total, true),
        ] {
            let error = Error::timeout(clock, "p", Duration::from_secs(5));
            assert_eq!(error.was_sent(), sent, "{clock:?}");
            assert!(error.to_string().ends_with("5s"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_body() {
        let error = answered(400, "the client's secret words");
        assert!(!format!("{error:?} {error}").contains("secret"));
        assert_eq!(error.body().unwrap(), "the client's secret words");
    }
}
