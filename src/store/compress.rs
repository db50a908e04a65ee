//! The thread `journal-pack`: it compresses sealed segments, slowly, so that calls do not feel it.

use crate::domain::Clock;
use crate::store::Error;
use crate::store::catch_up::repair;
use crate::store::journal::{Journal, State};
use crate::store::packed::{CHUNK_BYTES, Packer};
use crate::store::segment::{Header, Source, numbers, packed_path, plain_path, sync_dir};
use crate::store::walk::{Found, Walk};
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, UNIX_EPOCH};

/// How often it looks for segments to compress: seldom, unless they are due sooner.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const LOOK_EVERY_AT_MOST: Duration = Duration::from_secs(1);
/// The pause between chunks: a chunk takes one to two milliseconds.
const PAUSE: Duration = Duration::from_millis(20);

/// Runs until the journal is stopping.
fn run(journal: &Journal, after: Duration, clock: Clock) {
    let look_every = after.clamp(LOOK_EVERY_AT_MOST, LOOK_EVERY);
    while wait(journal, look_every) {
        let due = match due(journal, after, clock) {
            Ok(due) => due,
            Err(error) => {
                tracing::warn!(%error, "cannot look for segments to compress");
                continue;
            }
        };
        // Behind a burst the pauses get shorter, so that it keeps up in the end.
        let backlog = u32::try_from(due.len()).unwrap_or(u32::MAX).max(1);
        for number in due {
            match pack(journal, number, || wait(journal, PAUSE / backlog)) {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::warn!(%error, number, "cannot compress a segment"),
            }
        }
    }
}

/// Sleeps; whether the journal goes on.
fn wait(journal: &Journal, time: Duration) -> bool {
    let goes_on = |state: &mut State| !state.is_stopping;
    let waited = journal
        .pack_wake
        .wait_timeout_while(journal.lock(), time, goes_on);
    let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
    !state.is_stopping
}

/// Returns the sealed plain segments that were last written to long enough ago.
pub(super) fn due(journal: &Journal, after: Duration, clock: Clock) -> Result<Vec<u32>, Error> {
    let current = journal.lock().end().segment;
    let now_us = clock.now().0;
    let mut due = Vec::new();
    for number in numbers(&journal.dir)? {
        let written = fs::metadata(plain_path(&journal.dir, number))
            .and_then(|metadata| metadata.modified())
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        let Some(written) = written.filter(|_| number < current) else {
            continue;
        };
        let age_us = i128::from(now_us) - i128::try_from(written.as_micros()).unwrap_or(0);
        if i128::try_from(after.as_micros()).unwrap_or(i128::MAX) <= age_us {
            due.push(number);
        }
    }
    Ok(due)
}

/// Compresses segment `number`, calling `go_on` between chunks; whether that always said yes.
///
/// Every entry is checked first: a damaged segment is repaired and waits for the next round.
pub(super) fn pack(
    journal: &Journal,
    number: u32,
    mut go_on: impl FnMut() -> bool,
) -> Result<bool, Error> {
    let path = plain_path(&journal.dir, number);
    let Some(source) = Source::open(&journal.dir, number)? else {
        return Ok(true);
    };
    let is_whole = check(&source, number, journal.salt, &mut go_on);
    let is_whole = is_whole.map_err(Error::io("read", &path))?;
    match is_whole {
        Checked::Whole => {}
        Checked::Stopped => return Ok(false),
        Checked::Damaged => {
            repair(journal, number)?;
            return Ok(true);
        }
    }
    let temporary = packed_path(&journal.dir, number).with_extension("pgz.tmp");
    let written = write(&source, &temporary, &mut go_on);
    if !written.map_err(Error::io("write", &temporary))? {
        let _ = fs::remove_file(&temporary);
        return Ok(false);
    }
    let _files = journal.files.lock().unwrap_or_else(PoisonError::into_inner);
    let packed = packed_path(&journal.dir, number);
    fs::rename(&temporary, &packed).map_err(Error::io("rename", &temporary))?;
    sync_dir(&journal.dir).map_err(Error::io("sync", &journal.dir))?;
    fs::remove_file(&path).map_err(Error::io("remove", &path))?;
    journal.reader.forget(number);
    Ok(true)
}

enum Checked {
    Whole,
    Damaged,
    Stopped,
}

fn check(
    source: &Source,
    number: u32,
    salt: u32,
    go_on: &mut impl FnMut() -> bool,
) -> io::Result<Checked> {
    let Some(header) = Header::read(source, number)? else {
        return Ok(Checked::Damaged);
    };
    let mut walk = Walk::new(source, salt, header.bytes, source.len()?);
    let mut paused_at = 0;
    while let Some(found) = walk.next()? {
        let Found::Frame { offset, .. } = found else {
            return Ok(Checked::Damaged);
        };
        if CHUNK_BYTES * 8 < offset - paused_at {
            paused_at = offset;
            if !go_on() {
                return Ok(Checked::Stopped);
            }
        }
    }
    Ok(Checked::Whole)
}

fn write(source: &Source, to: &Path, go_on: &mut impl FnMut() -> bool) -> io::Result<bool> {
    let length = source.len()?;
    let chunk_bytes = usize::try_from(CHUNK_BYTES).unwrap_or(0);
    let mut packer = Packer::new(BufWriter::new(File::create(to)?));
    let mut at = 0;
    while at < length {
        let chunk = source.read(at, chunk_bytes)?;
        packer.push(&chunk)?;
        at = at.saturating_add(CHUNK_BYTES);
        if !go_on() {
            return Ok(false);
        }
    }
    let file = packer.finish()?.into_inner()?;
    file.sync_all()?;
    Ok(true)
}

/// Starts the thread.
pub(super) fn spawn(
    journal: &Arc<Journal>,
    after: Duration,
    clock: Clock,
) -> io::Result<JoinHandle<()>> {
    let journal = Arc::clone(journal);
    std::thread::Builder::new()
        .name("journal-pack".to_owned())
        .spawn(move || run(&journal, after, clock))
}
