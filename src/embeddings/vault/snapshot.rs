//! A snapshot open for reading: ids and hashes in memory, texts and vectors in their files.

use crate::embeddings::Error;
use crate::embeddings::item::{Item, Span};
use crate::embeddings::name::SnapshotId;
use crate::embeddings::rows::{Matrix, Rows};
use crate::embeddings::space::{TextHash, VectorKey};
use crate::embeddings::vault::catalogue::Catalogue;
use crate::embeddings::vault::gather::{Segments, gather};
use crate::embeddings::vault::index::Place;
use crate::embeddings::vault::items::{Detail, Items};
use crate::embeddings::vault::opened::Opened;
use crate::embeddings::vault::{Manifest, VaultError};
use serde_json::Value;
use std::collections::HashMap;

/// How many rows are read at a time when all are.
const ROWS_AT_A_TIME: usize = 4096;

/// A snapshot open for reading. Row i is item i. What is collected or deleted meanwhile stays readable here.
#[derive(Debug)]
pub struct Snapshot {
    manifest: Manifest,
    items: Items,
    heads: Heads,
    places: Vec<Place>,
    segments: Segments,
}

/// What is in memory of the items: some 80 bytes of each, and its id.
#[derive(Debug, Default)]
struct Heads {
    /// All ids, one behind the other.
    ids: String,
    /// Where each ends.
    id_ends: Vec<usize>,
    /// The rows, by their ids.
    by_id: Vec<u32>,
    text_hashes: Vec<[u8; 32]>,
    sources: Vec<String>,
    /// The source's number, the first byte, the byte after the last; empty when no item has a span.
    spans: Vec<Option<(u32, u64, u64)>>,
}

/// Opens the snapshot with an identity.
pub(super) fn open(
    vault: &Opened,
    catalogue: &Catalogue,
    id: &SnapshotId,
) -> Result<Snapshot, VaultError> {
    let manifest = catalogue.of(id)?.into_iter().next();
    let manifest = manifest.ok_or_else(|| VaultError::NoSuchId { id: id.clone() })?;
    let items = Items::open(&catalogue.items(id))?;
    let mut heads = Heads::default();
    let mut keys = Vec::with_capacity(items.len());
    let mut sources = HashMap::new();
    items.heads(|head| {
        keys.push(head.vector_key());
        heads.push(&head.id, head.text_hash, head.span, &mut sources);
        Ok(())
    })?;
    // Nothing is moved while places and files are put together.
    let all = vault.segments();
    let found = vault.places(&all, &keys, manifest.precision)?;
    drop(keys);
    let missing = found.iter().filter(|place| place.is_none()).count();
    if let Some(first) = found.iter().position(Option::is_none) {
        let first = heads.id(first).unwrap_or_default().to_owned();
        return Err(VaultError::MissingVectors { missing, first });
    }
    let places: Vec<Place> = found.into_iter().flatten().collect();
    let mut segments = Segments::new();
    for place in &places {
        if let Some(segment) = all.get(&place.segment) {
            segments
                .entry(place.segment)
                .or_insert_with(|| segment.clone());
        }
    }
    drop(all);
    heads.sort()?;
    Ok(Snapshot {
        manifest,
        items,
        heads,
        places,
        segments,
    })
}

impl Heads {
    fn push(
        &mut self,
        id: &str,
        text_hash: [u8; 32],
        span: Option<Span>,
        sources: &mut HashMap<String, u32>,
    ) {
        self.ids.push_str(id);
        self.id_ends.push(self.ids.len());
        self.text_hashes.push(text_hash);
        let Some(span) = span else {
            if !self.spans.is_empty() {
                self.spans.push(None);
            }
            return;
        };
        self.spans.resize(self.id_ends.len() - 1, None);
        let next = u32::try_from(self.sources.len()).unwrap_or(u32::MAX);
        let source = *sources.entry(span.source).or_insert_with_key(|name| {
            self.sources.push(name.clone());
            next
        });
        self.spans.push(Some((source, span.start, span.end)));
    }

    fn sort(&mut self) -> Result<(), VaultError> {
        let len = u32::try_from(self.id_ends.len());
        let len = len.map_err(|_| VaultError::TooMany { what: "the items" })?;
        let mut by_id: Vec<u32> = (0..len).collect();
        by_id.sort_by(|a, b| self.id_at(*a).cmp(&self.id_at(*b)));
        self.by_id = by_id;
        Ok(())
    }

    fn id_at(&self, row: u32) -> Option<&str> {
        self.id(usize::try_from(row).ok()?)
    }

