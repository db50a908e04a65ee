//! Searching snapshots: each in its own space, and never with a vector of another.

use crate::embeddings::ask::Asker;
use crate::embeddings::migrate::{Looking, Migration, Way};
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::search::{Answer, Chosen, Metric, Searcher, Why};
use crate::embeddings::snapshots::adapting::{Question, kept};
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::{SettingChange, Side, Space};
use crate::embeddings::vault::{Manifest, Snapshot};
use crate::{domain::Cost, embeddings};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// The most snapshots that are searched at once.
const MOST_SNAPSHOTS: usize = 8;
/// The most results of one.
const MOST_RESULTS: usize = 1_000;
/// How much of a text is shown, in characters.
const SHOWN: usize = 240;

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SearchWish {
    /// Where: `docs@2`.
    pub snapshots: Vec<String>,
    /// A text, which is embedded as a query of each snapshot's space.
    pub text: Option<String>,
    /// A vector in place of a text.
    pub vector: Option<Vec<f32>>,
    /// The space of that vector: its id, or a snapshot's name.
    pub space: Option<String>,
    /// An adapter: the text is embedded in the space that it maps from, and carried to the snapshots.
    pub adapter: Option<String>,
    /// How many results; 10 when nothing is said.
    pub k: Option<usize>,
    /// Whether every row is looked at, also where there is an index.
    pub is_exact: bool,
}

/// What was found in one snapshot.
#[derive(Debug, Clone, Serialize)]
pub struct SearchResult {
    /// The snapshot: `docs@2`.
    pub snapshot: String,
    /// The space of the scores: the snapshot's, and in a cascade the new version's, which ranked.
    pub space: String,
    /// The model of that space.
    pub model: String,
    /// The adapter that made the snapshot's vectors of those of a model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mapped_by: Option<String>,
    /// The adapter that carried the text there, as it was named.
    pub adapter: Option<String>,
    /// What embedding the text cost.
    pub cost: Cost,
    /// How many items the snapshot has.
    pub items: u64,
    /// How it was searched.
    pub chosen: Chosen,
    /// The nearest items, the nearest first.
    pub results: Vec<Hit>,
    /// In which way a migration of the collection served it; only under the collection's bare name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<Way>,
}

/// An item that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Hit {
    /// Its id.
    pub id: String,
    /// The cosine of the angle to what was looked for.
    pub score: f32,
    /// The score that the new model gives such pairs, where an adapter carried the text: its own are on
    /// another scale, and thresholds of the new model hold for this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_new_model: Option<f64>,
    /// The beginning of its text, where texts are kept.
    pub text: Option<String>,
}

impl Snapshots {
    /// Searches.
    ///
    /// # Errors
    ///
    /// `Invalid`; `SpaceMismatch` when the vector is of another space; those of asking and of the vault.
    pub async fn search(self: &Arc<Self>, wish: SearchWish) -> Result<Vec<SearchResult>, Error> {
        let many = wish.snapshots.len();
        if many == 0 || MOST_SNAPSHOTS < many {
            let problem = format!("are {many}, not from 1 to {MOST_SNAPSHOTS}");
            return Err(Error::invalid("snapshots", problem, None));
        }
        let k = wish.k.unwrap_or(10);
        if !(1..=MOST_RESULTS).contains(&k) {
            let problem = format!("is {k}, not from 1 to {MOST_RESULTS}");
            return Err(Error::invalid("k", problem, None));
        }
        let (room, names) = (Arc::clone(self), wish.snapshots.clone());
        let manifests = blocking(move || {
            let found = names.iter().map(|name| room.manifest(name));
            found.collect::<Result<Vec<_>, _>>()
        });
        let manifests = manifests.await?;
        self.check_space(&wish, &manifests).await?;
        let bridge = self.bridge(&wish, &manifests).await?;
        // A text is asked for once in each space, however many snapshots share it.
        let mut asked: HashMap<String, Vec<f32>> = HashMap::new();
        let mut found = Vec::new();
        for (name, manifest) in wish.snapshots.iter().zip(manifests) {
            let mut cost = Cost::default();
            let vector = match (&wish.vector, asked.get(&manifest.space_id.0)) {
                (Some(vector), _) | (None, Some(vector)) => vector.clone(),
                (None, None) => {
                    let (vector, paid) = self
                        .embed_query(&manifest, wish.text.as_deref(), bridge.as_ref())
                        .await?;
                    cost = paid;
                    asked.insert(manifest.space_id.0.clone(), vector.clone());
                    vector
                }
            };
            let mut one = match self.migration_of(name, &wish, &manifest) {
                Some(migration) => {
                    let looking = Looking {
                        text: wish.text.clone().unwrap_or_default(),
                        vector,
                        k,
                        is_exact: wish.is_exact,
                    };
                    self.search_migrating(&migration, &manifest, looking)
                        .await?
                }
                None => self.search_one(&manifest, vector, k, wish.is_exact).await?,
            };
            one.cost = cost;
            one.adapter.clone_from(&wish.adapter);
            // Where a migration ranked them, the new model did it itself.
            if let Some(bridge) = bridge.as_ref().filter(|_| one.way.is_none()) {
                for hit in &mut one.results {
                    hit.as_new_model = bridge.as_new_model(hit.score);
                }
            }
            found.push(one);
        }
        Ok(found)
    }

