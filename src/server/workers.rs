//! Threads that carry connections, one a core, each with a runtime of its own: a call stays on one
//! thread from its first byte to its last, so nothing on its way wakes another core.
//!
//! A connection is handed out once, to the thread that carries the fewest. Load that sits on few
//! connections may therefore be uneven; a runtime that steals work would even it out, at a price
//! that every call pays.

use std::future::Future;
use std::io;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shorter than any limit that is set for every request.
const TICK: Duration = Duration::from_secs(1);

/// The threads. Dropping them ends what they still carry.
#[derive(Debug)]
pub struct Workers {
    workers: Vec<Worker>,
    stop: CancellationToken,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    carried: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// Counts a connection for as long as it lives.
#[derive(Debug)]
struct Load(Arc<AtomicUsize>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Workers {
    /// Starts `count` threads.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads or descriptors.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let workers = (0..count.get()).map(|number| Worker::start(number, stop.clone()));
        Ok(Self {
            workers: workers.collect::<io::Result<_>>()?,
            stop,
        })
    }

    /// Returns no threads of its own: connections are carried by the runtime of the caller.
    #[must_use]
    pub fn here() -> Self {
        Self {
            workers: vec![Worker {
                runtime: Handle::current(),
                carried: Arc::default(),
                thread: None,
            }],
            stop: CancellationToken::new(),
        }
    }

    /// Carries `connection` on the thread that carries the fewest; `tracker` knows when it ends.
    pub(super) fn carry<F>(&self, tracker: &TaskTracker, connection: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let least = |worker: &&Worker| worker.carried.load(Ordering::Relaxed);
        let Some(worker) = self.workers.iter().min_by_key(least) else {
            return;
        };
        worker.carried.fetch_add(1, Ordering::Relaxed);
        let load = Load(Arc::clone(&worker.carried));
        let carried = async move {
            connection.await;
            drop(load);
        };
        tracker.spawn_on(carried, &worker.runtime);
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.cancel();
        for worker in &mut self.workers {
            if worker
                .thread
                .take()
                .is_some_and(|thread| thread.join().is_err())
            {
                tracing::error!("a thread that carries connections had panicked");
            }
        }
    }
}

impl Worker {
    fn start(number: usize, stop: CancellationToken) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name(format!("calls-{number}"))
            .spawn(move || runtime.block_on(tick_until(stop)))?;
        Ok(Self {
            runtime: handle,
            carried: Arc::default(),
            thread: Some(thread),
        })
    }
}

/// Waits for `stop` with a timer that is always due before those of calls. A timer that is due before
/// all others makes the runtime wake itself, by two system calls, and each request sets some.
async fn tick_until(stop: CancellationToken) {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Workers;
    use std::collections::BTreeMap;
    use std::num::NonZeroUsize;
    use std::sync::{Arc, Mutex};
    use tokio::sync::Notify;
    use tokio_util::task::TaskTracker;

    #[tokio::test]
    async fn each_thread_carries_as_many_as_the_others() {
        let workers = Workers::start(NonZeroUsize::new(3).unwrap()).unwrap();
        let tracker = TaskTracker::new();
        let names: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let end = Arc::new(Notify::new());
        for _ in 0..9 {
            let (names, end) = (Arc::clone(&names), Arc::clone(&end));
            let ended = end.notified_owned();
            workers.carry(&tracker, async move {
                let name = std::thread::current().name().unwrap().to_owned();
                *names.lock().unwrap().entry(name).or_default() += 1;
                ended.await;
            });
        }
        end.notify_waiters();
        tracker.close();
        tracker.wait().await;
        let counts: Vec<usize> = names.lock().unwrap().values().copied().collect();
        assert_eq!(counts, [3, 3, 3]);
    }
}
