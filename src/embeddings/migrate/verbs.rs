//! What people do with a migration: begin it, lead it on, stop it, cut over, and back.

use crate::domain::{PicoDollars, Timestamp, sha256_hex};
use crate::embeddings;
use crate::embeddings::ask::Asker;
use crate::embeddings::compare::Gate;
use crate::embeddings::migrate::book::{Meter, Migration, Moved};
use crate::embeddings::migrate::limits::{check_limited, check_pace, check_range};
use crate::embeddings::migrate::{MigrateError, ShadowReport, State, Status, Step, Verb};
use crate::embeddings::name::check_collection;
use crate::embeddings::snapshots::plan::truncated;
use crate::embeddings::snapshots::wish;
use crate::embeddings::snapshots::{
    Error, LimitsWish, SnapshotWish, Snapshots, SpaceWish, blocking, check_native,
};
use crate::embeddings::space::{Side, Space};
use crate::embeddings::vault::{Manifest, TextStorage};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How many candidates a search ranks anew, when nothing is said: at 50 a cascade reaches 0.985 to 0.99 of
/// the nDCG of an index that was computed whole.
const CANDIDATES: usize = 50;
/// The most.
const MOST_CANDIDATES: usize = 1_000;
/// How many queries the sample has, when nothing is said.
const SAMPLE: usize = 20;
/// The most.
const MOST_SAMPLE: usize = 1_000;
/// How long a pause waits for what is under way.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a migration is to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StartWish {
    /// The collection.
    pub collection: String,
    /// The new version.
    pub to: SpaceWish,
    /// How many candidates a search ranks anew.
    pub candidates: Option<usize>,
    /// The most that may be spent.
    pub max_cost: Option<PicoDollars>,
    /// How many texts the background may ask for in a minute.
    pub texts_per_minute: Option<u32>,
    /// How much is asked at once.
    pub limits: LimitsWish,
    /// How many texts of the collection become queries of the sample; 0: no sample.
    pub sample: Option<usize>,
    /// Queries of the sample, in place of texts of the collection.
    pub queries: Vec<String>,
    /// What must not be so at the cut-over.
    pub gates: Vec<String>,
    /// Who does it.
    pub by: Option<String>,
}

/// What is said with a step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MoveWish {
    /// Who does it.
    pub by: Option<String>,
    /// Another limit of cost.
    pub max_cost: Option<PicoDollars>,
    /// Another pace of the background.
    pub texts_per_minute: Option<u32>,
    /// What must hold at a cut-over.
    pub gates: Vec<String>,
    /// Queries for those gates; texts of the collection when there are none.
    pub queries: Option<String>,
    /// Labels for those queries.
    pub labels: Option<String>,
    /// Whether to cut over though gates are not met.
    pub force: bool,
    /// Whether to go on with the old version too after the cut-over.
    pub is_dual: bool,
}

/// A step with what it changes besides.
pub(super) struct Taken<'a> {
    pub(super) to: State,
    pub(super) by: Option<&'a str>,
    pub(super) is_forced: bool,
    pub(super) is_dual: bool,
    /// The snapshot that is served from now on.
    pub(super) serving: Option<&'a Manifest>,
}

impl Snapshots {
    /// Begins a migration; the same again goes on where it was.
    ///
    /// # Errors
    ///
    /// When what is said makes no sense, the old model is retired, or another migration is under way.
    pub async fn start_migration(self: &Arc<Self>, wish: StartWish) -> Result<Status, Error> {
        check_collection(&wish.collection)?;
        check_range("candidates", wish.candidates, 1, MOST_CANDIDATES)?;
        check_range("sample", wish.sample, 0, MOST_SAMPLE)?;
        check_range("queries", Some(wish.queries.len()), 0, MOST_SAMPLE)?;
        check_pace(wish.texts_per_minute)?;
        for gate in &wish.gates {
            gate.parse::<Gate>().map_err(embeddings::Error::from)?;
        }
        let (room, said) = (Arc::clone(self), wish.clone());
        let (from, to_space) = blocking(move || room.ends(&said)).await?;
        let migration = match self.migrations.of(&wish.collection) {
            Some(open) if open.state.is_open() => {
                if open.to_space != to_space {
                    let (id, model) = (open.id, open.to_space.model);
                    let (collection, state) = (open.collection, open.state);
                    return Err(MigrateError::Open {
                        collection,
                        id,
                        model,
                        state,
                    }
                    .into());
                }
                self.say_anew(open, &wish).await?
            }
            _ => {
                self.check_callable(&from).await?;
                let (room, said) = (Arc::clone(self), wish.clone());
                blocking(move || room.begin_migration(&said, &from, to_space)).await?
            }
        };
        let sample = wish.sample.unwrap_or(SAMPLE);
        if migration.shadow.is_none() && (0 < sample || !wish.queries.is_empty()) {
            let report = self.look_ahead(&migration, wish.queries, sample).await?;
            let room = Arc::clone(self);
            blocking(move || room.keep_report(&migration.id, report)).await?;
        }
        self.status_of(wish.collection).await
    }

