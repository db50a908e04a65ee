//! Reading single entries back, from plain and packed segments.

use crate::domain::{CallIntent, CallOutcome};
use crate::store::Error;
use crate::store::frame::{Frame, Kind, Position};
use crate::store::segment::{Source, plain_path};
use crate::store::walk::read_one;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// How many segments stay open for reading.
const CACHED: usize = 8;

/// Reads entries by their position.
#[derive(Debug)]
pub(super) struct Reader {
    dir: PathBuf,
    salt: u32,
    cached: Mutex<Vec<(u32, Arc<Source>)>>,
}

impl Reader {
    /// Reads segments in `dir`.
    pub(super) const fn new(dir: PathBuf, salt: u32) -> Self {
        Self {
            dir,
            salt,
            cached: Mutex::new(Vec::new()),
        }
    }

    /// Returns segment `number`, open.
    pub(super) fn source(&self, number: u32) -> Result<Option<Arc<Source>>, Error> {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = cached.iter().position(|(known, _)| *known == number) {
            let entry = cached.remove(place);
            let source = Arc::clone(&entry.1);
            cached.push(entry);
            return Ok(Some(source));
        }
        let Some(source) = Source::open(&self.dir, number)? else {
            return Ok(None);
        };
        let source = Arc::new(source);
        if CACHED <= cached.len() {
            cached.remove(0);
        }
        cached.push((number, Arc::clone(&source)));
        Ok(Some(source))
    }

    /// Forgets the file of a segment that was replaced.
    pub(super) fn forget(&self, number: u32) {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.retain(|(known, _)| *known != number);
    }

    /// Reads the entry at `position`.
    ///
    /// # Errors
    ///
    /// `Damaged` when there is no good entry.
    pub(super) fn frame(&self, position: Position) -> Result<Frame, Error> {
        let damaged = || Error::Damaged { position };
        let source = self.source(position.segment)?.ok_or_else(damaged)?;
        let path = plain_path(&self.dir, position.segment);
        let frame = read_one(&source, self.salt, position.offset);
        frame.map_err(Error::io("read", &path))?.ok_or_else(damaged)
    }

    /// Reads the intent at `position`, with the request.
    pub(super) fn intent(&self, position: Position) -> Result<CallIntent, Error> {
        let frame = self.frame(position)?;
        let intent = frame.decode().filter(|_| frame.head.kind == Kind::Intent);
        let intent: CallIntent = intent.ok_or(Error::Damaged { position })?;
        Ok(CallIntent {
            request: frame.body,
            ..intent
        })
    }

    /// Reads the outcome at `position`, with the output.
    pub(super) fn outcome(&self, position: Position) -> Result<CallOutcome, Error> {
        let frame = self.frame(position)?;
        let outcome = frame.decode().filter(|_| frame.head.kind == Kind::Outcome);
        let outcome: CallOutcome = outcome.ok_or(Error::Damaged { position })?;
        Ok(CallOutcome {
            output: frame.body,
            ..outcome
        })
    }
}
