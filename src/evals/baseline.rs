//! A baseline: results that somebody said are good, kept as a file in Git and reviewed like code.
//!
//! It holds outcomes, not answers: what a later run is compared with, and what it was made from, so that
//! a baseline of another judge or other cases is not taken for one of these.

use crate::domain::Timestamp;
use crate::evals::grade::{CaseGrade, Mark, MetricScore};
use crate::evals::judges::calibration;
use crate::evals::plan::{RunPlan, Side, SidePlan, Subject, SubjectPrompt};
use crate::evals::report::RunReport;
use crate::evals::row::{Answer, CellKey, Row, RunId};
use crate::evals::suite::CaseId;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;

/// The layout of the file.
const VERSION: u32 = 1;

/// Results that are good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// The layout: 1.
    pub version: u32,
    /// The suite's name.
    pub suite: String,
    /// The run it was made from.
    pub run: RunId,
    /// When its answers were asked for.
    pub asked: Timestamp,
    /// The commit; `None` for files that were in none.
    pub commit: Option<String>,
    /// The judge's hash; a figure of another judge is no baseline.
    pub judge: Option<String>,
    /// Each subject, by label.
    pub subjects: BTreeMap<String, BaselineSubject>,
}

/// A subject of a baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineSubject {
    /// The prompt's version: `v7 sha-…`; `None` for text in the suite.
    pub version: Option<String>,
    /// The models that answered, by their own account.
    pub models: BTreeSet<String>,
    /// Each case.
    pub cases: BTreeMap<CaseId, Vec<BaselineCell>>,
}

/// What came of one repeat of a case.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineCell {
    /// What came out; errors are not blessed.
    pub mark: Mark,
    /// The score.
    pub score: f64,
    /// Scores by metric.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metrics: BTreeMap<String, MetricScore>,
    /// What the answer cost and took: cost, usage and latency only.
    pub answer: BaselineAnswer,
}

/// What an answer cost and took.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BaselineAnswer {
    /// In pico-dollars, when it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pico_usd: Option<u64>,
    /// Tokens in and out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<(u64, u64)>,
    /// Microseconds; `None` when it came from the cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_us: Option<u64>,
}

/// Why there is no baseline.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BaselineError {
    /// A run with cases that could not be judged, or were not asked, is nothing to hold others against.
    #[error("{count} cases of the run have no grade, so it cannot be a baseline")]
    HasErrors {
        /// How many.
        count: usize,
    },
    /// A run that stopped early says nothing of the cases that were not asked.
    #[error("the run stopped early ({reason}), so it cannot be a baseline")]
    Stopped {
        /// In words.
        reason: String,
    },
    /// The file is not one.
    #[error("`{path}` is not a baseline: {reason}")]
    Unreadable {
        /// The file.
        path: String,
        /// In words.
        reason: String,
    },
    /// It is of another layout.
    #[error("`{path}` is of layout {version}, this program reads layout {VERSION}")]
    OtherLayout {
        /// The file.
        path: String,
        /// Its layout.
        version: u32,
    },
    /// It was judged by another judge.
    #[error("the baseline `{path}` was judged by another judge")]
    OtherJudge {
        /// The file.
        path: String,
    },
}

impl BaselineError {
    /// Returns what to do.
    #[must_use]
    pub const fn hint(&self) -> &'static str {
        match self {
            Self::HasErrors { .. } => "run again with --retry-errors, then bless that run",
            Self::Stopped { .. } => "run the suite with `stopping: all`, then bless that run",
            Self::Unreadable { .. } | Self::OtherLayout { .. } | Self::OtherJudge { .. } => {
                "make it anew with `promptgate evals bless`, and have it reviewed"
            }
        }
    }
}

/// Returns the results that were blessed for a suite, with their file below the directory of suites; `None`
/// when there are none.
///
/// # Errors
///
/// When the file cannot be read, or is no baseline.
pub fn blessed(evals: &Path, suite: &str) -> Result<Option<Named>, BaselineError> {
    let path = evals.join("baselines").join(format!("{suite}.json"));
    let shown = path.display().to_string();
    match fs::read_to_string(&path) {
        Ok(text) => {
            let baseline = Baseline::parse(&text, &shown)?;
            Ok(Some((shown, Box::new(baseline))))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BaselineError::Unreadable {
            path: shown,
            reason: error.to_string(),
        }),
    }
}

