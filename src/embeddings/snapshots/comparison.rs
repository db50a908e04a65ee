//! Comparing two snapshots as people ask for it: names become opened snapshots, queries get the vectors that
//! each side's space makes of them, and the rest is [`compare()`].
//!
//! Vectors of queries are kept like all others, under space and text: the next comparison with the same
//! queries asks nobody.

use crate::domain::PicoDollars;
use crate::embeddings;
use crate::embeddings::compare::report::{ComparisonReport, Noise, SnapshotFacts};
use crate::embeddings::compare::{
    self, CompareError, Label, Queries, Query, QuerySource, Settings, Step, Subject, add_labels,
    compare,
};
use crate::embeddings::item::Span;
use crate::embeddings::rows::Rows as _;
use crate::embeddings::snapshots::following::{Following, tell};
use crate::embeddings::snapshots::purse::Purse;
use crate::embeddings::snapshots::query_vectors::Asking;
use crate::embeddings::snapshots::recorded_queries::{CallsWish, Drawing, Recorded};
use crate::embeddings::snapshots::{Error, Snapshots, blocking};
use crate::embeddings::space::TextHash;
use crate::embeddings::vault::{Manifest, Snapshot};
use crate::stats::{Estimate, Interval, Random};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use tokio::sync::watch;

/// The most queries and the most items that may be looked at.
const MOST: usize = 100_000;

/// Where queries are to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuerySourceWish {
    /// From the text that came with the wish; none when none came.
    #[default]
    File,
    /// From the items' own texts.
    Items,
    /// From recorded calls.
    Calls,
}

/// What is to be compared, and how.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CompareWish {
    /// What is there today: `docs@1`.
    pub a: String,
    /// What may take its place: `docs@2`.
    pub b: String,
    /// Queries, as [`read_queries`](compare::read_queries) reads them.
    pub queries: Option<String>,
    /// Whether they are CSV.
    pub is_csv: bool,
    /// Labels, as [`read_labels`](compare::read_labels) reads them.
    pub labels: Option<String>,
    /// Where queries come from.
    pub queries_from: QuerySourceWish,
    /// How many texts of items or of calls become queries, when they come from there.
    pub sampled_queries: Option<usize>,
    /// Which calls, when queries come from there.
    pub calls: CallsWish,
    /// The length of the lists of the headline.
    pub k: Option<usize>,
    /// The seed of everything drawn.
    pub seed: Option<u64>,
    /// Of how many items the neighbours are looked at.
    pub sampled_items: Option<usize>,
    /// The smallest difference of nDCG that counts.
    pub margin: Option<f64>,
    /// How many queries and items are listed.
    pub listed: Option<usize>,
    /// Whether to stop once the answer is clear.
    pub is_stopping_early: bool,
    /// The most that queries may cost.
    pub max_cost: Option<PicoDollars>,
    /// What must hold.
    pub gates: Vec<String>,
}

/// Two opened snapshots.
struct Opened {
    manifests: [Manifest; 2],
    snapshots: [Arc<Snapshot>; 2],
}

impl Snapshots {
    /// Begins a comparison. What is wrong with the wish is said at once.
    ///
    /// # Errors
    ///
    /// `Invalid`; those of names, gates, queries, labels and the vault.
    pub async fn compare(
        self: &Arc<Self>,
        wish: CompareWish,
    ) -> Result<Following<ComparisonReport>, Error> {
        let settings = wish.settings()?;
        let mut queries = wish.queries()?;
        let labels = wish.labels()?;
        if wish.queries_from == QuerySourceWish::File {
            label(&mut queries, &labels, wish.queries_from)?;
        }
        let room = Arc::clone(self);
        let names = [wish.a.clone(), wish.b.clone()];
        let opened = blocking(move || {
            let [a, b] = names.each_ref().map(|name| room.manifest(name));
            let manifests = [a?, b?];
            let [a, b] = manifests
                .each_ref()
                .map(|one| room.vault.open_snapshot(&one.id));
            Ok(Opened {
                snapshots: [Arc::new(a?), Arc::new(b?)],
                manifests,
            })
        })
        .await?;
        let begin = Step {
            stage: "queries",
            done: 0,
            total: queries.len(),
        };
        let room = Arc::clone(self);
        Ok(self.follow(begin, |sender| async move {
            room.carry_out(&wish, settings, (queries, labels), opened, sender)
                .await
        }))
    }

