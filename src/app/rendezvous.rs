//! How a command line finds the server that runs on the same data directory: a file with the admin
//! plane's address, and the admin token beside it, both for the owner's eyes only.

use crate::app::Error;
use crate::domain::Secret;
use serde::{Deserialize, Serialize};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Where a running server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rendezvous {
    /// The server's process.
    pub pid: u32,
    /// Its data plane.
    pub data: SocketAddr,
    /// Its admin plane.
    pub admin: SocketAddr,
}

const FILE: &str = "server.json";
const TOKEN_FILE: &str = "admin.token";
/// How long a disk that did not take the file is left alone.
const RETRY_EVERY: Duration = Duration::from_secs(1);

impl Rendezvous {
    /// Writes the file; a reader sees the old one or the new one, never half of it.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written.
    pub(super) fn announce(&self, dir: &Path) -> Result<(), Error> {
        let text = serde_json::to_vec(self).unwrap_or_default();
        let draft = dir.join("server.json.tmp");
        let written =
            write_private(&draft, &text).and_then(|()| std::fs::rename(&draft, dir.join(FILE)));
        written.map_err(|problem| {
            // An old one would lead to where nobody is.
            Self::withdraw(dir);
            Error::File {
                path: dir.join(FILE),
                problem,
            }
        })
    }

    /// Tries again and again to write the file, until the disk takes it or `stopping` ends it.
    pub(super) async fn announce_again(self, dir: PathBuf, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(RETRY_EVERY) => {}
                () = stopping.cancelled() => return,
            }
            if self.announce(&dir).is_ok() {
                return;
            }
        }
    }

    /// Returns what the running server announced.
    #[must_use]
    pub fn find(dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(dir.join(FILE)).ok()?).ok()
    }

    /// Removes the file.
    pub fn withdraw(dir: &Path) {
        // A file that is left behind is harmless: the lock says whether a server runs.
        let _ = std::fs::remove_file(dir.join(FILE));
    }
}

/// Returns the admin token of a data directory; makes one the first time.
///
/// # Errors
///
/// When the file cannot be read or written.
pub fn admin_token(dir: &Path) -> Result<Secret, Error> {
    let path = dir.join(TOKEN_FILE);
    let fail = |problem| Error::File {
        path: path.clone(),
        problem,
    };
    match std::fs::read_to_string(&path) {
        Ok(text) if 32 <= text.trim().len() => return Ok(Secret::new(text.trim())),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(fail(error)),
    }
    let token = crate::access::random_token();
    write_private(&path, token.reveal().as_bytes()).map_err(fail)?;
    Ok(token)
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}
