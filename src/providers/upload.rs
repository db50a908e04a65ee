//! The body of a raw request that goes out while it comes in: its head is held, the rest passes through and
//! is counted and hashed on the way.
//!
//! Invariant: nothing of the rest is taken before somebody can send it, so that the request may be made
//! anew until then.

use crate::domain::PassedBody;
use bytes::Bytes;
use futures_util::Stream;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::sync::Notify;

/// The part of a body that is still to come.
pub type UploadStream = Pin<Box<dyn Stream<Item = Result<Bytes, UploadFault>> + Send>>;

/// Why a body did not come whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UploadFault {
    /// It is longer than is taken.
    #[error("the body is larger than {limit} bytes")]
    TooLarge {
        /// The most bytes.
        limit: usize,
    },
    /// The client was silent for too long.
    #[error("the body did not come in time")]
    TooSlow,
    /// The client left.
    #[error("the body broke off")]
    BrokenOff,
}

/// A body that comes while it is sent. Clones are the same body.
#[derive(Clone)]
pub struct Upload(Arc<Shared>);

struct Shared {
    head: Bytes,
    length: Option<u64>,
    state: Mutex<State>,
    /// Told when nothing more comes.
    ended: Notify,
}

struct State {
    rest: UploadStream,
    hash: Sha256,
    bytes: u64,
    has_begun: bool,
    end: Option<Result<(), UploadFault>>,
}

impl fmt::Debug for Upload {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Upload")
            .field("head", &self.0.head.len())
            .field("length", &self.0.length)
            .finish_non_exhaustive()
    }
}

impl Upload {
    /// Returns the body that begins with `head` and goes on with `rest`; `length` bytes in all, where that was
    /// announced.
    #[must_use]
    pub fn new(head: Bytes, length: Option<u64>, rest: UploadStream) -> Self {
        let state = State {
            hash: Sha256::new_with_prefix(&head),
            bytes: u64::try_from(head.len()).unwrap_or(u64::MAX),
            rest,
            has_begun: false,
            end: None,
        };
        Self(Arc::new(Shared {
            head,
            length,
            state: Mutex::new(state),
            ended: Notify::new(),
        }))
    }

