//! What is served at one moment: a call holds one snapshot from start to end.

use crate::domain::{BundleHash, Caller, PromptKey, PromptStamp, nearest_names};
use crate::prompts::archive::{BundleArchive, keep};
use crate::prompts::error::Error;
use crate::prompts::load::{Prompt, load};
use crate::prompts::numbering::Numbering;
use crate::prompts::problem::Problem;
use crate::prompts::registry::Mode;
use crate::prompts::source::Reading;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A checked, immutable set of prompts.
#[derive(Debug, Default)]
pub struct Snapshot {
    prompts: BTreeMap<PromptKey, Prompt>,
    commit: Option<String>,
    /// Prompts whose files are not as in the commit.
    dirty: BTreeSet<PromptKey>,
    /// Whether `releases.yaml` says what labels mean.
    pub(super) has_releases: bool,
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
        let is_releases = |path: &str| path == "releases.yaml";
        Ok(Self {
            prompts,
            commit: reading.commit,
            dirty,
            has_releases: reading.files.iter().any(|file| is_releases(&file.path)),
            problems: loaded.problems,
            failed: loaded.failed,
            numbering: Arc::default(),
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

    /// Returns the labels that get what is served as `key`; `None` where `releases.yaml` decides.
    /// Without it there is one label, and it means the newest version.
    #[must_use]
    pub fn labels(&self, key: &PromptKey) -> Option<Vec<String>> {
        if self.has_releases {
            return None;
        }
        let is_there = self.prompts.contains_key(key);
        Some(
            is_there
                .then(|| "production".to_owned())
                .into_iter()
                .collect(),
        )
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

    /// Returns names like `wanted` that `caller` may use.
    pub(super) fn nearest(&self, wanted: &PromptKey, caller: &Caller) -> Vec<String> {
        let visible = self.prompts.keys().filter(|key| caller.may_use_prompt(key));
        nearest_names(wanted.as_str(), visible.map(PromptKey::as_str))
            .into_iter()
            .map(str::to_owned)
            .collect()
    }
}
