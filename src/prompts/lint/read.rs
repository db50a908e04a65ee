//! The linter's door: reads what the rules need, and hands the findings out with the lines they are
//! about.

use crate::domain::{PromptKey, Selector};
use crate::git::{self, CommitId, File};
use crate::prompts::error::Error;
use crate::prompts::files::{Kind, kind_of};
use crate::prompts::front_matter::with_lf_endings;
use crate::prompts::lint::finding::Finding;
use crate::prompts::lint::models::ModelFacts;
use crate::prompts::lint::releases::{self, Versions};
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::{Material, fix, lint};
use crate::prompts::load::load;
use crate::prompts::problem::Problem;
use crate::prompts::registry::Prompts;
use crate::prompts::source::{Source, read_commit};
use std::collections::{BTreeSet, HashMap};

/// Rounds of fixes at most: one may make the next possible.
const MAX_ROUNDS: usize = 8;

/// What was found, and the files it was found in.
#[derive(Debug)]
pub struct Lint {
    /// Sorted by file and place.
    pub findings: Vec<Finding>,
    material: Material,
}

/// Files that fixes have changed, and what is left.
#[derive(Debug)]
pub struct Fixed {
    /// Paths below the registry's root, what the file was, and what it is to be.
    pub files: Vec<(String, Vec<u8>, Vec<u8>)>,
    /// How many fixes were applied.
    pub count: usize,
    /// What is found in the fixed files.
    pub lint: Lint,
}

/// Returns what keeps `releases.yaml` from being followed, and is not seen in the files alone.
fn unresolved(source: &Source, files: &[File]) -> Vec<Problem> {
    let file = files.iter().find(|file| file.path == releases::PATH);
    let Some(text) = file.and_then(|file| std::str::from_utf8(&file.bytes).ok()) else {
        return Vec::new();
    };
    let known = load(files).problems;
    let mut problems = Prompts::check(source);
    problems.retain(|problem| problem.path == releases::PATH && !known.contains(problem));
    for problem in &mut problems {
        problem.code = Rule::BadRelease;
        problem.locate(&with_lf_endings(text));
    }
    problems
}

impl Prompts {
    /// Finds everything that is wrong or doubtful in the files of the source. Changes are those since
    /// the commit `base`, by default `HEAD` where there is a repository. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::SourceUnreadable`] and [`Error::Git`], also when `base` names no commit.
    pub fn lint(&self, base: Option<&str>, facts: ModelFacts<'_>) -> Result<Lint, Error> {
        let source = &self.inner.config.source;
        let mut reading = source.read(&mut None)?;
        reading.problems.extend(unresolved(source, &reading.files));
        let material = Material {
            base: base_files(source, base)?,
            evals: evals(source, &reading.files),
            versions: self.versions(&reading.files),
            files: reading.files,
            problems: reading.problems,
        };
        Ok(Lint::of(material, facts))
    }

    /// What the selectors of `releases.yaml` can be held against. The history is read only when they
    /// ask for it.
    fn versions(&self, files: &[File]) -> Versions {
        let mut versions = Versions::default();
        let file = files.iter().find(|file| file.path == releases::PATH);
        let Some(text) = file.and_then(|file| std::str::from_utf8(&file.bytes).ok()) else {
            return versions;
        };
        let selectors = releases::selectors(text);
        if let Ok((repository, _)) = self.inner.config.source.repository() {
            let names = selectors.iter().filter_map(|selector| match selector {
                Selector::GitRef(reference) => Some(reference.clone()),
                _ => None,
            });
            versions.commits = names
                .filter(|reference| repository.resolve(reference).is_ok())
                .collect();
        }
        let is_version =
            |selector: &Selector| matches!(selector, Selector::Number(_) | Selector::Hash(_));
        if !selectors.iter().any(is_version) {
            return versions;
        }
        // Without a history there is nothing to hold numbers against.
        if let Ok(known) = self.numbered() {
            let mut numbered: HashMap<PromptKey, Vec<_>> = HashMap::new();
            for key in known.numbers.keys() {
                let all = 1..=known.numbers.newest(key);
                let hashes = all.filter_map(|number| known.numbers.hash_of(key, number));
                numbered.insert(key.clone(), hashes.collect());
            }
            versions.numbered = Some(numbered);
        }
        versions
    }
}

