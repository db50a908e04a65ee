//! The files of a suite: a directory, or the tree of a commit. Nothing outside of it is read.

use crate::git::{self, CommitId, Entry, Repository};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// Directories deeper than this are not entered.
const MAX_DEPTH: usize = 16;
/// Entries that are looked at for one pattern.
const MAX_ENTRIES: usize = 20_000;

/// Where the files of suites are read from. Paths are below its root, with `/`.
#[derive(Debug)]
pub struct Files(Kind);

#[derive(Debug)]
enum Kind {
    /// A directory, by its path without links.
    Directory(PathBuf),
    /// A commit, read from the object database.
    Commit(Repository, CommitId),
}

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::evals) enum Unreadable {
    /// There is nothing.
    Missing,
    /// It leads out of the root.
    Outside,
    /// It is a directory, a device, or (in a commit) a link.
    NotAFile,
    /// It has too many bytes.
    TooLarge,
    /// Anything else, in words.
    Failed(String),
}

impl Files {
    /// Reads from the directory `root`. Links are followed while they stay inside.
    ///
    /// # Errors
    ///
    /// When the directory is not there.
    pub fn directory(root: &Path) -> io::Result<Self> {
        fs::canonicalize(root).map(|root| Self(Kind::Directory(root)))
    }

    /// Reads from `commit`, without a checkout. Links are not followed.
    #[must_use]
    pub const fn commit(repository: Repository, commit: CommitId) -> Self {
        Self(Kind::Commit(repository, commit))
    }

    /// Reads a whole file of at most `max_bytes`.
    pub(in crate::evals) fn read(
        &self,
        path: &str,
        max_bytes: usize,
    ) -> Result<Vec<u8>, Unreadable> {
        match &self.0 {
            Kind::Directory(root) => read(&inside(root, path)?, max_bytes),
            Kind::Commit(repository, commit) => {
                match repository.entry(*commit, path, max_bytes).map_err(words)? {
                    Entry::File(bytes) => Ok(bytes),
                    Entry::TooLarge(_) => Err(Unreadable::TooLarge),
                    Entry::Other => Err(Unreadable::NotAFile),
                    Entry::Missing => Err(Unreadable::Missing),
                }
            }
        }
    }

    /// Returns the paths of all files below `directory` (empty: the root), sorted. Hidden files and
    /// `node_modules` are left out.
    pub(in crate::evals) fn list(&self, directory: &str) -> Result<Vec<String>, Unreadable> {
        let mut paths = match &self.0 {
            Kind::Directory(root) => {
                let mut found = Vec::new();
                walk(root, directory, 0, &mut found)?;
                found
            }
            Kind::Commit(repository, commit) => {
                match repository.list_tree(*commit, directory, MAX_ENTRIES) {
                    Ok(files) => files
                        .into_iter()
                        .map(|(path, _)| join(directory, &path))
                        .filter(|path| path.split('/').all(is_shown))
                        .collect(),
                    Err(git::Error::NoSuchDirectory { .. }) => Vec::new(),
                    Err(error) => return Err(words(error)),
                }
            }
        };
        paths.sort();
        Ok(paths)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn words(error: git::Error) -> Unreadable {
    Unreadable::Failed(error.to_string())
}

fn is_shown(name: &str) -> bool {
    !name.starts_with('.') && name != "node_modules"
}

/// The real path of `path` below `root`, links resolved.
fn inside(root: &Path, path: &str) -> Result<PathBuf, Unreadable> {
    let real = fs::canonicalize(root.join(path)).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Unreadable::Missing,
        _ => Unreadable::Failed(error.to_string()),
    })?;
    if real.starts_with(root) {
        Ok(real)
    } else {
        Err(Unreadable::Outside)
    }
}

fn read(path: &Path, max_bytes: usize) -> Result<Vec<u8>, Unreadable> {
    let failed = |error: io::Error| Unreadable::Failed(error.to_string());
    if !fs::metadata(path).map_err(failed)?.is_file() {
        return Err(Unreadable::NotAFile);
    }
    let file = fs::File::open(path).map_err(failed)?;
    let limit = u64::try_from(max_bytes).unwrap_or(u64::MAX);
    let mut bytes = Vec::new();
    let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
    read.map_err(failed)?;
    if max_bytes < bytes.len() {
        return Err(Unreadable::TooLarge);
    }
    Ok(bytes)
}