    /// Takes over what is said of a migration that is under way already.
    async fn say_anew(
        self: &Arc<Self>,
        of: Migration,
        wish: &StartWish,
    ) -> Result<Migration, Error> {
        if wish.max_cost.is_some() {
            self.migrations.live(&of).purse.set_limit(wish.max_cost);
        }
        let (room, wish) = (Arc::clone(self), wish.clone());
        blocking(move || {
            room.migrations.change(|kept| {
                if let Some(under_way) = kept.by_id(&of.id) {
                    take_over(under_way, wish);
                }
                Ok(())
            })?;
            room.migration(&of.collection)
        })
        .await
    }

    fn keep_report(&self, id: &str, report: Option<ShadowReport>) -> Result<(), Error> {
        self.migrations.change(|kept| {
            if let Some(migration) = kept.by_id(id) {
                migration.shadow = report;
            }
            Ok(())
        })
    }

    async fn status_of(self: &Arc<Self>, collection: String) -> Result<Status, Error> {
        let room = Arc::clone(self);
        blocking(move || room.migration_status(&collection)).await
    }

    /// The two versions between which it goes.
    fn ends(&self, wish: &StartWish) -> Result<(Manifest, Space), Error> {
        let from = self.manifest(&wish.collection)?;
        check_native(&from)?;
        if from.text_storage == TextStorage::HashOnly {
            let snapshot = from.name();
            return Err(MigrateError::NoTexts { snapshot }.into());
        }
        let said = SnapshotWish {
            collection: wish.collection.clone(),
            space: wish.to.clone(),
            ..SnapshotWish::default()
        };
        let mut space = wish::space(&said, &self.declared.get(), None)?;
        space.model = self.way(&space.model, self.clock.now())?.model;
        if space == from.space {
            let (snapshot, model) = (from.name(), space.model);
            return Err(MigrateError::SameSpace { snapshot, model }.into());
        }
        Ok((from, space))
    }

    /// Queries stay in the old space until the cut-over, so its model must still answer.
    async fn check_callable(self: &Arc<Self>, from: &Manifest) -> Result<(), Error> {
        let proxy = Arc::clone(&self.proxy);
        let asker = Asker::new(proxy, from.space.clone(), from.name());
        let Err(failure) = asker.ask(Side::Query, &["migration"]).await else {
            return Ok(());
        };
        if failure.error.may_succeed_later() {
            return Err(Box::new(failure.error).into());
        }
        Err(MigrateError::Retired {
            model: from.space.model.clone(),
            problem: failure.error.to_string(),
        }
        .into())
    }