    /// Under its bare name a collection is served as its migration says; whoever names a snapshot means it.
    fn migration_of(
        &self,
        name: &str,
        wish: &SearchWish,
        manifest: &Manifest,
    ) -> Option<Migration> {
        if name.contains('@') || wish.text.is_none() {
            return None;
        }
        self.serving_migration(manifest)
    }

    async fn embed_query(
        self: &Arc<Self>,
        manifest: &Manifest,
        text: Option<&str>,
        bridge: Option<&Question>,
    ) -> Result<(Vec<f32>, Cost), Error> {
        let Some(text) = text.filter(|text| !text.trim().is_empty()) else {
            return Err(Error::invalid(
                "text",
                "is missing, and so is `vector`",
                None,
            ));
        };
        let (room, of) = (Arc::clone(self), manifest.clone());
        let question = match bridge {
            Some(bridge) => bridge,
            None => &blocking(move || room.question(&of)).await?,
        };
        let asker = Asker::new(
            Arc::clone(&self.proxy),
            question.space.clone(),
            manifest.name(),
        );
        let embedded = asker.ask(Side::Query, &[text]).await;
        let embedded = embedded.map_err(|failure| Box::new(failure.error))?;
        let vector = embedded.vectors.into_iter().next().unwrap_or_default();
        let row = Matrix::new(vector.len(), vector).unwrap_or_default();
        let vector = question.carried(&manifest.name(), row)?.into_values();
        let (length, has) = (vector.len(), manifest.dimensions);
        if u64::try_from(length).ok() != Some(u64::from(has)) {
            let name = manifest.name();
            let problem = format!("made a vector of {length} dimensions, and `{name}` has {has}");
            let hint = "the model is another one under the same name: make a new snapshot in a space with another `revision`, or say its `dimensions`";
            return Err(Error::invalid(&question.space.model, problem, Some(hint)));
        }
        Ok((vector, embedded.cost))
    }

    /// How the text comes to all snapshots, where an adapter is to carry it.
    async fn bridge(
        self: &Arc<Self>,
        wish: &SearchWish,
        manifests: &[Manifest],
    ) -> Result<Option<Question>, Error> {
        let Some(name) = wish.adapter.clone() else {
            return Ok(None);
        };
        if wish.vector.is_some() {
            let hint = "an adapter carries texts";
            let problem = "is said beside `vector`";
            return Err(Error::invalid("adapter", problem, Some(hint)));
        }
        let room = Arc::clone(self);
        let found = blocking(move || room.shelf.find(&name).map_err(kept)).await?;
        Question::through(found, manifests).map(Some)
    }

