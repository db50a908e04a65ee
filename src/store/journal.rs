//! The journal: every entry is appended here, in order, before anything else knows of it.
//!
//! Appending is synchronous and inline: one lock, one `writev`. Two context switches to a writer
//! thread would cost more than the write. The thread `journal-sync` makes the bytes durable.
//!
//! **Invariant**: a call is in `open` exactly from its intent to its outcome.

use crate::domain::{CallId, CallIntent, CallOutcome, Durability};
use crate::store::ballast::Ballast;
use crate::store::disk::{Disk, is_full};
use crate::store::feed::Feed;
use crate::store::frame::{Encoded, Kind, Position};
use crate::store::gap::Gap;
use crate::store::kept::Kept;
use crate::store::owed::Owed;
use crate::store::reader::Reader;
use crate::store::row::{CallRow, IndexedRow};
use crate::store::runs::{PlacedEntry, RunEntry};
use crate::store::segment::{Header, plain_path};
use crate::store::sync::{Durable, SYNC_BYTES};
use crate::store::{Config, Error};
use bytes::Bytes;
use serde::Serialize;
use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Things that happened since the start, for alarms.
#[derive(Debug, Default)]
pub(super) struct Counters {
    /// Failed syncs.
    pub(super) sync_errors: AtomicU64,
    /// Failed appends.
    pub(super) append_errors: AtomicU64,
    /// Calls served without a record.
    pub(super) unrecorded: AtomicU64,
    /// Damaged segments set aside.
    pub(super) quarantined: AtomicU64,
}

/// The journal, shared by those who append and the threads that follow.
#[derive(Debug)]
pub(super) struct Journal {
    /// The directory of the segments.
    pub(super) dir: PathBuf,
    /// What a record survives.
    pub(super) durability: Durability,
    /// Where checksums start.
    pub(super) salt: u32,
    segment_bytes: u32,
    /// Space for bad times.
    pub(super) ballast: Ballast,
    /// How bytes reach the disk.
    pub(super) disk: Disk,
    state: Mutex<State>,
    /// Wakes `journal-sync`.
    pub(super) sync_wake: Condvar,
    /// Wakes `journal-pack`.
    pub(super) pack_wake: Condvar,
    /// Wakes `indexer`.
    pub(super) feed_wake: Condvar,
    accepting: AtomicBool,
    /// Up to where everything is on the disk.
    pub(super) durable: watch::Sender<Durable>,
    /// What went wrong.
    pub(super) counters: Counters,
    /// Reads entries back.
    pub(super) reader: Reader,
    /// Held while a sealed segment's file is replaced.
    pub(super) files: Mutex<()>,
}

/// A call in flight.
#[derive(Debug)]
pub(super) struct OpenCall {
    /// Where its intent stands.
    pub(super) intent: Position,
    /// What is known of it.
    pub(super) row: Box<CallRow>,
}

/// What the lock protects.
#[derive(Debug)]
pub(super) struct State {
    file: Arc<File>,
    segment: u32,
    length: u32,
    first_entry: u32,
    /// Whether the cursor may not stand at `length`.
    is_adrift: bool,
    /// Segments that were written to since the last sync and are sealed now.
    pub(super) sealed: Vec<(u32, Arc<File>)>,
    /// Bytes since the last sync.
    pub(super) unsynced_bytes: u64,
    /// Up to where somebody waits for the disk.
    pub(super) wanted: Position,
    kept: Kept,
    /// Calls in flight.
    pub(super) open: HashMap<CallId, OpenCall>,
    /// What the indexer has not taken yet.
    pub(super) feed: Feed,
    /// Why intents are refused.
    pub(super) full: Option<String>,
    /// Outcomes that did not fit.
    pub(super) owed: Owed,
    /// Calls served without a record since intents are refused.
    pub(super) gap: Option<Gap>,
    /// The threads shall end.
    pub(super) is_stopping: bool,
    /// Nothing is appended any more.
    pub(super) is_closed: bool,
}

