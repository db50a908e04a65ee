//! Adapters as people make and use them: two snapshots by name become pairs, queries and a verdict; a
//! snapshot goes through an adapter and becomes one of the adapter's own space.

use crate::domain::PicoDollars;
use crate::embeddings;
use crate::embeddings::adapters::{
    self, Adapter, AdapterError, Asked, Head, Judgement, KindWish, Role, Settings, Shelf,
};
use crate::embeddings::compare::{self, Query, Step, add_labels};
use crate::embeddings::geometry::at;
use crate::embeddings::rows::{Matrix, Rows as _};
use crate::embeddings::snapshots::following::{Following, tell};
use crate::embeddings::snapshots::ground::{Ground, Judging, shuffle};
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::snapshots::query_vectors::Asking;
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::Space;
use crate::embeddings::vault::Manifest;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::watch;

/// The most pairs.
const MOST_PAIRS: usize = 100_000;
/// How long lists of answers are.
const K: usize = 10;

/// What is to be fitted.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdaptWish {
    /// The snapshot of the old model: `docs@1`.
    pub old: String,
    /// The one of the new model.
    pub new: String,
    /// Which kind of map.
    pub kind: KindWish,
    /// What it maps.
    pub role: Role,
    /// On how many pairs at most.
    pub pairs: Option<usize>,
    /// Queries, as [`read_queries`](compare::read_queries) reads them. Without them documents that are
    /// held out stand in.
    pub queries: Option<String>,
    /// Whether they are CSV.
    pub is_csv: bool,
    /// Labels, as [`read_labels`](compare::read_labels) reads them.
    pub labels: Option<String>,
    /// The length of lists of answers.
    pub k: Option<usize>,
    /// The seed of everything drawn.
    pub seed: Option<u64>,
    /// The most that queries may cost.
    pub max_cost: Option<PicoDollars>,
    /// Whether it is kept against the advice.
    pub is_forced: bool,
}

/// What came of fitting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adapted {
    /// The adapter's name.
    pub id: String,
    /// Whether it is kept.
    pub is_stored: bool,
    /// What it is, and what it is worth.
    pub head: Head,
}

/// What an adapter is worth by other queries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The adapter's name.
    pub id: String,
    /// What it is worth.
    pub judgement: Judgement,
}

/// How a text comes into the space of a snapshot.
#[derive(Debug)]
pub(super) struct Question {
    /// The space it is embedded in.
    pub(super) space: Space,
    /// What carries it over, where that is needed.
    adapter: Option<Adapter>,
}

impl Question {
    /// Carries vectors of [`Self::space`] to where they are needed.
    pub(super) fn carried(&self, given: &str, rows: Matrix) -> Result<Matrix, Error> {
        match &self.adapter {
            Some(adapter) if !rows.is_empty() => Ok(adapter.map(given, &self.space, &rows)?),
            _ => Ok(rows),
        }
    }
}

impl Question {
    /// The score that the new model gives such pairs as have `score` here, where an adapter carries the text
    /// and has seen such; its own scores and the model's are not on one scale.
    pub(super) fn as_new_model(&self, score: f32) -> Option<f64> {
        let adapter = self.adapter.as_ref()?;
        at(&adapter.head().score_map, f64::from(score))
    }

    /// How a text comes through an adapter to snapshots of the space that it maps to.
    pub(super) fn through(adapter: Adapter, to: &[Manifest]) -> Result<Self, Error> {
        if adapter.head().role == Role::Documents {
            let problem = "carries documents to queries, and here a query is carried to documents";
            let hint = "search what `adapter apply` makes of the old snapshot, or fit one with `--maps queries`";
            return Err(Error::invalid(adapter.short(), problem, Some(hint)));
        }
        for manifest in to {
            check_target(&adapter, manifest)?;
        }
        Ok(Self {
            space: adapter.head().from.clone(),
            adapter: Some(adapter),
        })
    }
}