    async fn search_one(
        self: &Arc<Self>,
        manifest: &Manifest,
        vector: Vec<f32>,
        k: usize,
        is_exact: bool,
    ) -> Result<SearchResult, Error> {
        let (room, manifest) = (Arc::clone(self), manifest.clone());
        blocking(move || {
            let snapshot = room.vault.open_snapshot(&manifest.id)?;
            let found = room.find(&snapshot, &vector, k, is_exact)?;
            let mut results = Vec::with_capacity(found.neighbours.len());
            for neighbour in found.neighbours {
                let text = snapshot.text(neighbour.row)?;
                results.push(Hit {
                    id: snapshot.id(neighbour.row).unwrap_or_default().to_owned(),
                    score: neighbour.score,
                    as_new_model: None,
                    text: text.as_deref().map(shown),
                });
            }
            Ok(SearchResult {
                snapshot: manifest.name(),
                space: manifest.space_id.0,
                model: manifest.space.model,
                mapped_by: manifest.space.adapter.as_deref().map(short_name),
                adapter: None,
                cost: Cost::default(),
                items: manifest.items,
                chosen: found.chosen,
                results,
                way: None,
            })
        })
        .await
    }

    /// Finds the nearest rows of a snapshot, by its index where there is one. Blocks.
    ///
    /// # Errors
    ///
    /// `Invalid` when the vector is of other dimensions; those of the vault.
    pub(in crate::embeddings) fn find(
        &self,
        snapshot: &Snapshot,
        vector: &[f32],
        k: usize,
        is_exact: bool,
    ) -> Result<Answer, Error> {
        let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        if vector.len() != snapshot.dimensions() {
            let (length, has) = (vector.len(), snapshot.dimensions());
            let name = snapshot.manifest().name();
            let problem = format!("has {length} dimensions, and `{name}` has {has}");
            return Err(Error::invalid("vector", problem, None));
        }
        let index = (!is_exact).then(|| self.indexes.get(snapshot)).flatten();
        let searcher = Searcher {
            base: snapshot,
            index: index.as_deref(),
            metric: Metric::Cosine,
            threads,
        };
        let mut found = searcher.search(vector, k, None)?;
        if is_exact {
            found.chosen = Chosen::Exact(Why::Asked);
        }
        Ok(found)
    }

    /// A vector says of which space it is, and is refused by every other.
    async fn check_space(
        self: &Arc<Self>,
        wish: &SearchWish,
        manifests: &[Manifest],
    ) -> Result<(), Error> {
        if wish.vector.is_none() {
            return match &wish.space {
                None => Ok(()),
                Some(_) => {
                    let hint = "a text is embedded in the space of each snapshot";
                    Err(Error::invalid(
                        "space",
                        "is said without a `vector`",
                        Some(hint),
                    ))
                }
            };
        }
        if wish.text.is_some() {
            return Err(Error::invalid("vector", "is said beside `text`", None));
        }
        let Some(space) = wish.space.clone() else {
            let hint = "say the space's id or the snapshot's name, as in the answer that the vector came with";
            return Err(Error::invalid(
                "space",
                "is missing beside `vector`",
                Some(hint),
            ));
        };
        let (room, named) = (Arc::clone(self), space.clone());
        let known = blocking(move || room.space_named(&named)).await?;
        let other = manifests.iter().find(|manifest| {
            known.as_ref() != Some(&manifest.space) && manifest.space_id.0 != space
        });
        match other {
            None => Ok(()),
            Some(manifest) => Err(mismatch(&space, known.as_ref(), manifest).into()),
        }
    }

    /// Returns the space that a name leads to: a snapshot's, or one whose id some snapshot has.
    fn space_named(&self, name: &str) -> Result<Option<Space>, Error> {
        if !name.starts_with("space-") {
            return Ok(Some(self.manifest(name)?.space));
        }
        let all = self.vault.list(None)?;
        let found = all.into_iter().find(|found| found.space_id.0 == name);
        Ok(found.map(|found| found.space))
    }
}

/// The name of the adapter with this hash, as lists show it.
fn short_name(hash: &str) -> String {
    let digits = hash.get(..12).unwrap_or(hash);
    format!("adapter-{digits}")
}

/// The beginning of a text.
pub(in crate::embeddings) fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// Says that two spaces are not one, and in what they differ as far as that is known.
fn mismatch(first: &str, known: Option<&Space>, manifest: &Manifest) -> embeddings::Error {
    let changes = known.map_or_else(
        || {
            vec![SettingChange {
                setting: "space".to_owned(),
                before: first.into(),
                after: manifest.space_id.0.as_str().into(),
            }]
        },
        |known| known.differences(&manifest.space),
    );
    embeddings::Error::SpaceMismatch {
        first: first.to_owned(),
        second: manifest.name(),
        changes,
    }
}
