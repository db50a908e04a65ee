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
pub use wish::{SnapshotWish, SpaceWish};

pub(in crate::embeddings) use noise::stays;

use crate::domain::{Clock, Timestamp};
use crate::embeddings;
use crate::embeddings::adapters::Shelf;
use crate::embeddings::declared::{CurrentDeclared, Declared};
use crate::embeddings::migrate::Migrations;
use crate::embeddings::name::{SnapshotName, check_collection};
use crate::embeddings::snapshots::draft::WholeDraft;
use crate::embeddings::snapshots::imports::Imports;
use crate::embeddings::snapshots::indexing::Indexes;
use crate::embeddings::snapshots::job::Job;
use crate::embeddings::snapshots::named::Named;
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::snapshots::queries::UsedQueries;
use crate::embeddings::vault::{Manifest, TextStorage, Vault, VaultError};
use crate::proxy::Proxy;
use serde::Serialize;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::sync::watch;
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

/// A draft that is being made into a snapshot.
#[derive(Debug, Clone)]
pub struct Watched {
    /// The draft.
    pub draft: String,
    /// How far it is; closed when it has ended.
    pub progress: watch::Receiver<Progress>,
    /// Stops it: what is under way is finished and kept.
    pub cancel: CancellationToken,
    /// What came of it, once it has ended.
    pub end: Arc<OnceLock<Result<Made, Told>>>,
    /// Whether somebody else began it.
    pub is_joined: bool,
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

    /// Makes a snapshot of a draft, or joins who makes one of the same corpus under the same settings.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `Empty`, `Io`, `Stopping`.
    pub async fn run(self: &Arc<Self>, id: &str, options: RunOptions) -> Result<Watched, Error> {
        if self.shutdown.is_cancelled() {
            return Err(Error::Stopping);
        }
        if let Some(active) = self.active().get(id) {
            return Ok(active.joined());
        }
        let (sender, progress) = watch::channel(Progress::default());
        let watched = Watched {
            draft: id.to_owned(),
            progress,
            cancel: self.shutdown.child_token(),
            end: Arc::default(),
            is_joined: false,
        };
        let (room, own, is_dry_run) = (Arc::clone(self), watched.clone(), options.dry_run);
        let begun = blocking(move || room.enter(own, is_dry_run)).await?;
        let (watched, whole, place) = match begun {
            (other, None) => return Ok(other),
            (watched, Some((whole, place))) => (watched, whole, place),
        };
        let job = Job {
            room: Arc::clone(self),
            head: whole.head,
            is_fresh: whole.is_fresh,
            purse: Arc::new(Purse::new(options.max_cost)),
            options,
            progress: sender,
            cancel: watched.cancel.clone(),
        };
        let end = Arc::clone(&watched.end);
        let recorder = &self.proxy.recorder;
        let task = async move {
            let _place = place;
            let made = Box::pin(job.run()).await;
            if let Err(error) = &made {
                tracing::warn!(draft = %job.head.id, %error, "a snapshot was not made");
            }
            // Nobody else sets it.
            let _ = end.set(made.map_err(|error| error.told()));
        };
        recorder.tasks.spawn_on(task, &recorder.runtime);
        Ok(watched)
    }

    /// Takes a draft as whole and puts it on the list of those that are worked on. Returns who follows what,
    /// and the draft unless somebody works on it or on one like it. A plan changes nothing, so it is on no list
    /// and joins nobody. Blocks.
    fn enter(self: &Arc<Self>, own: Watched, is_dry_run: bool) -> Result<Entered, Error> {
        let whole = self.drafts.complete(&own.draft, !is_dry_run)?;
        if is_dry_run {
            return Ok((own, Some((whole, None))));
        }
        let sent = own.draft.clone();
        // Held while the drafts are looked through: of two like ones that come at once, one finds the other.
        let mut active = self.active();
        let twin = self.drafts.twin(&whole.head)?;
        let whole = twin.map_or(whole, |head| WholeDraft {
            head,
            is_fresh: false,
        });
        let draft = whole.head.id.clone();
        let entered = if let Some(other) = active.get(&draft) {
            (other.joined(), None)
        } else {
            let (room, place) = (Arc::clone(self), draft.clone());
            let place = ActivePlace { room, draft: place };
            let draft = draft.clone();
            (Watched { draft, ..own }, Some((whole, Some(place))))
        };
        // Who sent it may ask for it under the name he knows.
        for id in [&sent, &draft] {
            active.insert(id.clone(), entered.0.clone());
        }
        drop(active);
        if draft != sent {
            self.drafts.remove(&sent)?;
        }
        Ok(entered)
    }

    /// Stops what is made of a draft; where nothing is, removes the draft. Blocks.
    ///
    /// # Errors
    ///
    /// `DraftNotFound`, `Io`.
    pub fn discard(&self, id: &str) -> Result<bool, Error> {
        if let Some(active) = self.active().get(id) {
            active.cancel.cancel();
            return Ok(true);
        }
        self.drafts.head(id)?;
        self.drafts.remove(id)?;
        Ok(false)
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

impl Watched {
    /// The same, for who comes to it later.
    fn joined(&self) -> Self {
        Self {
            is_joined: true,
            ..self.clone()
        }
    }
}

/// Who follows what; and the draft with its place on the list, unless another works on it.
type Entered = (Watched, Option<(WholeDraft, Option<ActivePlace>)>);

/// Takes a draft off the list when its task ends, however it does.
struct ActivePlace {
    room: Arc<Snapshots>,
    draft: String,
}

impl Drop for ActivePlace {
    fn drop(&mut self) {
        let of_another = |_: &String, active: &mut Watched| active.draft != self.draft;
        self.room.active().retain(of_another);
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
