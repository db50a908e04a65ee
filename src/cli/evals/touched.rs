//! Which suites a change touches: they are run, the others are named and left out.

use crate::app::{self, Config};
use crate::cli::output::{self, Failure};
use crate::cli::prompts::failure;
use crate::domain::PromptReference;
use crate::evals::planner::{Because, PromptFiles, Touched, touched};
use crate::evals::suite::{PromptSource, Suite};
use crate::prompts::Prompts;
use crate::prompts::diff::{Revision, Tree, changed_files};
use std::collections::{BTreeMap, BTreeSet};

/// Suites as they are and as they were, in the same order.
pub(crate) struct Change<'a> {
    pub(crate) heads: &'a [Suite],
    /// Where there was none before, the one of now stands.
    pub(crate) bases: &'a [Suite],
    /// The paths of those that were not there, or not readable.
    pub(crate) absent: &'a BTreeSet<String>,
    /// What people call the time before.
    pub(crate) base: &'a str,
}

/// The prompts of both sides, when suites refer to any.
struct Trees {
    base: Tree,
    head: Tree,
    /// Their directory below the root.
    directory: String,
}

/// Returns the paths of the suites that the change touches, and says of each suite what becomes of it.
pub(crate) fn only_touched(
    change: &Change<'_>,
    config: &Config,
) -> Result<BTreeSet<String>, Failure> {
    let trees = trees(change, config)?;
    let mut changed = changed_suites(change);
    if let Some(trees) = &trees {
        let files = changed_files(&trees.base, &trees.head);
        changed.extend(files.iter().map(|path| trees.path(path)));
    }
    let files_of = |reference: &PromptReference| {
        let trees = trees.iter();
        trees.flat_map(|trees| trees.files_of(reference)).collect()
    };
    let releases = trees.as_ref().map(|trees| trees.path("releases.yaml"));
    let found = touched(
        &changed,
        change.heads,
        change.bases,
        &PromptFiles {
            files_of: &files_of,
            releases: releases.as_deref().unwrap_or_default(),
        },
    );
    say(change, &found);
    Ok(found.into_iter().map(|touched| touched.suite).collect())
}

/// The files of suites that differ; a suite that is new is its own reason.
fn changed_suites(change: &Change<'_>) -> BTreeSet<String> {
    let mut changed = change.absent.clone();
    for (head, base) in change.heads.iter().zip(change.bases) {
        let by_path =
            |suite: &Suite| -> BTreeMap<String, String> { suite.files.iter().cloned().collect() };
        let (now, before) = (by_path(head), by_path(base));
        let paths = now.keys().chain(before.keys());
        let is_other = |path: &&String| now.get(*path) != before.get(*path);
        changed.extend(paths.filter(is_other).cloned());
    }
    changed
}

fn trees(change: &Change<'_>, config: &Config) -> Result<Option<Trees>, Failure> {
    let mut entries = change.heads.iter().flat_map(|suite| &suite.prompts);
    if !entries.any(|entry| matches!(entry.source, PromptSource::Registry(_))) {
        return Ok(None);
    }
    let prompts = Prompts::archived(config.prompts.clone(), app::read_only_archive(config));
    let before = Revision::Reference(change.base.to_owned());
    let at = config.prompts.source.at(change.base).map_err(failure)?;
    Ok(Some(Trees {
        base: prompts.tree(&before).map_err(failure)?,
        head: prompts.tree(&Revision::Working).map_err(failure)?,
        directory: at.subpath,
    }))
}

impl Trees {
    /// A path below the root.
    fn path(&self, below: &str) -> String {
        if self.directory.is_empty() {
            below.to_owned()
        } else {
            format!("{}/{below}", self.directory)
        }
    }

    fn files_of(&self, reference: &PromptReference) -> BTreeSet<String> {
        let sides = [&self.base, &self.head].into_iter();
        let files = sides.flat_map(|tree| tree.files_of(&reference.key));
        files.map(|path| self.path(&path)).collect()
    }
}

fn say(change: &Change<'_>, found: &[Touched]) {
    let base = change.base;
    for suite in change.heads {
        let touched = found.iter().find(|touched| touched.suite == suite.path);
        let path = &suite.path;
        match touched {
            Some(touched) if change.absent.contains(path) => {
                output::say(&format!("{}: run, it is not at `{base}`\n", touched.suite));
            }
            Some(touched) => {
                let reasons: Vec<String> = touched.because.iter().map(words).collect();
                output::say(&format!(
                    "{path}: run, other than at `{base}`: {}\n",
                    reasons.join(", ")
                ));
            }
            None => output::say(&format!(
                "{path}: left out, nothing that it is made from is other than at `{base}`\n"
            )),
        }
    }
}

fn words(because: &Because) -> String {
    match because {
        Because::Suite { path } | Because::File { path } => path.clone(),
        Because::Prompt { prompt, path } => format!("{path} (prompt `{prompt}`)"),
        Because::Labels { prompt, path } => format!("{path} (what `{prompt}` means)"),
    }
}
