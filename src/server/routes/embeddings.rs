//! `POST /v1/embeddings`: under a model's name, or under that of a snapshot (`embed:docs@production`).

use crate::embeddings::snapshots::{NamedFailure, Snapshots, embedding_name};
use crate::proxy::Proxy;
use crate::server::body::{self, BodyLimits};
use crate::server::error::ApiError;
use crate::server::layers::{Authenticated, RequestId};
use crate::server::routes::chat::{arrival, respond};
use crate::wire::openai::EmbeddingsRequest;
use axum::extract::{Request, State};
use axum::response::Response;
use std::sync::Arc;

/// Embeds texts.
pub(crate) async fn create(
    State(proxy): State<Arc<Proxy>>,
    State(embeddings): State<Arc<Snapshots>>,
    State(limits): State<BodyLimits>,
    Authenticated(caller): Authenticated,
    id: RequestId,
    request: Request,
) -> Result<Response, ApiError> {
    let (head, body) = request.into_parts();
    let body = body::read(body, limits).await?;
    let arrival = arrival(id, &head.headers, &body);
    drop(head);
    let request = EmbeddingsRequest::decode(&body)?;
    if embedding_name(&request.model).is_some() {
        let answer = embeddings.embed(&caller, &arrival, request).await;
        return match answer {
            Ok(answer) => Ok(respond(answer)),
            Err(NamedFailure::Early(error)) => Err(ApiError::of_name(*error)),
            Err(NamedFailure::Call(failure)) => Err(failure.into()),
        };
    }
    let answer = proxy.embed(&caller, &arrival, request).await?;
    Ok(respond(answer))
}
