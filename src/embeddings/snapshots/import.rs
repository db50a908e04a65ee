//! Vectors that were made elsewhere become a snapshot: rows come in parts, each is checked and laid aside,
//! and when the last one is there all of them are kept and sealed.
//!
//! An import does not outlive the process: the file is sent again then. A vector is kept under the hash of its
//! text. Where no text is known, the vector itself stands for it, and the item's id for the text's hash, so
//! that two versions of one corpus align.

use crate::embeddings::name::check_collection;
use crate::embeddings::pipeline::Pipeline;
use crate::embeddings::snapshots::import_error::ImportError;
use crate::embeddings::snapshots::import_row::text_of_kept;
use crate::embeddings::snapshots::imports::{Head, Keyed, Open, id_of, lock};
use crate::embeddings::snapshots::plan::count;
use crate::embeddings::snapshots::row::VectorRow;
use crate::embeddings::snapshots::texts::Texts;
use crate::embeddings::snapshots::wish;
use crate::embeddings::snapshots::{Error, SnapshotWish, Snapshots};
use crate::embeddings::space::{Space, SpaceId, TextHash, VectorKey};
use crate::embeddings::vault::{
    Manifest, NewItem, NewSnapshot, Precision, Put, Source, SourceKind, Spent, TextStorage,
    items_hash,
};
use serde::{Deserialize, Serialize};

/// How many bytes of vectors are kept at a time, about.
const KEPT_BYTES: usize = 8 << 20;

/// What is said of an import.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ImportWish {
    /// The collection, the embedding version and the rest; `source` is the file's name.
    pub snapshot: SnapshotWish,
    /// The version and the pipeline of the manifest that came with the file, for when nothing else is said.
    pub like: Option<Like>,
    /// The format of the file, for people.
    pub format: Option<String>,
    /// Whether a text that has another vector already keeps that one.
    pub keeps_known: bool,
}

/// Under what the vectors of an exported file were made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Like {
    /// The embedding version.
    pub space: Space,
    /// The pipeline.
    pub pipeline: Pipeline,
    /// What the file holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holds: Option<Holds>,
}

/// What a manifest says of the file beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holds {
    /// The manifest's name, for messages.
    pub manifest: String,
    /// How many items.
    pub items: u64,
    /// How long their vectors are.
    pub dimensions: u32,
    /// How exactly they are kept: where texts are not known, the hash of the items depends on it.
    pub precision: Precision,
    /// SHA-256 (hex) of the items; `None` where the file is read otherwise than it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_hash: Option<String>,
}

/// An import that was begun.
#[derive(Debug, Clone, Serialize)]
pub struct BegunImport {
    /// Its id.
    pub id: String,
    /// The embedding version.
    pub space: Space,
    /// Its name.
    pub space_id: SpaceId,
    /// The pipeline in words.
    pub pipeline: String,
}

/// What came of an import.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Imported {
    /// The snapshot.
    pub snapshot: Manifest,
    /// Whether it is new; else there was one with the same content.
    pub is_new: bool,
    /// How many rows came.
    pub rows: u64,
    /// How many of them have no text.
    pub without_text: u64,
    /// How many vectors were there already, or stood twice.
    pub known: u64,
    /// How many of those differ from the one that is kept.
    pub deviating: u64,
    /// What it means for a migration of the collection that is under way, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
}

