//! Where the vector of each key stands: a table of the store, made from the segments.
//!
//! | key | value |
//! | --- | --- |
//! | `k` vector key, precision | segment u32, place of the block / 64 u32, its rows u16, the row u16, mark u8 |
//! | `m` segment u32 | up to which byte of the segment the table goes |
//! | `v` | the version of this table |
//!
//! The table may be behind the files after a crash, or gone: at the start what is missing is read from the
//! files. It must never be ahead of them, so rows are written first, and what points to a file that is gone is
//! removed at the start.

use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::block::Block;
use crate::embeddings::vault::precision::Mark;
use crate::embeddings::vault::segment::{Found, HEADER_BYTES, Segment, Walk};
use crate::embeddings::vault::{Precision, VaultError};
use crate::store::{Table, TableChange};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::sync::Arc;

/// The name of the table.
pub(super) const TABLE: &str = "embeddings.keys";
const VERSION_KEY: &[u8] = b"v";
const VERSION: &[u8] = &[1];
/// How many changes are made together.
const BATCH: usize = 8192;

/// From which share of a table on it is read whole: one in so many.
const WORTH_A_SCAN: u64 = 8;

/// Where a vector stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// The segment.
    pub(super) segment: u32,
    /// Where its block begins, divided by 64.
    block: u32,
    /// How many rows the block has.
    pub(super) rows: u16,
    /// Which of them.
    pub(super) row: u16,
    /// What is noted beside it.
    mark: u8,
}

impl Place {
    /// Returns the place of row `row` in the block of `rows` at byte `offset`; `None` beyond 256 GiB.
    pub(super) fn new(
        segment: u32,
        offset: u64,
        rows: usize,
        row: usize,
        mark: Mark,
    ) -> Option<Self> {
        Some(Self {
            segment,
            block: u32::try_from(offset / 64).ok()?,
            rows: u16::try_from(rows).ok()?,
            row: u16::try_from(row).ok()?,
            mark: mark.0,
        })
    }

    /// Returns the first byte of the block.
    pub(super) const fn offset(self) -> u64 {
        // From u32, which fits.
        (self.block as u64) * 64
    }

    /// Returns what is noted beside the vector.
    pub(super) const fn mark(self) -> Mark {
        Mark(self.mark)
    }

    fn encode(self) -> Vec<u8> {
        let mut bytes = self.segment.to_be_bytes().to_vec();
        bytes.extend(self.block.to_be_bytes());
        bytes.extend(self.rows.to_be_bytes());
        bytes.extend(self.row.to_be_bytes());
        bytes.push(self.mark);
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (segment, rest) = bytes.split_first_chunk()?;
        let (block, rest) = rest.split_first_chunk()?;
        let (rows, rest) = rest.split_first_chunk()?;
        let (row, rest) = rest.split_first_chunk()?;
        Some(Self {
            segment: u32::from_be_bytes(*segment),
            block: u32::from_be_bytes(*block),
            rows: u16::from_be_bytes(*rows),
            row: u16::from_be_bytes(*row),
            mark: *rest.first()?,
        })
    }
}

/// The table.
#[derive(Debug, Clone)]
pub(super) struct Index {
    table: Table,
}

fn key_of(key: &VectorKey, precision: Precision) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(34);
    bytes.push(b'k');
    bytes.extend_from_slice(&key.0);
    bytes.push(precision.code());
    bytes
}

fn parse_key(bytes: &[u8]) -> Option<(VectorKey, Precision)> {
    let (key, precision) = bytes.strip_prefix(b"k")?.split_first_chunk::<32>()?;
    let precision = Precision::from_code(*precision.first()?)?;
    Some((VectorKey(*key), precision))
}

fn mark_key(segment: u32) -> Vec<u8> {
    [b"m".as_slice(), &segment.to_be_bytes()].concat()
}

fn mark(segment: u32, to: u64) -> TableChange {
    TableChange::Insert {
        key: mark_key(segment),
        value: to.to_be_bytes().to_vec(),
    }
}

/// Returns the change that says where a vector stands.
fn placed(key: &VectorKey, precision: Precision, place: Place) -> TableChange {
    TableChange::Insert {
        key: key_of(key, precision),
        value: place.encode(),
    }
}

