//! Reading a segment from one entry to the next, and finding good entries behind damaged bytes.

use crate::store::frame::{Frame, HEAD_BYTES, Head};
use crate::store::packed::CHUNK_BYTES;
use crate::store::segment::Source;
use bytes::Bytes;
use std::io;

/// How many bytes of candidates may be summed up per damaged place, so that bytes made to look like
/// entries cannot stop a start.
const SEARCH_BUDGET: u64 = 1 << 30;

/// What stands at a place of a segment.
#[derive(Debug)]
pub(super) enum Found {
    /// A good entry.
    Frame {
        /// Where it starts.
        offset: u32,
        /// The entry.
        frame: Frame,
    },
    /// Bytes that are no entry, with a good entry behind them.
    Damage {
        /// Where they start.
        from: u32,
        /// Where the good entry starts.
        to: u32,
    },
    /// Bytes that are no entry up to the end.
    Tail {
        /// Where they start.
        from: u32,
        /// The end.
        to: u32,
    },
}

/// Steps through the entries of a segment.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    source: &'a Source,
    salt: u32,
    at: u32,
    end: u32,
    window_start: u32,
    window: Bytes,
}

impl<'a> Walk<'a> {
    /// Starts at `from`, which should be the start of an entry, and ends at `end`.
    pub(super) fn new(source: &'a Source, salt: u32, from: u32, end: u32) -> Self {
        Self {
            source,
            salt,
            at: from,
            end,
            window_start: 0,
            window: Bytes::new(),
        }
    }

    /// Returns what stands at the current place and steps over it; `None` at the end.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        if self.end <= self.at {
            return Ok(None);
        }
        let from = self.at;
        if let Some(frame) = self.frame_at(from)? {
            self.at = from.saturating_add(frame.head.total_bytes());
            return Ok(Some(Found::Frame {
                offset: from,
                frame,
            }));
        }
        if let Some(to) = self.search(from)? {
            self.at = to;
            return Ok(Some(Found::Damage { from, to }));
        }
        self.at = self.end;
        let to = self.end;
        Ok(Some(Found::Tail { from, to }))
    }

    /// Reads the entry at `offset`; `None` when there is no good one that ends by `self.end`.
    fn frame_at(&mut self, offset: u32) -> io::Result<Option<Frame>> {
        let head = self.read(offset, HEAD_BYTES)?;
        let Some(head) = Head::parse(&head) else {
            return Ok(None);
        };
        let total = head.total_bytes();
        if self.end.saturating_sub(offset) < total {
            return Ok(None);
        }
        let bytes = self.read(offset, usize::try_from(total).unwrap_or(usize::MAX))?;
        Ok(Frame::parse(&bytes, self.salt))
    }

    /// Finds the next good entry behind the damaged one at `from`.
    fn search(&mut self, from: u32) -> io::Result<Option<u32>> {
        let least = u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX);
        let mut budget = SEARCH_BUDGET;
        let mut candidate = from.saturating_add(least);
        while candidate < self.end {
            let bytes = self.read(candidate, HEAD_BYTES)?;
            let Some(head) = Head::parse(&bytes) else {
                candidate += 1;
                continue;
            };
            let fits = head.total_bytes() <= self.end - candidate;
            if fits && self.frame_at(candidate)?.is_some() {
                return Ok(Some(candidate));
            }
            let cost = if fits { head.total_bytes() } else { 0 };
            budget = budget.saturating_sub(u64::from(cost));
            if budget == 0 {
                return Ok(None);
            }
            candidate += 1;
        }
        Ok(None)
    }

    fn read(&mut self, offset: u32, length: usize) -> io::Result<Bytes> {
        if let Some(bytes) = self.in_window(offset, length) {
            return Ok(bytes);
        }
        let window_bytes = usize::try_from(CHUNK_BYTES).unwrap_or(0);
        if window_bytes / 2 < length {
            return self.source.read(offset, length);
        }
        // A window of a packed segment ends with a chunk, so that each is unpacked about once.
        let chunk_rest = usize::try_from(CHUNK_BYTES - offset % CHUNK_BYTES).unwrap_or(0);
        let wanted = if chunk_rest < length {
            chunk_rest + window_bytes
        } else {
            chunk_rest
        };
        self.window = self.source.read(offset, wanted)?;
        self.window_start = offset;
        let length = length.min(self.window.len());
        Ok(self.window.slice(..length))
    }

    fn in_window(&self, offset: u32, length: usize) -> Option<Bytes> {
        let start = usize::try_from(offset.checked_sub(self.window_start)?).ok()?;
        let end = start.checked_add(length)?;
        (end <= self.window.len()).then(|| self.window.slice(start..end))
    }
}

/// Reads the one entry at `offset`; `None` when it is damaged.
///
/// # Errors
///
/// When the file cannot be read.
pub(super) fn read_one(source: &Source, salt: u32, offset: u32) -> io::Result<Option<Frame>> {
    let head = source.read(offset, HEAD_BYTES)?;
    let Some(head) = Head::parse(&head) else {
        return Ok(None);
    };
    let available = source.len()?.saturating_sub(offset);
    if available < head.total_bytes() {
        return Ok(None);
    }
    let total = usize::try_from(head.total_bytes()).unwrap_or(usize::MAX);
    let bytes = source.read(offset, total)?;
    Ok(Frame::parse(&bytes, salt))
}
