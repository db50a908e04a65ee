//! Runs of evals, as far as every room must know of them: their name, and what a call was made for.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// The name of a run: a UUID version 7, its order is time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// Returns a fresh id.
    #[must_use]
    pub fn fresh() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Uuid::parse_str(text).map(Self)
    }
}

/// What a call of a run is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// The answer to a case.
    Case,
    /// A judgement.
    Judge,
    /// Vectors of texts.
    Embedding,
}

/// For which run a call was made, and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRef {
    /// The run.
    pub run: RunId,
    /// The case; empty when it is for none.
    pub case: String,
    /// What for.
    pub purpose: Purpose,
    /// SHA-256 (64 hex digits) of the question, the place in the run included: a run that was cut finds
    /// the answer by it instead of asking again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
}
