//! A body that knows when it was delivered.

use crate::proxy::AfterAnswer;
use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Begins what comes after an answer once all of it was taken; not when the client leaves before.
pub(crate) struct DeliveredBody {
    body: Body,
    after: Option<AfterAnswer>,
}

impl DeliveredBody {
    /// Returns `body` with `after` behind it.
    pub(crate) const fn new(body: Body, after: AfterAnswer) -> Self {
        let after = Some(after);
        Self { body, after }
    }
}

impl http_body::Body for DeliveredBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let is_broken = matches!(frame, Some(Err(_)));
        // A body of one piece is not asked again after its last.
        if frame.is_none() || self.body.is_end_stream() {
            let after = self.after.take();
            if let Some(after) = after.filter(|_| !is_broken) {
                after.delivered();
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
