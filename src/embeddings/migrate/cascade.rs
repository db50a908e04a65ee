//! A search while a migration is under way: candidates by the old version, ranked by the new one.
//!
//! Only the candidates' texts need vectors of the new version; they are kept, so that what is searched often
//! is there soon. When the new model does not answer, or nothing may be spent any more, the old version's
//! answer is given, and says why.

use crate::domain::{Cost, PicoDollars};
use crate::embeddings::migrate::book::Migration;
use crate::embeddings::migrate::texts::Haste;
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::search::{Neighbour, Scan, nearest};
use crate::embeddings::snapshots::{Error, Hit, SearchResult, Snapshots, Told, blocking, shown};
use crate::embeddings::space::VectorKey;
use crate::embeddings::vault::{Manifest, NewItem, Snapshot};
use crate::embeddings::{self};
use serde::Serialize;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a search waits for the new version before it answers by the old one.
const PATIENCE: Duration = Duration::from_secs(30);

/// How an answer was ranked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WayKind {
    /// By the old version alone.
    Recall,
    /// Found by the old version, ranked by the new one.
    Cascade,
}

/// In which way a migration served a search.
#[derive(Debug, Clone, Serialize)]
pub struct Way {
    /// How it was ranked.
    pub kind: WayKind,
    /// The migration.
    pub migration: String,
    /// The snapshot in which candidates were found.
    pub recalled_from: String,
    /// How many candidates there were.
    pub candidates: usize,
    /// How many of their texts were embedded for this search.
    pub embedded: u64,
    /// What embedding those and the query cost in the new version.
    pub pico_usd: PicoDollars,
    /// Why it was not ranked by the new version, though it should have been.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Told>,
}

impl Way {
    fn recall(migration: &Migration, from: &Manifest, candidates: usize) -> Self {
        Self {
            kind: WayKind::Recall,
            migration: migration.id.clone(),
            recalled_from: from.name(),
            candidates,
            embedded: 0,
            pico_usd: PicoDollars::default(),
            problem: None,
        }
    }
}

/// What a search looks for.
pub(in crate::embeddings) struct Looking {
    pub(in crate::embeddings) text: String,
    pub(in crate::embeddings) vector: Vec<f32>,
    pub(in crate::embeddings) k: usize,
    pub(in crate::embeddings) is_exact: bool,
}

/// A candidate of the old version.
pub(super) struct Candidate {
    pub(super) item: NewItem,
    score: f32,
}

impl Snapshots {
    /// Returns the migration that decides how a search under a bare name is served.
    pub(in crate::embeddings) fn serving_migration(
        &self,
        manifest: &Manifest,
    ) -> Option<Migration> {
        let migration = self.migrations.of(&manifest.collection);
        let migration = migration.filter(|one| one.state.is_open());
        migration.filter(|one| one.from_space == manifest.space)
    }

    /// Searches the way that the migration is in.
    ///
    /// # Errors
    ///
    /// Those of the old version; what goes wrong with the new one is told in the answer.
    pub(in crate::embeddings) async fn search_migrating(
        self: &Arc<Self>,
        migration: &Migration,
        manifest: &Manifest,
        looking: Looking,
    ) -> Result<SearchResult, Error> {
        let is_cascading = migration.state.is_cascading() && !migration.is_paused;
        let wanted = if is_cascading {
            migration.candidates.max(looking.k)
        } else {
            looking.k
        };
        let (room, of, id) = (Arc::clone(self), migration.clone(), manifest.id.clone());
        let (vector, is_exact) = (looking.vector.clone(), looking.is_exact);
        let found = blocking(move || {
            let snapshot = room.vault.open_snapshot(&id)?;
            let answer = room.find(&snapshot, &vector, wanted, is_exact)?;
            Ok((
                candidates(&of, &snapshot, answer.neighbours)?,
                answer.chosen,
            ))
        });
        let (found, chosen) = found.await?;
        let mut way = Way::recall(migration, manifest, found.len());
        let mut result = SearchResult {
            snapshot: manifest.name(),
            space: manifest.space_id.0.clone(),
            model: manifest.space.model.clone(),
            mapped_by: None,
            adapter: None,
            cost: Cost::default(),
            items: manifest.items,
            chosen,
            results: Vec::new(),
            way: None,
        };
        if is_cascading {
            let ranked = self.ranked(migration, &looking, &found, &mut way);
            let ranked = tokio::time::timeout(PATIENCE, ranked).await;
            match ranked.unwrap_or(Err(Error::Late { waited: PATIENCE })) {
                Ok(order) => {
                    way.kind = WayKind::Cascade;
                    result.space = migration.to_space.id().0;
                    result.model.clone_from(&migration.to_space.model);
                    let hits = order.into_iter();
                    let hits =
                        hits.filter_map(|(place, score)| Some(hit(found.get(place)?, score)));
                    result.results = hits.take(looking.k).collect();
                }
                Err(error) => {
                    tracing::warn!(migration = %migration.id, %error, "a search is answered by the old version");
                    way.problem = Some(error.told());
                }
            }
        }
        if way.kind == WayKind::Recall {
            let hits = found.iter().map(|one| hit(one, one.score));
            result.results = hits.take(looking.k).collect();
        }
        result.way = Some(way);
        Ok(result)
    }

