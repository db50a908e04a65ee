//! Opening the journal: what was left by the process before is put in order first.
//!
//! A journal that was closed in order ends with a mark and is not read at all. Else its last
//! segment is: a torn tail is cut off (and kept), damage in the middle sends the segment to
//! quarantine, and calls without outcome are found. The journal then goes on in a *new* segment, so
//! that an index which is ahead of a journal that lost its tail can be told by its position.

use crate::domain::{
    BodyFormat, CallId, CallOutcome, CallState, CallTimes, Clock, Cost, CostQuality,
};
use crate::store::disk::{Disk, is_full};
use crate::store::frame::{Frame, HEAD_BYTES, Kind, Position};
use crate::store::journal::{Journal, OpenCall};
use crate::store::repair::quarantine;
use crate::store::row::CallRow;
use crate::store::segment::{Header, Source, numbers, plain_path, sync_dir};
use crate::store::walk::{Found, Walk, read_one};
use crate::store::{Config, Error};
use bytes::Bytes;
use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

/// The mark's length: the fixed part and `"closed"`.
const MARK_BYTES: usize = HEAD_BYTES + 8;

type Open = HashMap<CallId, Position>;

/// Opens the journal in `config.dir`, and closes the calls a crash left open.
pub(super) fn open(config: &Config, disk: Disk, salt: u32, clock: Clock) -> Result<Journal, Error> {
    let dir = config.dir.join("journal");
    fs::create_dir_all(&dir).map_err(Error::io("create", &dir))?;
    remove_leftovers(&dir)?;
    let numbers = numbers(&dir)?;
    let Some(last) = numbers.last().copied() else {
        return begin(config, disk, salt, 1, &[]);
    };
    if let Some(length) = closed_in_order(&dir, last, salt)? {
        return Journal::resume(config, disk, salt, last, length);
    }
    let mut quarantined = 0;
    let open = scan(&dir, &numbers, salt, &mut quarantined)?;
    let open: Vec<_> = open.into_iter().collect();
    let next = last.saturating_add(1);
    let journal = begin(config, disk, salt, next, &open)?;
    let counter = &journal.counters.quarantined;
    counter.fetch_add(quarantined, Ordering::Relaxed);
    close_crashed(&journal, open, clock);
    Ok(journal)
}

/// Begins a segment; on a full disk in the ballast's place.
fn begin(
    config: &Config,
    disk: Disk,
    salt: u32,
    number: u32,
    open: &[(CallId, Position)],
) -> Result<Journal, Error> {
    match Journal::begin(config, disk.clone(), salt, number, open) {
        Err(Error::Io { source, .. })
            if is_full(&source) && fs::remove_file(config.dir.join("ballast")).is_ok() =>
        {
            Journal::begin(config, disk, salt, number, open)
        }
        result => result,
    }
}

