//! Whether a file is still what it was: how long it is, and SHA-256 over its bytes.
//!
//! Compression around a whole file is taken off first, as the reader does it: who packs a file for the way
//! does not change what is in it.

use crate::domain::BundleHash;
use crate::embeddings::exchange::error::{Error, Fault, Place};
use crate::embeddings::exchange::input;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// How much is read at a time.
const READ_BYTES: usize = 1 << 16;

/// What tells one content of a file from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    /// How many bytes.
    pub bytes: u64,
    /// SHA-256 over them, in hex.
    pub sha256: String,
}

/// Returns the digest of a file as it is now.
///
/// # Errors
///
/// A file that cannot be read or decompressed.
pub fn digest(path: &Path) -> Result<Digest, Error> {
    let read = || {
        let mut input = input::open(path)?.input;
        let mut running = Running::default();
        let mut buffer = vec![0; READ_BYTES];
        loop {
            let length = input.read(&mut buffer).map_err(Fault::reading)?;
            let part = buffer.get(..length).unwrap_or_default();
            if part.is_empty() {
                return Ok(running.digest());
            }
            running.take(part);
        }
    };
    read().map_err(|fault| Error::new(&path.display().to_string(), Place::Whole, fault))
}

/// A digest of the bytes so far.
#[derive(Debug, Clone, Default)]
struct Running {
    hash: Sha256,
    bytes: u64,
}

impl Running {
    fn take(&mut self, part: &[u8]) {
        self.hash.update(part);
        self.bytes += u64::try_from(part.len()).unwrap_or(u64::MAX);
    }

    fn digest(self) -> Digest {
        Digest {
            bytes: self.bytes,
            sha256: BundleHash(self.hash.finalize().into()).to_hex(),
        }
    }
}

/// What was written to a file so far; read when its last byte is in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Witness(Arc<Mutex<Running>>);

impl Witness {
    /// Returns the digest of what was written.
    pub(super) fn digest(&self) -> Digest {
        let running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.clone().digest()
    }

    /// Returns `output`, watched.
    pub(super) fn watch<W: Write + Send + 'static>(&self, output: W) -> impl Write + Send + use<W> {
        Watched {
            output,
            running: Arc::clone(&self.0),
        }
    }
}

struct Watched<W> {
    output: W,
    running: Arc<Mutex<Running>>,
}

impl<W: Write> Write for Watched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.take(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::{Witness, digest};
    use std::io::Write as _;

    #[test]
    fn what_is_written_is_what_is_read_packed_or_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.jsonl");
        let witness = Witness::default();
        let mut file = witness.watch(std::fs::File::create(&path).unwrap());
        file.write_all(b"abc").unwrap();
        drop(file);
        let written = witness.digest();
        assert_eq!(written.bytes, 3);
        assert_eq!(
            written.sha256,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert_eq!(digest(&path).unwrap(), written);
        let packed = dir.path().join("a.jsonl.zst");
        std::fs::write(&packed, zstd::bulk::compress(b"abc", 1).unwrap()).unwrap();
        assert_eq!(digest(&packed).unwrap(), written);
        std::fs::write(&path, b"abd").unwrap();
        assert_ne!(digest(&path).unwrap(), written);
        let error = digest(&dir.path().join("none")).unwrap_err();
        assert!(error.to_string().contains("none"), "{error}");
    }
}
