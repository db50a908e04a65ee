//! The imports of a process: rows that came lie in two files until all of them are sealed.
//!
//! ```text
//! data/embeddings/imports/<id>-<n>.jsonl      the rows that came, a line each, without their vectors
//! data/embeddings/imports/<id>-<n>.vectors    their vectors, `f32` in the same order
//! ```
//!
//! None of it is in the vault before the last row was checked: an import that fails leaves nothing behind
//! that the corrected file would be held against.

use crate::domain::sha256_hex;
use crate::embeddings::item::Item;
use crate::embeddings::pipeline::Pipeline;
use crate::embeddings::snapshots::import::Holds;
use crate::embeddings::snapshots::import_check::{
    Wrong, check_vector, known_hash, of_vector, stand_in,
};
use crate::embeddings::snapshots::import_error::ImportError;
use crate::embeddings::snapshots::import_row::Kept;
use crate::embeddings::snapshots::plan::count;
use crate::embeddings::snapshots::row::VectorRow;
use crate::embeddings::snapshots::texts::{Place, each_line};
use crate::embeddings::snapshots::{Error, SnapshotWish};
use crate::embeddings::space::{Side, Space, SpaceId, VectorKey};
use crate::embeddings::vault::{DEVIATION_ALERT, Precision};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// How many imports may be under way; the oldest is forgotten for the next.
const MOST_OPEN: usize = 8;

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
pub(super) struct Head {
    pub(super) id: String,
    pub(super) collection: String,
    pub(super) space: Space,
    pub(super) space_id: SpaceId,
    pub(super) pipeline: Pipeline,
    pub(super) precision: Precision,
    pub(super) is_hash_only: bool,
    pub(super) source: Option<String>,
    pub(super) keeps_known: bool,
    /// What the rows must be in the end.
    pub(super) holds: Option<Holds>,
}

/// An import under way.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) head: Head,
    pub(super) path: PathBuf,
    /// In which row each id stands.
    ids: HashMap<String, u64>,
    /// In which row each vector stands first, from 0.
    first: HashMap<[u8; 32], u64>,
    dimensions: Option<usize>,
    pub(super) without_text: u64,
}