/// Removes what half-done repairs and compressions left.
fn remove_leftovers(dir: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(dir).map_err(Error::io("list", dir))? {
        let path = entry.map_err(Error::io("list", dir))?.path();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Returns the length of segment `number` when it ends with the mark of an orderly end.
fn closed_in_order(dir: &Path, number: u32, salt: u32) -> Result<Option<u32>, Error> {
    let path = plain_path(dir, number);
    let Some(source @ Source::Plain(_)) = Source::open(dir, number).ok().flatten() else {
        return Ok(None);
    };
    let length = source.len().map_err(Error::io("read", &path))?;
    let mark_bytes = u32::try_from(MARK_BYTES).unwrap_or(0);
    let Some(at) = length.checked_sub(mark_bytes) else {
        return Ok(None);
    };
    let here = Position {
        segment: number,
        offset: at,
    };
    let frame = read_one(&source, salt, at).map_err(Error::io("read", &path))?;
    let is_mark = |frame: &Frame| frame.head.kind == Kind::Closed && frame.head.link == here;
    Ok(frame.filter(is_mark).map(|_| length))
}

/// Finds the calls that are open at the journal's end.
fn scan(dir: &Path, numbers: &[u32], salt: u32, quarantined: &mut u64) -> Result<Open, Error> {
    let last = numbers.last().copied().unwrap_or(0);
    let mut open = Open::new();
    let mut to_read = Vec::new();
    // Back to the newest segment that says what was open when it began.
    for number in numbers.iter().rev() {
        to_read.push(*number);
        let header = Source::open(dir, *number).ok().flatten();
        let header = header.and_then(|source| Header::read(&source, *number).ok().flatten());
        if let Some(known) = header.and_then(|header| header.open) {
            open.extend(known);
            break;
        }
    }
    for number in to_read.into_iter().rev() {
        let is_last = number == last;
        if !scan_segment(dir, number, salt, &mut open, is_last)? {
            quarantine(dir, number, salt)?;
            *quarantined += 1;
        }
    }
    Ok(open)
}

/// Reads a segment; whether it is in order. A torn tail of the last one is cut off.
fn scan_segment(
    dir: &Path,
    number: u32,
    salt: u32,
    open: &mut Open,
    is_last: bool,
) -> Result<bool, Error> {
    let path = plain_path(dir, number);
    let Some(source) = Source::open(dir, number).ok().flatten() else {
        return Ok(false);
    };
    let read = Error::io("read", &path);
    let (found, tail) = match read_segment(&source, number, salt, open) {
        Ok(done) => done,
        Err(error) => return Err(read(error)),
    };
    if let Some((from, to)) = tail.filter(|_| is_last && found.has_header) {
        cut(&path, &source, from, to)?;
        return Ok(found.is_whole);
    }
    Ok(found.is_whole && found.has_header && tail.is_none())
}

struct SegmentFound {
    has_header: bool,
    is_whole: bool,
}

type Tail = Option<(u32, u32)>;

fn read_segment(
    source: &Source,
    number: u32,
    salt: u32,
    open: &mut Open,
) -> io::Result<(SegmentFound, Tail)> {
    let header = Header::read(source, number)?;
    let mut found = SegmentFound {
        has_header: header.is_some(),
        is_whole: true,
    };
    let first = header.map_or(0, |header| header.bytes);
    let mut walk = Walk::new(source, salt, first, source.len()?);
    let mut tail = None;
    while let Some(step) = walk.next()? {
        match step {
            Found::Frame { offset, frame } => {
                let at = Position {
                    segment: number,
                    offset,
                };
                note(open, &frame, at);
            }
            Found::Damage { .. } => found.is_whole = false,
            Found::Tail { from, to } => tail = Some((from, to)),
        }
    }
    Ok((found, tail))
}

fn note(open: &mut Open, frame: &Frame, at: Position) {
    #[derive(serde::Deserialize)]
    struct Named {
        id: CallId,
    }
    match frame.head.kind {
        Kind::Intent => {
            if let Some(named) = frame.decode::<Named>() {
                open.insert(named.id, at);
            }
        }
        Kind::Outcome => {
            if let Some(named) = frame.decode::<Named>() {
                open.remove(&named.id);
            }
        }
        Kind::KeyChanged
        | Kind::PromptsLoaded
        | Kind::Gap
        | Kind::Closed
        | Kind::Lost
        | Kind::SettingChanged
        | Kind::Audited
        | Kind::Run => {}
    }
}

/// Moves the bytes of an entry that was being written when the process died to a file of their own.
fn cut(path: &Path, source: &Source, from: u32, to: u32) -> Result<(), Error> {
    let length = usize::try_from(to - from).unwrap_or(0);
    let torn = source.read(from, length).map_err(Error::io("read", path))?;
    let aside = path.with_extension("torn");
    fs::write(&aside, &torn).map_err(Error::io("write", &aside))?;
    let file = OpenOptions::new().write(true).open(path);
    let file = file.map_err(Error::io("open", path))?;
    file.set_len(u64::from(from))
        .map_err(Error::io("cut", path))?;
    file.sync_all().map_err(Error::io("sync", path))?;
    tracing::warn!(
        bytes = to - from,
        kept_as = %aside.display(),
        "an unfinished entry was cut off the journal"
    );
    Ok(())
}

/// Gives every call that a crash left open its one outcome.
fn close_crashed(journal: &Journal, open: Vec<(CallId, Position)>, clock: Clock) {
    let count = open.len();
    for (id, intent_at) in open {
        let intent = journal.reader.intent(intent_at).ok();
        let mut outcome = CallOutcome {
            id,
            state: CallState::CrashRecovered,
            ended: clock.now(),
            status: None,
            error: Some("crash_recovered".to_owned()),
            message: Some("the gateway's process died during the call".to_owned()),
            provider: String::new(),
            model: String::new(),
            model_returned: None,
            usage: None,
            usage_reported: None,
            cost: Cost {
                pico_usd: None,
                quality: CostQuality::Unknown,
                price: None,
            },
            finish_reason: None,
            times: CallTimes::default(),
            attempts: Vec::new(),
            bytes_sent: 0,
            warnings: Vec::new(),
            request_body: None,
            output_format: BodyFormat::None,
            output: Bytes::new(),
        };
        let row = match &intent {
            Some(intent) => {
                outcome.provider.clone_from(&intent.provider);
                outcome.model.clone_from(&intent.model);
                CallRow::begun(intent)
            }
            None => {
                outcome.warnings.push("the intent is damaged".to_owned());
                CallRow::orphan(&outcome)
            }
        };
        let call = OpenCall {
            intent: intent_at,
            row: Box::new(row),
        };
        journal.lock().open.insert(id, call);
        if let Err(error) = journal.append_outcome(&outcome) {
            // It stays open and is closed at a start with more luck.
            tracing::error!(%error, %id, "cannot close a call that a crash left open");
        }
    }
    if 0 < count {
        tracing::warn!(count, "calls that a crash left open were closed");
    }
    if let Err(error) = sync_dir(&journal.dir) {
        tracing::error!(%error, "cannot sync the journal's directory");
    }
}
