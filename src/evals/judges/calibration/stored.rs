//! The counts beside the judge's file, `NAME.calibration.json`, which a review of the judge sees too.
//!
//! They hold for the judge and the labels that they were made with: another model, parameter, instruction or
//! label makes them worthless, and so does a release that words the built-in instructions anew.

use crate::domain::{Timestamp, sha256_hex};
use crate::evals::judges::calibration::report::CalibrationReport;
use crate::evals::judges::rubric::RUBRIC;
use crate::evals::judges::{panel, session};
use crate::evals::plan::{Calibration, JudgePlan};
use serde::{Deserialize, Serialize};
use serde_json::Map;

/// The layout.
const VERSION: u32 = 1;

/// What is kept of a calibration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredCalibration {
    /// The layout: 1.
    pub version: u32,
    /// The judge: [`identity`].
    pub judge_hash: String,
    /// SHA-256 of the file of labels.
    pub labels_sha256: String,
    /// How it compared.
    pub counts: Calibration,
    /// Answers that it could not judge.
    pub unjudged: u64,
    /// When it was asked.
    pub at: Timestamp,
    /// The models that answered, by their own account.
    pub models_returned: Vec<String>,
}

impl StoredCalibration {
    /// Returns what is kept of a report about the labels whose file is `labels`.
    #[must_use]
    pub fn of(report: &CalibrationReport, labels: &str, at: Timestamp) -> Self {
        Self {
            version: VERSION,
            judge_hash: report.judge_hash.clone(),
            labels_sha256: sha256_hex(labels.as_bytes()),
            counts: report.counts,
            unjudged: u64::try_from(report.unjudged.len()).unwrap_or(u64::MAX),
            at,
            models_returned: report.models_returned.clone(),
        }
    }
}

/// Returns the path of the counts of the judge whose file is `judge`.
#[must_use]
pub fn path_beside(judge: &str) -> String {
    let stem = [".yaml", ".yml", ".json"]
        .iter()
        .find_map(|end| judge.strip_suffix(end));
    format!("{}.calibration.json", stem.unwrap_or(judge))
}

/// Returns the counts in `text` when they are those of this judge and of the labels whose file is `labels`.
#[must_use]
pub fn stored(text: &str, judge: &JudgePlan, labels: &str) -> Option<Calibration> {
    let stored: StoredCalibration = serde_json::from_str(text).ok()?;
    let is_same = stored.version == VERSION
        && stored.judge_hash == identity(judge)
        && stored.labels_sha256 == sha256_hex(labels.as_bytes());
    is_same.then_some(stored.counts)
}

/// SHA-256 (64 hex digits) over what makes the judge of a rubric: instructions, built-in ones too, model and
/// parameters. It is the `judge_hash` of its judgements.
#[must_use]
pub fn identity(judge: &JudgePlan) -> String {
    let told = [session::told(RUBRIC, judge.rubric_prompt.as_ref())];
    let hash = |model: &str, parameters: &Map<String, serde_json::Value>| {
        session::hash_of(&told, model, &session::parameters(parameters))
    };
    let first = hash(&judge.model, &judge.parameters);
    if judge.panel.is_empty() {
        return first;
    }
    let mut hashes = vec![first];
    hashes.extend(judge.panel.iter().map(|panelist| {
        let parameters = if panelist.parameters.is_empty() {
            &judge.parameters
        } else {
            &panelist.parameters
        };
        hash(&panelist.model, parameters)
    }));
    let hashes: Vec<&str> = hashes.iter().map(String::as_str).collect();
    panel::hash_of(&hashes)
}
