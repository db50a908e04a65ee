//! Every prompt version that may be served is kept in the store, so that it can be rendered again, and
//! the numbers of versions, so that they are not counted anew at every start.

use crate::app::Config;
use crate::domain::{AuditEvent, BundleHash};
use crate::prompts::BundleArchive;
use crate::store::{KeptPrompts, Store};
use serde_json::value::RawValue;
use std::sync::Arc;

/// The store as the place where prompts keep their versions.
#[derive(Debug)]
pub(crate) struct Archive(pub(crate) Arc<Store>);

impl BundleArchive for Archive {
    fn put(&self, hash: &BundleHash, json: &[u8]) -> Result<(), String> {
        self.0
            .put_bundle(*hash, json)
            .map_err(|error| error.to_string())
    }

    fn find(&self, hex_prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
        self.0.bundle(hex_prefix).map_err(|error| error.to_string())
    }

    fn append_numbers(&self, line: &str, round: &[u8]) -> Result<(), String> {
        self.0
            .append_numbers(line, round)
            .map_err(|error| error.to_string())
    }

    fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, String> {
        self.0.numbers(line).map_err(|error| error.to_string())
    }

    fn note(&self, events: &[AuditEvent]) -> Result<(), String> {
        self.0.note(events).map_err(|error| error.to_string())
    }

    fn put_state(&self, name: &str, json: &str) -> Result<(), String> {
        let value = RawValue::from_string(json.to_owned()).map_err(|error| error.to_string())?;
        let put = self.0.put_setting(name, &value);
        put.map_err(|error| error.to_string())
    }

    fn state(&self, name: &str) -> Result<Option<String>, String> {
        let value = self.0.setting(name).map_err(|error| error.to_string())?;
        Ok(value.map(|value| value.get().to_owned()))
    }
}

/// Whether calls were ever recorded here. Looks only: opening the store would make one.
#[must_use]
pub fn has_records(config: &Config) -> bool {
    config.store.dir.join("journal").is_dir()
}

/// What the data directory keeps, without opening the store: a server may hold it.
struct ReadOnly(KeptPrompts);

/// Returns the archive of versions for commands that only look. Nothing is written to it.
#[must_use]
pub fn read_only_archive(config: &Config) -> Arc<dyn BundleArchive> {
    Arc::new(ReadOnly(KeptPrompts::of(&config.store.dir)))
}

impl BundleArchive for ReadOnly {
    fn put(&self, _: &BundleHash, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn find(&self, hex_prefix: &str) -> Result<Vec<(BundleHash, Vec<u8>)>, String> {
        self.0.bundle(hex_prefix).map_err(|error| error.to_string())
    }

    fn append_numbers(&self, _: &str, _: &[u8]) -> Result<(), String> {
        Ok(())
    }

    fn numbers(&self, line: &str) -> Result<Vec<Vec<u8>>, String> {
        self.0.numbers(line).map_err(|error| error.to_string())
    }
}
