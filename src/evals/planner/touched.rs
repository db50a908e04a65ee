//! Which suites a change touches, and why: so that a pull request runs what it must and no more.

use crate::domain::{PromptReference, Selector};
use crate::evals::suite::{PromptSource, Suite};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A suite that a change touches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Touched {
    /// The suite's file.
    pub suite: String,
    /// Why it is to be run, sorted.
    pub because: Vec<Because>,
}

/// Why a suite is to be run.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Because {
    /// The suite's own file is other.
    Suite {
        /// The file.
        path: String,
    },
    /// A file that it names is other: cases, prompts, scripts, its judge.
    File {
        /// The file.
        path: String,
    },
    /// A prompt that it tests is made from a file that is other.
    Prompt {
        /// The prompt.
        prompt: String,
        /// The file: the prompt's own, a partial, a schema, a tool.
        path: String,
    },
    /// What labels mean may be other, and it tests what a label means.
    Labels {
        /// The prompt.
        prompt: String,
        /// The file.
        path: String,
    },
}

/// Where the prompts of the registry come from.
pub struct PromptFiles<'a> {
    /// The files that a prompt is made from, in head and in base, as paths below the root.
    pub files_of: &'a dyn Fn(&PromptReference) -> BTreeSet<String>,
    /// The file that says what labels mean.
    pub releases: &'a str,
}

impl fmt::Debug for PromptFiles<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PromptFiles")
            .finish_non_exhaustive()
    }
}

/// Returns the suites that `changed` paths (below the root) touch, by file. `base` are the suites as
/// they were before, so that a file that is gone counts too.
#[must_use]
pub fn touched(
    changed: &BTreeSet<String>,
    head: &[Suite],
    base: &[Suite],
    prompts: &PromptFiles<'_>,
) -> Vec<Touched> {
    let before: BTreeMap<&str, &Suite> = base.iter().map(|suite| (&*suite.path, suite)).collect();
    let found = head.iter().filter_map(|suite| {
        let mut because = BTreeSet::new();
        let old = before.get(suite.path.as_str()).copied();
        let files = [Some(suite), old].into_iter().flatten();
        for (path, _) in files.flat_map(|suite| &suite.files) {
            if changed.contains(path) {
                let path = path.clone();
                because.insert(if path == suite.path {
                    Because::Suite { path }
                } else {
                    Because::File { path }
                });
            }
        }
        for entry in &suite.prompts {
            if let PromptSource::Registry(reference) = &entry.source {
                because.extend(of_prompt(changed, reference, prompts));
            }
        }
        (!because.is_empty()).then(|| Touched {
            suite: suite.path.clone(),
            because: because.into_iter().collect(),
        })
    });
    found.collect()
}

fn of_prompt(
    changed: &BTreeSet<String>,
    reference: &PromptReference,
    prompts: &PromptFiles<'_>,
) -> Vec<Because> {
    let prompt = reference.to_string();
    match reference.selector {
        // These stay what they are whatever is edited.
        Selector::Number(_)
        | Selector::Hash(_)
        | Selector::GitRef(_)
        | Selector::PullRequest(_) => Vec::new(),
        Selector::Label(_) if changed.contains(prompts.releases) => vec![Because::Labels {
            prompt,
            path: prompts.releases.to_owned(),
        }],
        Selector::Default | Selector::Latest | Selector::Label(_) => {
            let files = (prompts.files_of)(reference);
            let files = files.into_iter().filter(|path| changed.contains(path));
            files
                .map(|path| Because::Prompt {
                    prompt: prompt.clone(),
                    path,
                })
                .collect()
        }
    }
}
