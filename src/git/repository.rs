//! Repositories, and the commits that references stand for.

use crate::git::{Error, tree};
use gix::bstr::BStr;
use gix::sec::trust::Mapping;
use std::fmt;
use std::path::{Path, PathBuf};

/// The id of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CommitId(gix::ObjectId);

impl CommitId {
    pub(super) const fn object_id(self) -> gix::ObjectId {
        self.0
    }

    pub(super) const fn of(id: gix::ObjectId) -> Self {
        Self(id)
    }

    /// Returns the id whose 20 bytes these are.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 20]) -> Self {
        Self(gix::ObjectId::Sha1(bytes))
    }

    /// Returns the 20 bytes of the id.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        for (to, from) in bytes.iter_mut().zip(self.0.as_slice()) {
            *to = *from;
        }
        bytes
    }

    /// Returns the id as people write it: the first 9 hex digits.
    #[must_use]
    pub fn short(self) -> String {
        self.0.to_hex_with_len(9).to_string()
    }
}

impl fmt::Display for CommitId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A repository on this machine, opened for reading. Shared by threads.
pub struct Repository {
    inner: gix::ThreadSafeRepository,
}

impl fmt::Debug for Repository {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Repository")
            .field("git_dir", &self.inner.git_dir())
            .finish()
    }
}

impl Repository {
    /// Opens the repository that `path` lies in. One whose name ends in `.git` is meant itself, and
    /// never what is around it.
    ///
    /// # Errors
    ///
    /// [`Error::NotARepository`] when there is none at or above `path`.
    pub fn discover(path: &Path) -> Result<Self, Error> {
        let is_itself = path.extension().is_some_and(|end| end == "git");
        if is_itself || path.file_name().is_some_and(|name| name == ".git") {
            let opened = gix::open::Options::isolated().open(path);
            return opened
                .map(|inner| Self { inner })
                .map_err(|error| Error::NotARepository {
                    path: path.to_owned(),
                    reason: error.to_string(),
                });
        }
        let isolated = Mapping {
            full: gix::open::Options::isolated(),
            reduced: gix::open::Options::isolated(),
        };
        gix::ThreadSafeRepository::discover_opts(
            path,
            gix::discover::upwards::Options::default(),
            isolated,
        )
        .map(|inner| Self { inner })
        .map_err(|error| Error::NotARepository {
            path: path.to_owned(),
            reason: error.to_string(),
        })
    }

    /// Returns where the repository keeps its data, without links in the path where that is known.
    #[must_use]
    pub fn git_dir(&self) -> PathBuf {
        let path = self.inner.git_dir();
        std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
    }

    /// Returns the root of the work tree; `None` for a bare repository.
    #[must_use]
    pub fn work_dir(&self) -> Option<PathBuf> {
        self.local().workdir().map(Path::to_path_buf)
    }

    /// Returns the commit that `reference` (a branch, a tag, a commit or `HEAD`) stands for.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownReference`] when it names nothing here, or something that is no commit.
    pub fn resolve(&self, reference: &str) -> Result<CommitId, Error> {
        let unknown = || Error::UnknownReference {
            reference: reference.to_owned(),
        };
        let repository = self.local();
        let id = repository
            .rev_parse_single(BStr::new(reference))
            .map_err(|_| unknown())?;
        let commit = id
            .object()
            .and_then(gix::Object::peel_to_commit)
            .map_err(|_| unknown())?;
        Ok(CommitId(commit.id))
    }

    /// Returns the commit of `HEAD`; `None` before the first commit.
    #[must_use]
    pub fn head(&self) -> Option<CommitId> {
        let repository = self.local();
        let id = repository.head_id().ok()?;
        Some(CommitId(id.detach()))
    }

    /// Reads all files of `commit` below `subpath` (empty: the root). Symlinks, submodules, files
    /// over the size limit and names that are not UTF-8 are skipped and named.
    ///
    /// # Errors
    ///
    /// [`Error::NoSuchDirectory`], [`Error::Object`] when an object is missing,
    /// [`Error::TooManyFiles`] and [`Error::TreeTooLarge`].
    pub fn read_tree(
        &self,
        commit: CommitId,
        subpath: &str,
        limits: tree::Limits,
    ) -> Result<tree::Tree, Error> {
        self.read_files(commit, subpath, limits, &|_| true)
    }

