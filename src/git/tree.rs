//! The files of a commit, read from the object database.

use crate::git::{CommitId, Error};
use gix::objs::tree::EntryKind;

/// How much of a tree is read at most.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of one file; a larger one is skipped.
    pub max_file_bytes: usize,
    /// Entries that are looked at, files and directories; more is an error.
    pub max_files: usize,
    /// Bytes of all files together; more is an error.
    pub max_total_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_file_bytes: 1 << 20,
            max_files: 20_000,
            max_total_bytes: 64 << 20,
        }
    }
}

/// A file: its path below the directory that was read, with `/`, and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// For example `support/refund.prompt`.
    pub path: String,
    /// The content.
    pub bytes: Vec<u8>,
}

/// Something in a tree that was not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path, as far as it can be shown.
    pub path: String,
    /// Why, in words.
    pub reason: String,
}

/// The outcome of reading a tree.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Invariant: sorted by path.
    pub files: Vec<File>,
    /// What was left out.
    pub skipped: Vec<Skipped>,
}

/// Directories deeper than this are damage or an attack.
const MAX_DEPTH: usize = 64;

struct Found {
    path: String,
    id: gix::ObjectId,
}

struct Walk<'a> {
    repository: &'a gix::Repository,
    max_files: usize,
    /// Entries so far. A tree may hold another one many times, so that a few objects have more
    /// entries than can ever be walked.
    seen: usize,
    found: Vec<Found>,
    skipped: Vec<Skipped>,
}

impl Walk<'_> {
    const fn has_overflowed(&self) -> bool {
        self.max_files < self.seen
    }
}

/// Reads the files that `is_wanted` names; the others are only counted.
pub(super) fn read(
    repository: &gix::Repository,
    commit: CommitId,
    subpath: &str,
    limits: Limits,
    is_wanted: &dyn Fn(&str) -> bool,
) -> Result<Tree, Error> {
    let mut total = 0_usize;
    let walk = walk(repository, commit, subpath, limits.max_files)?;
    let mut tree = Tree {
        files: Vec::with_capacity(walk.found.len()),
        skipped: walk.skipped,
    };
    for found in walk.found {
        if !is_wanted(&found.path) {
            continue;
        }
        let size = repository
            .find_header(found.id)
            .map_err(|error| unreadable(found.id, &error))?
            .size();
        if usize::try_from(size).map_or(true, |size| limits.max_file_bytes < size) {
            let reason = format!("has {size} bytes, the limit is {}", limits.max_file_bytes);
            tree.skipped.push(Skipped {
                path: found.path,
                reason,
            });
            continue;
        }
        let mut blob = repository
            .find_blob(found.id)
            .map_err(|error| unreadable(found.id, &error))?;
        total += blob.data.len();
        if limits.max_total_bytes < total {
            return Err(Error::TreeTooLarge {
                commit,
                path: subpath.to_owned(),
                limit: limits.max_total_bytes,
            });
        }
        tree.files.push(File {
            path: found.path,
            bytes: blob.take_data(),
        });
    }
    tree.files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(tree)
}

/// What stands at a path of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A regular file.
    File(Vec<u8>),
    /// A regular file with more bytes than were asked for; how many it has.
    TooLarge(u64),
    /// A directory, a symlink or a submodule.
    Other,
    /// Nothing.
    Missing,
}

/// Looks up one path without reading the rest of the tree.
pub(super) fn entry(
    repository: &gix::Repository,
    commit: CommitId,
    path: &str,
    max_bytes: usize,
) -> Result<Entry, Error> {
    let fail = |error: gix::Error| unreadable(commit.object_id(), &error);
    let root = directory(repository, commit, "")?;
    let parts = path.split('/').filter(|part| !part.is_empty());
    let Some(entry) = root.lookup_entry(parts).map_err(fail)? else {
        return Ok(Entry::Missing);
    };
    if !matches!(
        entry.mode().kind(),
        EntryKind::Blob | EntryKind::BlobExecutable
    ) {
        return Ok(Entry::Other);
    }
    let id = entry.object_id();
    let fail = |error: gix::Error| unreadable(id, &error);
    let size = repository.find_header(id).map_err(fail)?.size();
    if usize::try_from(size).map_or(true, |size| max_bytes < size) {
        return Ok(Entry::TooLarge(size));
    }
    let mut blob = repository.find_blob(id).map_err(fail)?;
    Ok(Entry::File(blob.take_data()))
}