    async fn carry_out(
        self: &Arc<Self>,
        wish: &CompareWish,
        settings: Settings,
        (mut queries, labels): (Vec<Query>, Vec<Label>),
        opened: Opened,
        sender: watch::Sender<Step>,
    ) -> Result<ComparisonReport, Error> {
        let (mut from, mut told) = (QuerySource::File, None);
        let count = wish.sampled_queries.unwrap_or(settings.sampled_items);
        match wish.queries_from {
            QuerySourceWish::File => {}
            QuerySourceWish::Items => {
                from = QuerySource::Items;
                let (snapshot, seed) = (Arc::clone(&opened.snapshots[0]), settings.seed);
                queries = blocking(move || draw_texts(&snapshot, count, seed)).await?;
            }
            QuerySourceWish::Calls => {
                from = QuerySource::Calls;
                let drawn = self.recorded_queries(wish, &opened, (count, settings.seed));
                let drawn = drawn.await?;
                (queries, told) = (drawn.queries, Some(drawn.told));
            }
        }
        if wish.queries_from != QuerySourceWish::File {
            label(&mut queries, &labels, wish.queries_from)?;
        }
        let asking = Asking {
            queries: &queries,
            purse: &Purse::new(wish.max_cost),
            max_cost: wish.max_cost,
            sender: &sender,
            done: AtomicUsize::new(0),
        };
        let mut sides = Vec::new();
        for manifest in &opened.manifests {
            sides.push(self.query_vectors(manifest, &asking).await?);
        }
        blocking(move || {
            let [Some(a), Some(b)] = [sides.first(), sides.get(1)] else {
                return Err(Error::Stopping);
            };
            let given = Queries {
                list: &queries,
                a,
                b,
                from,
                told: told.as_deref(),
            };
            let given = (!queries.is_empty()).then_some(&given);
            opened.compare(given, &settings, &sender)
        })
        .await
    }
}

impl Snapshots {
    /// Draws at most so many queries, by a seed, from recorded calls.
    async fn recorded_queries(
        &self,
        wish: &CompareWish,
        opened: &Opened,
        (most, seed): (usize, u64),
    ) -> Result<Recorded, Error> {
        let [a, b] = opened.snapshots.each_ref().map(Arc::clone);
        let (wish, now) = (wish.calls.clone(), self.clock.now());
        let store = Arc::clone(&self.proxy.recorder.store);
        let draw = move || {
            let drawing = Drawing {
                wish: &wish,
                sides: [&a, &b],
                most,
                seed,
                now,
            };
            drawing.draw(&store)
        };
        blocking(draw).await
    }
}

impl CompareWish {
    fn settings(&self) -> Result<Settings, Error> {
        let usual = Settings::default();
        let gates = self.gates.iter().map(|gate| gate.parse());
        let gates = gates.collect::<Result<Vec<_>, CompareError>>();
        for (what, count) in [
            ("sampled_items", self.sampled_items),
            ("sampled_queries", self.sampled_queries),
            ("listed", self.listed),
        ] {
            if count.is_some_and(|count| MOST < count) {
                return Err(Error::invalid(what, format!("is more than {MOST}"), None));
            }
        }
        Ok(Settings {
            k: self.k.unwrap_or(usual.k),
            seed: self.seed.unwrap_or(usual.seed),
            sampled_items: self.sampled_items.unwrap_or(usual.sampled_items),
            margin: self.margin.unwrap_or(usual.margin),
            listed: self.listed.unwrap_or(usual.listed),
            is_stopping_early: self.is_stopping_early,
            threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            gates: gates.map_err(embeddings::Error::from)?,
            ..usual
        })
    }

