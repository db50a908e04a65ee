//! The first-parent history of a commit: who changed which files when.
//!
//! Two commits are compared by the ids of their trees, and only directories that differ are entered;
//! a blob is read when somebody asks for it. Merges count as one step, as their branch saw them.

use crate::git::tree::{directory, unreadable};
use crate::git::{CommitId, Error, Repository};
use gix::objs::TreeRefIter;
use gix::objs::tree::{EntryKind, EntryRef};
use std::cmp::Ordering;
use std::fmt;

/// Bytes of decoded objects that a reader remembers; neighbouring commits share most of their trees.
const CACHE_BYTES: usize = 16 << 20;
/// Directories deeper than this are not entered.
const MAX_DEPTH: usize = 64;
/// Entries that are compared between two commits; a tree may unfold to more than can be walked.
const MAX_ENTRIES: usize = 1_000_000;

/// The id of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobId(gix::ObjectId);

impl BlobId {
    /// Returns the id that Git gives `bytes`; `None` only for a known SHA-1 collision attack.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let id = gix::objs::compute_hash(gix::hash::Kind::Sha1, gix::objs::Kind::Blob, bytes);
        id.ok().map(Self)
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// What a commit says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Who wrote the change: a name, without the address.
    pub author: String,
    /// When it was committed, in seconds since 1970.
    pub seconds: i64,
    /// The committer's time zone, in seconds east of UTC.
    pub offset_seconds: i32,
    /// The first line of its message.
    pub subject: String,
}

/// A file that two commits do not have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Its path below the directory that was compared, with `/`.
    pub path: String,
    /// Its content in the newer commit; `None` when it is gone.
    pub blob: Option<BlobId>,
}

/// The commits of a walk along first parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trail {
    /// Newest first. Without the commit that ended the walk.
    pub commits: Vec<CommitId>,
    /// Which of the commits that were looked for ended the walk; `None`: it reached the first commit.
    pub met: Option<CommitId>,
}

/// Reads the history of a repository. For one thread; remembers what it read.
pub struct HistoryReader {
    repository: gix::Repository,
    /// The directory whose files matter; empty for the root.
    subpath: String,
}

impl fmt::Debug for HistoryReader {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HistoryReader")
            .field("git_dir", &self.repository.git_dir())
            .field("subpath", &self.subpath)
            .finish()
    }
}

impl Repository {
    /// Returns a reader of what happened below `subpath` (empty: the root).
    #[must_use]
    pub fn history(&self, subpath: &str) -> HistoryReader {
        let mut repository = self.local();
        repository.object_cache_size(CACHE_BYTES);
        HistoryReader {
            repository,
            subpath: subpath.to_owned(),
        }
    }

    /// Whether `ancestor` is `descendant` or one of its ancestors, along any parents.
    ///
    /// # Errors
    ///
    /// [`Error::Object`] when a commit between the two is missing.
    pub fn is_ancestor(&self, ancestor: CommitId, descendant: CommitId) -> Result<bool, Error> {
        let (old, new) = (ancestor.object_id(), descendant.object_id());
        let repository = self.local();
        // A commit that was pruned after a forced push is nobody's ancestor.
        if old != new && !repository.has_object(old) {
            return Ok(false);
        }
        let base = repository.merge_base(old, new);
        match base.map_err(|error| unreadable(new, &error))? {
            Some(base) => Ok(base.detach() == old),
            None => Ok(false),
        }
    }

    /// Returns the newest commit that both have in their history; `None` when they share none.
    ///
    /// # Errors
    ///
    /// [`Error::Object`] when a commit on the way is missing.
    pub fn merge_base(&self, one: CommitId, other: CommitId) -> Result<Option<CommitId>, Error> {
        let repository = self.local();
        let base = repository.merge_base(one.object_id(), other.object_id());
        let base = base.map_err(|error| unreadable(other.object_id(), &error))?;
        Ok(base.map(|base| CommitId::of(base.detach())))
    }

    /// Returns the branch that `HEAD` is on, `refs/heads/main`; `None` when it is on none.
    #[must_use]
    pub fn head_branch(&self) -> Option<String> {
        let name = self.local().head_name().ok()??;
        Some(name.as_bstr().to_string())
    }
}