impl State {
    /// Returns where the next entry will stand.
    pub(super) const fn end(&self) -> Position {
        Position {
            segment: self.segment,
            offset: self.length,
        }
    }

    /// Returns the file that is written to now.
    pub(super) fn current(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Takes the entries kept for a failing sync.
    pub(super) fn take_kept(&mut self) -> Kept {
        std::mem::take(&mut self.kept)
    }
}

/// How badly an entry is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// It may be refused; nothing happened yet.
    Deferrable,
    /// It is the end of something: the ballast is for it.
    Owed,
}

impl Journal {
    /// Starts segment `number` as the journal's end.
    pub(super) fn begin(
        config: &Config,
        disk: Disk,
        salt: u32,
        number: u32,
        open: &[(CallId, Position)],
    ) -> Result<Self, Error> {
        let dir = config.dir.join("journal");
        let (file, length) = create_segment(&dir, number, salt, open)?;
        Ok(Self::over(
            config,
            disk,
            salt,
            (number, file, length, length),
        ))
    }

    /// Goes on at the end of segment `number`, which was closed in order.
    pub(super) fn resume(
        config: &Config,
        disk: Disk,
        salt: u32,
        number: u32,
        length: u32,
    ) -> Result<Self, Error> {
        let path = plain_path(&config.dir.join("journal"), number);
        let opened = OpenOptions::new().write(true).open(&path);
        let mut file = opened.map_err(Error::io("open", &path))?;
        let seek = file.seek(SeekFrom::Start(u64::from(length)));
        seek.map_err(Error::io("seek in", &path))?;
        Ok(Self::over(config, disk, salt, (number, file, length, 0)))
    }

    fn over(
        config: &Config,
        disk: Disk,
        salt: u32,
        (segment, file, length, first_entry): (u32, File, u32, u32),
    ) -> Self {
        let dir = config.dir.join("journal");
        let mut feed = Feed::default();
        feed.lose();
        Self {
            reader: Reader::new(dir.clone(), salt),
            dir,
            durability: config.durability,
            salt,
            segment_bytes: config.segment_bytes,
            ballast: Ballast::new(config.dir.join("ballast"), config.ballast_bytes),
            disk,
            state: Mutex::new(State {
                file: Arc::new(file),
                segment,
                length,
                first_entry,
                is_adrift: false,
                sealed: Vec::new(),
                unsynced_bytes: 1,
                wanted: Position::default(),
                kept: Kept::default(),
                open: HashMap::new(),
                feed,
                full: None,
                owed: Owed::default(),
                gap: None,
                is_stopping: false,
                is_closed: false,
            }),
            sync_wake: Condvar::new(),
            pack_wake: Condvar::new(),
            feed_wake: Condvar::new(),
            accepting: AtomicBool::new(true),
            durable: watch::channel(Durable::default()).0,
            counters: Counters::default(),
            files: Mutex::new(()),
        }
    }

    /// Locks the state. A panic of another holder leaves it as consistent as a failed append does.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether intents are taken.
    pub(super) fn is_accepting(&self) -> bool {
        self.accepting.load(Ordering::Relaxed)
    }

    /// Appends the intent of a call.
    pub(super) fn append_intent(&self, intent: &CallIntent) -> Result<Position, Error> {
        let mut encoded = Encoded::new(Kind::Intent, self.salt, intent, &intent.request)?;
        let row = Box::new(CallRow::begun(intent));
        let mut state = self.lock();
        if let Some(cause) = &state.full {
            return Err(Error::JournalFull {
                cause: cause.clone(),
            });
        }
        if state.open.contains_key(&intent.id) {
            return Err(Error::AlreadyOpen { id: intent.id });
        }
        let intent_at = self.put(
            &mut state,
            &mut encoded,
            Position::default(),
            Need::Deferrable,
        )?;
        let call = OpenCall {
            intent: intent_at,
            row,
        };
        state.open.insert(intent.id, call);
        Ok(intent_at)
    }

