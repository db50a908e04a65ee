//! Snapshots as people make and use them: drafts of texts become snapshots by asking for what is missing,
//! names lead to them, and texts are embedded or looked for under them.

mod adapting;
mod alike;
mod applying;
mod beside;
pub(in crate::embeddings) mod comparison;
pub(in crate::embeddings) mod draft;
mod error;
mod export;
mod following;
mod ground;
mod import;
mod import_check;
mod import_error;
mod import_row;
mod imports;
mod indexing;
pub(in crate::embeddings) mod job;
mod limits;
mod look;
mod migration;
mod named;
mod noise;
mod noted;
mod patience;
pub(in crate::embeddings) mod plan;
pub(in crate::embeddings) mod purse;
mod queries;
mod query_vectors;
mod recorded_queries;
mod row;
mod running;
mod spent;
mod tending;
pub(in crate::embeddings) mod texts;
pub(in crate::embeddings) mod wish;

pub use adapting::{AdaptWish, Adapted, Judged};
pub use alike::{AlikeItems, AlikeWish};
pub use applying::ApplyWish;
pub use beside::{Beside, Exported};
pub use comparison::{CompareWish, QuerySourceWish};
pub use draft::{DraftHead, Drafts, SourceText, Taken};
pub use error::{Error, Told};
pub use export::Exporting;
pub use following::Following;
pub use import::{BegunImport, Holds, ImportWish, Imported, Like};
pub use import_error::{ImportError, MANIFEST_HINT};
pub use indexing::{BuiltIndex, IndexWish};
pub use job::{Made, Progress, RunOptions, Stage};
pub use limits::{Limits, LimitsWish};
pub(in crate::embeddings) use look::shown;
pub use look::{Hit, SearchResult, SearchWish};
pub use migration::{MigrationPlan, MigrationWish, Size};
pub use named::{NamedFailure, embedding_name};
pub use plan::Plan;
pub use recorded_queries::CallsWish;
pub use row::VectorRow;
pub use running::Watched;
pub use wish::{SnapshotWish, SpaceWish};

pub(in crate::embeddings) use noise::stays;

use crate::domain::{Clock, Timestamp};
use crate::embeddings;
use crate::embeddings::adapters::Shelf;
use crate::embeddings::declared::{CurrentDeclared, Declared};
use crate::embeddings::migrate::Migrations;
use crate::embeddings::name::{SnapshotName, check_collection};
use crate::embeddings::snapshots::imports::Imports;
use crate::embeddings::snapshots::indexing::Indexes;
use crate::embeddings::snapshots::named::Named;
use crate::embeddings::snapshots::queries::UsedQueries;
use crate::embeddings::vault::{Manifest, TextStorage, Vault, VaultError};
use crate::proxy::Proxy;
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio_util::sync::CancellationToken;

/// Where things are, and how much is asked at once.
#[derive(Debug, Clone)]
pub struct Config {
    /// The directory of all that has to do with embeddings.
    pub dir: PathBuf,
    /// How much is asked at once; the rest is as the provider has it.
    pub limits: LimitsWish,
}

/// All snapshots of a process.
#[derive(Debug)]
pub struct Snapshots {
    pub(in crate::embeddings) vault: Arc<Vault>,
    pub(in crate::embeddings) proxy: Arc<Proxy>,
    pub(in crate::embeddings) declared: Arc<CurrentDeclared>,
    drafts: Drafts,
    shelf: Shelf,
    imports: Imports,
    indexes: Indexes,
    queries: UsedQueries,
    pub(in crate::embeddings) limits: LimitsWish,
    pub(in crate::embeddings) clock: Clock,
    pub(in crate::embeddings) shutdown: CancellationToken,
    active: Mutex<HashMap<String, Watched>>,
    names: Mutex<HashMap<String, Arc<Named>>>,
    pub(in crate::embeddings) migrations: Migrations,
}

/// A draft that was begun.
#[derive(Debug, Clone, Serialize)]
pub struct BegunDraft {
    /// What is to be made of it.
    pub head: DraftHead,
    /// The space's name.
    pub space_id: String,
    /// The pipeline in words.
    pub pipeline: String,
    /// The snapshot that it follows.
    pub follows: Option<String>,
}

