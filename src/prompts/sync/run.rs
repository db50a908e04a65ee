//! A sync: fetch, load, and write down how it went.

use crate::domain::{Audited, PromptKey, VersionChange};
use crate::git::{self, Mirror, RemoteFault};
use crate::prompts::error::Error;
use crate::prompts::registry::{LoadReport, Prompts};
use crate::prompts::snapshot::Snapshot;
use crate::prompts::source::Source;
use crate::prompts::sync::status::{is_refusal, trouble};
use crate::prompts::sync::{HeldPrompt, MAX_PROBLEMS, Origin, SyncReport, now};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// How long a remote that costs much and gives nothing is left alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// What a sync does with a commit that was refused before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// Nothing: its problems are known.
    Known,
    /// It is looked at again, for somebody who asks what is wrong with it.
    Again,
}

impl Prompts {
    /// Fetches what is new, and serves it if it is good; another sync that runs is waited for.
    ///
    /// # Errors
    ///
    /// [`Error::Stopping`] when no thread can be had; all else is in the report.
    ///
    /// # Cancel safety
    ///
    /// The sync goes on when the future is dropped.
    pub async fn sync(&self) -> Result<SyncReport, Error> {
        let prompts = self.clone();
        detached("prompt-sync", move || {
            let result = prompts.sync_now(Refused::Again);
            prompts.report(&result)
        })
        .await
    }

    /// Says that something is likely to be new: it is looked at as soon as may be.
    pub fn ring(&self) {
        let sync = &self.inner.sync;
        sync.rings.fetch_add(1, Ordering::Relaxed);
        sync.bell.notify_one();
    }

    /// As [`Prompts::sync`]; `None` when nothing is new.
    pub(super) fn sync_now(&self, refused: Refused) -> Result<Option<LoadReport>, Error> {
        let inner = &self.inner;
        let running = inner.sync.running.lock();
        let _running = running.unwrap_or_else(PoisonError::into_inner);
        inner.sync.state().attempted = Some(now());
        let tip = self.fetch().and_then(|()| self.tip());
        let tip = match tip {
            Ok(tip) => tip,
            Err(error) => {
                self.note_failure(&error);
                return Err(error);
            }
        };
        if tip.is_some() && self.is_known(tip.as_deref(), refused) {
            return Ok(None);
        }
        let before = self.snapshot();
        let report = self.reload()?;
        let is_same = report.changed.is_empty() && report.removed.is_empty();
        let is_same = is_same && before.commit() == report.commit.as_deref();
        Ok((!is_same).then_some(report))
    }

    fn fetch(&self) -> Result<(), Error> {
        let inner = &self.inner;
        if let (Origin::Fetched { remote, limits }, Source::Git(source)) =
            (&inner.config.origin, &inner.config.source)
        {
            let mirror = Mirror::open(&source.repository).map_err(Error::Git)?;
            mirror.fetch(remote, *limits).map_err(Error::Git)?;
            self.renew(&mirror, &|fresh| fresh.fetch(remote, *limits));
        }
        inner.sync.note_contact();
        Ok(())
    }

    /// Makes a copy of many packs anew, unless it would lack what is served.
    pub(super) fn renew(&self, mirror: &Mirror, fill: &dyn Fn(&Mirror) -> Result<(), git::Error>) {
        let sync = &self.inner.sync;
        let packs = mirror.pack_count();
        if packs < sync.renew_at.load(Ordering::Relaxed) {
            return;
        }
        let snapshot = self.snapshot();
        match mirror.renew(snapshot.commit(), fill) {
            Ok(true) => tracing::info!(packs, "the copy of the remote was made anew"),
            Ok(false) => sync.renew_at.store(packs * 2, Ordering::Relaxed),
            Err(error) => {
                tracing::warn!(%error, packs, "the copy of the remote cannot be made anew");
                sync.renew_at.store(packs * 2, Ordering::Relaxed);
            }
        }
    }

    /// The commit that is tracked; `None` for a directory, whose files are looked at each time.
    fn tip(&self) -> Result<Option<String>, Error> {
        match &self.inner.config.source {
            Source::Git(_) => self.inner.config.source.tip(),
            Source::Directory(_) => Ok(None),
        }
    }

