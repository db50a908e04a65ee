//! The numbers of prompt versions, as they were found: one file of entries per history.
//!
//! A cache: Git says the same again. A file begins with the format's name; an entry is its length and
//! CRC-32, both little-endian `u32`, and its bytes. What follows the first damaged entry is not read,
//! and the next entry is written in its place. A file of another format is begun anew.

use crate::store::Error;
use crate::store::segment::sync_dir;
use std::fs::{self, OpenOptions};
use std::io::{self, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What a file begins with: the name and number of the format.
const FORMAT: &[u8] = b"promptgate numbers 1\n";
/// The directory below the data directory.
pub(super) const DIR: &str = "numbers";
/// Bytes of one entry.
const MAX_ENTRY: usize = 1 << 30;

/// The files in one directory.
#[derive(Debug)]
pub(super) struct Numbers {
    dir: PathBuf,
    /// Held while a file is written.
    writing: Mutex<()>,
}

impl Numbers {
    pub(super) const fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            writing: Mutex::new(()),
        }
    }

    /// Writes an entry after those that are there. Durable when it returns.
    pub(super) fn append(&self, line: &str, entry: &[u8]) -> Result<(), Error> {
        let bytes = entry.len();
        let length = u32::try_from(bytes).map_err(|_| Error::TooLarge { bytes })?;
        if MAX_ENTRY < bytes {
            return Err(Error::TooLarge { bytes });
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let path = self.path_of(line);
        let is_new = !path.exists();
        if is_new {
            fs::create_dir_all(&self.dir).map_err(Error::io("create", &self.dir))?;
        }
        let content = read(&path)?;
        let (_, end) = entries(&content);
        let head = [length.to_le_bytes(), crc32fast::hash(entry).to_le_bytes()].concat();
        write(&path, end, &[&head, entry]).map_err(Error::io("write", &path))?;
        if is_new {
            sync_dir(&self.dir).map_err(Error::io("sync", &self.dir))?;
        }
        Ok(())
    }

    /// Returns the entries up to the first damaged one.
    pub(super) fn read(&self, line: &str) -> Result<Vec<Vec<u8>>, Error> {
        let content = read(&self.path_of(line))?;
        let (entries, _) = entries(&content);
        Ok(entries.into_iter().map(<[u8]>::to_vec).collect())
    }

    fn path_of(&self, line: &str) -> PathBuf {
        let name: String = line
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .take(64)
            .collect();
        self.dir.join(format!("{name}.numbers"))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    match fs::read(path) {
        Ok(content) => Ok(content),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Returns the good entries, and where the next one goes; 0 when the file is to be begun.
fn entries(content: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut found = Vec::new();
    let Some(mut rest) = content.strip_prefix(FORMAT) else {
        return (found, 0);
    };
    while let Some((entry, after)) = first_entry(rest) {
        found.push(entry);
        rest = after;
    }
    (found, content.len() - rest.len())
}

fn first_entry(content: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, content) = content.split_first_chunk::<4>()?;
    let (crc, content) = content.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let (entry, after) = content.split_at_checked(length)?;
    (crc32fast::hash(entry) == u32::from_le_bytes(*crc)).then_some((entry, after))
}

fn write(path: &Path, end: usize, pieces: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)?;
    let end = u64::try_from(end).map_err(io::Error::other)?;
    file.set_len(end)?;
    file.seek(SeekFrom::Start(end))?;
    if end == 0 {
        file.write_all(FORMAT)?;
    }
    file.write_all(&pieces.concat())?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::{FORMAT, Numbers};
    use std::fs;

    #[test]
    fn entries_come_back_in_order_and_lines_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        let numbers = Numbers::new(dir.path().join("numbers"));
        assert!(numbers.read("aa").unwrap().is_empty());
        for entry in [b"one".as_slice(), b"", b"three"] {
            numbers.append("aa", entry).unwrap();
        }
        numbers.append("bb", b"other").unwrap();
        let again = Numbers::new(dir.path().join("numbers"));
        assert_eq!(
            again.read("aa").unwrap(),
            [b"one".to_vec(), Vec::new(), b"three".to_vec()]
        );
        assert_eq!(again.read("bb").unwrap(), [b"other".to_vec()]);
    }

    #[test]
    fn damage_ends_the_reading_and_the_next_entry_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let numbers = Numbers::new(dir.path().to_owned());
        for entry in [b"one", b"two"] {
            numbers.append("aa", entry).unwrap();
        }
        let path = dir.path().join("aa.numbers");
        let whole = fs::read(&path).unwrap();
        let one = vec![b"one".to_vec()];
        // Torn at every place of the second entry.
        for length in FORMAT.len() + 11..whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            assert_eq!(numbers.read("aa").unwrap(), one, "{length}");
        }
        let mut flipped = whole;
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_eq!(numbers.read("aa").unwrap(), one);
        numbers.append("aa", b"new").unwrap();
        assert_eq!(
            numbers.read("aa").unwrap(),
            [b"one".to_vec(), b"new".to_vec()]
        );
        // Of another format, all is begun anew.
        fs::write(&path, b"promptgate numbers 2\nxyz").unwrap();
        assert!(numbers.read("aa").unwrap().is_empty());
        numbers.append("aa", b"new").unwrap();
        assert_eq!(numbers.read("aa").unwrap(), [b"new".to_vec()]);
    }
}
