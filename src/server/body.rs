//! Reads a request's body within bounds of size and time.

use crate::server::error::ApiError;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The most that is reserved for a body because its head announces a length.
const MAX_RESERVED_BYTES: usize = 1024 * 1024;

/// A body up to this size is copied out of the buffer that its connection reads into. That buffer (8 KiB)
/// is then used again; else each open call would keep it, and its connection would need a second one.
const COPIED_BYTES: usize = 4096;

/// Bounds of a request's body.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// The largest body, in bytes.
    pub bytes: usize,
    /// How long a client may be silent.
    pub idle: Duration,
    /// How long the whole body may take.
    pub total: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            bytes: 10 * 1024 * 1024,
            idle: Duration::from_secs(15),
            total: Duration::from_secs(120),
        }
    }
}

/// Returns the whole body.
///
/// # Errors
///
/// 413 when it is too large, 408 when the client is too slow, 400 when it breaks off.
pub(crate) async fn read(mut body: Body, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let announced = http_body::Body::size_hint(&body).lower();
    if usize::try_from(announced).map_or(true, |size| limits.bytes < size) {
        return Err(too_large(limits));
    }
    let end = Instant::now() + limits.total;
    let mut first: Option<Bytes> = None;
    let mut joined = BytesMut::new();
    loop {
        let deadline = end.min(Instant::now() + limits.idle);
        let Some(frame) = timeout_at(deadline, body.frame())
            .await
            .map_err(|_| too_slow())?
        else {
            break;
        };
        let frame = frame.map_err(|_| broken_off())?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let so_far = first.as_ref().map_or(0, Bytes::len) + joined.len();
        if limits.bytes < so_far + data.len() {
            return Err(too_large(limits));
        }
        // A large body that comes in one piece is not copied.
        match &first {
            None if joined.is_empty() && data.len() <= COPIED_BYTES => {
                first = Some(Bytes::copy_from_slice(&data));
            }
            None if joined.is_empty() => first = Some(data),
            Some(head) => {
                let expected = usize::try_from(announced)
                    .unwrap_or(0)
                    .min(MAX_RESERVED_BYTES);
                joined.reserve(expected.max(so_far + data.len()));
                joined.extend_from_slice(head);
                joined.extend_from_slice(&data);
                first = None;
            }
            None => joined.extend_from_slice(&data),
        }
    }
    Ok(first.unwrap_or_else(|| joined.freeze()))
}

fn too_large(limits: BodyLimits) -> ApiError {
    ApiError::of_request(
        StatusCode::PAYLOAD_TOO_LARGE,
        "request_too_large",
        format!("the body is larger than {} bytes", limits.bytes),
        Some("send less, or raise `server.max_body` in promptgate.toml"),
    )
}

fn too_slow() -> ApiError {
    ApiError::of_request(
        StatusCode::BAD_REQUEST,
        "request_timeout",
        "the body did not come in time",
        None,
    )
}

fn broken_off() -> ApiError {
    ApiError::of_request(
        StatusCode::BAD_REQUEST,
        "request_incomplete",
        "the body broke off",
        None,
    )
}
