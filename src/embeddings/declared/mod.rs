//! What `embeddings.toml` declares: spaces and pipelines by name, and collections with their labels.
//!
//! It is read whole and every problem is named; with any, the one before stays in force.

mod labels;
mod read;

pub use labels::labels_that_lead_nowhere;
pub use read::read;
pub(crate) use read::too_short;

use crate::domain::nearest_names;
use crate::embeddings::name::Selector;
use crate::embeddings::pipeline::Pipeline;
use crate::embeddings::space::Space;
use arc_swap::ArcSwap;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is declared.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Declared {
    /// Embedding versions by name.
    pub spaces: BTreeMap<String, Space>,
    /// Pipelines by name.
    pub pipelines: BTreeMap<String, Pipeline>,
    /// Collections by name.
    pub collections: BTreeMap<String, Collection>,
}

/// What is declared of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Collection {
    /// The space of its next snapshot, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub space: Option<String>,
    /// The pipeline of its next snapshot, by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipeline: Option<String>,
    /// Where its labels point.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Selector>,
    /// How its new snapshots are watched; not at all when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<WatchedDocuments>,
}

/// How the new items of a collection's snapshots are held against those before, by a server on its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WatchedDocuments {
    /// How many false alarms a month are expected at most.
    pub alarms_per_month: u32,
    /// Where alarms are sent: `env:NAME` or `file:PATH` with a URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<String>,
}

/// Something in `embeddings.toml` that cannot be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Where: `spaces.small.dimensions`.
    pub path: String,
    /// What.
    pub problem: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}` {}", self.path, self.problem)
    }
}

/// What is declared now.
///
/// Labels may be overridden: then they lead elsewhere than the file says, until it says the same.
#[derive(Debug, Default)]
pub struct CurrentDeclared {
    written: ArcSwap<Declared>,
    in_force: ArcSwap<Declared>,
    overrides: Mutex<BTreeMap<(String, String), Selector>>,
    /// What is wrong with a later file that was not taken.
    refused: ArcSwap<Vec<String>>,
}

impl CurrentDeclared {
    /// Begins with `declared`.
    #[must_use]
    pub fn new(declared: Declared) -> Self {
        let current = Self::default();
        current.replace(declared);
        current
    }

    /// Returns what is in force now: what the file says, with the overrides of its labels.
    #[must_use]
    pub fn get(&self) -> Arc<Declared> {
        self.in_force.load_full()
    }

    /// Returns what the file says.
    #[must_use]
    pub fn written(&self) -> Arc<Declared> {
        self.written.load_full()
    }

    /// Puts another declaration in force.
    pub fn replace(&self, declared: Declared) {
        let overrides = self.overrides();
        self.written.store(Arc::new(declared));
        self.refused.store(Arc::default());
        self.lay_over(&overrides);
    }

    /// Remembers what is wrong with a later file, which is not in force.
    pub fn refuse(&self, problems: Vec<String>) {
        self.refused.store(Arc::new(problems));
    }

    /// Returns what is wrong with a later file than the one in force; nothing when there is none.
    #[must_use]
    pub fn refused(&self) -> Arc<Vec<String>> {
        self.refused.load_full()
    }

    /// Lets a label lead elsewhere than the file says; `None` lets it lead there again.
    pub fn override_label(&self, collection: &str, label: &str, to: Option<Selector>) {
        let mut overrides = self.overrides();
        let place = (collection.to_owned(), label.to_owned());
        match to {
            Some(to) => overrides.insert(place, to),
            None => overrides.remove(&place),
        };
        self.lay_over(&overrides);
    }

    fn overrides(&self) -> MutexGuard<'_, BTreeMap<(String, String), Selector>> {
        self.overrides
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lay_over(&self, overrides: &BTreeMap<(String, String), Selector>) {
        let mut declared = Declared::clone(&self.written.load());
        for ((collection, label), to) in overrides {
            let found = declared.collections.entry(collection.clone());
            let labels = &mut found.or_default().labels;
            labels.insert(label.clone(), to.clone());
        }
        self.in_force.store(Arc::new(declared));
    }
}

impl Declared {
    /// Returns where a label of a collection points; `None` when there is no such label.
    #[must_use]
    pub fn label(&self, collection: &str, label: &str) -> Option<&Selector> {
        self.collections.get(collection)?.labels.get(label)
    }

    /// Returns the labels that a collection has, in words: `production`, `staging`.
    #[must_use]
    pub fn labels_of(&self, collection: &str) -> Vec<&str> {
        let found = self.collections.get(collection);
        let labels = found.into_iter().flat_map(|found| found.labels.keys());
        labels.map(String::as_str).collect()
    }
}

/// Returns a hint with the nearest of `names`, else all of them when they are few.
pub(crate) fn meant<'a>(
    wanted: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(nearest) = nearest_names(wanted, names.clone()).first() {
        return Some(format!("did you mean `{nearest}`?"));
    }
    let all: Vec<String> = names.map(|name| format!("`{name}`")).collect();
    (1..=12)
        .contains(&all.len())
        .then(|| format!("there are {}", all.join(", ")))
}
