//! What is served at one moment: a call holds one snapshot from start to end.

use crate::domain::{BundleHash, Caller, Clock, PromptKey, PromptStamp, nearest_names};
use crate::prompts::archive::{BundleArchive, keep};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::load::{Prompt, load};
use crate::prompts::numbering::Numbering;
use crate::prompts::problem::Problem;
use crate::prompts::registry::Mode;
use crate::prompts::releases::{self, DEFAULT_LABEL, Table};
use crate::prompts::source::Reading;
use crate::prompts::sync::HeldPrompt;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A checked, immutable set of prompts.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    prompts: BTreeMap<PromptKey, Prompt>,
    commit: Option<String>,
    /// Prompts whose files are not as in the commit.
    dirty: BTreeSet<PromptKey>,
    /// Whether `releases.yaml` says what labels mean.
    pub(super) has_releases: bool,
    /// Whether that file is not as in the commit.
    pub(super) has_dirty_releases: bool,
    /// What labels mean.
    pub(super) releases: Table,
    /// What is wrong; with [`Mode::Strict`] a snapshot has none.
    problems: Vec<Problem>,
    /// Prompts that are in the files but have problems.
    failed: BTreeSet<PromptKey>,
    /// Which number each version has.
    pub(super) numbering: Arc<Numbering>,
}

impl Snapshot {
    /// Checks what was read. Any problem is an error in strict mode; in lenient mode a prompt with
    /// problems stays as `previous` has it.
    pub(super) fn build(
        reading: Reading,
        previous: Option<&Self>,
        mode: Mode,
    ) -> Result<Self, Error> {
        let mut loaded = load(&reading.files);
        loaded.problems.extend(reading.problems);
        loaded.problems.sort();
        if mode == Mode::Strict && !loaded.problems.is_empty() {
            let problems = loaded.problems;
            return Err(Error::LoadFailed { problems });
        }
        let mut prompts = loaded.prompts;
        let mut dirty: BTreeSet<PromptKey> = prompts
            .iter()
            .filter(|(_, prompt)| !prompt.files.is_disjoint(&reading.dirty))
            .map(|(key, _)| key.clone())
            .collect();
        for (key, prompt) in previous.into_iter().flat_map(|snapshot| &snapshot.prompts) {
            if loaded.failed.contains(key) {
                // What is served is not what the commit holds.
                dirty.insert(key.clone());
                prompts.insert(key.clone(), prompt.clone());
            }
        }
        let is_releases = |path: &str| path == releases::FILE;
        Ok(Self {
            prompts,
            commit: reading.commit,
            dirty,
            has_releases: reading.files.iter().any(|file| is_releases(&file.path)),
            has_dirty_releases: reading.dirty.contains(releases::FILE),
            releases: Table::unresolved(loaded.releases),
            problems: loaded.problems,
            failed: loaded.failed,
            numbering: Arc::default(),
        })
    }

    /// Returns a set of versions that come from no files.
    pub(super) fn of_bundles(bundles: Vec<(PromptKey, Arc<Bundle>)>) -> Self {
        let prompts = bundles
            .into_iter()
            .map(|(key, bundle)| (key, Prompt::of_bundle(bundle)));
        Self {
            prompts: prompts.collect(),
            ..Self::default()
        }
    }

    /// Returns the prompts whose files have problems and that are served as they were before.
    pub fn held(&self) -> impl Iterator<Item = HeldPrompt> {
        let held = self
            .failed
            .iter()
            .filter_map(|key| Some((key, self.prompts.get(key)?)));
        held.map(|(key, prompt)| HeldPrompt {
            prompt: key.clone(),
            hash: prompt.bundle.hash(),
        })
    }

    /// Puts every version that `previous` does not serve under the same name into `archive`.
    pub(super) fn keep_in(
        &self,
        archive: &dyn BundleArchive,
        previous: Option<&Self>,
    ) -> Result<(), Error> {
        for (key, prompt) in &self.prompts {
            let before = previous.and_then(|snapshot| snapshot.get(key));
            if before.is_none_or(|before| before.bundle.hash() != prompt.bundle.hash()) {
                keep(archive, key, &prompt.bundle)?;
            }
        }
        Ok(())
    }

