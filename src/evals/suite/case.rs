//! A case: variables, what is asserted of the answer, and to whom it belongs.

use crate::evals::plan::Subject;
use crate::evals::suite::{AssertNode, Script};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Where something stands, for messages and annotations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Place {
    /// The file, as paths are shown to people.
    pub file: String,
    /// The line, from 1; 0 when it is not known.
    pub line: u32,
    /// The column, from 1; 0 when it is not known.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.line, self.column) {
            (0, _) => formatter.write_str(&self.file),
            (line, 0) => write!(formatter, "{}:{line}", self.file),
            (line, column) => write!(formatter, "{}:{line}:{column}", self.file),
        }
    }
}

/// The name of a case, the same from run to run while its variables stay: `metadata.id`, or the first
/// 12 hex digits of the SHA-256 of its variables and assertions, with `-2`, `-3`, ... for twins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CaseId(pub String);

/// One case, defaults merged in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Case {
    /// Its name.
    pub id: CaseId,
    /// What it says it is; a template over the variables.
    pub description: Option<String>,
    /// The variables. Strings are templates.
    pub vars: Map<String, Value>,
    /// What is asserted of the answer.
    pub asserts: Vec<AssertNode>,
    /// With it the case passes when the weighted score reaches it; without, when every assertion passes.
    pub threshold: Option<f64>,
    /// Scores all assertions together instead of the weighted mean: `assertScoringFunction`.
    pub scoring: Option<Script>,
    /// How it is run.
    pub options: CaseOptions,
    /// What its author says of it.
    pub metadata: Map<String, Value>,
    /// Labels of the models that answer it; empty for all.
    pub models: Vec<String>,
    /// Labels of the prompts it is asked of; empty for all.
    pub prompts: Vec<String>,
    /// An answer that is given: nobody is asked.
    pub given_output: Option<Value>,
    /// Cases of one cluster (a conversation, a document) are not independent.
    pub cluster: Option<String>,
    /// What it is counted under: `language` -> `de`.
    pub slices: BTreeMap<String, String>,
    /// Where it says what a client sends beside the variables of a prompt of the registry: `vars.question`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<String>,
    /// Its place in a counterfactual group.
    pub group: Option<GroupMember>,
    /// Where it stands.
    pub place: Place,
}

impl Case {
    /// Whether the case is asked of `subject`.
    #[must_use]
    pub fn is_for(&self, subject: &Subject) -> bool {
        let has = |labels: &[String], label: &String| labels.is_empty() || labels.contains(label);
        has(&self.models, &subject.model_label) && has(&self.prompts, &subject.prompt_label)
    }
}

/// A case that differs from others in nothing but who it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMember {
    /// The same for all cases that are compared with each other.
    pub pair: String,
    /// Which group it stands for.
    pub group: String,
    /// Whether it is a second sample of its own group: what differs there is noise.
    pub is_control: bool,
}

/// How a case is run.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct CaseOptions {
    /// Text before the prompt.
    pub prefix: Option<String>,
    /// Text after the prompt.
    pub suffix: Option<String>,
    /// What is done to the answer before it is graded.
    pub transform: Option<Script>,
    /// What is done to the variables before the prompt is filled.
    pub transform_vars: Option<Script>,
    /// The variable that later cases find the answer in; such cases run one after another.
    pub store_output_as: Option<String>,
    /// The judge's instructions in place of the built-in ones, text or a list of messages.
    pub rubric_prompt: Option<Value>,
    /// The judge: a model name, or an object by purpose (`text`, `embedding`, ...).
    pub grader: Option<Value>,
    /// Scores of the categories of `factuality`.
    pub factuality: Option<Value>,
    /// Whether the case runs alone.
    pub is_serial: bool,
    /// Whether `_conversation` is not filled.
    pub is_without_conversation: bool,
    /// How often it is asked, when not as often as the suite says.
    pub repeat: Option<u32>,
    /// The rest of promptfoo's `options`, which the prompt may use.
    pub other: Map<String, Value>,
}