    /// Whether `tip` is what was looked at last. Ends a trouble of the way there.
    fn is_known(&self, tip: Option<&str>, refused: Refused) -> bool {
        let mut state = self.inner.sync.state();
        if state.failure.take().is_some() {
            tracing::info!("the source of the prompts is there again");
        }
        let is_refused = state.refusal.is_some();
        state.tried.as_deref() == tip && (!is_refused || refused == Refused::Known)
    }

    /// Follows a remote until `shutdown`: at once, every poll, and when the bell is rung.
    pub(in crate::prompts) async fn follow_remote(&self, shutdown: CancellationToken) {
        let poll = self.inner.config.poll;
        let mut pause = poll;
        loop {
            let prompts = self.clone();
            let sync = detached("prompt-sync", move || {
                let result = prompts.sync_now(Refused::Known);
                log(&result);
                result.is_err_and(|error| is_costly(&error))
            });
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = sync => ended,
            };
            pause = match ended {
                Ok(true) => pause.saturating_mul(2).min(poll.max(LONGEST_PAUSE)),
                Ok(false) => poll,
                Err(error) => {
                    tracing::error!(%error, "prompts cannot be synced");
                    poll
                }
            };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = self.inner.sync.rung() => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// Writes down that the source is not there.
    fn note_failure(&self, error: &Error) {
        let trouble = trouble(error, None);
        let mut state = self.inner.sync.state();
        state.failed_count += 1;
        let is_known = state
            .failure
            .as_ref()
            .is_some_and(|known| known.code == trouble.code);
        if is_known {
            // Told once, however long it lasts.
            return;
        }
        tracing::warn!(
            error = trouble.message,
            code = trouble.code,
            hint = trouble.hint,
            "prompts cannot be synced"
        );
        state.failure = Some(trouble);
    }

    /// Writes down why what was read is not served: for people, for the next start, and in the journal.
    pub(in crate::prompts) fn note_trouble(&self, commit: Option<&str>, error: &Error) {
        self.note_look();
        if is_refusal(error) {
            self.note_refusal(commit, error);
        } else {
            self.note_failure(error);
        }
    }

    /// What is here is reached by being read.
    fn note_look(&self) {
        let sync = &self.inner.sync;
        if self.inner.config.origin == Origin::Here {
            sync.note_contact();
            sync.state().attempted = Some(now());
        }
    }

    /// Writes down that `after` is about to be served in place of `before`.
    pub(in crate::prompts) fn note_success(
        &self,
        before: &Snapshot,
        after: &Snapshot,
        report: &LoadReport,
    ) {
        self.note_look();
        let commit = after.commit().map(str::to_owned);
        let is_new = !report.changed.is_empty()
            || !report.removed.is_empty()
            || before.commit() != after.commit();
        let held: Vec<HeldPrompt> = after.held().collect();
        let is_git = matches!(self.inner.config.source, Source::Git(_));
        let mut state = self.inner.sync.state();
        let is_start = state.applied.is_none();
        let is_known = is_git && is_start && state.kept.commit == commit;
        if is_new || is_start {
            state.applied = Some(state.kept.applied.filter(|_| is_known).unwrap_or_else(now));
            state.applied_count += 1;
        }
        state.tried.clone_from(&commit);
        state.refusal = None;
        state.failure = None;
        state.held.clone_from(&held);
        let mut kept = state.kept.clone();
        kept.commit.clone_from(&commit);
        kept.applied = state.applied;
        kept.held = held
            .iter()
            .map(|held| (held.prompt.clone(), held.hash))
            .collect();
        kept.refused = None;
        let is_to_keep = is_git && kept != state.kept;
        state.kept = kept.clone();
        drop(state);
        if is_to_keep {
            self.keep(&kept);
        }
        if is_new && !is_known {
            let changed = if is_start {
                // A start compares with nothing.
                Vec::new()
            } else {
                changes(before, after, report)
            };
            self.inner.note(vec![Audited::PromptsLoaded {
                source: Some(self.inner.source_text()),
                commit,
                prompts: report.prompts,
                changed,
                removed: report.removed.clone(),
                held: held.into_iter().map(|held| held.prompt).collect(),
                rewritten_from: self.rewritten_from(before, after),
            }]);
        }
    }

    /// The commit served before, when the new one does not descend from it.
    fn rewritten_from(&self, before: &Snapshot, after: &Snapshot) -> Option<String> {
        let Source::Git(_) = self.inner.config.source else {
            return None;
        };
        let (old, new) = (before.commit()?, after.commit()?);
        let (repository, _) = self.inner.config.source.repository().ok()?;
        let is_known = old == new
            || repository
                .resolve(old)
                .and_then(|old| repository.is_ancestor(old, repository.resolve(new)?))
                .unwrap_or(false);
        (!is_known).then(|| old.to_owned())
    }

    fn note_refusal(&self, commit: Option<&str>, error: &Error) {
        let mut trouble = trouble(error, commit);
        trouble.problems.truncate(MAX_PROBLEMS);
        let commit = commit.map(str::to_owned);
        let identity = trouble.refused.clone();
        let mut state = self.inner.sync.state();
        state.tried.clone_from(&commit);
        let known = state.refusal.take().filter(|known| {
            known.code == trouble.code
                && known.refused == trouble.refused
                && known.problems == trouble.problems
        });
        let is_known = known.is_some();
        if let Some(known) = known {
            trouble.since = known.since;
        }
        let (code, message) = (trouble.code, trouble.message.clone());
        let problems = trouble.problems.clone();
        state.refusal = Some(trouble);
        if is_known {
            return;
        }
        state.refused_count += 1;
        let is_told = state.kept.refused == identity;
        state.kept.refused = identity;
        let kept = state.kept.clone();
        drop(state);
        if is_told {
            return;
        }
        if matches!(self.inner.config.source, Source::Git(_)) {
            self.keep(&kept);
        }
        self.inner.note(vec![Audited::PromptsRefused {
            source: Some(self.inner.source_text()),
            commit,
            code: code.to_owned(),
            message,
            problems: problems.iter().map(ToString::to_string).collect(),
        }]);
    }

    pub(super) fn keep(&self, kept: &super::kept::Kept) {
        if let Err(problem) = kept.keep(self.inner.archive.as_ref()) {
            tracing::error!(problem, "what is served cannot be noted for the next start");
        }
    }
}

/// Runs what may wait for a remote on a thread of its own: a process that ends need not wait for it.
pub(super) async fn detached<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let (sender, done) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || {
        // Whoever asked may have left.
        let _ = sender.send(work());
    });
    started.map_err(|_| Error::Stopping)?;
    done.await.map_err(|_| Error::Stopping)
}