impl HistoryReader {
    /// Walks from `tip` along first parents, newest first, until `is_end` says so, at most `limit`
    /// commits; `Ok(None)` when there are more.
    ///
    /// # Errors
    ///
    /// [`Error::ShallowHistory`] when the clone lacks older commits, [`Error::Object`].
    pub fn first_parents(
        &self,
        tip: CommitId,
        is_end: &dyn Fn(CommitId) -> bool,
        limit: usize,
    ) -> Result<Option<Trail>, Error> {
        let mut commits = Vec::new();
        let mut next = Some(tip);
        while let Some(id) = next {
            if is_end(id) {
                let met = Some(id);
                return Ok(Some(Trail { commits, met }));
            }
            if limit <= commits.len() {
                return Ok(None);
            }
            commits.push(id);
            next = self.first_parent(id)?;
        }
        Ok(Some(Trail { commits, met: None }))
    }

    /// Returns the first parent of a commit; `None` for a first commit.
    ///
    /// # Errors
    ///
    /// [`Error::ShallowHistory`] when the clone ends here, [`Error::Object`].
    pub fn first_parent(&self, id: CommitId) -> Result<Option<CommitId>, Error> {
        let commit = self.find(id)?;
        let Some(parent) = commit.parent_ids().next() else {
            return Ok(None);
        };
        let shallow = self.repository.shallow_commits();
        let shallow = shallow.map_err(|error| unreadable(id.object_id(), &error))?;
        if shallow.is_some_and(|ends| ends.contains(&id.object_id())) {
            return Err(Error::ShallowHistory { commit: id });
        }
        Ok(Some(CommitId::of(parent.detach())))
    }

    /// Returns the commit that last changed the file at `path`, along the first parents of `tip`, and the
    /// file's content there; `None` when `tip` has no such file, or `limit` commits did not change it.
    ///
    /// # Errors
    ///
    /// [`Error::ShallowHistory`] when the clone lacks older commits, [`Error::Object`].
    pub fn last_change(
        &self,
        tip: CommitId,
        path: &str,
        limit: usize,
    ) -> Result<Option<(CommitId, BlobId)>, Error> {
        let Some(blob) = self.file_at(tip, path)? else {
            return Ok(None);
        };
        let mut commit = tip;
        for _ in 0..limit {
            match self.first_parent(commit)? {
                Some(parent) if self.file_at(parent, path)? == Some(blob) => commit = parent,
                _ => return Ok(Some((commit, blob))),
            }
        }
        Ok(None)
    }

    /// The content of the file at `path`; `None` when a commit has no such file.
    fn file_at(&self, commit: CommitId, path: &str) -> Result<Option<BlobId>, Error> {
        let fail = |error: gix::Error| unreadable(commit.object_id(), &error);
        let Some(tree) = self.tree_of(commit)? else {
            return Ok(None);
        };
        let tree = self.repository.find_tree(tree).map_err(fail)?;
        let parts = path.split('/').filter(|part| !part.is_empty());
        let entry = tree.lookup_entry(parts).map_err(fail)?;
        let file = entry.filter(|entry| entry.mode().is_blob());
        Ok(file.map(|entry| BlobId(entry.object_id())))
    }

    /// Returns what a commit says about itself. Text that is not UTF-8 is made so.
    ///
    /// # Errors
    ///
    /// [`Error::Object`].
    pub fn commit(&self, id: CommitId) -> Result<Commit, Error> {
        let commit = self.find(id)?;
        let fail = |error: gix::Error| unreadable(id.object_id(), &error);
        let author = commit.author().map_err(fail)?;
        let message = commit.message().map_err(fail)?;
        let time = commit.time().map_err(fail)?;
        Ok(Commit {
            id,
            author: author.name.to_string(),
            seconds: time.seconds,
            offset_seconds: time.offset,
            subject: message.summary().to_string(),
        })
    }

    /// Returns the files that differ between `before` (`None`: no files at all) and `after`, sorted.
    /// A commit without the directory has no files. Links and submodules are no files.
    ///
    /// # Errors
    ///
    /// [`Error::Object`], and [`Error::TooManyFiles`] when more differs than can be walked.
    pub fn changes(&self, before: Option<CommitId>, after: CommitId) -> Result<Vec<Change>, Error> {
        let before = match before {
            Some(before) => self.tree_of(before)?,
            None => None,
        };
        let mut comparison = Comparison {
            repository: &self.repository,
            changes: Vec::new(),
            seen: 0,
        };
        comparison.directories(before, self.tree_of(after)?, "", 0)?;
        if MAX_ENTRIES < comparison.seen {
            return Err(Error::TooManyFiles {
                commit: after,
                path: self.subpath.clone(),
                limit: MAX_ENTRIES,
            });
        }
        let mut changes = comparison.changes;
        changes.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(changes)
    }

