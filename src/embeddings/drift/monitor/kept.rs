//! What is kept of monitors, as one setting of the store.

use crate::domain::PicoDollars;
use crate::embeddings::drift::shelf::Shelf;
use crate::embeddings::drift::{Alarm, Budget, Finding, Group, Standing};
use crate::embeddings::recorded::Input;
use crate::embeddings::snapshots::{Error, SpaceWish};
use crate::store::Store;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

const SHELF: Shelf = Shelf {
    name: "embeddings.drift",
    format: 1,
};
/// How many alarms are kept.
const MOST_ALARMS: usize = 200;

/// What a monitor watches, and how closely.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Its name.
    pub name: String,
    /// The prompt whose calls it reads.
    pub prompt: String,
    /// Which part of a request is its text.
    pub input: Input,
    /// The space that texts are embedded in.
    pub space: SpaceWish,
    /// How many distinct texts make a window.
    pub window: usize,
    /// The share of calls that is read.
    pub sample: f64,
    /// The most that embedding one window may cost.
    pub max_cost: Option<PicoDollars>,
    /// Where alarms are sent: `env:NAME` or `file:PATH` with a URL.
    pub webhook: Option<String>,
    /// The snapshot that texts are looked for in, as queries.
    #[serde(default)]
    pub search_in: Option<String>,
    /// The cosine below which a best answer is far; drawn from the reference when none is said.
    #[serde(default)]
    pub threshold: Option<f64>,
}

/// A look at a window, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Look {
    /// When it was made, in Unix milliseconds.
    pub at_ms: i64,
    /// The chance of a false hit that it had.
    pub alpha: f64,
    /// What was found.
    pub finding: Finding,
    /// What it came to.
    pub standing: Standing,
    /// The groups of new texts.
    pub groups: Vec<Group>,
    /// New texts by the other measure, where it shows others.
    pub others: Vec<String>,
    /// The snapshot of the window.
    pub window: String,
    /// When its first and last texts came, in Unix milliseconds.
    pub span_ms: (i64, i64),
    /// The message, as an alarm has it.
    pub text: String,
}

/// A monitor as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Monitor {
    /// What it watches.
    pub settings: Settings,
    /// The snapshot that windows are held against.
    pub reference: String,
    /// What may be spent of false alarms.
    pub budget: Budget,
    /// Calls up to then were read, in Unix milliseconds.
    pub read_until_ms: i64,
    /// When it began, in Unix milliseconds.
    pub began_ms: i64,
    /// How many looks were made.
    pub looks: u64,
    /// The newest look.
    pub last: Option<Look>,
    /// Why the newest look could not be made.
    pub fault: Option<String>,
}

/// All monitors of a data directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Book {
    format: u32,
    /// The monitors by name.
    pub monitors: BTreeMap<String, Monitor>,
    /// Alarms, the newest last.
    pub alarms: Vec<Alarm>,
}

impl Default for Book {
    fn default() -> Self {
        Self {
            format: SHELF.format,
            monitors: BTreeMap::new(),
            alarms: Vec::new(),
        }
    }
}

impl Book {
    /// Reads it. Blocks.
    pub(super) fn read(store: &Store) -> Result<Self, Error> {
        SHELF.read(store, |kept: &Self| kept.format)
    }

    /// Writes it. Blocks.
    pub(super) fn write(&mut self, store: &Store) -> Result<(), Error> {
        let surplus = self.alarms.len().saturating_sub(MOST_ALARMS);
        self.alarms.drain(..surplus);
        SHELF.write(store, self)
    }
}
