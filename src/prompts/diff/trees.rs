//! What is compared: the prompts of a commit, or of the files as they lie there now.

use crate::domain::{Caller, PromptKey, PromptReference};
use crate::git::{self, blob_id};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::load::Prompt;
use crate::prompts::problem::Problem;
use crate::prompts::registry::{Mode, Prompts, ResolvedPrompt};
use crate::prompts::samples::Sample;
use crate::prompts::snapshot::Snapshot;
use crate::prompts::source::{Source, read_commit};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// What the files of a directory are called, as they are now.
pub const WORKING: &str = "the working files";

/// Which files are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revision {
    /// The files of the directory as they are now.
    Working,
    /// Those of a commit, tag or branch.
    Reference(String),
}

/// The prompts of a revision.
#[derive(Debug)]
pub struct Tree {
    /// What people call it: `main`, `the working files`.
    pub name: String,
    /// The commit; for working files the one they are based on.
    pub commit: Option<String>,
    pub(super) snapshot: Arc<Snapshot>,
    /// The content of every file, by path, as Git names it.
    contents: BTreeMap<String, String>,
}

/// One version of a prompt, with what belongs to it.
#[derive(Debug, Clone)]
pub struct Side {
    /// The prompt.
    pub key: PromptKey,
    /// The version.
    pub bundle: Arc<Bundle>,
    /// Its number, where it has one.
    pub number: Option<u32>,
    /// The commit it was read at.
    pub commit: Option<String>,
    /// Whether its content is in no commit.
    pub dirty: bool,
    /// Whether its lines are those of its file; else the archive has it, and they count from the start
    /// of the template.
    pub is_from_files: bool,
    /// Its own file.
    pub path: String,
    /// Its sample inputs.
    pub samples: Arc<[Sample]>,
}

impl Side {
    /// Returns what people call the version: `v7`, else the short hash.
    #[must_use]
    pub fn version(&self) -> String {
        let number = self.number.map(|number| format!("v{number}"));
        number.unwrap_or_else(|| self.bundle.hash().short())
    }
}

/// A prompt that is another one in the head.
#[derive(Debug, Clone)]
pub struct Pair {
    /// As it was; absent when it is new.
    pub base: Option<Side>,
    /// As it is; absent when it is gone, or does not load.
    pub head: Option<Side>,
    /// Why the head does not load.
    pub problems: Vec<Problem>,
}

impl Pair {
    /// Returns the prompt's name, in the head where it is there.
    #[must_use]
    pub fn key(&self) -> Option<&PromptKey> {
        self.head
            .as_ref()
            .or(self.base.as_ref())
            .map(|side| &side.key)
    }
}

/// A partial, schema or tool that differs, and who includes it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SharedFile {
    /// The file, below the directory of the prompts.
    pub path: String,
    /// Prompts and variants of the head (or, if it is gone, the base) that are made from it.
    pub prompts: Vec<PromptKey>,
}

impl Prompts {
    /// Reads the prompts of a revision; those with problems are left out and named. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] when there is no such commit, [`Error::SourceUnreadable`].
    pub fn tree(&self, revision: &Revision) -> Result<Tree, Error> {
        let source = &self.inner.config.source;
        let (name, reading) = match (revision, source) {
            (Revision::Working, Source::Directory(_)) => {
                (WORKING.to_owned(), source.read(&mut None))
            }
            (Revision::Working, Source::Git(git)) => {
                (git.reference.clone(), source.read(&mut None))
            }
            (Revision::Reference(name), _) => {
                let (repository, subpath) = source.repository()?;
                let commit = repository.resolve(name).map_err(Error::Git)?;
                (name.clone(), read_commit(&repository, commit, &subpath))
            }
        };
        let reading = match reading {
            // The directory is younger than the commit.
            Err(Error::Git(git::Error::NoSuchDirectory { .. })) => {
                crate::prompts::source::Reading::default()
            }
            reading => reading?,
        };
        let contents = reading.files.iter().map(|file| {
            let id = blob_id(&file.bytes).unwrap_or_default();
            (file.path.clone(), id)
        });
        let contents = contents.collect();
        let mut snapshot = Snapshot::build(reading, None, Mode::Lenient)?;
        snapshot.numbering = Arc::clone(&self.inner.numbering);
        Ok(Tree {
            name,
            commit: snapshot.commit().map(str::to_owned),
            snapshot: Arc::new(snapshot),
            contents,
        })
    }