impl Snapshots {
    /// Begins an import, or begins it again from its first row. Blocks.
    ///
    /// # Errors
    ///
    /// `NoVersion`; when what is said makes no sense; `Io`.
    pub fn begin_import(&self, wish: &ImportWish) -> Result<BegunImport, Error> {
        let said = &wish.snapshot;
        check_collection(&said.collection)?;
        let declared = self.declared.get();
        let is_named = said.space.name.is_some() || said.space.model.is_some();
        let like = wish.like.as_ref().filter(|_| !is_named);
        let mut space = match like {
            Some(like) if said.space == wish::SpaceWish::default() => like.space.clone(),
            _ if is_named => wish::space(said, &declared, None)?,
            _ => return Err(ImportError::NoVersion.into()),
        };
        // Vectors of a model that cannot be asked here are still vectors of it.
        if space.adapter.is_none()
            && let Ok(way) = self.way(&space.model, self.clock.now())
        {
            space.model = way.model;
        }
        let pipeline = match like.filter(|_| said.pipeline.is_none() && said.cut.is_none()) {
            Some(like) => like.pipeline.clone(),
            None => wish::pipeline(said, &declared, None)?,
        };
        let space_id = space.id();
        let holds = like.and_then(|like| {
            let mut holds = like.holds.clone()?;
            // Keys are made of the embedding version, and the hash of items of their keys.
            let is_same = like.space == space;
            holds.items_hash = holds.items_hash.filter(|_| is_same);
            Some(holds)
        });
        let source = said.source.as_ref().map(|file| match &wish.format {
            Some(format) => format!("{file} ({format})"),
            None => file.clone(),
        });
        let head = Head {
            id: id_of(said, &space_id, &pipeline),
            collection: said.collection.clone(),
            space,
            space_id,
            pipeline,
            precision: said.precision,
            is_hash_only: said.hash_only,
            source,
            keeps_known: wish.keeps_known,
            holds,
        };
        let begun = BegunImport {
            id: head.id.clone(),
            space: head.space.clone(),
            space_id: head.space_id.clone(),
            pipeline: head.pipeline.in_words(),
        };
        self.imports.begin(head)?;
        Ok(begun)
    }

    /// Takes the next rows of an import, of which `offset` came before, and returns how many there are now.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// `NotFound`, `OutOfTurn`, `Duplicate`, `Row`, `OtherVectors`, `NotAsSaid`; those of the vault; `Io`.
    pub fn import_rows(&self, id: &str, offset: u64, rows: Vec<VectorRow>) -> Result<u64, Error> {
        let open = self.imports.find(id)?;
        let mut open = lock(&open);
        let taken = open.rows();
        if taken != offset {
            let out_of_turn = ImportError::OutOfTurn {
                id: id.to_owned(),
                expected: taken,
                found: offset,
            };
            return Err(out_of_turn.into());
        }
        let keyed = open.checked(rows)?;
        let vectors = borrowed(&keyed);
        let Some(dimensions) = vectors.first().map(|(_, vector)| vector.len()) else {
            return Ok(taken);
        };
        let (space, precision) = (&open.head.space_id, open.head.precision);
        let weighed = self.vault.weigh(space, dimensions, precision, &vectors)?;
        let (unlike, most) = open.unlike_before(&keyed)?;
        refuse_unlike(
            &open,
            taken,
            vectors.len(),
            Put {
                deviating: weighed.deviating + unlike,
                max_deviation: weighed.max_deviation.max(most),
                ..weighed
            },
        )?;
        open.take(keyed)?;
        Ok(open.rows())
    }

    /// Makes a snapshot of the rows that came. Blocks.
    ///
    /// # Errors
    ///
    /// `NotFound`, `NotAsSaid`, `OtherVectors`; those of the vault; `Io`.
    pub fn seal_import(&self, id: &str) -> Result<Imported, Error> {
        let open = self.imports.find(id)?;
        let open = lock(&open);
        let mut items = Vec::new();
        let mut places = Vec::new();
        open.read(|place, mut kept| {
            // It is read again when it is written.
            kept.item.text = None;
            items.push(NewItem {
                item: kept.item,
                text_hash: TextHash(kept.text_hash),
                key: VectorKey(kept.key),
            });
            places.push(place);
        })?;
        let texts = Texts::open(&open.path, places, text_of_kept)?;
        let (rows, head) = (open.rows(), open.head.clone());
        if let Some(holds) = &head.holds {
            holds.check_items(&items, head.precision, open.without_text)?;
        }
        let put = self.keep(&open, &items)?;
        let draft = NewSnapshot {
            parent: self.newest(&head.collection)?.map(|newest| newest.id),
            pipeline_id: head.pipeline.id().0,
            pipeline: serde_json::to_value(&head.pipeline).unwrap_or_default(),
            collection: head.collection,
            space: head.space,
            precision: head.precision,
            // Where no row has a text there is none to keep.
            text_storage: if head.is_hash_only || open.without_text == rows {
                TextStorage::HashOnly
            } else {
                TextStorage::Text
            },
            items,
            source: Source {
                kind: SourceKind::Import,
                detail: head.source,
            },
            truncated: None,
            spent: Spent::NOTHING,
            model_returned: None,
            created: self.clock.now(),
        };
        let sealed = self.vault.seal_reading(&draft, &|row| texts.text(row))?;
        self.imports.end(id, &open.path)?;
        self.forget_names();
        Ok(Imported {
            snapshot: sealed.manifest,
            is_new: sealed.is_new,
            rows,
            without_text: open.without_text,
            known: count(put.known),
            deviating: count(put.deviating),
            migration: None,
        })
    }