pub(super) fn list(
    repository: &gix::Repository,
    commit: CommitId,
    subpath: &str,
    max_files: usize,
) -> Result<Vec<(String, String)>, Error> {
    let mut files: Vec<_> = walk(repository, commit, subpath, max_files)?
        .found
        .into_iter()
        .map(|found| (found.path, found.id.to_string()))
        .collect();
    files.sort();
    Ok(files)
}

fn walk<'a>(
    repository: &'a gix::Repository,
    commit: CommitId,
    subpath: &str,
    max_files: usize,
) -> Result<Walk<'a>, Error> {
    let root = directory(repository, commit, subpath)?;
    let mut walk = Walk {
        repository,
        max_files,
        seen: 0,
        found: Vec::new(),
        skipped: Vec::new(),
    };
    walk.descend(&root, "", 0)?;
    if walk.has_overflowed() {
        return Err(Error::TooManyFiles {
            commit,
            path: subpath.to_owned(),
            limit: max_files,
        });
    }
    Ok(walk)
}

pub(super) fn directory<'a>(
    repository: &'a gix::Repository,
    commit: CommitId,
    subpath: &str,
) -> Result<gix::Tree<'a>, Error> {
    let root = repository
        .find_commit(commit.object_id())
        .and_then(|commit| commit.tree())
        .map_err(|error| unreadable(commit.object_id(), &error))?;
    let parts: Vec<&str> = subpath
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.is_empty() {
        return Ok(root);
    }
    let missing = || Error::NoSuchDirectory {
        commit,
        path: subpath.to_owned(),
    };
    let entry = root
        .lookup_entry(parts)
        .map_err(|error| unreadable(commit.object_id(), &error))?
        .ok_or_else(missing)?;
    if !entry.mode().is_tree() {
        return Err(missing());
    }
    repository
        .find_tree(entry.object_id())
        .map_err(|error| unreadable(entry.object_id(), &error))
}

pub(super) fn unreadable(id: gix::ObjectId, error: &gix::Error) -> Error {
    Error::Object {
        id: id.to_string(),
        reason: error.to_string(),
    }
}

