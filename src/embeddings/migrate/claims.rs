//! Who asks for which text right now, so that a search and the background never pay for the same one.

use crate::embeddings::space::VectorKey;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The texts that are being asked for.
#[derive(Debug, Default)]
pub(super) struct Claims {
    taken: Mutex<HashSet<VectorKey>>,
    freed: Notify,
}

/// Texts that are asked for by who holds this.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    claims: &'a Claims,
    keys: Vec<VectorKey>,
}

impl Claims {
    fn lock(&self) -> MutexGuard<'_, HashSet<VectorKey>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes those keys that nobody has; the second are those that others have.
    pub(super) fn claim(&self, keys: &[VectorKey]) -> (Claim<'_>, Vec<VectorKey>) {
        let mut taken = self.lock();
        let (keys, others) = keys.iter().partition(|key| taken.insert(**key));
        (Claim { claims: self, keys }, others)
    }

    /// Waits until none of `keys` is asked for by anybody.
    ///
    /// # Cancel safety
    ///
    /// May be dropped at any time.
    pub(super) async fn free(&self, keys: &[VectorKey]) {
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            freed.as_mut().enable();
            let is_taken = {
                let taken = self.lock();
                keys.iter().any(|key| taken.contains(key))
            };
            if !is_taken {
                return;
            }
            freed.await;
        }
    }
}

impl Claim<'_> {
    pub(super) fn keys(&self) -> &[VectorKey] {
        &self.keys
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut taken = self.claims.lock();
        for key in &self.keys {
            taken.remove(key);
        }
        drop(taken);
        self.claims.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::Claims;
    use crate::embeddings::space::VectorKey;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn a_text_is_asked_for_by_one_and_the_others_wait() {
        let claims = Claims::default();
        let key = |n| VectorKey([n; 32]);
        let (first, others) = claims.claim(&[key(1), key(2)]);
        assert_eq!((first.keys().len(), others.len()), (2, 0));
        let (second, others) = claims.claim(&[key(2), key(3), key(3)]);
        assert_eq!(second.keys(), [key(3)]);
        assert_eq!(others, [key(2), key(3)]);
        let second_key = [key(2)];
        let mut waiting = Box::pin(claims.free(&second_key));
        assert!(waiting.as_mut().now_or_never().is_none());
        drop(first);
        waiting.await;
        assert!(claims.free(&[key(3)]).now_or_never().is_none());
        drop(second);
        assert!(claims.free(&[key(3)]).now_or_never().is_some());
    }
}