/// A draft as lists show it.
#[derive(Debug, Clone, Serialize)]
pub struct ListedDraft {
    /// What is to be made of it.
    #[serde(flatten)]
    pub head: DraftHead,
    /// How far it is, while it is being embedded.
    pub progress: Option<Progress>,
}

impl Snapshots {
    /// Opens the room. What is under way stops when `shutdown` is cancelled.
    #[must_use]
    pub fn new(
        config: &Config,
        vault: Arc<Vault>,
        proxy: Arc<Proxy>,
        declared: Arc<CurrentDeclared>,
        migrations: Migrations,
        shutdown: CancellationToken,
    ) -> Self {
        Self {
            migrations,
            clock: proxy.recorder.clock,
            vault,
            proxy,
            declared,
            shelf: Shelf::new(config.dir.join("adapters")),
            drafts: Drafts::new(config.dir.join("drafts")),
            imports: Imports::new(config.dir.join("imports")),
            indexes: Indexes::new(config.dir.join("indexes")),
            queries: UsedQueries::new(config.dir.join("queries")),
            limits: config.limits,
            shutdown,
            active: Mutex::default(),
            names: Mutex::default(),
        }
    }

    /// Returns where the vectors are.
    #[must_use]
    pub const fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    /// Returns what is declared.
    #[must_use]
    pub const fn declared(&self) -> &Arc<CurrentDeclared> {
        &self.declared
    }

    fn active(&self) -> MutexGuard<'_, HashMap<String, Watched>> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn names(&self) -> MutexGuard<'_, HashMap<String, Arc<Named>>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets what names lead to, because that may have changed.
    pub fn forget_names(&self) {
        self.names().clear();
    }

    /// Returns the manifest that a name leads to, labels included. Blocks.
    ///
    /// # Errors
    ///
    /// `InvalidName`, `InvalidSelector`; those of the vault.
    pub fn manifest(&self, name: &str) -> Result<Manifest, Error> {
        self.manifest_of(&name.parse()?)
    }

    /// Returns the manifest that a name leads to, labels included. Blocks.
    ///
    /// # Errors
    ///
    /// Those of the vault.
    pub fn manifest_of(&self, name: &SnapshotName) -> Result<Manifest, Error> {
        let declared = self.declared.get();
        let labels = |collection: &str, label: &str| declared.label(collection, label).cloned();
        let found = self.vault.manifest(name, &labels);
        Ok(found.map_err(|error| with_labels(error, &declared))?)
    }

    /// Returns the labels that point at a snapshot. Blocks.
    #[must_use]
    pub fn labels_to(&self, manifest: &Manifest, declared: &Declared) -> Vec<String> {
        let labels = declared.labels_of(&manifest.collection).into_iter();
        let points_at = |label: &&str| {
            let name = format!("{}@{label}", manifest.collection);
            self.manifest(&name)
                .is_ok_and(|found| found.number == manifest.number)
        };
        labels.filter(points_at).map(str::to_owned).collect()
    }

    /// Returns the newest snapshot of a collection. Blocks.
    fn newest(&self, collection: &str) -> Result<Option<Manifest>, Error> {
        Ok(self.vault.newest(collection)?)
    }

    /// Returns the snapshot whose settings the next one has when nothing is said: the newest, and while the
    /// collection is migrated the one that is served. Blocks.
    fn followed(&self, collection: &str) -> Result<Option<Manifest>, Error> {
        if self.migrations.is_held(collection) {
            return self.manifest(collection).map(Some);
        }
        self.newest(collection)
    }

    /// Begins a draft. Blocks.
    ///
    /// # Errors
    ///
    /// When what is said makes no sense; `SpaceMismatch`, `PipelineMismatch` when it is to go on from a
    /// snapshot of another space or pipeline.
    pub fn begin(&self, wish: &SnapshotWish) -> Result<BegunDraft, Error> {
        check_collection(&wish.collection)?;
        let declared = self.declared.get();
        let onto = wish.onto.as_deref().map(|name| self.manifest(name));
        let onto = onto.transpose()?;
        let newest = self.followed(&wish.collection)?;
        let before = onto.as_ref().or(newest.as_ref());
        let mut space = wish::space(wish, &declared, before)?;
        let pipeline = wish::pipeline(wish, &declared, before)?;
        space.model = self.way(&space.model, self.clock.now())?.model;
        if let Some(onto) = &onto {
            check_same(onto, &space, &pipeline)?;
        }
        let head = DraftHead {
            format: 0,
            id: String::new(),
            collection: wish.collection.clone(),
            space,
            pipeline,
            precision: wish.precision,
            text_storage: if wish.hash_only {
                TextStorage::HashOnly
            } else {
                TextStorage::Text
            },
            onto: onto.map(|onto| onto.name()),
            source: wish.source.clone(),
            sources: 0,
            items: 0,
            is_complete: false,
            begun: Timestamp::default(),
            content: String::new(),
        };
        let head = self.drafts.begin(head, self.clock.now())?;
        Ok(BegunDraft {
            space_id: head.space.id().0,
            pipeline: head.pipeline.in_words(),
            follows: newest.map(|newest| newest.name()),
            head,
        })
    }