    fn id(&self, row: usize) -> Option<&str> {
        let end = *self.id_ends.get(row)?;
        let start = row.checked_sub(1).and_then(|row| self.id_ends.get(row));
        self.ids.get(start.copied().unwrap_or(0)..end)
    }
}

impl Snapshot {
    /// Returns what the snapshot is.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Returns the id of an item.
    #[must_use]
    pub fn id(&self, row: usize) -> Option<&str> {
        self.heads.id(row)
    }

    /// Returns the row of the item with an id.
    #[must_use]
    pub fn row_of(&self, id: &str) -> Option<usize> {
        let heads = &self.heads;
        let at = heads
            .by_id
            .binary_search_by(|row| heads.id_at(*row).cmp(&Some(id)));
        let row = at.ok().and_then(|at| heads.by_id.get(at))?;
        usize::try_from(*row).ok()
    }

    /// Returns the hash of an item's text as it was sent.
    #[must_use]
    pub fn text_hash(&self, row: usize) -> Option<TextHash> {
        self.heads.text_hashes.get(row).copied().map(TextHash)
    }

    /// Returns where an item stands in its source.
    #[must_use]
    pub fn span(&self, row: usize) -> Option<Span> {
        let (source, start, end) = (*self.heads.spans.get(row)?)?;
        let source = self.heads.sources.get(usize::try_from(source).ok()?)?;
        Some(Span {
            source: source.clone(),
            start,
            end,
        })
    }

    /// Reads an item's text; `None` where texts are not kept.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn text(&self, row: usize) -> Result<Option<String>, VaultError> {
        Ok(self.items.detail(row)?.and_then(|detail| detail.text))
    }

    /// Reads what else is known of an item.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn metadata(&self, row: usize) -> Result<Option<Value>, VaultError> {
        Ok(self.items.detail(row)?.as_ref().and_then(metadata))
    }

    /// Reads an item whole.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn item(&self, row: usize) -> Result<Option<Item>, VaultError> {
        let (Some(id), Some(detail)) = (self.id(row), self.items.detail(row)?) else {
            return Ok(None);
        };
        Ok(Some(Item {
            id: id.to_owned(),
            span: self.span(row),
            metadata: metadata(&detail),
            text: detail.text,
        }))
    }

    /// Reads the keys of all items, in order.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn keys(&self) -> Result<Vec<VectorKey>, VaultError> {
        let mut keys = Vec::with_capacity(self.items.len());
        self.items.heads(|head| {
            keys.push(head.vector_key());
            Ok(())
        })?;
        Ok(keys)
    }

    /// Reads the hash of an item's text without its accidents (ends of lines, composed characters); `None`
    /// when the item came without a text.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn canonical_hash(&self, row: usize) -> Result<Option<TextHash>, VaultError> {
        let detail = self.items.detail(row)?;
        Ok(detail.and_then(|detail| detail.canonical).map(TextHash))
    }

    /// Reads all vectors into memory.
    ///
    /// # Errors
    ///
    /// `Io`, `Damaged`.
    pub fn load(&self) -> Result<Matrix, Error> {
        let dimensions = self.dimensions();
        let mut values = vec![0.0; self.len().saturating_mul(dimensions)];
        let size = ROWS_AT_A_TIME.saturating_mul(dimensions).max(1);
        for (number, piece) in values.chunks_mut(size).enumerate() {
            self.read(number * ROWS_AT_A_TIME, piece)?;
        }
        Ok(Matrix::new(dimensions, values).unwrap_or_default())
    }
}

fn metadata(detail: &Detail) -> Option<Value> {
    let text = detail.metadata.as_deref()?;
    serde_json::from_str(text).ok()
}

impl Rows for Snapshot {
    fn len(&self) -> usize {
        self.places.len()
    }

    fn dimensions(&self) -> usize {
        usize::try_from(self.manifest.dimensions).unwrap_or(0)
    }

    fn read(&self, first: usize, into: &mut [f32]) -> Result<(), Error> {
        let dimensions = self.dimensions();
        let count = into.len().checked_div(dimensions).unwrap_or(0);
        let places = self.places.get(first..first.saturating_add(count));
        let places = places.ok_or(Error::NoSuchRow { row: first })?;
        let mut buffer = Vec::new();
        gather(&self.segments, places, &mut buffer, |number, row| {
            let start = number.saturating_mul(dimensions);
            let place = into.get_mut(start..start.saturating_add(row.len()));
            if let Some(place) = place {
                place.copy_from_slice(row);
            }
        })?;
        Ok(())
    }
}
