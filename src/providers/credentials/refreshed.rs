//! A value that expires: got when it is needed, shortly before its end got anew, by one caller for all.
//!
//! Who gets it does so inside its own call, with no task of its own and no lock held; when that call is
//! cancelled, the next in line goes on.

use super::{Fault, Fetched};
use crate::domain::Timestamp;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::timeout;

/// How long getting may take, and waiting for who does.
const LIMIT: Duration = Duration::from_secs(15);
/// How long before its end a value is got anew. Google's machines hand out the same token until five
/// minutes before its end, so more would ask in vain.
const AHEAD_MICROS: i64 = 225 * 1_000_000;
/// How long after a try the next one is made: a failure is believed for so long.
const PAUSE_MICROS: i64 = 5 * 1_000_000;
/// How old a value must be to be thrown away because it was refused: a new one would be refused too.
const DOUBT_MICROS: i64 = 60 * 1_000_000;

/// Holds the newest value.
#[derive(Debug)]
pub(super) struct Refreshed<T> {
    state: Mutex<State<T>>,
    /// Told whenever somebody has stopped getting it.
    finished: Notify,
}

#[derive(Debug)]
struct State<T> {
    held: Option<Held<T>>,
    /// What the last try ended with, if it failed.
    fault: Option<Fault>,
    /// When the last try ended.
    tried: Option<Timestamp>,
    is_under_way: bool,
}

#[derive(Debug)]
struct Held<T> {
    value: Arc<T>,
    got: Timestamp,
    expires: Option<Timestamp>,
}

/// What a caller is to do.
enum Next<T> {
    Use(Arc<T>),
    Get,
    Wait,
    Fail(Fault),
}

impl<T> Refreshed<T> {
    pub(super) const fn new() -> Self {
        Self {
            state: Mutex::new(State {
                held: None,
                fault: None,
                tried: None,
                is_under_way: false,
            }),
            finished: Notify::const_new(),
        }
    }

    /// Returns the value; gets it by `fetching` when there is none that lasts, and nobody else does.
    ///
    /// # Errors
    ///
    /// What `fetching` failed with, here or for another caller a moment ago.
    ///
    /// # Cancel safety
    ///
    /// Another caller goes on.
    pub(super) async fn get(
        &self,
        now: Timestamp,
        fetching: impl Future<Output = Result<Fetched<T>, Fault>>,
    ) -> Result<Arc<T>, Fault> {
        loop {
            // Made before the look, so that no end is missed between the look and the wait.
            let finished = self.finished.notified();
            match self.next(now) {
                Next::Use(value) => return Ok(value),
                Next::Fail(fault) => return Err(fault),
                Next::Get => break,
                Next::Wait => timeout(LIMIT, finished).await.map_err(|_| late())?,
            }
        }
        let turn = Turn(self);
        let fetched = timeout(LIMIT, fetching).await.map_err(|_| late()).flatten();
        self.keep(now, fetched).inspect(|_| drop(turn))
    }

    /// Throws the value away if it is not new: it was refused.
    pub(super) fn doubt(&self, now: Timestamp) {
        let mut state = self.lock();
        state
            .held
            .take_if(|held| held.expires.is_some() && held.got.0 + DOUBT_MICROS < now.0);
    }

    fn next(&self, now: Timestamp) -> Next<T> {
        let mut state = self.lock();
        let may_try = state
            .tried
            .is_none_or(|tried| tried.0 + PAUSE_MICROS <= now.0);
        let expires = state.held.as_ref().and_then(|held| held.expires);
        let lasts = |ahead: i64| expires.is_none_or(|end| now.0 < end.0.saturating_sub(ahead));
        if let Some(held) = &state.held
            && lasts(0)
        {
            // Whoever comes first gets the next one, the others use this one meanwhile.
            if lasts(AHEAD_MICROS) || state.is_under_way || !may_try {
                return Next::Use(Arc::clone(&held.value));
            }
        } else if state.is_under_way {
            return Next::Wait;
        } else if let Some(fault) = state.fault.as_ref().filter(|_| !may_try) {
            return Next::Fail(fault.clone());
        }
        state.is_under_way = true;
        Next::Get
    }

    /// Keeps what was got. A failure does not end a value that still lasts.
    fn keep(&self, now: Timestamp, fetched: Result<Fetched<T>, Fault>) -> Result<Arc<T>, Fault> {
        let mut state = self.lock();
        state.tried = Some(now);
        match fetched {
            Ok(Fetched { value, expires }) => {
                let value = Arc::new(value);
                state.fault = None;
                state.held = Some(Held {
                    value: Arc::clone(&value),
                    got: now,
                    expires,
                });
                Ok(value)
            }
            Err(fault) => {
                state.fault = Some(fault.clone());
                let held = state.held.as_ref();
                let lasting = held.filter(|held| held.expires.is_none_or(|expires| now < expires));
                lasting.map(|held| Arc::clone(&held.value)).ok_or(fault)
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Somebody gets the value; wakes those who wait, however it ends.
struct Turn<'a, T>(&'a Refreshed<T>);

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        self.0.lock().is_under_way = false;
        self.0.finished.notify_waiters();
    }
}

fn late() -> Fault {
    Fault::new(
        format!("got no credentials within {LIMIT:?}"),
        "check the network between here and where the credentials come from",
    )
}

#[cfg(test)]
mod tests {
    use super::super::{Fault, Fetched};
    use super::Refreshed;
    use crate::domain::Timestamp;
    use std::future::{self, Ready};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use tokio::sync::Semaphore;
    use tokio_util::task::TaskTracker;