    /// Finds the candidates of queries in a snapshot of the old version; `skipped` names for each query the
    /// item that may not be among them. Blocks.
    pub(super) fn recalled(
        &self,
        migration: &Migration,
        manifest: &Manifest,
        queries: &Matrix,
        wanted: usize,
        skipped: Option<&[Option<String>]>,
    ) -> Result<Vec<Vec<Candidate>>, Error> {
        let snapshot = self.vault.open_snapshot(&manifest.id)?;
        let skipped: Vec<Option<usize>> = skipped
            .unwrap_or_default()
            .iter()
            .map(|id| id.as_deref().and_then(|id| snapshot.row_of(id)))
            .collect();
        let is_skipped = |query: usize, row: usize| skipped.get(query) == Some(&Some(row));
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let scan = Scan {
            threads,
            skip: Some(&is_skipped),
            ..Scan::new(wanted)
        };
        let mut all = Vec::new();
        for neighbours in nearest(&snapshot, queries, &scan)? {
            all.push(candidates(migration, &snapshot, neighbours)?);
        }
        Ok(all)
    }

    /// Ranks candidates by the new version: their places and scores, the best first.
    async fn ranked(
        self: &Arc<Self>,
        migration: &Migration,
        looking: &Looking,
        found: &[Candidate],
        way: &mut Way,
    ) -> Result<Vec<(usize, f32)>, Error> {
        let items = found.iter().map(|one| one.item.clone()).collect();
        let cancel = self.shutdown.child_token();
        let filled = self
            .fill(migration, items, &cancel, Haste::Searching)
            .await?;
        (way.embedded, way.pico_usd) = (filled.texts, filled.pico_usd);
        let text = vec![looking.text.clone()];
        let queries = self.queries_in_new(migration, text).await?;
        way.pico_usd = PicoDollars(way.pico_usd.0.saturating_add(queries.pico_usd.0));
        let keys: Vec<VectorKey> = found.iter().map(|one| one.item.key).collect();
        let mut ranked = self.rank(vec![keys], queries.vectors).await?;
        Ok(ranked.pop().unwrap_or_default())
    }

    /// Ranks the vectors of each list of keys by the query of the same place.
    pub(super) async fn rank(
        self: &Arc<Self>,
        lists: Vec<Vec<VectorKey>>,
        queries: Vec<Vec<f32>>,
    ) -> Result<Vec<Vec<(usize, f32)>>, Error> {
        let room = Arc::clone(self);
        blocking(move || {
            let mut ranked = Vec::with_capacity(lists.len());
            for (keys, query) in lists.iter().zip(queries) {
                ranked.push(room.rank_one(keys, query)?);
            }
            Ok(ranked)
        })
        .await
    }

    fn rank_one(&self, keys: &[VectorKey], query: Vec<f32>) -> Result<Vec<(usize, f32)>, Error> {
        // Two items with one text have one vector.
        let mut rows: HashMap<VectorKey, usize> = HashMap::new();
        let mut values = Vec::new();
        for (key, vector) in keys.iter().zip(self.vault.vectors(keys)?) {
            if let Some(vector) = vector
                && !rows.contains_key(key)
            {
                rows.insert(*key, rows.len());
                values.extend(vector);
            }
        }
        let base = Matrix::new(query.len(), values).unwrap_or_default();
        let query = Matrix::new(query.len(), query).unwrap_or_default();
        if base.dimensions() != query.dimensions() && !rows.is_empty() {
            let (query, base) = (query.dimensions(), base.dimensions());
            let mismatch = embeddings::search::Error::Dimensions { query, base };
            return Err(embeddings::Error::from(mismatch).into());
        }
        let scores = nearest(&base, &query, &Scan::new(rows.len().max(1)))?;
        let scores = scores.into_iter().flatten();
        let scores: HashMap<usize, f32> = scores.map(|one| (one.row, one.score)).collect();
        let mut ranked: Vec<(usize, f32)> = keys
            .iter()
            .enumerate()
            .filter_map(|(place, key)| Some((place, *scores.get(rows.get(key)?)?)))
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        Ok(ranked)
    }
}

/// The items of rows that were found.
fn candidates(
    of: &Migration,
    snapshot: &Snapshot,
    neighbours: Vec<Neighbour>,
) -> Result<Vec<Candidate>, Error> {
    let mut found = Vec::with_capacity(neighbours.len());
    for Neighbour { row, score } in neighbours {
        if let Some(item) = snapshot.item(row)? {
            let item = of.keyed(item);
            found.push(Candidate { item, score });
        }
    }
    Ok(found)
}

fn hit(candidate: &Candidate, score: f32) -> Hit {
    let item = &candidate.item.item;
    Hit {
        id: item.id.clone(),
        score,
        as_new_model: None,
        text: item.text.as_deref().map(shown),
    }
}