    /// Returns the prompt called `key`.
    #[must_use]
    pub fn get(&self, key: &PromptKey) -> Option<&Prompt> {
        self.prompts.get(key)
    }

    /// Returns all prompts, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&PromptKey, &Prompt)> {
        self.prompts.iter()
    }

    /// Whether the content of `key` is in no commit.
    #[must_use]
    pub fn is_dirty(&self, key: &PromptKey) -> bool {
        self.dirty.contains(key)
    }

    /// Returns how many prompts there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.prompts.len()
    }

    /// Whether there are no prompts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.prompts.is_empty()
    }

    /// Returns the commit that was loaded, or that the directory was based on.
    #[must_use]
    pub fn commit(&self) -> Option<&str> {
        self.commit.as_deref()
    }

    /// Returns what is wrong with the files; only a lenient registry serves with problems.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Notes more that is wrong with the files.
    pub(super) fn add_problems(&mut self, problems: Vec<Problem>) {
        self.problems.extend(problems);
        self.problems.sort();
    }

    /// Returns the labels that get what is here as `key`, by their rule or by its canary; `None` where
    /// `releases.yaml` cannot be read.
    #[must_use]
    pub fn labels(&self, key: &PromptKey) -> Option<Vec<String>> {
        let served = self.prompts.get(key).map(|prompt| prompt.bundle.hash());
        if !self.has_releases {
            let is_there = served.is_some();
            let only = is_there.then(|| DEFAULT_LABEL.to_owned());
            return Some(only.into_iter().collect());
        }
        let table = &self.releases;
        if table.is_followed() {
            let leading = |hash| table.labels_leading_to(key, hash);
            return Some(served.map(leading).unwrap_or_default());
        }
        // Files that nobody serves yet: what they hold will be the newest version.
        let written = table.written.as_ref()?;
        Some(written.labels_of_latest(key))
    }

    /// Returns the prompts that are in the files but have problems.
    pub(super) const fn failed(&self) -> &BTreeSet<PromptKey> {
        &self.failed
    }

    /// Whether `key` is in the files but has problems.
    pub(super) fn is_failed(&self, key: &PromptKey) -> bool {
        self.failed.contains(key)
    }

    /// Returns the number of what is served as `key`; `None` while it has none, because it is in no
    /// commit or the history is not numbered yet.
    #[must_use]
    pub fn number(&self, key: &PromptKey) -> Option<u32> {
        let prompt = self.prompts.get(key)?;
        self.numbering.number_of(key, prompt.bundle.hash())
    }

    /// Returns the stamp of what is served as `key`, asked for by `label`.
    pub(super) fn stamp(
        &self,
        key: &PromptKey,
        hash: BundleHash,
        label: Option<&str>,
    ) -> PromptStamp {
        PromptStamp {
            key: key.clone(),
            hash,
            number: self.numbering.number_of(key, hash),
            label: label.map(str::to_owned),
            commit: self.commit.clone(),
            dirty: self.dirty.contains(key),
        }
    }

    /// Refuses a prompt whose time is over, whatever the version.
    pub(super) fn refuse_retired(&self, key: &PromptKey, clock: Clock) -> Result<(), Error> {
        let retirement = self.get(key).and_then(|prompt| prompt.bundle.retirement());
        match retirement {
            Some(retirement) if retirement.at <= clock.now() => Err(Error::Retired {
                name: key.to_string(),
                since: retirement.since.clone(),
                replacement: retirement.replacement.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Returns names like `wanted` that `caller` may use.
    pub(super) fn nearest(&self, wanted: &PromptKey, caller: &Caller) -> Vec<String> {
        let visible = self.prompts.keys().filter(|key| caller.may_use_prompt(key));
        nearest_names(wanted.as_str(), visible.map(PromptKey::as_str))
            .into_iter()
            .map(str::to_owned)
            .collect()
    }
}
