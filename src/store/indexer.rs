//! The thread `indexer`: it follows the journal and keeps the index, and rebuilds it when it breaks.
//!
//! Ended calls come by memory, in batches. When the indexer is too far behind, or has just begun, it
//! reads the journal's files instead, so the memory it takes is bounded and nothing is missed.

use crate::domain::Clock;
use crate::store::Error;
use crate::store::catch_up::CatchUp;
use crate::store::feed::FEED_ROWS;
use crate::store::frame::Position;
use crate::store::index::Index;
use crate::store::journal::{Journal, State};
use crate::store::row::IndexedRow;
use crate::store::runs::PlacedEntry;
use crate::store::segment::Source;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::watch;

/// How long rows are gathered at most for one batch when no query wants them: small batches cost
/// three times as much per call, because each writes its sums.
const GATHER_STEPS: u32 = 5;
/// After each step those who follow the tail are told.
const GATHER_STEP: Duration = Duration::from_millis(200);
/// How long a broken index is left alone before the next try: less than a query waits.
const PAUSE: Duration = Duration::from_secs(5);

/// The follower of a journal.
#[derive(Debug)]
pub(super) struct Indexer {
    journal: Arc<Journal>,
    dir: PathBuf,
    cache_bytes: u64,
    clock: Clock,
    status: Mutex<Status>,
    changed: Condvar,
    /// Changes when calls may have ended.
    pub(super) ticks: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Status {
    index: Option<Arc<Index>>,
    indexed_to: Position,
    /// Somebody asked for a new index.
    is_rebuild_asked: bool,
    is_stopped: bool,
}

/// Why the follower came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Stopping,
    Rebuild,
}

impl Indexer {
    /// Follows `journal` with an index in `dir`.
    pub(super) fn new(journal: Arc<Journal>, dir: PathBuf, cache_bytes: u64, clock: Clock) -> Self {
        Self {
            journal,
            dir,
            cache_bytes,
            clock,
            status: Mutex::default(),
            changed: Condvar::new(),
            ticks: watch::channel(0).0,
        }
    }

    /// Starts the thread.
    pub(super) fn spawn(self: &Arc<Self>) -> io::Result<JoinHandle<()>> {
        let indexer = Arc::clone(self);
        std::thread::Builder::new()
            .name("indexer".to_owned())
            .spawn(move || indexer.run())
    }

    fn status(&self) -> MutexGuard<'_, Status> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the index has been opened.
    pub(super) fn is_open(&self) -> bool {
        self.status().index.is_some()
    }

    /// Returns the index once it holds all that was appended before this call.
    ///
    /// # Errors
    ///
    /// `IndexBehind` when that takes longer than `deadline`; `Closed` when the store is closed.
    pub(super) fn ready(&self, deadline: Duration) -> Result<Arc<Index>, Error> {
        let target = self.want();
        let is_behind = |status: &mut Status| {
            let is_ready = status.index.is_some() && target <= status.indexed_to;
            !status.is_stopped && (!is_ready || status.is_rebuild_asked)
        };
        let waited = self
            .changed
            .wait_timeout_while(self.status(), deadline, is_behind);
        let (status, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(Error::IndexBehind { waited: deadline });
        }
        let index = status.index.clone().filter(|_| !status.is_stopped);
        index.ok_or(Error::Closed)
    }

