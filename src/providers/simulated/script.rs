//! A stream of bytes that is played from a script, with its waits and its faults.

use crate::providers::error::{Error, ErrorKind};
use bytes::Bytes;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// One thing that happens in a stream.
#[derive(Debug)]
pub(super) enum Step {
    Wait(Duration),
    Send(Bytes),
    /// The connection breaks.
    Reset,
    /// Nothing happens any more, and the connection stays.
    Stall,
}

/// What happens in a stream, in order.
#[derive(Debug, Default)]
pub(crate) struct Script {
    steps: VecDeque<Step>,
    wait: Option<Pin<Box<Sleep>>>,
}

impl Script {
    /// Appends a step. A wait of zero is none.
    pub(super) fn push(&mut self, step: Step) {
        if !matches!(step, Step::Wait(Duration::ZERO)) {
            self.steps.push_back(step);
        }
    }

    /// Returns the next bytes when it is time for them.
    pub(crate) fn poll_next(
        &mut self,
        context: &mut Context<'_>,
        provider: &str,
    ) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(context));
                self.wait = None;
            }
            match self.steps.pop_front() {
                None => return Poll::Ready(None),
                Some(Step::Wait(duration)) => self.wait = Some(Box::pin(sleep(duration))),
                Some(Step::Send(bytes)) => return Poll::Ready(Some(Ok(bytes))),
                Some(Step::Reset) => {
                    let message = "broke off: simulated failure";
                    let error = Error::sent(ErrorKind::Reset, provider, message);
                    return Poll::Ready(Some(Err(error)));
                }
                Some(Step::Stall) => {
                    self.steps.push_front(Step::Stall);
                    return Poll::Pending;
                }
            }
        }
    }
}
