//! Writing several files so that all of them are new or none is.

use crate::cli::output::Failure;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// A file to write.
#[derive(Debug)]
pub(crate) struct Change {
    /// Where.
    pub(crate) path: PathBuf,
    /// What must be there now; `None` when nothing may be.
    pub(crate) old: Option<Vec<u8>>,
    /// What is to be there.
    pub(crate) new: Vec<u8>,
}

/// Writes all `changes`: first beside the files, then, when nothing has changed meanwhile, over them.
pub(crate) fn write_all(changes: &[Change]) -> Result<(), Failure> {
    let drafts: Vec<PathBuf> = changes.iter().map(draft_of).collect();
    let prepared = changes.iter().zip(&drafts).try_for_each(|(change, draft)| {
        prepare(change, draft).map_err(|error| unwritable(&change.path, &error))
    });
    let outcome = prepared
        .and_then(|()| changes.iter().try_for_each(is_as_before))
        .and_then(|()| {
            let mut pairs = changes.iter().zip(&drafts);
            pairs.try_for_each(|(change, draft)| {
                fs::rename(draft, &change.path).map_err(|error| unwritable(&change.path, &error))
            })
        });
    if outcome.is_err() {
        for draft in drafts {
            // One that was renamed or never written is not there, and any other does no harm.
            let _ = fs::remove_file(draft);
        }
    }
    outcome
}

/// Where the new content is written first: beside the file, hidden, so that no watcher takes it for
/// a prompt.
fn draft_of(change: &Change) -> PathBuf {
    let directory = change.path.parent().unwrap_or_else(|| Path::new("."));
    let name = change
        .path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy();
    directory.join(format!(".{name}.promptgate-{}", std::process::id()))
}

/// Writes the new content, with the file's permissions.
fn prepare(change: &Change, draft: &Path) -> io::Result<()> {
    if let Some(directory) = draft.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = fs::File::create(draft)?;
    file.write_all(&change.new)?;
    if change.old.is_some() {
        file.set_permissions(fs::metadata(&change.path)?.permissions())?;
    }
    file.sync_all()
}

/// Nobody may have written to the file since it was read.
fn is_as_before(change: &Change) -> Result<(), Failure> {
    let now = match fs::read(&change.path) {
        Ok(bytes) => Some(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unwritable(&change.path, &error)),
    };
    if now == change.old {
        return Ok(());
    }
    let path = change.path.display();
    Err(Failure::usage(format!(
        "`{path}` was changed meanwhile; nothing was written"
    )))
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be written: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::{Change, write_all};
    use std::fs;

    #[test]
    fn all_or_nothing_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("a"), "one").unwrap();
        let change = |name: &str, old: Option<&str>, new: &str| Change {
            path: path(name),
            old: old.map(|old| old.as_bytes().to_vec()),
            new: new.as_bytes().to_vec(),
        };
        let stale = [
            change("a", Some("one"), "two"),
            change("b", Some("gone"), "x"),
        ];
        assert!(write_all(&stale).is_err());
        let taken = [change("c/d", None, "x"), change("a", None, "x")];
        assert!(write_all(&taken).is_err());
        assert_eq!(fs::read_to_string(path("a")).unwrap(), "one");
        let good = [change("a", Some("one"), "two"), change("c/d", None, "new")];
        write_all(&good).unwrap();
        assert_eq!(fs::read_to_string(path("a")).unwrap(), "two");
        assert_eq!(fs::read_to_string(path("c/d")).unwrap(), "new");
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 2, "drafts are left");
    }
}
