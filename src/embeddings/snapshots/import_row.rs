//! A row of an import, as it lies on disk until the snapshot is sealed.

use crate::embeddings::item::Item;
use crate::embeddings::snapshots::texts::WithText;
use serde::{Deserialize, Serialize};

/// A row on disk.
#[derive(Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) item: Item,
    pub(super) text_hash: [u8; 32],
    pub(super) key: [u8; 32],
}

/// The text of a row on disk.
pub(super) fn text_of_kept(line: &[u8]) -> Option<Option<String>> {
    #[derive(Deserialize)]
    struct OfKept {
        item: WithText,
    }
    Some(serde_json::from_slice::<OfKept>(line).ok()?.item.text)
}