    /// Takes the next sources of a draft. Blocks.
    ///
    /// # Errors
    ///
    /// As [`Drafts::append`]; `DraftBusy`.
    pub fn append(&self, id: &str, offset: u64, sources: &[SourceText]) -> Result<Taken, Error> {
        if self.active().contains_key(id) {
            return Err(Error::DraftBusy { id: id.to_owned() });
        }
        self.drafts.append(id, (offset, sources), self.clock.now())
    }

    /// Returns the draft of a collection that came whole and is no snapshot yet; where there are several, the
    /// one that is named. Blocks.
    ///
    /// # Errors
    ///
    /// `NothingToResume`, `SeveralDrafts`, `Io`.
    pub fn resumable(&self, collection: &str, named: Option<&str>) -> Result<DraftHead, Error> {
        let mut whole = self.drafts.list()?;
        whole.retain(|head| head.collection == collection && head.is_complete);
        let choices: Vec<String> = whole.iter().map(DraftHead::in_words).collect();
        whole.retain(|head| named.is_none_or(|id| head.id == id));
        let collection = collection.to_owned();
        match (whole.pop(), whole.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) if choices.is_empty() => Err(Error::NothingToResume { collection }),
            (None | Some(_), _) => Err(Error::SeveralDrafts {
                collection,
                choices,
            }),
        }
    }

    /// Returns the drafts there are. Blocks.
    ///
    /// # Errors
    ///
    /// `Io`.
    pub fn listed_drafts(&self) -> Result<Vec<ListedDraft>, Error> {
        let active = self.active().clone();
        let listed = self.drafts.list()?.into_iter().map(|head| ListedDraft {
            progress: active
                .get(&head.id)
                .map(|active| active.progress.borrow().clone()),
            head,
        });
        Ok(listed.collect())
    }
}

/// Labels are choices too.
fn with_labels(error: VaultError, declared: &Declared) -> VaultError {
    let VaultError::NoSuchSnapshot { name, mut choices } = error else {
        return error;
    };
    let labels = declared.labels_of(&name.collection).into_iter();
    choices.extend(labels.map(|label| format!("`{}@{label}`", name.collection)));
    VaultError::NoSuchSnapshot { name, choices }
}

/// Vectors that an adapter made are no model's: texts embedded beside them would be of another space.
pub(in crate::embeddings) fn check_native(manifest: &Manifest) -> Result<(), Error> {
    if manifest.space.adapter.is_none() {
        return Ok(());
    }
    let problem = "has vectors that an adapter made, and no model makes such";
    let hint = "name the snapshot that the adapter leads to, or the one it comes from";
    Err(Error::invalid(&manifest.name(), problem, Some(hint)))
}

/// Items of two spaces, or cut in two ways, are not put into one snapshot.
fn check_same(
    onto: &Manifest,
    space: &embeddings::Space,
    pipeline: &embeddings::Pipeline,
) -> Result<(), Error> {
    if onto.space != *space {
        let mismatch = embeddings::Error::SpaceMismatch {
            first: onto.name(),
            second: "what is added".to_owned(),
            changes: onto.space.differences(space),
        };
        return Err(mismatch.into());
    }
    if onto.pipeline_id != pipeline.id().0 {
        let json = serde_json::to_value(pipeline).unwrap_or_default();
        return Err(Error::PipelineMismatch {
            first: onto.name(),
            changes: embeddings::space::differences(&onto.pipeline, &json),
        });
    }
    Ok(())
}

/// Does work that blocks on a thread that may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or(Err(Error::Stopping))
}
