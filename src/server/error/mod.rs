//! The one place where errors meet HTTP.

mod embeddings;

use crate::domain::Blame;
use crate::evals::run;
use crate::providers::{ErrorKind, UploadFault};
use crate::proxy::{self, AnswerFacts, Failure};
use crate::server::headers;
use crate::{access, prompts, providers, store, wire};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use std::time::Duration;

/// An error as a client sees it: `OpenAI`'s envelope with all four keys, a hint, and the request id.
#[derive(Debug)]
pub(crate) struct ApiError(Box<Fields>);

/// What is behind a failure of ours: for the log, and for who is in this process.
#[derive(Debug, Clone)]
pub(super) struct Cause(pub(super) String);

/// What an error says.
#[derive(Debug)]
struct Fields {
    status: StatusCode,
    /// `OpenAI`'s class of the error (`invalid_request_error`, ...).
    class: &'static str,
    code: String,
    message: String,
    param: Option<String>,
    /// What the provider says stands behind its code, as JSON.
    inner: Option<Box<str>>,
    hint: Option<String>,
    retry_after: Option<Duration>,
    /// What an SDK is told about trying again; `None` leaves it to the status.
    should_retry: Option<bool>,
    facts: AnswerFacts,
    cause: Option<Cause>,
}

impl ApiError {
    /// An error that the request itself causes.
    pub(crate) fn of_request(
        status: StatusCode,
        code: &str,
        message: impl Into<String>,
        hint: Option<&str>,
    ) -> Self {
        Self(Box::new(Fields {
            status,
            class: class_of(status),
            code: code.to_owned(),
            message: message.into(),
            param: None,
            inner: None,
            hint: hint.map(str::to_owned),
            retry_after: None,
            should_retry: None,
            facts: AnswerFacts::default(),
            cause: None,
        }))
    }

    /// 404 for something that is not there.
    pub(crate) fn not_found(code: &str, message: impl Into<String>, hint: Option<&str>) -> Self {
        Self::of_request(StatusCode::NOT_FOUND, code, message, hint)
    }

    /// 500 for a failure of ours; `cause` goes to the log.
    pub(crate) fn internal(cause: &dyn std::fmt::Display) -> Self {
        tracing::error!(error = %cause, "a request failed inside the gateway");
        let mut error = Self::of_request(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal_error",
            "the gateway failed to serve the request",
            Some("the cause is in the gateway's log under the request id"),
        );
        error.0.cause = Some(Cause(cause.to_string()));
        error
    }

    /// 500 for a failure of ours with a file, said in full: the admin plane is the operator's, and a command
    /// may run where there is no log.
    fn of_files(error: &dyn std::error::Error, code: &str, hint: Option<&str>) -> Self {
        let message = describe(error);
        tracing::error!(error = message, "a file of the gateway cannot be used");
        Self::of_request(StatusCode::INTERNAL_SERVER_ERROR, code, message, hint)
    }

    /// 503 with a short wait.
    pub(crate) fn unavailable(code: &str, message: impl Into<String>) -> Self {
        let mut error = Self::of_request(StatusCode::SERVICE_UNAVAILABLE, code, message, None);
        error.0.retry_after = Some(Duration::from_secs(1));
        error
    }
}

/// `OpenAI`'s class for a status.
const fn class_of(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        500.. => "server_error",
        _ => "invalid_request_error",
    }
}

impl From<Box<Failure>> for ApiError {
    fn from(failure: Box<Failure>) -> Self {
        let Failure { error, facts } = *failure;
        let was_asked = 0 < facts.attempts;
        let mut api = Self::from(error);
        // Our own retries are spent; an SDK's would multiply them.
        if was_asked {
            api.0.should_retry = Some(false);
        }
        api.0.facts = facts;
        api
    }
}