impl Walk<'_> {
    fn descend(&mut self, tree: &gix::Tree<'_>, prefix: &str, depth: usize) -> Result<(), Error> {
        for entry in tree.iter() {
            let entry = entry.map_err(|error| unreadable(tree.id, &error))?;
            self.seen += 1;
            if self.has_overflowed() {
                return Ok(());
            }
            let id = entry.inner.oid.to_owned();
            let Ok(name) = std::str::from_utf8(entry.inner.filename) else {
                let shown = String::from_utf8_lossy(entry.inner.filename);
                self.skip(format!("{prefix}{shown}"), "has a name that is not UTF-8");
                continue;
            };
            let path = format!("{prefix}{name}");
            match entry.inner.mode.kind() {
                EntryKind::Blob | EntryKind::BlobExecutable => self.found.push(Found { path, id }),
                EntryKind::Tree if depth < MAX_DEPTH => {
                    let inner = self
                        .repository
                        .find_tree(id)
                        .map_err(|error| unreadable(id, &error))?;
                    self.descend(&inner, &format!("{path}/"), depth + 1)?;
                }
                EntryKind::Tree => self.skip(path, "lies too deep"),
                EntryKind::Link => self.skip(path, "is a symlink; symlinks are not followed"),
                EntryKind::Commit => self.skip(path, "is a submodule; submodules are not read"),
            }
        }
        Ok(())
    }

    fn skip(&mut self, path: String, reason: &str) {
        self.skipped.push(Skipped {
            path,
            reason: reason.to_owned(),
        });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::Limits;
    use crate::git::Repository;
    use std::path::Path;
    use std::process::Command;

    pub(crate) fn git(dir: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .current_dir(dir)
            .args(["-c", "user.name=Test", "-c", "user.email=test@example.com"])
            .args([
                "-c",
                "commit.gpgsign=false",
                "-c",
                "protocol.file.allow=always",
            ])
            .args(arguments)
            .output()
            .unwrap();
        assert!(output.status.success(), "git {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub(crate) fn repository_with(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "-b", "main"]);
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    pub(crate) fn commit_all(dir: &Path, message: &str) -> String {
        git(dir, &["add", "-A"]);
        git(dir, &["commit", "-q", "-m", message]);
        git(dir, &["rev-parse", "HEAD"])
    }

    #[test]
    fn a_subdirectory_is_read_from_the_commit_and_not_from_the_disk() {
        let dir = repository_with(&[
            ("README", "outside"),
            ("prompts/b.prompt", "b"),
            ("prompts/deep/a.prompt", "a"),
        ]);
        let commit = commit_all(dir.path(), "first");
        std::fs::write(dir.path().join("prompts/b.prompt"), "changed").unwrap();
        let repository = Repository::discover(dir.path()).unwrap();
        let commit = repository.resolve(&commit).unwrap();
        let tree = repository
            .read_tree(commit, "prompts/", Limits::default())
            .unwrap();
        let read: Vec<_> = tree
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.bytes.as_slice()))
            .collect();
        assert_eq!(
            read,
            [("b.prompt", b"b".as_slice()), ("deep/a.prompt", b"a")]
        );
        for missing in ["nowhere", "README"] {
            let error = repository
                .read_tree(commit, missing, Limits::default())
                .unwrap_err();
            assert_eq!(error.kind(), "git_directory_not_found", "{missing}");
        }
    }

    #[test]
    fn links_submodules_and_large_files_are_skipped_by_name() {
        let inner = repository_with(&[("x", "x")]);
        commit_all(inner.path(), "inner");
        let dir = repository_with(&[("good", "1"), ("large", "12345678")]);
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("link")).unwrap();
        let url = inner.path().to_str().unwrap();
        git(dir.path(), &["submodule", "--quiet", "add", url, "module"]);
        std::fs::remove_file(dir.path().join(".gitmodules")).unwrap();
        let commit = commit_all(dir.path(), "first");
        let repository = Repository::discover(dir.path()).unwrap();
        let commit = repository.resolve(&commit).unwrap();
        let limits = Limits {
            max_file_bytes: 4,
            max_files: 10,
            max_total_bytes: 100,
        };
        let tree = repository.read_tree(commit, "", limits).unwrap();
        let files: Vec<_> = tree.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(files, ["good"]);
        let mut skipped: Vec<_> = tree.skipped.iter().map(|skip| skip.path.as_str()).collect();
        skipped.sort_unstable();
        assert_eq!(skipped, ["large", "link", "module"]);
        for (limits, kind) in [
            (
                Limits {
                    max_files: 1,
                    ..limits
                },
                "git_too_many_files",
            ),
            (
                Limits {
                    max_total_bytes: 0,
                    ..limits
                },
                "git_tree_too_large",
            ),
        ] {
            let error = repository.read_tree(commit, "", limits).unwrap_err();
            assert_eq!(error.kind(), kind);
        }
    }

    /// Sixty-four trees, each holding the one before twice: 2^64 directories in a few kilobytes.
    #[test]
    fn a_tree_that_unfolds_without_end_is_given_up() {
        let dir = repository_with(&[("a", "1")]);
        let first = commit_all(dir.path(), "first");
        let mut tree = git(dir.path(), &["rev-parse", "HEAD^{tree}"]);
        for _ in 0..64 {
            let entries = format!("040000 tree {tree}\tl\n040000 tree {tree}\tr\n");
            std::fs::write(dir.path().join(".git/entries"), entries).unwrap();
            let made = Command::new("sh")
                .args(["-c", "git mktree < .git/entries"])
                .current_dir(dir.path())
                .output()
                .unwrap();
            tree = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        }
        let bomb = git(
            dir.path(),
            &["commit-tree", "-m", "bomb", "-p", &first, &tree],
        );
        let repository = Repository::discover(dir.path()).unwrap();
        let id = |name: &str| repository.resolve(name).unwrap();
        let error = repository
            .read_tree(id(&bomb), "", Limits::default())
            .unwrap_err();
        assert_eq!(error.kind(), "git_too_many_files");
        let reader = repository.history("");
        let error = reader.changes(Some(id(&first)), id(&bomb)).unwrap_err();
        assert_eq!(error.kind(), "git_too_many_files");
    }
}