/// A baseline, and where it is from.
pub type Named = (String, Box<Baseline>);

impl Baseline {
    /// Makes a baseline of the head of a run.
    ///
    /// # Errors
    ///
    /// When a case has no grade.
    pub fn of(report: &RunReport) -> Result<Self, BaselineError> {
        let rows = || report.rows.iter().filter(|row| row.cell.side == Side::Head);
        let count = rows().filter(|row| row.grade.mark == Mark::Error).count()
            + report
                .changes
                .iter()
                .filter(|change| change.kind == "missing")
                .count();
        if 0 < count {
            return Err(BaselineError::HasErrors { count });
        }
        if let Some(reason) = report.spent.stopped.clone() {
            return Err(BaselineError::Stopped { reason });
        }
        let head = report.sides.iter().find(|side| side.side == Side::Head);
        let mut subjects: BTreeMap<String, BaselineSubject> = BTreeMap::new();
        for row in rows() {
            let subject =
                subjects
                    .entry(row.cell.subject.clone())
                    .or_insert_with(|| BaselineSubject {
                        version: version_of(report, &row.cell.subject),
                        models: BTreeSet::new(),
                        cases: BTreeMap::new(),
                    });
            let model = row
                .answer
                .as_ref()
                .and_then(|answer| answer.model_returned.clone());
            subject.models.extend(model);
            let cells = subject.cases.entry(row.cell.case.clone()).or_default();
            cells.push(cell(row));
        }
        Ok(Self {
            version: VERSION,
            suite: report.suite.name.clone(),
            run: report.run,
            asked: report.began,
            commit: head.and_then(|head| head.commit.clone()),
            judge: report.judges.first().map(|judge| judge.hash.clone()),
            subjects,
        })
    }

