//! How a suite is run and judged: `evaluateOptions`, and our own keys under `metadata.promptgate`.

use crate::domain::PicoDollars;
use crate::evals::suite::Place;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How a suite is run and judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// How often each case is asked.
    pub repeat: u32,
    /// Calls at the same time.
    pub concurrency: u32,
    /// Milliseconds between the starts of two calls.
    pub delay_ms: u64,
    /// How long one call may take, in milliseconds.
    pub timeout_ms: Option<u64>,
    /// How long the run may take, in milliseconds.
    pub deadline_ms: Option<u64>,
    /// Whether answers are taken from the cache.
    pub is_cached: bool,
    /// Which cases are asked, as `(start, end)` with the end excluded.
    pub range: Option<(usize, usize)>,
    /// What judges must be like.
    pub judge: JudgeRules,
    /// What must hold for the suite to pass. None: every case must pass.
    pub gates: Vec<Gate>,
    /// How much a run may cost.
    pub budget: Budget,
    /// When it runs by itself.
    pub schedule: Option<Schedule>,
    /// How the run ends before all is asked.
    pub stopping: Stopping,
    /// Groups that must be treated alike.
    pub counterfactual: Option<Counterfactual>,
    /// Which pack of cases the suite is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pack: Option<Pack>,
    /// Whether the outputs of both sides are embedded, to see how far they lie apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_shift: Option<OutputShiftWish>,
    /// With a larger share of errors than this the run is invalid (0 to 1).
    pub max_error_share: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            repeat: 1,
            concurrency: 4,
            delay_ms: 0,
            timeout_ms: None,
            deadline_ms: None,
            is_cached: true,
            range: None,
            judge: JudgeRules::default(),
            gates: Vec::new(),
            budget: Budget::default(),
            schedule: None,
            stopping: Stopping::All,
            counterfactual: None,
            pack: None,
            output_shift: None,
            max_error_share: 0.02,
        }
    }
}

/// What a judge must be like before its scores may gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgeRules {
    /// The judge's file below the evals directory.
    pub file: Option<String>,
    /// The judge's model, when no file says it.
    pub model: Option<String>,
    /// Whether a judge of the same family as the model under test is refused.
    pub must_differ_from_target: bool,
    /// The least share of good answers it must know as good.
    pub min_true_positive_rate: f64,
    /// The least share of bad answers it must know as bad.
    pub min_true_negative_rate: f64,
    /// The least number of human labels.
    pub min_labels: u32,
}

impl Default for JudgeRules {
    fn default() -> Self {
        Self {
            file: None,
            model: None,
            must_differ_from_target: false,
            min_true_positive_rate: 0.85,
            min_true_negative_rate: 0.85,
            min_labels: 60,
        }
    }
}

/// Something that must hold for the suite to pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// The metric: a name, a glob (`safety/*`), `pass` for whole cases, or `cost`, `latency_p50`, `latency_p95`, `tokens`.
    pub metric: String,
    /// What must hold of it.
    pub kind: GateKind,
    /// What follows when the figures cannot decide.
    pub on_inconclusive: OnInconclusive,
    /// Where it stands.
    pub place: Place,
}

/// What must hold of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GateKind {
    /// Head is not worse than base by more than `margin`, at error rate `alpha`.
    NonInferior {
        /// The largest drop that does not matter.
        margin: f64,
        /// How often a drop may pass unseen.
        alpha: f64,
    },
    /// Cases that passed on base and fail on head, counted.
    NoRegressions {
        /// The most there may be.
        max_regressed: u64,
    },
    /// The figure of head alone.
    Absolute {
        /// The least it may be.
        min: Option<f64>,
        /// The most it may be.
        max: Option<f64>,
        /// The most cases that may fail.
        max_failures: Option<u64>,
        /// The most that the exact one-sided 95 % bound of the failure rate may be.
        max_upper95: Option<f64>,
    },
    /// Head over base.
    Ratio {
        /// The most it may be.
        max: f64,
    },
    /// The gap between groups, beyond the noise within one.
    MaxGap {
        /// The most it may be.
        max: f64,
    },
}

/// What follows when figures cannot decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInconclusive {
    /// The gate does not pass.
    #[default]
    Fail,
    /// The report says so, and the gate holds nothing up.
    Warn,
}

/// How much a run may cost. `None`: no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// For everything.
    pub total: Option<PicoDollars>,
    /// For judges.
    pub judges: Option<PicoDollars>,
    /// What follows when it is spent.
    pub on_exceed: OnExceed,
}

/// What follows when the budget is spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExceed {
    /// The run stops and decides nothing.
    #[default]
    StopInconclusive,
}

/// When a suite runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// Five fields: minute, hour, day of month, month, day of week.
    pub cron: String,
    /// The time zone by its IANA name; UTC when none is said.
    pub time_zone: String,
    /// What happens when the run before is not over.
    pub overlap: Overlap,
    /// Whether one run that was missed is made up for.
    pub catches_up: bool,
    /// Who is told.
    pub alerts: Vec<Alert>,
    /// Whether the run is a sentinel: the same inputs each time, so that what changes is the provider.
    pub is_sentinel: bool,
}

/// What happens when the run before is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// The new one is left out.
    #[default]
    Skip,
    /// The new one waits.
    Wait,
}

/// Who is told about a scheduled run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// A reference to the URL (`env:NAME`, `file:PATH`), which is posted to.
    pub webhook: String,
    /// Verdicts that are told: `failed`, `inconclusive`, `invalid`, `passed`, `drift`.
    pub on: Vec<String>,
}

/// How a run ends before all is asked.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopping {
    /// It does not.
    #[default]
    All,
    /// When what is left cannot change the verdict, or an anytime-valid test has decided.
    Decided,
    /// When the interval of the pass rate is this narrow (half its width).
    Precision(f64),
}

/// Groups that must be treated alike: a variable is filled for each of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counterfactual {
    /// The variable that is swapped.
    pub var: String,
    /// The values of each group; the n-th values of all groups stand for each other.
    pub groups: BTreeMap<String, Vec<String>>,
    /// Whether each group is asked a second time, so that the noise is known.
    pub has_control: bool,
}

/// How the outputs of both sides are embedded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputShiftWish {
    /// The model; the config's `[evals] embedding_model` when none is said.
    pub model: Option<String>,
}

/// A pack of cases, versioned as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pack {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the list that its categories are mapped by.
    pub taxonomy: Option<String>,
}