    /// Returns the content of a file; `None` when it has more than `max_bytes`.
    ///
    /// # Errors
    ///
    /// [`Error::Object`].
    pub fn blob(&self, id: BlobId, max_bytes: usize) -> Result<Option<Vec<u8>>, Error> {
        let fail = |error: gix::Error| unreadable(id.0, &error);
        let size = self.repository.find_header(id.0).map_err(fail)?.size();
        if usize::try_from(size).map_or(true, |size| max_bytes < size) {
            return Ok(None);
        }
        let mut blob = self.repository.find_blob(id.0).map_err(fail)?;
        Ok(Some(blob.take_data()))
    }

    fn find(&self, id: CommitId) -> Result<gix::Commit<'_>, Error> {
        self.repository
            .find_commit(id.object_id())
            .map_err(|error| unreadable(id.object_id(), &error))
    }

    fn tree_of(&self, commit: CommitId) -> Result<Option<gix::ObjectId>, Error> {
        if self.subpath.is_empty() {
            let tree = self.find(commit)?.tree_id().map(gix::Id::detach);
            return tree
                .map(Some)
                .map_err(|error| unreadable(commit.object_id(), &error));
        }
        match directory(&self.repository, commit, &self.subpath) {
            Ok(tree) => Ok(Some(tree.id)),
            Err(Error::NoSuchDirectory { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

struct Comparison<'a> {
    repository: &'a gix::Repository,
    changes: Vec<Change>,
    seen: usize,
}

impl Comparison<'_> {
    fn directories(
        &mut self,
        before: Option<gix::ObjectId>,
        after: Option<gix::ObjectId>,
        prefix: &str,
        depth: usize,
    ) -> Result<(), Error> {
        if before == after || MAX_DEPTH < depth || MAX_ENTRIES < self.seen {
            return Ok(());
        }
        let (before, after) = (self.read(before)?, self.read(after)?);
        let (mut old, mut new) = (entries(&before), entries(&after));
        let (mut left, mut right) = (old.next().transpose()?, new.next().transpose()?);
        loop {
            let order = match (&left, &right) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(left), Some(right)) => in_tree_order(left, right),
            };
            let gone = if order == Ordering::Greater {
                None
            } else {
                left.take()
            };
            let come = if order == Ordering::Less {
                None
            } else {
                right.take()
            };
            self.entry(gone, come, prefix, depth)?;
            if gone.is_some() {
                left = old.next().transpose()?;
            }
            if come.is_some() {
                right = new.next().transpose()?;
            }
        }
    }

    fn entry(
        &mut self,
        before: Option<EntryRef<'_>>,
        after: Option<EntryRef<'_>>,
        prefix: &str,
        depth: usize,
    ) -> Result<(), Error> {
        let Some(name) = after.or(before).map(|entry| entry.filename) else {
            return Ok(());
        };
        self.seen += 1;
        // As a tree is read: such a file is none of ours.
        let Ok(name) = std::str::from_utf8(name) else {
            return Ok(());
        };
        let (old, new) = (before.and_then(file_of), after.and_then(file_of));
        if old != new {
            self.changes.push(Change {
                path: format!("{prefix}{name}"),
                blob: new.map(BlobId),
            });
        }
        let (old, new) = (before.and_then(tree_of), after.and_then(tree_of));
        if old == new {
            return Ok(());
        }
        self.directories(old, new, &format!("{prefix}{name}/"), depth + 1)
    }

    fn read(&self, tree: Option<gix::ObjectId>) -> Result<Vec<u8>, Error> {
        let Some(id) = tree else {
            return Ok(Vec::new());
        };
        let tree = self.repository.find_tree(id);
        let mut tree = tree.map_err(|error| unreadable(id, &error))?;
        Ok(tree.take_data())
    }
}