    /// Returns the file: JSON with one case in a line, so that a review sees what changed.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut head = serde_json::to_value(self).unwrap_or_default();
        let Some(subjects) = head.get_mut("subjects").map(Value::take) else {
            return String::new();
        };
        let mut text = String::from("{\n");
        for (key, value) in head.as_object().into_iter().flatten() {
            if key != "subjects" {
                text.push_str(&format!("  {}: {value},\n", Value::from(key.as_str())));
            }
        }
        text.push_str("  \"subjects\": {");
        let mut is_first = true;
        for (label, subject) in subjects.as_object().into_iter().flatten() {
            text.push_str(if is_first { "\n" } else { ",\n" });
            is_first = false;
            text.push_str(&format!("    {}: {{\n", Value::from(label.as_str())));
            for key in ["version", "models"] {
                let value = subject.get(key).unwrap_or(&Value::Null);
                text.push_str(&format!("      \"{key}\": {value},\n"));
            }
            text.push_str("      \"cases\": {\n");
            let cases = subject.get("cases").and_then(Value::as_object);
            let lines = cases.into_iter().flatten();
            let lines: Vec<String> = lines
                .map(|(id, cells)| format!("        {}: {cells}", Value::from(id.as_str())))
                .collect();
            text.push_str(&lines.join(",\n"));
            text.push_str("\n      }\n    }");
        }
        text.push_str("\n  }\n}\n");
        text
    }

    /// Reads a baseline from the text of `path`.
    ///
    /// # Errors
    ///
    /// When it is none, or of another layout.
    pub fn parse(text: &str, path: &str) -> Result<Self, BaselineError> {
        #[derive(Deserialize)]
        struct Layout {
            version: u32,
        }
        let unreadable = |error: serde_json::Error| BaselineError::Unreadable {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let Layout { version } = serde_json::from_str(text).map_err(unreadable)?;
        if version != VERSION {
            let path = path.to_owned();
            return Err(BaselineError::OtherLayout { path, version });
        }
        serde_json::from_str(text).map_err(unreadable)
    }

    /// Puts the baseline into `plan` as its base, and returns its rows.
    ///
    /// # Errors
    ///
    /// When it was judged by another judge than the plan's.
    pub fn into_base(self, plan: &mut RunPlan, path: &str) -> Result<Vec<Row>, BaselineError> {
        let judge = plan.judge.as_ref().map(calibration::identity);
        if let (Some(now), Some(then)) = (&judge, &self.judge)
            && now != then
        {
            let path = path.to_owned();
            return Err(BaselineError::OtherJudge { path });
        }
        let Some(head) = plan.sides.iter().find(|side| side.side == Side::Head) else {
            return Ok(Vec::new());
        };
        let base = self.side(head, path);
        let rows = self.rows();
        plan.sides.insert(0, base);
        Ok(rows)
    }

    /// The side that the baseline stands for: subjects and cases that head has too.
    fn side(&self, head: &SidePlan, path: &str) -> SidePlan {
        let subjects = head.subjects.iter().filter_map(|subject| {
            let kept = self.subjects.get(&subject.label)?;
            let text = format!(
                "({})",
                kept.version.as_deref().unwrap_or("text of the suite")
            );
            let prompt = SubjectPrompt::Text { template: text };
            Some(Subject {
                prompt,
                ..subject.clone()
            })
        });
        let has_case = |id: &CaseId| {
            self.subjects
                .values()
                .any(|subject| subject.cases.contains_key(id))
        };
        SidePlan {
            side: Side::Base,
            commit: self.commit.clone(),
            name: path.to_owned(),
            subjects: subjects.collect(),
            cases: head
                .cases
                .iter()
                .filter(|case| has_case(&case.id))
                .cloned()
                .collect(),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for (label, subject) in &self.subjects {
            for (case, cells) in &subject.cases {
                for (repeat, cell) in (0..).zip(cells) {
                    let key = CellKey {
                        side: Side::Base,
                        subject: label.clone(),
                        case: case.clone(),
                        repeat,
                    };
                    rows.push(self.row(key, cell));
                }
            }
        }
        rows
    }

    fn row(&self, cell: CellKey, kept: &BaselineCell) -> Row {
        Row {
            version: 1,
            run: self.run,
            cell,
            cell_hash: String::new(),
            at: self.asked,
            vars: Map::new(),
            sent: Vec::new(),
            answer: Some(kept.answer.to_answer(self.asked)),
            error: None,
            grade: CaseGrade {
                mark: kept.mark,
                score: kept.score,
                reason: String::new(),
                metrics: kept.metrics.clone(),
                assertions: Vec::new(),
            },
        }
    }
}

impl BaselineAnswer {
    fn of(answer: &Answer) -> Self {
        let is_measured = answer.call.is_some() && answer.cached_from.is_none();
        Self {
            pico_usd: answer.cost.pico_usd.map(|pico| pico.0),
            tokens: answer.usage.map(|usage| (usage.input, usage.output)),
            latency_us: is_measured.then_some(answer.latency_us),
        }
    }

    fn to_answer(&self, asked: Timestamp) -> Answer {
        use crate::domain::{Cost, PicoDollars, TokenUsage};
        Answer {
            call: None,
            output: Value::Null,
            message: Value::Null,
            finish_reason: None,
            model_returned: None,
            usage: self.tokens.map(|(input, output)| TokenUsage {
                input,
                output,
                ..TokenUsage::default()
            }),
            cost: Cost {
                pico_usd: self.pico_usd.map(PicoDollars),
                ..Cost::default()
            },
            latency_us: self.latency_us.unwrap_or(0),
            cached_from: Some(asked),
        }
    }
}

fn cell(row: &Row) -> BaselineCell {
    BaselineCell {
        mark: row.grade.mark,
        score: row.grade.score,
        metrics: row.grade.metrics.clone(),
        answer: row
            .answer
            .as_ref()
            .map(BaselineAnswer::of)
            .unwrap_or_default(),
    }
}

/// The version of the prompt of a subject, by the longest prompt label that the subject's label ends in.
fn version_of(report: &RunReport, subject: &str) -> Option<String> {
    let head = report.sides.iter().find(|side| side.side == Side::Head)?;
    let fits = head
        .versions
        .iter()
        .filter(|(label, _)| subject.ends_with(label.as_str()));
    fits.max_by_key(|(label, _)| label.len())
        .map(|(_, version)| version.clone())
}
