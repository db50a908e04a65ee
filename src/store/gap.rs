//! Calls that were served without a record: counted, alarmed, and written down.

use crate::domain::Timestamp;
use crate::store::journal::Journal;
use serde::{Deserialize, Serialize};
use std::sync::atomic::Ordering;

/// A time in which calls went unrecorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first such call.
    pub from: Timestamp,
    /// When recording worked again; `None` in the entry that opens the gap.
    pub to: Option<Timestamp>,
    /// How many calls; `None` in the entry that opens the gap.
    pub calls: Option<u64>,
}

impl Journal {
    /// Counts a call that is served without a record. The first one of a gap is written down at
    /// once, in the room the ballast left, so that a crash cannot hide the gap.
    pub(super) fn count_unrecorded(&self, now: Timestamp) {
        self.counters.unrecorded.fetch_add(1, Ordering::Relaxed);
        let mut state = self.lock();
        if let Some(gap) = &mut state.gap {
            gap.calls = gap.calls.map(|calls| calls.saturating_add(1));
            return;
        }
        let opened = Gap {
            from: now,
            to: None,
            calls: None,
        };
        if let Err(error) = self.put_gap(&mut state, &opened) {
            tracing::error!(%error, "cannot write down that calls go unrecorded");
        }
        state.gap = Some(Gap {
            calls: Some(1),
            ..opened
        });
    }
}
