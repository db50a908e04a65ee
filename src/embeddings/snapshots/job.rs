//! Makes a snapshot of a draft: asks for the vectors that are missing, keeps each as soon as it is there,
//! and seals.

use crate::domain::{PicoDollars, Timestamp};
use crate::embeddings::ask::{Asker, Embedded};
use crate::embeddings::snapshots::draft::DraftHead;
use crate::embeddings::snapshots::limits::LimitsWish;
use crate::embeddings::snapshots::patience::{Impatient, Patience, Portion, TRIES};
use crate::embeddings::snapshots::plan::{Plan, Prepared, batches, count, price_of};
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::{Side, SpaceId, VectorKey};
use crate::embeddings::vault::{Manifest, NewSnapshot, Source, SourceKind, Spent};
use crate::proxy::{AnswerFacts, Pace, Paces};
use futures_util::{StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How a snapshot is made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RunOptions {
    /// The most it may cost.
    pub max_cost: Option<PicoDollars>,
    /// How much is asked at once.
    pub limits: LimitsWish,
    /// How many texts are embedded a second time, to see the provider's own noise.
    pub noise: Option<usize>,
    /// Only says what it would take.
    pub dry_run: bool,
    /// How often a request is made that the provider cannot answer, where somebody waits for it.
    #[serde(skip)]
    pub tries: Option<u32>,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Texts are hashed and counted.
    #[default]
    Planning,
    /// Vectors are asked for.
    Embedding,
    /// The snapshot is written.
    Sealing,
    /// Texts are embedded again.
    Noise,
}

/// How far it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// What it takes, once that is known.
    pub plan: Option<Plan>,
    /// Texts whose vectors came and are kept.
    pub done: u64,
    /// Of how many that had none.
    pub total: u64,
    /// Tokens that were read.
    pub tokens: u64,
    /// What was spent.
    pub pico_usd: PicoDollars,
    /// Requests that were answered.
    pub requests: u64,
    /// Requests that were made again.
    pub retries: u64,
    /// How many milliseconds it will still take, when that can be told.
    pub left_ms: Option<u64>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Made {
    /// The snapshot; `None` when only the plan was wanted.
    pub snapshot: Option<Manifest>,
    /// Whether it is new; else there was one with the same content.
    pub is_new: bool,
    /// What it took.
    pub plan: Plan,
    /// What it means for a migration of the collection that is under way, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migration: Option<String>,
}

/// One that is under way.
pub(in crate::embeddings) struct Job {
    pub(in crate::embeddings) room: Arc<Snapshots>,
    pub(in crate::embeddings) head: DraftHead,
    /// Whether nobody has worked on the draft before.
    pub(in crate::embeddings) is_fresh: bool,
    pub(in crate::embeddings) options: RunOptions,
    pub(in crate::embeddings) purse: Arc<Purse>,
    pub(in crate::embeddings) progress: watch::Sender<Progress>,
    pub(in crate::embeddings) cancel: CancellationToken,
}

/// What the requests of a job share.
struct Work<'a> {
    job: &'a Job,
    prepared: &'a Arc<Prepared>,
    space_id: SpaceId,
    asker: Asker,
    pace: Arc<Pace>,
    purse: Arc<Purse>,
    began: Instant,
    /// Set when nothing more is to be begun: what is under way may finish.
    stop: CancellationToken,
    models: Mutex<BTreeSet<String>>,
    portion: Portion,
}

impl Job {
    /// Carries it out.
    pub(super) async fn run(&self) -> Result<Made, Error> {
        let began = self.room.clock.now();
        let (room, head, limits) = (
            Arc::clone(&self.room),
            self.head.clone(),
            self.options.limits,
        );
        let prepared = blocking(move || room.prepare(&head, limits)).await;
        if self.options.dry_run && self.is_fresh {
            // It was sent for the plan alone; one that was there before is gone on with another time.
            self.remove_draft().await?;
        }
        let prepared = Arc::new(prepared?);
        let plan = prepared.plan.clone();
        self.progress.send_modify(|progress| {
            progress.plan = Some(plan.clone());
            progress.total = plan.to_send;
        });
        if self.options.dry_run {
            return Ok(Made {
                snapshot: None,
                is_new: false,
                plan,
                migration: None,
            });
        }
        let is_bounded = self.options.max_cost.is_some() && 0 < plan.to_send;
        if is_bounded && plan.pico_usd.is_none() {
            let model = self.head.space.model.clone();
            return Err(Error::NoPrice { model });
        }
        let models = self.embed(&prepared).await?;
        let (manifest, is_new) = self.seal(prepared, models, began).await?;
        let manifest = self.noise(manifest).await?;
        let migration = self.room.note_sealed(&manifest).await?;
        self.remove_draft().await?;
        Ok(Made {
            snapshot: Some(manifest),
            is_new,
            plan,
            migration,
        })
    }