impl From<proxy::Error> for ApiError {
    fn from(error: proxy::Error) -> Self {
        let status = status_of(&error);
        let message = match (&error, error.blame()) {
            (_, Blame::Gateway) => {
                tracing::error!(code = error.kind(), error = %describe(&error), "a call was refused by the gateway");
                public_message(&error)
            }
            (
                proxy::Error::Provider {
                    fault: Some(fault), ..
                },
                _,
            ) if status.is_client_error() => fault.message.clone(),
            _ => error.to_string(),
        };
        let class = match &error {
            proxy::Error::Provider { error, .. }
                if error.error_kind() == ErrorKind::QuotaExhausted =>
            {
                "insufficient_quota"
            }
            proxy::Error::Provider { .. }
            | proxy::Error::NoContent { .. }
            | proxy::Error::InvalidAnswer { .. }
            | proxy::Error::UnfitAnswer { .. }
            | proxy::Error::OutputInvalid { .. }
                if status.is_server_error() =>
            {
                "upstream_error"
            }
            _ => class_of(status),
        };
        Self(Box::new(Fields {
            status,
            class,
            code: provider_code(&error, status).unwrap_or_else(|| error.kind().to_owned()),
            message,
            param: error.param(),
            inner: error.fault().and_then(|fault| fault.inner.clone()),
            hint: error.hint(),
            retry_after: error.retry_after(),
            should_retry: None,
            facts: AnswerFacts::default(),
            cause: None,
        }))
    }
}

/// A refusal keeps the provider's own code, which applications may know.
fn provider_code(error: &proxy::Error, status: StatusCode) -> Option<String> {
    match error {
        proxy::Error::Provider {
            fault: Some(fault), ..
        } if status.is_client_error() => fault.name().map(str::to_owned),
        _ => None,
    }
}

/// The whole chain of causes, for the log.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn public_message(error: &proxy::Error) -> String {
    match error {
        proxy::Error::Prompt(error) => error.to_string(),
        proxy::Error::Record(_) => "the call cannot be recorded, so it is not made".to_owned(),
        other => other.to_string(),
    }
}

