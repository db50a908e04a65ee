//! What stands beside a file of vectors: the manifest that says what they mean and how the file was when it
//! was written, and the names of bare vectors.

use crate::cli::embeddings::import::failed;
use crate::cli::output::{self, Failure};
use crate::embeddings::exchange::{Digest, ReadOptions, Written, companion_of, digest};
use crate::embeddings::snapshots::{Beside, Exported, Holds, Like, MANIFEST_HINT};
use crate::embeddings::vault::{Manifest, Precision};
use std::fs;
use std::path::{Path, PathBuf};

/// Returns the file in which the manifest stands of what is in another.
pub(super) fn path(vectors: &Path) -> PathBuf {
    let mut name = vectors.as_os_str().to_owned();
    name.push(".manifest.json");
    name.into()
}

/// Writes the manifest beside a file that was written.
pub(super) fn write(vectors: &Path, manifest: &Manifest, written: &Written) -> Result<(), Failure> {
    let mut digests = written.files.iter().map(|file| file.digest.clone());
    let exported = digests.next().map(|file| Exported {
        file,
        ids: digests.next(),
    });
    let beside = Beside {
        manifest: manifest.clone(),
        exported,
    };
    let path = path(vectors);
    let text = format!("{:#}\n", beside.to_json());
    let unwritable = |error| Failure::new(format!("cannot write `{}`: {error}", path.display()));
    fs::write(&path, text).map_err(unwritable)
}

/// What stands beside a file that is imported.
pub(super) struct Companions {
    path: PathBuf,
    beside: Beside,
}

impl Companions {
    /// Reads the manifest beside a file, unless there is none or it is said what the vectors are.
    pub(super) fn of(vectors: &Path, is_said: bool) -> Result<Option<Self>, Failure> {
        let path = path(vectors);
        if !path.exists() {
            return Ok(None);
        }
        let shown = path.display();
        if is_said {
            output::say(&format!(
                "{shown} is not looked at: it is said what the vectors are\n"
            ));
            return Ok(None);
        }
        let beside = Beside::read(&path)
            .map_err(|error| Failure::new(error.to_string()).with_hint(hint()))?;
        output::say(&format!("the embedding version is that of {shown}\n"));
        Ok(Some(Self { path, beside }))
    }

    /// Returns how exactly the vectors were kept.
    pub(super) const fn precision(&self) -> Precision {
        self.beside.manifest.precision
    }

    /// Checks that the files are as they were written.
    pub(super) fn check(&self, vectors: &Path, options: &ReadOptions) -> Result<(), Failure> {
        let Some(exported) = &self.beside.exported else {
            output::say(&format!(
                "{} has no digests, as an older promptgate wrote it: whether the vectors are still as they were exported cannot be checked\n",
                self.path.display()
            ));
            return Ok(());
        };
        self.hold(vectors, &exported.file)?;
        let Some(ids) = exported.ids.as_ref().filter(|_| !options.is_numbered) else {
            return Ok(());
        };
        match companion_of(vectors, options) {
            Some(path) => self.hold(&path, ids),
            None => Err(self.not(format!(
                "says that a file with the names of the rows was written, and none stands beside `{}`",
                vectors.display()
            ))),
        }
    }

    fn hold(&self, path: &Path, written: &Digest) -> Result<(), Failure> {
        let found = digest(path).map_err(|error| failed(&error))?;
        if found == *written {
            return Ok(());
        }
        let path = path.display();
        Err(self.not(if found.bytes == written.bytes {
            format!("was not written with `{path}` as it is now: its bytes are others")
        } else {
            format!(
                "was not written with `{path}` as it is now: it has {} bytes, and {} were written",
                found.bytes, written.bytes
            )
        }))
    }

    fn not(&self, problem: impl std::fmt::Display) -> Failure {
        Failure::new(format!("`{}` {problem}", self.path.display())).with_hint(hint())
    }

    /// Returns under what the vectors were made, and what the file must hold.
    pub(super) fn like(&self, is_as_written: bool) -> Result<Like, Failure> {
        let manifest = &self.beside.manifest;
        let pipeline = serde_json::from_value(manifest.pipeline.clone());
        let unknown = |error| self.not(format!("has a pipeline that cannot be read: {error}"));
        let items_hash = is_as_written.then(|| manifest.hash_of_items().to_owned());
        Ok(Like {
            space: manifest.space.clone(),
            pipeline: pipeline.map_err(unknown)?,
            holds: Some(Holds {
                manifest: self.path.display().to_string(),
                items: manifest.items,
                dimensions: manifest.dimensions,
                precision: manifest.precision,
                items_hash,
            }),
        })
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a failure takes it so")]
fn hint() -> Option<String> {
    Some(MANIFEST_HINT.to_owned())
}
