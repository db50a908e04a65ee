//! The index over the journal, in sled: what is in it and how it is written.
//!
//! Ids are UUIDs of version 7, so their first 48 bits are time; a **bucket** is about a second of it (1024 ms).
//!
//! | key | value |
//! | --- | --- |
//! | `r` bucket, place of the first outcome | a block of up to 32 rows of that bucket |
//! | `t` dimension, hash of the value, bucket | nothing: the bucket has such rows |
//! | `s` number | a run of hashes of rare values (users, sessions, traces), each with its bucket |
//! | `e` run | where the run began and ended, with the heads of these entries |
//! | `w` run, cell | where the newest row of the cell stands |
//! | `h` hour, group | the sums of the group in that hour |
//! | `m` name | how far the journal is indexed; the largest difference of id and time |
//!
//! Rows and terms are per bucket and not per call, because a key costs sled two to three
//! microseconds and a call has up to nine terms. A query meets the terms' buckets and checks their
//! rows, so hashes that coincide cost time, not truth. Rare values would make a key in a place of its
//! own each, ten times the cost of all else: they go to the end of one long list (`sparse`).

use crate::domain::{CallId, Timestamp};
use crate::store::Error;
use crate::store::frame::Position;
use crate::store::rollup::{Group, Sums};
use crate::store::row::{CallRow, IndexedRow, Stored, decode_block, encode_block};
use crate::store::runs::PlacedEntry;
use crate::store::sparse::{Sparse, sparse_hashes};
use crate::store::term::Term;
use sled::Batch;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The name in errors.
pub(super) const NAME: &str = "index";
const INDEXED_TO: &[u8] = b"mindexed_to";
const SKEW: &[u8] = b"mskew";
/// Rows per block: larger ones are cheaper to write until sled splits its pages for them.
const BLOCK_ROWS: usize = 32;
/// Sums kept in memory, so that a batch need not read them.
const CACHED_SUMS: usize = 4096;

/// Seconds, nearly: the id's milliseconds without their last ten bits.
pub(super) type Bucket = u64;

/// Returns the bucket of a call.
pub(super) fn bucket_of(id: CallId) -> Bucket {
    let bits = id.0.as_u128() >> 90;
    u64::try_from(bits).unwrap_or(u64::MAX)
}

/// Returns the bucket of a time.
pub(super) fn bucket_at(time: Timestamp) -> Bucket {
    u64::try_from(time.unix_millis().max(0)).unwrap_or(0) >> 10
}

pub(super) fn key_of(prefix: &[u8], bucket: Bucket, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + 8 + rest.len());
    key.extend_from_slice(prefix);
    key.extend_from_slice(&bucket.to_be_bytes());
    key.extend_from_slice(rest);
    key
}

pub(super) fn bucket_in(key: &[u8], at: usize) -> Option<Bucket> {
    let eight = key.get(at..at.checked_add(8)?)?;
    Some(u64::from_be_bytes(eight.try_into().ok()?))
}

fn rollup_key(group: &Group) -> Vec<u8> {
    let mut key = vec![b'h'];
    key.extend_from_slice(&group.hour.to_be_bytes());
    postcard::to_extend(group, key).unwrap_or_default()
}

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) tree: sled::Db,
    cache: Mutex<HashMap<Group, Sums>>,
    sparse: Mutex<Sparse>,
}

impl Index {
    /// Opens the database in `dir`.
    pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, Error> {
        let config = sled::Config::new()
            .path(dir)
            .cache_capacity(cache_bytes)
            .flush_every_ms(Some(2000));
        let tree = config.open().map_err(Error::sled(NAME))?;
        Ok(Self {
            sparse: Mutex::new(Sparse::load(&tree)?),
            tree,
            cache: Mutex::new(HashMap::new()),
        })
    }

