//! What stands on numbers: finding `@vN`, and numbering in the background.

use crate::domain::{BundleHash, Caller, PromptKey, PromptStamp};
use crate::git::CommitId;
use crate::prompts::archive::keep;
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::numbering::{Known, Slice, State};
use crate::prompts::numbers_replay::Replay;
use crate::prompts::registry::{Inner, Prompts, ResolvedPrompt, no_version};
use crate::prompts::snapshot::Snapshot;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

impl Prompts {
    /// Numbers what a load left to do, until `shutdown` is cancelled.
    pub async fn number_in_background(&self, shutdown: CancellationToken) {
        let numbering = &self.inner.numbering;
        numbering.has_background.store(true, Ordering::Relaxed);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = numbering.bell.notified() => {}
            }
            // A slice that leaves something to do rings the bell again.
            let inner = Arc::clone(&self.inner);
            let slice = spawn_blocking(move || inner.number(Slice::BACKGROUND));
            if slice.await.is_err() {
                tracing::error!("numbering prompt versions failed");
            }
        }
    }

    /// Numbers the whole history now, for a command. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::NumbersUnavailable`] when the history cannot be read, [`Error::Git`].
    pub fn number_all(&self) -> Result<(), Error> {
        let inner = &self.inner;
        let tip = inner.config.source.tip()?;
        let source = &inner.config.source;
        let archive = inner.archive.as_ref();
        inner
            .numbering
            .follow(source, archive, tip.as_deref(), Slice::WHOLE);
        match &inner.numbering.known().state {
            State::Unavailable { reason, hint } => Err(unavailable(reason, hint.as_ref())),
            State::Ready | State::Pending | State::NoHistory => Ok(()),
        }
    }

    /// Returns what is wrong with the history that is tracked, in words: that it was rewritten, so
    /// that numbers given before are kept which a fresh clone may not find.
    #[must_use]
    pub fn alarms(&self) -> Vec<String> {
        self.inner.numbering.known().alarms.clone()
    }

    /// Returns what is known, complete, or the error that it is not.
    pub(super) fn numbered(&self) -> Result<Arc<Known>, Error> {
        let numbering = &self.inner.numbering;
        if !numbering.has_background.load(Ordering::Relaxed) {
            self.number_all()?;
        }
        let known = numbering.known();
        match &known.state {
            State::Ready => Ok(known),
            State::Pending => Err(Error::NumbersPending),
            State::Unavailable { reason, hint } => Err(unavailable(reason, hint.as_ref())),
            State::NoHistory => Err(Error::NoHistory),
        }
    }

    /// Writes the number on what was resolved without it.
    pub(super) fn with_number(&self, mut resolved: ResolvedPrompt) -> ResolvedPrompt {
        let PromptStamp { key, hash, .. } = &resolved.stamp;
        resolved.stamp.number = self.inner.numbering.number_of(key, *hash);
        resolved
    }

    /// Finds version `number` of `key`: what is served, else in the archive, else in the commit where
    /// it first appeared.
    pub(super) async fn by_number(
        &self,
        snapshot: &Arc<Snapshot>,
        key: &PromptKey,
        number: u32,
        caller: &Caller,
    ) -> Result<ResolvedPrompt, Error> {
        let known = self.inner.numbering.known();
        let numbers = &known.numbers;
        let found = numbers.hash_of(key, number);
        let (Some(hash), Some(commit)) = (found, numbers.first_commit(key, number)) else {
            return Err(match &known.state {
                State::Pending => Error::NumbersPending,
                State::Unavailable { reason, hint } => unavailable(reason, hint.as_ref()),
                State::Ready | State::NoHistory => {
                    no_version(snapshot, key, &format!("v{number}"), caller)
                }
            });
        };
        let served = snapshot.get(key).map(|prompt| &prompt.bundle);
        if let Some(bundle) = served.filter(|bundle| bundle.hash() == hash) {
            return Ok(ResolvedPrompt {
                stamp: snapshot.stamp(key, hash, None),
                bundle: Arc::clone(bundle),
            });
        }
        let kept = self.by_hash(snapshot, key, &hash.to_hex(), caller).await;
        let bundle = match kept {
            Ok(resolved) => resolved.bundle,
            Err(
                Error::VersionNotFound { .. }
                | Error::NotFound { .. }
                | Error::BundleDamaged { .. },
            ) => self.rebuilt(key, hash, commit).await?,
            Err(error) => return Err(error),
        };
        Ok(ResolvedPrompt {
            stamp: PromptStamp {
                key: key.clone(),
                hash,
                number: Some(number),
                label: None,
                commit: Some(commit.to_string()),
                dirty: false,
            },
            bundle,
        })
    }

    /// Builds a version from the commit where it first appeared, and keeps it.
    async fn rebuilt(
        &self,
        key: &PromptKey,
        hash: BundleHash,
        commit: CommitId,
    ) -> Result<Arc<Bundle>, Error> {
        // One at a time, as everything that is read from history.
        let _history = self.inner.history.lock().await;
        let (inner, key) = (Arc::clone(&self.inner), key.clone());
        let built = spawn_blocking(move || rebuild(&inner, &key, hash, commit));
        built.await.map_err(|_| Error::Stopping)?
    }
}