    /// Returns the newest commit that two references have in common. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::Git`] when there is no such commit, or none in common.
    pub fn merge_base(&self, one: &str, other: &str) -> Result<String, Error> {
        let (repository, _) = self.inner.config.source.repository()?;
        let id = |name: &str| repository.resolve(name).map_err(Error::Git);
        let base = repository.merge_base(id(one)?, id(other)?);
        let base = base.map_err(Error::Git)?.ok_or_else(|| {
            Error::Git(git::Error::UnknownReference {
                reference: format!("{one}...{other}"),
            })
        })?;
        Ok(base.to_string())
    }

    /// Returns the version that `reference` means, from its own commit where that is known, so that
    /// lines are those of its files. Blocks where files are read.
    ///
    /// # Errors
    ///
    /// As [`Prompts::resolve`].
    pub async fn side(&self, reference: &PromptReference) -> Result<Side, Error> {
        let resolved = self.resolve(reference, &Caller::local()).await?;
        Ok(self.side_of(resolved))
    }

    /// Finds the files of a version that was resolved.
    #[must_use]
    pub fn side_of(&self, resolved: ResolvedPrompt) -> Side {
        let ResolvedPrompt { stamp, bundle } = resolved;
        let number = stamp.number;
        let numbers = &self.inner.numbering.known().numbers;
        let first = number.and_then(|number| numbers.first_commit(&stamp.key, number));
        let first = first.map(|commit| commit.to_string());
        let commits = [stamp.commit.clone().filter(|_| !stamp.dirty), first];
        for commit in commits.into_iter().flatten() {
            let tree = self.tree(&Revision::Reference(commit)).ok();
            let side = tree.and_then(|tree| tree.side(&stamp.key));
            if let Some(side) = side.filter(|side| side.bundle.hash() == stamp.hash) {
                return Side { number, ..side };
            }
        }
        let served = self.snapshot();
        let prompt = served.get(&stamp.key);
        Side {
            path: prompt.map_or_else(
                || format!("{}.prompt", stamp.key),
                |prompt| prompt.path.clone(),
            ),
            samples: prompt.map_or_else(|| Arc::from([]), |prompt| Arc::clone(&prompt.samples)),
            key: stamp.key,
            number,
            commit: stamp.commit,
            dirty: stamp.dirty,
            is_from_files: prompt.is_some_and(|prompt| prompt.bundle.hash() == bundle.hash()),
            bundle,
        }
    }
}

impl Tree {
    /// Returns the prompt called `key`.
    #[must_use]
    pub fn side(&self, key: &PromptKey) -> Option<Side> {
        let prompt = self.snapshot.get(key)?;
        Some(self.of(key, prompt))
    }

    /// Returns the names of all prompts, sorted; those with problems too.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<PromptKey> {
        let good = self.snapshot.iter().map(|(key, _)| key.clone());
        good.chain(self.snapshot.failed().iter().cloned()).collect()
    }

    /// Returns the files that a prompt is made from, below the directory of the prompts; none when it is not there
    /// or has problems.
    #[must_use]
    pub fn files_of(&self, key: &PromptKey) -> BTreeSet<String> {
        let prompt = self.snapshot.get(key);
        prompt.map_or_else(BTreeSet::new, |prompt| {
            let own = prompt.path.clone();
            prompt.files.iter().cloned().chain([own]).collect()
        })
    }

    fn of(&self, key: &PromptKey, prompt: &Prompt) -> Side {
        Side {
            key: key.clone(),
            bundle: Arc::clone(&prompt.bundle),
            number: self.snapshot.number(key),
            commit: self.commit.clone(),
            dirty: self.snapshot.is_dirty(key),
            is_from_files: true,
            path: prompt.path.clone(),
            samples: Arc::clone(&prompt.samples),
        }
    }

    /// Returns what labels get a prompt from this tree, where that is known.
    #[must_use]
    pub fn labels(&self, key: &PromptKey) -> Option<Vec<String>> {
        self.snapshot.labels(key)
    }
}