    /// Appends the outcome of a call in flight.
    pub(super) fn append_outcome(&self, outcome: &CallOutcome) -> Result<Position, Error> {
        let mut encoded = Encoded::new(Kind::Outcome, self.salt, outcome, &outcome.output)?;
        let mut state = self.lock();
        let Some(call) = state.open.get(&outcome.id) else {
            return Err(Error::NotOpen { id: outcome.id });
        };
        let intent = call.intent;
        let put = self.put(&mut state, &mut encoded, intent, Need::Owed);
        if let Err(Error::JournalFull { .. }) = &put {
            state.owed.push(outcome);
        }
        let position = put?;
        let Some(mut call) = state.open.remove(&outcome.id) else {
            return Ok(position);
        };
        call.row.end(outcome);
        let row = IndexedRow {
            row: *call.row,
            intent,
            outcome: position,
        };
        if state.feed.push(row) {
            self.feed_wake.notify_one();
        }
        Ok(position)
    }

    /// Appends an entry of another kind.
    pub(super) fn append<T: Serialize>(&self, kind: Kind, meta: &T) -> Result<Position, Error> {
        let mut encoded = Encoded::new(kind, self.salt, meta, &Bytes::new())?;
        let mut state = self.lock();
        self.put(&mut state, &mut encoded, Position::default(), Need::Owed)
    }

    /// Appends an entry of a run with its body.
    pub(super) fn append_run_entry(
        &self,
        entry: &RunEntry,
        body: &Bytes,
    ) -> Result<Position, Error> {
        let mut encoded = Encoded::new(Kind::Run, self.salt, entry, body)?;
        let mut state = self.lock();
        if let Some(cause) = state.full.clone().filter(|_| !entry.is_end()) {
            return Err(Error::JournalFull { cause });
        }
        let need = if entry.is_end() {
            Need::Owed
        } else {
            Need::Deferrable
        };
        let at = self.put(&mut state, &mut encoded, Position::default(), need)?;
        let entry = entry.clone();
        if state.feed.push_entry(PlacedEntry { at, entry }) {
            self.feed_wake.notify_one();
        }
        Ok(at)
    }

    /// Writes an entry to the end, with what can be done when the disk refuses.
    pub(super) fn put(
        &self,
        state: &mut State,
        encoded: &mut Encoded,
        link: Position,
        need: Need,
    ) -> Result<Position, Error> {
        if state.is_closed {
            return Err(Error::Closed);
        }
        let Err(first) = self.write(state, encoded, link) else {
            return Ok(self.written(state, encoded));
        };
        self.counters.append_errors.fetch_add(1, Ordering::Relaxed);
        // No room: the ballast makes some, for ends only. Anything else: the file may be what is
        // broken, so another one gets a try.
        let may_retry = if is_full(&first) {
            need == Need::Owed && self.ballast.release()
        } else {
            self.roll(state).is_ok()
        };
        if is_full(&first) && may_retry {
            tracing::error!(error = %first, "the disk is full, the journal's ballast is released");
        }
        if may_retry && self.write(state, encoded, link).is_ok() {
            if is_full(&first) {
                self.refuse(state, &first);
            }
            return Ok(self.written(state, encoded));
        }
        self.refuse(state, &first);
        let cause = first.to_string();
        Err(Error::JournalFull { cause })
    }

    fn refuse(&self, state: &mut State, error: &io::Error) {
        if state.full.is_none() {
            tracing::error!(%error, "the journal cannot be written, calls are not recorded");
            state.full = Some(error.to_string());
            self.accepting.store(false, Ordering::Relaxed);
            self.sync_wake.notify_one();
        }
    }

    /// Takes intents again.
    pub(super) fn accept(&self, state: &mut State) {
        state.full = None;
        self.accepting.store(true, Ordering::Relaxed);
    }

