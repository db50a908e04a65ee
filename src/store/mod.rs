//! The durable record: a journal that is the truth, and an index over it that can be rebuilt.
//!
//! ```text
//! data/lock            one process at a time        data/journal/   segments, the truth
//! data/layout.json     the layout's number          data/index/     sled, made from the journal
//! data/ballast         space for bad times          data/registry/  sled, keys and settings
//!                                                   data/bundles/   served versions by hash
//!                                                   data/numbers/   version numbers, made from Git
//!                                                   data/answers/   answers kept for evals, may be thrown away
//!                                                   data/tables/    sled, indexes of rooms above, when they have any
//!                                                   data/mirrors/   copies of remotes; not this room's
//! ```
//!
//! Appending is synchronous and takes a few microseconds: fit for `Drop` and for async code.
//! Queries block; async callers use `spawn_blocking`.

mod config;
mod error;

mod ballast;
mod compress;
mod disk;
mod feed;
mod frame;
mod gap;
mod journal;
mod kept;
mod owed;
mod packed;
mod reader;
mod recover;
mod repair;
mod segment;
mod sync;
mod walk;

mod catch_up;
mod index;
mod indexer;
mod query;
mod rollup;
mod row;
mod sparse;
mod statistics;
mod term;

mod answers;
mod bundles;
mod kept_prompts;
mod lock;
mod migrate;
mod numbers;
mod registry;
mod runs;
mod tables;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::{Config, OnFull};
pub use error::{Error, IdOf};
pub use frame::Position;
pub use gap::Gap;
pub use kept_prompts::KeptPrompts;
pub use query::{CallFilter, Tail};
pub use registry::StoredKey;
pub use row::CallRow;
pub use runs::{RunEntry, RunStep, StoredRow, StoredRun};
pub use statistics::{GroupBy, StatsQuery, StatsRow};
pub use tables::{Table, TableChange, TableEntry};

use crate::domain::{
    AuditEvent, BundleHash, CallIntent, CallOutcome, Clock, Durability, Timestamp,
};
use answers::Answers;
use disk::Disk;
use indexer::Indexer;
use journal::Journal;
use lock::Lock;
use numbers::Numbers;
use registry::Registry;
use serde_json::value::RawValue;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tables::Tables;
use tokio::sync::watch;

/// The store of one data directory.
#[derive(Debug)]
pub struct Store {
    journal: Arc<Journal>,
    indexer: Arc<Indexer>,
    registry: Registry,
    bundles: PathBuf,
    numbers: Numbers,
    answers: Answers,
    tables: Tables,
    on_full: OnFull,
    query_deadline: Duration,
    sync_deadline: Duration,
    clock: Clock,
    threads: Mutex<Vec<JoinHandle<()>>>,
    // Last, so that it is freed when all else is done.
    lock: Lock,
}

/// How the store is, for health checks and metrics. Counts are since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// Whether calls are recorded.
    pub is_accepting: bool,
    /// Whether the index is open.
    pub is_index_open: bool,
    /// Calls in flight.
    pub open_calls: usize,
    /// Appends the disk refused.
    pub append_errors: u64,
    /// Syncs the disk refused.
    pub sync_errors: u64,
    /// Calls served without a record.
    pub unrecorded_calls: u64,
    /// Damaged segments set aside.
    pub quarantined_segments: u64,
}

impl Store {
    /// Opens the store in `config.dir`, or makes it. Calls that a crash left open are closed.
    ///
    /// # Errors
    ///
    /// `Locked`, `NewerLayout`, `Unreadable`, `Io`. Damage is no error: it is set aside.
    pub fn open(config: &Config, clock: Clock) -> Result<Self, Error> {
        Self::open_on(config, clock, Disk::real())
    }

    fn open_on(config: &Config, clock: Clock, disk: Disk) -> Result<Self, Error> {
        let dir = &config.dir;
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let lock = Lock::take(dir)?;
        let layout = migrate::bring_up_to_date(dir)?;
        let journal = Arc::new(recover::open(config, disk, layout.salt, clock)?);
        let registry = Registry::open(&dir.join("registry"), &journal, clock.now())?;
        let cache_bytes = config.index_cache_bytes;
        let indexer = Indexer::new(Arc::clone(&journal), dir.join("index"), cache_bytes, clock);
        let store = Self {
            journal,
            indexer: Arc::new(indexer),
            registry,
            bundles: dir.join(bundles::DIR),
            numbers: Numbers::new(dir.join(numbers::DIR)),
            answers: Answers::new(dir.join(answers::DIR)),
            tables: Tables::new(dir.join(tables::DIR)),
            on_full: config.on_full,
            query_deadline: config.query_deadline,
            sync_deadline: config.sync_deadline,
            clock,
            threads: Mutex::default(),
            lock,
        };
        store
            .start(config)
            .map_err(Error::io("start a thread for", dir))?;
        Ok(store)
    }

