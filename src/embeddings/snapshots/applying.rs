//! Sending a snapshot through an adapter: what comes out is a snapshot of the adapter's own space.

use crate::embeddings::name::check_collection;
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::snapshots::adapting::kept;
use crate::embeddings::snapshots::{Error, Snapshots};
use crate::embeddings::space::{Side, TextHash, VectorKey};
use crate::embeddings::vault::{
    NewItem, NewSnapshot, Precision, Sealed, Snapshot, Source, SourceKind, Spent,
};
use serde::{Deserialize, Serialize};

/// How many vectors are mapped and kept at a time.
const ROWS_AT_A_TIME: usize = 1024;

/// What goes through an adapter.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApplyWish {
    /// The snapshot: `docs@1`.
    pub snapshot: String,
    /// The collection of what comes out; `docs-adapted` when nothing is said, so that names of the
    /// first never lead there.
    pub collection: Option<String>,
    /// How exactly vectors are kept; as those of the snapshot when nothing is said.
    pub precision: Option<Precision>,
}

impl Snapshots {
    /// Maps the vectors of a snapshot, and makes a snapshot of them. Blocks.
    ///
    /// # Errors
    ///
    /// `WrongDirection`, `SpaceMismatch` when the snapshot is not of the space that the adapter maps
    /// from; those of names, of the shelf and of the vault.
    pub fn apply_adapter(&self, name: &str, wish: &ApplyWish) -> Result<Sealed, Error> {
        let adapter = self.shelf().find(name).map_err(kept)?;
        let manifest = self.manifest(&wish.snapshot)?;
        adapter.check(&manifest.name(), &manifest.space)?;
        let adapted = || format!("{}-adapted", manifest.collection);
        let collection = wish.collection.clone().unwrap_or_else(adapted);
        check_collection(&collection)?;
        let snapshot = self.vault().open_snapshot(&manifest.id)?;
        let (space, dimensions) = (adapter.space(), snapshot.dimensions());
        let space_id = space.id();
        let precision = wish.precision.unwrap_or(manifest.precision);
        let keys = snapshot.keys()?;
        let mut items: Vec<NewItem> = Vec::with_capacity(snapshot.len());
        let mut first = 0;
        while first < snapshot.len() {
            let count = ROWS_AT_A_TIME.min(snapshot.len() - first);
            let mut values = vec![0.0; count * dimensions];
            snapshot.read(first, &mut values)?;
            let rows = Matrix::new(dimensions, values).unwrap_or_default();
            let mapped = adapter.map(&manifest.name(), &manifest.space, &rows)?;
            let parts = keys.iter().skip(first).take(count).zip(first..);
            for (key, row) in parts {
                // Not every vector is that of a known text, so what comes out is named after what went in.
                let key = VectorKey::new(&space, &space_id, Side::Document, TextHash(key.0));
                items.extend(renamed(&snapshot, row, key)?);
            }
            let made = items.iter().skip(first).enumerate();
            let rows: Vec<(VectorKey, &[f32])> = made
                .filter_map(|(place, item)| Some((item.key, mapped.row(place)?)))
                .collect();
            let length = mapped.dimensions();
            self.vault().put(&space_id, length, precision, &rows)?;
            first += count;
        }
        let detail = format!("{} through {}", manifest.name(), adapter.id());
        let draft = NewSnapshot {
            collection,
            space,
            pipeline_id: manifest.pipeline_id.clone(),
            pipeline: manifest.pipeline.clone(),
            precision,
            text_storage: manifest.text_storage,
            items,
            parent: Some(manifest.id.clone()),
            source: Source {
                kind: SourceKind::Adapter,
                detail: Some(detail),
            },
            truncated: manifest.counts.truncated,
            spent: Spent::NOTHING,
            model_returned: None,
            created: self.clock.now(),
        };
        self.forget_names();
        Ok(self.vault().seal(&draft)?)
    }
}

/// The item of a row, with the vector of another key.
fn renamed(snapshot: &Snapshot, row: usize, key: VectorKey) -> Result<Option<NewItem>, Error> {
    let item = snapshot.item(row)?.zip(snapshot.text_hash(row));
    Ok(item.map(|(item, text_hash)| NewItem {
        item,
        text_hash,
        key,
    }))
}
