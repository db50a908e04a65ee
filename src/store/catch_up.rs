//! Indexing from the journal's files: at the start, after falling behind, and for a rebuild.

use crate::domain::{CallId, CallIntent, CallOutcome};
use crate::store::Error;
use crate::store::frame::{Frame, Kind, Position};
use crate::store::index::Index;
use crate::store::journal::Journal;
use crate::store::repair::quarantine;
use crate::store::row::{CallRow, IndexedRow};
use crate::store::runs::PlacedEntry;
use crate::store::segment::{Header, numbers, plain_path};
use crate::store::walk::{Found, Walk};
use std::collections::HashMap;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;

/// Rows per batch.
const BATCH_ROWS: usize = 512;
/// Intents kept for their outcomes; the intents of others are read again by their position.
const KEPT_INTENTS: usize = 4096;

/// A run over the files.
#[derive(Debug)]
pub(super) struct CatchUp<'a> {
    journal: &'a Journal,
    index: &'a Index,
    indexed_to: Position,
    intents: HashMap<CallId, (Position, CallRow)>,
    rows: Vec<IndexedRow>,
    entries: Vec<PlacedEntry>,
}

impl<'a> CatchUp<'a> {
    /// Begins behind `indexed_to`.
    pub(super) fn new(journal: &'a Journal, index: &'a Index, indexed_to: Position) -> Self {
        Self {
            journal,
            index,
            indexed_to,
            intents: HashMap::new(),
            rows: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// Returns up to where the journal is indexed now.
    pub(super) const fn indexed_to(&self) -> Position {
        self.indexed_to
    }

    /// Reads on to `end`, which is where the journal ended a moment ago, or until the journal is
    /// stopping, and calls `publish` after each batch.
    pub(super) fn run(
        &mut self,
        end: Position,
        mut publish: impl FnMut(Position),
    ) -> Result<(), Error> {
        for number in numbers(&self.journal.dir)? {
            if number < self.indexed_to.segment || end.segment < number {
                continue;
            }
            let is_whole = self.segment(number, end, &mut publish)?;
            if self.journal.lock().is_stopping {
                return Ok(());
            }
            if !is_whole && number < end.segment {
                repair(self.journal, number)?;
            }
        }
        self.store(end)?;
        publish(end);
        Ok(())
    }

    /// Reads a segment; whether all of it could be read.
    fn segment(
        &mut self,
        number: u32,
        end: Position,
        publish: &mut impl FnMut(Position),
    ) -> Result<bool, Error> {
        let path = plain_path(&self.journal.dir, number);
        let Ok(Some(source)) = self.journal.reader.source(number) else {
            return Ok(false);
        };
        let header = Header::read(&source, number).map_err(Error::io("read", &path))?;
        let mut is_whole = header.is_some();
        let mut from = header.map_or(0, |header| header.bytes);
        if number == self.indexed_to.segment {
            from = from.max(self.indexed_to.offset);
        }
        let mut to = source.len().map_err(Error::io("read", &path))?;
        if number == end.segment {
            to = to.min(end.offset);
        }
        let mut walk = Walk::new(&source, self.journal.salt, from, to);
        while let Some(found) = walk.next().map_err(Error::io("read", &path))? {
            let Found::Frame { offset, frame } = found else {
                is_whole = false;
                continue;
            };
            let at = Position {
                segment: number,
                offset,
            };
            self.note(&frame, at)?;
            if BATCH_ROWS <= self.rows.len() + self.entries.len() {
                self.store(Position {
                    segment: number,
                    offset: offset.saturating_add(frame.head.total_bytes()),
                })?;
                publish(self.indexed_to);
                if self.journal.lock().is_stopping {
                    return Ok(true);
                }
            }
        }
        Ok(is_whole)
    }

    fn note(&mut self, frame: &Frame, at: Position) -> Result<(), Error> {
        match frame.head.kind {
            Kind::Intent => {
                if let Some(intent) = frame.decode::<CallIntent>() {
                    if KEPT_INTENTS <= self.intents.len() {
                        self.intents.clear();
                    }
                    let row = CallRow::begun(&intent);
                    self.intents.insert(intent.id, (at, row));
                }
                Ok(())
            }
            Kind::Outcome => match frame.decode::<CallOutcome>() {
                Some(outcome) => self.ended(&outcome, at, frame),
                None => Ok(()),
            },
            Kind::Run => {
                if let Some(entry) = frame.decode() {
                    self.entries.push(PlacedEntry { at, entry });
                }
                Ok(())
            }
            Kind::KeyChanged
            | Kind::PromptsLoaded
            | Kind::Gap
            | Kind::Closed
            | Kind::Lost
            | Kind::SettingChanged
            | Kind::Audited => Ok(()),
        }
    }

    fn ended(&mut self, outcome: &CallOutcome, at: Position, frame: &Frame) -> Result<(), Error> {
        let link = frame.head.link;
        let known = self.intents.remove(&outcome.id);
        let known = known.or_else(|| {
            let intent = self.journal.reader.intent(link).ok()?;
            Some((link, CallRow::begun(&intent)))
        });
        let (intent, row) = match known {
            Some((intent, mut row)) => {
                row.end(outcome);
                (intent, row)
            }
            None => (Position::default(), CallRow::orphan(outcome)),
        };
        let row = IndexedRow {
            row,
            intent,
            outcome: at,
        };
        if frame.head.is_copy {
            // The first writing may be indexed or waiting here already: then only its place moves.
            self.store(at)?;
            if self.index.move_row(&row)? {
                return Ok(());
            }
        }
        self.rows.push(row);
        Ok(())
    }

    fn store(&mut self, end: Position) -> Result<(), Error> {
        if !self.rows.is_empty() || !self.entries.is_empty() || self.indexed_to != end {
            self.index.apply(&self.rows, &self.entries, end)?;
        }
        self.rows.clear();
        self.entries.clear();
        self.indexed_to = end;
        Ok(())
    }
}

/// Sets a damaged sealed segment aside.
pub(super) fn repair(journal: &Journal, number: u32) -> Result<(), Error> {
    let _files = journal.files.lock().unwrap_or_else(PoisonError::into_inner);
    journal.counters.quarantined.fetch_add(1, Ordering::Relaxed);
    quarantine(&journal.dir, number, journal.salt)?;
    journal.reader.forget(number);
    Ok(())
}

impl Journal {
    /// Reads all entries that can be read, in order.
    pub(super) fn each_entry(&self, mut visit: impl FnMut(Frame)) -> Result<(), Error> {
        for number in numbers(&self.dir)? {
            let Ok(Some(source)) = self.reader.source(number) else {
                continue;
            };
            let path = plain_path(&self.dir, number);
            let header = Header::read(&source, number).map_err(Error::io("read", &path))?;
            let from = header.map_or(0, |header| header.bytes);
            let to = source.len().map_err(Error::io("read", &path))?;
            let mut walk = Walk::new(&source, self.salt, from, to);
            while let Some(found) = walk.next().map_err(Error::io("read", &path))? {
                if let Found::Frame { frame, .. } = found {
                    visit(frame);
                }
            }
        }
        Ok(())
    }
}