    fn begin_migration(
        &self,
        wish: &StartWish,
        from: &Manifest,
        to_space: Space,
    ) -> Result<Migration, Error> {
        let now = self.clock.now();
        let mut migration = fresh(wish, from, to_space, now);
        let (outlook, prepared) = self.outlook(&migration)?;
        truncated(&migration.to_space, &prepared.items, &prepared.texts)?;
        if wish.max_cost.is_some() && 0 < outlook.missing && outlook.pico_usd.is_none() {
            let model = migration.to_space.model;
            return Err(Error::NoPrice { model });
        }
        migration.planned = outlook.pico_usd;
        // A name that means the newest snapshot would mean one of the new version as soon as there is one.
        let is_floating = self.is_floating(&wish.collection);
        let lead = is_floating.then(|| self.override_to(from)).transpose()?;
        let moved = moved(
            &migration,
            now,
            &Taken {
                to: State::Shadow,
                by: wish.by.as_deref(),
                is_forced: false,
                is_dual: false,
                serving: Some(from),
            },
        );
        migration.history.push(Moved {
            from: None,
            ..moved
        });
        let begun = migration.clone();
        self.migrations.change(|kept| {
            if let Some(open) = kept.of(&begun.collection).filter(|one| one.state.is_open()) {
                let (id, model) = (open.id.clone(), open.to_space.model.clone());
                let (collection, state) = (open.collection.clone(), open.state);
                return Err(MigrateError::Open {
                    collection,
                    id,
                    model,
                    state,
                }
                .into());
            }
            if let Some(lead) = lead {
                kept.lead(&begun.collection, Some(lead));
            }
            kept.migrations.push(begun);
            Ok(())
        })?;
        self.put_in_force(&migration.collection);
        Ok(migration)
    }

    /// Takes a step.
    ///
    /// # Errors
    ///
    /// `Transition`, `NotFound`; at a cut-over `Missing` and `Gates`; those of the vault and of comparing.
    pub async fn move_migration(
        self: &Arc<Self>,
        collection: &str,
        verb: Verb,
        wish: MoveWish,
    ) -> Result<Status, Error> {
        check_collection(collection)?;
        let migration = self.migration(collection)?;
        let (is_paused, is_dual) = (migration.is_paused, migration.is_dual);
        let step = migration.state.step(is_paused, is_dual, verb)?;
        if wish.is_dual && verb != Verb::Cutover {
            let problem = format!("is said with `{verb}`, and belongs to `cutover`");
            return Err(Error::invalid("is_dual", problem, None));
        }
        check_pace(wish.texts_per_minute)?;
        if wish.max_cost.is_some() || wish.texts_per_minute.is_some() {
            check_limited(&wish, verb)?;
            self.set_limits(&migration, &wish).await?;
        }
        match step {
            Step::Stay if wish.is_dual && !is_dual => {
                let (room, of, by) = (Arc::clone(self), migration, wish.by.clone());
                blocking(move || room.begin_dual(&of, by.as_deref())).await?;
            }
            Step::Stay => {}
            Step::Pause(is_paused) => {
                self.set_paused(&migration, is_paused, wish.by.as_deref())
                    .await?;
            }
            Step::To(State::Cutover) => self.cut_over(&migration, &wish).await?,
            Step::To(to) => {
                let (room, of, by) = (Arc::clone(self), migration, wish.by.clone());
                blocking(move || room.lead_on(&of, to, by.as_deref())).await?;
            }
        }
        let migration = self.migration(collection)?;
        if verb != Verb::Pause {
            self.begin_backfill(&migration);
        }
        self.status_of(collection.to_owned()).await
    }

    async fn set_limits(self: &Arc<Self>, of: &Migration, wish: &MoveWish) -> Result<(), Error> {
        let (max_cost, pace) = (wish.max_cost, wish.texts_per_minute);
        if max_cost.is_some() {
            self.migrations.live(of).purse.set_limit(max_cost);
        }
        let (room, id) = (Arc::clone(self), of.id.clone());
        blocking(move || {
            room.migrations.change(|kept| {
                if let Some(migration) = kept.by_id(&id) {
                    migration.max_cost = max_cost.or(migration.max_cost);
                    migration.texts_per_minute = pace.or(migration.texts_per_minute);
                }
                Ok(())
            })
        })
        .await
    }

    async fn set_paused(
        self: &Arc<Self>,
        of: &Migration,
        is_paused: bool,
        by: Option<&str>,
    ) -> Result<(), Error> {
        let taken = Taken {
            to: of.state,
            by,
            is_forced: false,
            is_dual: of.is_dual,
            serving: None,
        };
        let moved = Moved {
            paused: Some(is_paused),
            ..moved(of, self.clock.now(), &taken)
        };
        let (room, id) = (Arc::clone(self), of.id.clone());
        blocking(move || {
            room.migrations.change(|kept| {
                let other = |one: &&mut Migration| one.is_paused != is_paused;
                if let Some(migration) = kept.by_id(&id).filter(other) {
                    migration.is_paused = is_paused;
                    migration.history.push(moved);
                }
                Ok(())
            })
        })
        .await?;
        let live = self.migrations.live(of);
        if is_paused {
            live.stop();
        }
        // What was asked for is finished and kept, in its own time.
        let _ = tokio::time::timeout(PATIENCE, live.idle()).await;
        Ok(())
    }