    /// Makes the index anew from the journal and returns when that is done.
    pub(super) fn rebuild(&self) -> Result<(), Error> {
        self.status().is_rebuild_asked = true;
        let target = self.want();
        let is_behind = |status: &mut Status| {
            let is_done = !status.is_rebuild_asked && target <= status.indexed_to;
            !status.is_stopped && !is_done
        };
        let waited = self.changed.wait_while(self.status(), is_behind);
        let status = waited.unwrap_or_else(PoisonError::into_inner);
        if status.is_stopped {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Wakes the thread; returns the journal's end.
    fn want(&self) -> Position {
        let mut state = self.journal.lock();
        state.feed.is_wanted = true;
        self.journal.feed_wake.notify_one();
        state.end()
    }

    fn run(&self) {
        let mut failures = 0;
        loop {
            let result = catch_unwind(AssertUnwindSafe(|| self.follow()));
            self.status().index = None;
            match result {
                Ok(Ok(End::Stopping)) => break,
                Ok(Ok(End::Rebuild)) => {
                    self.remove();
                    continue;
                }
                // A full or failing disk says nothing against what is on it already.
                Ok(Err(
                    error @ Error::Sled {
                        source: sled::Error::Io(..),
                        ..
                    },
                )) => {
                    tracing::error!(%error, "the index cannot be written, it is tried again later");
                    failures = 2;
                }
                Ok(Err(error)) => {
                    tracing::error!(%error, "the index failed, it is rebuilt from the journal");
                    self.set_aside();
                    failures += 1;
                }
                Err(_) => {
                    tracing::error!("the index panicked, it is rebuilt from the journal");
                    self.set_aside();
                    failures += 1;
                }
            }
            if 1 < failures {
                self.pause();
            }
            if self.is_stopping() {
                break;
            }
        }
        self.status().is_stopped = true;
        self.changed.notify_all();
    }

    fn is_stopping(&self) -> bool {
        self.journal.lock().is_stopping
    }

    /// Opens the index and follows the journal until something ends it.
    fn follow(&self) -> Result<End, Error> {
        let index = Arc::new(Index::open(&self.dir, self.cache_bytes)?);
        let mut indexed_to = index.indexed_to()?;
        if self.is_ahead(indexed_to)? {
            tracing::error!("the index is ahead of the journal, it is rebuilt");
            return Ok(End::Rebuild);
        }
        // What was taken from memory before may not be in this index.
        self.journal.lock().feed.lose();
        {
            let mut status = self.status();
            if status.is_rebuild_asked && indexed_to != Position::default() {
                return Ok(End::Rebuild);
            }
            status.is_rebuild_asked = false;
            status.indexed_to = indexed_to;
            status.index = Some(Arc::clone(&index));
        }
        loop {
            let batch = self.take();
            if batch.is_lost {
                // At the end of the process the files are left to the next start.
                if !batch.is_last {
                    indexed_to = self.catch_up(&index, indexed_to, batch.end)?;
                }
            } else {
                if !batch.rows.is_empty() || !batch.entries.is_empty() {
                    index.apply(&batch.rows, &batch.entries, batch.end)?;
                }
                indexed_to = batch.end;
            }
            self.publish(indexed_to);
            if batch.is_last {
                index.flush()?;
                return Ok(End::Stopping);
            }
            if self.status().is_rebuild_asked {
                return Ok(End::Rebuild);
            }
        }
    }

    /// Reads the files from `indexed_to` to `end`; returns how far it came.
    pub(super) fn catch_up(
        &self,
        index: &Index,
        indexed_to: Position,
        end: Position,
    ) -> Result<Position, Error> {
        let mut catch_up = CatchUp::new(&self.journal, index, indexed_to);
        catch_up.run(end, |end| self.publish(end))?;
        let indexed_to = catch_up.indexed_to();
        if indexed_to < end {
            // What was appended meanwhile must not be taken from memory: the index would pass over
            // what lies between.
            self.journal.lock().feed.lose();
        }
        Ok(indexed_to)
    }

    /// Whether the index has read more than there is: the disk lost the journal's tail.
    fn is_ahead(&self, indexed_to: Position) -> Result<bool, Error> {
        if indexed_to == Position::default() {
            return Ok(false);
        }
        if self.journal.lock().end() < indexed_to {
            return Ok(true);
        }
        let dir = &self.journal.dir;
        // A segment that was dropped by age is behind, not ahead.
        let Some(source) = Source::open(dir, indexed_to.segment)? else {
            return Ok(false);
        };
        let length = source.len().map_err(Error::io("read", dir))?;
        Ok(length < indexed_to.offset)
    }

    fn publish(&self, indexed_to: Position) {
        let mut status = self.status();
        let is_new = status.indexed_to < indexed_to;
        status.indexed_to = indexed_to;
        drop(status);
        self.changed.notify_all();
        if is_new {
            self.tick();
        }
    }

    fn tick(&self) {
        self.ticks
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Waits for rows, gathers some more, and takes them.
    fn take(&self) -> Batch {
        let wake = &self.journal.feed_wake;
        let is_idle = |state: &mut State| {
            let feed = &state.feed;
            !state.is_stopping && feed.is_empty() && !feed.is_lost && !feed.is_wanted
        };
        let state = wake.wait_while(self.journal.lock(), is_idle);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        let may_gather = |state: &mut State| {
            let feed = &state.feed;
            let is_small = feed.rows.len() < FEED_ROWS && !feed.is_lost;
            !state.is_stopping && is_small && !feed.is_wanted
        };
        for _ in 0..GATHER_STEPS {
            let waited = wake.wait_timeout_while(state, GATHER_STEP, may_gather);
            let (waited, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            state = waited;
            if !state.feed.rows.is_empty() {
                self.tick();
            }
            if !timeout.timed_out() {
                break;
            }
        }
        let feed = std::mem::take(&mut state.feed);
        Batch {
            rows: feed.rows,
            entries: feed.entries,
            is_lost: feed.is_lost,
            end: state.end(),
            is_last: state.is_stopping,
        }
    }

    fn remove(&self) {
        if let Err(error) = fs::remove_dir_all(&self.dir) {
            tracing::error!(%error, "cannot remove the old index");
            self.set_aside();
        }
    }

    /// Keeps a broken index for those who want to know why.
    fn set_aside(&self) {
        let seconds = self.clock.now().unix_seconds();
        let aside = self.dir.with_extension(format!("broken-{seconds}"));
        if let Err(error) = fs::rename(&self.dir, &aside) {
            tracing::error!(%error, "cannot set the broken index aside");
        }
    }

    fn pause(&self) {
        let is_waiting = |state: &mut State| !state.is_stopping;
        let wake = &self.journal.feed_wake;
        drop(wake.wait_timeout_while(self.journal.lock(), PAUSE, is_waiting));
    }
}

/// What was taken from the feed.
struct Batch {
    rows: Vec<IndexedRow>,
    entries: Vec<PlacedEntry>,
    is_lost: bool,
    end: Position,
    is_last: bool,
}