    /// Keeps the vectors of an import, part by part.
    fn keep(&self, open: &Open, items: &[NewItem]) -> Result<Put, Error> {
        let mut all = Put::default();
        let Some(dimensions) = open.dimensions().filter(|length| 0 < *length) else {
            return Ok(all);
        };
        let rows = (KEPT_BYTES / (4 * dimensions)).max(1);
        let mut first = 0;
        for part in items.chunks(rows) {
            let values = open.vectors(first, part.len())?;
            let keys = part.iter().map(|item| item.key);
            let vectors: Vec<(VectorKey, &[f32])> =
                keys.zip(values.chunks_exact(dimensions)).collect();
            let (space, precision) = (&open.head.space_id, open.head.precision);
            let put = self.vault.put(space, dimensions, precision, &vectors)?;
            // Only what somebody else kept since the rows came.
            refuse_unlike(open, count(first), part.len(), put)?;
            all.known += put.known;
            all.deviating += put.deviating;
            first += part.len();
        }
        Ok(all)
    }
}

impl Holds {
    /// Checks how long the vector of a row is.
    pub(super) fn check_dimensions(&self, row: u64, found: usize) -> Result<(), ImportError> {
        if usize::try_from(self.dimensions).is_ok_and(|said| said == found) {
            return Ok(());
        }
        let said = self.dimensions;
        Err(self.not(format!(
            "says vectors of {said} dimensions, and row {row} has one of {found}"
        )))
    }

    /// Checks that all the items came, and no others.
    fn check_items(
        &self,
        items: &[NewItem],
        precision: Precision,
        without_text: u64,
    ) -> Result<(), ImportError> {
        let (said, found) = (self.items, count(items.len()));
        if said != found {
            return Err(self.not(format!("says {said} items, and {found} came")));
        }
        let is_comparable = without_text == 0 || precision == self.precision;
        match &self.items_hash {
            Some(said) if is_comparable && items_hash(items) != *said => Err(self
                .not("is of other items: their names, texts or what else is known of them differ")),
            _ => Ok(()),
        }
    }

    fn not(&self, problem: impl Into<String>) -> ImportError {
        ImportError::NotAsSaid {
            manifest: self.manifest.clone(),
            problem: problem.into(),
        }
    }
}

fn borrowed(rows: &[Keyed]) -> Vec<(VectorKey, &[f32])> {
    let pairs = rows.iter();
    pairs
        .map(|(kept, vector)| (VectorKey(kept.key), vector.as_slice()))
        .collect()
}

/// Refuses rows whose texts have other vectors already, unless those are to stay.
fn refuse_unlike(open: &Open, before: u64, rows: usize, put: Put) -> Result<(), ImportError> {
    if put.deviating == 0 || open.head.keeps_known {
        return Ok(());
    }
    Err(ImportError::OtherVectors {
        count: put.deviating,
        first: before + 1,
        last: before + count(rows),
        most: put.max_deviation,
    })
}
