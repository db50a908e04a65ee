//! Where prompts come from: a directory, or a ref of a repository.

use crate::git::{self, File, Repository};
use crate::prompts::error::Error;
use crate::prompts::files::{MAX_FILE_BYTES, MAX_FILES, MAX_TOTAL_BYTES, is_ours};
use crate::prompts::problem::Problem;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

/// Directories deeper than this are not entered.
const MAX_DEPTH: usize = 32;

/// A plain directory, inside a Git work tree or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectorySource {
    /// The directory.
    pub path: PathBuf,
}

/// A directory of a commit, read from the object database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    /// The repository, or any directory inside one.
    pub repository: PathBuf,
    /// The branch, tag or commit.
    pub reference: String,
    /// The directory below the repository's root; empty for the root.
    pub subpath: String,
}

/// Where prompts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A directory.
    Directory(DirectorySource),
    /// A ref of a repository.
    Git(GitSource),
}

/// Files, and what Git knows about them.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) files: Vec<File>,
    pub(super) problems: Vec<Problem>,
    pub(super) commit: Option<String>,
    /// Paths of files that are not as in the commit.
    pub(super) dirty: BTreeSet<String>,
}

const LIMITS: git::Limits = git::Limits {
    max_file_bytes: MAX_FILE_BYTES,
    max_files: MAX_FILES,
    max_total_bytes: MAX_TOTAL_BYTES,
};

impl Source {
    /// Reads everything; notes the commit in `tried` as soon as it is known. Blocks.
    pub(super) fn read(&self, tried: &mut Option<String>) -> Result<Reading, Error> {
        match self {
            Self::Directory(directory) => directory.read(),
            Self::Git(source) => {
                let repository = Repository::discover(&source.repository).map_err(Error::Git)?;
                let commit = repository.resolve(&source.reference).map_err(Error::Git)?;
                *tried = Some(commit.to_string());
                read_commit(&repository, commit, &source.subpath)
            }
        }
    }

    /// Returns the commit whose history is tracked; `None` where there is no repository or no commit.
    pub(super) fn tip(&self) -> Result<Option<String>, Error> {
        let commit = match self {
            Self::Git(source) => {
                let repository = Repository::discover(&source.repository).map_err(Error::Git)?;
                Some(repository.resolve(&source.reference).map_err(Error::Git)?)
            }
            Self::Directory(directory) => Repository::discover(&directory.path)
                .ok()
                .filter(|repository| directory.subpath(repository).is_some())
                .and_then(|repository| repository.head()),
        };
        Ok(commit.map(|commit| commit.to_string()))
    }

    /// Returns the same prompts as they are at `reference`.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] when they lie in no repository.
    pub fn at(&self, reference: &str) -> Result<GitSource, Error> {
        let (repository, subpath) = self.repository()?;
        Ok(GitSource {
            repository: repository.git_dir(),
            reference: reference.to_owned(),
            subpath,
        })
    }

    /// Opens the repository that the prompts lie in, with their directory in it.
    pub(super) fn repository(&self) -> Result<(Repository, String), Error> {
        match self {
            Self::Git(source) => Repository::discover(&source.repository)
                .map(|repository| (repository, source.subpath.clone()))
                .map_err(Error::Git),
            Self::Directory(directory) => {
                let repository = Repository::discover(&directory.path).map_err(Error::Git)?;
                let subpath = directory.subpath(&repository).unwrap_or_default();
                Ok((repository, subpath))
            }
        }
    }

    /// Returns a number that changes when the files may have changed. `with_files` looks at every
    /// file's size and time, else only at what Git's refs say. Blocks.
    pub(super) fn fingerprint(&self, with_files: bool) -> u64 {
        let mut hasher = DefaultHasher::new();
        match self {
            Self::Git(source) => {
                let commit = Repository::discover(&source.repository)
                    .and_then(|repository| repository.resolve(&source.reference));
                commit
                    .map(|commit| commit.to_string())
                    .ok()
                    .hash(&mut hasher);
            }
            Self::Directory(directory) => {
                let head = Repository::discover(&directory.path)
                    .ok()
                    .and_then(|repository| repository.head())
                    .map(|commit| commit.to_string());
                head.hash(&mut hasher);
                if with_files {
                    directory.hash_times(&mut hasher);
                }
            }
        }
        hasher.finish()
    }
}

/// Reads the prompts of a commit.
pub(super) fn read_commit(
    repository: &Repository,
    commit: git::CommitId,
    subpath: &str,
) -> Result<Reading, Error> {
    let tree = repository
        .read_files(commit, subpath, LIMITS, &is_ours)
        .map_err(Error::Git)?;
    let skipped = tree
        .skipped
        .into_iter()
        .filter(|skipped| is_ours(&skipped.path))
        .map(|skipped| Problem::new(skipped.reason).in_file(&skipped.path));
    Ok(Reading {
        files: tree.files,
        problems: skipped.collect(),
        commit: Some(commit.to_string()),
        dirty: BTreeSet::new(),
    })
}

