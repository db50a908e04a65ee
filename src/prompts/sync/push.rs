//! Bundles that are pushed to us, for sites that may fetch from nowhere.

use crate::git::Mirror;
use crate::prompts::error::Error;
use crate::prompts::registry::Prompts;
use crate::prompts::source::Source;
use crate::prompts::sync::run::Refused;
use crate::prompts::sync::{Origin, SyncReport, now};
use std::sync::PoisonError;

impl Prompts {
    /// Returns how large a bundle may be, in bytes; `None` when none is taken.
    #[must_use]
    pub fn max_bundle_bytes(&self) -> Option<u64> {
        match &self.inner.config.origin {
            Origin::Pushed { limits } => Some(limits.max_bytes),
            Origin::Here | Origin::Fetched { .. } => None,
        }
    }

    /// Takes a Git bundle whose signature was checked, and serves it if it is good. Its sequence
    /// number must be higher than that of every bundle before: an old one is not served again. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::PushNotExpected`], [`Error::BundleReplayed`], and [`Error::Git`] when the bundle is
    /// damaged; those change nothing. What its prompts lack is in the report.
    pub fn take_bundle(&self, sequence: u64, bundle: &[u8]) -> Result<SyncReport, Error> {
        let inner = &self.inner;
        let (Origin::Pushed { limits }, Source::Git(source)) =
            (&inner.config.origin, &inner.config.source)
        else {
            return Err(Error::PushNotExpected);
        };
        let running = inner.sync.running.lock();
        let running = running.unwrap_or_else(PoisonError::into_inner);
        let last = inner.sync.state().kept.sequence;
        if sequence <= last {
            return Err(Error::BundleReplayed { sequence, last });
        }
        let mirror = Mirror::open(&source.repository).map_err(Error::Git)?;
        mirror.take_bundle(bundle, *limits).map_err(Error::Git)?;
        self.renew(&mirror, &|fresh| fresh.take_bundle(bundle, *limits));
        let kept = {
            let mut state = inner.sync.state();
            state.attempted = Some(now());
            state.kept.sequence = sequence;
            state.kept.clone()
        };
        // Before it is served: a crash in between must not open the door to an older one.
        self.keep(&kept);
        inner.sync.note_contact();
        drop(running);
        let result = self.sync_now(Refused::Again);
        Ok(self.report(&result))
    }
}
