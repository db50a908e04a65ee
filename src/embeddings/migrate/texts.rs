//! The texts of a migration: which of them have no vector of the new version, and asking for those.

use crate::domain::{PicoDollars, Timestamp};
use crate::embeddings::migrate::book::{Live, Meter, Migration};
use crate::embeddings::migrate::{MigrateError, State, status::Outlook};
use crate::embeddings::pipeline::Pipeline;
use crate::embeddings::snapshots::draft::DraftHead;
use crate::embeddings::snapshots::job::{Job, Progress, RunOptions};
use crate::embeddings::snapshots::plan::{Plan, Prepared, batches, count, keyed, price_of};
use crate::embeddings::snapshots::texts::Texts;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::{Space, VectorKey};
use crate::embeddings::vault::{Manifest, NewItem, Precision};
use crate::embeddings::{Item, Rows as _};
use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How long a search waits for texts that somebody else asks for.
const WAIT: Duration = Duration::from_secs(5);
/// How often a search asks a provider that cannot answer; the proxy tries again by itself.
const TRIES: u32 = 1;

/// How much time there is to make vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Haste {
    /// A provider that cannot answer is asked again after a while, and what others ask for is waited for.
    Patient,
    /// Somebody waits for an answer, and the old version has one.
    Searching,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Filled {
    /// How many texts.
    pub(super) texts: u64,
    /// What they cost; where that is not known, nothing.
    pub(super) pico_usd: PicoDollars,
}

impl Migration {
    /// What the job of asking has to know; no draft is on disk.
    pub(super) fn head(&self, precision: Precision) -> DraftHead {
        DraftHead {
            format: 0,
            id: self.id.clone(),
            collection: self.collection.clone(),
            space: self.to_space.clone(),
            pipeline: Pipeline::default(),
            precision,
            text_storage: crate::embeddings::vault::TextStorage::Text,
            onto: None,
            source: None,
            sources: 0,
            items: 0,
            is_complete: true,
            begun: Timestamp::default(),
            content: String::new(),
        }
    }

    /// An item with the key of its vector in the new version.
    pub(super) fn keyed(&self, item: Item) -> NewItem {
        let text = item.text.clone();
        let mut made = keyed(&self.to_space, &self.to_space.id(), item);
        made.item.text = text;
        made
    }
}

impl Snapshots {
    /// Returns the snapshot whose texts the new version must have: the one that is served, whatever was added
    /// since the migration began; where that is of the new version, the newest of the old one. Blocks.
    pub(super) fn base(&self, migration: &Migration) -> Result<Manifest, Error> {
        let served = self.manifest(&migration.collection)?;
        if served.space == migration.from_space {
            return Ok(served);
        }
        match self.newest_in(&migration.collection, &migration.from_space)? {
            Some(found) => Ok(found),
            None => self.manifest(&migration.from),
        }
    }

    /// Returns the newest snapshot of a version. Blocks.
    pub(super) fn newest_in(
        &self,
        collection: &str,
        space: &Space,
    ) -> Result<Option<Manifest>, Error> {
        let is_wanted = |one: &Manifest| one.space == *space;
        Ok(self.vault.newest_that(collection, &is_wanted)?)
    }

    /// Returns the items of a snapshot of the old version as those of the new. Blocks.
    pub(super) fn items_in_new(
        &self,
        migration: &Migration,
        base: &Manifest,
    ) -> Result<Vec<NewItem>, Error> {
        let snapshot = self.vault.open_snapshot(&base.id)?;
        let mut items = Vec::with_capacity(snapshot.len());
        for row in 0..snapshot.len() {
            let item = snapshot.item(row)?.filter(|item| item.text.is_some());
            let item = item.ok_or_else(|| MigrateError::NoTexts {
                snapshot: base.name(),
            })?;
            items.push(migration.keyed(item));
        }
        Ok(items)
    }