    fn start(&self, config: &Config) -> std::io::Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        threads.push(sync::spawn(&self.journal, self.clock)?);
        threads.push(self.indexer.spawn()?);
        if let Some(after) = config.compress_after {
            threads.push(compress::spawn(&self.journal, after, self.clock)?);
        }
        Ok(())
    }

    /// Appends the intent of a call. No provider may be asked before this has returned.
    ///
    /// # Errors
    ///
    /// `JournalFull` while the disk takes nothing; `AlreadyOpen`, `TooLarge`, `Encode`, `Closed`.
    pub fn append_intent(&self, intent: &CallIntent) -> Result<Position, Error> {
        self.journal.append_intent(intent)
    }

    /// Appends the one outcome of a call.
    ///
    /// # Errors
    ///
    /// `NotOpen` when it has one already or was never begun; else as `append_intent`. A call whose
    /// outcome could not be appended stays open, and is closed at the next start.
    pub fn append_outcome(&self, outcome: &CallOutcome) -> Result<Position, Error> {
        self.journal.append_outcome(outcome)
    }

    /// Writes down what happened to prompts and labels. Blocks.
    ///
    /// # Errors
    ///
    /// `JournalFull`, `TooLarge`, `Encode`, `Closed`, `Sled`.
    pub fn note(&self, events: &[AuditEvent]) -> Result<(), Error> {
        self.registry.note(&self.journal, events)
    }

    /// Returns what happened since a point in time, the oldest first: what was noted, and the keys'
    /// lives. Blocks.
    ///
    /// # Errors
    ///
    /// `Sled`, `Unreadable`.
    pub fn events(&self, since: Option<Timestamp>) -> Result<Vec<AuditEvent>, Error> {
        let mut events = self.registry.events(since)?;
        events.extend(self.keys()?.iter().flat_map(registry::life));
        events.retain(|event| since.is_none_or(|since| since <= event.at));
        events.sort_by_key(|event| (event.at, event.id));
        Ok(events)
    }

    /// Returns what records survive.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.journal.durability
    }

    /// Waits until an entry survives what `durability` promises: at `os` it does already.
    ///
    /// # Errors
    ///
    /// `NotDurable` when the disk does not confirm it in time, or failed and the entry was lost.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time; the entry is made durable all the same.
    pub async fn durable(&self, position: Position) -> Result<(), Error> {
        if self.journal.durability == Durability::Os {
            return Ok(());
        }
        let mut durable = self.journal.durable.subscribe();
        {
            let mut state = self.journal.lock();
            state.wanted = state.wanted.max(position);
            self.journal.sync_wake.notify_one();
        }
        let waited = self.sync_deadline;
        let confirmed = durable.wait_for(|durable| position < durable.end);
        let late = || Error::NotDurable { position, waited };
        let confirmed = tokio::time::timeout(waited, confirmed).await;
        let durable = *confirmed.map_err(|_| late())?.map_err(|_| late())?;
        let is_lost = |(from, to): (Position, Position)| from <= position && position < to;
        if durable.lost.is_some_and(is_lost) {
            return Err(late());
        }
        Ok(())
    }

    /// Whether intents are taken; `false` while the disk is full or failing.
    #[must_use]
    pub fn is_accepting(&self) -> bool {
        self.journal.is_accepting()
    }

    /// Whether a call whose intent got `JournalFull` may be served all the same. If so, it is
    /// counted, and the gap is written down.
    #[must_use]
    pub fn may_serve_unrecorded(&self) -> bool {
        let may = self.serves_unrecorded();
        if may {
            self.journal.count_unrecorded(self.clock.now());
        }
        may
    }

    /// Whether calls are served while they cannot be recorded.
    #[must_use]
    pub const fn serves_unrecorded(&self) -> bool {
        matches!(self.on_full, OnFull::ServeUnrecorded)
    }

    /// Returns when calls were served without a record, oldest first. Blocks: it reads the whole journal.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn gaps(&self) -> Result<Vec<Gap>, Error> {
        self.journal.gaps()
    }

    /// Returns how the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        let counters = &self.journal.counters;
        Health {
            is_accepting: self.is_accepting(),
            is_index_open: self.indexer.is_open(),
            open_calls: self.journal.lock().open.len(),
            append_errors: counters.append_errors.load(Ordering::Relaxed),
            sync_errors: counters.sync_errors.load(Ordering::Relaxed),
            unrecorded_calls: counters.unrecorded.load(Ordering::Relaxed),
            quarantined_segments: counters.quarantined.load(Ordering::Relaxed),
        }
    }

    /// Returns a count that changes within 200 ms of a call's end (and at times without one).
    #[must_use]
    pub fn ticks(&self) -> watch::Receiver<u64> {
        self.indexer.ticks.subscribe()
    }

    /// Makes index and registry anew from the journal. Blocks until that is done.
    ///
    /// # Errors
    ///
    /// `Io`, `Sled`, `Closed`.
    pub fn rebuild(&self) -> Result<(), Error> {
        self.registry.restore(&self.journal)?;
        self.indexer.rebuild()
    }

    /// Stores a key, new or changed. Durable when it returns. Blocks.
    ///
    /// # Errors
    ///
    /// `Sled`, `JournalFull`, `Encode`, `Closed`.
    pub fn put_key(&self, key: &StoredKey) -> Result<(), Error> {
        self.registry.put_key(&self.journal, key)
    }

    /// Returns all keys, by id, revoked ones included.
    ///
    /// # Errors
    ///
    /// `Sled`, `Unreadable`.
    pub fn keys(&self) -> Result<Vec<StoredKey>, Error> {
        self.registry.keys()
    }

    /// Stores a small setting as JSON. Durable when it returns. Blocks.
    ///
    /// # Errors
    ///
    /// `Sled`, `JournalFull`, `Encode`, `Closed`.
    pub fn put_setting(&self, name: &str, value: &RawValue) -> Result<(), Error> {
        self.registry.put_setting(&self.journal, name, value)
    }

    /// Returns a setting.
    ///
    /// # Errors
    ///
    /// `Sled`, `Unreadable`.
    pub fn setting(&self, name: &str) -> Result<Option<Box<RawValue>>, Error> {
        self.registry.setting(name)
    }

    /// Stores bundles by their hashes, as durably as records. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn put_bundles(&self, bundles: &[(BundleHash, &[u8])]) -> Result<(), Error> {
        bundles::put(&self.bundles, bundles, self.journal.durability)
    }

    /// Stores one bundle; see `put_bundles`.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn put_bundle(&self, hash: BundleHash, content: &[u8]) -> Result<(), Error> {
        self.put_bundles(&[(hash, content)])
    }

    /// Returns the bundles whose hash begins with 4 to 64 hex digits (`sha-` may stand before).
    ///
    /// # Errors
    ///
    /// `BadHash`, `Io`.
    pub fn bundle(&self, prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, Error> {
        bundles::find(&self.bundles, prefix)
    }

    /// Keeps an entry under `line` (letters and digits) after those before; durable when it returns.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// `Io`, `TooLarge`.
    pub fn append_numbers(&self, line: &str, entry: &[u8]) -> Result<(), Error> {
        self.numbers.append(line, entry)
    }

    /// Returns the entries that were kept under `line`, in order, up to the first damaged one.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, Error> {
        self.numbers.read(line)
    }

    /// Keeps an answer under `key` (64 hex digits) for two weeks, in place of what is there. The oldest ones
    /// make room. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn keep_answer(&self, key: &str, answer: &[u8]) -> Result<(), Error> {
        self.answers.put(key, answer, self.clock.now())
    }

    /// Returns the answer that is kept under `key`, and since when; a damaged one is none. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn kept_answer(&self, key: &str) -> Result<Option<(Timestamp, Vec<u8>)>, Error> {
        self.answers.get(key, self.clock.now())
    }

    /// Opens a table of a room above, by a name that begins with the room's. Blocks; the first one of all
    /// opens their database.
    ///
    /// # Errors
    ///
    /// `Sled`, `Unreadable`, `Io`.
    pub fn table(&self, name: &str) -> Result<Table, Error> {
        self.tables.table(name)
    }

    /// Writes the admin address into the lock file, for the message another process gets.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn announce(&self, admin: &str) -> Result<(), Error> {
        let told = self.lock.describe(Some(admin));
        told.map_err(Error::io("write the lock of", &self.bundles))
    }

    /// Ends appending, makes everything durable and joins the threads. Dropping does the same.
    pub fn close(&self) {
        self.journal.close();
        self.journal.lock().is_stopping = true;
        self.journal.sync_wake.notify_all();
        self.journal.feed_wake.notify_all();
        self.journal.pack_wake.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store had panicked");
            }
        }
        if let Err(error) = self.registry.flush() {
            tracing::error!(%error, "cannot flush the registry");
        }
        if let Err(error) = self.tables.flush() {
            tracing::error!(%error, "cannot flush the tables");
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.close();
    }
}