fn entries(tree: &[u8]) -> impl Iterator<Item = Result<EntryRef<'_>, Error>> {
    TreeRefIter::from_bytes(tree, gix::hash::Kind::Sha1).map(|entry| {
        entry.map_err(|error| Error::Object {
            id: "of a directory".to_owned(),
            reason: error.to_string(),
        })
    })
}

fn file_of(entry: EntryRef<'_>) -> Option<gix::ObjectId> {
    match entry.mode.kind() {
        EntryKind::Blob | EntryKind::BlobExecutable => Some(entry.oid.to_owned()),
        EntryKind::Tree | EntryKind::Link | EntryKind::Commit => None,
    }
}

fn tree_of(entry: EntryRef<'_>) -> Option<gix::ObjectId> {
    entry.mode.is_tree().then(|| entry.oid.to_owned())
}

/// Git's order inside a tree: by name, where a directory's ends in `/`.
fn in_tree_order(a: &EntryRef<'_>, b: &EntryRef<'_>) -> Ordering {
    let end = |entry: &EntryRef<'_>| entry.mode.is_tree().then_some(b'/');
    let a_name = a.filename.iter().copied().chain(end(a));
    let b_name = b.filename.iter().copied().chain(end(b));
    a_name.cmp(b_name)
}

#[cfg(test)]
mod tests {
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::git::{BlobId, CommitId, Repository};
    use std::path::Path;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn id(repository: &Repository, reference: &str) -> CommitId {
        repository.resolve(reference).unwrap()
    }

