//! `POST /v1/chat/completions`, and what calls in other dialects have in common with it.

use crate::domain::{Caller, Dialect};
use crate::proxy::{Answer, AnswerBody, Arrival, PromptHeaders, Proxy};
use crate::server::body::{self, BodyLimits};
use crate::server::deliver::DeliveredBody;
use crate::server::error::ApiError;
use crate::server::headers;
use crate::server::layers::{Authenticated, RequestId};
use crate::server::trace;
use crate::wire::openai::ChatRequest;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::sync::Arc;
use tokio::time::Instant;

const TAGS: HeaderName = HeaderName::from_static("x-promptgate-tags");
const SESSION: HeaderName = HeaderName::from_static("x-promptgate-session");
const STICKY: HeaderName = HeaderName::from_static("x-promptgate-sticky");
const PROMPT: HeaderName = HeaderName::from_static("x-promptgate-prompt");
const VARIABLES: HeaderName = HeaderName::from_static("x-promptgate-variables");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Answers a chat completion, whole or as a stream.
pub(crate) async fn create(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    asked: Asked,
) -> Result<Response, ApiError> {
    answer(&proxy, limits, Dialect::Chat, asked).await
}

/// A request, and who makes it.
pub(crate) struct Asked {
    /// Who.
    pub(crate) caller: Arc<Caller>,
    /// Under which id.
    pub(crate) id: RequestId,
    /// What.
    pub(crate) request: Request,
}

impl<S: Send + Sync> FromRequest<S> for Asked {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let (mut head, body) = request.into_parts();
        let Authenticated(caller) = Authenticated::from_request_parts(&mut head, state).await?;
        let id = RequestId::from_request_parts(&mut head, state).await?;
        let request = Request::from_parts(head, body);
        Ok(Self {
            caller,
            id,
            request,
        })
    }
}

/// Answers a request in `dialect`, whole or as a stream.
pub(crate) async fn answer(
    proxy: &Arc<Proxy>,
    limits: BodyLimits,
    dialect: Dialect,
    asked: Asked,
) -> Result<Response, ApiError> {
    let (head, body) = asked.request.into_parts();
    let body = body::read(body, limits).await?;
    let arrival = arrival(asked.id, &head.headers, &body);
    // Its bytes lie in the connection's buffer, which is wanted again while the call goes on.
    drop(head);
    let is_named = arrival.headers.reference.is_some();
    let request = ChatRequest::decode_as(dialect, &body, is_named)?;
    let answer = proxy.complete(&asked.caller, &arrival, request).await?;
    Ok(respond(answer))
}

/// Notes what is known of a request besides its body's content.
pub(crate) fn arrival(id: RequestId, headers: &HeaderMap, body: &Bytes) -> Arrival {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let tags = text(TAGS).unwrap_or_default();
    Arrival {
        id: id.0,
        started: Instant::now(),
        trace: text(TRACEPARENT).and_then(trace::parse),
        session: text(SESSION).map(str::to_owned),
        sticky: text(STICKY).map(str::to_owned),
        headers: PromptHeaders {
            reference: text(PROMPT).map(str::to_owned),
            variables: text(VARIABLES).map(str::to_owned),
        },
        tags: tags
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .map(str::to_owned)
            .collect(),
        run: None,
        dialect_headers: dialect_headers(headers),
        drops_text: false,
        body: body.clone(),
    }
}

/// Those that belong to a provider's dialect; most requests have none.
fn dialect_headers(headers: &HeaderMap) -> HeaderMap {
    let belongs = |name: &HeaderName| {
        name.as_str().starts_with("anthropic-") || name.as_str().starts_with("openai-")
    };
    let found = headers.iter().filter(|(name, _)| belongs(name));
    found
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Returns the HTTP form of an answer.
pub(crate) fn respond(answer: Answer) -> Response {
    let is_stream = matches!(answer.body, AnswerBody::Stream(_));
    let body = match answer.body {
        AnswerBody::Whole(bytes) => Body::from(bytes),
        AnswerBody::Stream(stream) => Body::from_stream(*stream),
    };
    let body = match answer.after {
        Some(after) => Body::new(DeliveredBody::new(body, after)),
        None => body,
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let content_type = HeaderValue::from_str(&answer.content_type);
    let json = HeaderValue::from_static("application/json");
    headers.insert(header::CONTENT_TYPE, content_type.unwrap_or(json));
    if is_stream {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        // Tells reverse proxies in front of us not to hold chunks back.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    }
    headers::write_facts(headers, &answer.facts);
    response
}
