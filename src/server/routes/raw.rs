//! Raw requests: what no route here knows more about goes to its provider as it is, with a record.

use crate::proxy::{Passing, Proxy};
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::headers;
use crate::server::routes::chat::{Asked, arrival};
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use std::sync::Arc;

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

async fn pass(
    proxy: &Arc<Proxy>,
    limits: BodyLimits,
    (provider, path_and_query): (Option<String>, String),
    asked: Asked,
) -> Result<Response, ApiError> {
    let (head, body) = asked.request.into_parts();
    let body = body::read(body, limits).await?;
    let arrival = arrival(asked.id, &head.headers, &body);
    let passing = Passing {
        provider,
        method: head.method,
        path_and_query,
        headers: head.headers,
    };
    let answer = proxy.pass(&asked.caller, &arrival, passing).await?;
    let mut response = Response::new(Body::from_stream(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = answer.headers;
    headers::write_facts(response.headers_mut(), &answer.facts);
    Ok(response)
}