impl Index {
    /// Brings the table up to what the segments hold.
    pub(super) fn open(
        table: Table,
        segments: &BTreeMap<u32, Arc<Segment>>,
    ) -> Result<Self, VaultError> {
        let index = Self { table };
        let version = index.table.get(VERSION_KEY)?;
        if version.as_deref() != Some(VERSION) {
            index.table.clear()?;
            index.table.apply([TableChange::Insert {
                key: VERSION_KEY.to_vec(),
                value: VERSION.to_vec(),
            }])?;
        }
        index.forget_what_is_gone(segments)?;
        for segment in segments.values() {
            index.catch_up(segment)?;
        }
        Ok(index)
    }

    /// Makes the table anew.
    pub(super) fn rebuild(&self, segments: &BTreeMap<u32, Arc<Segment>>) -> Result<(), VaultError> {
        self.table.clear()?;
        Self::open(self.table.clone(), segments).map(|_| ())
    }

    /// Returns where the vector of a key stands that is kept exactly so.
    pub(super) fn place(
        &self,
        key: &VectorKey,
        precision: Precision,
    ) -> Result<Option<Place>, VaultError> {
        let value = self.table.get(&key_of(key, precision))?;
        Ok(value.and_then(|value| Place::decode(&value)))
    }

    /// Returns where the vectors of keys stand that are kept exactly so, in the order of the keys. `kept` is about how
    /// many the table has: where many of those are wanted it is read from end to end, ten times as fast as being asked
    /// for each.
    pub(super) fn places(
        &self,
        keys: &[VectorKey],
        precision: Precision,
        kept: u64,
    ) -> Result<Vec<Option<Place>>, VaultError> {
        let wanted = u64::try_from(keys.len()).unwrap_or(u64::MAX);
        if wanted.saturating_mul(WORTH_A_SCAN) < kept {
            let places = keys.iter().map(|key| self.place(key, precision));
            return places.collect();
        }
        let mut order: Vec<(VectorKey, usize)> = keys.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let mut wanted = order.into_iter().peekable();
        let mut places = vec![None; keys.len()];
        self.scan(|key, found, place| {
            while wanted.next_if(|(wanted, _)| *wanted < key).is_some() {}
            if found != precision {
                return;
            }
            while let Some((_, row)) = wanted.next_if(|(wanted, _)| *wanted == key) {
                if let Some(of_row) = places.get_mut(row) {
                    *of_row = Some(place);
                }
            }
        })?;
        Ok(places)
    }

    /// Returns the finest precision, down to `least`, a key's vector is kept at, and where it stands.
    pub(super) fn finest(
        &self,
        key: &VectorKey,
        least: Precision,
    ) -> Result<Option<(Precision, Place)>, VaultError> {
        for precision in Precision::ALL {
            if least < precision {
                break;
            }
            if let Some(place) = self.place(key, precision)? {
                return Ok(Some((precision, place)));
            }
        }
        Ok(None)
    }

    /// Notes where vectors stand, and up to where segments are in the table then.
    pub(super) fn add(
        &self,
        precision: Precision,
        places: &[(VectorKey, Place)],
        marks: &[(u32, u64)],
    ) -> Result<(), VaultError> {
        for places in places.chunks(BATCH) {
            let changes = places.iter();
            self.table
                .apply(changes.map(|(key, place)| placed(key, precision, *place)))?;
        }
        let marks = marks.iter().map(|(segment, to)| mark(*segment, *to));
        Ok(self.table.apply(marks)?)
    }

    /// Forgets keys.
    pub(super) fn remove(
        &self,
        precision: Precision,
        keys: &[VectorKey],
    ) -> Result<(), VaultError> {
        for keys in keys.chunks(BATCH) {
            let removals = keys.iter().map(|key| TableChange::Remove {
                key: key_of(key, precision),
            });
            self.table.apply(removals)?;
        }
        Ok(())
    }

    /// Forgets that there is a segment to which nothing points any more.
    pub(super) fn forget(&self, segment: u32) -> Result<(), VaultError> {
        let key = mark_key(segment);
        Ok(self.table.apply([TableChange::Remove { key }])?)
    }

    /// Makes everything durable.
    pub(super) fn flush(&self) -> Result<(), VaultError> {
        Ok(self.table.flush()?)
    }

