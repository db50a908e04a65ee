//! Vectors that were made elsewhere become a snapshot: rows come in parts, each is checked, its vector is
//! kept at once, and at the end all of them are sealed.
//!
//! ```text
//! data/embeddings/imports/<id>-<n>.jsonl    the rows that came, a line each, without their vectors
//! ```
//!
//! An import does not outlive the process: the file is sent again then, and vectors that were kept cost
//! nothing but their way. A vector is kept under the hash of its text. Where no text is known, the vector
//! itself stands for it, and the item's id for the text's hash, so that two versions of one corpus align.

use crate::domain::sha256_hex;
use crate::embeddings::item::Item;
use crate::embeddings::name::check_collection;
use crate::embeddings::pipeline::Pipeline;
use crate::embeddings::snapshots::import_check::{
    Wrong, check_vector, known_hash, of_vector, stand_in,
};
use crate::embeddings::snapshots::import_error::ImportError;
use crate::embeddings::snapshots::import_row::{Kept, text_of_kept};
use crate::embeddings::snapshots::plan::count;
use crate::embeddings::snapshots::row::VectorRow;
use crate::embeddings::snapshots::texts::{Place, Texts, each_line};
use crate::embeddings::snapshots::wish;
use crate::embeddings::snapshots::{Error, SnapshotWish, Snapshots};
use crate::embeddings::space::{Side, Space, SpaceId, TextHash, VectorKey};
use crate::embeddings::vault::{
    Manifest, NewItem, NewSnapshot, Precision, Source, SourceKind, Spent, TextStorage,
};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many imports may be under way; the oldest is forgotten for the next.
const MOST_OPEN: usize = 8;

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

/// The imports of a process. Everything here blocks.
#[derive(Debug)]
pub(super) struct Imports {
    dir: PathBuf,
    open: Mutex<Vec<Under>>,
    begun: AtomicU64,
}

/// An import by its id.
#[derive(Debug, Clone)]
struct Under {
    id: String,
    path: PathBuf,
    open: Arc<Mutex<Open>>,
}

/// What is to be made of the rows.
#[derive(Debug, Clone)]
struct Head {
    id: String,
    collection: String,
    space: Space,
    space_id: SpaceId,
    pipeline: Pipeline,
    precision: Precision,
    is_hash_only: bool,
    source: Option<String>,
    keeps_known: bool,
}

/// An import under way.
#[derive(Debug)]
struct Open {
    head: Head,
    path: PathBuf,
    /// In which row each id stands.
    ids: HashMap<String, u64>,
    dimensions: Option<usize>,
    without_text: u64,
    known: u64,
    deviating: u64,
}

impl Imports {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            open: Mutex::default(),
            begun: AtomicU64::new(0),
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<Under>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<Arc<Mutex<Open>>, Error> {
        let open = self.open();
        let found = open.iter().find(|one| one.id == id);
        let found = found.map(|found| Arc::clone(&found.open));
        Ok(found.ok_or_else(|| ImportError::NotFound { id: id.to_owned() })?)
    }

    /// Begins an import, or begins it again.
    fn begin(&self, head: Head) -> Result<(), Error> {
        fs::create_dir_all(&self.dir).map_err(Error::io("create", &self.dir))?;
        // Who was cut off may still be writing: an import that is begun again has another file.
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let (id, file) = (head.id.clone(), format!("{}-{number}.jsonl", head.id));
        let path = self.dir.join(file);
        File::create(&path).map_err(Error::io("create", &path))?;
        let begun = Open {
            dimensions: dimensions(&head.space),
            head,
            path: path.clone(),
            ids: HashMap::new(),
            without_text: 0,
            known: 0,
            deviating: 0,
        };
        let mut open = self.open();
        open.retain(|one| one.id != id);
        if MOST_OPEN <= open.len() {
            open.remove(0);
        }
        open.push(Under {
            id,
            path,
            open: Arc::new(Mutex::new(begun)),
        });
        Ok(())
    }

    fn end(&self, id: &str, path: &Path) -> Result<(), Error> {
        self.open().retain(|one| one.id != id || one.path != *path);
        fs::remove_file(path).map_err(Error::io("remove", path))
    }

    /// Returns the keys of the rows that came, of all that are under way.
    pub(super) fn keys(&self) -> Result<HashSet<VectorKey>, Error> {
        let open = self.open().clone();
        let mut keys = HashSet::new();
        for one in open {
            let one = lock(&one.open);
            one.read(|_, kept| {
                keys.insert(VectorKey(kept.key));
            })?;
        }
        Ok(keys)
    }

