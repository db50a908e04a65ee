//! Calls that were served without a record: counted, alarmed, and written down.

use crate::domain::Timestamp;
use crate::store::Error;
use crate::store::frame::Kind;
use crate::store::journal::Journal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// A time in which calls went unrecorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first such call.
    pub from: Timestamp,
    /// When recording worked again; `None` while it does not, or when the process ended before.
    pub to: Option<Timestamp>,
    /// How many calls; `None` when the process was killed before it could say.
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

    /// Returns all gaps, oldest first, with the one that is open now. Reads the whole journal.
    pub(super) fn gaps(&self) -> Result<Vec<Gap>, Error> {
        let mut gaps = BTreeMap::new();
        self.each_entry(|frame| {
            if frame.head.kind == Kind::Gap
                && let Some(gap) = frame.decode::<Gap>()
            {
                // What closes a gap stands behind what opened it, and knows more.
                gaps.insert(gap.from, gap);
            }
        })?;
        if let Some(gap) = &self.lock().gap {
            gaps.insert(gap.from, gap.clone());
        }
        Ok(gaps.into_values().collect())
    }
}