    /// The queries that came with it, with their labels.
    fn queries(&self) -> Result<Vec<Query>, Error> {
        let queries = self.queries.as_deref();
        if queries.is_some() && self.queries_from != QuerySourceWish::File {
            let hint = "say either a file, the items' own texts, or recorded calls";
            return Err(Error::invalid("queries", "are said twice", Some(hint)));
        }
        let read = queries.map(|text| compare::read_queries(text, self.is_csv));
        let queries = read
            .transpose()
            .map_err(embeddings::Error::from)?
            .unwrap_or_default();
        if self.queries_from != QuerySourceWish::Calls && self.calls != CallsWish::default() {
            let hint = "say `--queries-from calls`";
            return Err(Error::invalid(
                "calls",
                "are not where queries come from",
                Some(hint),
            ));
        }
        Ok(queries)
    }

    /// The labels that came with it; none when none came.
    fn labels(&self) -> Result<Vec<Label>, Error> {
        let read = self.labels.as_deref().map(compare::read_labels).transpose();
        let labels = read.map_err(embeddings::Error::from)?;
        if labels.is_some() && self.queries.is_none() && self.queries_from == QuerySourceWish::File
        {
            let hint = "say `--queries FILE`, or where the labelled queries were drawn: `--queries-from items`";
            return Err(Error::invalid("labels", "label no queries", Some(hint)));
        }
        Ok(labels.unwrap_or_default())
    }
}

/// Gives queries their labels, wherever they come from; some must belong to one.
fn label(queries: &mut [Query], labels: &[Label], from: QuerySourceWish) -> Result<(), Error> {
    if add_labels(queries, labels) < labels.len() || labels.is_empty() {
        return Ok(());
    }
    let hint = match from {
        QuerySourceWish::File => "labels name queries by their `id`",
        QuerySourceWish::Items | QuerySourceWish::Calls => {
            "draw the queries that were labelled: with the same source, `--seed` and `--sample-queries`"
        }
    };
    let problem = "belong to none of the queries";
    Err(Error::invalid("labels", problem, Some(hint)))
}

/// Draws texts of items, which become queries that their own items do not answer.
pub(in crate::embeddings) fn draw_texts(
    snapshot: &Snapshot,
    count: usize,
    seed: u64,
) -> Result<Vec<Query>, Error> {
    let mut random = Random::from_seed(seed);
    let mut rows: Vec<usize> = (0..snapshot.len()).collect();
    for place in 0..count.min(rows.len()) {
        let other = place + random.below(rows.len() - place);
        rows.swap(place, other);
    }
    let mut queries = Vec::new();
    for row in rows.into_iter().take(count) {
        let (Some(id), Some(text)) = (snapshot.id(row), snapshot.text(row)?) else {
            let problem = format!(
                "`{}` keeps no texts to ask with",
                snapshot.manifest().name()
            );
            return Err(Error::invalid("queries", problem, None));
        };
        queries.push(Query {
            id: id.to_owned(),
            text: Some(text),
            relevant: Vec::new(),
            item: Some(id.to_owned()),
        });
    }
    Ok(queries)
}

/// What a comparison needs of a side in memory.
struct Held<'a> {
    facts: SnapshotFacts,
    ids: Vec<&'a str>,
    hashes: Vec<TextHash>,
    spans: Vec<Option<Span>>,
    noise: Option<Noise>,
}

