//! Every prompt version that may be served is kept in the store, so that it can be rendered again, and
//! the numbers of versions, so that they are not counted anew at every start.

use crate::app::Config;
use crate::domain::BundleHash;
use crate::prompts::{BundleArchive, SyncEvent};
use crate::store::{KeptPrompts, Store};
use serde_json::value::RawValue;
use std::sync::Arc;

/// The setting that tells the next start what was served.
const SYNC_STATE: &str = "prompts.sync";

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

    fn record(&self, event: &SyncEvent) -> Result<(), String> {
        let appended = self.0.append_prompts_loaded(event);
        appended.map(|_| ()).map_err(|error| error.to_string())
    }

    fn keep_sync_state(&self, state: &str) -> Result<(), String> {
        let json = RawValue::from_string(state.to_owned()).map_err(|error| error.to_string())?;
        let kept = self.0.put_setting(SYNC_STATE, &json);
        kept.map_err(|error| error.to_string())
    }

    fn sync_state(&self) -> Result<Option<String>, String> {
        let found = self
            .0
            .setting(SYNC_STATE)
            .map_err(|error| error.to_string())?;
        Ok(found.map(|json| json.get().to_owned()))
    }
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
