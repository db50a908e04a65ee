//! Search indexes over snapshots: made when somebody asks for one, kept as a cache on disk and in memory.
//!
//! ```text
//! data/embeddings/indexes/snap-….index    the graph; what it is and how good is in the manifest
//! ```
//!
//! A file that is damaged, or one of other rows, is never an error of a search: it scans then. When an item is
//! deleted, its row is taken out of the index, which goes on; one that is worn out by that is made anew.

use crate::embeddings;
use crate::embeddings::Rows as _;
use crate::embeddings::name::SnapshotId;
use crate::embeddings::search::{Built, Identity, Index, Recall, Settings, Why};
use crate::embeddings::snapshots::plan::count;
use crate::embeddings::snapshots::{Error, Snapshots};
use crate::embeddings::vault::{Fault, IndexFacts, Manifest, Snapshot};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

/// How many indexes are in memory; each holds all rows of its snapshot.
const MOST_HELD: usize = 2;

/// How an index is to be made. What is not said is as it is usual.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexWish {
    /// The snapshot: `docs@2`.
    pub snapshot: String,
    /// To how many others a row is linked.
    pub links: Option<usize>,
    /// How many candidates are looked at for the links of a row.
    pub effort: Option<usize>,
    /// Which recall a search must have.
    pub wanted_recall: Option<f64>,
    /// Below how many rows none is made.
    pub least_rows: Option<usize>,
}

/// What came of it.
#[derive(Debug, Clone, Serialize)]
pub struct BuiltIndex {
    /// The snapshot, with what is known of its index.
    pub snapshot: Manifest,
    /// The recall that was measured with each effort; empty when none was made.
    pub recall: Vec<Recall>,
    /// The least effort that finds what was wanted; `None` when none does, and searches scan.
    pub effort: Option<usize>,
    /// Why none was made, as a scan does as well.
    pub exact: Option<Why>,
}

/// The indexes of a process.
#[derive(Debug)]
pub(super) struct Indexes {
    dir: PathBuf,
    /// The one that was used last comes last.
    held: Mutex<Vec<(Identity, Arc<Index>)>>,
    building: Mutex<()>,
    /// Held while an item is deleted: of two deletions each would save an index with the other's item.
    deleting: Mutex<()>,
}

/// An index some rows of which are about to go.
pub(super) struct Shrinking {
    id: SnapshotId,
    index: Arc<Index>,
    facts: IndexFacts,
    rows: Vec<usize>,
}

