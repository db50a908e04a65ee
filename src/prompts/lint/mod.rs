//! The linter: everything that can be known about prompts without serving them, with its exact place.
//!
//! What the load refuses is reported as the load says it: there is one source of errors, and `check`
//! and the linter cannot disagree. The other rules look at the same parsed files.
//!
//! **Invariant**: a fix changes what a prompt means only where that is what its rule is about.

mod alike;
mod compare;
mod declarations;
mod finding;
mod fix;
mod models;
mod policy;
mod read;
mod releases;
mod rule;
mod subject;
mod tags;
mod templates;
#[cfg(test)]
mod tests;
mod texts;
mod walk;
mod yaml;

pub use alike::{Alike, FEWEST_WORDS, PromptText};
pub use finding::{Finding, Fix};
pub use models::ModelFacts;
pub use read::{Fixed, Lint};
pub use rule::{Rule, Severity};

use crate::domain::{BundleHash, PromptKey};
use crate::git::File;
use crate::prompts::files::{self, Shelves};
use crate::prompts::front_matter::with_lf_endings;
use crate::prompts::lint::compare::Base;
use crate::prompts::lint::finding::Sheet;
use crate::prompts::lint::models::Models;
use crate::prompts::lint::policy::Policy;
use crate::prompts::lint::releases::Versions;
use crate::prompts::lint::subject::Subject;
use crate::prompts::lint::yaml::Node;
use crate::prompts::load::{Loaded, load};
use crate::prompts::problem::Problem;
use std::collections::{BTreeMap, BTreeSet};

/// All that the rules look at.
#[derive(Debug, Default)]
struct Material {
    files: Vec<File>,
    /// What was wrong when the files were read.
    problems: Vec<Problem>,
    /// The files that a change is compared with.
    base: Option<Vec<File>>,
    /// Prompts with a file of evals beside them.
    evals: BTreeSet<PromptKey>,
    versions: Versions,
}

/// Finds everything, sorted by place.
fn lint(material: &Material, facts: ModelFacts<'_>) -> Vec<Finding> {
    let shelves = files::sort(&material.files);
    let loaded = load(&material.files);
    let problems = loaded.problems.iter().chain(&material.problems);
    let mut refused: Vec<Finding> = problems.cloned().map(Finding::of).collect();
    mend_broken(material, &mut refused);
    let mut findings = refused;
    let of_load = findings.len();
    let policy = policy_of(&shelves, &mut findings);
    let subjects: Vec<Subject<'_>> = shelves
        .prompts
        .iter()
        .filter_map(|(key, text)| Subject::read(key, text, loaded.prompts.get(key)))
        .collect();
    let models = Models {
        facts,
        policy: &policy,
        shelves: &shelves,
    };
    for subject in &subjects {
        declarations::check(subject, &mut findings);
        templates::check(subject, &shelves, &mut findings);
        models.check(subject, &mut findings);
    }
    files_of_all_kinds(&shelves, &subjects, &mut findings);
    released(material, &shelves, &loaded, facts, &mut findings);
    compare::variants(&subjects, &mut findings);
    compare::repeated(&subjects, &mut findings);
    changes(material, &shelves, &subjects, &mut findings);
    let levelled = findings.into_iter().enumerate();
    let mut findings: Vec<Finding> = levelled
        .filter_map(|(index, mut finding)| {
            // What is not served is an error whatever the registry says.
            if of_load <= index {
                finding.severity = policy.level(&finding)?;
            }
            Some(finding)
        })
        .collect();
    findings.sort();
    findings.dedup();
    findings
}

/// Reads `registry.yaml`; what is wrong with it is added to `findings`.
fn policy_of(shelves: &Shelves, findings: &mut Vec<Finding>) -> Policy {
    let Some(text) = shelves.policies.get(policy::PATH) else {
        return Policy::default();
    };
    let sheet = Sheet {
        path: &text.path,
        text: &text.text,
    };
    Policy::read(sheet, findings)
}