/// The status of every way a call can fail.
fn status_of(error: &proxy::Error) -> StatusCode {
    match error {
        proxy::Error::Request(error) => status_of_request(error),
        proxy::Error::Prompt(error) => status_of_prompt(error),
        proxy::Error::PromptReferenceConflict { .. }
        | proxy::Error::PromptVariableConflict { .. }
        | proxy::Error::MediaInvalid { .. }
        | proxy::Error::MissingModel { .. }
        | proxy::Error::ParameterLocked { .. }
        | proxy::Error::Unsupported(_)
        | proxy::Error::PromptUnsupported { .. }
        | proxy::Error::PreviousTooLong { .. } => StatusCode::BAD_REQUEST,
        proxy::Error::PreviousNotFound { .. } | proxy::Error::NoProvider { .. } => {
            StatusCode::NOT_FOUND
        }
        proxy::Error::MediaTooLarge { .. } | proxy::Error::Upload(UploadFault::TooLarge { .. }) => {
            StatusCode::PAYLOAD_TOO_LARGE
        }
        proxy::Error::Upload(_) => StatusCode::BAD_REQUEST,
        proxy::Error::ModelNotFound { .. } => StatusCode::NOT_FOUND,
        proxy::Error::ModelForbidden { .. } => StatusCode::FORBIDDEN,
        proxy::Error::Provider { error, .. } => status_of_provider(error),
        proxy::Error::NoContent { .. } => StatusCode::GATEWAY_TIMEOUT,
        proxy::Error::InvalidAnswer { .. }
        | proxy::Error::UnfitAnswer { .. }
        | proxy::Error::OutputInvalid { .. } => StatusCode::BAD_GATEWAY,
        proxy::Error::NotReproducible { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        proxy::Error::Record(_) | proxy::Error::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn status_of_request(error: &wire::Error) -> StatusCode {
    match error.kind() {
        "request_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        _ => StatusCode::BAD_REQUEST,
    }
}

fn status_of_prompt(error: &prompts::Error) -> StatusCode {
    match error.kind() {
        "prompt_not_found"
        | "prompt_version_not_found"
        | "prompt_label_not_found"
        | "prompt_override_not_found"
        | "prompt_preview_not_found" => StatusCode::NOT_FOUND,
        "prompt_forbidden" => StatusCode::FORBIDDEN,
        "prompt_retired" => StatusCode::GONE,
        "prompt_bundle_replayed" => StatusCode::CONFLICT,
        "prompt_media_too_large" => StatusCode::PAYLOAD_TOO_LARGE,
        "prompt_registry_unavailable" => StatusCode::SERVICE_UNAVAILABLE,
        _ => match error.blame() {
            Blame::Client => StatusCode::BAD_REQUEST,
            Blame::Provider | Blame::Gateway => StatusCode::INTERNAL_SERVER_ERROR,
        },
    }
}

fn status_of_provider(error: &providers::Error) -> StatusCode {
    match error.error_kind() {
        ErrorKind::Rejected => match error.status() {
            // Those are about our credentials, not the client's.
            Some(401 | 403) | None => StatusCode::BAD_GATEWAY,
            Some(status @ (400 | 404 | 409 | 410 | 413 | 422)) => {
                StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST)
            }
            Some(_) => StatusCode::BAD_REQUEST,
        },
        ErrorKind::RateLimited | ErrorKind::QuotaExhausted => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        ErrorKind::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Connect
        | ErrorKind::Tls
        | ErrorKind::Reset
        | ErrorKind::ServerError
        | ErrorKind::InvalidResponse
        | ErrorKind::TooLarge
        // As a key that is refused.
        | ErrorKind::Credentials => StatusCode::BAD_GATEWAY,
        ErrorKind::Config | ErrorKind::UnknownProvider => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl From<wire::Error> for ApiError {
    fn from(error: wire::Error) -> Self {
        proxy::Error::from(error).into()
    }
}

impl From<prompts::Error> for ApiError {
    fn from(error: prompts::Error) -> Self {
        proxy::Error::from(error).into()
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        match error.blame() {
            Blame::Client => {
                let hint = error.hint();
                let (code, message) = (error.kind(), error.to_string());
                Self::of_request(StatusCode::BAD_REQUEST, code, message, hint.as_deref())
            }
            // What passes by itself, or by more space, is said to whoever asked.
            Blame::Provider | Blame::Gateway => match error.retry_after() {
                Some(wait) => {
                    let mut api = Self::unavailable(error.kind(), error.to_string());
                    api.0.hint = error.hint();
                    api.0.retry_after = Some(wait);
                    api
                }
                None => Self::internal(&describe(&error)),
            },
        }
    }
}

impl From<run::Error> for ApiError {
    fn from(error: run::Error) -> Self {
        let status = match error {
            run::Error::Store(error) => return error.into(),
            run::Error::RunNotFound { .. } | run::Error::NothingToResume => StatusCode::NOT_FOUND,
            run::Error::PlanInvalid { .. } => StatusCode::BAD_REQUEST,
            run::Error::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            run::Error::PlanLost { .. } | run::Error::BrokeOff { .. } => {
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        let hint = error.hint();
        Self::of_request(status, error.kind(), error.to_string(), hint.as_deref())
    }
}

impl From<access::Error> for ApiError {
    fn from(error: access::Error) -> Self {
        let hint = error.hint();
        let (code, message) = (error.kind(), error.to_string());
        let mut api = Self::of_request(StatusCode::UNAUTHORIZED, code, message, hint.as_deref());
        api.0.should_retry = Some(false);
        api
    }
}

impl IntoResponse for ApiError {
    /// The envelope without the request id, which the outermost layer knows and adds.
    fn into_response(self) -> Response {
        let fields = *self.0;
        let request_id = headers::current_request_id();
        let body = wire::openai::ErrorEnvelope {
            message: &fields.message,
            kind: fields.class,
            param: fields.param.as_deref(),
            code: Some(&fields.code),
            inner: fields.inner.as_deref(),
            hint: fields.hint.as_deref(),
            request_id: request_id.as_deref(),
        };
        let dialect = headers::current_dialect();
        let body = wire::translate::write_fault(dialect, fields.status.as_u16(), &body);
        let mut response = (fields.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers::write_facts(headers, &fields.facts);
        if let Some(wait) = fields.retry_after {
            headers::write_retry_after(headers, wait);
        }
        if let Some(should_retry) = fields.should_retry {
            let value = if should_retry { "true" } else { "false" };
            headers.insert("x-should-retry", HeaderValue::from_static(value));
        }
        if let Some(cause) = fields.cause {
            response.extensions_mut().insert(cause);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::ApiError;
    use crate::domain::{BundleHash, PromptReference};
    use crate::prompts::{self, InvalidVariable};
    use crate::proxy::{self, Way};
    use crate::store;
    use axum::body::to_bytes;
    use axum::response::IntoResponse as _;
    use http::{StatusCode, header};
    use std::fmt::Write as _;
    use std::time::Duration;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Every way in which a reference can lead nowhere.
    fn unresolved() -> Vec<prompts::Error> {
        use prompts::Error;
        let name = || "support/refund".to_owned();
        let wrong = "support//refund".parse::<PromptReference>().unwrap_err();
        vec![
            Error::InvalidReference(wrong),
            Error::NotFound {
                name: "support/refnud".to_owned(),
                nearest: names(&["support/refund", "support/refuse"]),
            },
            Error::Forbidden {
                name: "sales/outreach".to_owned(),
                nearest: Vec::new(),
            },
            Error::VersionNotFound {
                name: name(),
                selector: "v9".to_owned(),
                choices: "there are `v1` to `v3`".to_owned(),
            },
            Error::LabelNotFound {
                name: name(),
                label: "stagging".to_owned(),
                known: names(&["production", "staging", "latest"]),
            },
            Error::VersionAmbiguous {
                name: name(),
                hex: "abab".to_owned(),
                candidates: vec![BundleHash([0xab; 32]), BundleHash([0xac; 32])],
            },
            Error::Retired {
                name: name(),
                since: "2026-12-15".to_owned(),
                replacement: Some("support/refund2".to_owned()),
            },
            Error::NumbersPending,
            Error::SourceUnreadable {
                path: "prompts".to_owned(),
                reason: "gone".to_owned(),
            },
            Error::InvalidOverride {
                problem: "an override needs a reason".to_owned(),
                hint: "say why".to_owned(),
            },
            Error::OverrideNotFound {
                label: "production".to_owned(),
                name: name(),
            },
        ]
    }

    /// Every way in which a prompt cannot be filled.
    fn unfilled() -> Vec<prompts::Error> {
        use prompts::Error;
        let version = || "sha-abababababab".to_owned();
        vec![
            Error::MissingVariables {
                names: names(&["order_id", "customer"]),
            },
            Error::InvalidVariables {
                variables: vec![InvalidVariable {
                    pointer: "/order/id".to_owned(),
                    expected: "a string".to_owned(),
                }],
            },
            Error::UnknownVariable {
                name: "oder_id".to_owned(),
                nearest: names(&["order_id"]),
            },
            Error::MessagesNotAllowed { count: 2 },
            Error::RenderFailed {
                version: version(),
                line: 7,
                reason: "`{{media}}` has an empty `url`".to_owned(),
            },
            Error::RenderLimit {
                version: version(),
                what: "steps",
                limit: "100000".to_owned(),
            },
        ]
    }

    fn of_the_call() -> Vec<proxy::Error> {
        use proxy::Error;
        vec![
            Error::PromptVariableConflict {
                name: "a".to_owned(),
                first: Way::field("prompt.variables"),
                second: Way::field("inputs"),
            },
            Error::ParameterLocked {
                prompt: "support/refund".to_owned(),
                parameter: "temperature".to_owned(),
            },
            Error::MediaInvalid {
                name: "photo".to_owned(),
                problem: "is no URL",
            },
            Error::MediaTooLarge {
                name: "photo".to_owned(),
                limit: 8_388_608,
            },
            Error::OutputInvalid {
                prompt: "support/triage".to_owned(),
                fault: "it is not JSON".to_owned(),
            },
        ]
    }

    /// What a client reads when something is wrong with a prompt: each body in full.
    #[tokio::test]
    async fn every_error_about_prompts_names_what_to_do() {
        let prompts = unresolved().into_iter().chain(unfilled());
        let errors = prompts.map(proxy::Error::from).chain(of_the_call());
        let mut told = String::new();
        for error in errors {
            let response = ApiError::from(error).into_response();
            let status = response.status();
            let retry = response.headers().get("retry-after").cloned();
            let body = to_bytes(response.into_body(), 10_000).await.unwrap();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let shown = serde_json::to_string_pretty(&body["error"]).unwrap();
            let retry = retry.map(|wait| format!(", retry-after {}", wait.to_str().unwrap()));
            writeln!(
                told,
                "{}{} {shown}\n",
                status.as_u16(),
                retry.unwrap_or_default()
            )
            .unwrap();
        }
        insta::assert_snapshot!(told);
    }

    #[test]
    fn what_passes_by_itself_is_unavailable_and_says_what_to_do() {
        let behind = store::Error::IndexBehind {
            waited: Duration::from_secs(10),
        };
        let full = store::Error::JournalFull {
            cause: "no space".to_owned(),
        };
        for (error, code) in [(behind, "index_behind"), (full, "journal_full")] {
            let api = ApiError::from(error);
            assert_eq!(api.0.status, StatusCode::SERVICE_UNAVAILABLE, "{code}");
            assert_eq!(api.0.code, code);
            assert!(api.0.hint.is_some(), "{code}");
            let response = axum::response::IntoResponse::into_response(api);
            assert!(
                response.headers().contains_key(header::RETRY_AFTER),
                "{code}"
            );
        }
        let api = ApiError::from(store::Error::Closed);
        assert_eq!(api.0.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
