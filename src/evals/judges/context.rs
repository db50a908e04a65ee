//! What judging needs beside the answer: the way to models, and who judges when nobody says it.

use crate::domain::RunId;
use crate::evals::gateway::Gateway;
use crate::evals::plan::JudgePlan;
use crate::evals::row::CellKey;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::OnceCell;

/// What judging needs beside the answer.
#[derive(Debug, Clone, Copy)]
pub struct JudgeContext<'a> {
    /// The way to models.
    pub gateway: &'a dyn Gateway,
    /// For which run.
    pub run: RunId,
    /// For which cell; `None` outside of a plan.
    pub cell: Option<&'a CellKey>,
    /// The suite's judge.
    pub judge: Option<&'a JudgePlan>,
    /// Who judges when neither assertion, case nor suite name one.
    pub default_model: Option<&'a str>,
    /// Who embeds when neither assertion nor case name one.
    pub embedding_model: Option<&'a str>,
    /// How long one question may take.
    pub timeout: Duration,
    /// What the borders around untrusted text are drawn from, together with that text. The same for a run
    /// and its continuation, so that a judgement that was paid is known again; unknown to the models.
    pub salt: &'a str,
    /// Steps that judges planned in this run.
    pub steps: &'a Steps,
    /// Hosts (`example.com`, or with a port `127.0.0.1:9000`) that `webhook` may ask.
    pub allowed_webhooks: &'a [String],
}

/// What judges have shown in a run: the steps they planned, by judge and criterion (each is planned once),
/// and which of them tell no probabilities.
#[derive(Debug, Default)]
pub struct Steps {
    known: Mutex<HashMap<String, Plan>>,
    without_log_probs: Mutex<HashSet<String>>,
}

/// Steps that are planned, or are being planned.
pub(super) type Plan = Arc<OnceCell<Vec<String>>>;

impl Steps {
    /// Returns the place of the steps for `key`.
    pub(super) fn of(&self, key: String) -> Plan {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(known.entry(key).or_default())
    }

    /// Whether a model has refused to tell the probabilities of its tokens.
    pub(super) fn refuses_log_probs(&self, model: &str) -> bool {
        self.refusals().contains(model)
    }

    /// Notes that a model refuses to tell the probabilities of its tokens.
    pub(super) fn note_refusal(&self, model: &str) {
        self.refusals().insert(model.to_owned());
    }

    fn refusals(&self) -> MutexGuard<'_, HashSet<String>> {
        self.without_log_probs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