fn changes(before: &Snapshot, after: &Snapshot, report: &LoadReport) -> Vec<VersionChange> {
    let hash = |snapshot: &Snapshot, key: &PromptKey| {
        let prompt = snapshot.get(key)?;
        Some(prompt.bundle.hash())
    };
    let change = |prompt: &PromptKey| {
        Some(VersionChange {
            prompt: prompt.clone(),
            from: hash(before, prompt),
            to: hash(after, prompt)?,
        })
    };
    report.changed.iter().filter_map(change).collect()
}

/// Whether a fetch may have moved many bytes for nothing, and would again.
const fn is_costly(error: &Error) -> bool {
    matches!(
        error,
        Error::Git(git::Error::Remote {
            fault: RemoteFault::TooLarge | RemoteFault::TooSlow | RemoteFault::Unusable,
            ..
        })
    )
}

fn log(result: &Result<Option<LoadReport>, Error>) {
    match result {
        Ok(Some(report)) => {
            tracing::info!(
                prompts = report.prompts,
                changed = report.changed.len(),
                removed = report.removed.len(),
                commit = report.commit,
                "prompts loaded"
            );
            for problem in &report.problems {
                tracing::warn!(%problem, "a prompt has a problem; its last good version stays");
            }
        }
        Err(Error::LoadFailed { problems }) => {
            for problem in problems {
                tracing::warn!(%problem, hint = problem.hint, "prompts not loaded");
            }
        }
        Err(error) if is_refusal(error) => tracing::warn!(%error, "prompts not loaded"),
        // Said where it was noted, and nothing is new.
        Err(_) | Ok(None) => {}
    }
}
