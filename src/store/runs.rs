//! Runs of evals: what the journal holds of them, and how the index finds it.
//!
//! An entry has a small head (run, step, cell, time, a few facts for lists) that this room reads, and a
//! body that it does not: plans, rows and reports are the affair of those who write them.

use crate::domain::{RunId, Timestamp};
use crate::store::frame::{Kind, Position};
use crate::store::index::{Index, NAME};
use crate::store::{Error, IdOf, Store};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sled::Batch;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What an entry tells of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStep {
    /// It began; the body is its plan.
    Began,
    /// It goes on after a cut; there is no body.
    Resumed,
    /// Something came of a cell; the body is the row. A newer row of the cell takes its place.
    Row,
    /// It ended; the body is its report.
    Ended,
}

/// The head of an entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunEntry {
    /// The run.
    pub run: RunId,
    /// What it tells.
    pub step: RunStep,
    /// When.
    pub at: Timestamp,
    /// The cell of a row: at most 64 characters that name it in its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// A few facts for lists, a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<RawValue>>,
}

impl RunEntry {
    /// Whether it ends the run.
    pub(super) const fn is_end(&self) -> bool {
        matches!(self.step, RunStep::Ended)
    }
}

/// An entry and where it stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct PlacedEntry {
    /// Where.
    pub(super) at: Position,
    /// Its head.
    pub(super) entry: RunEntry,
}

impl PlacedEntry {
    /// Returns about how much memory it takes, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let facts = self
            .entry
            .facts
            .as_ref()
            .map_or(0, |facts| facts.get().len());
        size_of::<Self>() + facts + self.entry.cell.as_ref().map_or(0, String::len)
    }
}

/// What the index knows of a run.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Known {
    began: Option<PlacedEntry>,
    ended: Option<PlacedEntry>,
}

/// A run, for lists.
#[derive(Debug, Clone, Serialize)]
pub struct StoredRun {
    /// Its name.
    pub id: RunId,
    /// When it began.
    pub began: Option<Timestamp>,
    /// When it ended; `None` while it has not, or was cut.
    pub ended: Option<Timestamp>,
    /// What its beginning tells lists.
    pub plan: Option<Box<RawValue>>,
    /// What its end tells lists.
    pub result: Option<Box<RawValue>>,
    #[serde(skip)]
    places: [Option<Position>; 2],
}

/// A row of a run.
#[derive(Debug, Clone)]
pub struct StoredRow {
    /// When it was written.
    pub at: Timestamp,
    /// Its cell.
    pub cell: String,
    /// The row itself, as it was given.
    pub body: Bytes,
}

fn run_key(run: RunId) -> Vec<u8> {
    [b"e", run.0.as_bytes().as_slice()].concat()
}

fn rows_of(run: RunId) -> Vec<u8> {
    [b"w", run.0.as_bytes().as_slice()].concat()
}

impl Index {
    /// Adds entries of runs to the batch.
    pub(super) fn add_entries(
        &self,
        entries: &[PlacedEntry],
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let mut runs: BTreeMap<RunId, Known> = BTreeMap::new();
        for placed in entries {
            let run = placed.entry.run;
            if placed.entry.step == RunStep::Row {
                let cell = placed.entry.cell.as_deref().unwrap_or_default();
                let key = [&rows_of(run), cell.as_bytes()].concat();
                let place = postcard::to_stdvec(&(placed.at, placed.entry.at));
                batch.insert(key, place.unwrap_or_default());
                continue;
            }
            let known = match runs.remove(&run) {
                Some(known) => known,
                None => self.known(run)?.unwrap_or_default(),
            };
            runs.insert(run, known.with(placed));
        }
        for (run, known) in runs {
            let value = serde_json::to_vec(&known).map_err(|source| Error::Encode { source })?;
            batch.insert(run_key(run), value);
        }
        Ok(())
    }

    fn known(&self, run: RunId) -> Result<Option<Known>, Error> {
        let value = self.tree.get(run_key(run)).map_err(Error::sled(NAME))?;
        Ok(value.and_then(|value| serde_json::from_slice(&value).ok()))
    }

    /// Returns the runs with ids in the range, newest first.
    fn runs(&self, from: RunId, to: RunId, limit: usize) -> Result<Vec<StoredRun>, Error> {
        let mut runs = Vec::new();
        for entry in self.tree.range(run_key(from)..=run_key(to)).rev() {
            let (key, value) = entry.map_err(Error::sled(NAME))?;
            let id = key.get(1..).and_then(|id| Uuid::from_slice(id).ok());
            let known = serde_json::from_slice::<Known>(&value).ok();
            if let Some((id, known)) = id.zip(known) {
                runs.push(known.into_run(RunId(id)));
            }
            if limit <= runs.len() {
                break;
            }
        }
        Ok(runs)
    }

