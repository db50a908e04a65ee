//! The two ways the journal touches its disk, replaceable so that tests can make a disk fail.

use std::fmt;
use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::sync::Arc;

type WriteBoth = dyn Fn(&File, &[u8], &[u8]) -> io::Result<()> + Send + Sync;
type SyncFile = dyn Fn(&File) -> io::Result<()> + Send + Sync;

/// Writing and syncing.
#[derive(Clone)]
pub(super) struct Disk {
    /// Appends two pieces at the file's cursor.
    pub(super) write: Arc<WriteBoth>,
    /// Makes a file's bytes durable.
    pub(super) sync: Arc<SyncFile>,
}

impl Disk {
    /// Returns the machine's disk.
    pub(super) fn real() -> Self {
        Self {
            write: Arc::new(write_both),
            sync: Arc::new(File::sync_data),
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Disk")
    }
}

/// Writes `first` and `second` with one system call where the system takes them whole.
fn write_both(mut file: &File, first: &[u8], second: &[u8]) -> io::Result<()> {
    let mut slices = [IoSlice::new(first), IoSlice::new(second)];
    let mut left: &mut [IoSlice<'_>] = &mut slices;
    IoSlice::advance_slices(&mut left, 0);
    while !left.is_empty() {
        match file.write_vectored(left) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => IoSlice::advance_slices(&mut left, count),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the error says that there is no room (which freeing some would cure).
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::{Disk, is_full};
    use std::fs::{File, OpenOptions};

    #[test]
    fn a_full_disk_is_told_from_a_broken_one() {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let error = (Disk::real().write)(&full, b"head", b"body").unwrap_err();
        assert!(is_full(&error), "{error}");
        let readable = File::open("/dev/null").unwrap();
        let error = (Disk::real().write)(&readable, b"head", b"").unwrap_err();
        assert!(!is_full(&error), "{error}");
    }

    #[test]
    fn both_pieces_are_written_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = File::create(&path).unwrap();
        (Disk::real().write)(&file, b"one", b"").unwrap();
        (Disk::real().write)(&file, b"two", b"three").unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"onetwothree");
    }
}
