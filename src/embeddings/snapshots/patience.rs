//! Asking a provider that is busy: as many requests at once as it bears, and again after a while. What each try
//! may cost is held before it, and what it did cost is counted after it, also where its answer cannot be used.

use crate::domain::Cost;
use crate::embeddings::ask::{Asker, Embedded};
use crate::embeddings::snapshots::Error;
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::space::Side;
use crate::proxy::{self, AnswerFacts, Pace};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_util::sync::CancellationToken;

/// How often a request is made that the provider cannot answer, by who has time.
pub(super) const TRIES: u32 = 8;
/// How often a request is made again whose answer was paid and cannot be read: as long as a fault of the moment
/// may have spoiled it.
const PAID_TRIES: u32 = 2;

/// What is needed to ask patiently.
pub(super) struct Patience<'a> {
    pub(super) asker: &'a Asker,
    pub(super) pace: &'a Arc<Pace>,
    /// Set when nothing more is to be begun.
    pub(super) stop: &'a CancellationToken,
    /// How often a request is made that the provider cannot answer.
    pub(super) tries: u32,
    pub(super) purse: &'a Purse,
    /// What a try is reckoned to cost, in pico-dollars.
    pub(super) reckoned: u64,
}

/// Why there are no vectors.
pub(super) enum Impatient {
    /// It was to stop.
    Stopped,
    /// The next try would pass the limit.
    Exceeded,
    /// The provider did not answer in time, with so many tries.
    TooSlow(Box<proxy::Error>, usize),
    /// The provider has no answer.
    Failed(Box<proxy::Error>),
}

/// How many texts a request may have: fewer after one that took too long.
pub(super) struct Portion(AtomicUsize);

impl Portion {
    /// Begins without a limit.
    pub(super) const fn new() -> Self {
        Self(AtomicUsize::new(usize::MAX))
    }

    /// Takes the first portion off `places`, the last of which is to be done next.
    pub(super) fn next(&self, places: &mut Vec<Range<usize>>) -> Option<Range<usize>> {
        let place = places.pop()?;
        let end = place.start.saturating_add(self.0.load(Ordering::Relaxed));
        if end < place.end {
            places.push(end..place.end);
        }
        Some(place.start..end.min(place.end))
    }

    /// Notes that `texts` were too many for the provider, which was asked so often, each time for half as
    /// many. Returns whether fewer can be asked for.
    pub(super) fn shrink(&self, texts: usize, tries: usize) -> bool {
        let halvings = u32::try_from(tries.max(1)).unwrap_or(u32::MAX);
        let fewer = texts.checked_shr(halvings).unwrap_or(0).max(1);
        self.0.fetch_min(fewer, Ordering::Relaxed);
        1 < texts
    }
}

impl Impatient {
    /// Returns the error; `stopped` where it was to stop, `exceeded` where the money is spent.
    pub(super) fn into_error(
        self,
        stopped: impl FnOnce() -> Error,
        exceeded: impl FnOnce() -> Error,
    ) -> Error {
        match self {
            Self::Stopped => stopped(),
            Self::Exceeded => exceeded(),
            Self::TooSlow(error, _) => Error::TooSlow(error),
            Self::Failed(error) => error.into(),
        }
    }
}

impl Patience<'_> {
    /// Asks, and asks again after a while when the provider is not able to answer now; `on_failure` hears of
    /// each try that failed, the how manieth it was, and whether another follows. Who was too slow is not asked again: fewer texts are
    /// to be sent.
    pub(super) async fn ask(
        &self,
        side: Side,
        texts: &[&str],
        on_failure: impl Fn(u32, &AnswerFacts, bool),
    ) -> Result<Embedded, Impatient> {
        let (mut tries, mut paid) = (0, 0);
        loop {
            let reserved = self.purse.reserve(self.reckoned).await;
            let reservation = reserved.map_err(|_| Impatient::Exceeded)?;
            let place = tokio::select! {
                place = self.pace.enter() => place,
                () = self.stop.cancelled() => return Err(Impatient::Stopped),
            };
            let failure = match self.asker.ask(side, texts).await {
                Ok(embedded) => {
                    place.went_well();
                    reservation.settle(&embedded.cost);
                    return Ok(embedded);
                }
                Err(failure) => failure,
            };
            tries += 1;
            if let Some(cost) = failure.facts.cost.as_ref().filter(|cost| is_paid(cost)) {
                paid += 1;
                reservation.settle(cost);
            } else {
                drop(reservation);
            }
            let error = failure.error;
            let was_too_slow = error.was_too_slow();
            let ends = !error.may_succeed_later()
                || self.tries <= tries
                || paid == PAID_TRIES
                || self.stop.is_cancelled();
            on_failure(tries, &failure.facts, !was_too_slow && !ends);
            if !was_too_slow && ends {
                return Err(Impatient::Failed(Box::new(error)));
            }
            place.was_too_much(error.retry_after());
            if was_too_slow {
                // As many texts would take as long, and each try is paid.
                let asked = failure.facts.attempts;
                return Err(Impatient::TooSlow(Box::new(error), asked));
            }
        }
    }
}

/// Whether something is known to have been paid.
fn is_paid(cost: &Cost) -> bool {
    cost.pico_usd.is_some_and(|amount| 0 < amount.0)
}

#[cfg(test)]
mod tests {
    use super::Portion;

    #[test]
    fn after_a_request_that_was_too_slow_all_are_smaller() {
        let portion = Portion::new();
        let mut places: Vec<_> = std::iter::once(0..64).collect();
        let first = portion.next(&mut places).unwrap();
        assert_eq!((first.clone(), places.len()), (0..64, 0));
        // Asked twice, for 64 and for 32 at once.
        assert!(portion.shrink(first.len(), 2));
        places.push(first);
        let mut done = Vec::new();
        while let Some(place) = portion.next(&mut places) {
            done.push(place);
        }
        assert_eq!(done, [0..16, 16..32, 32..48, 48..64]);
        assert!(portion.shrink(16, 9));
        places.push(3..9);
        assert_eq!(portion.next(&mut places), Some(3..4));
        assert!(!portion.shrink(1, 1), "one text cannot be less");
    }
}
