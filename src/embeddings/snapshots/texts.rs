//! Texts of items that are to be: they stay where they lie, and each is read when its turn comes.
//!
//! A corpus is larger than what is kept of it in memory: of an item its id, its keys and its place.

use crate::embeddings::vault::{Snapshot, VaultError};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Where a line of a file lies: its first byte, and how long it is.
pub(super) type Place = (u64, u32);

/// Reads the text in a line, where it has one; `None` when it is no such line.
pub(super) type ReadLine = fn(&[u8]) -> Option<Option<String>>;

/// The texts of items: first those of a snapshot that are taken along, then those that lie elsewhere.
#[derive(Debug)]
pub(in crate::embeddings) struct Texts {
    taken: Option<(Snapshot, Vec<usize>)>,
    rest: Rest,
}

/// Where the texts lie that are not taken along.
#[derive(Debug)]
enum Rest {
    /// In the lines of a file.
    Lines {
        path: PathBuf,
        file: File,
        places: Vec<Place>,
        read: ReadLine,
    },
    /// In memory, few as they are.
    Held(Vec<Option<String>>),
}

/// What is read of a line.
#[derive(Deserialize)]
pub(super) struct WithText {
    #[serde(default)]
    pub(super) text: Option<String>,
}

impl Texts {
    /// Opens the file whose lines at `places` are items.
    pub(super) fn open(
        path: &Path,
        places: Vec<Place>,
        read: ReadLine,
    ) -> Result<Self, VaultError> {
        Ok(Self {
            taken: None,
            rest: Rest::Lines {
                path: path.to_owned(),
                file: File::open(path).map_err(|error| failed("open", path, error))?,
                places,
                read,
            },
        })
    }

    /// Returns texts that are in memory.
    pub(in crate::embeddings) const fn held(texts: Vec<Option<String>>) -> Self {
        Self {
            taken: None,
            rest: Rest::Held(texts),
        }
    }

    /// Returns the texts of all rows of a snapshot.
    pub(in crate::embeddings) fn of_snapshot(snapshot: Snapshot, rows: usize) -> Self {
        Self::held(Vec::new()).after(snapshot, (0..rows).collect())
    }

    /// Puts rows of a snapshot before those of the file.
    pub(super) fn after(mut self, snapshot: Snapshot, rows: Vec<usize>) -> Self {
        self.taken = Some((snapshot, rows));
        self
    }

    /// Reads the text of an item; `None` where it came without one. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`; those of the snapshot.
    pub(in crate::embeddings) fn text(&self, item: usize) -> Result<Option<String>, VaultError> {
        let rows = self.taken.as_ref();
        let before = rows.map_or(0, |(_, rows)| rows.len());
        if let Some((snapshot, row)) =
            rows.and_then(|(snapshot, rows)| Some((snapshot, rows.get(item)?)))
        {
            return snapshot.text(*row);
        }
        let line = item.checked_sub(before);
        match &self.rest {
            Rest::Held(texts) => Ok(line.and_then(|line| texts.get(line)).cloned().flatten()),
            Rest::Lines {
                path,
                file,
                places,
                read,
            } => match line.and_then(|line| places.get(line)) {
                Some(place) => read_line((path, file), *place, *read),
                None => Ok(None),
            },
        }
    }
}

fn read_line(
    (path, file): (&Path, &File),
    (start, length): Place,
    read: ReadLine,
) -> Result<Option<String>, VaultError> {
    let mut line = vec![0; usize::try_from(length).unwrap_or(0)];
    let filled = file.read_exact_at(&mut line, start);
    filled.map_err(|error| failed("read", path, error))?;
    let changed = || io::Error::new(io::ErrorKind::InvalidData, "a line of it was changed");
    read(&line).ok_or_else(|| failed("read", path, changed()))
}

fn failed(doing: &'static str, path: &Path, source: io::Error) -> VaultError {
    VaultError::Io {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Calls `visit` with every line of a file, without its end, and where it lies.
///
/// # Errors
///
/// What reading gives, and what `visit` gives.
pub(super) fn each_line<E: From<io::Error>>(
    file: File,
    mut visit: impl FnMut(Place, &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut reader = BufReader::new(file);
    let (mut start, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let length = u32::try_from(text.len());
        let length = length.map_err(|_| io::Error::from(io::ErrorKind::FileTooLarge))?;
        visit((start, length), text)?;
        start += u64::try_from(read).unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::{Texts, WithText, each_line};
    use std::fs::{self, File};
    use std::io;

    #[test]
    fn lines_are_found_again_where_they_lie() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("items.jsonl");
        fs::write(&path, "{\"text\":\"ä\"}\n{\"id\":1}\n\n{\"text\":\"last\"}").unwrap();
        let mut places = Vec::new();
        each_line(File::open(&path).unwrap(), |place, line| {
            places.extend((!line.is_empty()).then_some(place));
            Ok::<_, io::Error>(())
        })
        .unwrap();
        let read = |line: &[u8]| Some(serde_json::from_slice::<WithText>(line).ok()?.text);
        let texts = Texts::open(&path, places, read).unwrap();
        let all: Vec<_> = (0..4).map(|item| texts.text(item).unwrap()).collect();
        assert_eq!(
            all,
            [Some("ä".to_owned()), None, Some("last".to_owned()), None]
        );
        fs::write(&path, "{\"text\":\"b\"").unwrap();
        assert!(texts.text(0).is_err(), "the file was cut");
    }
}
