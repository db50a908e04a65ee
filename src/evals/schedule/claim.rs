//! A due time is claimed before it is run: of all processes that look at one directory, one gets it.
//!
//! A claim is a file that may be made once (`O_EXCL`), on any file system that several machines can
//! share. It stays, so that a restart does not run the same time again.

use crate::domain::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Claims older than this are taken away, in microseconds: nothing looks back so far.
const KEPT_US: i64 = 40 * 24 * 3_600 * 1_000_000;

/// The most bytes of a claim that are read.
const MAX_BYTES: u64 = 4_096;

/// Where claims are kept.
#[derive(Debug, Clone)]
pub struct Claims {
    dir: PathBuf,
}

/// Whose a due time is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claimed {
    /// It is the asker's, from now on.
    Now,
    /// The asker has it from before.
    Before,
    /// Somebody else has it.
    Elsewhere,
}

/// Who has claimed a due time; for people who look into the directory.
#[derive(Debug, Serialize)]
struct Claim<'a> {
    suite: &'a str,
    holder: &'a str,
    due: Timestamp,
    claimed: Timestamp,
    pid: u32,
}

impl Claims {
    /// Claims are kept in `dir`, which is made when it is needed.
    #[must_use]
    pub fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// Claims the due time of a suite for `holder`, a name that no other gateway has.
    ///
    /// # Errors
    ///
    /// When the directory cannot be written: then nobody may run, for anybody could.
    pub fn claim(
        &self,
        suite: &str,
        due: Timestamp,
        now: Timestamp,
        holder: &str,
    ) -> io::Result<Claimed> {
        fs::create_dir_all(&self.dir)?;
        let path = self.path(suite, due);
        let mut file = match fs::File::create_new(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Ok(if is_held_by(&path, holder) {
                    Claimed::Before
                } else {
                    Claimed::Elsewhere
                });
            }
            Err(error) => return Err(error),
        };
        let claim = Claim {
            suite,
            holder,
            due,
            claimed: now,
            pid: std::process::id(),
        };
        // The file's name is the claim; what is in it tells whose it is after a restart.
        let text = serde_json::to_string(&claim).unwrap_or_default();
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::File::open(&self.dir)?.sync_all()?;
        self.forget_before(now.0.saturating_sub(KEPT_US));
        Ok(Claimed::Now)
    }

    fn path(&self, suite: &str, due: Timestamp) -> PathBuf {
        let digest = Sha256::digest(suite.as_bytes());
        let id: String = digest
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.dir.join(format!("{:016}-{id}.claim", due.0))
    }

    /// Takes old claims away. One that cannot be is in nobody's way.
    fn forget_before(&self, oldest: i64) {
        let Ok(entries) = fs::read_dir(&self.dir) else {
            return;
        };
        for entry in entries.flatten() {
            if due_of(&entry.path()).is_some_and(|due| due < oldest) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

fn is_held_by(path: &Path, holder: &str) -> bool {
    let Ok(file) = fs::File::open(path) else {
        return false;
    };
    let claim: Option<serde_json::Value> = serde_json::from_reader(file.take(MAX_BYTES)).ok();
    let found = claim
        .as_ref()
        .and_then(|claim| claim.get("holder")?.as_str());
    found == Some(holder)
}

fn due_of(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?;
    let (due, rest) = name.split_once('-')?;
    rest.ends_with(".claim").then(|| due.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Claimed, Claims};
    use crate::domain::Timestamp;
    use std::fs;
    use std::sync::Barrier;
    use std::thread;

    #[test]
    fn of_many_who_ask_at_once_one_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let barrier = Barrier::new(16);
        let won = thread::scope(|scope| {
            let (dir, barrier) = (&dir, &barrier);
            let threads: Vec<_> = (0..16)
                .map(|n| {
                    scope.spawn(move || {
                        let claims = Claims::new(dir.path().join("claims"));
                        barrier.wait();
                        claims
                            .claim("support", Timestamp(60), Timestamp(61), &n.to_string())
                            .unwrap()
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap())
                .filter(|won| *won == Claimed::Now)
                .count()
        });
        assert_eq!(won, 1);
    }

    #[test]
    fn claims_are_of_one_suite_and_one_time_and_grow_old() {
        let dir = tempfile::tempdir().unwrap();
        let claims = Claims::new(dir.path().to_owned());
        let now = Timestamp(1);
        let claim = |suite: &str, due: i64, now: Timestamp, holder: &str| {
            claims.claim(suite, Timestamp(due), now, holder).unwrap()
        };
        assert_eq!(claim("support", 60, now, "a"), Claimed::Now);
        assert_eq!(claim("support", 120, now, "a"), Claimed::Now);
        assert_eq!(claim("safety/pii", 60, now, "b"), Claimed::Now);
        assert_eq!(claim("support", 60, now, "a"), Claimed::Before);
        assert_eq!(claim("support", 60, now, "b"), Claimed::Elsewhere);
        let later = Timestamp(41 * 24 * 3_600 * 1_000_000);
        assert_eq!(claim("support", later.0, later, "b"), Claimed::Now);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn without_a_place_for_claims_nobody_runs() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let claims = Claims::new(file.path().join("claims"));
        let claimed = claims.claim("support", Timestamp(0), Timestamp(0), "a");
        assert!(claimed.is_err());
    }
}
