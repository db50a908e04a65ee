//! From an HTTP response to a reply, or to the error that its status means.

use crate::domain;
use crate::domain::Dialect;
use crate::providers::client::AnswerBody;
use crate::providers::error::{Error, ErrorKind, MAX_ERROR_BODY_BYTES};
use crate::providers::refusal::{request_id, text};
use crate::providers::stream::{ByteStream, Clocks};
use crate::providers::{PassedReply, Reply, ReplyBody, ReplyTimes};
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LENGTH,
    CONTENT_RANGE, CONTENT_TYPE, ETAG, LAST_MODIFIED, RETRY_AFTER,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};

/// What a client gets to see of the head of a raw answer, beside request ids and rate limits.
const RAW_HEADERS: [HeaderName; 12] = [
    ACCEPT_RANGES,
    CACHE_CONTROL,
    CONTENT_DISPOSITION,
    CONTENT_RANGE,
    CONTENT_TYPE,
    ETAG,
    LAST_MODIFIED,
    RETRY_AFTER,
    HeaderName::from_static("retry-after-ms"),
    HeaderName::from_static("openai-processing-ms"),
    HeaderName::from_static("openai-version"),
    HeaderName::from_static("x-should-retry"),
];

/// What Bedrock says of a request's length, where the body does not.
const INPUT_TOKENS: HeaderName = HeaderName::from_static("x-amzn-bedrock-input-token-count");

/// Takes the answer to a request in `dialect`.
pub(super) async fn receive(
    response: Response<AnswerBody>,
    dialect: Dialect,
    wants_stream: bool,
    clocks: Clocks,
) -> Result<Reply, Error> {
    let head_time = clocks.started.elapsed();
    let (head, body) = response.into_parts();
    let provider = clocks.provider.clone();
    let length = text(&head.headers, CONTENT_LENGTH).and_then(|value| value.parse().ok());
    if !head.status.is_success() {
        let body = ByteStream::http(body, clocks)
            .up_to(MAX_ERROR_BODY_BYTES)
            .await;
        let now = domain::Clock::System.now();
        let error = Error::from_answer(&provider, head.status, &head.headers, body, now);
        return Err(error.in_dialect(dialect));
    }
    check_encoding(&provider, &head.headers)?;
    let content_type = text(&head.headers, CONTENT_TYPE).unwrap_or_default();
    let media_type = content_type.split(';').next().unwrap_or_default().trim();
    let body = if wants_stream && is_stream(media_type) {
        ReplyBody::Stream(ByteStream::http(body, clocks))
    } else {
        let bytes = ByteStream::http(body, clocks).whole(length).await?;
        let problem = if bytes.is_empty() {
            Some("answered with an empty body")
        } else if media_type.eq_ignore_ascii_case("text/html") {
            Some("answered with an HTML page")
        } else {
            None
        };
        if let Some(problem) = problem {
            return Err(Error::sent(ErrorKind::InvalidResponse, &provider, problem));
        }
        ReplyBody::Whole(bytes)
    };
    Ok(Reply {
        status: head.status.as_u16(),
        content_type: content_type.to_owned(),
        request_id: request_id(&head.headers),
        rate_limits: rate_limits(&head.headers),
        input_tokens: text(&head.headers, INPUT_TOKENS).and_then(|count| count.parse().ok()),
        times: ReplyTimes { head: head_time },
        body,
    })
}

/// Takes the answer to a raw request, whatever its status.
pub(super) fn pass(response: Response<AnswerBody>, clocks: Clocks) -> Result<PassedReply, Error> {
    let head_time = clocks.started.elapsed();
    let (head, body) = response.into_parts();
    if head.status.is_redirection() || head.status.is_informational() {
        let message = format!("answered {}, which is not followed", head.status);
        let kind = ErrorKind::InvalidResponse;
        return Err(Error::sent(kind, &clocks.provider, message));
    }
    check_encoding(&clocks.provider, &head.headers)?;
    let mut headers = HeaderMap::new();
    for name in RAW_HEADERS {
        for value in head.headers.get_all(&name) {
            headers.append(&name, value.clone());
        }
    }
    for (name, value) in rate_limits(&head.headers) {
        headers.append(name, value);
    }
    Ok(PassedReply {
        status: head.status.as_u16(),
        headers,
        length: text(&head.headers, CONTENT_LENGTH).and_then(|value| value.parse().ok()),
        request_id: request_id(&head.headers),
        times: ReplyTimes { head: head_time },
        body: ByteStream::http(body, clocks),
    })
}

/// Whether a media type is one of those that streams have: events of the web, or Amazon's frames.
fn is_stream(media_type: &str) -> bool {
    media_type.eq_ignore_ascii_case("text/event-stream")
        || media_type.eq_ignore_ascii_case("application/vnd.amazon.eventstream")
}

/// Refuses an encoding: none was asked for, and a decoder would be a way to blow up memory.
fn check_encoding(provider: &str, headers: &HeaderMap) -> Result<(), Error> {
    match headers.get(CONTENT_ENCODING) {
        None => Ok(()),
        Some(encoding) if encoding.as_bytes().eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(_) => {
            let message = "answered with a `content-encoding` that was not asked for";
            Err(Error::sent(ErrorKind::InvalidResponse, provider, message))
        }
    }
}

fn rate_limits(headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let is_limit = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-ratelimit-") || name.starts_with("anthropic-ratelimit-")
    };
    headers
        .iter()
        .filter(|(name, _)| is_limit(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
