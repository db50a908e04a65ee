//! A run that is ready to go: nothing in it is read from a file again.
//!
//! It is JSON, version 1, because the process that reads the files need not be the one that asks.

use crate::domain::{BundleHash, PromptKey};
use crate::evals::baseline::Baseline;
use crate::evals::suite::{
    Case, Committed, DerivedMetric, ModelSource, Script, Settings, committed,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::Path;

/// Everything that a run needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// The layout: 1.
    pub version: u32,
    /// The suite's name.
    pub suite: String,
    /// The suite's file, for reports.
    pub path: String,
    /// What the suite says it is.
    pub description: Option<String>,
    /// The suite's hash.
    pub suite_hash: String,
    /// What is compared: head alone, or base and head.
    pub sides: Vec<SidePlan>,
    /// Figures made from named scores.
    pub derived_metrics: Vec<DerivedMetric>,
    /// How it is run and judged.
    pub settings: Settings,
    /// The judge, when the suite names one in a file.
    pub judge: Option<JudgePlan>,
    /// What should be known but stops nothing.
    pub warnings: Vec<String>,
    /// What a run costs at most and at least, as far as can be known before.
    pub forecast: Forecast,
    /// Every file the suite was read from, as `(path, SHA-256)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<(String, String)>,
    /// The commit that set the suite's thresholds; `None` when no commit has its file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub committed: Option<Committed>,
    /// Who asked for the run: a person, a workflow, a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What is compared with in place of a base that is asked: `(path, baseline)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<(String, Box<Baseline>)>,
    /// Cases whose history says they are flaky: they do not gate.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub quarantined: BTreeSet<String>,
}

/// Which side of a comparison.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What was good before.
    Base,
    /// What is new, or all there is.
    #[default]
    Head,
}

impl RunPlan {
    /// Notes which commit set the thresholds of the suite's file, which lies below `root`. Blocks.
    pub fn find_commit(&mut self, root: &Path) {
        match committed(root, &self.path) {
            Ok(found) => self.committed = found,
            Err(error) => self.warnings.push(format!(
                "which commit set the thresholds is not known: {error}"
            )),
        }
    }
}

/// One side: its tree of files, what is tested, and with which cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SidePlan {
    /// Which.
    pub side: Side,
    /// The commit; `None` for files that are in none.
    pub commit: Option<String>,
    /// What people call it: `main`, `this directory`.
    pub name: String,
    /// What is tested: a prompt with a model.
    pub subjects: Vec<Subject>,
    /// The cases. Pairs are made by id.
    pub cases: Vec<Case>,
}

/// What is tested: a prompt with a model. Subjects of two sides are pairs by label.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subject {
    /// What reports call it: `[model] prompt`.
    pub label: String,
    /// The prompt's label.
    pub prompt_label: String,
    /// The model's label.
    pub model_label: String,
    /// The prompt.
    pub prompt: SubjectPrompt,
    /// Who answers.
    pub model: ModelSource,
    /// Request parameters of the model with the prompt's laid over.
    pub parameters: Map<String, Value>,
    /// What is done to each answer first.
    pub transform: Option<Script>,
    /// Milliseconds to wait between two calls.
    pub delay_ms: u64,
}

/// The variable that holds what was said so far.
pub(super) const CONVERSATION: &str = "_conversation";

impl Subject {
    /// Whether the prompt wants to know what was said before.
    #[must_use]
    pub fn uses_conversation(&self) -> bool {
        match &self.prompt {
            SubjectPrompt::Text { template } => template.contains(CONVERSATION),
            SubjectPrompt::Chat { messages } => messages.to_string().contains(CONVERSATION),
            SubjectPrompt::Version { .. } => false,
        }
    }
}

/// The prompt of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SubjectPrompt {
    /// A version of a prompt of the registry.
    Version {
        /// Its name.
        key: PromptKey,
        /// Its identity, 64 hex digits.
        hash: BundleHash,
        /// The version as the archive keeps it, so that whoever runs the plan has it.
        bundle: Value,
        /// What people call it: `v7`, or the short hash.
        version: String,
        /// The model that it names.
        model: Option<String>,
    },
    /// A template. What it is filled to is one user message, or the messages themselves when it is a
    /// JSON list of them.
    Text {
        /// The template.
        template: String,
    },
    /// Chat messages with templates in their contents.
    Chat {
        /// The messages.
        messages: Value,
    },
}

/// A judge from a file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgePlan {
    /// Its file.
    pub path: String,
    /// SHA-256 of instructions, model and parameters: another hash is another judge.
    pub hash: String,
    /// The model, as the gateway routes it.
    pub model: String,
    /// Request parameters.
    pub parameters: Map<String, Value>,
    /// Instructions in place of the built-in ones, text or messages.
    pub rubric_prompt: Option<Value>,
    /// Further models that vote beside `model`: the majority decides whether an answer passes, the mean of
    /// their scores is the score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub panel: Vec<Panelist>,
    /// How it was measured against people; `None`: not yet.
    pub calibration: Option<Calibration>,
}

/// A further model of a judge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Panelist {
    /// The model, as the gateway routes it.
    pub model: String,
    /// Its request parameters; without any, those of the judge.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
}

/// How a judge compares with people. Positive: people say the answer is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calibration {
    /// Good answers that it knows as good.
    pub true_positives: u64,
    /// Good answers that it takes for bad.
    pub false_negatives: u64,
    /// Bad answers that it knows as bad.
    pub true_negatives: u64,
    /// Bad answers that it takes for good.
    pub false_positives: u64,
}

/// What a run will take, before anybody is asked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Forecast {
    /// Calls of cases.
    pub case_calls: u64,
    /// Calls of judges.
    pub judge_calls: u64,
    /// Money in pico-dollars; `None` when a price is not known.
    pub pico_usd: Option<u64>,
    /// What the figure leaves out or guesses.
    pub notes: Vec<String>,
    /// The smallest drop of the pass rate that the run can see (80 % power, 5 % error), by an assumed
    /// discordance of 10 %; `None` with a single case.
    pub detectable_drop: Option<f64>,
}
