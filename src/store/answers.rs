//! Answers that evals may use again: files by their key, bounded in bytes and in age. Nothing depends on
//! them; the directory may be removed at any time.

use crate::domain::Timestamp;
use crate::store::Error;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// The directory below the data directory.
pub(super) const DIR: &str = "answers";
/// All answers together, compressed.
const MAX_BYTES: u64 = 256 << 20;
/// When room is made, it is made for more than one.
const KEEP_BYTES: u64 = MAX_BYTES / 10 * 9;
/// The largest answer, not compressed.
const MAX_ANSWER_BYTES: usize = 16 << 20;
/// How long an answer is used: two weeks, in microseconds.
const MAX_AGE_US: i64 = 14 * 24 * 3_600 * 1_000_000;
/// The time stands before the compressed answer.
const TIME_BYTES: usize = 8;
const LEVEL: i32 = 3;

/// The directory of answers.
#[derive(Debug)]
pub(super) struct Answers {
    dir: PathBuf,
    max_bytes: u64,
    /// Bytes of all files, once they were counted.
    total: Mutex<Option<u64>>,
}

/// A file of the directory.
struct Entry {
    path: PathBuf,
    bytes: u64,
    written: SystemTime,
}

impl Answers {
    /// Keeps answers in `dir`, which is made when the first one comes.
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            max_bytes: MAX_BYTES,
            total: Mutex::new(None),
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        let is_key = key.len() == 64 && key.bytes().all(|byte| byte.is_ascii_hexdigit());
        let shelf = key.get(..2).filter(|_| is_key)?;
        Some(self.dir.join(shelf).join(key))
    }

    /// Keeps `answer`. One that is too large is not kept.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn put(&self, key: &str, answer: &[u8], now: Timestamp) -> Result<(), Error> {
        let Some(path) = self.path(key).filter(|_| answer.len() <= MAX_ANSWER_BYTES) else {
            return Ok(());
        };
        let mut content = now.0.to_le_bytes().to_vec();
        let packed = zstd::bulk::compress(answer, LEVEL);
        content.extend(packed.map_err(Error::io("compress for", &path))?);
        let before = fs::metadata(&path).map_or(0, |metadata| metadata.len());
        write(&path, &content).map_err(Error::io("write", &path))?;
        let bytes = u64::try_from(content.len()).unwrap_or(u64::MAX);
        self.make_room(bytes, before)
    }

    /// Returns the answer under `key` and its time, unless it is too old.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub(super) fn get(
        &self,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<(Timestamp, Vec<u8>)>, Error> {
        let Some(path) = self.path(key) else {
            return Ok(None);
        };
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("read", &path)(error)),
        };
        let Some((time, packed)) = content.split_first_chunk::<TIME_BYTES>() else {
            return Ok(None);
        };
        let at = Timestamp(i64::from_le_bytes(*time));
        let age = now.0.saturating_sub(at.0);
        if !(0..=MAX_AGE_US).contains(&age) {
            return Ok(None);
        }
        let answer = zstd::bulk::decompress(packed, MAX_ANSWER_BYTES).ok();
        Ok(answer.map(|answer| (at, answer)))
    }

    /// Counts what was written, and removes the oldest when there is too much.
    fn make_room(&self, added: u64, replaced: u64) -> Result<(), Error> {
        let mut total = self.total.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = match *total {
            Some(known) => known.saturating_sub(replaced).saturating_add(added),
            None => self.entries()?.iter().map(|entry| entry.bytes).sum(),
        };
        *total = Some(sum);
        if sum <= self.max_bytes {
            return Ok(());
        }
        let keep = KEEP_BYTES.min(self.max_bytes / 10 * 9);
        let mut entries = self.entries()?;
        entries.sort_unstable_by_key(|entry| entry.written);
        let mut left: u64 = entries.iter().map(|entry| entry.bytes).sum();
        for entry in entries {
            if left <= keep {
                break;
            }
            match fs::remove_file(&entry.path) {
                Ok(()) => left = left.saturating_sub(entry.bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(Error::io("remove", &entry.path)(error)),
            }
        }
        *total = Some(left);
        Ok(())
    }

    fn entries(&self) -> Result<Vec<Entry>, Error> {
        let read = |error| Error::io("list", &self.dir)(error);
        let shelves = match fs::read_dir(&self.dir) {
            Ok(shelves) => shelves,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(read(error)),
        };
        let mut entries = Vec::new();
        for shelf in shelves {
            let shelf = shelf.map_err(read)?.path();
            let Ok(files) = fs::read_dir(&shelf) else {
                continue;
            };
            for file in files {
                let file = file.map_err(read)?;
                // A file that is gone meanwhile takes no room.
                if let Ok(metadata) = file.metadata() {
                    entries.push(Entry {
                        path: file.path(),
                        bytes: metadata.len(),
                        written: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                    });
                }
            }
        }
        Ok(entries)
    }
}

fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(shelf) = path.parent() {
        fs::create_dir_all(shelf)?;
    }
    // Two that write the same key at once each have a file of their own.
    let temporary = path.with_extension(format!("{:08x}.tmp", rand::random::<u32>()));
    fs::write(&temporary, content)?;
    fs::rename(&temporary, path)
}

#[cfg(test)]
mod tests {
    use super::{Answers, MAX_AGE_US};
    use crate::domain::Timestamp;
    use std::fs;

    fn key(n: u8) -> String {
        format!("{n:02x}").repeat(32)
    }

    #[test]
    fn answers_are_kept_for_two_weeks() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers::new(dir.path().join("answers"));
        let then = Timestamp(1_000);
        assert!(answers.get(&key(1), then).unwrap().is_none());
        answers.put(&key(1), b"hello", then).unwrap();
        let found = answers.get(&key(1), Timestamp(then.0 + MAX_AGE_US));
        assert_eq!(found.unwrap(), Some((then, b"hello".to_vec())));
        let late = Timestamp(then.0 + MAX_AGE_US + 1);
        assert!(answers.get(&key(1), late).unwrap().is_none());
        // What is no key is no path either.
        answers.put("../../x", b"hello", then).unwrap();
        assert!(answers.get("../../x", then).unwrap().is_none());
        fs::write(dir.path().join("answers/01").join(key(1)), "damaged").unwrap();
        assert!(answers.get(&key(1), then).unwrap().is_none());
    }

    #[test]
    fn the_oldest_make_room() {
        let dir = tempfile::tempdir().unwrap();
        let answers = Answers {
            max_bytes: 10_000,
            ..Answers::new(dir.path().join("answers"))
        };
        let noise: Vec<u8> = (0..1_000).map(|_| rand::random()).collect();
        for n in 0..30 {
            answers.put(&key(n), &noise, Timestamp(1)).unwrap();
            let total: u64 = answers
                .entries()
                .unwrap()
                .iter()
                .map(|entry| entry.bytes)
                .sum();
            assert!(total <= 10_000, "{n}: {total}");
        }
        let newest = answers.get(&key(29), Timestamp(1)).unwrap();
        assert_eq!(newest.unwrap().1, noise);
        assert!(5 < answers.entries().unwrap().len());
    }
}
