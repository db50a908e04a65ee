//! Old versions: by hash from the archive, by ref from Git.

use crate::domain::{BundleHash, Caller, PromptKey, PromptStamp};
use crate::git::{self, CommitId};
use crate::prompts::archive::{BundleArchive, names_of};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::load::Prompt;
use crate::prompts::registry::{Inner, Mode, Past, Prompts, ResolvedPrompt, known, no_version};
use crate::prompts::snapshot::Snapshot;
use crate::prompts::source::read_commit;
use std::sync::Arc;
use tokio::task::spawn_blocking;

/// Commits that are held loaded.
const MAX_COMMITS: usize = 8;
/// Versions from the archive that are held compiled.
const MAX_BUNDLES: usize = 256;
/// A hash with this many digits names one version for all practical purposes.
const UNIQUE_DIGITS: usize = 12;

/// What was asked for lately, the latest last.
#[derive(Debug, Default)]
pub(super) struct History {
    commits: Vec<Past>,
    bundles: Vec<(PromptKey, Arc<Bundle>)>,
}

impl History {
    fn commit(&mut self, id: CommitId) -> Option<Arc<Snapshot>> {
        let index = self.commits.iter().position(|(known, _)| *known == id)?;
        let entry = self.commits.remove(index);
        let snapshot = Arc::clone(&entry.1);
        self.commits.push(entry);
        Some(snapshot)
    }

    fn remember_commit(&mut self, id: CommitId, snapshot: &Arc<Snapshot>) {
        if MAX_COMMITS <= self.commits.len() {
            self.commits.remove(0);
        }
        self.commits.push((id, Arc::clone(snapshot)));
    }

    fn bundle(&mut self, key: &PromptKey, hex: &str) -> Option<Arc<Bundle>> {
        let is_it = |entry: &(PromptKey, Arc<Bundle>)| {
            entry.0 == *key && entry.1.hash().to_hex().starts_with(hex)
        };
        let index = self.bundles.iter().position(is_it)?;
        let entry = self.bundles.remove(index);
        let bundle = Arc::clone(&entry.1);
        self.bundles.push(entry);
        Some(bundle)
    }

    fn remember_bundle(&mut self, key: &PromptKey, bundle: &Arc<Bundle>) {
        if MAX_BUNDLES <= self.bundles.len() {
            self.bundles.remove(0);
        }
        self.bundles.push((key.clone(), Arc::clone(bundle)));
    }
}

impl Prompts {
    /// Finds the version of `key` whose hash starts with `hex`.
    pub(super) async fn by_hash(
        &self,
        snapshot: &Arc<Snapshot>,
        key: &PromptKey,
        hex: &str,
        caller: &Caller,
    ) -> Result<ResolvedPrompt, Error> {
        let served = snapshot
            .get(key)
            .map(|prompt| &prompt.bundle)
            .filter(|bundle| bundle.hash().to_hex().starts_with(hex));
        if let Some(bundle) = served.filter(|_| UNIQUE_DIGITS <= hex.len()) {
            return Ok(ResolvedPrompt {
                stamp: snapshot.stamp(key, bundle.hash(), None),
                bundle: Arc::clone(bundle),
            });
        }
        let mut history = self.inner.history.lock().await;
        if UNIQUE_DIGITS <= hex.len()
            && let Some(bundle) = history.bundle(key, hex)
        {
            return Ok(stored(key, bundle));
        }
        let inner = Arc::clone(&self.inner);
        let (wanted, digits) = (key.clone(), hex.to_owned());
        let mut found =
            spawn_blocking(move || from_archive(inner.archive.as_ref(), &wanted, &digits))
                .await
                .map_err(|_| Error::Stopping)??;
        if let Some(bundle) = served {
            let hash = bundle.hash();
            if found.iter().all(|(other, _)| *other == hash) {
                return Ok(ResolvedPrompt {
                    stamp: snapshot.stamp(key, hash, None),
                    bundle: Arc::clone(bundle),
                });
            }
        }
        match found.len() {
            0 => Err(no_version(snapshot, key, &format!("sha-{hex}"), caller)),
            1 => {
                let (_, json) = found.swap_remove(0);
                let (bundle, _) = Bundle::from_json(&json)?;
                let bundle = Arc::new(bundle);
                history.remember_bundle(key, &bundle);
                Ok(stored(key, bundle))
            }
            _ => Err(Error::VersionAmbiguous {
                name: key.to_string(),
                hex: hex.to_owned(),
                candidates: found.into_iter().map(|(hash, _)| hash).collect(),
            }),
        }
    }