/// Returns the prompts that differ, by name. A prompt that has the same content under another name was
/// renamed, and is one pair.
#[must_use]
pub fn pairs(base: &Tree, head: &Tree) -> Vec<Pair> {
    let keys: BTreeSet<PromptKey> = base.keys().into_iter().chain(head.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        let (old, new) = (base.side(&key), head.side(&key));
        let is_failed = head.snapshot.is_failed(&key);
        let problems = if is_failed {
            problems_of(head, &key)
        } else {
            Vec::new()
        };
        let is_same = match (&old, &new) {
            (Some(old), Some(new)) => is_same(&old.bundle, &new.bundle),
            (None, None) => !is_failed || base.snapshot.is_failed(&key),
            _ => false,
        };
        if !is_same {
            found.push(Pair {
                base: old,
                head: new,
                problems,
            });
        }
    }
    renamed(&mut found);
    found
}

fn is_same(old: &Bundle, new: &Bundle) -> bool {
    old.hash() == new.hash()
        && old.description() == new.description()
        && old.owner() == new.owner()
        && old.ext() == new.ext()
}

/// The problems of a prompt's own file; those of shared files when it has none.
fn problems_of(tree: &Tree, key: &PromptKey) -> Vec<Problem> {
    let path = format!("{key}.prompt");
    let all = tree.snapshot.problems();
    let own: Vec<Problem> = all
        .iter()
        .filter(|problem| problem.path == path)
        .cloned()
        .collect();
    if own.is_empty() { all.to_vec() } else { own }
}

/// Joins what is gone and what is new with the same content.
fn renamed(found: &mut Vec<Pair>) {
    let mut index = 0;
    while let Some(pair) = found.get(index) {
        let gone = pair
            .base
            .as_ref()
            .filter(|_| pair.head.is_none() && pair.problems.is_empty());
        let hash = gone.map(|side| side.bundle.hash());
        let is_twin = |other: &Pair| {
            other.base.is_none() && other.head.as_ref().map(|side| side.bundle.hash()) == hash
        };
        let twin = hash.and_then(|_| found.iter().position(is_twin));
        match twin {
            Some(twin) => {
                let old = found.get(index).and_then(|pair| pair.base.clone());
                if let Some(twin) = found.get_mut(twin) {
                    twin.base = old;
                }
                found.remove(index);
            }
            None => index += 1,
        }
    }
}

/// Returns the files of the prompts that differ, are new or are gone, below their directory.
#[must_use]
pub fn changed_files(base: &Tree, head: &Tree) -> BTreeSet<String> {
    let paths = base.contents.keys().chain(head.contents.keys());
    let is_other = |path: &&String| base.contents.get(*path) != head.contents.get(*path);
    paths.filter(is_other).cloned().collect()
}

/// Returns the partials, schemas and tools that differ, with the prompts that are made from them.
#[must_use]
pub fn shared_files(base: &Tree, head: &Tree) -> Vec<SharedFile> {
    let paths: BTreeSet<&String> = base.contents.keys().chain(head.contents.keys()).collect();
    let mut found = Vec::new();
    for path in paths {
        if base.contents.get(path) == head.contents.get(path) {
            continue;
        }
        let users = |tree: &Tree| -> Vec<PromptKey> {
            let users = tree
                .snapshot
                .iter()
                .filter(|(_, prompt)| prompt.path != *path && prompt.files.contains(path.as_str()));
            users.map(|(key, _)| key.clone()).collect()
        };
        let (new, old) = (users(head), users(base));
        let prompts = if new.is_empty() { old } else { new };
        if !prompts.is_empty() {
            found.push(SharedFile {
                path: path.clone(),
                prompts,
            });
        }
    }
    found
}