impl Opened {
    fn compare(
        &self,
        queries: Option<&Queries<'_>>,
        settings: &Settings,
        sender: &watch::Sender<Step>,
    ) -> Result<ComparisonReport, Error> {
        let held = [self.held(0)?, self.held(1)?];
        let [snapshot_a, snapshot_b] = self.snapshots.each_ref();
        let text_a = |row: usize| Ok(snapshot_a.text(row)?);
        let text_b = |row: usize| Ok(snapshot_b.text(row)?);
        let [held_a, held_b] = &held;
        let [manifest_a, manifest_b] = &self.manifests;
        let a = subject(held_a, manifest_a, snapshot_a, &text_a);
        let b = subject(held_b, manifest_b, snapshot_b, &text_b);
        let mut progress = |step: Step| tell(sender, step);
        Ok(compare([&a, &b], queries, settings, &mut progress)?)
    }

    fn held(&self, side: usize) -> Result<Held<'_>, Error> {
        let [a, b] = &self.manifests;
        let [of_a, of_b] = &self.snapshots;
        let (manifest, snapshot) = if side == 0 { (a, of_a) } else { (b, of_b) };
        let rows = 0..snapshot.len();
        let spans: Vec<Option<Span>> = rows.clone().map(|row| snapshot.span(row)).collect();
        let has_spans = spans.iter().any(Option::is_some);
        Ok(Held {
            facts: facts(manifest, snapshot),
            ids: rows
                .map(|row| snapshot.id(row).unwrap_or_default())
                .collect(),
            // Hashes are of what was sent: with other prefixes they say nothing of the texts themselves.
            hashes: if a.space.document.prefix == b.space.document.prefix {
                sent_hashes(snapshot)
            } else {
                own_hashes(snapshot)?
            },
            spans: if has_spans { spans } else { Vec::new() },
            noise: manifest.noise.as_ref().map(|noise| Noise {
                side,
                texts: usize::try_from(noise.texts).unwrap_or(usize::MAX),
                overlap: Estimate {
                    value: noise.overlap,
                    interval: {
                        let [low, high] = noise.interval.unwrap_or([noise.overlap; 2]);
                        Interval { low, high }
                    },
                },
                top1: noise.top_1,
                max_deviation: noise.max_deviation,
            }),
        })
    }
}

fn subject<'a>(
    held: &'a Held<'a>,
    manifest: &'a Manifest,
    snapshot: &'a Snapshot,
    text: &'a compare::ReadText<'a>,
) -> Subject<'a> {
    let truncated = manifest.counts.truncated;
    Subject {
        facts: &held.facts,
        pipeline: &manifest.pipeline,
        ids: &held.ids,
        hashes: &held.hashes,
        spans: &held.spans,
        rows: snapshot,
        text,
        truncated: truncated.and_then(|count| usize::try_from(count).ok()),
        noise: held.noise.as_ref(),
        noise_counts: manifest
            .noise
            .as_ref()
            .and_then(|noise| noise.counts.as_deref()),
    }
}

fn facts(manifest: &Manifest, snapshot: &Snapshot) -> SnapshotFacts {
    SnapshotFacts {
        name: manifest.name(),
        id: manifest.id.clone(),
        space_id: manifest.space_id.clone(),
        space: manifest.space.clone(),
        pipeline_id: manifest.pipeline_id.clone(),
        items: snapshot.len(),
        dimensions: snapshot.dimensions(),
        precision: manifest.precision.to_string(),
    }
}

pub(super) fn sent_hashes(snapshot: &Snapshot) -> Vec<TextHash> {
    let hashes = (0..snapshot.len()).map(|row| snapshot.text_hash(row));
    hashes.collect::<Option<_>>().unwrap_or_default()
}

/// Empty when an item came without a text: nothing is known of its own text then.
pub(super) fn own_hashes(snapshot: &Snapshot) -> Result<Vec<TextHash>, Error> {
    let mut hashes = Vec::with_capacity(snapshot.len());
    for row in 0..snapshot.len() {
        let Some(hash) = snapshot.canonical_hash(row)? else {
            return Ok(Vec::new());
        };
        hashes.push(hash);
    }
    Ok(hashes)
}