    fn at(seconds: i64) -> Timestamp {
        Timestamp(seconds * 1_000_000)
    }

    fn ready(value: u32, expires: i64) -> Ready<Result<Fetched<u32>, Fault>> {
        let expires = Some(at(expires));
        future::ready(Ok(Fetched { value, expires }))
    }

    fn failing() -> Ready<Result<Fetched<u32>, Fault>> {
        future::ready(Err(Fault::new("broke", "mend it")))
    }

    #[tokio::test]
    async fn a_value_is_kept_until_shortly_before_its_end() {
        let cell = Refreshed::new();
        for (now, next, expected) in [
            (0, 1, 1),
            (10, 2, 1),
            // 225 s before its end.
            (3_374, 2, 1),
            (3_375, 2, 2),
            (3_376, 3, 2),
            // Long after it.
            (9_000, 4, 4),
        ] {
            let got = cell
                .get(at(now), ready(next, i64::from(next) * 3_600))
                .await;
            assert_eq!(*got.unwrap(), expected, "{now}");
        }
    }

    #[tokio::test]
    async fn a_failure_is_believed_for_a_moment_and_ends_no_value_that_lasts() {
        let cell = Refreshed::new();
        assert_eq!(
            cell.get(at(0), failing()).await.unwrap_err().message,
            "broke"
        );
        assert!(cell.get(at(4), ready(1, 3_600)).await.is_err());
        assert_eq!(*cell.get(at(5), ready(1, 3_600)).await.unwrap(), 1);
        assert_eq!(*cell.get(at(3_500), failing()).await.unwrap(), 1);
        assert_eq!(*cell.get(at(3_501), ready(2, 7_200)).await.unwrap(), 1);
        assert!(cell.get(at(3_700), failing()).await.is_err());
    }

    #[tokio::test]
    async fn a_refused_value_goes_unless_it_is_new_or_forever() {
        let cell = Refreshed::new();
        cell.get(at(0), ready(1, 3_600)).await.unwrap();
        cell.doubt(at(30));
        assert_eq!(*cell.get(at(30), ready(2, 3_600)).await.unwrap(), 1);
        cell.doubt(at(61));
        assert_eq!(*cell.get(at(61), ready(2, 3_600)).await.unwrap(), 2);
        let forever = Refreshed::new();
        let value = async {
            Ok(Fetched {
                value: 1,
                expires: None,
            })
        };
        forever.get(at(0), value).await.unwrap();
        forever.doubt(at(100));
        assert_eq!(*forever.get(at(100), failing()).await.unwrap(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn one_gets_it_for_twenty() {
        let cell = Arc::new(Refreshed::new());
        let (count, gate) = (Arc::new(AtomicU32::new(0)), Arc::new(Semaphore::new(0)));
        let tracker = TaskTracker::new();
        let get = async |cell: Arc<Refreshed<u32>>, count: Arc<AtomicU32>, gate: Arc<Semaphore>| {
            let fetching = async {
                count.fetch_add(1, Ordering::SeqCst);
                gate.acquire().await.unwrap().forget();
                ready(7, 3_600).await
            };
            *cell.get(at(0), fetching).await.unwrap()
        };
        let mut tasks = Vec::new();
        for _ in 0..20 {
            let getting = get(Arc::clone(&cell), Arc::clone(&count), Arc::clone(&gate));
            tasks.push(tracker.spawn(getting));
        }
        gate.add_permits(1);
        for task in tasks {
            assert_eq!(task.await.unwrap(), 7);
        }
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_caller_that_leaves_lets_the_next_go_on() {
        let cell = Refreshed::new();
        let mut leaving = Box::pin(cell.get(at(0), future::pending()));
        let mut waiting = Box::pin(cell.get(at(0), ready(3, 3_600)));
        assert!(futures_util::poll!(&mut leaving).is_pending());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        drop(leaving);
        assert_eq!(*waiting.await.unwrap(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn every_wait_ends() {
        let cell: Refreshed<u32> = Refreshed::new();
        let getting = cell.get(at(0), future::pending());
        let waiting = cell.get(at(0), future::pending());
        let (got, waited) = tokio::join!(getting, waiting);
        assert!(got.unwrap_err().message.contains("within 15s"));
        assert!(waited.unwrap_err().message.contains("within 15s"));
    }
}
