//! Space held back, so that the outcomes of running calls still fit on a full disk.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Written at once; small, so that the thread that allocates does so in passing.
const STEP_BYTES: u64 = 1 << 20;

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

    /// Allocates the space for real, with written blocks. A failure leaves nothing behind.
    ///
    /// # Errors
    ///
    /// When the disk has no room for it.
    pub(super) fn allocate(&self) -> io::Result<()> {
        let temporary = self.path.with_extension("tmp");
        let result = self.fill(&temporary);
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
    }

    fn fill(&self, temporary: &PathBuf) -> io::Result<()> {
        // Without a ballast a small file still tells whether there is room again.
        let bytes = if self.bytes == 0 {
            STEP_BYTES
        } else {
            self.bytes
        };
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
        if self.bytes == 0 {
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
        ballast.allocate().unwrap();
        assert!(ballast.is_held());
        assert!(ballast.release());
        assert!(!ballast.is_held() && !ballast.release());
    }
}