/// Reads the files that changes are compared with.
fn base_files(source: &Source, base: Option<&str>) -> Result<Option<Vec<File>>, Error> {
    let (repository, subpath) = match source.repository() {
        Ok(found) => found,
        Err(error) if base.is_some() => return Err(error),
        Err(_) => return Ok(None),
    };
    let commit: Option<CommitId> = match base {
        Some(base) => Some(repository.resolve(base).map_err(Error::Git)?),
        None => repository.head(),
    };
    let Some(commit) = commit else {
        return Ok(None);
    };
    match read_commit(&repository, commit, &subpath) {
        Ok(reading) => Ok(Some(reading.files)),
        // The directory is new: everything in it is.
        Err(Error::Git(git::Error::NoSuchDirectory { .. })) => Ok(Some(Vec::new())),
        // Prompts at the root of a repository of other things: nobody asked to compare them.
        Err(Error::Git(git::Error::TooManyFiles { .. })) if base.is_none() => Ok(None),
        Err(error) => Err(error),
    }
}

/// The prompts with a file of evals beside them.
fn evals(source: &Source, files: &[File]) -> BTreeSet<PromptKey> {
    let keys = files.iter().filter_map(|file| match kind_of(&file.path) {
        Kind::Prompt(name) => PromptKey::parse(&name).ok(),
        _ => None,
    });
    let has_eval = |key: &PromptKey| {
        let name = format!("{key}.eval.yaml");
        match source {
            Source::Directory(directory) => directory.path.join(&name).is_file(),
            Source::Git(_) => files.iter().any(|file| file.path == name),
        }
    };
    keys.filter(has_eval).collect()
}

impl Lint {
    pub(super) fn of(material: Material, facts: ModelFacts<'_>) -> Self {
        Self {
            findings: lint(&material, facts),
            material,
        }
    }

    /// Returns what the findings were made from.
    pub(super) const fn material(&self) -> &Material {
        &self.material
    }

    /// Returns the line that a finding is about; `None` where it may show a credential.
    #[must_use]
    pub fn line(&self, finding: &Finding) -> Option<String> {
        let problem = &finding.problem;
        let place = (&problem.path, problem.line);
        let hides = |other: &Finding| {
            other.problem.code == Rule::Secret && (&other.problem.path, other.problem.line) == place
        };
        if self.findings.iter().any(hides) {
            return None;
        }
        let mut files = self.material.files.iter();
        let file = files.find(|file| file.path == problem.path)?;
        let text = std::str::from_utf8(&file.bytes).ok()?;
        let text = with_lf_endings(text.strip_prefix('\u{feff}').unwrap_or(text));
        let line = text.lines().nth(problem.line?.checked_sub(1)?)?;
        Some(line.to_owned())
    }

    /// How many files were looked at.
    #[must_use]
    pub fn file_count(&self) -> usize {
        let is_ours = |file: &&File| kind_of(&file.path) != Kind::Foreign;
        self.material.files.iter().filter(is_ours).count()
    }

    /// Whether there is a file at `path`, or below it.
    #[must_use]
    pub fn has_path(&self, path: &str) -> bool {
        let is_below = |file: &File| {
            let rest = file.path.strip_prefix(path);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || path.is_empty())
        };
        self.material.files.iter().any(is_below)
    }

    /// Applies all fixes of findings whose path `is_wanted`, again until there are none left. Nothing
    /// is written.
    #[must_use]
    pub fn fixed(mut self, facts: ModelFacts<'_>, is_wanted: impl Fn(&str) -> bool) -> Fixed {
        let before = self.material.files.clone();
        let mut count = 0;
        for _ in 0..MAX_ROUNDS {
            let mut applied = 0;
            for file in &mut self.material.files {
                let found = self
                    .findings
                    .iter()
                    .filter(|finding| finding.problem.path == file.path && is_wanted(&file.path));
                let found: Vec<&Finding> = found.collect();
                if let Some((bytes, fixes)) = fix::apply(&file.bytes, &found) {
                    file.bytes = bytes;
                    applied += fixes;
                }
            }
            if applied == 0 {
                break;
            }
            count += applied;
            self = Self::of(self.material, facts);
        }
        let changed = before.into_iter().zip(&self.material.files);
        Fixed {
            files: changed
                .filter(|(old, new)| old.bytes != new.bytes)
                .map(|(old, new)| (old.path, old.bytes, new.bytes.clone()))
                .collect(),
            count,
            lint: self,
        }
    }
}
