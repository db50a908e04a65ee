//! What a suite is: prompts, models, cases and what is asserted of their answers.
//!
//! The words are promptfoo's where it has one; ours live under `metadata.promptgate`.

mod assertion;
mod case;
mod committed;
pub(in crate::evals) mod load;
mod settings;

pub use assertion::{
    AssertNode, AssertSet, Assertion, AssertionKind, AssertionValue, Decider, Script,
};
pub use case::{Case, CaseId, CaseOptions, GroupMember, Place};
pub use committed::{Committed, committed};
pub use load::{Files, Ground, JudgeFile, Problem, Source, below, find, load, load_judge};
pub use settings::{
    Alert, Budget, Counterfactual, Gate, GateKind, JudgeRules, OnExceed, OnInconclusive,
    OutputShiftWish, Overlap, Pack, Schedule, Settings, Stopping,
};

use crate::domain::PromptReference;
use crate::evals::plan::JudgePlan;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A suite whose files are all read and checked. Templates in it are not filled yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Suite {
    /// What people call it: the path below the evals directory without its ending.
    pub name: String,
    /// The path of its file, as it was given.
    pub path: String,
    /// What it says it is.
    pub description: Option<String>,
    /// SHA-256 (64 hex digits) over everything that it was made from but prompts of the registry.
    pub hash: String,
    /// What is tested.
    pub prompts: Vec<PromptEntry>,
    /// Who answers.
    pub models: Vec<ModelEntry>,
    /// The cases, scenarios and variable lists expanded, defaults merged in.
    pub cases: Vec<Case>,
    /// Figures made from named scores.
    pub derived_metrics: Vec<DerivedMetric>,
    /// How it is run, and judged as a whole.
    pub settings: Settings,
    /// What should be known but stops nothing.
    pub warnings: Vec<String>,
    /// Every file it was read from, as `(path, SHA-256)`: a change of one touches the suite.
    pub files: Vec<(String, String)>,
    /// The judge that it names, read from its file.
    #[serde(default)]
    pub judge: Option<JudgePlan>,
}

/// A prompt of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptEntry {
    /// What reports call it.
    pub label: String,
    /// Where its text comes from.
    pub source: PromptSource,
    /// Request parameters that the prompt brings (`temperature`, ...).
    pub config: Map<String, Value>,
    /// Where it stands.
    pub place: Place,
}

/// Where the text of a prompt comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptSource {
    /// A prompt of the registry: `prompt://NAME[@SELECTOR]`.
    Registry(#[serde(with = "reference_text")] PromptReference),
    /// A template. What it is filled to is one user message, or the messages themselves when it is a
    /// JSON list of them.
    Text(String),
    /// A list of chat messages with templates in their contents.
    Chat(Value),
}

/// Who answers the prompts of a suite.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelEntry {
    /// What reports call it.
    pub label: String,
    /// Who it is.
    pub source: ModelSource,
    /// Request parameters (`temperature`, `max_tokens`, `tools`, ...), as the chat API names them.
    pub config: Map<String, Value>,
    /// Labels of the prompts it answers; empty for all.
    pub prompts: Vec<String>,
    /// What is done to each of its answers before anything else.
    pub transform: Option<Script>,
    /// Milliseconds to wait between two of its calls.
    pub delay_ms: u64,
    /// Where it stands.
    pub place: Place,
}

/// Who a model entry is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// The model that the prompt itself names: `gateway:default`.
    OfPrompt,
    /// A model name as the gateway routes it: `openai/gpt-4.1`.
    Route(String),
    /// Answers with the prompt itself: promptfoo's `echo`.
    Echo,
}

/// A figure made from named scores: promptfoo's `derivedMetrics`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DerivedMetric {
    /// Its name.
    pub name: String,
    /// An arithmetic expression over the sums of named scores and `__count`.
    pub expression: String,
    /// Where it stands.
    pub place: Place,
}

mod reference_text {
    use crate::domain::PromptReference;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(
        reference: &PromptReference,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(reference)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<PromptReference, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}
