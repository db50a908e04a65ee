//! Files -> [`Suite`]: a promptfoo config with all that it names, read, checked and expanded.
//!
//! ```text
//! node         YAML, JSON -> a tree that knows its places; references, environment
//! models       `providers`          -> model entries
//! prompts      `prompts`            -> prompt entries
//! drafts       `tests`, `scenarios` -> drafts of cases, files of data read
//! expand       drafts -> cases: defaults, lists of variables, groups, names
//! own_keys     `metadata.promptgate`, `evaluateOptions` -> settings
//! ```
//!
//! **Rules**
//! - Every problem is collected with its place; a suite with any is not run.
//! - A key that nobody reads is a problem: what is written must have an effect, or be refused by name.
//! - Nothing outside the root is read, nothing that is read is executed.

mod assertions;
mod drafts;
mod environment;
mod expand;
mod extras;
mod fields;
mod files;
mod finish;
mod glob;
mod ground;
mod groups;
mod judge;
mod kinds;
mod model_names;
mod models;
mod mutations;
mod node;
mod options;
mod own_keys;
mod parameters;
mod problem;
mod prompts;
mod reading;
mod references;
mod run_keys;
mod sources;
#[cfg(test)]
mod tests;
mod top;

pub use files::Files;
pub use ground::{Ground, below};
pub use problem::Problem;

pub(in crate::evals) use node::{Content, Field, Node};
pub(in crate::evals) use problem::listed;

use crate::evals::plan::JudgePlan;
use crate::evals::suite::Suite;
use reading::Loader;
use std::collections::BTreeMap;

/// Where a suite is read from.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The files.
    pub files: &'a Files,
    /// What `{{env.NAME}}` is filled with.
    pub environment: &'a BTreeMap<String, String>,
    /// The directory of suites below the root, which their names leave out.
    pub directory: &'a str,
}

/// A judge, with what people said of answers.
#[derive(Debug, Clone, PartialEq)]
pub struct JudgeFile {
    /// The judge, with its calibration when that is its own.
    pub plan: JudgePlan,
    /// The path and the text of its labels.
    pub labels: Option<(String, String)>,
}

/// Reads and checks the judge whose file is `path`, below the root of `source`.
///
/// # Errors
///
/// Everything that is wrong with it, sorted by place.
pub fn load_judge(source: &Source<'_>, path: &str) -> Result<JudgeFile, Vec<Problem>> {
    judge::load(source, path)
}

/// Reads and checks the suite whose file is `path`, below the root of `source`.
///
/// # Errors
///
/// Everything that is wrong with it, sorted by place.
pub fn load(source: &Source<'_>, path: &str) -> Result<Suite, Vec<Problem>> {
    let loader = Loader::new(source, path);
    let suite = loader.suite();
    loader.finish(suite)
}

/// Returns the paths of the suites below `source`'s directory: YAML and JSON files that have a key of
/// a suite. What belongs to suites (`datasets`, `judges`, `baselines`, `history`) is not looked at.
///
/// # Errors
///
/// When the directory cannot be read.
pub fn find(source: &Source<'_>) -> Result<Vec<String>, Problem> {
    sources::find(source)
}