    /// Removes what imports left behind that are no longer under way.
    pub(super) fn remove_leftovers(&self) -> Result<(), Error> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(Error::io("read", &self.dir))?,
        };
        // While this is held none begins.
        let open = self.open();
        for entry in entries {
            let path = entry.map_err(Error::io("read", &self.dir))?.path();
            if !open.iter().any(|one| one.path == path) {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// How long the vectors of a space are, where it says so.
fn dimensions(space: &Space) -> Option<usize> {
    let said = space.truncated_to.or(space.dimensions);
    said.and_then(|said| usize::try_from(said).ok())
}

fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
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
    /// `NotFound`, `OutOfTurn`, `Duplicate`, `Row`, `OtherVectors`; those of the vault; `Io`.
    pub fn import_rows(&self, id: &str, offset: u64, rows: Vec<VectorRow>) -> Result<u64, Error> {
        let open = self.imports.find(id)?;
        let mut open = lock(&open);
        let taken = count(open.ids.len());
        if taken != offset {
            let out_of_turn = ImportError::OutOfTurn {
                id: id.to_owned(),
                expected: taken,
                found: offset,
            };
            return Err(out_of_turn.into());
        }
        open.check(&rows)?;
        let keyed: Vec<(Kept, Vec<f32>)> = (taken + 1..)
            .zip(rows)
            .map(|(number, row)| open.keyed(number, row))
            .collect::<Result<_, _>>()?;
        let vectors: Vec<(VectorKey, &[f32])> = keyed
            .iter()
            .map(|(kept, vector)| (VectorKey(kept.key), vector.as_slice()))
            .collect();
        let Some(dimensions) = vectors.first().map(|(_, vector)| vector.len()) else {
            return Ok(taken);
        };
        let head = &open.head;
        let put = self
            .vault
            .put(&head.space_id, dimensions, head.precision, &vectors)?;
        if 0 < put.deviating && !head.keeps_known {
            let differing = ImportError::OtherVectors {
                count: put.deviating,
                first: taken + 1,
                last: taken + count(vectors.len()),
                most: put.max_deviation,
            };
            return Err(differing.into());
        }
        open.write(&keyed)?;
        open.dimensions = Some(dimensions);
        open.known += count(put.known);
        open.deviating += count(put.deviating);
        let without_text = keyed.iter().filter(|(kept, _)| kept.item.text.is_none());
        open.without_text += count(without_text.count());
        for (number, (kept, _)) in (taken + 1..).zip(keyed) {
            open.ids.insert(kept.item.id, number);
        }
        Ok(count(open.ids.len()))
    }

    /// Makes a snapshot of the rows that came. Blocks.
    ///
    /// # Errors
    ///
    /// `NotFound`; those of the vault; `Io`.
    pub fn seal_import(&self, id: &str) -> Result<Imported, Error> {
        let open = self.imports.find(id)?;
        let open = lock(&open);
        let mut items = Vec::with_capacity(open.ids.len());
        let mut places = Vec::with_capacity(open.ids.len());
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
        let rows = count(open.ids.len());
        let head = open.head.clone();
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
            known: open.known,
            deviating: open.deviating,
            migration: None,
        })
    }
}

impl Open {
    /// Checks that no id stands twice.
    fn check(&self, rows: &[VectorRow]) -> Result<(), ImportError> {
        let mut here: HashMap<&str, u64> = HashMap::with_capacity(rows.len());
        for (number, row) in (count(self.ids.len()) + 1..).zip(rows) {
            let before = here.insert(&row.id, number);
            if let Some(first) = before.or_else(|| self.ids.get(&row.id).copied()) {
                return Err(ImportError::Duplicate {
                    id: row.id.clone(),
                    first,
                    second: number,
                });
            }
        }
        Ok(())
    }

    /// Checks a row against the embedding version, and says under what it is kept.
    fn keyed(&mut self, number: u64, row: VectorRow) -> Result<(Kept, Vec<f32>), ImportError> {
        let wrong = |(problem, hint): Wrong| ImportError::Row {
            row: number,
            id: row.id.clone(),
            problem,
            hint,
        };
        let dimensions = *self.dimensions.get_or_insert(row.vector.len());
        check_vector(&self.head.space, dimensions, &row.vector).map_err(wrong)?;
        let known = known_hash(&self.head.space, &row).map_err(wrong)?;
        let (text_hash, keyed) = match known {
            Some(hash) => (hash, hash),
            None => (
                stand_in(&row.id),
                of_vector(self.head.precision, &row.vector),
            ),
        };
        let (space, space_id) = (&self.head.space, &self.head.space_id);
        let kept = Kept {
            text_hash: text_hash.0,
            key: VectorKey::new(space, space_id, Side::Document, keyed).0,
            item: Item {
                id: row.id,
                text: row.text,
                span: row.span,
                metadata: row.metadata,
            },
        };
        Ok((kept, row.vector))
    }

    fn write(&self, rows: &[(Kept, Vec<f32>)]) -> Result<(), Error> {
        let mut text = Vec::new();
        for (kept, _) in rows {
            // Its keys are texts: writing it cannot fail.
            text.extend(serde_json::to_vec(kept).unwrap_or_default());
            text.push(b'\n');
        }
        let file = OpenOptions::new().append(true).open(&self.path);
        let mut file = file.map_err(Error::io("open", &self.path))?;
        file.write_all(&text)
            .map_err(Error::io("write", &self.path))
    }

    fn read(&self, mut each: impl FnMut(Place, Kept)) -> Result<(), Error> {
        let failed = || Error::io("read", &self.path);
        let file = File::open(&self.path).map_err(failed())?;
        let read = each_line(file, |place, line| {
            each(place, serde_json::from_slice(line)?);
            Ok::<_, io::Error>(())
        });
        read.map_err(failed())
    }
}

/// What is said decides the id: the same command begins the same import again.
fn id_of(said: &SnapshotWish, space: &SpaceId, pipeline: &Pipeline) -> String {
    let said = (
        &said.collection,
        space,
        pipeline.id(),
        said.precision,
        said.hash_only,
        &said.source,
    );
    let hash = sha256_hex(&serde_json::to_vec(&said).unwrap_or_default());
    ["import-", hash.get(..12).unwrap_or(&hash)].concat()
}