    /// Reads the files whose paths `is_wanted` names, as [`Repository::read_tree`] does; the others
    /// count, but their content is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Repository::read_tree`].
    pub fn read_files(
        &self,
        commit: CommitId,
        subpath: &str,
        limits: tree::Limits,
        is_wanted: &dyn Fn(&str) -> bool,
    ) -> Result<tree::Tree, Error> {
        tree::read(&self.local(), commit, subpath, limits, is_wanted)
    }

    /// Returns what stands at `path` of `commit`, a file with its content unless it has more than
    /// `max_bytes`. No other file is looked at.
    ///
    /// # Errors
    ///
    /// [`Error::Object`] when an object is missing.
    pub fn entry(
        &self,
        commit: CommitId,
        path: &str,
        max_bytes: usize,
    ) -> Result<tree::Entry, Error> {
        tree::entry(&self.local(), commit, path, max_bytes)
    }

    /// Lists the files of `commit` below `subpath` as paths relative to it, with their blobs' ids,
    /// without reading them.
    ///
    /// # Errors
    ///
    /// As [`Repository::read_tree`].
    pub fn list_tree(
        &self,
        commit: CommitId,
        subpath: &str,
        max_files: usize,
    ) -> Result<Vec<(String, String)>, Error> {
        tree::list(&self.local(), commit, subpath, max_files)
    }

    pub(super) fn local(&self) -> gix::Repository {
        self.inner.to_thread_local()
    }
}

/// Returns the id (40 hex digits) that Git gives a blob with these bytes; `None` only when the
/// bytes are a known SHA-1 collision attack.
#[must_use]
pub fn blob_id(bytes: &[u8]) -> Option<String> {
    gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes)
        .ok()
        .map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::{Repository, blob_id};
    use crate::git::Limits;
    use crate::git::tree::tests::{commit_all, git, repository_with};

    #[test]
    fn references_of_every_form_resolve_to_commits() {
        let dir = repository_with(&[("a.txt", "one")]);
        let first = commit_all(dir.path(), "first");
        git(dir.path(), &["tag", "-a", "-m", "x", "release/1"]);
        git(dir.path(), &["branch", "other"]);
        std::fs::write(dir.path().join("a.txt"), "two").unwrap();
        let second = commit_all(dir.path(), "second");
        let repository = Repository::discover(dir.path()).unwrap();
        for (reference, commit) in [
            ("release/1", &first),
            ("other", &first),
            ("main", &second),
            ("HEAD", &second),
            (first.as_str(), &first),
            (first.split_at(10).0, &first),
        ] {
            assert_eq!(
                &repository.resolve(reference).unwrap().to_string(),
                commit,
                "{reference}"
            );
        }
        assert_eq!(repository.head().unwrap().to_string(), second);
        let error = repository.resolve("missing").unwrap_err();
        assert_eq!(error.kind(), "git_reference_not_found");
    }

    #[test]
    fn a_repository_is_found_from_inside_and_only_there() {
        let dir = repository_with(&[("deep/er/a.txt", "one")]);
        let repository = Repository::discover(&dir.path().join("deep/er")).unwrap();
        assert!(repository.head().is_none(), "no commit yet");
        commit_all(dir.path(), "first");
        assert!(repository.head().is_some());
        let plain = tempfile::tempdir().unwrap();
        let error = Repository::discover(plain.path()).unwrap_err();
        assert_eq!(error.kind(), "git_not_a_repository");
    }

    #[test]
    fn blob_ids_are_the_ids_git_gives() {
        let dir = repository_with(&[("a.txt", "hello\n")]);
        let commit = commit_all(dir.path(), "first");
        let repository = Repository::discover(dir.path()).unwrap();
        let commit = repository.resolve(&commit).unwrap();
        let listed = repository.list_tree(commit, "", 10).unwrap();
        assert_eq!(listed, [("a.txt".to_owned(), blob_id(b"hello\n").unwrap())]);
        assert_eq!(
            blob_id(b"").unwrap(),
            "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
        );
        let files = repository
            .read_tree(commit, "", Limits::default())
            .unwrap()
            .files;
        assert_eq!(files[0].bytes, b"hello\n");
    }
}
