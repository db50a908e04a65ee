//! What stands around every route, blind to the content of requests.

use crate::access::KeyRing;
use crate::domain::{CallId, Caller, Dialect, Secret};
use crate::proxy::Proxy;
use crate::server::error::ApiError;
use crate::server::headers;
use crate::server::router::no_route;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use http_body::{Frame, SizeHint};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const API_KEY: HeaderName = HeaderName::from_static("api-key");
const ANTHROPIC_VERSION: HeaderName = HeaderName::from_static("anthropic-version");

/// The id of a request, which is also the id of its call. In the request's extensions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId(pub(crate) CallId);

/// What a call must get past: a place among those in flight, and proof of who calls.
#[derive(Debug)]
pub(crate) struct Door {
    /// Who may call.
    pub(crate) keys: Arc<KeyRing>,
    /// Places for calls in flight.
    pub(crate) places: Arc<Semaphore>,
}

/// Names the request, and keeps a panic to the one request that caused it.
pub(crate) async fn identify(request: Request, next: Next) -> Response {
    named(request, |request| next.run(request)).await
}

/// Names the request of a call, and lets it in: nothing behind this layer is reached without a caller
/// and a place. One layer for all of it, because a layer costs every call as much as parsing its body.
pub(crate) async fn admit(State(door): State<Arc<Door>>, request: Request, next: Next) -> Response {
    named(request, |request| let_in(door, request, next)).await
}

/// Lets a raw request pass whose path begins with the name of a provider; for every other path there is no
/// route here, whoever asks.
pub(crate) async fn to_provider(
    State(proxy): State<Arc<Proxy>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let name = path.split('/').next().unwrap_or_default();
    if proxy.upstreams.get().providers.get(name).is_some() {
        return next.run(request).await;
    }
    named(request, async |request: Request| {
        no_route(&request).into_response()
    })
    .await
}

/// Serves a request under an id of its own.
async fn named<F>(mut request: Request, serve: impl FnOnce(Request) -> F) -> Response
where
    F: Future<Output = Response>,
{
    let id = CallId::fresh();
    request.extensions_mut().insert(RequestId(id));
    let dialect = dialect_of(&request);
    let served = AssertUnwindSafe(serve(request)).catch_unwind();
    let mut response = headers::with_request_id((id, dialect), async move {
        served.await.unwrap_or_else(|panic| {
            let text = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned());
            ApiError::internal(&text.unwrap_or_else(|| "a panic".to_owned())).into_response()
        })
    })
    .await;
    headers::write_request_id(response.headers_mut(), id, dialect);
    response
}

/// Whoever asks as Anthropic's clients do hears of errors as they do. Its list of models has the path of
/// `OpenAI`'s: there its clients are known by their header.
fn dialect_of(request: &Request) -> Dialect {
    let path = request.uri().path();
    let is_anthropic = path.starts_with("/v1/messages")
        || (path.starts_with("/v1/models") && request.headers().contains_key(ANTHROPIC_VERSION));
    if is_anthropic {
        Dialect::Messages
    } else {
        Dialect::Chat
    }
}

/// Refuses what would be too many calls at once, and who shows no key. The permit rides in the
/// response's body: a stream counts until its end, not until its head.
async fn let_in(door: Arc<Door>, mut request: Request, next: Next) -> Response {
    let Ok(permit) = Arc::clone(&door.places).try_acquire_owned() else {
        return ApiError::unavailable("overloaded", "the gateway has too many calls in flight")
            .into_response();
    };
    match door.keys.authenticate(credential(request.headers())) {
        Ok(caller) => request.extensions_mut().insert(caller),
        Err(error) => return ApiError::from(error).into_response(),
    };
    let response = next.run(request).await;
    response.map(|body| {
        Body::new(PermitBody {
            body,
            _permit: permit,
        })
    })
}

/// A body that holds a place among the calls in flight.
struct PermitBody {
    body: Body,
    _permit: OwnedSemaphorePermit,
}

impl http_body::Body for PermitBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The one place that reads credentials: `Authorization: Bearer`, else `x-api-key`, else `api-key`.
pub(crate) fn credential(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    text(AUTHORIZATION)
        .map(|value| {
            value
                .strip_prefix("Bearer ")
                .or_else(|| value.strip_prefix("bearer "))
                .unwrap_or(value)
        })
        .or_else(|| text(X_API_KEY))
        .or_else(|| text(API_KEY))
        .map(str::trim)
        .filter(|credential| !credential.is_empty())
}

/// The caller, for handlers. Only routes behind [`admit`] have one.
pub(crate) struct Authenticated(pub(crate) Arc<Caller>);

impl<S: Sync> FromRequestParts<S> for Authenticated {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let caller = parts.extensions.remove::<Arc<Caller>>();
        caller
            .map(Self)
            .ok_or_else(|| ApiError::internal(&"a route is not behind authentication"))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestId {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        let id = parts.extensions.get::<Self>().copied();
        id.ok_or_else(|| ApiError::internal(&"a request has no id"))
    }
}

/// Lets only the holder of the admin token pass.
pub(crate) async fn require_admin(
    State(token): State<Arc<Secret>>,
    request: Request,
    next: Next,
) -> Response {
    let shown = credential(request.headers()).unwrap_or_default();
    if crate::access::same_secret(shown, &token) {
        return next.run(request).await;
    }
    let hint =
        "send `Authorization: Bearer TOKEN`; the token is in `admin.token` of the data directory";
    let message = "the admin plane needs its token";
    ApiError::of_request(
        StatusCode::UNAUTHORIZED,
        "admin_token_required",
        message,
        Some(hint),
    )
    .into_response()
}
