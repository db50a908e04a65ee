//! Whether new calls are welcome, and if not, why.

use crate::domain::PromptKey;
use crate::prompts::{Drift, Prompts};
use crate::store::Store;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Looks at the rooms a call needs.
#[derive(Debug, Clone)]
pub struct Readiness {
    /// Cancelled when the process begins to stop.
    pub stopping: CancellationToken,
    /// Whether the journal takes intents.
    pub store: Arc<Store>,
    /// Which prompts are served.
    pub prompts: Arc<Prompts>,
}

/// What a probe is told.
#[derive(Debug, Clone)]
pub struct ReadinessReport {
    /// Whether new calls are welcome.
    pub is_ready: bool,
    /// Why not.
    pub reasons: Vec<&'static str>,
    /// What should be known though new calls are welcome.
    pub warnings: Vec<&'static str>,
    /// The commit the prompts are from.
    pub commit: Option<String>,
    /// How many prompts are served.
    pub prompts: usize,
    /// Why the newest content of the prompts is not served; the last good one is.
    pub problem: Option<String>,
    /// Labels that mean another version than Git says.
    pub overrides: Vec<Drift>,
    /// That the prompts may be old, because their remote is not there.
    pub stale: Option<String>,
    /// Prompts that have problems and stay as they were.
    pub held: Vec<PromptKey>,
}

impl Readiness {
    /// Returns how things stand now.
    #[must_use]
    pub fn report(&self) -> ReadinessReport {
        let (mut reasons, mut warnings) = (Vec::new(), Vec::new());
        if self.stopping.is_cancelled() {
            reasons.push("shutting down");
        }
        if !self.store.is_accepting() {
            // Whoever serves without records still wants the traffic, but not silently.
            if self.store.serves_unrecorded() {
                warnings.push("the journal takes no records: calls are served without one");
            } else {
                reasons.push("the journal takes no records");
            }
        }
        if self.prompts.is_waiting() {
            reasons.push("no prompts have been pushed yet");
        }
        let snapshot = self.prompts.snapshot();
        ReadinessReport {
            is_ready: reasons.is_empty(),
            reasons,
            warnings,
            commit: snapshot.commit().map(str::to_owned),
            prompts: snapshot.len(),
            problem: self.prompts.last_problem(),
            overrides: self.prompts.overridden(),
            stale: self.prompts.staleness(),
            held: snapshot.held().map(|held| held.prompt).collect(),
        }
    }
}
