//! Keeping up with where prompts come from: fetch, check, swap, and say how it stands.
//!
//! A remote is fetched into a bare copy, which is then read like any repository; so a restart serves
//! the last good commit from there, whatever the network does. A site that nothing may be fetched
//! from gets signed bundles pushed into the same copy.

mod kept;
mod preview;
mod push;
mod run;
mod start;
mod status;

pub use status::{HeldPrompt, SyncOutcome, SyncReport, SyncStatus, SyncTrouble};

use crate::domain::{Clock, Timestamp};
use crate::git::{FetchLimits, Remote};
use crate::prompts::registry::Inner;
use kept::Kept;
use preview::Previews;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Mutex as AsyncMutex, Notify};

/// Problems of a refused commit that are written down.
const MAX_PROBLEMS: usize = 50;

/// A copy of a remote in so many packs is slow to read.
const MANY_PACKS: usize = 100;

/// How commits come to this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Origin {
    /// They are here, or come by somebody else's hand.
    #[default]
    Here,
    /// They are fetched into the source's repository, which is a copy of ours.
    Fetched {
        /// From where.
        remote: Box<Remote>,
        /// How much a fetch may take.
        limits: FetchLimits,
    },
    /// They are pushed to us as signed bundles, into the source's repository.
    Pushed {
        /// How much a bundle may take.
        limits: FetchLimits,
    },
}

/// What is known of syncs. Shared by all clones of the registry.
#[derive(Debug)]
pub(super) struct Sync {
    /// Held while one runs; another waits for it.
    running: Mutex<()>,
    /// Rung when something is likely to be new.
    bell: Notify,
    /// How often it was rung: what was looked up before is looked up again.
    rings: AtomicU64,
    /// When the remote was last there, in microseconds since 1970; 0 for not since the start.
    contact: AtomicI64,
    /// Never held for long, and never while anything is read.
    state: Mutex<State>,
    /// With so many packs the copy of the remote is made anew.
    renew_at: AtomicUsize,
    /// Held while a pull request is looked up: one at a time.
    previews: AsyncMutex<Previews>,
}

#[derive(Debug, Default)]
struct State {
    attempted: Option<Timestamp>,
    /// Since when what is served is served.
    applied: Option<Timestamp>,
    /// The commit that was last loaded or refused.
    tried: Option<String>,
    /// Why the newest content is refused.
    refusal: Option<SyncTrouble>,
    /// Why the source cannot be reached.
    failure: Option<SyncTrouble>,
    held: Vec<HeldPrompt>,
    kept: Kept,
    applied_count: u64,
    refused_count: u64,
    failed_count: u64,
}

impl Default for Sync {
    fn default() -> Self {
        Self {
            running: Mutex::default(),
            bell: Notify::new(),
            rings: AtomicU64::new(0),
            contact: AtomicI64::new(0),
            state: Mutex::default(),
            renew_at: AtomicUsize::new(MANY_PACKS),
            previews: AsyncMutex::default(),
        }
    }
}

impl Sync {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until somebody says that something may be new.
    pub(super) async fn rung(&self) {
        self.bell.notified().await;
    }

    fn note_contact(&self) {
        self.contact.store(now().0, Ordering::Relaxed);
    }

    fn last_contact(&self) -> Option<Timestamp> {
        let micros = self.contact.load(Ordering::Relaxed);
        (micros != 0).then_some(Timestamp(micros))
    }
}

fn now() -> Timestamp {
    Clock::System.now()
}

impl Inner {
    /// Where prompts come from, as text for people; the same after a restart.
    fn source_text(&self) -> String {
        status::source_text(&self.config)
    }
}
