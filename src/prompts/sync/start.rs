//! The first load: from what was good before, when there is such, so that no start depends on a network.

use crate::git::{CommitId, Mirror, Repository};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::registry::{Mode, Prompts};
use crate::prompts::snapshot::Snapshot;
use crate::prompts::source::{Source, read_commit};
use crate::prompts::sync::Origin;
use crate::prompts::sync::kept::Kept;
use crate::prompts::sync::run::Refused;
use std::sync::Arc;

impl Prompts {
    /// Loads what there is: the last good commit first, then the newest.
    pub(in crate::prompts) fn start(&self) -> Result<(), Error> {
        let inner = &self.inner;
        if let (Origin::Fetched { .. } | Origin::Pushed { .. }, Source::Git(source)) =
            (&inner.config.origin, &inner.config.source)
        {
            Mirror::open(&source.repository).map_err(Error::Git)?;
        }
        let is_restored = self.restore();
        match &inner.config.origin {
            // A remote is asked in the background: it may be slow, or gone.
            Origin::Fetched { .. } | Origin::Pushed { .. } if is_restored => Ok(()),
            Origin::Fetched { .. } => self.sync_now(Refused::Again).map(|_| ()),
            Origin::Pushed { .. } if inner.config.source.tip().is_err() => Ok(()),
            Origin::Pushed { .. } => self.reload().map(|_| ()),
            Origin::Here => match self.reload() {
                Err(error) if is_restored => {
                    tracing::error!(%error, "the newest prompts are not served, the last good ones are");
                    Ok(())
                }
                loaded => loaded.map(|_| ()),
            },
        }
    }

    /// Reads what was kept over the restart.
    pub(in crate::prompts) fn recall(&self) {
        let inner = &self.inner;
        if let Source::Git(_) = inner.config.source {
            let kept = Kept::recall(inner.archive.as_ref(), &inner.source_text());
            inner.sync.state().kept = kept;
        }
    }

    /// Serves the last good commit; whether there is one that is still here.
    fn restore(&self) -> bool {
        let inner = &self.inner;
        let kept = inner.sync.state().kept.clone();
        let Some(commit) = &kept.commit else {
            return false;
        };
        let is_newest = || {
            inner
                .config
                .source
                .tip()
                .is_ok_and(|tip| tip.as_ref() == Some(commit))
        };
        if inner.config.origin == Origin::Here && kept.held.is_empty() && is_newest() {
            // It is about to be loaded.
            return false;
        }
        let restored = inner
            .config
            .source
            .repository()
            .and_then(|(repository, subpath)| {
                let commit = repository.resolve(commit).map_err(Error::Git)?;
                self.restored(&kept, &repository, commit, &subpath)
            });
        match restored {
            Ok(snapshot) => {
                let mut state = inner.sync.state();
                state.applied = kept.applied;
                state.tried.clone_from(&kept.commit);
                state.held = snapshot.held().collect();
                drop(state);
                inner.current.store(Arc::new(snapshot));
                inner.overridden.notify_one();
                true
            }
            Err(error) => {
                tracing::warn!(%error, commit, "the last good commit cannot be served again");
                false
            }
        }
    }

    fn restored(
        &self,
        kept: &Kept,
        repository: &Repository,
        commit: CommitId,
        subpath: &str,
    ) -> Result<Snapshot, Error> {
        let inner = &self.inner;
        let archive = inner.archive.as_ref();
        let reading = read_commit(repository, commit, subpath)?;
        let mut held = Vec::new();
        for (key, hash) in &kept.held {
            let found = archive.find(&hash.to_hex()).map_err(Error::Archive)?;
            if let Some((_, json)) = found.first() {
                let (bundle, _) = Bundle::from_json(json)?;
                held.push((key.clone(), Arc::new(bundle)));
            }
        }
        let previous = Snapshot::of_bundles(held);
        let mut snapshot = Snapshot::build(reading, Some(&previous), Mode::Lenient)?;
        snapshot.numbering = Arc::clone(&inner.numbering);
        let ended = inner.number_and_release(&mut snapshot, &previous)?;
        inner.note(ended);
        Ok(snapshot)
    }
}