    /// Returns where the rows of a run stand, in the order in which they were written.
    fn rows_of_run(&self, run: RunId) -> Result<Vec<(Position, Timestamp, String)>, Error> {
        let prefix = rows_of(run);
        let mut places = Vec::new();
        for entry in self.tree.scan_prefix(&prefix) {
            let (key, value) = entry.map_err(Error::sled(NAME))?;
            let cell = key.get(prefix.len()..).unwrap_or_default();
            if let Ok((position, at)) = postcard::from_bytes(&value) {
                places.push((position, at, String::from_utf8_lossy(cell).into_owned()));
            }
        }
        places.sort_unstable();
        Ok(places)
    }
}

impl Known {
    fn with(mut self, placed: &PlacedEntry) -> Self {
        match placed.entry.step {
            RunStep::Began => self.began = Some(placed.clone()),
            RunStep::Resumed => self.ended = None,
            RunStep::Ended => self.ended = Some(placed.clone()),
            RunStep::Row => {}
        }
        self
    }

    fn into_run(self, id: RunId) -> StoredRun {
        let places = [&self.began, &self.ended].map(|placed| Some(placed.as_ref()?.at));
        let time = |placed: &Option<PlacedEntry>| Some(placed.as_ref()?.entry.at);
        StoredRun {
            id,
            began: time(&self.began),
            ended: time(&self.ended),
            plan: self.began.and_then(|placed| placed.entry.facts),
            result: self.ended.and_then(|placed| placed.entry.facts),
            places,
        }
    }
}

impl Store {
    /// Appends an entry of a run, with its body. Blocks for microseconds, as long as the disk takes it.
    ///
    /// # Errors
    ///
    /// `JournalFull`, `TooLarge`, `Encode`, `Closed`.
    pub fn append_run_entry(&self, entry: &RunEntry, body: &Bytes) -> Result<Position, Error> {
        self.journal.append_run_entry(entry, body)
    }

    /// Returns up to `limit` runs, newest first; with `before`, only older ones. Blocks.
    ///
    /// # Errors
    ///
    /// `IndexBehind`, `Sled`, `Closed`.
    pub fn runs(&self, before: Option<RunId>, limit: usize) -> Result<Vec<StoredRun>, Error> {
        let index = self.indexer.ready(self.query_deadline)?;
        let to = match before {
            None => RunId(Uuid::max()),
            Some(before) => match before.0.as_u128().checked_sub(1) {
                Some(to) => RunId(Uuid::from_u128(to)),
                None => return Ok(Vec::new()),
            },
        };
        index.runs(RunId(Uuid::nil()), to, limit)
    }

    /// Returns a run by its id, or the first 8 or more hex digits of it. Blocks.
    ///
    /// # Errors
    ///
    /// `BadId`, `AmbiguousId`, `IndexBehind`, `Sled`, `Closed`.
    pub fn run(&self, id: &str) -> Result<Option<StoredRun>, Error> {
        let (from, to) = crate::store::query::id_range(IdOf::Run, id)?;
        let index = self.indexer.ready(self.query_deadline)?;
        let mut found = index.runs(RunId(from.0), RunId(to.0), 100)?;
        if 1 < found.len() {
            return Err(Error::AmbiguousId {
                of: IdOf::Run,
                prefix: id.to_owned(),
                count: found.len(),
            });
        }
        Ok(found.pop())
    }

    /// Returns the body of the entry that began `run`: its plan. Blocks.
    ///
    /// # Errors
    ///
    /// `Damaged`, `Io`.
    pub fn run_plan(&self, run: &StoredRun) -> Result<Option<Bytes>, Error> {
        let [began, _] = run.places;
        began.map(|at| self.run_body(at)).transpose()
    }

    /// Returns the body of the entry that ended `run`: its report. Blocks.
    ///
    /// # Errors
    ///
    /// `Damaged`, `Io`.
    pub fn run_report(&self, run: &StoredRun) -> Result<Option<Bytes>, Error> {
        let [_, ended] = run.places;
        ended.map(|at| self.run_body(at)).transpose()
    }

    /// Returns the newest row of each cell of a run, in the order in which they were written. A row that
    /// is lost to damage is left out: its cell is open again. Blocks.
    ///
    /// # Errors
    ///
    /// `IndexBehind`, `Sled`, `Io`, `Closed`.
    pub fn run_rows(&self, run: RunId) -> Result<Vec<StoredRow>, Error> {
        let index = self.indexer.ready(self.query_deadline)?;
        let mut rows = Vec::new();
        for (position, at, cell) in index.rows_of_run(run)? {
            match self.run_body(position) {
                Ok(body) => rows.push(StoredRow { at, cell, body }),
                Err(Error::Damaged { position }) => {
                    tracing::error!(%position, %run, "a row of a run is damaged, its cell is open again");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(rows)
    }

    fn run_body(&self, position: Position) -> Result<Bytes, Error> {
        let frame = self.journal.reader.frame(position)?;
        if frame.head.kind != Kind::Run {
            return Err(Error::Damaged { position });
        }
        Ok(frame.body)
    }
}