    async fn remove_draft(&self) -> Result<(), Error> {
        let (room, id) = (Arc::clone(&self.room), self.head.id.clone());
        blocking(move || room.drafts.remove(&id)).await
    }

    fn stage(&self, stage: Stage) {
        self.progress.send_modify(|progress| progress.stage = stage);
    }

    /// Asks for what is missing; returns how the provider calls its model.
    pub(in crate::embeddings) async fn embed(
        &self,
        prepared: &Arc<Prepared>,
    ) -> Result<BTreeSet<String>, Error> {
        self.stage(Stage::Embedding);
        let name = format!("{}@{}", self.head.collection, self.head.id);
        let proxy = Arc::clone(&self.room.proxy);
        let concurrency = prepared.limits.concurrency;
        let work = Work {
            job: self,
            prepared,
            space_id: self.head.space.id(),
            asker: Asker::new(proxy, self.head.space.clone(), name)
                .for_draft(&self.head.id, self.head.text_storage),
            pace: Paces::new(concurrency, Duration::ZERO, HashMap::new()).of(""),
            purse: Arc::clone(&self.purse),
            began: Instant::now(),
            stop: self.cancel.child_token(),
            models: Mutex::default(),
            portion: Portion::new(),
        };
        let at_once = usize::try_from(concurrency).unwrap_or(1);
        let mut answers = stream::iter(batches(&prepared.missing, prepared.limits))
            .map(|batch| work.batch(batch))
            .buffer_unordered(at_once);
        // After the first that fails no other is begun, and those under way are kept.
        let mut failed: Option<Error> = None;
        while let Some(answer) = answers.next().await {
            if let Err(error) = answer {
                work.stop.cancel();
                failed = failed.or(Some(error));
            }
        }
        drop(answers);
        match failed {
            Some(error) => Err(error),
            None => Ok(work
                .models
                .into_inner()
                .unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Seals what is there.
    async fn seal(
        &self,
        prepared: Arc<Prepared>,
        models: BTreeSet<String>,
        began: Timestamp,
    ) -> Result<(Manifest, bool), Error> {
        self.stage(Stage::Sealing);
        let before = self.spent_before(began).await;
        let progress = self.progress.borrow().clone();
        let head = self.head.clone();
        let room = Arc::clone(&self.room);
        let items = match Arc::try_unwrap(prepared) {
            Ok(prepared) => prepared,
            Err(shared) => Prepared {
                items: shared.items.clone(),
                texts: Arc::clone(&shared.texts),
                missing: Vec::new(),
                plan: shared.plan.clone(),
                limits: shared.limits,
                price: None,
            },
        };
        let names: Vec<String> = models.into_iter().collect();
        let is_priced = items.plan.pico_usd.is_some() || progress.requests == 0;
        let sealed = blocking(move || {
            let parent = room.newest(&head.collection)?.map(|newest| newest.id);
            let draft = NewSnapshot {
                pipeline_id: head.pipeline.id().0,
                pipeline: serde_json::to_value(&head.pipeline).unwrap_or_default(),
                collection: head.collection,
                space: head.space,
                precision: head.precision,
                text_storage: head.text_storage,
                items: items.items,
                parent,
                source: Source {
                    kind: SourceKind::File,
                    detail: head.source,
                },
                truncated: items.plan.truncated,
                spent: before.and(Spent {
                    requests: progress.requests,
                    tokens: Some(progress.tokens),
                    cost: is_priced.then_some(progress.pico_usd),
                    cut_off: 0,
                }),
                model_returned: (!names.is_empty()).then(|| names.join(", ")),
                created: room.clock.now(),
            };
            let texts = items.texts;
            Ok(room.vault.seal_reading(&draft, &|row| texts.text(row))?)
        });
        let sealed = sealed.await?;
        self.room.forget_names();
        Ok((sealed.manifest, sealed.is_new))
    }

    /// What tries before this one took; where their records cannot be read, nobody knows.
    async fn spent_before(&self, began: Timestamp) -> Spent {
        if self.is_fresh {
            return Spent::NOTHING;
        }
        let (room, draft) = (Arc::clone(&self.room), self.head.id.clone());
        let spent = blocking(move || room.spent_before(&draft, began)).await;
        spent.unwrap_or_else(|error| {
            tracing::warn!(draft = %self.head.id, %error, "what a snapshot took is not known");
            Spent {
                tokens: None,
                cost: None,
                ..Spent::NOTHING
            }
        })
    }

    async fn noise(&self, manifest: Manifest) -> Result<Manifest, Error> {
        match self.options.noise {
            Some(texts) if 0 < texts => {
                self.stage(Stage::Noise);
                self.room.measure_noise(&manifest, texts).await
            }
            _ => Ok(manifest),
        }
    }
}

impl Work<'_> {
    /// Asks for one batch, in portions where the provider is too slow for all of it.
    async fn batch(&self, place: Range<usize>) -> Result<(), Error> {
        let mut places = vec![place];
        while let Some(place) = self.portion.next(&mut places) {
            match self.part(place.clone()).await? {
                Ok(()) => {}
                Err(Impatient::TooSlow(_, tries)) if self.portion.shrink(place.len(), tries) => {
                    self.retried();
                    places.push(place);
                }
                Err(impatient) => {
                    return Err(impatient.into_error(|| self.stopped(), || self.exceeded()));
                }
            }
        }
        Ok(())
    }

    /// Asks for some texts and keeps their vectors. Nothing is asked any more once it is to stop.
    async fn part(&self, place: Range<usize>) -> Result<Result<(), Impatient>, Error> {
        if self.stop.is_cancelled() {
            return Err(self.stopped());
        }
        let batch = self.prepared.missing.get(place).unwrap_or_default();
        let tokens: u64 = batch.iter().map(|text| text.tokens).sum();
        let price = self.prepared.price.as_deref();
        let reckoned = price.and_then(|row| price_of(row, tokens));
        let rows: Vec<usize> = batch.iter().map(|text| text.item).collect();
        let items = rows.iter().filter_map(|row| self.prepared.items.get(*row));
        let items: Vec<_> = items.collect();
        let kept = Arc::clone(&self.prepared.texts);
        let texts = blocking(move || {
            let texts = rows.into_iter().map(|row| kept.text(row));
            Ok(texts.collect::<Result<Vec<_>, _>>()?)
        });
        let texts = texts.await?;
        let texts = texts.iter().map(|text| text.as_deref().unwrap_or_default());
        let texts: Vec<&str> = texts.collect();
        let patience = Patience {
            asker: &self.asker,
            pace: &self.pace,
            stop: &self.stop,
            tries: self.job.options.tries.unwrap_or(TRIES),
            purse: &self.purse,
            reckoned: reckoned.map_or(0, |amount| amount.0),
        };
        let asked = patience.ask(Side::Document, &texts, |_, facts, is_asked_again| {
            self.failed(facts, is_asked_again);
        });
        let embedded = match asked.await {
            Ok(embedded) => embedded,
            Err(impatient) => return Ok(Err(impatient)),
        };
        let keys: Vec<VectorKey> = items.iter().map(|item| item.key).collect();
        self.keep(keys, embedded, tokens).await.map(Ok)
    }

    /// Counts a try that failed: what its answer cost is spent, although nothing came of it.
    fn failed(&self, facts: &AnswerFacts, is_asked_again: bool) {
        let (spent, _) = self.purse.spent();
        self.job.progress.send_modify(|progress| {
            progress.retries += u64::from(is_asked_again);
            if let Some(usage) = facts.usage {
                progress.requests += 1;
                progress.tokens += usage.input;
            }
            progress.pico_usd = spent;
        });
    }

    fn retried(&self) {
        let progress = &self.job.progress;
        progress.send_modify(|progress| progress.retries += 1);
    }

    async fn keep(
        &self,
        keys: Vec<VectorKey>,
        embedded: Embedded,
        reckoned: u64,
    ) -> Result<(), Error> {
        let texts = count(keys.len());
        let dimensions = embedded.vectors.first().map_or(0, Vec::len);
        let (vault, space) = (Arc::clone(&self.job.room.vault), self.space_id.clone());
        let precision = self.job.head.precision;
        let vectors = embedded.vectors;
        blocking(move || {
            let vectors = vectors.iter().map(Vec::as_slice);
            let rows: Vec<(VectorKey, &[f32])> = keys.into_iter().zip(vectors).collect();
            Ok(vault.put(&space, dimensions, precision, &rows)?)
        })
        .await?;
        if let Some(model) = embedded.model {
            let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
            models.insert(model);
        }
        let (spent, _) = self.purse.spent();
        let elapsed = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.job.progress.send_modify(|progress| {
            progress.done += texts;
            progress.requests += 1;
            progress.tokens += embedded.tokens.unwrap_or(reckoned);
            progress.pico_usd = spent;
            let left = progress.total.saturating_sub(progress.done);
            let whole = elapsed.saturating_mul(left);
            progress.left_ms = whole.checked_div(progress.done);
        });
        Ok(())
    }

    fn stopped(&self) -> Error {
        let progress = self.job.progress.borrow();
        Error::Stopped {
            done: progress.done,
            total: progress.total,
        }
    }

    fn exceeded(&self) -> Error {
        let progress = self.job.progress.borrow();
        Error::Budget {
            limit: self.job.options.max_cost.unwrap_or_default(),
            spent: self.purse.spent().0,
            done: progress.done,
            total: progress.total,
        }
    }
}
