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
        let built = spawn_blocking(move || {
            let (repository, subpath) = inner.config.source.repository()?;
            let reader = repository.history(&subpath);
            let mut replay = Replay::default();
            let entered = replay.enter(&reader, None, commit);
            let bundle = entered.and_then(|_| replay.bundle(&reader, &key));
            let bundle = bundle.map_err(Error::Git)?;
            let bundle = bundle.filter(|bundle| bundle.hash() == hash);
            let bundle = bundle.ok_or_else(|| Error::BundleDamaged {
                reason: format!("commit {commit} gives another than {}", hash.short()),
            })?;
            keep(inner.archive.as_ref(), &key, &bundle)?;
            Ok(Arc::new(bundle))
        });
        built.await.map_err(|_| Error::Stopping)?
    }
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