impl Snapshots {
    /// Returns the adapters.
    #[must_use]
    pub const fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// Finds out how a text is asked for that is looked for in a snapshot. Blocks.
    pub(super) fn question(&self, manifest: &Manifest) -> Result<Question, Error> {
        let Some(hash) = &manifest.space.adapter else {
            return Ok(Question {
                space: manifest.space.clone(),
                adapter: None,
            });
        };
        let adapter = self.shelf.of_hash(hash).map_err(kept)?;
        let made = adapter.space();
        if made != manifest.space {
            let mismatch = embeddings::Error::SpaceMismatch {
                first: adapter.short().to_owned(),
                second: manifest.name(),
                changes: made.differences(&manifest.space),
            };
            return Err(mismatch.into());
        }
        Ok(Question {
            space: adapter.asking().clone(),
            adapter: (adapter.head().role == Role::Queries).then_some(adapter),
        })
    }

    /// Begins to fit an adapter between two snapshots; it is judged, and kept unless its own figures are
    /// against it. What is wrong with the wish is said at once.
    ///
    /// # Errors
    ///
    /// `Invalid`, `SameSpace`, `TooFewPairs`, `TooFewQueries`; those of names, queries, labels and the vault.
    /// At the end `Unfit`, and those of asking.
    pub async fn fit_adapter(
        self: &Arc<Self>,
        wish: AdaptWish,
    ) -> Result<Following<Adapted>, Error> {
        let queries = wish.queries()?;
        let (room, wanted) = (Arc::clone(self), wish.clone());
        let opened = blocking(move || {
            let ground = Ground::open(&room, &wanted)?;
            let judging = ground.judging(queries, Some(wanted.kind))?;
            let pairs = ground.drawn(&wanted)?;
            Ok((Arc::new(ground), judging, pairs))
        });
        let (ground, judging, (pairs, pairs_hash)) = opened.await?;
        let room = Arc::clone(self);
        Ok(self.follow(begin(&judging.0), |sender| async move {
            let asked = room.asked(&ground, &wish, judging, &sender).await?;
            blocking(move || {
                let judges = ground.judges(asked)?;
                let settings = wish.settings(&ground, judges.is_stand_in);
                let mut progress = |step: Step| tell(&sender, step);
                let (sides, asked) = (ground.sides(), &judges.asked);
                let found = adapters::fit(&pairs, &sides, asked, settings, &mut progress)?;
                let adapter = ground.adapter(&wish, found, &pairs, pairs_hash);
                let is_stored = wish.is_forced || adapter.head().judgement.refusal.is_none();
                if is_stored {
                    room.shelf.put(&adapter).map_err(kept)?;
                }
                Ok(Adapted {
                    id: adapter.id().to_owned(),
                    is_stored,
                    head: adapter.head().clone(),
                })
            })
            .await
        }))
    }

    /// Begins to judge an adapter by queries, between two snapshots of its spaces.
    ///
    /// # Errors
    ///
    /// As [`Self::fit_adapter`]; `WrongDirection`, `SpaceMismatch` when the snapshots are not of its
    /// spaces.
    pub async fn eval_adapter(
        self: &Arc<Self>,
        name: &str,
        wish: AdaptWish,
    ) -> Result<Following<Judged>, Error> {
        let queries = wish.queries()?;
        let (room, name) = (Arc::clone(self), name.to_owned());
        let opened = blocking(move || {
            let adapter = room.shelf.find(&name).map_err(kept)?;
            let role = adapter.head().role;
            let wish = AdaptWish { role, ..wish };
            let ground = Ground::open(&room, &wish)?;
            let (from, to) = match role {
                Role::Queries => (&ground.new, &ground.old),
                Role::Documents => (&ground.old, &ground.new),
            };
            adapter.check(&from.name(), &from.space)?;
            check_target(&adapter, to)?;
            let judging = ground.judging(queries, None)?;
            Ok((adapter, wish, Arc::new(ground), judging))
        });
        let (adapter, wish, ground, judging) = opened.await?;
        let room = Arc::clone(self);
        Ok(self.follow(begin(&judging.0), |sender| async move {
            let asked = room.asked(&ground, &wish, judging, &sender).await?;
            blocking(move || {
                let judges = ground.judges(asked)?;
                let settings = wish.settings(&ground, judges.is_stand_in);
                let (map, sides) = (adapter.linear(), ground.sides());
                let (judgement, _) = adapters::eval(map, &sides, &judges.asked, settings)?;
                Ok(Judged {
                    id: adapter.id().to_owned(),
                    judgement,
                })
            })
            .await
        }))
    }