    /// Finds `key` as it is at a commit, tag or branch.
    pub(super) async fn at_reference(
        &self,
        snapshot: &Arc<Snapshot>,
        key: &PromptKey,
        reference: &str,
        caller: &Caller,
    ) -> Result<ResolvedPrompt, Error> {
        let selector = format!("git:{reference}");
        let inner = Arc::clone(&self.inner);
        let name = reference.to_owned();
        let resolved = spawn_blocking(move || {
            let (repository, _) = inner.config.source.repository()?;
            repository.resolve(&name).map_err(Error::Git)
        });
        let commit = match resolved.await.map_err(|_| Error::Stopping)? {
            Ok(commit) => commit,
            Err(Error::Git(
                git::Error::UnknownReference { .. } | git::Error::NotARepository { .. },
            )) => return Err(no_version(snapshot, key, &selector, caller)),
            Err(error) => return Err(error),
        };
        let past = self.past(commit).await?;
        in_past(snapshot, &past, key, &selector, caller)
    }

    /// Returns the prompts of a commit.
    pub(super) async fn past(&self, commit: CommitId) -> Result<Arc<Snapshot>, Error> {
        let mut history = self.inner.history.lock().await;
        if let Some(past) = history.commit(commit) {
            return Ok(past);
        }
        let inner = Arc::clone(&self.inner);
        let past = spawn_blocking(move || at_commit(&inner, commit));
        let past = past.await.map_err(|_| Error::Stopping)??;
        history.remember_commit(commit, &past);
        Ok(past)
    }
}

/// Finds `key` in the prompts of a commit, which was asked for as `selector`.
pub(super) fn in_past(
    snapshot: &Snapshot,
    past: &Snapshot,
    key: &PromptKey,
    selector: &str,
    caller: &Caller,
) -> Result<ResolvedPrompt, Error> {
    let unknown = || no_version(snapshot, key, selector, caller);
    if past.is_failed(key) {
        let problems = past.problems().to_vec();
        return Err(Error::LoadFailed { problems });
    }
    let Some(Prompt { bundle, .. }) = past.get(key) else {
        // A prompt that is only in the past may still be told apart from a misspelled one.
        return Err(match known(snapshot, key, caller) {
            Ok(_) => unknown(),
            Err(error) => error,
        });
    };
    Ok(ResolvedPrompt {
        stamp: past.stamp(key, bundle.hash(), None),
        bundle: Arc::clone(bundle),
    })
}

/// A version from the archive comes from no commit that is known here.
fn stored(key: &PromptKey, bundle: Arc<Bundle>) -> ResolvedPrompt {
    ResolvedPrompt {
        stamp: PromptStamp {
            key: key.clone(),
            hash: bundle.hash(),
            number: None,
            label: None,
            commit: None,
            dirty: false,
        },
        bundle,
    }
}

pub(super) fn from_archive(
    archive: &dyn BundleArchive,
    key: &PromptKey,
    hex: &str,
) -> Result<Vec<(BundleHash, Vec<u8>)>, Error> {
    let mut found = archive.find(hex).map_err(Error::Archive)?;
    found.retain(|(_, json)| names_of(json).contains(key));
    Ok(found)
}

/// Loads the prompts of a commit; those with problems are left out.
pub(super) fn at_commit(inner: &Inner, commit: CommitId) -> Result<Arc<Snapshot>, Error> {
    let (repository, subpath) = inner.config.source.repository()?;
    let reading = match read_commit(&repository, commit, &subpath) {
        // The directory is younger than the commit.
        Err(Error::Git(git::Error::NoSuchDirectory { .. })) => return Ok(Arc::default()),
        reading => reading?,
    };
    let snapshot = Snapshot::build(reading, None, Mode::Lenient)?;
    snapshot.keep_in(inner.archive.as_ref(), None)?;
    Ok(Arc::new(snapshot))
}
