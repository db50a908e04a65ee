//! Asking a provider that is busy: as many requests at once as it bears, and again after a while.

use crate::embeddings::ask::{Asker, Embedded};
use crate::embeddings::space::Side;
use crate::proxy::{self, Pace};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How often a request is made again that the provider could not answer.
const TRIES: u32 = 8;

/// What is needed to ask patiently.
pub(super) struct Patience<'a> {
    pub(super) asker: &'a Asker,
    pub(super) pace: &'a Arc<Pace>,
    /// Set when nothing more is to be begun.
    pub(super) stop: &'a CancellationToken,
}

/// Why there are no vectors.
pub(super) enum Impatient {
    /// It was to stop.
    Stopped,
    /// The provider has no answer.
    Failed(Box<proxy::Error>),
}

impl Patience<'_> {
    /// Asks, and asks again after a while when the provider is not able to answer now; `on_retry` hears of
    /// each time.
    pub(super) async fn ask(
        &self,
        side: Side,
        texts: &[&str],
        on_retry: impl Fn(),
    ) -> Result<Embedded, Impatient> {
        let mut tries = 0;
        loop {
            let place = tokio::select! {
                place = self.pace.enter() => place,
                () = self.stop.cancelled() => return Err(Impatient::Stopped),
            };
            let failure = match self.asker.ask(side, texts).await {
                Ok(embedded) => {
                    place.went_well();
                    return Ok(embedded);
                }
                Err(failure) => failure,
            };
            tries += 1;
            let error = failure.error;
            if !error.may_succeed_later() || tries == TRIES || self.stop.is_cancelled() {
                return Err(Impatient::Failed(Box::new(error)));
            }
            place.was_too_much(error.retry_after());
            on_retry();
        }
    }
}
