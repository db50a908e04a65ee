//! What a cascade would change, seen on a sample before anybody is served by it.
//!
//! Queries are sampled, never the base: each searches the whole old version, and the candidates it finds
//! there are ranked anew. That is exactly what the cascade will answer; what the new version alone would
//! find beyond the candidates is not in it.

use crate::domain::{PicoDollars, Timestamp};
use crate::embeddings::ask::Asker;
use crate::embeddings::migrate::book::Migration;
use crate::embeddings::migrate::texts::Haste;
use crate::embeddings::ranking::{is_top1_same, overlap};
use crate::embeddings::rows::Matrix;
use crate::embeddings::snapshots::comparison::draw_texts;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::{Side, VectorKey};
use crate::embeddings::vault::Manifest;
use crate::stats::{self, Estimate, Interval};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// How many queries are asked for together.
const BATCH: usize = 64;
/// The length of the lists that are compared.
const K: usize = 10;
/// The seed of the sample: the same migration sees the same one.
const SEED: u64 = 7;

/// What the sample showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShadowReport {
    /// How many queries were asked.
    pub queries: usize,
    /// `given`, or `items`: texts of the collection, each without itself among its answers.
    pub queries_from: String,
    /// How many candidates were ranked for each.
    pub candidates: usize,
    /// The length of the lists.
    pub k: usize,
    /// Which share of the first `k` answers stays, with its 95 % interval; `None` of a single query.
    pub overlap: Option<Estimate>,
    /// Of how many queries, as a share, the first answer stays.
    pub top1_same: f64,
    /// How many texts were embedded for it.
    pub texts: u64,
    /// What those and the queries cost in the new version.
    pub pico_usd: PicoDollars,
    /// When.
    pub at: Timestamp,
}

/// A query of the sample, and the item it is the text of.
struct Sampled {
    texts: Vec<String>,
    items: Vec<Option<String>>,
    is_given: bool,
}

impl Snapshots {
    /// Looks at what a cascade would change.
    ///
    /// # Errors
    ///
    /// Those of asking both models, and of the vault.
    pub(super) async fn look_ahead(
        self: &Arc<Self>,
        migration: &Migration,
        given: Vec<String>,
        sample: usize,
    ) -> Result<Option<ShadowReport>, Error> {
        let (room, of) = (Arc::clone(self), migration.clone());
        let base = blocking(move || room.base(&of)).await?;
        let sampled = self.sampled(&base, given, sample).await?;
        if sampled.texts.is_empty() {
            return Ok(None);
        }
        let old = self.queries_in_old(&base, &sampled.texts).await?;
        let (room, of, skipped) = (Arc::clone(self), migration.clone(), sampled.items.clone());
        let found =
            blocking(move || room.recalled(&of, &base, &old, of.candidates.max(K), Some(&skipped)));
        let found = found.await?;
        let pool = found.iter().flatten().map(|one| one.item.clone()).collect();
        let cancel = self.shutdown.child_token();
        let filled = self.fill(migration, pool, &cancel, Haste::Patient).await?;
        let mut new = Vec::with_capacity(sampled.texts.len());
        let mut paid = filled.pico_usd.0;
        for batch in sampled.texts.chunks(BATCH) {
            let queries = self.queries_in_new(migration, batch.to_vec()).await?;
            paid = paid.saturating_add(queries.pico_usd.0);
            new.extend(queries.vectors);
        }
        let lists = found.iter();
        let lists = lists.map(|list| list.iter().map(|one| one.item.key).collect());
        let lists: Vec<Vec<VectorKey>> = lists.collect();
        let ranked = self.rank(lists, new).await?;
        let mut shares = Vec::with_capacity(ranked.len());
        let mut same = Vec::with_capacity(ranked.len());
        for (order, list) in ranked.iter().zip(&found) {
            let before: Vec<usize> = (0..list.len().min(K)).collect();
            let after: Vec<usize> = order.iter().take(K).map(|(place, _)| *place).collect();
            let k = before.len();
            shares.push(overlap(&before, &after, k));
            same.push(f64::from(u8::from(is_top1_same(&before, &after))));
        }
        let mean = stats::mean(&shares).unwrap_or(0.0);
        let interval = stats::t_interval(&shares, 0.95);
        Ok(Some(ShadowReport {
            queries: sampled.texts.len(),
            queries_from: if sampled.is_given { "given" } else { "items" }.to_owned(),
            candidates: migration.candidates,
            k: K,
            overlap: interval.map(|interval: Interval| Estimate {
                value: mean,
                interval: interval.clamped(0.0, 1.0),
            }),
            top1_same: stats::mean(&same).unwrap_or(0.0),
            texts: filled.texts,
            pico_usd: PicoDollars(paid),
            at: self.clock.now(),
        }))
    }

    async fn sampled(
        self: &Arc<Self>,
        base: &Manifest,
        given: Vec<String>,
        sample: usize,
    ) -> Result<Sampled, Error> {
        if !given.is_empty() {
            return Ok(Sampled {
                items: vec![None; given.len()],
                texts: given,
                is_given: true,
            });
        }
        let (room, id) = (Arc::clone(self), base.id.clone());
        let drawn = blocking(move || {
            let snapshot = room.vault.open_snapshot(&id)?;
            draw_texts(&snapshot, sample, SEED)
        });
        let drawn = drawn.await?;
        let (items, texts) = drawn.into_iter().map(|one| (one.item, one.text)).unzip();
        let texts: Vec<Option<String>> = texts;
        Ok(Sampled {
            items,
            texts: texts.into_iter().flatten().collect(),
            is_given: false,
        })
    }

    async fn queries_in_old(&self, base: &Manifest, texts: &[String]) -> Result<Matrix, Error> {
        let proxy = Arc::clone(&self.proxy);
        let asker = Asker::new(proxy, base.space.clone(), base.name());
        let mut values = Vec::new();
        for batch in texts.chunks(BATCH) {
            let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
            let asked = asker.ask(Side::Query, &batch).await;
            let vectors = asked.map_err(|failure| Box::new(failure.error))?.vectors;
            values.extend(vectors.into_iter().flatten());
        }
        let dimensions = usize::try_from(base.dimensions).unwrap_or(0);
        Ok(Matrix::new(dimensions, values).unwrap_or_default())
    }
}