/// A row that was checked, and its vector.
pub(super) type Keyed = (Kept, Vec<f32>);

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

    pub(super) fn find(&self, id: &str) -> Result<Arc<Mutex<Open>>, Error> {
        let open = self.open();
        let found = open.iter().find(|one| one.id == id);
        let found = found.map(|found| Arc::clone(&found.open));
        Ok(found.ok_or_else(|| ImportError::NotFound { id: id.to_owned() })?)
    }

    /// Begins an import, or begins it again; what others left behind goes.
    pub(super) fn begin(&self, head: Head) -> Result<(), Error> {
        fs::create_dir_all(&self.dir).map_err(Error::io("create", &self.dir))?;
        // Who was cut off may still be writing: an import that is begun again has other files.
        let number = self.begun.fetch_add(1, Ordering::Relaxed);
        let (id, file) = (head.id.clone(), format!("{}-{number}.jsonl", head.id));
        let path = self.dir.join(file);
        let mut open = self.open();
        open.retain(|one| one.id != id);
        if MOST_OPEN <= open.len() {
            open.remove(0);
        }
        self.sweep(&open)?;
        for path in [&path, &vectors_of(&path)] {
            File::create(path).map_err(Error::io("create", path))?;
        }
        let begun = Open {
            dimensions: dimensions(&head.space),
            head,
            path: path.clone(),
            ids: HashMap::new(),
            first: HashMap::new(),
            without_text: 0,
        };
        open.push(Under {
            id,
            path,
            open: Arc::new(Mutex::new(begun)),
        });
        Ok(())
    }

    pub(super) fn end(&self, id: &str, path: &Path) -> Result<(), Error> {
        self.open().retain(|one| one.id != id || one.path != *path);
        for path in [path, &vectors_of(path)] {
            fs::remove_file(path).map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    /// Returns the keys of the rows that came, of all that are under way.
    pub(super) fn keys(&self) -> Result<HashSet<VectorKey>, Error> {
        let open = self.open().clone();
        let mut keys = HashSet::new();
        for one in open {
            let one = lock(&one.open);
            keys.extend(one.first.keys().map(|key| VectorKey(*key)));
        }
        Ok(keys)
    }

    /// Removes what imports left behind that are no longer under way.
    pub(super) fn remove_leftovers(&self) -> Result<(), Error> {
        // While this is held none begins.
        self.sweep(&self.open())
    }

    fn sweep(&self, open: &[Under]) -> Result<(), Error> {
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(Error::io("read", &self.dir))?,
        };
        for entry in entries {
            let path = entry.map_err(Error::io("read", &self.dir))?.path();
            let is_used = |one: &Under| one.path == path || vectors_of(&one.path) == path;
            if !open.iter().any(is_used) {
                fs::remove_file(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }
}

/// Where the vectors lie of the rows in a file.
fn vectors_of(path: &Path) -> PathBuf {
    path.with_extension("vectors")
}

/// How long the vectors of a space are, where it says so.
fn dimensions(space: &Space) -> Option<usize> {
    let said = space.truncated_to.or(space.dimensions);
    said.and_then(|said| usize::try_from(said).ok())
}

pub(super) fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Open {
    /// Returns how many rows came.
    pub(super) fn rows(&self) -> u64 {
        count(self.ids.len())
    }

    /// Returns how long the vectors are, once one came.
    pub(super) const fn dimensions(&self) -> Option<usize> {
        self.dimensions
    }

    /// Checks the next rows, and says under what they are kept.
    pub(super) fn checked(&mut self, rows: Vec<VectorRow>) -> Result<Vec<Keyed>, ImportError> {
        self.check_ids(&rows)?;
        let numbered = (self.rows() + 1..).zip(rows);
        numbered
            .map(|(number, row)| self.keyed(number, row))
            .collect()
    }

    /// Checks that no id stands twice.
    fn check_ids(&self, rows: &[VectorRow]) -> Result<(), ImportError> {
        let mut here: HashMap<&str, u64> = HashMap::with_capacity(rows.len());
        for (number, row) in (self.rows() + 1..).zip(rows) {
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
    fn keyed(&mut self, number: u64, row: VectorRow) -> Result<Keyed, ImportError> {
        let wrong = |(problem, hint): Wrong| ImportError::Row {
            row: number,
            id: row.id.clone(),
            problem,
            hint,
        };
        if let Some(holds) = &self.head.holds {
            holds.check_dimensions(number, row.vector.len())?;
        }
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

    /// Returns how many of the next rows have a key of a row in an earlier part with another vector, and by
    /// how much they differ at most in a dimension.
    pub(super) fn unlike_before(&self, rows: &[Keyed]) -> Result<(usize, f32), Error> {
        let path = vectors_of(&self.path);
        let mut file = None;
        let (mut unlike, mut most) = (0, 0.0_f32);
        for (kept, vector) in rows {
            let Some(first) = self.first.get(&kept.key) else {
                continue;
            };
            let file = match &mut file {
                Some(file) => file,
                none => none.insert(File::open(&path).map_err(Error::io("open", &path))?),
            };
            let mut bytes = vec![0; vector.len() * 4];
            let place = first.saturating_mul(count(bytes.len()));
            file.read_exact_at(&mut bytes, place)
                .map_err(Error::io("read", &path))?;
            let kept = floats(&bytes);
            let differences = kept
                .iter()
                .zip(vector)
                .map(|(kept, value)| (kept - value).abs());
            let by = differences.fold(0.0, f32::max);
            most = most.max(by);
            unlike += usize::from(DEVIATION_ALERT < by);
        }
        Ok((unlike, most))
    }

    /// Takes rows that were checked.
    pub(super) fn take(&mut self, rows: Vec<Keyed>) -> Result<(), Error> {
        let (mut lines, mut vectors) = (Vec::new(), Vec::new());
        for (kept, vector) in &rows {
            // Its keys are texts: writing it cannot fail.
            lines.extend(serde_json::to_vec(kept).unwrap_or_default());
            lines.push(b'\n');
            vectors.extend(vector.iter().flat_map(|value| value.to_le_bytes()));
        }
        let path = vectors_of(&self.path);
        let row = count(self.dimensions.unwrap_or(0).saturating_mul(4));
        let file = OpenOptions::new().write(true).open(&path);
        let file = file.map_err(Error::io("open", &path))?;
        file.write_all_at(&vectors, self.rows().saturating_mul(row))
            .map_err(Error::io("write", &path))?;
        let file = OpenOptions::new().append(true).open(&self.path);
        let mut file = file.map_err(Error::io("open", &self.path))?;
        file.write_all(&lines)
            .map_err(Error::io("write", &self.path))?;
        for (number, (kept, _)) in (self.rows()..).zip(rows) {
            self.without_text += u64::from(kept.item.text.is_none());
            self.first.entry(kept.key).or_insert(number);
            self.ids.insert(kept.item.id, number + 1);
        }
        Ok(())
    }

    /// Reads the rows that came.
    pub(super) fn read(&self, mut each: impl FnMut(Place, Kept)) -> Result<(), Error> {
        let failed = || Error::io("read", &self.path);
        let file = File::open(&self.path).map_err(failed())?;
        let read = each_line(file, |place, line| {
            each(place, serde_json::from_slice(line)?);
            Ok::<_, io::Error>(())
        });
        read.map_err(failed())
    }

    /// Reads the vectors of `rows` rows from row `first` on, counted from 0, one behind the other.
    pub(super) fn vectors(&self, first: usize, rows: usize) -> Result<Vec<f32>, Error> {
        let path = vectors_of(&self.path);
        let row = self.dimensions.unwrap_or(0).saturating_mul(4);
        let mut bytes = vec![0; row.saturating_mul(rows)];
        let file = File::open(&path).map_err(Error::io("open", &path))?;
        file.read_exact_at(&mut bytes, count(first.saturating_mul(row)))
            .map_err(Error::io("read", &path))?;
        Ok(floats(&bytes))
    }
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let (values, _) = bytes.as_chunks::<4>();
    values
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect()
}

/// What is said decides the id: the same command begins the same import again.
pub(super) fn id_of(said: &SnapshotWish, space: &SpaceId, pipeline: &Pipeline) -> String {
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
