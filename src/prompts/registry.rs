//! The registry: loads, checks, swaps, and answers references.

use crate::domain::{Caller, PromptKey, PromptReference, PromptStamp, Selector};
use crate::git::CommitId;
use crate::prompts::archive::BundleArchive;
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::history::History;
use crate::prompts::problem::Problem;
use crate::prompts::snapshot::Snapshot;
use crate::prompts::source::Source;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// What happens to a set of files with problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Any problem refuses the whole set: what was loaded before stays.
    #[default]
    Strict,
    /// A prompt with problems stays as it was before; the others advance.
    Lenient,
}

/// The settings of a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Where prompts come from.
    pub source: Source,
    /// What happens to files with problems.
    pub mode: Mode,
    /// How long files must be quiet before they are loaded again.
    pub debounce: Duration,
    /// How often Git's refs are looked at, and files where they cannot be watched.
    pub poll: Duration,
}

impl Config {
    /// Returns the usual settings for `source`.
    #[must_use]
    pub const fn new(source: Source) -> Self {
        Self {
            source,
            mode: Mode::Strict,
            debounce: Duration::from_millis(50),
            poll: Duration::from_secs(2),
        }
    }
}

/// The outcome of a load.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LoadReport {
    /// How many prompts are served now.
    pub prompts: usize,
    /// Prompts that are new or have another version.
    pub changed: Vec<PromptKey>,
    /// Prompts that are gone.
    pub removed: Vec<PromptKey>,
    /// The commit that was loaded.
    pub commit: Option<String>,
    /// What is wrong; only in lenient mode.
    pub problems: Vec<Problem>,
}

/// A reference, resolved to one version.
#[derive(Debug, Clone)]
pub struct ResolvedPrompt {
    /// Which version it is, for headers and records.
    pub stamp: PromptStamp,
    /// The version.
    pub bundle: Arc<Bundle>,
}

/// The prompts that are served. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Prompts {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) archive: Arc<dyn BundleArchive>,
    current: ArcSwap<Snapshot>,
    /// Why the newest files are not served; `None` when they are.
    problem: ArcSwapOption<String>,
    /// Held while files are loaded, so that an older set never replaces a newer one.
    loading: Mutex<()>,
    /// Old versions that were asked for lately. Held while one is read: one at a time.
    pub(super) history: AsyncMutex<History>,
}

impl fmt::Debug for Prompts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Prompts")
            .field("config", &self.inner.config)
            .field("prompts", &self.snapshot().len())
            .finish_non_exhaustive()
    }
}

impl Prompts {
    /// Loads the prompts. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::LoadFailed`] with all problems, [`Error::SourceUnreadable`], [`Error::Git`], and
    /// [`Error::Archive`].
    pub fn open(config: Config, archive: Arc<dyn BundleArchive>) -> Result<Self, Error> {
        let prompts = Self::archived(config, archive);
        prompts.reload()?;
        Ok(prompts)
    }

    /// Returns what is served now. A call holds it from start to end.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.inner.current.load_full()
    }

    /// Loads the files again and serves them if they are good. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Prompts::open`]; what was served before is served on.
    pub fn reload(&self) -> Result<LoadReport, Error> {
        let result = self.load();
        let problem = result
            .as_ref()
            .err()
            .map(|error| Arc::new(error.to_string()));
        self.inner.problem.store(problem);
        result
    }

    /// Returns why the newest files are not served; the last good ones are.
    #[must_use]
    pub fn last_problem(&self) -> Option<String> {
        self.inner.problem.load().as_deref().cloned()
    }

    /// Returns prompts without any files: old versions are found in `archive`, nothing else.
    #[must_use]
    pub fn archived(config: Config, archive: Arc<dyn BundleArchive>) -> Self {
        Self {
            inner: Arc::new(Inner {
                config,
                archive,
                current: ArcSwap::from_pointee(Snapshot::default()),
                problem: ArcSwapOption::empty(),
                loading: Mutex::new(()),
                history: AsyncMutex::new(History::default()),
            }),
        }
    }

    fn load(&self) -> Result<LoadReport, Error> {
        let inner = &self.inner;
        let _guard = inner.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = self.snapshot();
        let reading = inner.config.source.read()?;
        let snapshot = Snapshot::build(reading, Some(&previous), inner.config.mode)?;
        snapshot.keep_in(inner.archive.as_ref(), Some(&previous))?;
        let report = report(&previous, &snapshot);
        inner.current.store(Arc::new(snapshot));
        Ok(report)
    }

    /// Returns everything that is wrong with the files of `source`, sorted. Blocks.
    #[must_use]
    pub fn check(source: &Source) -> Vec<Problem> {
        let outcome = source
            .read()
            .and_then(|reading| Snapshot::build(reading, None, Mode::Strict));
        match outcome {
            Ok(_) => Vec::new(),
            Err(Error::LoadFailed { problems }) => problems,
            Err(error) => vec![Problem::new(error.to_string()).in_file(".")],
        }
    }

    /// Finds the one version that `reference` means for `caller`.
    ///
    /// # Errors
    ///
    /// [`Error::Forbidden`], [`Error::NotFound`], [`Error::VersionNotFound`],
    /// [`Error::LabelNotFound`], [`Error::PreviewNotFound`] and [`Error::VersionAmbiguous`] say that
    /// there is no such version; nothing else is ever served in its place. [`Error::Git`],
    /// [`Error::Archive`] and [`Error::LoadFailed`] when an old version cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn resolve(
        &self,
        reference: &PromptReference,
        caller: &Caller,
    ) -> Result<ResolvedPrompt, Error> {
        let snapshot = self.inner.current.load();
        let key = &reference.key;
        if !caller.may_use_prompt(key) {
            return Err(Error::Forbidden {
                name: key.to_string(),
                nearest: snapshot.nearest(key, caller),
            });
        }
        let label = match &reference.selector {
            Selector::Latest => return latest(&snapshot, key, None, caller),
            Selector::Default => caller.default_label.as_deref(),
            Selector::Label(label) => Some(label.as_str()),
            Selector::Hash(hex) => {
                let snapshot = arc_swap::Guard::into_inner(snapshot);
                return self.by_hash(&snapshot, key, hex, caller).await;
            }
            Selector::GitRef(reference) => {
                let snapshot = arc_swap::Guard::into_inner(snapshot);
                return self.at_reference(&snapshot, key, reference, caller).await;
            }
            // Numbers are positions in Git's history, which is not read yet.
            Selector::Number(number) => {
                return Err(no_version(&snapshot, key, &format!("v{number}"), caller));
            }
            Selector::PullRequest(number) => {
                known(&snapshot, key, caller)?;
                return Err(Error::PreviewNotFound {
                    name: key.to_string(),
                    number: *number,
                });
            }
        };
        by_label(&snapshot, key, label, caller)
    }
}

