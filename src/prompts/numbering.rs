//! Keeps the numbers of versions up with the history that is tracked.
//!
//! Only Git decides: the same history gives the same numbers on every machine. What was found is kept,
//! so that a start or a new commit costs only what is new. When the history is rewritten, numbers that
//! were given stay, new versions get higher ones, and an alarm says so: a fresh clone may number
//! otherwise. A short walk is done on the spot, a long one in slices in the background.

use crate::domain::{BundleHash, PromptKey};
use crate::git::{self, CommitId, HistoryReader, Repository, Trail};
use crate::prompts::archive::BundleArchive;
use crate::prompts::error::Error;
use crate::prompts::numbers::{Appearance, Numbers, Round, alarm};
use crate::prompts::numbers_replay::Replay;
use crate::prompts::source::Source;
use crate::prompts::stored::ENGINE;
use arc_swap::ArcSwap;
use sha2::{Digest as _, Sha256};
use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Commits of a history; more are refused.
const MAX_COMMITS: usize = 1_000_000;

/// Prompts that are built between two looks at the clock.
const BATCH: usize = 16;

/// How much is done before something else may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slice {
    /// Longest time; `None`: until it is done.
    time: Option<Duration>,
    /// New commits; with more nothing is begun.
    commits: usize,
    /// Whether to wait for another that works on it.
    waits: bool,
}

impl Slice {
    /// What a load may be delayed by.
    pub(super) const AT_ONCE: Self = Self {
        time: Some(Duration::from_millis(25)),
        commits: 500,
        waits: false,
    };
    /// What the end of the process may be delayed by.
    pub(super) const BACKGROUND: Self = Self {
        time: Some(Duration::from_millis(200)),
        commits: MAX_COMMITS,
        waits: true,
    };
    /// Until it is done.
    pub(super) const WHOLE: Self = Self {
        time: None,
        commits: MAX_COMMITS,
        waits: true,
    };
}

/// How far numbering is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum State {
    /// There is no history: no repository, or no commit.
    #[default]
    NoHistory,
    /// Every version of the history has its number.
    Ready,
    /// Newer commits, or all, are not looked at yet.
    Pending,
    /// The history cannot be read.
    Unavailable {
        reason: String,
        hint: Option<String>,
    },
}

/// What is known. Numbers in it are final, also while it is not complete.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    pub(super) numbers: Numbers,
    pub(super) state: State,
    /// The commit up to which all is numbered.
    pub(super) tip: Option<CommitId>,
    /// What is wrong with the history, in words.
    pub(super) alarms: Vec<String>,
}

/// The numbers of a registry.
#[derive(Default)]
pub(super) struct Numbering {
    known: ArcSwap<Known>,
    /// The commit that should be numbered.
    wanted: Mutex<Option<CommitId>>,
    work: Mutex<Work>,
    /// Rung when there is something to do in the background.
    pub(super) bell: Notify,
    /// Whether somebody listens to it.
    pub(super) has_background: AtomicBool,
}

impl fmt::Debug for Numbering {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Numbering")
            .field("state", &self.known.load().state)
            .finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Work {
    /// The history that `known` is of.
    line: Option<Line>,
    job: Option<Job>,
    /// The files of a commit, ready for the next.
    replay: Option<(CommitId, Replay)>,
}

/// A history that is tracked: a directory of a branch of a repository.
#[derive(Debug)]
struct Line {
    /// Under which it is kept.
    id: String,
    /// For people: `refs/heads/main`.
    name: String,
    /// `HEAD` is on no branch: wherever it goes, that is nobody's rewriting of history.
    is_detached: bool,
    repository: Repository,
    subpath: String,
}

/// A walk that is under way.
struct Job {
    round: Round,
    numbers: Numbers,
    /// Newest first.
    todo: Vec<CommitId>,
    /// The commit that is older than all of them.
    base: Option<CommitId>,
    /// Whether what is built now is known: the files of `base`, where nothing was rewritten.
    is_silent: bool,
    /// Prompts of `at` that are to be built.
    queue: VecDeque<PromptKey>,
    /// The files of `at`.
    replay: Option<Replay>,
    at: Option<CommitId>,
}

impl Numbering {
    /// Returns what is known now.
    pub(super) fn known(&self) -> Arc<Known> {
        self.known.load_full()
    }

