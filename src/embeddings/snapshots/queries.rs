//! Which vectors of queries were used lately: no snapshot holds them, and garbage is not collected of them
//! before a month has passed.
//!
//! ```text
//! data/embeddings/queries/<day>    keys that were used on a day (since 1970), 32 bytes each
//! ```

use crate::domain::Timestamp;
use crate::embeddings::snapshots::Error;
use crate::embeddings::space::VectorKey;
use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// For how many days a vector of a query is kept after it was used last.
pub(super) const KEPT_DAYS: i64 = 30;
const SECONDS_A_DAY: i64 = 86_400;

/// What queries were used, by day. Everything here blocks.
#[derive(Debug)]
pub(super) struct UsedQueries {
    dir: PathBuf,
    writing: Mutex<()>,
}

impl UsedQueries {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            writing: Mutex::default(),
        }
    }

    /// Notes that keys were used.
    pub(super) fn note(&self, keys: &[VectorKey], at: Timestamp) -> Result<(), Error> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        fs::create_dir_all(&self.dir).map_err(Error::io("create", &self.dir))?;
        let path = self.dir.join(day(at).to_string());
        let mut known = read(&path)?;
        let new = keys.iter().filter(|key| known.insert(**key));
        let new: Vec<u8> = new.flat_map(|key| key.0).collect();
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let written = file.and_then(|mut file| file.write_all(&new));
        written.map_err(Error::io("write", &path))
    }

    /// Returns the keys that were used within the last [`KEPT_DAYS`] days.
    pub(super) fn recent(&self, at: Timestamp) -> Result<HashSet<VectorKey>, Error> {
        let mut keys = HashSet::new();
        for (path, number) in self.days()? {
            if day(at) - KEPT_DAYS <= number {
                keys.extend(read(&path)?);
            }
        }
        Ok(keys)
    }

    /// Forgets the days before.
    pub(super) fn forget_old(&self, at: Timestamp) -> Result<(), Error> {
        for (path, number) in self.days()? {
            if number < day(at) - KEPT_DAYS {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn days(&self) -> Result<Vec<(PathBuf, i64)>, Error> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            read => read.map_err(Error::io("read", &self.dir))?,
        };
        let mut days = Vec::new();
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &self.dir))?;
            if let Ok(number) = entry.file_name().to_string_lossy().parse() {
                days.push((entry.path(), number));
            }
        }
        Ok(days)
    }
}

const fn day(at: Timestamp) -> i64 {
    at.unix_seconds().div_euclid(SECONDS_A_DAY)
}

/// Reads a day; a key that a crash cut off is none.
fn read(path: &Path) -> Result<HashSet<VectorKey>, Error> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashSet::new()),
        read => read.map_err(Error::io("read", path))?,
    };
    let (keys, _) = bytes.as_chunks();
    Ok(keys.iter().map(|key| VectorKey(*key)).collect())
}

#[cfg(test)]
mod tests {
    use super::UsedQueries;
    use crate::domain::Timestamp;
    use crate::embeddings::space::VectorKey;
    use std::fs;

    #[test]
    fn a_query_is_kept_for_a_month_after_its_last_use() {
        let dir = tempfile::tempdir().unwrap();
        let used = UsedQueries::new(dir.path().join("queries"));
        let at = |day: i64| Timestamp(day * 86_400 * 1_000_000);
        let (old, new) = (VectorKey([1; 32]), VectorKey([2; 32]));
        used.note(&[old, new], at(100)).unwrap();
        used.note(&[new, new], at(101)).unwrap();
        used.note(&[new], at(101)).unwrap();
        let file = dir.path().join("queries/101");
        assert_eq!(fs::metadata(file).unwrap().len(), 32, "once a day");
        assert_eq!(used.recent(at(130)).unwrap(), [old, new].into());
        assert_eq!(used.recent(at(131)).unwrap(), [new].into());
        used.forget_old(at(131)).unwrap();
        assert_eq!(used.recent(at(130)).unwrap(), [new].into());
        assert_eq!(used.recent(at(132)).unwrap(), [].into());
    }
}
