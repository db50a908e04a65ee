//! Why a run cannot begin or go on.

use crate::domain::{Blame, RunId};
use crate::store;

/// Why there is no run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The plan cannot be carried out.
    #[error("the plan cannot be carried out: {problem}")]
    PlanInvalid {
        /// What is wrong with it.
        problem: String,
    },
    /// There is no such run.
    #[error("there is no run `{id}`")]
    RunNotFound {
        /// What was asked for.
        id: String,
    },
    /// No run was cut.
    #[error("there is no run that could go on")]
    NothingToResume,
    /// What began a run cannot be read any more.
    #[error("the plan of run `{run}` is damaged or of a form that is not known here")]
    PlanLost {
        /// The run.
        run: RunId,
    },
    /// A run has no end.
    #[error("run `{run}` broke off before its end was written")]
    BrokeOff {
        /// The run.
        run: RunId,
    },
    /// The process is stopping.
    #[error("the server is stopping and begins no run")]
    Stopping,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::PlanInvalid { .. } => "eval_plan_invalid",
            Self::RunNotFound { .. } => "eval_run_not_found",
            Self::NothingToResume => "eval_nothing_to_resume",
            Self::PlanLost { .. } => "eval_plan_lost",
            Self::BrokeOff { .. } => "eval_run_broke_off",
            Self::Stopping => "shutting_down",
            Self::Store(error) => error.kind(),
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::PlanInvalid { .. } | Self::RunNotFound { .. } | Self::NothingToResume => {
                Blame::Client
            }
            Self::PlanLost { .. } | Self::BrokeOff { .. } | Self::Stopping => Blame::Gateway,
            Self::Store(error) => error.blame(),
        }
    }

    /// Returns what can be done about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::PlanInvalid { .. } => "`promptgate evals check` says what a suite comes to",
            Self::RunNotFound { .. } | Self::NothingToResume => {
                "`promptgate evals list` shows the runs there are"
            }
            Self::PlanLost { .. } => "begin anew from the suite, with `--fresh`",
            Self::BrokeOff { .. } => "`promptgate evals run --resume` goes on with it",
            Self::Stopping => return None,
            Self::Store(error) => return error.hint(),
        };
        Some(hint.to_owned())
    }
}
