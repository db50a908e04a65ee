//! Outcomes that did not even fit into the ballast's room: kept until there is some.

use crate::domain::CallOutcome;
use crate::store::journal::Journal;

/// How much is kept, in bytes. Calls beyond stay open and are closed at the next start.
const OWED_BYTES: usize = 16 << 20;
/// What an outcome takes beside its output, about.
const FIXED_BYTES: usize = 2048;

/// The outcomes, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Owed {
    outcomes: Vec<CallOutcome>,
    bytes: usize,
}

impl Owed {
    /// Keeps an outcome, while there is memory for it.
    pub(super) fn push(&mut self, outcome: &CallOutcome) {
        let bytes = outcome.output.len() + FIXED_BYTES;
        let is_kept = self.outcomes.iter().any(|kept| kept.id == outcome.id);
        if !is_kept && self.bytes + bytes <= OWED_BYTES {
            self.bytes += bytes;
            self.outcomes.push(outcome.clone());
        }
    }

    /// Takes them all.
    pub(super) fn take(&mut self) -> Vec<CallOutcome> {
        self.bytes = 0;
        std::mem::take(&mut self.outcomes)
    }
}

impl Journal {
    /// Appends what is owed; those that do not fit yet are owed again.
    pub(super) fn append_owed(&self) {
        let owed = self.lock().owed.take();
        let count = owed.len();
        for outcome in owed {
            if let Err(error) = self.append_outcome(&outcome) {
                tracing::error!(%error, id = %outcome.id, "an outcome is still owed");
            }
        }
        if 0 < count {
            tracing::warn!(count, "outcomes that had not fitted were appended");
        }
    }
}