    /// Returns how many bytes were announced.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.0.length
    }

    /// Whether more than the held head was taken, so that it cannot be sent again.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.lock().has_begun
    }

    /// Returns why it did not come whole, if that is so.
    #[must_use]
    pub fn fault(&self) -> Option<UploadFault> {
        self.lock().end.and_then(Result::err)
    }

    /// Returns what is known of it by now.
    #[must_use]
    pub fn sum(&self) -> PassedBody {
        let state = self.lock();
        let digest = state.hash.clone().finalize();
        PassedBody {
            bytes: state.bytes,
            sha256: digest.iter().map(|byte| format!("{byte:02x}")).collect(),
            is_whole: state.end == Some(Ok(())),
        }
    }

    /// Waits for all of it, for those who cannot send it piece by piece.
    ///
    /// # Errors
    ///
    /// When it does not come whole.
    pub async fn whole(&self) -> Result<Bytes, UploadFault> {
        let mut whole = bytes::BytesMut::from(&*self.0.head);
        while let Some(chunk) = poll_fn(|context| self.poll_rest(context)).await {
            whole.extend_from_slice(&chunk?);
        }
        Ok(whole.freeze())
    }

    /// Waits until nothing more comes.
    pub(super) async fn ended(&self) {
        loop {
            let ended = self.0.ended.notified();
            tokio::pin!(ended);
            ended.as_mut().enable();
            if self.lock().end.is_some() {
                return;
            }
            ended.await;
        }
    }

    fn poll_rest(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadFault>>> {
        let mut state = self.lock();
        match state.end {
            Some(Ok(())) => return Poll::Ready(None),
            Some(Err(fault)) => return Poll::Ready(Some(Err(fault))),
            None => {}
        }
        let next = ready!(state.rest.as_mut().poll_next(context));
        state.has_begun = true;
        match &next {
            Some(Ok(chunk)) => {
                state.hash.update(chunk);
                state.bytes += u64::try_from(chunk.len()).unwrap_or(0);
                // Who sends what was announced asks for no more.
                if self.0.length == Some(state.bytes) {
                    state.end = Some(Ok(()));
                }
            }
            Some(Err(fault)) => state.end = Some(Err(*fault)),
            None => state.end = Some(Ok(())),
        }
        if state.end.is_some() {
            self.0.ended.notify_waiters();
        }
        Poll::Ready(next)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The body of a request to a provider.
#[derive(Debug)]
pub(super) enum RequestBody {
    /// All of it; `None` when it was taken.
    Whole(Option<Bytes>),
    /// One that comes while it is sent.
    Upload {
        /// The held head; `None` when it was taken.
        head: Option<Bytes>,
        /// What comes behind.
        upload: Upload,
        /// How many bytes were given.
        given: u64,
    },
}

impl RequestBody {
    /// Returns a body that is there.
    pub(super) fn whole(bytes: Bytes) -> Self {
        Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty()))
    }

    /// Returns `upload` from its start.
    pub(super) fn upload(upload: &Upload) -> Self {
        Self::Upload {
            head: Some(upload.0.head.clone()).filter(|head| !head.is_empty()),
            upload: upload.clone(),
            given: 0,
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = UploadFault;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UploadFault>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Upload {
                head,
                upload,
                given,
            } => {
                let next = match head.take() {
                    Some(head) => Some(Ok(head)),
                    None => ready!(upload.poll_rest(context)),
                };
                if let Some(Ok(chunk)) = &next {
                    *given += u64::try_from(chunk.len()).unwrap_or(0);
                }
                Poll::Ready(next.map(|chunk| chunk.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                let length = bytes.as_ref().map_or(0, Bytes::len);
                SizeHint::with_exact(u64::try_from(length).unwrap_or(u64::MAX))
            }
            Self::Upload { upload, given, .. } => {
                upload.length().map_or_else(SizeHint::new, |length| {
                    SizeHint::with_exact(length.saturating_sub(*given))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{RequestBody, Upload, UploadFault};
    use crate::domain::sha256_hex;
    use bytes::Bytes;
    use futures_util::stream;
    use http_body::Body as _;
    use http_body_util::BodyExt;

    fn upload(rest: Vec<Result<Bytes, UploadFault>>, length: Option<u64>) -> Upload {
        let rest = Box::pin(stream::iter(rest));
        Upload::new(Bytes::from_static(b"head "), length, rest)
    }

    #[tokio::test]
    async fn a_body_passes_through_and_is_counted_and_hashed() {
        let rest = vec![
            Ok(Bytes::from_static(b"and ")),
            Ok(Bytes::from_static(b"rest")),
        ];
        let upload = upload(rest, Some(13));
        let body = RequestBody::upload(&upload);
        assert_eq!(body.size_hint().exact(), Some(13));
        assert!(!upload.has_begun() && !upload.sum().is_whole);
        assert_eq!(body.collect().await.unwrap().to_bytes(), "head and rest");
        upload.ended().await;
        let sum = upload.sum();
        assert_eq!((sum.bytes, sum.is_whole), (13, true));
        assert_eq!(sum.sha256, sha256_hex(b"head and rest"));
        assert!(upload.has_begun());
    }

    #[tokio::test]
    async fn the_head_can_be_sent_again_until_more_is_taken() {
        let upload = upload(vec![Ok(Bytes::from_static(b"rest"))], None);
        let mut first = RequestBody::upload(&upload);
        let frame = first.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "head ");
        assert!(!upload.has_begun());
        drop(first);
        let again = RequestBody::upload(&upload);
        assert_eq!(again.collect().await.unwrap().to_bytes(), "head rest");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_says_so() {
        let rest = vec![Ok(Bytes::from_static(b"x")), Err(UploadFault::BrokenOff)];
        let upload = upload(rest, None);
        assert_eq!(upload.whole().await, Err(UploadFault::BrokenOff));
        assert_eq!(upload.fault(), Some(UploadFault::BrokenOff));
        let sum = upload.sum();
        assert_eq!((sum.bytes, sum.is_whole), (6, false));
    }

    #[test]
    fn an_empty_body_is_none() {
        assert!(RequestBody::whole(Bytes::new()).is_end_stream());
        let body = RequestBody::whole(Bytes::from_static(b"abc"));
        assert_eq!(body.size_hint().exact(), Some(3));
    }
}
