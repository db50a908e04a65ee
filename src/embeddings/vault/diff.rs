//! In what two snapshots differ, told from ids, hashes and settings alone.

use crate::embeddings::space::differences;
use crate::embeddings::vault::snapshot::Snapshot;
use crate::embeddings::vault::{Manifest, SnapshotDiff, VaultError};
use crate::embeddings::{Rows as _, Space};
use serde::Serialize;
use serde_json::Value;

/// What is compared of a manifest.
#[derive(Serialize)]
struct Settings<'a> {
    space: &'a Space,
    pipeline: &'a Value,
    precision: &'a str,
    dimensions: u32,
    text_storage: super::TextStorage,
    model_returned: &'a Option<String>,
}

fn settings(manifest: &Manifest) -> Settings<'_> {
    Settings {
        space: &manifest.space,
        pipeline: &manifest.pipeline,
        precision: manifest.precision.name(),
        dimensions: manifest.dimensions,
        text_storage: manifest.text_storage,
        model_returned: &manifest.model_returned,
    }
}

/// Compares; see `Vault::diff`.
///
/// A text is the same when the text that was sent is, or when both spaces were sent the same text by its author and
/// only their prefixes differ: then its canonical form decides.
pub(super) fn diff(before: &Snapshot, after: &Snapshot) -> Result<SnapshotDiff, VaultError> {
    let (a, b) = (before.manifest(), after.manifest());
    let mut diff = SnapshotDiff {
        settings: differences(&settings(a), &settings(b)),
        ..SnapshotDiff::default()
    };
    let is_prefix_same = a.space.document.prefix == b.space.document.prefix;
    for row in 0..after.len() {
        let Some(id) = after.id(row) else { continue };
        let Some(old) = before.row_of(id) else {
            diff.added.push(id.to_owned());
            continue;
        };
        if before.text_hash(old) == after.text_hash(row) {
            diff.unchanged += 1;
            continue;
        }
        let is_same_form = before.canonical_hash(old)? == after.canonical_hash(row)?
            && after.canonical_hash(row)?.is_some();
        if is_same_form && !is_prefix_same && before.text(old)? == after.text(row)? {
            diff.unchanged += 1;
            continue;
        }
        if is_same_form {
            diff.changed_form.push(id.to_owned());
        }
        diff.changed_text.push(id.to_owned());
    }
    for row in 0..before.len() {
        let id = before.id(row);
        let gone = id.filter(|id| after.row_of(id).is_none());
        diff.removed.extend(gone.map(str::to_owned));
    }
    Ok(diff)
}