    /// Returns the number of a version, if it has one.
    pub(super) fn number_of(&self, key: &PromptKey, hash: BundleHash) -> Option<u32> {
        self.known.load().numbers.number_of(key, hash)
    }

    /// Numbers the history of `source` up to `commit`, as far as `slice` allows. Returns whether that
    /// is done; otherwise the bell was rung. Blocks.
    pub(super) fn follow(
        &self,
        source: &Source,
        archive: &dyn BundleArchive,
        commit: Option<&str>,
        slice: Slice,
    ) -> bool {
        let Some(commit) = commit else {
            self.set_state(State::NoHistory);
            return true;
        };
        let wanted = source
            .repository()
            .and_then(|(repository, _)| repository.resolve(commit).map_err(Error::Git));
        match wanted {
            Ok(wanted) => *lock(&self.wanted) = Some(wanted),
            Err(error) => {
                self.fail(&error);
                return true;
            }
        }
        self.go_on(source, archive, slice)
    }

    /// Goes on with what is not done; see [`Numbering::follow`].
    pub(super) fn go_on(&self, source: &Source, archive: &dyn BundleArchive, slice: Slice) -> bool {
        let work = if slice.waits {
            Some(lock(&self.work))
        } else {
            match self.work.try_lock() {
                Ok(work) => Some(work),
                Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => None,
            }
        };
        let Some(mut work) = work else {
            // Whoever works looks at `wanted` again before it ends.
            self.set_state(State::Pending);
            self.bell.notify_one();
            return false;
        };
        let deadline = slice.time.map(|time| Instant::now() + time);
        loop {
            let Some(wanted) = *lock(&self.wanted) else {
                return true;
            };
            match self.advance(&mut work, source, archive, (wanted, slice, deadline)) {
                Ok(true) if *lock(&self.wanted) == Some(wanted) => return true,
                Ok(true) => {}
                Ok(false) => {
                    self.set_state(State::Pending);
                    self.bell.notify_one();
                    return false;
                }
                Err(error) => {
                    *work = Work::default();
                    self.fail(&error);
                    return true;
                }
            }
        }
    }

    /// Takes one step towards `wanted`; returns whether there is nothing left to do.
    fn advance(
        &self,
        work: &mut Work,
        source: &Source,
        archive: &dyn BundleArchive,
        (wanted, slice, deadline): (CommitId, Slice, Option<Instant>),
    ) -> Result<bool, Error> {
        let line = Line::of(source)?;
        if work.line.as_ref().map(|line| &line.id) != Some(&line.id) {
            let known = restore(&line, archive);
            self.known.store(Arc::new(known));
            *work = Work::default();
        }
        let reader = line.repository.history(&line.subpath);
        let known = self.known();
        let mut job = match work.job.take() {
            Some(job) => job,
            None if known.tip == Some(wanted) => {
                work.line = Some(line);
                self.set_state(State::Ready);
                return Ok(true);
            }
            None => {
                match plan(&known, &line, &reader, wanted, slice.commits).map_err(Error::Git)? {
                    Some(job) => job,
                    None => {
                        work.line = Some(line);
                        return Ok(false);
                    }
                }
            }
        };
        let is_done = job.run(&reader, &mut work.replay, deadline);
        let is_done = is_done.map_err(Error::Git)?;
        if is_done {
            self.finish(job, &line, archive);
        } else {
            work.job = Some(job);
        }
        work.line = Some(line);
        Ok(is_done)
    }

    fn finish(&self, job: Job, line: &Line, archive: &dyn BundleArchive) {
        let Job { round, numbers, .. } = job;
        // Lost, it is found again from Git; only what a rewritten history had is then forgotten.
        let kept = round
            .to_bytes()
            .and_then(|bytes| archive.append_numbers(&line.id, &bytes));
        if let Err(problem) = kept {
            tracing::warn!(%problem, "the numbers of prompt versions are not kept");
        }
        let mut alarms = if round.is_fresh {
            Vec::new()
        } else {
            self.known().alarms.clone()
        };
        if let Some(lost) = round.lost {
            let alarm = alarm(&line.name, lost);
            tracing::error!(branch = line.name, commit = %lost, "{alarm}");
            alarms.push(alarm);
        }
        self.known.store(Arc::new(Known {
            numbers,
            state: State::Ready,
            tip: Some(round.tip),
            alarms,
        }));
    }