fn walk(
    root: &Path,
    directory: &str,
    depth: usize,
    found: &mut Vec<String>,
) -> Result<(), Unreadable> {
    let path = match inside(root, directory) {
        Ok(path) => path,
        // What leads out of the root, or is not there, holds nothing.
        Err(Unreadable::Missing | Unreadable::Outside) => return Ok(()),
        Err(error) => return Err(error),
    };
    let failed = |error: io::Error| Unreadable::Failed(error.to_string());
    if MAX_DEPTH < depth || !path.is_dir() {
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        if !is_shown(&name) {
            continue;
        }
        let path = join(directory, &name);
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            walk(root, &path, depth + 1, found)?;
        } else if kind.is_file() || inside(root, &path).is_ok_and(|real| real.is_file()) {
            found.push(path);
        }
        if MAX_ENTRIES < found.len() {
            let message = format!("there are more than {MAX_ENTRIES} files below `{directory}`");
            return Err(Unreadable::Failed(message));
        }
    }
    Ok(())
}

/// Returns `name` below `directory`.
pub(in crate::evals) fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() {
        name.to_owned()
    } else {
        format!("{directory}/{name}")
    }
}

/// Returns the directory of a path; empty for the root.
pub(in crate::evals) fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// Returns what `reference` means in `directory`: a path below the root; `None` when it leads out.
pub(in crate::evals) fn resolve(directory: &str, reference: &str) -> Option<String> {
    if reference.starts_with(['/', '~']) || reference.contains(['\\', '\0']) {
        return None;
    }
    let mut parts: Vec<&str> = directory
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    for part in reference.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Returns what stands behind the last dot of a file's name, in lower case.
pub(in crate::evals) fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.')
        .map_or_else(String::new, |(_, end)| end.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{Files, Unreadable, extension, resolve};
    use crate::git::Repository;
    use crate::git::tests::{commit_all, repository_with};
    use std::fs;

    #[test]
    fn references_stay_below_the_root() {
        for (directory, reference, path) in [
            ("evals", "a.yaml", Some("evals/a.yaml")),
            ("evals", "./d/../a.yaml", Some("evals/a.yaml")),
            ("evals/x", "../../prompts/p.txt", Some("prompts/p.txt")),
            ("", "a", Some("a")),
            ("evals", "../../etc/passwd", None),
            ("", "..", None),
            ("evals", "/etc/passwd", None),
            ("evals", "~/x", None),
            ("evals", "a\\b", None),
        ] {
            assert_eq!(
                resolve(directory, reference).as_deref(),
                path,
                "{reference}"
            );
        }
        assert_eq!(extension("a.b/c.JSONL"), "jsonl");
        assert_eq!(extension("a.b/c"), "");
    }

    #[test]
    fn a_directory_is_not_left_through_links() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("secret"), "s").unwrap();
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/a"), "abc").unwrap();
        fs::write(dir.path().join(".hidden"), "h").unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("d/a", dir.path().join("in")).unwrap();
        let files = Files::directory(dir.path()).unwrap();
        assert_eq!(files.read("in", 3), Ok(b"abc".to_vec()));
        for (path, why) in [
            ("out/secret", Unreadable::Outside),
            ("d", Unreadable::NotAFile),
            ("gone", Unreadable::Missing),
            ("d/a/b", Unreadable::Missing),
        ] {
            assert_eq!(files.read(path, 9), Err(why), "{path}");
        }
        assert_eq!(files.read("d/a", 2), Err(Unreadable::TooLarge));
        assert_eq!(files.list("").unwrap(), ["d/a", "in"]);
        assert!(files.list("out").unwrap().is_empty());
    }

    #[test]
    fn a_commit_is_read_without_a_checkout() {
        let dir = repository_with(&[("evals/a", "old"), ("b", "x")]);
        std::os::unix::fs::symlink("b", dir.path().join("evals/link")).unwrap();
        let commit = commit_all(dir.path(), "first");
        fs::write(dir.path().join("evals/a"), "new").unwrap();
        let repository = Repository::discover(dir.path()).unwrap();
        let commit = repository.resolve(&commit).unwrap();
        let files = Files::commit(repository, commit);
        assert_eq!(files.read("evals/a", 3), Ok(b"old".to_vec()));
        for (path, why) in [
            ("evals/a", Unreadable::TooLarge),
            ("evals", Unreadable::NotAFile),
            ("evals/link", Unreadable::NotAFile),
            ("evals/gone", Unreadable::Missing),
        ] {
            assert_eq!(files.read(path, 2), Err(why), "{path}");
        }
        assert_eq!(files.list("evals").unwrap(), ["evals/a"]);
        assert_eq!(files.list("").unwrap(), ["b", "evals/a"]);
        assert!(files.list("gone").unwrap().is_empty());
    }
}