impl DirectorySource {
    fn read(&self) -> Result<Reading, Error> {
        let mut reading = Reading::default();
        self.visit(&mut |path, metadata| {
            let name = relative(&self.path, path);
            if MAX_FILES <= reading.files.len() || !is_ours(&name) {
                return Ok(());
            }
            if metadata.is_symlink() {
                let problem = Problem::new("is a symlink; symlinks are not followed");
                reading.problems.push(problem.in_file(&name));
                return Ok(());
            }
            // A pipe would block, a device would never end.
            if !metadata.is_file() {
                return Ok(());
            }
            let size = metadata.len();
            if usize::try_from(size).map_or(true, |size| MAX_FILE_BYTES < size) {
                let message = format!("has {size} bytes, the limit is {MAX_FILE_BYTES}");
                reading.problems.push(Problem::new(message).in_file(&name));
                return Ok(());
            }
            let bytes = fs::read(path).map_err(|error| unreadable(path, &error))?;
            reading.files.push(File { path: name, bytes });
            Ok(())
        })?;
        if MAX_FILES <= reading.files.len() {
            let problem = Problem::new(format!("has {MAX_FILES} files or more"));
            reading.problems.push(problem.in_file("."));
        }
        reading.files.sort_by(|a, b| a.path.cmp(&b.path));
        self.compare_with_head(&mut reading)?;
        Ok(reading)
    }

    /// Notes the commit of `HEAD` and which files differ from it.
    fn compare_with_head(&self, reading: &mut Reading) -> Result<(), Error> {
        let Ok(repository) = Repository::discover(&self.path) else {
            return Ok(());
        };
        let Some(subpath) = self.subpath(&repository) else {
            return Ok(());
        };
        let all = || reading.files.iter().map(|file| file.path.clone()).collect();
        let Some(head) = repository.head() else {
            reading.dirty = all();
            return Ok(());
        };
        reading.commit = Some(head.to_string());
        let blobs: HashMap<String, String> = match repository.list_tree(head, &subpath, 1_000_000) {
            Ok(blobs) => blobs.into_iter().collect(),
            // The directory is new.
            Err(git::Error::NoSuchDirectory { .. }) => HashMap::new(),
            Err(error) => return Err(Error::Git(error)),
        };
        let is_committed = |file: &&File| {
            let Some(id) = blobs.get(&file.path) else {
                return false;
            };
            // Git may keep LF where the work tree has CRLF.
            git::blob_id(&file.bytes).as_ref() == Some(id)
                || git::blob_id(&without_cr(&file.bytes)).as_ref() == Some(id)
        };
        reading.dirty = reading
            .files
            .iter()
            .filter(|file| !is_committed(file))
            .map(|file| file.path.clone())
            .collect();
        Ok(())
    }

    /// Returns the path of the directory inside the repository's work tree.
    fn subpath(&self, repository: &Repository) -> Option<String> {
        let root = fs::canonicalize(repository.work_dir()?).ok()?;
        let path = fs::canonicalize(&self.path).ok()?;
        Some(relative(&root, &path))
    }

    fn hash_times(&self, hasher: &mut DefaultHasher) {
        // A file that goes away while it is looked at shows in the next look.
        let _ = self.visit(&mut |path, metadata| {
            path.hash(hasher);
            metadata.len().hash(hasher);
            metadata.modified().ok().hash(hasher);
            Ok(())
        });
    }

    /// Calls `visitor` for every file and link below, except in hidden directories.
    fn visit(
        &self,
        visitor: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<(), Error>,
    ) -> Result<(), Error> {
        visit_directory(&self.path, visitor, 0)
    }
}

fn visit_directory(
    directory: &Path,
    visitor: &mut dyn FnMut(&Path, &fs::Metadata) -> Result<(), Error>,
    depth: usize,
) -> Result<(), Error> {
    let entries = fs::read_dir(directory).map_err(|error| unreadable(directory, &error))?;
    let mut paths = Vec::new();
    for entry in entries {
        paths.push(entry.map_err(|error| unreadable(directory, &error))?.path());
    }
    paths.sort();
    for path in paths {
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if is_hidden {
            continue;
        }
        // Not `metadata`: links are not followed.
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            // An editor's temporary file, gone meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&path, &error)),
        };
        if !metadata.is_dir() {
            visitor(&path, &metadata)?;
        } else if depth < MAX_DEPTH {
            visit_directory(&path, visitor, depth + 1)?;
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    Error::SourceUnreadable {
        path: path.display().to_string(),
        reason: error.to_string(),
    }
}

/// Returns `path` below `root`, with `/`.
fn relative(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below
        .components()
        .map(|part| part.as_os_str().to_string_lossy())
        .collect();
    parts.join("/")
}

fn without_cr(bytes: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(bytes.len());
    let mut bytes = bytes.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\r' || bytes.peek() != Some(&b'\n') {
            clean.push(byte);
        }
    }
    clean
}
