//! What is kept of drift: one setting of the store for each kind of watch, in a form with a version.

use crate::embeddings::snapshots::Error;
use crate::store::Store;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;
use std::fmt::Display;

/// Where something is kept.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shelf {
    /// The setting's name.
    pub(super) name: &'static str,
    /// The version of its form.
    pub(super) format: u32,
}

impl Shelf {
    /// Reads what is kept, which says by `format_of` in which form it is; nothing kept is the usual. Blocks.
    ///
    /// # Errors
    ///
    /// `Kept` when it cannot be read, `Invalid` when it is of another form.
    pub(super) fn read<T: DeserializeOwned + Default>(
        self,
        store: &Store,
        format_of: impl Fn(&T) -> u32,
    ) -> Result<T, Error> {
        let found = store.setting(self.name).map_err(|error| failed(&error))?;
        let Some(found) = found else {
            return Ok(T::default());
        };
        let kept: T = serde_json::from_str(found.get()).map_err(|error| failed(&error))?;
        let (has, reads) = (format_of(&kept), self.format);
        if has == reads {
            return Ok(kept);
        }
        let problem = format!("is kept in format {has}, and this version reads {reads}");
        let hint = "use the release that wrote it";
        Err(Error::invalid(self.name, problem, Some(hint)))
    }

    /// Writes it. Blocks.
    ///
    /// # Errors
    ///
    /// `Kept`.
    pub(super) fn write<T: Serialize>(self, store: &Store, kept: &T) -> Result<(), Error> {
        let value = to_raw_value(kept).map_err(|error| failed(&error))?;
        let put = store.put_setting(self.name, &value);
        put.map_err(|error| failed(&error))
    }
}

fn failed(error: &dyn Display) -> Error {
    Error::Kept {
        problem: error.to_string(),
    }
}