    /// Returns up to where the journal is indexed.
    pub(super) fn indexed_to(&self) -> Result<Position, Error> {
        let bytes = self.tree.get(INDEXED_TO).map_err(Error::sled(NAME))?;
        let position = bytes.and_then(|bytes| postcard::from_bytes(&bytes).ok());
        Ok(position.unwrap_or_default())
    }

    /// Returns the largest difference between an id's time and the call's, in microseconds.
    pub(super) fn skew(&self) -> Result<i64, Error> {
        let bytes = self.tree.get(SKEW).map_err(Error::sled(NAME))?;
        Ok(bytes
            .and_then(|bytes| postcard::from_bytes(&bytes).ok())
            .unwrap_or(0))
    }

    /// Adds the rows and entries of runs, and that the journal is indexed up to `end`, in one step.
    pub(super) fn apply(
        &self,
        rows: &[IndexedRow],
        entries: &[PlacedEntry],
        end: Position,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        let mut buckets: BTreeMap<Bucket, Vec<&IndexedRow>> = BTreeMap::new();
        let mut terms = BTreeSet::new();
        let mut rare = Vec::new();
        let known_skew = self.skew()?;
        let mut skew = known_skew;
        for row in rows {
            let bucket = bucket_of(row.row.id);
            buckets.entry(bucket).or_default().push(row);
            Term::of_row(&row.row, |term| {
                terms.insert((term, bucket));
            });
            sparse_hashes(&row.row, |hash| rare.push((hash, bucket)));
            skew = skew.max(skew_of(&row.row));
        }
        for (bucket, rows) in &buckets {
            for block in rows.chunks(BLOCK_ROWS) {
                let Some(first) = block.first() else { continue };
                let mut place = [0; 8];
                crate::store::frame::put(&mut place, 0, &first.outcome.segment.to_be_bytes());
                crate::store::frame::put(&mut place, 4, &first.outcome.offset.to_be_bytes());
                let value = encode_block(block.iter().copied());
                batch.insert(key_of(b"r", *bucket, &place), value);
            }
        }
        for (term, bucket) in terms {
            batch.insert(term.key(bucket), &[]);
        }
        let mut sparse = self.sparse.lock().unwrap_or_else(PoisonError::into_inner);
        sparse.add(rare, &mut batch);
        drop(sparse);
        self.add_sums(rows, &mut batch)?;
        self.add_entries(entries, &mut batch)?;
        batch.insert(INDEXED_TO, postcard::to_stdvec(&end).unwrap_or_default());
        if skew != known_skew {
            batch.insert(SKEW, postcard::to_stdvec(&skew).unwrap_or_default());
        }
        self.tree.apply_batch(batch).map_err(Error::sled(NAME))
    }

    fn add_sums(&self, rows: &[IndexedRow], batch: &mut Batch) -> Result<(), Error> {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if CACHED_SUMS < cache.len() {
            cache.clear();
        }
        let mut touched = BTreeSet::new();
        for row in rows {
            let Some(group) = Group::of(&row.row) else {
                continue;
            };
            let sums = match cache.entry(group) {
                Entry::Occupied(known) => {
                    touched.insert(known.key().clone());
                    known.into_mut()
                }
                Entry::Vacant(place) => {
                    touched.insert(place.key().clone());
                    let stored = self.tree.get(rollup_key(place.key()));
                    let stored = stored.map_err(Error::sled(NAME))?;
                    let stored = stored.and_then(|bytes| postcard::from_bytes(&bytes).ok());
                    place.insert(stored.unwrap_or_default())
                }
            };
            sums.add(&row.row);
        }
        for group in touched {
            if let Some(sums) = cache.get(&group) {
                let value = postcard::to_stdvec(sums).unwrap_or_default();
                batch.insert(rollup_key(&group), value);
            }
        }
        Ok(())
    }

