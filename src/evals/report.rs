//! The report of a run: figures, gates, and one verdict. JSON, version 1; all other forms are made from it.

use crate::domain::{PicoDollars, Timestamp};
use crate::evals::plan::{Forecast, Side};
use crate::evals::row::{Row, RunId};
use crate::evals::shift::OutputShift;
use crate::evals::suite::{Gate, Place};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a run comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Every gate holds.
    Passed,
    /// A gate does not hold.
    Failed,
    /// The figures cannot decide.
    Inconclusive,
    /// The run says nothing: errors, missing cases, a judge that is not calibrated.
    Invalid,
}

/// The report of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// The layout: 1.
    pub version: u32,
    /// The program that wrote it.
    pub promptgate: String,
    /// The run.
    pub run: RunId,
    /// The suite's name, file, description and hash.
    pub suite: SuiteLine,
    /// When it began and ended.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What it comes to.
    pub verdict: Verdict,
    /// Why, in a sentence.
    pub summary: String,
    /// Base first, when there is one.
    pub sides: Vec<SideLine>,
    /// One for each subject and metric; `pass` (whole cases) first.
    pub metrics: Vec<MetricLine>,
    /// Each gate.
    pub gates: Vec<GateLine>,
    /// Cases that changed from base to head, or (without base) those that did not pass.
    pub changes: Vec<CaseChange>,
    /// Parts of the cases.
    pub slices: Vec<SliceLine>,
    /// Groups that must be treated alike.
    pub groups: Vec<GroupLine>,
    /// What safety detectors found.
    pub safety: Vec<SafetyLine>,
    /// Judges, and how far they can be trusted.
    pub judges: Vec<JudgeLine>,
    /// Cases whose history says they are flaky; they do not gate.
    pub quarantined: Vec<String>,
    /// What the run took.
    pub spent: Spent,
    /// What it was expected to take.
    pub forecast: Forecast,
    /// What should be known.
    pub warnings: Vec<String>,
    /// How to run it again.
    pub command: String,
    /// Who asked for the run: a person, a workflow, a schedule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What was tested, on each side.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectLine>,
    /// How far the outputs of both sides lie apart, when the suite asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_shift: Option<Box<OutputShift>>,
    /// All rows.
    pub rows: Vec<Row>,
}

/// The suite of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SuiteLine {
    /// Its name.
    pub name: String,
    /// Its file.
    pub path: String,
    /// What it says it is.
    pub description: Option<String>,
    /// Its hash.
    pub hash: String,
    /// The commit in which its thresholds were set: the last one that touched its file before the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether its file was changed since, without a commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_uncommitted_changes: bool,
    /// Every file it was made from, as `(path, SHA-256)`; datasets are among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<(String, String)>,
}

/// What was tested on a side, so that an auditor can name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectLine {
    /// Which side.
    pub side: Side,
    /// Its label.
    pub label: String,
    /// The prompt: its name in the registry, or the label of a text.
    pub prompt: String,
    /// The prompt's version, for people.
    pub version: Option<String>,
    /// The prompt's hash, 64 hex digits.
    pub prompt_hash: Option<String>,
    /// The prompt's file, for annotations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_path: Option<String>,
    /// The model that was asked for.
    pub model: Option<String>,
}

/// A side of a report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SideLine {
    /// Which.
    pub side: Side,
    /// What people call it.
    pub name: String,
    /// Its commit.
    pub commit: Option<String>,
    /// Versions of prompts: label -> `v7 sha-…`.
    pub versions: BTreeMap<String, String>,
    /// When its answers were asked for, if not in this run: a baseline.
    pub asked: Option<Timestamp>,
}

/// A figure with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// The figure.
    pub value: f64,
    /// The lower end at 95 %, when one can be given.
    pub low: Option<f64>,
    /// The upper end.
    pub high: Option<f64>,
}

/// A metric of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricLine {
    /// The subject.
    pub subject: String,
    /// The metric: `pass`, a name of the suite, `cost`, `latency_p50`, `latency_p95`, `tokens`.
    pub metric: String,
    /// `share`, `score`, `usd`, `ms`, `tokens`.
    pub unit: String,
    /// Cases that say something.
    pub cases: u64,
    /// Cases that could not be judged.
    pub errors: u64,
    /// The figure of base.
    pub base: Option<Figure>,
    /// The figure of head.
    pub head: Figure,
    /// Head less base, paired (for money and time: head over base).
    pub delta: Option<Figure>,
    /// Cases that passed and do not any more.
    pub regressed: u64,
    /// Cases that did not pass and now do.
    pub improved: u64,
    /// The p-value of the paired test, with its name.
    pub p_value: Option<(String, f64)>,
    /// The same, corrected for the number of gated metrics (Holm); absent where no gate asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adjusted_p: Option<f64>,
    /// What has changed, in a word: `improved`, `ok`, `slightly_worse`, `regressed`, `inconclusive`, `insufficient_data`.
    pub change: Option<String>,
    /// The smallest drop it could have seen (80 % power, 5 % error).
    pub detectable_drop: Option<f64>,
    /// Cases that would decide what these could not.
    pub needed_cases: Option<u64>,
    /// pass^k over the repeats, when there are several, as `(k, share)`.
    pub pass_hat_k: Option<(u32, f64)>,
}