/// Gives what the load refuses its fix, where there is one.
fn mend_broken(material: &Material, refused: &mut [Finding]) {
    for finding in refused
        .iter_mut()
        .filter(|finding| finding.problem.code == Rule::BrokenFile)
    {
        let path = &finding.problem.path;
        let Some(file) = material.files.iter().find(|file| file.path == *path) else {
            continue;
        };
        let Ok(text) = std::str::from_utf8(&file.bytes) else {
            continue;
        };
        // Every fix takes the byte order mark away, so this one has nothing else to do.
        if text.starts_with('\u{feff}') {
            finding.fix = Some(Fix::replace("remove the byte order mark", &(0..0), ""));
            continue;
        }
        let text = with_lf_endings(text);
        let is_last = finding.problem.line == Some(text.lines().count());
        let ends_in_fence = text
            .lines()
            .next_back()
            .is_some_and(|line| line.trim_end() == "---");
        if is_last && ends_in_fence && !text.ends_with('\n') {
            let end = text.len()..text.len();
            finding.fix = Some(Fix::replace("end the file with a line break", &end, "\n"));
        }
    }
}

/// Rules about `releases.yaml`. Where the load says the same of a line, the exact place is shown.
fn released(
    material: &Material,
    shelves: &Shelves,
    loaded: &Loaded,
    facts: ModelFacts<'_>,
    findings: &mut Vec<Finding>,
) {
    let Some(text) = shelves.policies.get(releases::PATH) else {
        return;
    };
    let sheet = Sheet {
        path: &text.path,
        text: &text.text,
    };
    let there = there(shelves, loaded);
    let mut found = Vec::new();
    releases::check(sheet, &there, &material.versions, facts, &mut found);
    let place = |finding: &Finding| {
        let problem = &finding.problem;
        (problem.path.clone(), problem.line, problem.code)
    };
    let exact: Vec<_> = found.iter().map(place).collect();
    findings.retain(|finding| !exact.contains(&place(finding)));
    findings.extend(found);
}

/// The prompts there are, broken ones too, with the versions of those that load.
fn there<'a>(shelves: &'a Shelves, loaded: &Loaded) -> BTreeMap<&'a PromptKey, Option<BundleHash>> {
    let hash = |key: &PromptKey| {
        let prompt = loaded.prompts.get(key)?;
        Some(prompt.bundle.hash())
    };
    shelves.prompts.keys().map(|key| (key, hash(key))).collect()
}

/// Rules that hold for every file, whatever it is.
fn files_of_all_kinds(shelves: &Shelves, subjects: &[Subject<'_>], findings: &mut Vec<Finding>) {
    let front_matters: BTreeMap<&str, &Node> = subjects
        .iter()
        .map(|subject| (subject.sheet.path, &subject.yaml))
        .collect();
    let texts = shelves
        .prompts
        .values()
        .chain(shelves.partials.values())
        .chain(shelves.samples.values())
        .chain(shelves.schemas.values())
        .chain(shelves.tools.values());
    for text in texts.chain(shelves.policies.values()) {
        let sheet = Sheet {
            path: &text.path,
            text: &text.text,
        };
        let settings = front_matters.get(sheet.path).copied();
        texts::check(sheet, settings, findings);
    }
    for (text, is_tool) in shelves
        .schemas
        .values()
        .map(|text| (text, false))
        .chain(shelves.tools.values().map(|text| (text, true)))
    {
        let sheet = Sheet {
            path: &text.path,
            text: &text.text,
        };
        let Some(root) = Node::parse(&text.text, 0) else {
            continue;
        };
        if is_tool {
            declarations::tool_schemas(sheet, &root, findings);
        } else {
            declarations::schema_form(sheet, &root, findings);
        }
    }
}

/// Rules about what changed since the base.
fn changes(
    material: &Material,
    shelves: &Shelves,
    subjects: &[Subject<'_>],
    findings: &mut Vec<Finding>,
) {
    let Some(files) = &material.base else { return };
    let base = Base {
        shelves: files::sort(files),
        loaded: load(files),
    };
    for subject in subjects {
        let has_eval = |key: &PromptKey| material.evals.contains(key);
        compare::uncovered(subject, &base, has_eval, findings);
    }
    compare::whitespace_only(shelves, &base, findings);
}