    /// Writes a step without a cut-over. Blocks.
    fn lead_on(&self, of: &Migration, to: State, by: Option<&str>) -> Result<(), Error> {
        let mut serving = None;
        if to == State::RolledBack {
            self.migrations.live(of).stop();
            serving = Some(match of.before {
                Some(number) => self.manifest(&format!("{}@{number}", of.collection))?,
                None => self.manifest(&of.collection)?,
            });
        }
        self.take(
            of,
            &Taken {
                to,
                by,
                is_forced: false,
                is_dual: false,
                serving: serving.as_ref(),
            },
        )
    }

    /// Writes a step, and what is served with it, at once. Blocks.
    pub(super) fn take(&self, of: &Migration, taken: &Taken<'_>) -> Result<(), Error> {
        let now = self.clock.now();
        let lead = match taken.serving {
            Some(serving) => Some(self.lead_of(taken.to, serving)?),
            None => None,
        };
        let taken_by = moved(of, now, taken);
        self.migrations.change(|kept| {
            let same = |one: &&mut Migration| one.state == of.state;
            let Some(migration) = kept.by_id(&of.id).filter(same) else {
                let collection = of.collection.clone();
                return Err(MigrateError::WentOn { collection }.into());
            };
            migration.state = taken.to;
            migration.is_paused &= taken.to.is_open();
            migration.is_dual = taken.is_dual;
            migration.history.push(taken_by);
            if let Some(serving) = taken.serving
                && taken.to == State::Cutover
                && of.state != State::Cutover
            {
                migration.to = Some(serving.name());
                migration.before = self.manifest(&of.collection).ok().map(|it| it.number);
            }
            if let Some(lead) = lead {
                kept.lead(&of.collection, lead);
            }
            Ok(())
        })?;
        self.put_in_force(&of.collection);
        Ok(())
    }
}

/// What is said anew of a migration.
fn take_over(migration: &mut Migration, wish: StartWish) {
    migration.candidates = wish.candidates.unwrap_or(migration.candidates);
    migration.max_cost = wish.max_cost.or(migration.max_cost);
    migration.texts_per_minute = wish.texts_per_minute.or(migration.texts_per_minute);
    migration.limits = wish.limits.or(migration.limits);
    if !wish.gates.is_empty() {
        migration.gates = wish.gates;
    }
}

/// A migration of which nothing is done yet.
fn fresh(wish: &StartWish, from: &Manifest, to_space: Space, now: Timestamp) -> Migration {
    let said = (&wish.collection, &from.space_id, to_space.id(), now);
    let hash = sha256_hex(&serde_json::to_vec(&said).unwrap_or_default());
    Migration {
        id: ["mig-", hash.get(..12).unwrap_or(&hash)].concat(),
        collection: wish.collection.clone(),
        state: State::Shadow,
        is_paused: false,
        from: from.name(),
        from_space: from.space.clone(),
        to_space,
        to: None,
        before: None,
        candidates: wish.candidates.unwrap_or(CANDIDATES),
        max_cost: wish.max_cost,
        texts_per_minute: wish.texts_per_minute,
        limits: wish.limits,
        gates: wish.gates.clone(),
        is_dual: false,
        planned: None,
        meter: Meter::default(),
        accounted: Meter::default(),
        shadow: None,
        history: Vec::new(),
    }
}

fn moved(of: &Migration, at: Timestamp, taken: &Taken<'_>) -> Moved {
    Moved {
        id: Uuid::now_v7(),
        at,
        from: Some(of.state),
        to: taken.to,
        by: taken.by.map(str::to_owned),
        serving: taken.serving.map(Manifest::name),
        is_forced: taken.is_forced,
        paused: None,
        is_dual: taken.is_dual,
        is_noted: false,
    }
}