    /// Reckons what is missing of `items`. Blocks.
    pub(super) fn reckon_texts(
        &self,
        migration: &Migration,
        items: Vec<NewItem>,
        precision: Precision,
    ) -> Result<Prepared, Error> {
        let way = self.way(&migration.to_space.model, self.clock.now())?;
        let texts = items.iter().map(|item| item.item.text.clone());
        let texts = Texts::held(texts.collect());
        let missing = self.missing(&migration.head(precision), &items, &texts)?;
        let limits = migration.limits.or(self.limits).of(&way.kind);
        let unique: HashSet<&VectorKey> = items.iter().map(|item| &item.key).collect();
        let tokens = missing.iter().map(|text| text.tokens).sum();
        let price = way.price.as_deref();
        let plan = Plan {
            texts: count(items.len()),
            unique: count(unique.len()),
            cached: count(unique.len() - missing.len()),
            to_send: count(missing.len()),
            coarser: 0,
            tokens,
            pico_usd: price.and_then(|row| price_of(row, tokens)),
            price: price.map(crate::metering::PriceRow::label),
            requests: count(batches(&missing, limits).len()),
            truncated: None,
        };
        Ok(Prepared {
            items,
            texts: Arc::new(texts),
            missing,
            plan,
            limits,
            price: way.price,
        })
    }

    /// Returns what is still to be done, against the newest snapshot of the old version. Blocks.
    pub(super) fn outlook(&self, migration: &Migration) -> Result<(Outlook, Prepared), Error> {
        let base = self.base(migration)?;
        let items = self.items_in_new(migration, &base)?;
        let prepared = self.reckon_texts(migration, items, base.precision)?;
        let plan = &prepared.plan;
        let outlook = Outlook {
            base: base.name(),
            texts: plan.unique,
            missing: plan.to_send,
            tokens: plan.tokens,
            pico_usd: plan.pico_usd,
            price: plan.price.clone(),
        };
        Ok((outlook, prepared))
    }

    /// Returns the vectors that migrations under way need, whether a snapshot has them yet or not. Blocks.
    pub(in crate::embeddings) fn migration_keys(&self) -> Result<Vec<VectorKey>, Error> {
        let mut keys = Vec::new();
        for migration in self.migrations() {
            let goes_to = match migration.state {
                State::Cutover if migration.is_dual => migration.mirrored(),
                state if state.is_open() => migration,
                _ => continue,
            };
            let snapshot = self.vault.open_snapshot(&self.base(&goes_to)?.id)?;
            for row in 0..snapshot.len() {
                let item = snapshot.item(row)?.filter(|item| item.text.is_some());
                keys.extend(item.map(|item| goes_to.keyed(item).key));
            }
        }
        Ok(keys)
    }

    /// Makes sure that items have vectors of the new version. A text that somebody else asks for is waited
    /// for, so that none is paid twice.
    ///
    /// # Errors
    ///
    /// Those of asking; `Budget`, `Stopped`; `Awaited` in haste. What came before is kept.
    ///
    /// # Cancel safety
    ///
    /// What is being asked for is finished and kept when the future is dropped.
    pub(super) async fn fill(
        self: &Arc<Self>,
        migration: &Migration,
        items: Vec<NewItem>,
        cancel: &CancellationToken,
        haste: Haste,
    ) -> Result<Filled, Error> {
        let work = Filling {
            room: Arc::clone(self),
            live: self.migrations.live(migration),
            migration: migration.clone(),
            cancel: cancel.clone(),
            haste,
        };
        let recorder = &self.proxy.recorder;
        let task = recorder.tasks.spawn_on(
            async move { Box::pin(work.fill(items)).await },
            &recorder.runtime,
        );
        task.await.unwrap_or(Err(Error::Stopping))
    }
}

/// Texts that are being asked for.
struct Filling {
    room: Arc<Snapshots>,
    live: Arc<Live>,
    migration: Migration,
    cancel: CancellationToken,
    haste: Haste,
}

