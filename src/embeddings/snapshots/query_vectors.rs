//! The vectors that a snapshot's space makes of queries: those that are kept cost nothing, the others are
//! asked for like a snapshot's texts, patiently and within a limit of cost, and kept.

use crate::domain::PicoDollars;
use crate::embeddings::ask::{Asker, Embedded};
use crate::embeddings::compare::{Query, Step};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::snapshots::following::stopped;
use crate::embeddings::snapshots::limits::Limits;
use crate::embeddings::snapshots::patience::{Impatient, Patience, Portion, TRIES};
use crate::embeddings::snapshots::plan::{Missing, batches, count, price_of};
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::{Side, Space, SpaceId, TextHash, VectorKey};
use crate::embeddings::vault::{Manifest, Precision};
use crate::metering::{PriceRow, Tokens};
use crate::proxy::{Pace, Paces};
use futures_util::{StreamExt as _, stream};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// What all queries of a comparison share.
pub(super) struct Asking<'a> {
    /// The queries.
    pub(super) queries: &'a [Query],
    /// How much they may cost, on both sides together.
    pub(super) purse: &'a Purse,
    /// That limit.
    pub(super) max_cost: Option<PicoDollars>,
    /// Who follows; when nobody does any more it stops.
    pub(super) sender: &'a watch::Sender<Step>,
    /// How many vectors are there, of both sides.
    pub(super) done: AtomicUsize,
}

/// A vector, under its key.
type Found = (VectorKey, Vec<f32>);

/// What the requests of one side share.
struct Asked<'a> {
    room: &'a Arc<Snapshots>,
    asking: &'a Asking<'a>,
    space_id: SpaceId,
    texts: &'a [&'a str],
    keys: &'a [VectorKey],
    missing: &'a [Missing],
    limits: Limits,
    price: Option<Arc<PriceRow>>,
    asker: Asker,
    pace: Arc<Pace>,
    stop: CancellationToken,
    portion: Portion,
}

impl Asking<'_> {
    fn total(&self) -> usize {
        2 * self.queries.len()
    }

    fn tell(&self, more: usize) {
        let done = self.done.fetch_add(more, Ordering::Relaxed) + more;
        self.sender.send_replace(Step {
            stage: "queries",
            done,
            total: self.total(),
        });
    }

    /// Tells that a provider is waited for, which could not answer so often.
    fn wait(&self, tries: u32) {
        let number = |tries| usize::try_from(tries).unwrap_or(usize::MAX);
        self.sender.send_replace(Step {
            stage: "waiting",
            done: number(tries),
            total: number(TRIES),
        });
    }
}

impl Snapshots {
    /// Returns the vectors of queries in a snapshot's space. Where an adapter made the snapshot, the new model
    /// makes them; these are kept, and then carried over.
    ///
    /// # Errors
    ///
    /// `Budget`, `NoPrice`, `Invalid`; those of asking and of the vault.
    pub(super) async fn query_vectors(
        self: &Arc<Self>,
        manifest: &Manifest,
        asking: &Asking<'_>,
    ) -> Result<Matrix, Error> {
        let (room, of) = (Arc::clone(self), manifest.clone());
        let question = blocking(move || room.question(&of)).await?;
        let (space, space_id) = (&question.space, question.space.id());
        let texts = asking.queries.iter();
        let texts: Vec<&str> = texts
            .map(|query| query.text.as_deref().unwrap_or_default())
            .collect();
        let key = |text: &&str| {
            let sent = TextHash::of(&space.sent_text(Side::Query, text));
            VectorKey::new(space, &space_id, Side::Query, sent)
        };
        let keys: Vec<VectorKey> = texts.iter().map(key).collect();
        let (room, wanted) = (Arc::clone(self), keys.clone());
        let kept = blocking(move || {
            room.queries.note(&wanted, room.clock.now())?;
            let vectors = room.vault.vectors(&wanted)?;
            let found = wanted.into_iter().zip(vectors);
            Ok(found
                .filter_map(|(key, vector)| Some((key, vector?)))
                .collect::<HashMap<_, _>>())
        });
        let mut found = kept.await?;
        let mut seen = HashSet::new();
        let is_missing = |key: &VectorKey| !found.contains_key(key);
        let missing = keys.iter().zip(&texts).enumerate();
        let missing = missing.filter(|(_, (key, _))| is_missing(key) && seen.insert(**key));
        let missing: Vec<Missing> = missing
            .map(|(item, (_, text))| Missing {
                item,
                tokens: Tokens.count_text(&space.model, &space.sent_text(Side::Query, text)),
            })
            .collect();
        asking.tell(texts.len() - missing.len());
        if !missing.is_empty() {
            let side = self.side((space, manifest.name()), asking, (&texts, &keys, &missing))?;
            found.extend(side.ask().await?);
        }
        let rows = keys.iter().filter_map(|key| found.get(key)).flatten();
        let values: Vec<f32> = rows.copied().collect();
        let dimensions = usize::try_from(manifest.dimensions).unwrap_or(0);
        let length = values.len().checked_div(keys.len()).unwrap_or(dimensions);
        let carried = |rows: Matrix| question.carried(&manifest.name(), rows);
        let rows = Matrix::new(length, values).map(carried).transpose()?;
        rows.filter(|rows| rows.len() == keys.len() && rows.dimensions() == dimensions)
            .ok_or_else(|| {
                let problem = format!(
                    "has vectors of {dimensions} dimensions, and its model makes others of queries"
                );
                Error::invalid(&manifest.name(), problem, None)
            })
    }