/// A gate and what came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateLine {
    /// The gate.
    pub gate: Gate,
    /// The metric it was applied to (a glob makes several).
    pub metric: String,
    /// The subject.
    pub subject: String,
    /// What came of it.
    pub verdict: Verdict,
    /// The figures behind, in words.
    pub reason: String,
}

/// A case that needs a look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CaseChange {
    /// The subject.
    pub subject: String,
    /// The case.
    pub case: String,
    /// What it says it is.
    pub description: Option<String>,
    /// Where it stands.
    pub place: Place,
    /// `regressed`, `improved`, `failing`, `error`, `missing`.
    pub kind: String,
    /// The metrics that changed.
    pub metrics: Vec<String>,
    /// Why, from the grade of head.
    pub reason: String,
    /// The output of base.
    pub base_output: Option<String>,
    /// The output of head.
    pub head_output: Option<String>,
    /// A command that asks this case again.
    pub replay: String,
}

/// A part of the cases.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SliceLine {
    /// `language=de`.
    pub slice: String,
    /// Its `pass` line.
    pub line: MetricLine,
    /// The p-value, corrected for the number of slices (Benjamini-Hochberg).
    pub adjusted_p: Option<f64>,
}

/// Two groups that must be treated alike.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GroupLine {
    /// The subject.
    pub subject: String,
    /// The metric.
    pub metric: String,
    /// The groups.
    pub groups: (String, String),
    /// Pairs of cases.
    pub pairs: u64,
    /// The share of pairs with different outcomes.
    pub flip_rate: Figure,
    /// The same between two samples of one group: noise.
    pub noise: Option<Figure>,
    /// What is beyond the noise.
    pub excess: Option<Figure>,
    /// The exact `McNemar` p-value, corrected over the groups (Holm).
    pub p_value: Option<f64>,
    /// The gap of the pass rates, first less second.
    pub gap: Figure,
    /// The lower pass rate over the higher (four fifths is the usual floor).
    pub impact_ratio: Option<f64>,
}

/// What a detector found on a side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SafetyLine {
    /// Which side.
    pub side: Side,
    /// The pack and category.
    pub category: String,
    /// Cases tried.
    pub cases: u64,
    /// Cases that failed.
    pub failures: u64,
    /// The exact one-sided upper 95 % bound of the failure rate.
    pub upper95: f64,
    /// The worst severity found.
    pub severity: Option<String>,
    /// Codes of taxonomies, as `owasp-llm-2026:LLM01`.
    pub codes: Vec<String>,
}

/// A judge of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeLine {
    /// Its model.
    pub model: String,
    /// Its hash.
    pub hash: String,
    /// Its file.
    pub path: Option<String>,
    /// Share of good answers it knows as good.
    pub true_positive_rate: Option<Figure>,
    /// Share of bad answers it knows as bad.
    pub true_negative_rate: Option<Figure>,
    /// Human labels.
    pub labels: u64,
    /// Whether its scores may gate.
    pub may_gate: bool,
    /// The pass rate of head, corrected for the judge's errors, by subject.
    pub corrected: BTreeMap<String, Figure>,
    /// The change of its score with each doubling of the output's length.
    pub length_slope: Option<f64>,
    /// What should be known.
    pub notes: Vec<String>,
}

/// What a run took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Calls that were made, of cases.
    pub case_calls: u64,
    /// Calls that were made, of judges.
    pub judge_calls: u64,
    /// Rows whose answer came from the cache.
    pub cached: u64,
    /// Rows taken over from the run before it was cut.
    pub resumed: u64,
    /// Rows that could not be judged.
    pub errors: u64,
    /// Money for cases; `None` when a cost is not known.
    pub cases: Option<PicoDollars>,
    /// Money for judges, and for embedding outputs ([`RunReport::output_shift`] says how much of it).
    pub judges: Option<PicoDollars>,
    /// Milliseconds.
    pub duration_ms: u64,
    /// Why it ended before all was asked.
    pub stopped: Option<String>,
}