impl Filling {
    async fn fill(&self, items: Vec<NewItem>) -> Result<Filled, Error> {
        let mut order: Vec<VectorKey> = Vec::with_capacity(items.len());
        let mut wanted: HashMap<VectorKey, NewItem> = HashMap::with_capacity(items.len());
        for item in items {
            if let Entry::Vacant(place) = wanted.entry(item.key) {
                order.push(item.key);
                place.insert(item);
            }
        }
        let mut filled = Filled::default();
        while !order.is_empty() {
            let (claim, others) = self.live.claims.claim(&order);
            let mine = claim.keys().iter();
            let mine: Vec<NewItem> = mine.filter_map(|key| wanted.remove(key)).collect();
            let made = self.ask(mine).await;
            drop(claim);
            let made = made?;
            filled.texts += made.texts;
            filled.pico_usd = PicoDollars(filled.pico_usd.0.saturating_add(made.pico_usd.0));
            let is_waited_for = self.haste == Haste::Searching && !others.is_empty();
            tokio::select! {
                () = self.live.claims.free(&others) => {}
                () = tokio::time::sleep(WAIT), if is_waited_for => {
                    let texts = count(others.len());
                    return Err(MigrateError::Awaited { texts, waited: WAIT }.into());
                }
                () = self.cancel.cancelled() => {
                    return Err(Error::Stopped { done: filled.texts, total: count(others.len()) });
                }
            }
            // Those who had them may have failed.
            order = others;
        }
        Ok(filled)
    }

    /// Asks for those that have no vector; what it may cost is written before.
    async fn ask(&self, items: Vec<NewItem>) -> Result<Filled, Error> {
        if items.is_empty() {
            return Ok(Filled::default());
        }
        let (room, migration) = (Arc::clone(&self.room), self.migration.clone());
        let prepared = blocking(move || {
            let precision = room.base(&migration)?.precision;
            let prepared = room.reckon_texts(&migration, items, precision)?;
            let reckoned = prepared.plan.pico_usd.unwrap_or_default();
            if !prepared.missing.is_empty() {
                room.count(&migration.id, |meter| {
                    meter.in_flight = PicoDollars(meter.in_flight.0.saturating_add(reckoned.0));
                })?;
            }
            Ok((prepared, precision))
        });
        let (prepared, precision) = prepared.await?;
        if prepared.missing.is_empty() {
            return Ok(Filled::default());
        }
        let (sender, progress) = watch::channel(Progress {
            total: prepared.plan.to_send,
            ..Progress::default()
        });
        let job = Job {
            room: Arc::clone(&self.room),
            head: self.migration.head(precision),
            is_fresh: true,
            options: RunOptions {
                max_cost: self.migration.max_cost,
                limits: self.migration.limits,
                tries: (self.haste == Haste::Searching).then_some(TRIES),
                ..RunOptions::default()
            },
            purse: Arc::clone(&self.live.purse),
            progress: sender,
            cancel: self.cancel.clone(),
        };
        let (reckoned, price) = (prepared.plan.pico_usd, prepared.price.clone());
        let outcome = Box::pin(job.embed(&Arc::new(prepared))).await;
        let done = progress.borrow().clone();
        self.settle(&done, reckoned.unwrap_or_default()).await?;
        outcome?;
        let paid = price.and_then(|row| price_of(&row, done.tokens));
        Ok(Filled {
            texts: done.done,
            pico_usd: paid.unwrap_or_default(),
        })
    }

    async fn settle(&self, done: &Progress, reckoned: PicoDollars) -> Result<(), Error> {
        let (room, id) = (Arc::clone(&self.room), self.migration.id.clone());
        let (texts, requests, tokens) = (done.done, done.requests, done.tokens);
        let live = Arc::clone(&self.live);
        blocking(move || {
            room.count(&id, |meter| {
                meter.texts += texts;
                meter.requests += requests;
                meter.tokens += tokens;
                meter.in_flight = PicoDollars(meter.in_flight.0.saturating_sub(reckoned.0));
                meter.pico_usd = live.purse.spent().0.max(meter.pico_usd);
            })
        })
        .await
    }
}

impl Snapshots {
    /// Changes the meter of a migration. Blocks.
    pub(super) fn count(&self, id: &str, change: impl FnOnce(&mut Meter)) -> Result<(), Error> {
        self.migrations.change(|kept| {
            if let Some(migration) = kept.by_id(id) {
                change(&mut migration.meter);
            }
            Ok(())
        })
    }
}
