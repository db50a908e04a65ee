//! The keys that are known, in memory: looked up on every request, replaced as a whole.

use crate::access::error::{Error, Refusal};
use crate::access::key::{parse, verify};
use crate::domain::{Caller, Clock, KeyId, Timestamp};
use arc_swap::ArcSwap;
use std::collections::HashMap;
use std::sync::Arc;

/// A key as the ring holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyEntry {
    /// Its public name.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// SHA-256 of the whole key.
    pub secret_hash: [u8; 32],
    /// Globs of prompts it may use; empty means all.
    pub prompts: Vec<String>,
    /// Globs of models it may name; empty means all.
    pub models: Vec<String>,
    /// The label that a reference without selector means.
    pub default_label: Option<String>,
    /// From when on it is not let in.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
}

/// A key, and the caller it proves: made once, not for every request.
#[derive(Debug)]
struct Held {
    entry: KeyEntry,
    caller: Arc<Caller>,
}

impl From<KeyEntry> for Held {
    fn from(entry: KeyEntry) -> Self {
        let caller = Caller {
            key: Some(entry.id.clone()),
            name: entry.name.clone(),
            prompts: entry.prompts.clone(),
            models: entry.models.clone(),
            default_label: entry.default_label.clone(),
        };
        Self {
            entry,
            caller: Arc::new(caller),
        }
    }
}

/// All keys of the gateway.
#[derive(Debug)]
pub struct KeyRing {
    keys: ArcSwap<HashMap<String, Held>>,
    clock: Clock,
    is_required: bool,
}

impl KeyRing {
    /// Returns an empty ring. When a key `is_required`, an empty ring lets nobody in; otherwise
    /// (on loopback) it lets everybody in.
    #[must_use]
    pub fn new(clock: Clock, is_required: bool) -> Self {
        Self {
            keys: ArcSwap::default(),
            clock,
            is_required,
        }
    }

    /// Replaces all keys at once; requests that are being looked up see the old or the new ones.
    pub fn replace(&self, entries: Vec<KeyEntry>) {
        let keys = entries
            .into_iter()
            .map(|entry| (entry.id.0.clone(), entry.into()))
            .collect();
        self.keys.store(Arc::new(keys));
    }

    /// Whether there is no key at all, revoked ones included.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.load().is_empty()
    }

    /// Whether everybody is let in. The first key closes the door for good: revoking the last one
    /// must not open it again.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.is_required && self.is_empty()
    }

    /// Returns the caller that `credential` proves. An open ring takes any credential, because
    /// SDKs insist on sending one.
    ///
    /// # Errors
    ///
    /// [`Error::MissingApiKey`] without a credential, [`Error::InvalidApiKey`] for all others that
    /// are not let in.
    pub fn authenticate(&self, credential: Option<&str>) -> Result<Arc<Caller>, Error> {
        let keys = self.keys.load();
        if keys.is_empty() && !self.is_required {
            return Ok(Arc::new(Caller::local()));
        }
        let presented = parse(credential.ok_or(Error::MissingApiKey)?)?;
        let refuse = |refusal| Err(Error::InvalidApiKey(refusal));
        let Some(Held { entry, caller }) = keys.get(presented.id()) else {
            return refuse(Refusal::Unknown);
        };
        if !verify(presented, &entry.secret_hash) {
            return refuse(Refusal::WrongSecret);
        }
        if entry.revoked.is_some() {
            return refuse(Refusal::Revoked);
        }
        if entry.expires.is_some_and(|at| at <= self.clock.now()) {
            return refuse(Refusal::Expired);
        }
        Ok(Arc::clone(caller))
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyEntry, KeyRing};
    use crate::access::{Error, Refusal, mint};
    use crate::domain::{Caller, Clock, Secret, Timestamp};

    const NOW: Timestamp = Timestamp(1_000);

    fn ring(is_required: bool) -> KeyRing {
        KeyRing::new(Clock::Fixed(NOW), is_required)
    }

    fn entry() -> (Secret, KeyEntry) {
        let (secret, key) = mint();
        let entry = KeyEntry {
            id: key.id,
            name: "app".to_owned(),
            secret_hash: key.secret_hash,
            prompts: vec!["support/*".to_owned()],
            models: Vec::new(),
            default_label: Some("staging".to_owned()),
            expires: None,
            revoked: None,
        };
        (secret, entry)
    }

    #[test]
    fn a_key_proves_its_caller() {
        let (secret, entry) = entry();
        let ring = ring(true);
        ring.replace(vec![entry.clone()]);
        let caller = ring.authenticate(Some(secret.reveal())).unwrap();
        assert_eq!(caller.key, Some(entry.id));
        assert_eq!(caller.name, "app");
        assert_eq!(caller.prompts, ["support/*"]);
        assert_eq!(caller.default_label.as_deref(), Some("staging"));
    }

    #[test]
    fn all_others_get_one_answer() {
        let (secret, good) = entry();
        let (revoked, mut revoked_entry) = entry();
        revoked_entry.revoked = Some(Timestamp(1));
        let (expired, mut expired_entry) = entry();
        expired_entry.expires = Some(NOW);
        let (unknown, _) = entry();
        // The id of one key with the secret of another.
        let (forged, mut forged_entry) = entry();
        forged_entry.secret_hash = good.secret_hash;
        let (later, mut later_entry) = entry();
        later_entry.expires = Some(Timestamp(NOW.0 + 1));
        let ring = ring(false);
        ring.replace(vec![
            good,
            revoked_entry,
            expired_entry,
            forged_entry,
            later_entry,
        ]);
        assert!(ring.authenticate(Some(secret.reveal())).is_ok());
        assert!(ring.authenticate(Some(later.reveal())).is_ok());
        let mut texts = Vec::new();
        for (credential, refusal) in [
            (&revoked, Refusal::Revoked),
            (&expired, Refusal::Expired),
            (&unknown, Refusal::Unknown),
            (&forged, Refusal::WrongSecret),
        ] {
            let error = ring.authenticate(Some(credential.reveal())).unwrap_err();
            assert_eq!(error, Error::InvalidApiKey(refusal));
            let shown = format!("{error} {:?} {}", error.hint(), error.kind());
            assert!(!shown.contains(credential.reveal()));
            texts.push(shown);
        }
        texts.dedup();
        assert_eq!(texts.len(), 1, "{texts:?}");
        assert_eq!(ring.authenticate(None).unwrap_err(), Error::MissingApiKey);
    }

    #[test]
    fn an_empty_ring_is_open_only_where_no_key_is_required() {
        assert_eq!(*ring(false).authenticate(None).unwrap(), Caller::local());
        let with_any = ring(false).authenticate(Some("sk-any"));
        assert_eq!(*with_any.unwrap(), Caller::local());
        assert!(ring(false).is_open());
        assert_eq!(
            ring(true).authenticate(None).unwrap_err(),
            Error::MissingApiKey
        );
        assert!(!ring(true).is_open());
    }

    #[test]
    fn revoking_the_last_key_does_not_open_the_door() {
        let (secret, mut entry) = entry();
        entry.revoked = Some(Timestamp(1));
        let ring = ring(false);
        ring.replace(vec![entry]);
        assert!(!ring.is_open());
        assert!(ring.authenticate(None).is_err());
        assert!(ring.authenticate(Some(secret.reveal())).is_err());
    }
}