    /// Calls `visit` with every vector.
    pub(super) fn scan(
        &self,
        mut visit: impl FnMut(VectorKey, Precision, Place),
    ) -> Result<(), VaultError> {
        self.table.scan(b"k", |key, value| {
            if let (Some((key, precision)), Some(place)) = (parse_key(key), Place::decode(value)) {
                visit(key, precision, place);
            }
            true
        })?;
        Ok(())
    }

    fn marks(&self) -> Result<BTreeMap<u32, u64>, VaultError> {
        let mut marks = BTreeMap::new();
        self.table.scan(b"m", |key, value| {
            let segment = key.get(1..).and_then(|bytes| bytes.try_into().ok());
            let to = value.try_into().ok();
            if let (Some(segment), Some(to)) = (segment, to) {
                marks.insert(u32::from_be_bytes(segment), u64::from_be_bytes(to));
            }
            true
        })?;
        Ok(marks)
    }

    /// Removes what points to files that are gone, or beyond their ends.
    fn forget_what_is_gone(
        &self,
        segments: &BTreeMap<u32, Arc<Segment>>,
    ) -> Result<(), VaultError> {
        let mut gone = BTreeSet::new();
        for (number, to) in self.marks()? {
            let is_there = match segments.get(&number) {
                Some(segment) => to <= segment.bytes()?,
                None => false,
            };
            if !is_there {
                gone.insert(number);
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        tracing::warn!(
            segments = gone.len(),
            "files of vectors are gone or shorter than they were; their vectors are forgotten"
        );
        let mut lost: BTreeMap<Precision, Vec<VectorKey>> = BTreeMap::new();
        self.scan(|key, precision, place| {
            if gone.contains(&place.segment) {
                lost.entry(precision).or_default().push(key);
            }
        })?;
        for (precision, keys) in lost {
            self.remove(precision, &keys)?;
        }
        gone.into_iter()
            .try_for_each(|segment| self.forget(segment))
    }

    /// Reads the end of a segment that the table does not know yet; a torn tail is cut.
    fn catch_up(&self, segment: &Segment) -> Result<(), VaultError> {
        let value = self.table.get(&mark_key(segment.number))?;
        let from = value.and_then(|value| Some(u64::from_be_bytes(value.try_into().ok()?)));
        let mut walk = Walk::new(segment, from.unwrap_or(HEADER_BYTES))?;
        let mut changes = Vec::new();
        let mut to = walk.at();
        while let Some(found) = walk.next()? {
            match found {
                Found::Block { offset, block } => {
                    changes.extend(placed_rows(segment, offset, &block));
                }
                Found::Damage { offset, problem } => {
                    tracing::error!(path = %segment.path.display(), offset, problem,
                        "vectors are damaged; `promptgate embeddings snapshot verify` says which snapshots miss them");
                }
                Found::Torn { offset } => {
                    cut(segment, offset)?;
                    break;
                }
            }
            to = walk.at();
            if BATCH <= changes.len() {
                changes.push(mark(segment.number, to));
                self.table.apply(changes.drain(..))?;
            }
        }
        if from != Some(to) {
            changes.push(mark(segment.number, to));
            self.table.apply(changes)?;
        }
        Ok(())
    }
}

/// Returns the changes that say where the rows of a block stand.
fn placed_rows(segment: &Segment, offset: u64, block: &Block<'_>) -> Vec<TableChange> {
    let rows = (0..block.rows).filter_map(|row| {
        let mark = block.mark(row);
        let place = Place::new(segment.number, offset, block.rows, row, mark)?;
        Some(placed(&block.key(row)?, segment.shape.precision, place))
    });
    rows.collect()
}

fn cut(segment: &Segment, offset: u64) -> Result<(), VaultError> {
    let path = &segment.path;
    let bytes = segment.bytes()?.saturating_sub(offset);
    tracing::warn!(path = %path.display(), bytes, "the end of a file of vectors was not written whole; it is cut");
    let file = OpenOptions::new().write(true).open(path);
    let file = file.map_err(VaultError::io("open", path))?;
    let is_cut = file.set_len(offset).and_then(|()| file.sync_all());
    is_cut.map_err(VaultError::io("cut", path))
}