    fn shown(
        repository: &Repository,
        subpath: &str,
        before: Option<CommitId>,
        after: CommitId,
    ) -> String {
        let changes = repository.history(subpath).changes(before, after).unwrap();
        let shown = changes.iter().map(|change| {
            let sign = if change.blob.is_some() { "+" } else { "-" };
            format!("{sign}{}", change.path)
        });
        shown.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_walk_follows_first_parents_and_ends_where_it_is_told() {
        let dir = repository_with(&[("a", "1")]);
        let first = commit_all(dir.path(), "first");
        git(dir.path(), &["checkout", "-q", "-b", "side"]);
        write(dir.path(), "b", "1");
        commit_all(dir.path(), "side");
        git(dir.path(), &["checkout", "-q", "main"]);
        write(dir.path(), "a", "2");
        let second = commit_all(dir.path(), "second");
        git(
            dir.path(),
            &["merge", "-q", "--no-ff", "-m", "merge", "side"],
        );
        let merge = git(dir.path(), &["rev-parse", "HEAD"]);
        let repository = Repository::discover(dir.path()).unwrap();
        let reader = repository.history("");
        let tip = id(&repository, "main");
        let trail = reader.first_parents(tip, &|_| false, 10).unwrap().unwrap();
        let walked: Vec<_> = trail.commits.iter().map(ToString::to_string).collect();
        assert_eq!(walked, [merge, second.clone(), first]);
        assert_eq!(trail.met, None);
        let known = id(&repository, &second);
        let trail = reader.first_parents(tip, &|commit| commit == known, 1);
        let trail = trail.unwrap().unwrap();
        assert_eq!((trail.commits, trail.met), (vec![tip], Some(known)));
        assert_eq!(reader.first_parents(tip, &|_| false, 2).unwrap(), None);
        // A merge is one step: what it brought in.
        assert_eq!(shown(&repository, "", Some(known), tip), "+b");
        for (ancestor, descendant, is_one) in [
            ("side", "main", true),
            ("main", "side", false),
            ("main", "main", true),
            ("main~1", "main", true),
        ] {
            let found =
                repository.is_ancestor(id(&repository, ancestor), id(&repository, descendant));
            assert_eq!(found.unwrap(), is_one, "{ancestor} {descendant}");
        }
        let base = repository.merge_base(id(&repository, "side"), id(&repository, "main~1"));
        assert_eq!(base.unwrap(), Some(id(&repository, "main~2")));
        let pruned = CommitId::from_bytes([7; 20]);
        assert!(!repository.is_ancestor(pruned, tip).unwrap());
    }

    #[test]
    fn changes_are_the_files_that_differ_below_the_directory() {
        let dir = repository_with(&[
            ("p/a", "1"),
            ("p/a.b/x", "1"),
            ("p/a0", "1"),
            ("p/deep/er/c", "1"),
            ("p/kind", "file"),
            ("outside", "1"),
        ]);
        commit_all(dir.path(), "one");
        write(dir.path(), "p/a0", "2");
        write(dir.path(), "outside", "2");
        std::fs::remove_file(dir.path().join("p/kind")).unwrap();
        write(dir.path(), "p/kind/inner", "now a directory");
        std::fs::remove_file(dir.path().join("p/deep/er/c")).unwrap();
        write(dir.path(), "p/deep/d", "1");
        std::os::unix::fs::symlink("a", dir.path().join("p/link")).unwrap();
        commit_all(dir.path(), "two");
        git(dir.path(), &["rm", "-q", "-r", "p"]);
        commit_all(dir.path(), "three");
        let repository = Repository::discover(dir.path()).unwrap();
        let [one, two, three] =
            ["main~2", "main~1", "main"].map(|reference| id(&repository, reference));
        assert_eq!(
            shown(&repository, "p", None, one),
            "+a +a.b/x +a0 +deep/er/c +kind"
        );
        assert_eq!(
            shown(&repository, "p", Some(one), two),
            "+a0 +deep/d -deep/er/c -kind +kind/inner"
        );
        assert_eq!(
            shown(&repository, "p/", Some(two), one),
            "+a0 -deep/d +deep/er/c +kind -kind/inner"
        );
        assert_eq!(
            shown(&repository, "p", Some(two), three),
            "-a -a.b/x -a0 -deep/d -kind/inner"
        );
        assert_eq!(shown(&repository, "p", Some(three), three), "");
        assert_eq!(shown(&repository, "nowhere", None, one), "");
        assert_eq!(shown(&repository, "", Some(one), one), "");
        let reader = repository.history("p");
        let changed = &reader.changes(Some(one), two).unwrap()[0];
        let blob = changed.blob.unwrap();
        assert_eq!(Some(blob), BlobId::of(b"2"));
        assert_eq!(reader.blob(blob, 1).unwrap(), Some(b"2".to_vec()));
        assert_eq!(reader.blob(blob, 0).unwrap(), None);
    }

    #[test]
    fn a_commit_says_who_when_and_what() {
        let dir = repository_with(&[("a", "1")]);
        git(dir.path(), &["add", "-A"]);
        let message = "Say hello\nto all\n\nBecause.\n";
        let author = "Zoë Née <zoe@example.com>";
        git(
            dir.path(),
            &["commit", "-q", "--author", author, "-m", message],
        );
        let date = git(
            dir.path(),
            &["log", "-1", "--format=%ct %cd", "--date=format:%z"],
        );
        let repository = Repository::discover(dir.path()).unwrap();
        let commit = repository
            .history("")
            .commit(id(&repository, "HEAD"))
            .unwrap();
        assert_eq!(commit.author, "Zoë Née");
        assert_eq!(commit.subject, "Say hello to all");
        let (hours, minutes) = (
            commit.offset_seconds / 3600,
            commit.offset_seconds / 60 % 60,
        );
        assert_eq!(date, format!("{} {hours:+03}{minutes:02}", commit.seconds));
        assert_eq!(repository.head_branch().as_deref(), Some("refs/heads/main"));
        git(dir.path(), &["checkout", "-q", "--detach"]);
        assert_eq!(repository.head_branch(), None);
    }

    #[test]
    fn a_shallow_clone_says_that_its_history_ends() {
        let dir = repository_with(&[("a", "1")]);
        for text in ["2", "3", "4"] {
            write(dir.path(), "a", text);
            commit_all(dir.path(), text);
        }
        let clone = tempfile::tempdir().unwrap();
        let url = format!("file://{}", dir.path().display());
        git(clone.path(), &["clone", "-q", "--depth", "2", &url, "."]);
        let repository = Repository::discover(clone.path()).unwrap();
        let tip = id(&repository, "HEAD");
        let reader = repository.history("");
        let error = reader.first_parents(tip, &|_| false, 10).unwrap_err();
        assert_eq!(error.kind(), "git_history_shallow");
        let before = reader.first_parent(tip).unwrap().unwrap();
        let trail = reader.first_parents(tip, &|commit| commit == before, 10);
        assert_eq!(trail.unwrap().unwrap().commits, [tip]);
    }
}
