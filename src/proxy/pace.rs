//! How many calls a model is asked at once: fewer when it says that it is too much, more again when it
//! goes well.
//!
//! The rule is additive increase, multiplicative decrease: a refusal halves the limit once for all calls
//! that were under way, and as many good answers as the limit raise it by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// The first pause where the provider says none; it doubles with each refusal in a row.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause that is made up here.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The paces of all models that are asked for one purpose.
#[derive(Debug)]
pub struct Paces {
    most: u32,
    delays: HashMap<String, Duration>,
    delay: Duration,
    by_model: Mutex<HashMap<String, Arc<Pace>>>,
}

impl Paces {
    /// Starts every model with `most` calls at once. Between the starts of two calls of a model lies
    /// `delay`, or what `delays` says of it, if that is longer.
    pub fn new(most: u32, delay: Duration, delays: HashMap<String, Duration>) -> Self {
        Self {
            most: most.max(1),
            delays,
            delay,
            by_model: Mutex::default(),
        }
    }

    /// Returns the pace of a model.
    pub fn of(&self, model: &str) -> Arc<Pace> {
        let mut paces = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pace) = paces.get(model) {
            return Arc::clone(pace);
        }
        let delay = self.delays.get(model).copied().unwrap_or_default();
        let pace = Arc::new(Pace::new(self.most, delay.max(self.delay)));
        paces.insert(model.to_owned(), Arc::clone(&pace));
        pace
    }

    /// Returns the lowest limit of all models, for people.
    pub fn lowest(&self) -> u32 {
        let paces = self.by_model.lock().unwrap_or_else(PoisonError::into_inner);
        let limits = paces.values().map(|pace| pace.lock().limit);
        limits.min().unwrap_or(self.most)
    }
}

/// The pace of one model.
#[derive(Debug)]
pub struct Pace {
    state: Mutex<State>,
    changed: Notify,
    most: u32,
    delay: Duration,
}

#[derive(Debug)]
struct State {
    limit: u32,
    in_flight: u32,
    /// Good answers since the limit was changed.
    streak: u32,
    /// Refusals in a row.
    refusals: u32,
    /// Counts the decreases, so that one storm is one.
    epoch: u64,
    not_before: Instant,
}

/// A place among the calls under way; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    pace: Arc<Pace>,
    epoch: u64,
}

impl Pace {
    fn new(most: u32, delay: Duration) -> Self {
        Self {
            state: Mutex::new(State {
                limit: most,
                in_flight: 0,
                streak: 0,
                refusals: 0,
                epoch: 0,
                not_before: Instant::now(),
            }),
            changed: Notify::new(),
            most,
            delay,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a place and for the time to start.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub async fn enter(self: &Arc<Self>) -> Place {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            let wait_until = match self.try_enter() {
                Ok(place) => return place,
                Err(wait_until) => wait_until,
            };
            match wait_until {
                Some(moment) => tokio::time::sleep_until(moment).await,
                None => changed.await,
            }
        }
    }

    /// Takes a place, or says until when to wait; `None` until something changes.
    fn try_enter(self: &Arc<Self>) -> Result<Place, Option<Instant>> {
        let mut state = self.lock();
        if state.limit <= state.in_flight {
            return Err(None);
        }
        let now = Instant::now();
        if now < state.not_before {
            return Err(Some(state.not_before));
        }
        state.in_flight += 1;
        state.not_before = now + self.delay;
        Ok(Place {
            pace: Arc::clone(self),
            epoch: state.epoch,
        })
    }
}

impl Place {
    /// Notes a good answer.
    pub fn went_well(&self) {
        let mut state = self.pace.lock();
        state.refusals = 0;
        state.streak += 1;
        if state.limit <= state.streak && state.limit < self.pace.most {
            state.limit += 1;
            state.streak = 0;
        }
    }

    /// Notes that it was too much; nobody starts before the pause is over.
    pub fn was_too_much(&self, retry_after: Option<Duration>) {
        let mut state = self.pace.lock();
        state.streak = 0;
        if self.epoch == state.epoch {
            state.epoch += 1;
            state.limit = (state.limit / 2).max(1);
            state.refusals = state.refusals.saturating_add(1);
        }
        let doubled = FIRST_PAUSE * 2_u32.pow(state.refusals.saturating_sub(1).min(10));
        let pause = retry_after.unwrap_or(doubled.min(LONGEST_PAUSE));
        state.not_before = state.not_before.max(Instant::now() + pause);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.pace.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        drop(state);
        self.pace.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::Paces;
    use std::collections::HashMap;
    use std::time::Duration;
    use tokio::time::Instant;

    const SECOND: Duration = Duration::from_secs(1);

    fn paces(most: u32, delay: Duration) -> Paces {
        Paces::new(
            most,
            delay,
            HashMap::from([("slow".to_owned(), SECOND * 5)]),
        )
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_halves_the_limit_once_and_good_answers_raise_it() {
        let paces = paces(8, Duration::ZERO);
        let pace = paces.of("m");
        let mut places = Vec::new();
        for _ in 0..8 {
            places.push(pace.enter().await);
        }
        assert!(pace.try_enter().is_err(), "all places are taken");
        let began = Instant::now();
        for place in &places {
            place.was_too_much(Some(SECOND * 3));
        }
        assert_eq!(paces.lowest(), 4);
        drop(places);
        let place = pace.enter().await;
        assert_eq!(
            began.elapsed(),
            SECOND * 3,
            "what the provider says is obeyed"
        );
        place.was_too_much(None);
        assert_eq!(paces.lowest(), 2);
        drop(place);
        for limit in [2, 3, 3, 3, 4, 4, 4, 4, 5] {
            pace.enter().await.went_well();
            assert_eq!(paces.lowest(), limit);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn starts_lie_apart() {
        let paces = paces(4, SECOND);
        let began = Instant::now();
        for (model, expected) in [("m", 2), ("slow", 12)] {
            let pace = paces.of(model);
            for _ in 0..3 {
                drop(pace.enter().await);
            }
            assert_eq!(began.elapsed(), SECOND * expected, "{model}");
        }
    }
}
