//! Writing again what a failed sync may have lost.

use crate::store::frame::{Encoded, Position};
use crate::store::journal::{Journal, Need, State};
use std::collections::HashMap;
use std::io;

/// How much is kept in memory, in bytes.
const KEPT_BYTES: usize = 16 << 20;

/// Entries since the last sync, at level `disk`.
#[derive(Debug, Default)]
pub(super) struct Kept {
    entries: Vec<(Position, Encoded)>,
    bytes: usize,
    /// There were more than memory is given for.
    is_short: bool,
}

impl Kept {
    /// Keeps an entry, while there is memory for it.
    pub(super) fn push(&mut self, position: Position, encoded: &Encoded) {
        let bytes = usize::try_from(encoded.total_bytes()).unwrap_or(usize::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
        self.is_short |= KEPT_BYTES < self.bytes;
        if !self.is_short {
            self.entries.push((position, encoded.clone()));
        }
    }
}

impl Journal {
    /// Writes the entries of a failed sync, which ended at `end`, again in a new segment.
    pub(super) fn write_again(
        &self,
        state: &mut State,
        kept: Kept,
        end: Position,
    ) -> io::Result<usize> {
        let since = state.take_kept();
        if kept.is_short || since.is_short {
            let from = self.durable.borrow().end;
            let to = if since.is_short { state.end() } else { end };
            self.durable
                .send_modify(|durable| durable.lost = Some((from, to)));
        }
        self.roll(state)?;
        let mut moved = HashMap::new();
        for (old, mut encoded) in kept.entries.into_iter().chain(since.entries) {
            encoded.mark_copy();
            let link = encoded.link();
            let link = moved.get(&link).copied().unwrap_or(link);
            let new = self.put(state, &mut encoded, link, Need::Owed);
            moved.insert(old, new.map_err(io::Error::other)?);
        }
        for call in state.open.values_mut() {
            call.intent = moved.get(&call.intent).copied().unwrap_or(call.intent);
        }
        // The index learns the new places from the files.
        state.feed.lose();
        self.feed_wake.notify_one();
        Ok(moved.len())
    }
}