impl Indexes {
    pub(super) fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            held: Mutex::default(),
            building: Mutex::default(),
            deleting: Mutex::default(),
        }
    }

    /// Waits until no other item is being deleted.
    pub(super) fn deleting(&self) -> MutexGuard<'_, ()> {
        self.deleting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> MutexGuard<'_, Vec<(Identity, Arc<Index>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn path(&self, id: &SnapshotId) -> PathBuf {
        self.dir.join(format!("{id}.index"))
    }

    fn hold(&self, of: Identity, index: Arc<Index>) {
        let mut held = self.held();
        held.retain(|(known, _)| known.snapshot != of.snapshot);
        if MOST_HELD <= held.len() {
            held.remove(0);
        }
        held.push((of, index));
    }

    /// Forgets what is in memory of an index.
    fn forget(&self, id: &SnapshotId) {
        self.held().retain(|(known, _)| known.snapshot != *id);
    }

    /// Forgets an index and removes its file.
    pub(super) fn remove(&self, id: &SnapshotId) -> Result<(), Error> {
        self.forget(id);
        remove_file(&self.path(id))
    }

    /// Removes the files of all but these.
    pub(super) fn remove_others(&self, known: &HashSet<SnapshotId>) -> Result<(), Error> {
        self.held().retain(|(of, _)| known.contains(&of.snapshot));
        let entries = match fs::read_dir(&self.dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read.map_err(Error::io("read", &self.dir))?,
        };
        for entry in entries {
            let path = entry.map_err(Error::io("read", &self.dir))?.path();
            let stem = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let is_known = path.extension() == Some(OsStr::new("index"))
                && known.contains(&SnapshotId(stem.to_owned()));
            if !is_known {
                remove_file(&path)?;
            }
        }
        Ok(())
    }

    /// Returns the index of a snapshot, from memory or from its file; `None` when it cannot be used.
    pub(super) fn get(&self, snapshot: &Snapshot) -> Option<Arc<Index>> {
        let manifest = snapshot.manifest();
        manifest.index.as_ref()?;
        let of = identity(manifest);
        let found = self.held().iter().find(|(known, _)| *known == of).cloned();
        let index = match found {
            Some((_, index)) => index,
            None => match Index::load(&self.path(&manifest.id), &of, snapshot) {
                Ok(index) => Arc::new(index),
                Err(error) => {
                    let snapshot = manifest.name();
                    tracing::warn!(snapshot, %error, "an index is not used; build it again");
                    return None;
                }
            },
        };
        self.hold(of, Arc::clone(&index));
        Some(index)
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn identity(manifest: &Manifest) -> Identity {
    Identity {
        space: manifest.space_id.clone(),
        snapshot: manifest.id.clone(),
        items_left: manifest.items_left_hash.clone().unwrap_or_default(),
    }
}

/// Returns what a manifest says of an index.
fn facts_of(index: &Index) -> IndexFacts {
    let measured = index.effort().or_else(|| index.recall().last().copied());
    let queries = measured.map_or(0, |recall| recall.of / embeddings::search::index::RECALL_OF);
    IndexFacts {
        kind: "hnsw".to_owned(),
        parameters: serde_json::to_value(index.settings()).unwrap_or_default(),
        recall: measured.map_or(0.0, |recall| recall.share()),
        queries: count(queries),
    }
}

impl IndexWish {
    fn settings(&self) -> Result<Settings, Error> {
        let usual = Settings::default();
        let settings = Settings {
            links: self.links.unwrap_or(usual.links),
            effort: self.effort.unwrap_or(usual.effort),
            wanted_recall: self.wanted_recall.unwrap_or(usual.wanted_recall),
            least_rows: self.least_rows.unwrap_or(usual.least_rows),
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            ..usual
        };
        if !(2..=64).contains(&settings.links) {
            let problem = format!("is {}, not from 2 to 64", settings.links);
            return Err(Error::invalid("links", problem, None));
        }
        if !(1..=4_096).contains(&settings.effort) {
            let problem = format!("is {}, not from 1 to 4096", settings.effort);
            return Err(Error::invalid("effort", problem, None));
        }
        if !(0.0..=1.0).contains(&settings.wanted_recall) {
            let problem = format!("is {}, not from 0 to 1", settings.wanted_recall);
            return Err(Error::invalid("wanted_recall", problem, None));
        }
        Ok(settings)
    }
}

impl Snapshots {
    /// Makes the index of a snapshot and measures its recall, unless a scan does as well. Blocks, for minutes
    /// where there are a hundred thousand rows. One is made at a time.
    ///
    /// # Errors
    ///
    /// `Invalid`, `IndexBusy`; those of names, of the search and of the vault; `Io`.
    pub fn build_index(&self, wish: &IndexWish) -> Result<BuiltIndex, Error> {
        let settings = wish.settings()?;
        let _building = match self.indexes.building.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Err(Error::IndexBusy),
        };
        let manifest = self.manifest(&wish.snapshot)?;
        let snapshot = self.vault.open_snapshot(&manifest.id)?;
        let index = match Index::build(&snapshot, None, &settings)? {
            Built::Exact(why) => {
                return Ok(BuiltIndex {
                    snapshot: manifest,
                    recall: Vec::new(),
                    effort: None,
                    exact: Some(why),
                });
            }
            Built::Graph(index) => index,
        };
        let dir = &self.indexes.dir;
        fs::create_dir_all(dir).map_err(Error::io("create", dir))?;
        let path = self.indexes.path(&manifest.id);
        let saved = index.save(&path, &identity(&manifest));
        saved.map_err(embeddings::Error::from)?;
        let effort = index.effort();
        let facts = facts_of(&index);
        // An item that was deleted meanwhile is in the graph, which is then one of other rows and not used.
        self.vault.set_index(&manifest.id, Some(&facts))?;
        let recall = index.recall().to_vec();
        self.indexes.hold(identity(&manifest), Arc::new(*index));
        Ok(BuiltIndex {
            snapshot: Manifest {
                index: Some(facts),
                ..manifest
            },
            recall,
            effort: effort.map(|recall| recall.effort),
            exact: None,
        })
    }

    /// Returns the indexes of snapshots that `item` is in, or pieces of it. Blocks.
    pub(super) fn shrinking(&self, all: &[Manifest], item: &str) -> Vec<Shrinking> {
        let mut seen = HashSet::new();
        let mut found = Vec::new();
        for manifest in all {
            let Some(facts) = manifest.index.clone() else {
                continue;
            };
            // One that cannot be read is deleted from all the same, and then has no index.
            let snapshot = self.vault.open_snapshot(&manifest.id);
            let Some(snapshot) = snapshot.ok().filter(|_| seen.insert(&manifest.id)) else {
                continue;
            };
            let is_of = |row: &usize| {
                snapshot.id(*row) == Some(item)
                    || snapshot.span(*row).is_some_and(|span| span.source == item)
            };
            let rows: Vec<usize> = (0..snapshot.len()).filter(is_of).collect();
            if rows.is_empty() {
                continue;
            }
            found.extend(self.indexes.get(&snapshot).map(|index| Shrinking {
                id: manifest.id.clone(),
                index,
                facts,
                rows,
            }));
        }
        found
    }

    /// Takes the rows that went out of their indexes and keeps these. Blocks.
    pub(super) fn shrink(&self, all: Vec<Shrinking>) {
        for one in all {
            let id = one.id.clone();
            if let Err(error) = self.shrink_one(one) {
                tracing::warn!(snapshot = %id, %error, "an index did not outlive a deletion; build it again");
            }
        }
    }

    fn shrink_one(&self, one: Shrinking) -> Result<(), Error> {
        self.indexes.forget(&one.id);
        let mut index = Arc::unwrap_or_clone(one.index);
        for row in one.rows {
            index.delete(row);
        }
        let (mut index, mut facts) = (index.shrunk(), one.facts);
        if index.is_worn_out() {
            index = index.rebuild(None)?;
            facts = facts_of(&index);
        }
        let snapshot = self.vault.open_snapshot(&one.id)?;
        if snapshot.len() != index.len() {
            return Ok(());
        }
        let of = identity(snapshot.manifest());
        let saved = index.save(&self.indexes.path(&one.id), &of);
        saved.map_err(embeddings::Error::from)?;
        // Only now: a file of other rows would be read as one of these.
        self.vault.set_index(&one.id, Some(&facts))?;
        self.indexes.hold(of, Arc::new(index));
        Ok(())
    }

    /// Removes the index of a snapshot; searches scan then. Blocks.
    ///
    /// # Errors
    ///
    /// Those of names and of the vault; `Io`.
    pub fn drop_index(&self, name: &str) -> Result<Manifest, Error> {
        let manifest = self.manifest(name)?;
        self.vault.set_index(&manifest.id, None)?;
        self.indexes.remove(&manifest.id)?;
        Ok(Manifest {
            index: None,
            ..manifest
        })
    }

    /// Returns why the index of a snapshot is not used, where it has one. Blocks.
    #[must_use]
    pub fn index_problem(&self, manifest: &Manifest) -> Option<String> {
        manifest.index.as_ref()?;
        // A snapshot that cannot be opened is no matter of its index.
        let snapshot = self.vault.open_snapshot(&manifest.id).ok()?;
        let path = self.indexes.path(&manifest.id);
        let checked = Index::check(&path, &identity(manifest), &snapshot);
        checked.err().map(|error| error.to_string())
    }

    /// Returns which indexes are not used although their snapshots have them, and why.
    pub(super) fn index_faults(&self, id: Option<&SnapshotId>) -> Result<Vec<Fault>, Error> {
        let all = self.vault.list(None)?.into_iter();
        let asked = all.filter(|manifest| id.is_none_or(|id| manifest.id == *id));
        let faults = asked.filter_map(|manifest| {
            let problem = self.index_problem(&manifest)?;
            let name = manifest.name();
            Some(Fault {
                problem: format!(
                    "its index is not used, searches look at every item: {problem}; build it again: `promptgate embeddings index build {name}`"
                ),
                place: name,
            })
        });
        Ok(faults.collect())
    }

    /// Removes files of indexes that no manifest has.
    pub(super) fn remove_other_indexes(&self) -> Result<(), Error> {
        let all = self.vault.list(None)?.into_iter();
        let known = all.filter(|manifest| manifest.index.is_some());
        self.indexes
            .remove_others(&known.map(|manifest| manifest.id).collect())
    }
}
