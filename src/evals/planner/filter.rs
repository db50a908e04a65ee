//! Which cases are asked, when not all are.

use crate::domain::matches_glob;
use crate::evals::suite::{Case, Place, Problem, Suite};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Which cases are asked. What is said several times must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Names of cases.
    pub ids: BTreeSet<String>,
    /// A part of the description or of the name; `*` stands for anything.
    pub pattern: Option<String>,
    /// `metadata` keys with the value that they must have, or hold in a list.
    pub metadata: Vec<(String, String)>,
    /// Only cases of this set: those that failed before.
    pub failing: Option<BTreeSet<String>>,
    /// Names of models, with `*`; none for all.
    pub models: Vec<String>,
    /// Names of prompts, with `*`; none for all.
    pub prompts: Vec<String>,
    /// Only the first.
    pub first: Option<usize>,
    /// So many, chosen by a seed: the same each time.
    pub sample: Option<(usize, u64)>,
}

impl Filter {
    /// Whether nothing is left out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a model or prompt is meant by `names`.
    pub(super) fn is_meant(names: &[String], label: &str) -> bool {
        names.is_empty()
            || names
                .iter()
                .any(|name| name == label || (name.contains('*') && matches_glob(name, label)))
    }

    /// Returns the cases that are asked, in their order; none is a problem.
    pub(super) fn cases(&self, suite: &Suite, problems: &mut Vec<Problem>) -> Vec<Case> {
        let place = || Place {
            file: suite.path.clone(),
            ..Place::default()
        };
        for id in &self.ids {
            if !suite.cases.iter().any(|case| case.id.0 == *id) {
                let known: Vec<&str> = suite.cases.iter().map(|case| case.id.0.as_str()).collect();
                let near = crate::domain::nearest_names(id, known.into_iter());
                let problem = Problem::new(place(), format!("there is no case `{id}`"));
                problems.push(match near.first() {
                    Some(near) => problem.hint(format!("did you mean `{near}`?")),
                    None => problem.hint("`promptgate evals check --json` lists them"),
                });
            }
        }
        let (start, end) = suite.settings.range.unwrap_or((0, usize::MAX));
        let ranged = suite.cases.iter().take(end).skip(start);
        let mut cases: Vec<&Case> = ranged.filter(|case| self.takes(case)).collect();
        if let Some((count, seed)) = self.sample {
            cases = sampled(&cases, count, seed);
        }
        if let Some(first) = self.first {
            cases.truncate(first);
        }
        if cases.is_empty() && problems.is_empty() {
            let message = format!("no case of {} is left by the filter", suite.cases.len());
            problems.push(Problem::new(place(), message).hint("choose less narrowly"));
        }
        cases.into_iter().cloned().collect()
    }

    fn takes(&self, case: &Case) -> bool {
        let id = case.id.0.as_str();
        let has_pattern = self.pattern.as_ref().is_none_or(|pattern| {
            let glob = format!("*{}*", pattern.to_lowercase());
            let description = case.description.as_deref().unwrap_or_default();
            matches_glob(&glob, &description.to_lowercase())
                || matches_glob(&glob, &id.to_lowercase())
        });
        let has_metadata = self.metadata.iter().all(|(key, wanted)| {
            case.metadata
                .get(key)
                .is_some_and(|value| holds(value, wanted))
        });
        (self.ids.is_empty() || self.ids.contains(id))
            && self
                .failing
                .as_ref()
                .is_none_or(|failing| failing.contains(id))
            && has_pattern
            && has_metadata
    }
}

fn holds(value: &Value, wanted: &str) -> bool {
    match value {
        Value::String(text) => text == wanted,
        Value::Array(items) => items.iter().any(|item| holds(item, wanted)),
        Value::Null => false,
        other => other.to_string() == wanted,
    }
}

/// The cases with the lowest hashes under a seed, in their own order: another case more or less does
/// not change the choice among the rest.
fn sampled<'a>(cases: &[&'a Case], count: usize, seed: u64) -> Vec<&'a Case> {
    let mut hashed: Vec<(Vec<u8>, usize)> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| {
            let digest = Sha256::digest(format!("{seed}:{}", case.id.0).as_bytes());
            (digest.iter().copied().collect(), index)
        })
        .collect();
    hashed.sort();
    let mut chosen: Vec<usize> = hashed
        .into_iter()
        .take(count)
        .map(|(_, index)| index)
        .collect();
    chosen.sort_unstable();
    let chosen = chosen.into_iter().filter_map(|index| cases.get(index));
    chosen.copied().collect()
}
