//! How much making a snapshot may cost. What a request may cost is reserved before it is made and settled
//! after it, so that requests under way together cannot overspend.

use crate::domain::{Cost, PicoDollars};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The money of a snapshot.
#[derive(Debug)]
pub(in crate::embeddings) struct Purse {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    limit: Option<u64>,
    spent: u64,
    reserved: u64,
    /// By how much requests cost more than was reckoned, at most, in thousandths.
    above: u64,
    /// Requests whose cost is not known.
    unknown: u64,
}

/// Money that is held for a request under way. Dropped without being settled, it is given back.
#[derive(Debug)]
pub(in crate::embeddings) struct Reservation<'a> {
    purse: &'a Purse,
    reckoned: u64,
    held: u64,
}

/// The limit would be passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::embeddings) struct Exceeded;

impl Purse {
    pub(in crate::embeddings) fn new(limit: Option<PicoDollars>) -> Self {
        Self::with_spent(limit, PicoDollars::default())
    }

    /// A purse out of which something was paid before.
    pub(in crate::embeddings) fn with_spent(
        limit: Option<PicoDollars>,
        spent: PicoDollars,
    ) -> Self {
        Self {
            state: Mutex::new(State {
                limit: limit.map(|limit| limit.0),
                spent: spent.0,
                ..State::default()
            }),
            changed: Notify::new(),
        }
    }

    /// Sets another limit, for what is reserved from now on.
    pub(in crate::embeddings) fn set_limit(&self, limit: Option<PicoDollars>) {
        self.lock().limit = limit.map(|limit| limit.0);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves what a request is reckoned to cost; waits while requests under way decide whether there is
    /// enough.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub(in crate::embeddings) async fn reserve(
        &self,
        reckoned: u64,
    ) -> Result<Reservation<'_>, Exceeded> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if let Some(tried) = self.try_reserve(reckoned) {
                return tried;
            }
            changed.await;
        }
    }

    /// `None`: it depends on requests under way.
    fn try_reserve(&self, reckoned: u64) -> Option<Result<Reservation<'_>, Exceeded>> {
        let mut state = self.lock();
        let above = reckoned.saturating_mul(state.above).div_ceil(1_000);
        let held = reckoned.saturating_add(above);
        let free = state.limit.map_or(u64::MAX, |limit| {
            limit.saturating_sub(state.spent.saturating_add(state.reserved))
        });
        if held <= free {
            state.reserved = state.reserved.saturating_add(held);
            return Some(Ok(Reservation {
                purse: self,
                reckoned,
                held,
            }));
        }
        (state.reserved == 0).then_some(Err(Exceeded))
    }

    /// Returns what was spent, and how many requests have no known cost.
    pub(in crate::embeddings) fn spent(&self) -> (PicoDollars, u64) {
        let state = self.lock();
        (PicoDollars(state.spent), state.unknown)
    }
}

impl Reservation<'_> {
    /// Counts what the request did cost; where that is not known, what it was reckoned to.
    pub(in crate::embeddings) fn settle(self, cost: &Cost) {
        let mut state = self.purse.lock();
        let amount = cost.pico_usd.map(|amount| amount.0);
        state.unknown += u64::from(amount.is_none());
        let amount = amount.unwrap_or(self.reckoned);
        state.spent = state.spent.saturating_add(amount);
        let more = amount.saturating_sub(self.reckoned).saturating_mul(1_000);
        let above = more.div_ceil(self.reckoned.max(1));
        state.above = state.above.max(above);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.purse.lock();
        state.reserved = state.reserved.saturating_sub(self.held);
        drop(state);
        self.purse.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::{Exceeded, Purse};
    use crate::domain::{Cost, CostQuality, PicoDollars};
    use futures_util::FutureExt as _;

    fn cost(amount: Option<u64>) -> Cost {
        Cost {
            pico_usd: amount.map(PicoDollars),
            quality: CostQuality::Exact,
            price: None,
        }
    }

    #[tokio::test]
    async fn requests_together_never_pass_the_limit() {
        let purse = Purse::new(Some(PicoDollars(100)));
        let first = purse.reserve(60).await.unwrap();
        let mut second = Box::pin(purse.reserve(60));
        assert!(
            second.as_mut().now_or_never().is_none(),
            "it waits for the first"
        );
        first.settle(&cost(Some(30)));
        let second = second.await.unwrap();
        second.settle(&cost(Some(60)));
        assert_eq!(purse.spent(), (PicoDollars(90), 0));
        assert_eq!(purse.reserve(11).await.unwrap_err(), Exceeded);
        drop(purse.reserve(10).await.unwrap());
        purse.reserve(10).await.unwrap().settle(&cost(None));
        assert_eq!(purse.spent(), (PicoDollars(100), 1));
    }

    #[tokio::test]
    async fn what_costs_more_than_reckoned_is_reckoned_with() {
        let purse = Purse::new(Some(PicoDollars(100)));
        purse.reserve(20).await.unwrap().settle(&cost(Some(30)));
        // 70 are left: 47 would cost 70.5.
        assert_eq!(purse.reserve(47).await.unwrap_err(), Exceeded);
        assert!(purse.reserve(46).await.is_ok());
        let unlimited = Purse::new(None);
        assert!(unlimited.reserve(u64::MAX).await.is_ok());
    }
}
