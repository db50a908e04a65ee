//! What earlier tries at a draft took, read from the records of their calls: a process that was killed told
//! nobody else.

use crate::domain::{CallState, Operation, PicoDollars, Timestamp};
use crate::embeddings::ask::CALLER;
use crate::embeddings::snapshots::{Error, Snapshots};
use crate::embeddings::vault::Spent;
use crate::store::{CallFilter, CallRow};

/// How many records are read at a time.
const READ: usize = 1_000;

impl Snapshots {
    /// Returns what was spent on a draft by calls that began before `until`, as far as their records are kept.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// `Kept` when the records cannot be read.
    pub(super) fn spent_before(&self, draft: &str, until: Timestamp) -> Result<Spent, Error> {
        let filter = CallFilter {
            session: Some(draft.to_owned()),
            operation: Some(Operation::Embeddings),
            to: Some(until),
            ..CallFilter::default()
        };
        let (mut spent, mut before) = (Spent::NOTHING, None);
        loop {
            let rows = self.proxy.recorder.store.calls(&filter, before, READ);
            let rows = rows.map_err(|error| Error::Kept {
                problem: format!("the calls of draft `{draft}` cannot be read: {error}"),
            })?;
            for row in rows.iter().filter(|row| is_own(row)) {
                spent = spent.and(of(row));
            }
            before = rows.last().map(|row| row.id);
            if rows.len() < READ {
                return Ok(spent);
            }
        }
    }
}

/// A client may name any session.
fn is_own(row: &CallRow) -> bool {
    row.key.is_none() && row.caller == CALLER
}

/// Returns what a call took.
fn of(row: &CallRow) -> Spent {
    let is_answered = row.state == Some(CallState::Ok) || row.input_tokens.is_some();
    if is_answered {
        return Spent {
            requests: 1,
            tokens: row.input_tokens,
            cost: row.cost,
            cut_off: 0,
        };
    }
    let is_cut_off = matches!(
        row.state,
        Some(CallState::CrashRecovered | CallState::ClientGone)
    );
    Spent {
        cost: Some(row.cost.unwrap_or(PicoDollars(0))),
        cut_off: u64::from(is_cut_off && row.cost.is_none()),
        ..Spent::NOTHING
    }
}
