//! Rare values (users, sessions, traces, runs): a long list of their hashes, in runs.
//!
//! A query reads the whole list, 9 bytes per value: about 30 ms for a million. Writing goes to the
//! list's end only, which costs next to nothing.

use crate::store::Error;
use crate::store::index::{Bucket, NAME};
use crate::store::row::CallRow;
use sled::Batch;

/// A run is closed at this size.
const RUN_BYTES: usize = 4096;
/// Hash and bucket; 40 bits of about a second last for 35 000 years.
const ENTRY_BYTES: usize = 9;

/// A kind of rare value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rare {
    User,
    Session,
    Trace,
    Run,
}

/// Returns the hash of a rare value.
pub(super) fn hash_of(rare: Rare, value: &str) -> u32 {
    let code = match rare {
        Rare::User => b'u',
        Rare::Session => b's',
        Rare::Trace => b't',
        Rare::Run => b'r',
    };
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[code]);
    hasher.update(value.as_bytes());
    hasher.finalize()
}

/// Calls `note` with the hashes of a row's rare values.
pub(super) fn sparse_hashes(row: &CallRow, mut note: impl FnMut(u32)) {
    let values = [
        (Rare::User, &row.user),
        (Rare::Session, &row.session),
        (Rare::Trace, &row.trace),
    ];
    for (rare, value) in values {
        if let Some(value) = value {
            note(hash_of(rare, value));
        }
    }
    if let Some(run) = row.run {
        note(hash_of(Rare::Run, &run.to_string()));
    }
}

/// The end of the list, which is still written to.
#[derive(Debug, Default)]
pub(super) struct Sparse {
    number: u64,
    run: Vec<u8>,
}

impl Sparse {
    /// Finds the end of the list.
    pub(super) fn load(tree: &sled::Db) -> Result<Self, Error> {
        let last = tree.scan_prefix(b"s").next_back();
        let Some((key, run)) = last.transpose().map_err(Error::sled(NAME))? else {
            return Ok(Self::default());
        };
        let number = key.get(1..).and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            number: number.map_or(0, u64::from_be_bytes),
            run: run.to_vec(),
        })
    }

    /// Adds values to the batch. The batch must be applied, or the index opened anew.
    pub(super) fn add(&mut self, mut values: Vec<(u32, Bucket)>, batch: &mut Batch) {
        if values.is_empty() {
            return;
        }
        values.sort_unstable();
        values.dedup();
        for (hash, bucket) in values {
            if RUN_BYTES < self.run.len() + ENTRY_BYTES {
                batch.insert(key_of_run(self.number), std::mem::take(&mut self.run));
                self.number += 1;
            }
            self.run.extend_from_slice(&hash.to_be_bytes());
            let bucket = bucket.to_be_bytes();
            self.run
                .extend_from_slice(bucket.get(3..).unwrap_or_default());
        }
        batch.insert(key_of_run(self.number), self.run.clone());
    }

    /// Returns the buckets up to `at` in which a value may be, descending.
    pub(super) fn find(tree: &sled::Db, hash: u32, at: Bucket) -> Result<Vec<Bucket>, Error> {
        let hash = hash.to_be_bytes();
        let mut buckets = Vec::new();
        for entry in tree.scan_prefix(b"s") {
            let (_, run) = entry.map_err(Error::sled(NAME))?;
            for value in run.chunks_exact(ENTRY_BYTES) {
                if let Some(bucket) = value.strip_prefix(&hash) {
                    let fold = |bucket, byte: &u8| (bucket << 8) | u64::from(*byte);
                    buckets.push(bucket.iter().fold(0, fold));
                }
            }
        }
        buckets.retain(|bucket| *bucket <= at);
        buckets.sort_unstable_by(|one, other| other.cmp(one));
        buckets.dedup();
        Ok(buckets)
    }
}

fn key_of_run(number: u64) -> Vec<u8> {
    [b"s", number.to_be_bytes().as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::Sparse;
    use sled::Batch;

    #[test]
    fn values_are_found_in_all_their_buckets_also_after_opening_again() {
        let dir = tempfile::tempdir().unwrap();
        let tree = sled::open(dir.path()).unwrap();
        for round in 0..3_u64 {
            let mut sparse = Sparse::load(&tree).unwrap();
            let values = (0..1000).map(|n| (n, round * 10 + u64::from(n % 2)));
            let mut batch = Batch::default();
            sparse.add(values.collect(), &mut batch);
            tree.apply_batch(batch).unwrap();
        }
        assert!(5 < tree.len());
        assert_eq!(Sparse::find(&tree, 77, u64::MAX).unwrap(), [21, 11, 1]);
        assert_eq!(Sparse::find(&tree, 76, 15).unwrap(), [10, 0]);
        assert!(Sparse::find(&tree, 5000, u64::MAX).unwrap().is_empty());
    }
}