/// Returns the version that is served, which is the newest that was loaded.
fn latest(
    snapshot: &Snapshot,
    key: &PromptKey,
    label: Option<&str>,
    caller: &Caller,
) -> Result<ResolvedPrompt, Error> {
    let bundle = known(snapshot, key, caller)?;
    Ok(ResolvedPrompt {
        stamp: snapshot.stamp(key, bundle.hash(), label),
        bundle: Arc::clone(bundle),
    })
}

/// Without `releases.yaml` there is one label, `production`, and it means the newest version. With
/// one, labels mean what it says, and nothing may be served in its place.
fn by_label(
    snapshot: &Snapshot,
    key: &PromptKey,
    label: Option<&str>,
    caller: &Caller,
) -> Result<ResolvedPrompt, Error> {
    known(snapshot, key, caller)?;
    match label {
        None | Some("production") if !snapshot.has_releases => latest(snapshot, key, label, caller),
        label => Err(Error::LabelNotFound {
            name: key.to_string(),
            label: label.unwrap_or("production").to_owned(),
            known: if snapshot.has_releases {
                vec!["latest".to_owned()]
            } else {
                vec!["latest".to_owned(), "production".to_owned()]
            },
        }),
    }
}

/// Returns the served version of `key`, or the error that there is none.
pub(super) fn known<'a>(
    snapshot: &'a Snapshot,
    key: &PromptKey,
    caller: &Caller,
) -> Result<&'a Arc<Bundle>, Error> {
    snapshot
        .get(key)
        .map(|prompt| &prompt.bundle)
        .ok_or_else(|| Error::NotFound {
            name: key.to_string(),
            nearest: snapshot.nearest(key, caller),
        })
}

/// Returns the error that `key` has no version `selector`, or that there is no `key`.
pub(super) fn no_version(
    snapshot: &Snapshot,
    key: &PromptKey,
    selector: &str,
    caller: &Caller,
) -> Error {
    match known(snapshot, key, caller) {
        Err(error) => error,
        Ok(bundle) => Error::VersionNotFound {
            name: key.to_string(),
            selector: selector.to_owned(),
            choices: format!(
                "the newest is `{}`; ask for `@latest`, a hash `@sha-HEX` or a commit `@git:REF`",
                bundle.hash().short()
            ),
        },
    }
}

fn report(previous: &Snapshot, current: &Snapshot) -> LoadReport {
    let is_changed = |key: &PromptKey, bundle: &Bundle| {
        let before = previous.get(key);
        before.is_none_or(|before| before.bundle.hash() != bundle.hash())
    };
    LoadReport {
        prompts: current.len(),
        changed: current
            .iter()
            .filter(|(key, prompt)| is_changed(key, &prompt.bundle))
            .map(|(key, _)| key.clone())
            .collect(),
        removed: previous
            .iter()
            .filter(|(key, _)| current.get(key).is_none())
            .map(|(key, _)| key.clone())
            .collect(),
        commit: current.commit().map(str::to_owned),
        problems: current.problems().to_vec(),
    }
}

/// The commit of a snapshot of the past.
pub(super) type Past = (CommitId, Arc<Snapshot>);
