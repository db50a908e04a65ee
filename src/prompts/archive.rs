//! Every version that was ever served, kept so that it can be rendered again.

use crate::domain::{AuditEvent, BundleHash, PromptKey};
use crate::prompts::bundle::Bundle;
use crate::prompts::error::Error;
use crate::prompts::registry::Prompts;
use serde::Deserialize;
use std::sync::Arc;

/// Keeps versions. The application implements it over its store.
pub trait BundleArchive: Send + Sync {
    /// Stores `json` under `hash`, durably, in place of what is there.
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot.
    fn put(&self, hash: &BundleHash, json: &[u8]) -> Result<(), String>;

    /// Returns what is stored under hashes that start with `hex_prefix` (4 to 64 digits).
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot be read.
    fn find(&self, hex_prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String>;

    /// Keeps a round of numbers of the history called `line` (64 hex digits), after those before.
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot.
    fn append_numbers(&self, line: &str, round: &[u8]) -> Result<(), String>;

    /// Returns the rounds of a history that were kept, in order; fewer when some are damaged.
    ///
    /// # Errors
    ///
    /// Words for the log when they cannot be read.
    fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, String>;

    /// Writes down what happened. Who only looks at files writes nothing.
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot.
    fn note(&self, _events: &[AuditEvent]) -> Result<(), String> {
        Ok(())
    }

    /// Keeps `json` under `name`, durably, in place of what is there.
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot.
    fn put_state(&self, _name: &str, _json: &str) -> Result<(), String> {
        Ok(())
    }

    /// Returns what is kept under `name`.
    ///
    /// # Errors
    ///
    /// Words for the log when it cannot be read.
    fn state(&self, _name: &str) -> Result<Option<String>, String> {
        Ok(None)
    }
}

/// Keeps nothing, for commands that only look at files.
#[derive(Debug, Clone, Copy)]
pub struct NoArchive;

impl BundleArchive for NoArchive {
    fn put(&self, _: &BundleHash, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn find(&self, _: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
        Ok(Vec::new())
    }

    fn append_numbers(&self, _: &str, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn numbers(&self, _: &str) -> Result<Vec<Vec<u8>>, String> {
        Ok(Vec::new())
    }
}

#[derive(Deserialize)]
struct Names {
    names: Vec<PromptKey>,
}

/// Returns the names that a stored version was served under; none when it is damaged.
pub(super) fn names_of(json: &[u8]) -> Vec<PromptKey> {
    serde_json::from_slice::<Names>(json).map_or_else(|_| Vec::new(), |stored| stored.names)
}

/// Stores `bundle` as a version of `key`, unless it is.
///
/// The same content may be served under several names, and a name is what a caller is allowed:
/// a version is found only under names that it was served as.
pub(super) fn keep(
    archive: &dyn BundleArchive,
    key: &PromptKey,
    bundle: &Bundle,
) -> Result<(), Error> {
    let hash = bundle.hash();
    let stored = archive.find(&hash.to_hex()).map_err(Error::Archive)?;
    let mut names: Vec<PromptKey> = stored.iter().flat_map(|(_, json)| names_of(json)).collect();
    if names.contains(key) {
        return Ok(());
    }
    names.push(key.clone());
    names.sort();
    names.dedup();
    archive
        .put(&hash, &bundle.to_json(&names)?)
        .map_err(Error::Archive)
}

impl Prompts {
    /// Keeps a version that somebody brings along as one of `key`, so that it can be rendered and shown
    /// from now on, and returns it. It is served to nobody. Blocks.
    ///
    /// # Errors
    ///
    /// [`Error::BundleDamaged`] when `json` is no version, or its hash is not that of its content;
    /// [`Error::Archive`].
    pub fn adopt(&self, key: &PromptKey, json: &[u8]) -> Result<Arc<Bundle>, Error> {
        let (bundle, _) = Bundle::from_json(json)?;
        keep(self.inner.archive.as_ref(), key, &bundle)?;
        Ok(Arc::new(bundle))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::{BundleArchive, keep, names_of};
    use crate::domain::{AuditEvent, BundleHash, PromptKey};
    use crate::prompts::bundle::Bundle;
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    /// An archive in memory, which can be told to fail.
    #[derive(Debug, Default)]
    pub(crate) struct MemoryArchive {
        pub(crate) stored: Mutex<BTreeMap<String, (BundleHash, Vec<u8>)>>,
        pub(crate) rounds: Mutex<BTreeMap<String, Vec<Vec<u8>>>>,
        pub(crate) states: Mutex<BTreeMap<String, String>>,
        pub(crate) events: Mutex<Vec<AuditEvent>>,
        pub(crate) is_broken: std::sync::atomic::AtomicBool,
    }

    impl MemoryArchive {
        pub(crate) fn len(&self) -> usize {
            self.stored.lock().unwrap().len()
        }
    }

    impl BundleArchive for MemoryArchive {
        fn put(&self, hash: &BundleHash, json: &[u8]) -> Result<(), String> {
            if self.is_broken.load(std::sync::atomic::Ordering::SeqCst) {
                return Err("disk full".to_owned());
            }
            self.stored
                .lock()
                .unwrap()
                .insert(hash.to_hex(), (*hash, json.to_vec()));
            Ok(())
        }

        fn find(&self, hex_prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
            let stored = self.stored.lock().unwrap();
            let fits = stored.iter().filter(|(hex, _)| hex.starts_with(hex_prefix));
            Ok(fits.map(|(_, entry)| entry.clone()).collect())
        }

        fn append_numbers(&self, line: &str, round: &[u8]) -> Result<(), String> {
            let mut rounds = self.rounds.lock().unwrap();
            rounds
                .entry(line.to_owned())
                .or_default()
                .push(round.to_vec());
            Ok(())
        }

        fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, String> {
            let rounds = self.rounds.lock().unwrap();
            Ok(rounds.get(line).cloned().unwrap_or_default())
        }

        fn note(&self, events: &[AuditEvent]) -> Result<(), String> {
            self.events.lock().unwrap().extend_from_slice(events);
            Ok(())
        }

        fn put_state(&self, name: &str, json: &str) -> Result<(), String> {
            let mut states = self.states.lock().unwrap();
            states.insert(name.to_owned(), json.to_owned());
            Ok(())
        }

        fn state(&self, name: &str) -> Result<Option<String>, String> {
            Ok(self.states.lock().unwrap().get(name).cloned())
        }
    }

    #[test]
    fn one_content_is_kept_once_under_all_its_names() {
        let archive = MemoryArchive::default();
        let bundle = crate::prompts::bundle::tests::bundle("Hello, {{name}}!");
        let names = ["a", "b", "a"].map(|name| PromptKey::parse(name).unwrap());
        for name in &names {
            keep(&archive, name, &bundle).unwrap();
        }
        assert_eq!(archive.len(), 1);
        let found = archive.find(bundle.hash().to_hex().split_at(4).0).unwrap();
        assert_eq!(names_of(&found[0].1), names[..2]);
        let (again, _) = Bundle::from_json(&found[0].1).unwrap();
        assert_eq!(again.hash(), bundle.hash());
        assert!(names_of(b"damaged").is_empty());
    }
}