    fn write(&self, state: &mut State, encoded: &mut Encoded, link: Position) -> io::Result<()> {
        if self.segment_bytes <= state.length
            && let Err(error) = self.roll(state)
        {
            // Better a long segment than a lost entry, as long as offsets last.
            tracing::error!(%error, "cannot begin a new journal segment");
            if u32::MAX / 2 < state.length {
                return Err(error);
            }
        }
        if state.is_adrift {
            rewind(state)?;
        }
        encoded.seal(link);
        let (head, body) = encoded.parts();
        let result = (self.disk.write)(&state.file, head, body);
        if result.is_err() {
            state.is_adrift = true;
            let _ = rewind(state);
        }
        result
    }

    /// Accounts for the entry that was just written; returns its place.
    fn written(&self, state: &mut State, encoded: &Encoded) -> Position {
        let position = state.end();
        let bytes = encoded.total_bytes();
        state.length += bytes;
        if self.durability == Durability::Disk {
            state.kept.push(position, encoded);
        }
        let was_clean = state.unsynced_bytes == 0;
        state.unsynced_bytes += u64::from(bytes);
        if was_clean || state.unsynced_bytes.abs_diff(SYNC_BYTES) < u64::from(bytes) {
            self.sync_wake.notify_one();
        }
        position
    }

    /// Seals the current segment and begins the next.
    pub(super) fn roll(&self, state: &mut State) -> io::Result<()> {
        if state.length <= state.first_entry {
            return Ok(());
        }
        let open = state.open.iter().map(|(id, call)| (*id, call.intent));
        let open: Vec<_> = open.collect();
        let number = state.segment + 1;
        let created = create_segment(&self.dir, number, self.salt, &open);
        let (file, length) = created.map_err(|error| match error {
            Error::Io { source, .. } => source,
            other => io::Error::other(other),
        })?;
        let old = std::mem::replace(&mut state.file, Arc::new(file));
        state.sealed.push((state.segment, old));
        state.segment = number;
        state.length = length;
        state.first_entry = length;
        state.is_adrift = false;
        Ok(())
    }

    /// Appends the mark of an orderly end and refuses all further entries.
    pub(super) fn close(&self) {
        self.append_owed();
        let mut state = self.lock();
        if state.is_closed {
            return;
        }
        if let Some(gap) = state.gap.take() {
            let _ = self.put_gap(&mut state, &gap);
        }
        if state.open.is_empty() {
            let closed = Encoded::new(Kind::Closed, self.salt, &"closed", &Bytes::new());
            let here = state.end();
            if let Ok(mut closed) = closed {
                let _ = self.put(&mut state, &mut closed, here, Need::Owed);
            }
        } else {
            let open = state.open.len();
            tracing::warn!(open, "the journal closes while calls are open");
        }
        state.is_closed = true;
        self.accepting.store(false, Ordering::Relaxed);
    }

    /// Writes down how many calls went unrecorded.
    pub(super) fn put_gap(&self, state: &mut State, gap: &Gap) -> Result<Position, Error> {
        let mut encoded = Encoded::new(Kind::Gap, self.salt, gap, &Bytes::new())?;
        self.put(state, &mut encoded, Position::default(), Need::Owed)
    }
}

/// Puts cursor and length back to the end of the last whole entry.
fn rewind(state: &mut State) -> io::Result<()> {
    let end = u64::from(state.length);
    state.file.set_len(end)?;
    let mut file: &File = &state.file;
    file.seek(SeekFrom::Start(end))?;
    state.is_adrift = false;
    Ok(())
}

fn create_segment(
    dir: &std::path::Path,
    number: u32,
    salt: u32,
    open: &[(CallId, Position)],
) -> Result<(File, u32), Error> {
    let path = plain_path(dir, number);
    let created = OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = created.map_err(Error::io("create", &path))?;
    let header = Header::encode(number, salt, open);
    if let Err(error) = io::Write::write_all(&mut file, &header) {
        let _ = fs::remove_file(&path);
        return Err(Error::io("write", &path)(error));
    }
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    Ok((file, length))
}