/// Builds a version from the commit where it first appeared, and keeps it. Blocks.
pub(super) fn rebuild(
    inner: &Inner,
    key: &PromptKey,
    hash: BundleHash,
    commit: CommitId,
) -> Result<Arc<Bundle>, Error> {
    let (repository, subpath) = inner.config.source.repository()?;
    let reader = repository.history(&subpath);
    let mut replay = Replay::default();
    let entered = replay.enter(&reader, None, commit);
    let bundle = entered.and_then(|_| replay.bundle(&reader, key));
    let bundle = bundle.map_err(Error::Git)?;
    let bundle = bundle.filter(|bundle| bundle.hash() == hash);
    let bundle = bundle.ok_or_else(|| Error::BundleDamaged {
        reason: format!("commit {commit} gives another than {}", hash.short()),
    })?;
    keep(inner.archive.as_ref(), key, &bundle)?;
    Ok(Arc::new(bundle))
}

impl Inner {
    fn number(&self, slice: Slice) {
        let archive = self.archive.as_ref();
        self.numbering.go_on(&self.config.source, archive, slice);
    }
}

fn unavailable(reason: &str, hint: Option<&String>) -> Error {
    Error::NumbersUnavailable {
        reason: reason.to_owned(),
        hint: hint.cloned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::Caller;
    use crate::git::tests::{commit_all, git, repository_with};
    use crate::prompts::archive::tests::MemoryArchive;
    use crate::prompts::error::Error;
    use crate::prompts::registry::{Config, Prompts, ResolvedPrompt};
    use crate::prompts::source::{GitSource, Source};
    use std::fmt::Write as _;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::{Command, Stdio};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    async fn resolve(prompts: &Prompts, reference: &str) -> Result<ResolvedPrompt, Error> {
        let reference = reference.parse().unwrap();
        prompts.resolve(&reference, &Caller::local()).await
    }

    fn open(path: &Path, archive: &Arc<MemoryArchive>) -> Prompts {
        let source = Source::Git(GitSource {
            repository: path.to_owned(),
            reference: "main".to_owned(),
            subpath: String::new(),
        });
        let archive: Arc<MemoryArchive> = Arc::clone(archive);
        Prompts::open(Config::new(source), archive).unwrap()
    }

    #[tokio::test]
    async fn a_number_is_found_where_it_is_served_kept_or_committed() {
        let dir = repository_with(&[("a.prompt", "one"), ("gone.prompt", "x")]);
        let first = commit_all(dir.path(), "first");
        std::fs::write(dir.path().join("a.prompt"), "two").unwrap();
        git(dir.path(), &["rm", "-q", "gone.prompt"]);
        commit_all(dir.path(), "second");
        let archive = Arc::new(MemoryArchive::default());
        let prompts = open(dir.path(), &archive);
        prompts.number_all().unwrap();
        assert_eq!(archive.len(), 1);
        let now = resolve(&prompts, "a").await.unwrap();
        assert_eq!(now.stamp.number, Some(2));
        assert_eq!(resolve(&prompts, "a@v2").await.unwrap().stamp, now.stamp);
        // Only Git has it; then the archive has it too, and Git is not needed any more.
        for _ in 0..2 {
            let old = resolve(&prompts, "a@v1").await.unwrap();
            assert_eq!(old.bundle.template(), "one");
            assert_eq!(old.stamp.number, Some(1));
            assert_eq!(old.stamp.commit.as_deref(), Some(first.as_str()));
            assert_eq!(archive.len(), 2);
        }
        // Every other way to the same version says the number too.
        let hash = resolve(&prompts, "a@v1").await.unwrap().stamp.hash;
        for reference in [format!("a@{hash}"), format!("a@git:{first}")] {
            let old = resolve(&prompts, &reference).await.unwrap();
            assert_eq!(old.stamp.number, Some(1), "{reference}");
        }
        // A prompt that is gone can be asked for by its number, as by its hash.
        let gone = resolve(&prompts, "gone@v1").await.unwrap();
        assert_eq!(gone.bundle.template(), "x");
        let error = resolve(&prompts, "a@v3").await.unwrap_err();
        assert_eq!(error.kind(), "prompt_version_not_found");
        assert!(error.hint().unwrap().contains("`v1` to `v2`"));
        let error = resolve(&prompts, "b@v1").await.unwrap_err();
        assert_eq!(error.kind(), "prompt_not_found");
        let caller = Caller {
            prompts: vec!["open/*".to_owned()],
            ..Caller::local()
        };
        let forbidden = prompts.resolve(&"a@v1".parse().unwrap(), &caller).await;
        assert_eq!(forbidden.unwrap_err().kind(), "prompt_forbidden");
    }

    /// A repository with a long history: `a` has as many versions as there are commits.
    fn long_history(commits: usize) -> tempfile::TempDir {
        let dir = repository_with(&[]);
        let mut stream = String::new();
        for index in 0..commits {
            let text = format!("version {index}");
            let _ = write!(
                stream,
                "commit refs/heads/main\ncommitter T <t@example.com> {index} +0000\ndata 0\n\
                 M 644 inline a.prompt\ndata {}\n{text}\n",
                text.len()
            );
        }
        let mut child = Command::new("git")
            .current_dir(dir.path())
            .args(["fast-import", "--quiet"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(stream.as_bytes()).unwrap();
        drop(stdin);
        assert!(child.wait().unwrap().success());
        dir
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_long_history_is_numbered_while_prompts_are_served() {
        let dir = long_history(700);
        let archive = Arc::new(MemoryArchive::default());
        let prompts = open(dir.path(), &archive);
        let served = resolve(&prompts, "a").await.unwrap();
        assert_eq!(served.bundle.template(), "version 699");
        assert_eq!(served.stamp.number, None);
        for reference in ["a@v1", "a@v700", "a@v9999"] {
            let error = resolve(&prompts, reference).await.unwrap_err();
            assert_eq!(error.kind(), "prompt_registry_unavailable", "{reference}");
            assert!(error.retry_after().is_some());
        }
        let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
        let (background, token) = (prompts.clone(), shutdown.clone());
        tracker.spawn(async move { background.number_in_background(token).await });
        let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
        while resolve(&prompts, "a").await.unwrap().stamp.number.is_none() {
            assert!(tokio::time::Instant::now() < deadline, "never numbered");
            tokio::task::yield_now().await;
        }
        assert_eq!(
            resolve(&prompts, "a").await.unwrap().stamp.number,
            Some(700)
        );
        assert_eq!(
            resolve(&prompts, "a@v1").await.unwrap().bundle.template(),
            "version 0"
        );
        let error = resolve(&prompts, "a@v9999").await.unwrap_err();
        assert_eq!(error.kind(), "prompt_version_not_found");
        shutdown.cancel();
        tracker.close();
        tracker.wait().await;
        // At the next start the numbers are there at once.
        let again = open(dir.path(), &archive);
        assert_eq!(resolve(&again, "a").await.unwrap().stamp.number, Some(700));
    }
}
