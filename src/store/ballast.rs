//! Space held back, so that the outcomes of running calls still fit on a full disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Written at once; small, so that the thread that allocates does so in passing.
const STEP_BYTES: u64 = 1 << 20;
/// Free space without which records are not begun again: for the trial above, and as much for others.
const SPARE_BYTES: u64 = 2 * STEP_BYTES;

/// The file `ballast`. Only the journal's lock holder and the sync thread touch it.
#[derive(Debug)]
pub(super) struct Ballast {
    path: PathBuf,
    bytes: u64,
}

impl Ballast {
    /// Speaks of a ballast of `bytes` at `path`; nothing is allocated yet.
    pub(super) const fn new(path: PathBuf, bytes: u64) -> Self {
        Self { path, bytes }
    }

    /// Frees the space. Whether there was some.
    pub(super) fn release(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }

    /// Whether the space is held.
    pub(super) fn is_held(&self) -> bool {
        self.bytes == 0 || fs::metadata(&self.path).is_ok_and(|held| held.len() == self.bytes)
    }

    /// Sees to it that the space is held and some more is free. What is missing is allocated for real,
    /// with written blocks. A failure leaves nothing behind.
    ///
    /// # Errors
    ///
    /// When the disk has no room for it.
    pub(super) fn hold(&self) -> io::Result<()> {
        let missing = if self.is_held() { 0 } else { self.bytes };
        // Never by trial alone: a disk that is filled up by a trial has no room for outcomes and the
        // index meanwhile.
        if self.available()? < missing.saturating_add(SPARE_BYTES) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let temporary = self.path.with_extension("tmp");
        let result = self.fill(&temporary, missing);
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
    }

    /// Returns how much room the disk says there is.
    fn available(&self) -> io::Result<u64> {
        let dir = self.path.parent().unwrap_or(&self.path);
        let disk = rustix::fs::statvfs(dir)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn fill(&self, temporary: &PathBuf, missing: u64) -> io::Result<()> {
        // Where nothing is missing a small file still tells whether there is room again, which the
        // disk does not know where there are quotas.
        let bytes = if missing == 0 { STEP_BYTES } else { missing };
        let zeros = vec![0; usize::try_from(STEP_BYTES).unwrap_or(0)];
        let mut file = File::create(temporary)?;
        let mut left = bytes;
        while 0 < left {
            let step = left.min(STEP_BYTES);
            let piece = zeros.get(..usize::try_from(step).unwrap_or(0));
            file.write_all(piece.unwrap_or_default())?;
            left -= step;
        }
        file.sync_all()?;
        if missing == 0 {
            return fs::remove_file(temporary);
        }
        fs::rename(temporary, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::Ballast;

    #[test]
    fn the_space_is_held_and_freed() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path().join("ballast"), 3_000_000);
        assert!(!ballast.is_held());
        ballast.hold().unwrap();
        assert!(ballast.is_held());
        ballast.hold().unwrap();
        assert!(ballast.release());
        assert!(!ballast.is_held() && !ballast.release());
    }

    #[test]
    fn more_than_there_is_leaves_the_disk_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let ballast = Ballast::new(dir.path().join("ballast"), u64::MAX / 2);
        let error = ballast.hold().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