    fn set_state(&self, state: State) {
        let known = self.known.load();
        if known.state != state {
            let known = Known {
                state,
                ..Known::clone(&known)
            };
            self.known.store(Arc::new(known));
        }
    }

    fn fail(&self, error: &Error) {
        let hint = error.hint();
        let reason = match error {
            Error::Git(error) => error.to_string(),
            other => other.to_string(),
        };
        let state = State::Unavailable { reason, hint };
        if self.known.load().state != state {
            if let State::Unavailable { reason, hint } = &state {
                tracing::warn!(reason, hint, "prompt versions cannot be numbered");
            }
            self.set_state(state);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Line {
    fn of(source: &Source) -> Result<Self, Error> {
        let (repository, subpath) = source.repository()?;
        let reference = match source {
            Source::Git(source) if source.reference != "HEAD" => Some(source.reference.clone()),
            Source::Git(_) | Source::Directory(_) => repository.head_branch(),
        };
        let is_detached = reference.is_none();
        let name = reference.unwrap_or_else(|| "HEAD".to_owned());
        let place = repository.git_dir();
        let mut hasher = Sha256::new();
        for part in [ENGINE, &place.to_string_lossy(), subpath.as_str(), &name] {
            hasher.update(part.as_bytes());
            hasher.update([0]);
        }
        Ok(Self {
            id: BundleHash(hasher.finalize().into()).to_hex(),
            name,
            is_detached,
            repository,
            subpath,
        })
    }
}

/// Reads what was found before.
fn restore(line: &Line, archive: &dyn BundleArchive) -> Known {
    let mut known = Known {
        state: State::Pending,
        ..Known::default()
    };
    let rounds = archive.numbers(&line.id).unwrap_or_else(|problem| {
        tracing::warn!(%problem, "kept numbers of prompt versions cannot be read, Git is read again");
        Vec::new()
    });
    for bytes in rounds {
        let round = match Round::from_bytes(&bytes) {
            Ok(round) => round,
            Err(problem) => {
                tracing::warn!(%problem, "kept numbers of prompt versions are damaged, Git is read again");
                return known;
            }
        };
        if round.is_fresh {
            known = Known {
                state: State::Pending,
                ..Known::default()
            };
        }
        for appearance in &round.appearances {
            known.numbers.note(appearance);
        }
        known
            .alarms
            .extend(round.lost.map(|lost| alarm(&line.name, lost)));
        known.tip = Some(round.tip);
    }
    known
}

/// Finds the commits that are to be numbered; `None` when there are more than `limit`.
fn plan(
    known: &Known,
    line: &Line,
    reader: &HistoryReader,
    wanted: CommitId,
    limit: usize,
) -> Result<Option<Job>, git::Error> {
    let tip = known.tip;
    let walk = |is_end: &dyn Fn(CommitId) -> bool| reader.first_parents(wanted, is_end, limit);
    let round = |lost, is_fresh| Round {
        tip: wanted,
        lost,
        is_fresh,
        appearances: Vec::new(),
    };
    // Of two commits with a history in common, the common part is numbered already.
    let numbered: HashSet<CommitId> = known.numbers.commits().chain(tip).collect();
    let trail = walk(&|commit| numbered.contains(&commit));
    let Some(Trail { commits, met }) = trail? else {
        return Ok(None);
    };
    // The tip is newer than all that happened before it, so on the same line it is met first.
    let is_straight = tip.is_none() || met == tip;
    let job = |round, numbers, todo, base| Job {
        round,
        numbers,
        todo,
        base,
        is_silent: false,
        queue: VecDeque::new(),
        replay: None,
        at: None,
    };
    if is_straight || !line.is_detached {
        let round = round(tip.filter(|_| !is_straight), false);
        let mut job = job(round, known.numbers.clone(), commits, met);
        job.is_silent = is_straight;
        return Ok(Some(job));
    }
    let trail = walk(&|_| false)?;
    Ok(trail.map(|trail| job(round(None, true), Numbers::default(), trail.commits, None)))
}

impl Job {
    /// Goes on until `deadline`; returns whether it is done.
    fn run(
        &mut self,
        reader: &HistoryReader,
        spare: &mut Option<(CommitId, Replay)>,
        deadline: Option<Instant>,
    ) -> Result<bool, git::Error> {
        let mut replay = match self.replay.take() {
            Some(replay) => replay,
            None => self.begin(reader, spare.take())?,
        };
        loop {
            if self.queue.is_empty() {
                let Some(commit) = self.todo.pop() else {
                    break;
                };
                self.queue = replay.enter(reader, self.at, commit)?.into();
                self.at = Some(commit);
                self.is_silent = false;
            }
            let some = self.queue.drain(..self.queue.len().min(BATCH)).collect();
            self.note(replay.versions(reader, some)?);
            if deadline.is_some_and(|deadline| deadline <= Instant::now())
                && !(self.queue.is_empty() && self.todo.is_empty())
            {
                self.replay = Some(replay);
                return Ok(false);
            }
        }
        *spare = self.at.map(|at| (at, replay));
        Ok(true)
    }

    /// Returns the files of `base`. Those of another commit are of no use.
    fn begin(
        &mut self,
        reader: &HistoryReader,
        spare: Option<(CommitId, Replay)>,
    ) -> Result<Replay, git::Error> {
        self.at = self.base;
        if let Some((_, replay)) = spare.filter(|(at, _)| Some(*at) == self.base && self.is_silent)
        {
            return Ok(replay);
        }
        let mut replay = Replay::default();
        if let Some(base) = self.base {
            self.queue = replay.enter(reader, None, base)?.into();
        }
        Ok(replay)
    }

    fn note(&mut self, versions: Vec<(PromptKey, BundleHash)>) {
        let Some(commit) = self.at.filter(|_| !self.is_silent) else {
            return;
        };
        for (key, hash) in versions {
            let appearance = Appearance { key, hash, commit };
            if self.numbers.note(&appearance) {
                self.round.appearances.push(appearance);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Known, Numbering, Slice, State};
    use crate::domain::{BundleHash, PromptKey};
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::git::{File, Limits, Repository};
    use crate::prompts::archive::NoArchive;
    use crate::prompts::archive::tests::MemoryArchive;
    use crate::prompts::load::load;
    use crate::prompts::source::{DirectorySource, GitSource, Source};
    use proptest::prelude::{Strategy, any, proptest};
    use proptest::test_runner::Config;
    use std::collections::BTreeMap;
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::time::Duration;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn main_of(path: &Path) -> Source {
        Source::Git(GitSource {
            repository: path.to_owned(),
            reference: "main".to_owned(),
            subpath: String::new(),
        })
    }

    fn number(numbering: &Numbering, source: &Source, archive: &MemoryArchive) -> Arc<Known> {
        let tip = source.tip().unwrap();
        assert!(numbering.follow(source, archive, tip.as_deref(), Slice::WHOLE));
        numbering.known()
    }

    /// The events of a prompt as `v1 v2 v1`.
    fn events(known: &Known, key: &str) -> String {
        let key = PromptKey::parse(key).unwrap();
        let events = known.numbers.events(&key).iter();
        let events: Vec<_> = events.map(|event| format!("v{}", event.number)).collect();
        events.join(" ")
    }

    /// What is committed, and which events the prompts `a` and `b` have then.
    const COMMITS: [(&str, &str, &str, &str); 12] = [
        ("_inner.prompt", "two", "v1 v2", "v1"),
        ("schemas/T.yaml", "integer", "v1 v2", "v1 v2"),
        (
            "tools/find.yaml",
            "description: Seeks.",
            "v1 v2",
            "v1 v2 v3",
        ),
        ("_inner.prompt", "one", "v1 v2 v1", "v1 v2 v3"),
        ("README.md", "nothing", "v1 v2 v1", "v1 v2 v3"),
        // Broken, and whole again as it was: nothing happened.
        ("_inner.prompt", "{{#if", "v1 v2 v1", "v1 v2 v3"),
        ("_inner.prompt", "one", "v1 v2 v1", "v1 v2 v3"),
        (
            "b.prompt",
            "---\ntools: [gone]\n---\nx",
            "v1 v2 v1",
            "v1 v2 v3",
        ),
        // A cure by another file.
        (
            "tools/gone.yaml",
            "description: Back.",
            "v1 v2 v1",
            "v1 v2 v3 v4",
        ),
        // A file that takes the place of another by its name.
        (
            "tools/gone.json",
            "{\"description\": \"J\"}",
            "v1 v2 v1",
            "v1 v2 v3 v4 v5",
        ),
        ("a.samples.yaml", "nonsense", "v1 v2 v1", "v1 v2 v3 v4 v5"),
        (
            "a.prompt",
            "---\ndescription: remark\n---\n{{> t}}",
            "v1 v2 v1",
            "v1 v2 v3 v4 v5",
        ),
    ];

    #[test]
    fn whatever_changes_a_version_bumps_it_and_a_revert_returns() {
        let dir = repository_with(&[
            ("a.prompt", "{{> t}}"),
            (
                "b.prompt",
                "---\ntools: [find]\ninput: {schema: {x: S}}\n---\n{{x}}",
            ),
            ("c.prompt", "alone"),
            ("_t.prompt", "{{> inner}}"),
            ("_inner.prompt", "one"),
            ("schemas/S.yaml", "T"),
            ("schemas/T.yaml", "string"),
            ("tools/find.yaml", "description: Finds."),
        ]);
        let root = dir.path();
        let source = main_of(root);
        let archive = MemoryArchive::default();
        let numbering = Numbering::default();
        commit_all(root, "first");
        number(&numbering, &source, &archive);
        for (path, text, a, b) in COMMITS {
            write(root, path, text);
            commit_all(root, path);
            let known = number(&numbering, &source, &archive);
            assert_eq!(
                (events(&known, "a"), events(&known, "b")),
                (a.into(), b.into()),
                "{path}"
            );
            assert_eq!(events(&known, "c"), "v1");
        }
        // A new name is a new key.
        git(root, &["mv", "a.prompt", "renamed.prompt"]);
        commit_all(root, "rename");
        let known = number(&numbering, &source, &archive);
        assert_eq!(events(&known, "renamed"), "v1");
        assert_eq!(known.state, State::Ready);
        // Kept and read again, and found again from nothing: the same.
        let again = number(&Numbering::default(), &source, &archive);
        let anew = number(&Numbering::default(), &source, &MemoryArchive::default());
        assert_eq!(again.numbers, known.numbers);
        assert_eq!(anew.numbers, known.numbers);
        assert!(anew.alarms.is_empty());
    }

    #[test]
    fn a_rewritten_history_changes_no_number_and_alarms() {
        let dir = repository_with(&[("a.prompt", "one")]);
        let root = dir.path();
        let (source, archive) = (main_of(root), MemoryArchive::default());
        let numbering = Numbering::default();
        let first = commit_all(root, "first");
        write(root, "a.prompt", "two");
        write(root, "b.prompt", "x");
        let lost = commit_all(root, "second");
        number(&numbering, &source, &archive);
        git(root, &["reset", "-q", "--hard", &first]);
        write(root, "a.prompt", "three");
        commit_all(root, "other");
        let known = number(&numbering, &source, &archive);
        assert_eq!(events(&known, "a"), "v1 v2 v1 v3");
        assert_eq!(known.alarms.len(), 1);
        let short = lost.split_at(9).0;
        assert!(known.alarms[0].contains(short), "{:?}", known.alarms);
        // It is remembered, and a store without memory counts as a clone does.
        let again = number(&Numbering::default(), &source, &archive);
        assert_eq!(
            (&again.numbers, &again.alarms),
            (&known.numbers, &known.alarms)
        );
        let anew = number(&Numbering::default(), &source, &MemoryArchive::default());
        assert_eq!(events(&anew, "a"), "v1 v2");
        assert!(anew.alarms.is_empty());
        // Going on from here is no alarm.
        write(root, "a.prompt", "two");
        commit_all(root, "third");
        let known = number(&numbering, &source, &archive);
        assert_eq!(events(&known, "a"), "v1 v2 v1 v3 v2");
        assert_eq!(known.alarms.len(), 1);
        let again = number(&Numbering::default(), &source, &archive);
        assert_eq!(again.numbers, known.numbers);
    }

    #[test]
    fn branches_are_counted_apart_and_a_detached_head_has_no_memory() {
        let dir = repository_with(&[("a.prompt", "one")]);
        let root = dir.path();
        let (path, archive) = (root.to_owned(), MemoryArchive::default());
        let source = Source::Directory(DirectorySource { path });
        let numbering = Numbering::default();
        commit_all(root, "first");
        number(&numbering, &source, &archive);
        git(root, &["checkout", "-q", "-b", "side"]);
        write(root, "a.prompt", "side");
        let side = commit_all(root, "side");
        assert_eq!(events(&number(&numbering, &source, &archive), "a"), "v1 v2");
        git(root, &["checkout", "-q", "main"]);
        assert_eq!(events(&number(&numbering, &source, &archive), "a"), "v1");
        write(root, "a.prompt", "main");
        let tip = commit_all(root, "main");
        let known = number(&numbering, &source, &archive);
        assert_eq!(events(&known, "a"), "v1 v2");
        for commit in [&side, &tip, &side] {
            git(root, &["checkout", "-q", "--detach", commit]);
            let known = number(&numbering, &source, &archive);
            assert_eq!(
                (events(&known, "a").as_str(), known.alarms.len()),
                ("v1 v2", 0)
            );
        }
    }

    #[test]
    fn a_shallow_clone_has_no_numbers_rather_than_wrong_ones() {
        let dir = repository_with(&[("a.prompt", "one")]);
        commit_all(dir.path(), "first");
        write(dir.path(), "a.prompt", "two");
        commit_all(dir.path(), "second");
        let clone = tempfile::tempdir().unwrap();
        let url = format!("file://{}", dir.path().display());
        git(clone.path(), &["clone", "-q", "--depth", "1", &url, "."]);
        let known = number(
            &Numbering::default(),
            &main_of(clone.path()),
            &MemoryArchive::default(),
        );
        let State::Unavailable { reason, hint } = &known.state else {
            panic!("{:?}", known.state);
        };
        assert!(reason.contains("shallow"), "{reason}");
        assert!(hint.as_ref().unwrap().contains("--unshallow"));
        git(clone.path(), &["fetch", "-q", "--unshallow"]);
        let known = number(
            &Numbering::default(),
            &main_of(clone.path()),
            &MemoryArchive::default(),
        );
        assert_eq!(events(&known, "a"), "v1 v2");
    }

    /// What is written into a file of a generated history; `None` removes it.
    type Edit = (&'static str, Option<&'static str>);

    const EDITS: [Edit; 22] = [
        ("a.prompt", Some("one")),
        ("a.prompt", Some("{{> t}}")),
        ("a.prompt", Some("---\ntools: [find]\n---\nx")),
        ("a.prompt", Some("---\ninput: {schema: {x: S}}\n---\n{{x}}")),
        ("a.prompt", Some("{{#if")),
        ("a.prompt", None),
        ("A.prompt", Some("upper")),
        ("A.prompt", None),
        ("b.prompt", Some("{{> t}}{{> u}}")),
        ("b.prompt", Some("b")),
        ("_t.prompt", Some("t")),
        ("_t.prompt", Some("{{> u}}")),
        ("_t.prompt", None),
        ("_u.prompt", Some("u")),
        ("_u.prompt", Some("{{> t}}")),
        ("_u.prompt", None),
        ("schemas/S.yaml", Some("string")),
        ("schemas/S.json", Some("\"integer\"")),
        ("schemas/S.json", None),
        ("schemas/S.yaml", None),
        ("tools/find.yaml", Some("inputSchema: {x: S}")),
        ("tools/find.yaml", None),
    ];

    fn histories() -> impl Strategy<Value = Vec<Vec<Edit>>> {
        let edit = (0..EDITS.len()).prop_map(|index| EDITS[index]);
        let commit = proptest::collection::vec(edit, 0..4);
        proptest::collection::vec(commit, 1..25)
    }

    /// Makes a repository of the history; returns it with the files of every commit.
    fn import(history: &[Vec<Edit>]) -> (tempfile::TempDir, Vec<Vec<File>>) {
        let dir = repository_with(&[]);
        let mut files: BTreeMap<&str, &str> = BTreeMap::new();
        let mut trees = Vec::new();
        let mut stream = String::new();
        for (index, edits) in history.iter().enumerate() {
            for (path, text) in edits {
                match text {
                    Some(text) => files.insert(path, text),
                    None => files.remove(path),
                };
            }
            let who = "T <t@example.com>";
            let _ = write!(
                stream,
                "commit refs/heads/main\ncommitter {who} {index} +0000\ndata 0\ndeleteall\n"
            );
            for (path, text) in &files {
                let _ = write!(stream, "M 644 inline {path}\ndata {}\n{text}\n", text.len());
            }
            let file = |(path, text): (&&str, &&str)| File {
                path: (*path).to_owned(),
                bytes: text.as_bytes().to_vec(),
            };
            trees.push(files.iter().map(file).collect());
        }
        let mut child = Command::new("git")
            .current_dir(dir.path())
            .args(["fast-import", "--quiet", "--force"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(stream.as_bytes())
            .unwrap();
        assert!(child.wait().unwrap().success());
        (dir, trees)
    }

    /// The definition: everything is loaded at every commit, and versions are counted.
    fn counted(trees: &[Vec<File>]) -> BTreeMap<PromptKey, Vec<BundleHash>> {
        let mut versions: BTreeMap<PromptKey, Vec<BundleHash>> = BTreeMap::new();
        for files in trees {
            for (key, prompt) in load(files).prompts {
                let versions = versions.entry(key).or_default();
                if !versions.contains(&prompt.bundle.hash()) {
                    versions.push(prompt.bundle.hash());
                }
            }
        }
        versions
    }

    proptest! {
        #![proptest_config(Config::with_cases(40))]

        #[test]
        fn numbers_are_a_function_of_the_history_alone(
            history in histories(),
            cuts in proptest::collection::vec(any::<bool>(), 25),
            restarts in proptest::collection::vec(any::<bool>(), 25),
        ) {
            let (dir, trees) = import(&history);
            let source = main_of(dir.path());
            let anew = number(&Numbering::default(), &source, &MemoryArchive::default());
            for (key, hashes) in counted(&trees) {
                let newest = anew.numbers.newest(&key);
                let numbered: Vec<_> = (1..=newest)
                    .map(|number| anew.numbers.hash_of(&key, number).unwrap())
                    .collect();
                assert_eq!(numbered, hashes, "{key}");
            }
            // In any chunks, in slices, with restarts in between: the same.
            let archive = MemoryArchive::default();
            let mut numbering = Numbering::default();
            let last = trees.len() - 1;
            for index in (0..=last).filter(|index| cuts[*index] || *index == last) {
                let commit = format!("main~{}", last - index);
                let repository = Repository::discover(dir.path()).unwrap();
                let commit = repository.resolve(&commit).unwrap().to_string();
                let slice = Slice { time: Some(Duration::ZERO), ..Slice::WHOLE };
                let mut is_done = numbering.follow(&source, &archive, Some(&commit), slice);
                while !is_done {
                    assert_eq!(numbering.known().state, State::Pending);
                    is_done = numbering.go_on(&source, &archive, slice);
                }
                if restarts[index] {
                    numbering = Numbering::default();
                }
            }
            let known = number(&numbering, &source, &archive);
            assert_eq!(known.numbers, anew.numbers);
            assert!(known.alarms.is_empty());
        }
    }

    #[test]
    fn what_is_read_at_a_commit_is_what_is_numbered() {
        let dir = repository_with(&[("p/a.prompt", "one"), ("a.prompt", "outside")]);
        commit_all(dir.path(), "first");
        let path = dir.path().join("p");
        let source = Source::Directory(DirectorySource { path });
        let numbering = Numbering::default();
        let tip = source.tip().unwrap();
        assert!(numbering.follow(&source, &NoArchive, tip.as_deref(), Slice::AT_ONCE));
        let repository = Repository::discover(dir.path()).unwrap();
        let tree = repository.read_tree(repository.head().unwrap(), "p", Limits::default());
        let loaded = load(&tree.unwrap().files);
        let (key, prompt) = loaded.prompts.first_key_value().unwrap();
        assert_eq!(numbering.number_of(key, prompt.bundle.hash()), Some(1));
        assert_eq!(loaded.prompts.len(), 1);
    }
}
