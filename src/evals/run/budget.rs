//! How much a run may spend. What a call may cost is reserved before it is made and settled after it, so
//! that calls under way together cannot overspend.
//!
//! What a call may cost is the most that one of its kind has cost so far. Of the first of a kind nothing
//! is known: it has the whole rest to itself, and the others wait for it.

use crate::domain::{Cost, PicoDollars, Purpose};
use crate::evals::suite;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a call is counted under: its purpose and its model.
pub(super) type CallKind = (Purpose, String);

/// The money of a run.
#[derive(Debug)]
pub(super) struct Budget {
    limits: suite::Budget,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    spent: Sums,
    reserved: Sums,
    /// The most that a call of a kind has cost.
    most: HashMap<CallKind, u64>,
    /// Calls whose cost is not known.
    unknown: u64,
    exceeded: Option<Exceeded>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    total: u64,
    judges: u64,
}

/// Which limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exceeded {
    /// That for everything.
    Total,
    /// That for judges.
    Judges,
}

/// Money that is held for a call under way. Dropped without being settled, it is given back.
#[derive(Debug)]
pub(super) struct Reservation<'a> {
    budget: &'a Budget,
    kind: CallKind,
    amount: u64,
}

impl Sums {
    fn add(&mut self, purpose: Purpose, amount: u64) {
        self.total = self.total.saturating_add(amount);
        if purpose == Purpose::Judge {
            self.judges = self.judges.saturating_add(amount);
        }
    }

    fn take(&mut self, purpose: Purpose, amount: u64) {
        self.total = self.total.saturating_sub(amount);
        if purpose == Purpose::Judge {
            self.judges = self.judges.saturating_sub(amount);
        }
    }
}

/// What came of a try to reserve.
enum Tried {
    Reserved(u64),
    Wait,
    Exceeded(Exceeded),
}

impl Budget {
    /// Begins with what the run has spent before it was cut.
    pub(super) fn new(limits: suite::Budget, cases: PicoDollars, judges: PicoDollars) -> Self {
        let mut spent = Sums::default();
        spent.add(Purpose::Case, cases.0);
        spent.add(Purpose::Judge, judges.0);
        Self {
            limits,
            state: Mutex::new(State {
                spent,
                ..State::default()
            }),
            changed: Notify::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reserves what a call of the kind may cost; waits while calls under way decide whether there is
    /// enough.
    ///
    /// # Errors
    ///
    /// The limit that would be exceeded. From then on every reservation is refused.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub(super) async fn reserve(&self, kind: CallKind) -> Result<Reservation<'_>, Exceeded> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.try_reserve(&kind) {
                Tried::Reserved(amount) => {
                    return Ok(Reservation {
                        budget: self,
                        kind,
                        amount,
                    });
                }
                Tried::Exceeded(exceeded) => {
                    self.changed.notify_waiters();
                    return Err(exceeded);
                }
                Tried::Wait => changed.await,
            }
        }
    }

    fn try_reserve(&self, kind: &CallKind) -> Tried {
        let mut state = self.lock();
        if let Some(exceeded) = state.exceeded {
            return Tried::Exceeded(exceeded);
        }
        let left = |limit: Option<PicoDollars>, spent: u64| {
            limit.map_or(u64::MAX, |limit| limit.0.saturating_sub(spent))
        };
        let total = left(self.limits.total, state.spent.total);
        let judges = match kind.0 {
            Purpose::Judge => left(self.limits.judges, state.spent.judges),
            Purpose::Case | Purpose::Embedding => u64::MAX,
        };
        let which = |is_judges| {
            if is_judges {
                Exceeded::Judges
            } else {
                Exceeded::Total
            }
        };
        if total == u64::MAX && judges == u64::MAX {
            return Tried::Reserved(0);
        }
        let rest = total.min(judges);
        let amount = state.most.get(kind).copied().unwrap_or(rest);
        if rest == 0 || rest < amount {
            let exceeded = which(judges < total);
            state.exceeded = Some(exceeded);
            return Tried::Exceeded(exceeded);
        }
        let free = total.saturating_sub(state.reserved.total);
        let free = free.min(judges.saturating_sub(state.reserved.judges));
        if free < amount {
            return Tried::Wait;
        }
        state.reserved.add(kind.0, amount);
        Tried::Reserved(amount)
    }

    /// Returns which limit was reached, if one was.
    pub(super) fn exceeded(&self) -> Option<Exceeded> {
        self.lock().exceeded
    }

    /// Returns what was spent on cases and on judges, and how many calls have no known cost.
    pub(super) fn spent(&self) -> (PicoDollars, PicoDollars, u64) {
        let state = self.lock();
        let judges = state.spent.judges;
        let cases = state.spent.total.saturating_sub(judges);
        (PicoDollars(cases), PicoDollars(judges), state.unknown)
    }

    /// Counts what was paid before, by a call that is found again.
    pub(super) fn count(&self, purpose: Purpose, cost: &Cost) {
        let mut state = self.lock();
        match cost.pico_usd {
            Some(amount) => state.spent.add(purpose, amount.0),
            None => state.unknown += 1,
        }
    }
}

