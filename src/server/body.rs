//! Reads a request's body within bounds of size and time.

use crate::providers::{Upload, UploadFault};
use crate::proxy;
use crate::server::error::ApiError;
use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
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

/// A body as far as a route wants it.
pub(crate) enum Came {
    /// All of it.
    Whole(Bytes),
    /// Its head, and the rest while it comes.
    Begun(Upload),
}

/// Returns the whole body.
///
/// # Errors
///
/// 413 when it is too large, 400 when the client is too slow or it breaks off.
pub(crate) async fn read(body: Body, limits: BodyLimits) -> Result<Bytes, ApiError> {
    let mut reading = Reading::begin(body, limits).map_err(refused)?;
    reading.until(usize::MAX).await.map_err(refused)?;
    Ok(reading.take())
}

/// Returns the whole body, where it has at most `held` bytes or `is_wanted` of its head; else what came and
/// the rest, which is bounded in the same way while it comes.
///
/// # Errors
///
/// As [`read`], of what is read here.
pub(crate) async fn begin(
    body: Body,
    limits: BodyLimits,
    (held, is_wanted): (usize, impl FnOnce(&[u8]) -> bool),
) -> Result<Came, ApiError> {
    let mut reading = Reading::begin(body, limits).map_err(refused)?;
    reading.until(held).await.map_err(refused)?;
    if !reading.has_ended && is_wanted(reading.head()) {
        reading.until(usize::MAX).await.map_err(refused)?;
    }
    Ok(if reading.has_ended {
        Came::Whole(reading.take())
    } else {
        Came::Begun(reading.into_upload())
    })
}

/// A body that is being read.
struct Reading {
    body: Body,
    limits: BodyLimits,
    end: Instant,
    /// What the head announces, or 0.
    announced: u64,
    first: Option<Bytes>,
    joined: BytesMut,
    has_ended: bool,
}

impl Reading {
    fn begin(body: Body, limits: BodyLimits) -> Result<Self, UploadFault> {
        let announced = http_body::Body::size_hint(&body).lower();
        if usize::try_from(announced).map_or(true, |size| limits.bytes < size) {
            return Err(UploadFault::TooLarge {
                limit: limits.bytes,
            });
        }
        Ok(Self {
            body,
            limits,
            end: Instant::now() + limits.total,
            announced,
            first: None,
            joined: BytesMut::new(),
            has_ended: false,
        })
    }

    fn so_far(&self) -> usize {
        self.first.as_ref().map_or(0, Bytes::len) + self.joined.len()
    }

    fn head(&self) -> &[u8] {
        self.first.as_deref().unwrap_or(&self.joined)
    }

    /// Reads on until it has more than `held` bytes, or all.
    async fn until(&mut self, held: usize) -> Result<(), UploadFault> {
        while !self.has_ended && self.so_far() <= held {
            match next_of(&mut self.body, self.limits, Some(self.end)).await? {
                Some(data) => self.keep(data)?,
                None => self.has_ended = true,
            }
        }
        Ok(())
    }

    fn keep(&mut self, data: Bytes) -> Result<(), UploadFault> {
        let so_far = self.so_far();
        if self.limits.bytes < so_far + data.len() {
            let limit = self.limits.bytes;
            return Err(UploadFault::TooLarge { limit });
        }
        // A large body that comes in one piece is not copied.
        match self.first.take() {
            None if self.joined.is_empty() && data.len() <= COPIED_BYTES => {
                self.first = Some(Bytes::copy_from_slice(&data));
            }
            None if self.joined.is_empty() => self.first = Some(data),
            Some(head) => {
                let expected = usize::try_from(self.announced)
                    .unwrap_or(0)
                    .min(MAX_RESERVED_BYTES);
                self.joined.reserve(expected.max(so_far + data.len()));
                self.joined.extend_from_slice(&head);
                self.joined.extend_from_slice(&data);
            }
            None => self.joined.extend_from_slice(&data),
        }
        Ok(())
    }

    fn take(self) -> Bytes {
        self.first.unwrap_or_else(|| self.joined.freeze())
    }

    /// The rest as it comes, each piece within the bounds. How long all of it may take is the provider's total
    /// clock: who sends waits for who takes.
    fn into_upload(self) -> Upload {
        let (limits, so_far) = (self.limits, self.so_far());
        let length = http_body::Body::size_hint(&self.body).exact();
        let length = length.map(|rest| rest + u64::try_from(so_far).unwrap_or(0));
        let head = self.first.unwrap_or_else(|| self.joined.freeze());
        let rest = stream::unfold(
            (Some(self.body), so_far),
            move |(body, so_far)| async move {
                let mut body = body?;
                match next_of(&mut body, limits, None).await {
                    Ok(None) => None,
                    Ok(Some(data)) if data.len() <= limits.bytes.saturating_sub(so_far) => {
                        let so_far = so_far + data.len();
                        Some((Ok(data), (Some(body), so_far)))
                    }
                    Ok(Some(_)) => {
                        let limit = limits.bytes;
                        Some((Err(UploadFault::TooLarge { limit }), (None, so_far)))
                    }
                    Err(fault) => Some((Err(fault), (None, so_far))),
                }
            },
        );
        Upload::new(head, length, Box::pin(rest))
    }
}

/// Returns the next piece of a body; `None` at its end.
async fn next_of(
    body: &mut Body,
    limits: BodyLimits,
    end: Option<Instant>,
) -> Result<Option<Bytes>, UploadFault> {
    loop {
        let idle = Instant::now() + limits.idle;
        let deadline = end.map_or(idle, |end| end.min(idle));
        let frame = timeout_at(deadline, body.frame()).await;
        let Some(frame) = frame.map_err(|_| UploadFault::TooSlow)? else {
            return Ok(None);
        };
        let frame = frame.map_err(|_| UploadFault::BrokenOff)?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
}

fn refused(fault: UploadFault) -> ApiError {
    ApiError::from(proxy::Error::Upload(fault))
}
