//! What a fetch may take: time and bytes, checked at every read, whatever carries the bytes.

use crate::git::RemoteFault;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::time::Instant;

/// How much a fetch may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// Bytes that are received, refs and objects together, as they are sent: compressed.
    pub max_bytes: u64,
    /// Bytes of one object, unpacked; one that is larger ends the fetch.
    pub max_object_bytes: u64,
    /// How long it may take from start to end.
    pub deadline: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        Self {
            max_bytes: 256 << 20,
            max_object_bytes: 64 << 20,
            deadline: Duration::from_secs(60),
        }
    }
}

/// What is left of the limits of one fetch.
#[derive(Debug)]
pub(super) struct Budget {
    left: AtomicU64,
    end: Instant,
    /// Tells the unpacking of objects to stop.
    pub(super) is_over: AtomicBool,
    is_late: AtomicBool,
    is_too_large: AtomicBool,
    /// Whether the other side wants other credentials.
    is_refused: AtomicBool,
}

impl Budget {
    pub(super) fn new(limits: FetchLimits) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicU64::new(limits.max_bytes),
            end: Instant::now() + limits.deadline,
            is_over: AtomicBool::default(),
            is_late: AtomicBool::default(),
            is_too_large: AtomicBool::default(),
            is_refused: AtomicBool::default(),
        })
    }

    /// Returns the time that is left, at least a millisecond: zero would mean forever to a socket.
    pub(super) fn time_left(&self) -> Duration {
        let left = self.end.saturating_duration_since(Instant::now());
        left.max(Duration::from_millis(1))
    }

    /// Returns why the fetch ended, as far as its limits or a refusal are the reason.
    pub(super) fn fault(&self) -> Option<RemoteFault> {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        if is(&self.is_refused) {
            Some(RemoteFault::Refused)
        } else if is(&self.is_too_large) {
            Some(RemoteFault::TooLarge)
        } else if is(&self.is_late) || self.end <= Instant::now() {
            Some(RemoteFault::TooSlow)
        } else {
            None
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.end <= Instant::now() {
            self.is_late.store(true, Ordering::Relaxed);
            self.is_over.store(true, Ordering::Relaxed);
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "the deadline is over",
            ));
        }
        if self.is_too_large.load(Ordering::Relaxed) {
            return Err(io::Error::other("more bytes than may be received"));
        }
        Ok(())
    }

    fn take(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let take = |left: u64| left.checked_sub(bytes);
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        if taken.is_err() {
            self.is_too_large.store(true, Ordering::Relaxed);
            self.is_over.store(true, Ordering::Relaxed);
        }
    }

    fn note(&self, error: &io::Error) {
        match error.kind() {
            io::ErrorKind::PermissionDenied => self.is_refused.store(true, Ordering::Relaxed),
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
                self.is_late.store(true, Ordering::Relaxed);
            }
            _ => {}
        }
    }
}

/// A reader that draws on a budget.
#[derive(Debug)]
pub(super) struct Bounded<R> {
    inner: R,
    budget: Arc<Budget>,
}

impl<R> Bounded<R> {
    pub(super) fn new(inner: R, budget: &Arc<Budget>) -> Self {
        let budget = Arc::clone(budget);
        Self { inner, budget }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.budget.check()?;
        let read = self.inner.read(buffer);
        match &read {
            Ok(count) => self.budget.take(*count),
            Err(error) => self.budget.note(error),
        }
        read
    }
}

impl<R: BufRead> BufRead for Bounded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.budget.check()?;
        let filled = self.inner.fill_buf();
        if let Err(error) = &filled {
            self.budget.note(error);
        }
        filled
    }

    fn consume(&mut self, count: usize) {
        self.budget.take(count);
        self.inner.consume(count);
    }
}

#[cfg(test)]
mod tests {
    use super::{Bounded, Budget, FetchLimits};
    use crate::git::RemoteFault;
    use std::io::{BufReader, Read};
    use std::time::Duration;

    #[test]
    fn bytes_and_time_are_bounded() {
        let limits = FetchLimits {
            max_bytes: 10,
            ..FetchLimits::default()
        };
        let budget = Budget::new(limits);
        let mut bytes = Vec::new();
        let endless = Bounded::new(BufReader::with_capacity(4, std::io::repeat(7)), &budget);
        assert!({ endless }.read_to_end(&mut bytes).is_err());
        assert!(bytes.len() < 100, "{}", bytes.len());
        assert_eq!(budget.fault(), Some(RemoteFault::TooLarge));

        let budget = Budget::new(limits);
        assert_eq!(
            Bounded::new(&[0_u8; 10][..], &budget)
                .read_to_end(&mut bytes)
                .unwrap(),
            10
        );
        assert_eq!(budget.fault(), None);

        let limits = FetchLimits {
            deadline: Duration::ZERO,
            ..limits
        };
        let budget = Budget::new(limits);
        assert!(
            Bounded::new(&[0_u8; 1][..], &budget)
                .read(&mut [0])
                .is_err()
        );
        assert_eq!(budget.fault(), Some(RemoteFault::TooSlow));
    }
}
