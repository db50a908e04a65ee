//! Raw requests: what no route here knows more about goes to its provider as it is, with a record.

use crate::proxy::{Passing, Proxy};
use crate::server::body::{self, BodyLimits, Came};
use crate::server::error::ApiError;
use crate::server::headers;
use crate::server::routes::chat::{Asked, arrival};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

/// A body up to this size is there before anybody is asked; a longer one that is no JSON is handed on while
/// it comes.
const HELD_BYTES: usize = 256 * 1024;

/// The paths of `OpenAI`'s API that are handed on: `/v1/…`, to the provider of the body's model, else to
/// the one that speaks as `OpenAI` does.
pub(crate) const OPENAI_PATHS: [&str; 12] = [
    "/v1/completions",
    "/v1/moderations",
    "/v1/images/{*rest}",
    "/v1/audio/{*rest}",
    "/v1/files",
    "/v1/files/{*rest}",
    "/v1/uploads",
    "/v1/uploads/{*rest}",
    "/v1/batches",
    "/v1/batches/{*rest}",
    "/v1/rerank",
    "/v1/videos",
];

/// Hands on what is asked of `OpenAI`'s API.
pub(crate) async fn of_openai(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let path = path_of(&asked.request, "/v1");
    pass(&proxy, limits, (None, path), asked).await
}

/// Hands on what is asked of the provider that the path begins with: `/anthropic/v1/messages`.
pub(crate) async fn of_provider(
    State(proxy): State<Arc<Proxy>>,
    State(limits): State<BodyLimits>,
    asked: Asked,
) -> Result<Response, ApiError> {
    let provider = asked.request.uri().path().trim_start_matches('/');
    let provider = provider.split('/').next().unwrap_or_default().to_owned();
    let path = path_of(&asked.request, &format!("/{provider}"));
    pass(&proxy, limits, (Some(provider), path), asked).await
}

/// The path and query behind `prefix`.
fn path_of(request: &Request, prefix: &str) -> String {
    let uri = request.uri();
    let whole = uri.path_and_query().map_or("", |it| it.as_str());
    let rest = whole.strip_prefix(prefix).unwrap_or(whole);
    if rest.starts_with('/') {
        rest.to_owned()
    } else {
        format!("/{rest}")
    }
}

/// Whether a body is read whole: what asks a model is JSON, and its model decides who is asked.
fn is_json(headers: &HeaderMap, begun: &[u8]) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    let is_said = kind.is_none_or(|kind| {
        let kind = kind.to_str().unwrap_or_default();
        kind.contains("json")
    });
    is_said || begun.trim_ascii_start().starts_with(b"{")
}

async fn pass(
    proxy: &Arc<Proxy>,
    limits: BodyLimits,
    (provider, path_and_query): (Option<String>, String),
    asked: Asked,
) -> Result<Response, ApiError> {
    let (head, body) = asked.request.into_parts();
    let wanted = |begun: &[u8]| is_json(&head.headers, begun);
    let (body, upload) = match body::begin(body, limits, (HELD_BYTES, wanted)).await? {
        Came::Whole(body) => (body, None),
        Came::Begun(upload) => (Bytes::new(), Some(upload)),
    };
    let arrival = arrival(asked.id, &head.headers, &body);
    let passing = Passing {
        provider,
        method: head.method,
        path_and_query,
        headers: head.headers,
        upload,
    };
    let answer = proxy.pass(&asked.caller, &arrival, passing).await?;
    let mut response = Response::new(Body::from_stream(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = answer.headers;
    headers::write_facts(response.headers_mut(), &answer.facts);
    Ok(response)
}
