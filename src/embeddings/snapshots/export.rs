//! The rows of a snapshot, page by page, for files of other tools.

use crate::embeddings::rows::Rows as _;
use crate::embeddings::snapshots::import_check::stand_in;
use crate::embeddings::snapshots::row::VectorRow;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::vault::{Manifest, Snapshot};
use std::sync::Arc;

/// How many bytes of vectors are in a page, about.
const PAGE_BYTES: usize = 1 << 20;
/// How many rows are in a page at most.
const PAGE_ROWS: usize = 1_000;

/// A snapshot that is read from its first row to its last. What is deleted meanwhile is still in it.
#[derive(Debug)]
pub struct Exporting {
    snapshot: Arc<Snapshot>,
    next: usize,
}

impl Snapshots {
    /// Opens a snapshot for export.
    ///
    /// # Errors
    ///
    /// Those of names and of the vault.
    pub async fn export(self: &Arc<Self>, name: &str) -> Result<Exporting, Error> {
        let (room, name) = (Arc::clone(self), name.to_owned());
        let snapshot = blocking(move || {
            let manifest = room.manifest(&name)?;
            Ok(Arc::new(room.vault.open_snapshot(&manifest.id)?))
        });
        Ok(Exporting {
            snapshot: snapshot.await?,
            next: 0,
        })
    }
}

impl Exporting {
    /// Returns what the snapshot is.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        self.snapshot.manifest()
    }

    /// Returns the next rows; `None` behind the last.
    ///
    /// # Errors
    ///
    /// Those of the vault.
    pub async fn page(&mut self) -> Result<Option<Vec<VectorRow>>, Error> {
        let (snapshot, first) = (Arc::clone(&self.snapshot), self.next);
        let page = blocking(move || read(&snapshot, first)).await?;
        self.next += page.len();
        Ok((!page.is_empty()).then_some(page))
    }
}

fn read(snapshot: &Snapshot, first: usize) -> Result<Vec<VectorRow>, Error> {
    let dimensions = snapshot.dimensions().max(1);
    let most = (PAGE_BYTES / (4 * dimensions)).clamp(1, PAGE_ROWS);
    let rows = most.min(snapshot.len().saturating_sub(first));
    let mut values = vec![0.0; rows * snapshot.dimensions()];
    snapshot.read(first, &mut values)?;
    let mut page = Vec::with_capacity(rows);
    for (row, vector) in (first..).zip(values.chunks_exact(dimensions)) {
        let Some((item, hash)) = snapshot.item(row)?.zip(snapshot.text_hash(row)) else {
            break;
        };
        page.push(VectorRow {
            // What stands for a hash that nobody knows is none.
            text_hash: (hash != stand_in(&item.id)).then(|| hash.to_hex()),
            id: item.id,
            text: item.text,
            span: item.span,
            metadata: item.metadata,
            vector: vector.to_vec(),
        });
    }
    Ok(page)
}
