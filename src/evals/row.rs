//! A row: what came of one cell of a run. Kept one by one, so that a killed run goes on.
//!
//! Rows are JSON, version 1, in the journal. A field may be added with a default; none changes its
//! meaning.

pub use crate::domain::RunId;

use crate::domain::{CallId, Cost, Timestamp, TokenUsage};
use crate::evals::gateway::AskError;
use crate::evals::grade::CaseGrade;
use crate::evals::plan::Side;
use crate::evals::suite::CaseId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Which cell of the run.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CellKey {
    /// Which side.
    pub side: Side,
    /// The subject's label.
    pub subject: String,
    /// The case.
    pub case: CaseId,
    /// Which repeat, from 0.
    pub repeat: u32,
}

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// The layout: 1.
    pub version: u32,
    /// Of which run.
    pub run: RunId,
    /// Of which cell.
    pub cell: CellKey,
    /// SHA-256 over what was asked and how it is graded: a resumed run takes only rows that fit.
    pub cell_hash: String,
    /// When the question was asked.
    pub at: Timestamp,
    /// The filled variables.
    pub vars: Map<String, Value>,
    /// What was sent, as messages.
    pub sent: Vec<Value>,
    /// The answer; absent when there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<AskError>,
    /// What the assertions say.
    pub grade: CaseGrade,
}

/// The answer of a cell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The record of the call; `None` when nobody was asked.
    pub call: Option<CallId>,
    /// What is graded: text, or what a transform made of it.
    pub output: Value,
    /// The message as it came.
    pub message: Value,
    /// Why the model stopped.
    pub finish_reason: Option<String>,
    /// The model that answered, by its own account.
    pub model_returned: Option<String>,
    /// Tokens.
    pub usage: Option<TokenUsage>,
    /// Money; what was paid when it was asked, also when it came from the cache.
    pub cost: Cost,
    /// From the question to the last byte, in microseconds.
    pub latency_us: u64,
    /// When it was really asked, if it came from the cache; such a latency is no measurement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<Timestamp>,
}