impl Reservation<'_> {
    /// Counts what the call did cost.
    pub(super) fn settle(self, cost: &Cost) {
        self.budget.count(self.kind.0, cost);
        let amount = cost.pico_usd.map_or(0, |amount| amount.0);
        let mut state = self.budget.lock();
        let most = state.most.entry(self.kind.clone()).or_default();
        *most = amount.max(*most);
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let mut state = self.budget.lock();
        state.reserved.take(self.kind.0, self.amount);
        drop(state);
        self.budget.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::{Budget, CallKind, Exceeded};
    use crate::domain::{Cost, CostQuality, PicoDollars, Purpose};
    use crate::evals::suite;
    use futures_util::FutureExt;

    fn budget(total: Option<u64>, judges: Option<u64>) -> Budget {
        let limits = suite::Budget {
            total: total.map(PicoDollars),
            judges: judges.map(PicoDollars),
            ..suite::Budget::default()
        };
        Budget::new(limits, PicoDollars(0), PicoDollars(0))
    }

    fn kind(purpose: Purpose) -> CallKind {
        (purpose, "m".to_owned())
    }

    fn cost(amount: Option<u64>) -> Cost {
        Cost {
            pico_usd: amount.map(PicoDollars),
            quality: CostQuality::Exact,
            price: None,
        }
    }

    #[tokio::test]
    async fn the_first_of_a_kind_has_the_rest_to_itself() {
        let budget = budget(Some(100), None);
        let first = budget.reserve(kind(Purpose::Case)).await.unwrap();
        let mut second = Box::pin(budget.reserve(kind(Purpose::Case)));
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        first.settle(&cost(Some(30)));
        let second = second.await.unwrap();
        // 30 are spent and 30 reserved: one more fits, and no fourth.
        let third = budget.reserve(kind(Purpose::Case)).await.unwrap();
        let mut fourth = Box::pin(budget.reserve(kind(Purpose::Case)));
        assert!(fourth.as_mut().now_or_never().is_none());
        second.settle(&cost(Some(30)));
        third.settle(&cost(Some(30)));
        assert_eq!(fourth.await.unwrap_err(), Exceeded::Total);
        assert_eq!(budget.spent().0, PicoDollars(90));
        assert_eq!(budget.exceeded(), Some(Exceeded::Total));
    }

    #[tokio::test]
    async fn judges_have_a_limit_of_their_own() {
        let budget = budget(Some(1_000), Some(50));
        for _ in 0..2 {
            let judge = budget.reserve(kind(Purpose::Judge)).await.unwrap();
            judge.settle(&cost(Some(25)));
        }
        let case = budget.reserve(kind(Purpose::Case)).await.unwrap();
        case.settle(&cost(Some(1)));
        let refused = budget.reserve(kind(Purpose::Judge)).await.unwrap_err();
        assert_eq!(refused, Exceeded::Judges);
        assert_eq!(budget.spent(), (PicoDollars(1), PicoDollars(50), 0));
    }

    #[tokio::test]
    async fn what_is_not_known_is_counted_and_what_fails_is_given_back() {
        let budget = budget(Some(10), None);
        drop(budget.reserve(kind(Purpose::Case)).await.unwrap());
        let call = budget.reserve(kind(Purpose::Case)).await.unwrap();
        call.settle(&cost(None));
        assert_eq!(budget.spent().2, 1);
        let unlimited = self::budget(None, None);
        let many = [(); 5].map(|()| unlimited.reserve(kind(Purpose::Case)).now_or_never());
        assert!(many.iter().all(Option::is_some));
    }
}
