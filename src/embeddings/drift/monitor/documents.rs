//! Document drift: whether what a collection got lies where its items were, or is new to it.

use crate::embeddings;
use crate::embeddings::Rows as _;
use crate::embeddings::drift::monitor::Drift;
use crate::embeddings::drift::monitor::look::load_some;
use crate::embeddings::drift::{
    FEWEST, Finding, Group, Told, documents_message, examine, groups, permutations_for, short,
};
use crate::embeddings::snapshots::Error;
use crate::embeddings::space::TextHash;
use crate::embeddings::vault::Snapshot;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// The chance of a false finding: one look that somebody asks for has no budget.
const LEVEL: f64 = 0.01;
/// How many texts are told by the other measure.
const OTHERS: usize = 5;
/// The seed of what is drawn: the same snapshots give the same answer.
const SEED: u64 = 1;

/// Which snapshots are held against each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DocumentsWish {
    /// The snapshot of before.
    pub before: String,
    /// The one of after, in the same space.
    pub after: String,
}

/// What new items are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Documents {
    /// The snapshot of before.
    pub before: String,
    /// The one of after.
    pub after: String,
    /// How many items have a text that was not there before.
    pub new: usize,
    /// The level of the finding.
    pub level: f64,
    /// Whether the new items are other than those before.
    pub is_drift: bool,
    /// What was found.
    pub finding: Finding,
    /// The groups of new texts.
    pub groups: Vec<Group>,
    /// New texts by the other measure, where it shows others.
    pub others: Vec<String>,
    /// The message.
    pub text: String,
}

impl Drift {
    /// Holds the items of a snapshot that are new against all that were there before, at most 2 000 drawn of
    /// either. Blocks.
    ///
    /// # Errors
    ///
    /// `SpaceMismatch`; `Invalid` when too few are new; those of the vault.
    pub fn documents(&self, wish: &DocumentsWish) -> Result<Documents, Error> {
        self.judge_documents(wish, LEVEL)
    }

    /// The same with a chance of a false finding of `level`. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Drift::documents`].
    pub(super) fn judge_documents(
        &self,
        wish: &DocumentsWish,
        level: f64,
    ) -> Result<Documents, Error> {
        let before = self.snapshots.manifest(&wish.before)?;
        let after = self.snapshots.manifest(&wish.after)?;
        if before.space_id != after.space_id {
            return Err(embeddings::Error::SpaceMismatch {
                first: before.name(),
                second: after.name(),
                changes: before.space.differences(&after.space),
            }
            .into());
        }
        let vault = self.snapshots.vault();
        let (old, new) = (
            vault.open_snapshot(&before.id)?,
            vault.open_snapshot(&after.id)?,
        );
        let known = texts(&old);
        let is_new = |row: usize| new.text_hash(row).is_none_or(|hash| !known.contains(&hash));
        let count = (0..new.len()).filter(|row| is_new(*row)).count();
        if count < FEWEST || old.len() < FEWEST {
            let problem = format!(
                "has {count} items whose texts are new beside {} of `{}`, and {FEWEST} of each are needed",
                old.len(),
                before.name()
            );
            return Err(Error::invalid(&after.name(), problem, None));
        }
        let reference = load_some(&old, |_| true)?;
        let current = load_some(&new, is_new)?;
        let chance = (permutations_for(level), SEED);
        let finding = examine(&reference.rows, &current.rows, chance).ok_or_else(|| {
            let problem = "has vectors that cannot be held against those before: they must differ and not be zero";
            Error::invalid(&after.name(), problem, None)
        })?;
        let region = finding.region.as_ref();
        let rows = region.map(|region| region.rows.clone()).unwrap_or_default();
        let others = region.map(|region| region.others.clone());
        let found = groups(Told::from(&reference), Told::from(&current), &rows, SEED);
        let others = others.unwrap_or_default().into_iter().take(OTHERS);
        let others = others.filter_map(|row| current.texts.get(row));
        let is_drift = finding.p_value <= level;
        let names = (before.name(), after.name());
        Ok(Documents {
            text: documents_message((&names.0, &names.1), &finding, &found, is_drift),
            before: names.0,
            after: names.1,
            new: count,
            level,
            is_drift,
            others: others.map(|text| short(text)).collect(),
            groups: found,
            finding,
        })
    }
}

fn texts(snapshot: &Snapshot) -> HashSet<TextHash> {
    let rows = 0..snapshot.len();
    rows.filter_map(|row| snapshot.text_hash(row)).collect()
}
