//! The thread `journal-sync`: group commit, small dirty caches, and what to do when a disk fails.

use crate::domain::{Clock, Durability};
use crate::store::frame::Position;
use crate::store::gap::Gap;
use crate::store::journal::{Journal, State};
use crate::store::kept::Kept;
use crate::store::segment::sync_dir;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

/// From this many dirty bytes on a sync begins without waiting for its time.
pub(super) const SYNC_BYTES: u64 = 8 << 20;
/// How long bytes stay dirty when nobody waits for them, and how often a full disk is looked at.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What the disk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Durable {
    /// Everything before is on the disk, but for `lost`.
    pub(super) end: Position,
    /// Entries (from, to) whose sync failed and that were too many to be written again.
    pub(super) lost: Option<(Position, Position)>,
}

/// How a sync went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Synced,
    Failed,
}

/// Runs until the journal is stopping, then syncs once more.
pub(super) fn run(journal: &Journal, clock: Clock) {
    hold_ballast(journal);
    let mut failures = 0;
    loop {
        let (state, is_last) = wait_for_work(journal, failures);
        failures = match sync(journal, state) {
            Outcome::Synced => 0,
            Outcome::Failed => failures + 1,
        };
        look_for_space(journal, clock);
        if is_last {
            return;
        }
    }
}

/// Waits until somebody wants the disk, bytes are old or many, or space has to be looked for.
///
/// Behind the first failure what was written again is synced at once, behind more with a pause.
fn wait_for_work(journal: &Journal, failures: u32) -> (MutexGuard<'_, State>, bool) {
    let is_idle =
        |state: &mut State| !state.is_stopping && state.unsynced_bytes == 0 && state.full.is_none();
    let state = journal.sync_wake.wait_while(journal.lock(), is_idle);
    let state = state.unwrap_or_else(PoisonError::into_inner);
    let durable = journal.durable.borrow().end;
    let may_wait = |state: &mut State| {
        let is_calm = state.unsynced_bytes < SYNC_BYTES && state.wanted < durable;
        !state.is_stopping && (is_calm || 1 < failures)
    };
    let waited = journal
        .sync_wake
        .wait_timeout_while(state, SYNC_EVERY, may_wait);
    let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    let is_last = state.is_stopping;
    (state, is_last)
}

/// Makes everything that is written durable and says so.
fn sync(journal: &Journal, mut state: MutexGuard<'_, State>) -> Outcome {
    let sealed = std::mem::take(&mut state.sealed);
    let current = state.current();
    let end = state.end();
    let kept = state.take_kept();
    let bytes = std::mem::replace(&mut state.unsynced_bytes, 0);
    drop(state);
    if bytes == 0 && sealed.is_empty() {
        return Outcome::Synced;
    }
    let mut result = Ok(());
    for (_, file) in &sealed {
        result = result.and_then(|()| (journal.disk.sync)(file));
    }
    result = result.and_then(|()| (journal.disk.sync)(&current));
    // A new segment's name must be durable too; the first sync of a journal covers its first one.
    if !sealed.is_empty() || journal.durable.borrow().end.segment != end.segment {
        result = result.and_then(|()| sync_dir(&journal.dir));
    }
    match result {
        Ok(()) => {
            journal.durable.send_modify(|durable| durable.end = end);
            Outcome::Synced
        }
        Err(error) => {
            after_failed_sync(journal, &error, kept, end);
            Outcome::Failed
        }
    }
}

/// The kernel may have dropped the dirty pages and will report success next time: never sync the
/// same file again and believe it. What is still in memory goes to a new segment.
fn after_failed_sync(journal: &Journal, error: &std::io::Error, kept: Kept, end: Position) {
    journal.counters.sync_errors.fetch_add(1, Ordering::Relaxed);
    tracing::error!(%error, "the disk did not take the journal, its segment is sealed");
    let mut state = journal.lock();
    let sealed = match journal.durability {
        Durability::Os => journal.roll(&mut state).map(|()| 0),
        Durability::Disk => journal.write_again(&mut state, kept, end),
    };
    match sealed {
        Ok(entries) => tracing::warn!(entries, "the journal goes on in a new segment"),
        Err(error) => tracing::error!(%error, "the journal cannot go on in a new segment"),
    }
    state.sealed.retain(|(number, _)| end.segment < *number);
    // The bytes of the new segment, if only its header.
    state.unsynced_bytes = state.unsynced_bytes.max(1);
}

/// Tries whether there is room again; when there is, holds the ballast and takes intents.
pub(super) fn look_for_space(journal: &Journal, clock: Clock) {
    if journal.lock().full.is_none() {
        return;
    }
    if journal.ballast.hold().is_err() {
        return;
    }
    let mut state = journal.lock();
    if let Some(gap) = state.gap.clone() {
        let closed = Gap {
            to: Some(clock.now()),
            ..gap
        };
        if journal.put_gap(&mut state, &closed).is_err() {
            return;
        }
        let calls = closed.calls;
        tracing::error!(calls, "calls went unrecorded while the disk was full");
        state.gap = None;
    }
    journal.accept(&mut state);
    drop(state);
    journal.append_owed();
    tracing::warn!("the journal can be written again");
}

/// Allocates the ballast if there is none, off the start's way.
fn hold_ballast(journal: &Journal) {
    if journal.ballast.is_held() {
        return;
    }
    if let Err(error) = journal.ballast.hold() {
        tracing::error!(%error, "no room for the journal's ballast");
    }
}

/// Starts the thread.
pub(super) fn spawn(
    journal: &Arc<Journal>,
    clock: Clock,
) -> std::io::Result<std::thread::JoinHandle<()>> {
    let journal = Arc::clone(journal);
    std::thread::Builder::new()
        .name("journal-sync".to_owned())
        .spawn(move || run(&journal, clock))
}