    /// Returns the vectors that a snapshot's space makes of texts as queries, for at most so much; those that are
    /// kept cost nothing.
    ///
    /// # Errors
    ///
    /// `Budget`, `NoPrice`, `Invalid`; those of asking and of the vault.
    pub async fn embed_queries(
        self: &Arc<Self>,
        manifest: &Manifest,
        texts: Vec<String>,
        max_cost: Option<PicoDollars>,
    ) -> Result<Matrix, Error> {
        let query = |(place, text): (usize, String)| Query {
            id: place.to_string(),
            text: Some(text),
            relevant: Vec::new(),
            item: None,
        };
        let queries: Vec<Query> = texts.into_iter().enumerate().map(query).collect();
        let begin = Step {
            stage: "queries",
            done: 0,
            total: queries.len(),
        };
        // Who waits for the answer is who follows.
        let (sender, _following) = watch::channel(begin);
        let asking = Asking {
            queries: &queries,
            purse: &Purse::new(max_cost),
            max_cost,
            sender: &sender,
            done: AtomicUsize::new(0),
        };
        self.query_vectors(manifest, &asking).await
    }

    fn side<'a>(
        self: &'a Arc<Self>,
        (space, snapshot): (&Space, String),
        asking: &'a Asking<'a>,
        (texts, keys, missing): (&'a [&'a str], &'a [VectorKey], &'a [Missing]),
    ) -> Result<Asked<'a>, Error> {
        let way = self.way(&space.model, self.clock.now())?;
        if asking.max_cost.is_some() && way.price.is_none() {
            let model = space.model.clone();
            return Err(Error::NoPrice { model });
        }
        let limits = self.limits.of(&way.kind);
        let paces = Paces::new(limits.concurrency, Duration::ZERO, HashMap::new());
        Ok(Asked {
            room: self,
            asking,
            space_id: space.id(),
            texts,
            keys,
            missing,
            limits,
            price: way.price,
            asker: Asker::new(Arc::clone(&self.proxy), space.clone(), snapshot),
            pace: paces.of(""),
            stop: self.shutdown.child_token(),
            portion: Portion::new(),
        })
    }
}

impl Asked<'_> {
    /// Asks for everything that is missing; after the first that fails no other is begun, and those under
    /// way are kept.
    async fn ask(&self) -> Result<Vec<Found>, Error> {
        let at_once = usize::try_from(self.limits.concurrency).unwrap_or(1);
        let mut answers = stream::iter(batches(self.missing, self.limits))
            .map(|batch| self.batch(batch))
            .buffer_unordered(at_once);
        let mut found = Vec::new();
        let mut failed: Option<Error> = None;
        loop {
            let answer = tokio::select! {
                answer = answers.next() => answer,
                () = self.asking.sender.closed() => return Err(stopped()),
            };
            match answer {
                None => break,
                Some(Ok(vectors)) => found.extend(vectors),
                Some(Err(error)) => {
                    self.stop.cancel();
                    failed = failed.or(Some(error));
                }
            }
        }
        failed.map_or(Ok(found), Err)
    }

    /// Asks for one batch, in portions where the provider is too slow for all of it.
    async fn batch(&self, place: Range<usize>) -> Result<Vec<Found>, Error> {
        let (mut places, mut found) = (vec![place], Vec::new());
        while let Some(place) = self.portion.next(&mut places) {
            match self.part(place.clone()).await? {
                Ok(more) => found.extend(more),
                Err(Impatient::TooSlow(_, tries)) if self.portion.shrink(place.len(), tries) => {
                    places.push(place);
                }
                Err(impatient) => return Err(impatient.into_error(stopped, || self.exceeded())),
            }
        }
        Ok(found)
    }

    /// Asks for some texts and keeps their vectors.
    async fn part(&self, place: Range<usize>) -> Result<Result<Vec<Found>, Impatient>, Error> {
        if self.stop.is_cancelled() {
            return Err(stopped());
        }
        let batch = self.missing.get(place).unwrap_or_default();
        let tokens = batch.iter().map(|text| text.tokens).sum();
        let price = self.price.as_deref();
        let reckoned = price.and_then(|row| price_of(row, tokens));
        let texts = batch.iter().filter_map(|text| self.texts.get(text.item));
        let texts: Vec<&str> = texts.copied().collect();
        let patience = Patience {
            asker: &self.asker,
            pace: &self.pace,
            stop: &self.stop,
            tries: TRIES,
            purse: self.asking.purse,
            reckoned: reckoned.map_or(0, |amount| amount.0),
        };
        let asked = patience.ask(Side::Query, &texts, |tries, _, is_asked_again| {
            if is_asked_again {
                self.asking.wait(tries);
            }
        });
        let Embedded { vectors, .. } = match asked.await {
            Ok(embedded) => embedded,
            Err(impatient) => return Ok(Err(impatient)),
        };
        let keys = batch.iter().filter_map(|text| self.keys.get(text.item));
        let found: Vec<Found> = keys.copied().zip(vectors).collect();
        let (room, space) = (Arc::clone(self.room), self.space_id.clone());
        let found = blocking(move || {
            let dimensions = found.first().map_or(0, |(_, vector)| vector.len());
            let rows = found.iter().map(|(key, vector)| (*key, vector.as_slice()));
            let rows: Vec<(VectorKey, &[f32])> = rows.collect();
            room.vault.put(&space, dimensions, Precision::F32, &rows)?;
            Ok(found)
        });
        let found = found.await?;
        self.asking.tell(found.len());
        Ok(Ok(found))
    }

    fn exceeded(&self) -> Error {
        Error::Budget {
            limit: self.asking.max_cost.unwrap_or_default(),
            spent: self.asking.purse.spent().0,
            done: count(self.asking.done.load(Ordering::Relaxed)),
            total: count(self.asking.total()),
        }
    }
}