    /// Returns the largest bucket up to `at` that has rows.
    pub(super) fn last_bucket(&self, at: Bucket) -> Result<Option<Bucket>, Error> {
        let to = key_of(b"r", at, &[0xff; 8]);
        let found = self.tree.range(b"r".as_slice()..=to.as_slice()).next_back();
        let found = found.transpose().map_err(Error::sled(NAME))?;
        Ok(found.and_then(|(key, _)| bucket_in(&key, 1)))
    }

    /// Returns the largest bucket up to `at` that has rows with each of the terms.
    pub(super) fn last_common_bucket(
        &self,
        terms: &[Term],
        mut at: Bucket,
    ) -> Result<Option<Bucket>, Error> {
        if terms.is_empty() {
            return self.last_bucket(at);
        }
        loop {
            let before = at;
            for term in terms {
                let Some(bucket) = term.last_bucket(&self.tree, at)? else {
                    return Ok(None);
                };
                at = bucket;
            }
            if before == at || terms.len() == 1 {
                return Ok(Some(at));
            }
        }
    }

    /// Returns the buckets up to `at` in which a rare value may be, descending.
    pub(super) fn rare_buckets(&self, hash: u32, at: Bucket) -> Result<Vec<Bucket>, Error> {
        Sparse::find(&self.tree, hash, at)
    }

    /// Returns the rows of a bucket that are wanted, ascending by id.
    pub(super) fn rows(
        &self,
        bucket: Bucket,
        is_wanted: impl Fn(&Stored<'_>) -> bool,
    ) -> Result<Vec<IndexedRow>, Error> {
        let mut rows = Vec::new();
        for entry in self.tree.scan_prefix(key_of(b"r", bucket, &[])) {
            let (_, block) = entry.map_err(Error::sled(NAME))?;
            decode_block(&block, &is_wanted, &mut rows);
        }
        rows.sort_unstable_by_key(|row| row.row.id);
        Ok(rows)
    }

    /// Gives a row that is in the index its new places. Whether it was there.
    pub(super) fn move_row(&self, row: &IndexedRow) -> Result<bool, Error> {
        for entry in self
            .tree
            .scan_prefix(key_of(b"r", bucket_of(row.row.id), &[]))
        {
            let (key, block) = entry.map_err(Error::sled(NAME))?;
            let mut rows = Vec::new();
            decode_block(&block, |_| true, &mut rows);
            let Some(known) = rows.iter_mut().find(|known| known.row.id == row.row.id) else {
                continue;
            };
            known.clone_from(row);
            let value = encode_block(rows.iter());
            self.tree.insert(key, value).map_err(Error::sled(NAME))?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Calls `visit` with the sums of all groups from one hour to another (both included).
    pub(super) fn sums(
        &self,
        from_hour: u32,
        to_hour: u32,
        mut visit: impl FnMut(Group, Sums),
    ) -> Result<(), Error> {
        let bound = |hour: u32| [&b"h"[..], &hour.to_be_bytes()].concat();
        let from = bound(from_hour);
        let mut to = bound(to_hour);
        to.extend_from_slice(&[0xff; 8]);
        for entry in self.tree.range(from..=to) {
            let (key, value) = entry.map_err(Error::sled(NAME))?;
            let group = key
                .get(5..)
                .and_then(|bytes| postcard::from_bytes(bytes).ok());
            let sums = postcard::from_bytes(&value).ok();
            if let Some((group, sums)) = group.zip(sums) {
                visit(group, sums);
            }
        }
        Ok(())
    }

    /// Makes everything durable.
    pub(super) fn flush(&self) -> Result<(), Error> {
        self.tree.flush().map(|_| ()).map_err(Error::sled(NAME))
    }
}

fn skew_of(row: &CallRow) -> i64 {
    let millis = i64::try_from(row.id.0.as_u128() >> 80).unwrap_or(i64::MAX);
    let id_time = millis.saturating_mul(1000);
    i64::try_from(row.started.0.abs_diff(id_time)).unwrap_or(i64::MAX)
}