    /// Gets the queries' vectors of both models; `None` where there are no queries.
    async fn asked(
        self: &Arc<Self>,
        ground: &Ground,
        wish: &AdaptWish,
        (queries, grades): Judging,
        sender: &watch::Sender<Step>,
    ) -> Result<Option<Asked>, Error> {
        if queries.is_empty() {
            return Ok(None);
        }
        let asking = Asking {
            queries: &queries,
            purse: &Purse::new(wish.max_cost),
            max_cost: wish.max_cost,
            sender,
            done: AtomicUsize::new(0),
        };
        let old = self.query_vectors(&ground.old, &asking).await?;
        let new = self.query_vectors(&ground.new, &asking).await?;
        Ok(Some(Asked {
            old,
            new,
            grades,
            own: vec![None; queries.len()],
        }))
    }

    /// Removes an adapter that made no snapshot, damaged or not. Blocks.
    ///
    /// # Errors
    ///
    /// `InUse`; those of [`Shelf::id`] and the vault.
    pub fn delete_adapter(&self, name: &str) -> Result<String, Error> {
        let id = self.shelf.id(name).map_err(kept)?;
        let hash = id.strip_prefix("adapter-");
        let all = self.vault.list(None)?.into_iter();
        let users = all.filter(|manifest| manifest.space.adapter.as_deref() == hash);
        let snapshots: Vec<String> = users.map(|manifest| manifest.name()).collect();
        if !snapshots.is_empty() {
            let adapter = id.get(..20).unwrap_or(&id).to_owned();
            return Err(kept(AdapterError::InUse { adapter, snapshots }));
        }
        self.shelf.remove(&id).map_err(kept)?;
        Ok(id)
    }
}

/// An adapter's error, as the rooms above know it.
pub(super) fn kept(error: AdapterError) -> Error {
    embeddings::Error::from(error).into()
}

fn begin(queries: &[Query]) -> Step {
    Step {
        stage: if queries.is_empty() {
            "judging"
        } else {
            "queries"
        },
        done: 0,
        total: 2 * queries.len(),
    }
}

/// The side it maps to is checked like the side it maps from.
fn check_target(adapter: &Adapter, to: &Manifest) -> Result<(), Error> {
    if to.space_id == adapter.head().to_space {
        return Ok(());
    }
    let mismatch = embeddings::Error::SpaceMismatch {
        first: adapter.short().to_owned(),
        second: to.name(),
        changes: adapter.head().to.differences(&to.space),
    };
    Err(mismatch.into())
}

impl AdaptWish {
    fn check(&self) -> Result<(), Error> {
        for (what, number, most) in [("pairs", self.pairs, MOST_PAIRS), ("k", self.k, 100)] {
            if number.is_some_and(|number| number == 0 || most < number) {
                let number = number.unwrap_or_default();
                let problem = format!("is {number}, not from 1 to {most}");
                return Err(Error::invalid(what, problem, None));
            }
        }
        Ok(())
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed.unwrap_or(1)
    }

    /// The queries, in an order drawn by the seed, with their labels.
    fn queries(&self) -> Result<Vec<Query>, Error> {
        self.check()?;
        let Some(text) = &self.queries else {
            return Ok(Vec::new());
        };
        let read = compare::read_queries(text, self.is_csv);
        let mut queries = read.map_err(embeddings::Error::from)?;
        if let Some(labels) = &self.labels {
            let labels = compare::read_labels(labels).map_err(embeddings::Error::from)?;
            if add_labels(&mut queries, &labels) == labels.len() {
                let hint = "labels name queries by their `id`";
                let problem = "belong to none of the queries";
                return Err(Error::invalid("labels", problem, Some(hint)));
            }
        }
        shuffle(&mut queries, self.seed());
        Ok(queries)
    }

    fn settings(&self, ground: &Ground, are_queries_documents: bool) -> Settings {
        let to = match self.role {
            Role::Queries => &ground.old,
            Role::Documents => &ground.new,
        };
        Settings {
            kind: self.kind,
            role: self.role,
            seed: self.seed(),
            k: self.k.unwrap_or(K),
            is_renormalised: to.counts.not_unit == 0,
            are_queries_documents,
        }
    }
}
