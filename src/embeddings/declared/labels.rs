//! Labels against the snapshots there are: one that leads nowhere must not be what is served.

use crate::embeddings::declared::{Declared, Problem};
use crate::embeddings::vault::{VaultError, check_target};
use std::path::Path;

/// Returns the labels that lead to no snapshot of the vault in `dir` (`data/embeddings`), which need not be open.
/// Those of a collection that never had a snapshot are left alone. Blocks.
#[must_use]
pub fn labels_that_lead_nowhere(declared: &Declared, dir: &Path) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (collection, said) in &declared.collections {
        for (label, target) in &said.labels {
            let Err(error) = check_target(dir, collection, label, target) else {
                continue;
            };
            problems.push(Problem {
                path: format!("collections.{collection}.labels.{label}"),
                problem: in_words(&error),
                hint: hint(&error),
            });
        }
    }
    problems
}

/// Why a label leads nowhere, to be read behind its place in the file.
fn in_words(error: &VaultError) -> String {
    match error {
        VaultError::NoTarget { target, .. } => {
            format!("leads to `{target}`, and there is no such snapshot")
        }
        other => format!("leads to no snapshot that can be used: {other}"),
    }
}

fn hint(error: &VaultError) -> Option<String> {
    match error {
        VaultError::NoTarget { choices, .. } if !choices.is_empty() => {
            Some(format!("there are {}", choices.join(", ")))
        }
        VaultError::NoTarget { .. } => Some("make the snapshot first".to_owned()),
        other => other.hint(),
    }
}
