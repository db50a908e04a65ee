//! Queries as people asked them, drawn from the records of calls.
//!
//! Each text counts once, and nobody's too many. What stands in the snapshot itself is no query: it came to be
//! embedded when the index was filled.

use crate::domain::{CallId, CallRecord, CallState, Operation, PromptKey, Timestamp};
use crate::embeddings::compare::Query;
use crate::embeddings::distinct::{Distinct, LiveText};
use crate::embeddings::name::SnapshotName;
use crate::embeddings::recorded::{Input, drawn_place, is_traffic, queries_of, record, text_of};
use crate::embeddings::snapshots::Error;
use crate::embeddings::space::{Side, Space, TextHash};
use crate::embeddings::time::in_words;
use crate::embeddings::vault::Snapshot;
use crate::store::{CallFilter, CallRow, Store};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// How many rows are listed at a time.
const PAGE: usize = 1_000;
/// The most calls that are looked through, the newest.
const MOST_CALLS: usize = 200_000;
/// The most records that are read, for each query that is wanted.
const MOST_READ: usize = 20;
/// How far back is looked when nothing is said.
const USUAL_DAYS: u32 = 30;
const DAY_US: i64 = 86_400_000_000;

/// Which recorded calls queries come from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallsWish {
    /// Calls of this prompt; without it, requests of `/v1/embeddings` that ask queries of the collection.
    pub prompt: Option<String>,
    /// Which part of a prompt's request is the query.
    pub input: Input,
    /// How many days back (30 when nothing is said).
    pub days: Option<u32>,
}

/// Queries that were drawn.
#[derive(Debug)]
pub(super) struct Recorded {
    pub(super) queries: Vec<Query>,
    /// How many there are, of how many calls, and from when: a sentence for the report.
    pub(super) told: String,
}

/// What is drawn, and for whom.
pub(super) struct Drawing<'a> {
    pub(super) wish: &'a CallsWish,
    /// The snapshot that the queries are asked of, and what may take its place.
    pub(super) sides: [&'a Snapshot; 2],
    /// The most queries.
    pub(super) most: usize,
    pub(super) seed: u64,
    pub(super) now: Timestamp,
}

impl Drawing<'_> {
    /// Draws. Blocks.
    ///
    /// # Errors
    ///
    /// `Invalid` when the prompt's name is none, or nothing recorded is a query; `Kept` when the store
    /// cannot be read.
    pub(super) fn draw(&self, store: &Store) -> Result<Recorded, Error> {
        let calls = self.calls(store)?;
        let mut window = Distinct::new(self.most);
        let hashes = self.own_texts();
        let (mut read, mut unreadable) = (0, 0);
        for (_, row) in &calls {
            if window.is_full() || self.most.saturating_mul(MOST_READ) <= read {
                break;
            }
            read += 1;
            let texts = match record(store, row)? {
                Some(record) => self.texts(&record),
                None => Some(Vec::new()),
            };
            let Some(texts) = texts else {
                unreadable += 1;
                continue;
            };
            for (number, text) in texts.into_iter().enumerate() {
                if hashes.contains(&self.sent(&text)) {
                    continue;
                }
                window.offer(LiveText {
                    id: if number == 0 {
                        row.id.to_string()
                    } else {
                        format!("{}#{number}", row.id)
                    },
                    text,
                    user: row.user.clone().or_else(|| row.session.clone()),
                    at_ms: row.started.unix_millis(),
                });
            }
        }
        let texts = window.into_texts();
        let (Some(first), Some(last)) = (texts.first(), texts.last()) else {
            return Err(self.nothing(calls.len(), read, unreadable));
        };
        let told = format!(
            "queries: {} texts drawn from {} recorded calls of {}, asked from {} to {}",
            texts.len(),
            calls.len(),
            self.of(),
            in_words(first.at_ms),
            in_words(last.at_ms)
        );
        let queries = texts.into_iter().map(|text| Query {
            id: text.id,
            text: Some(text.text),
            relevant: Vec::new(),
            item: None,
        });
        Ok(Recorded {
            queries: queries.collect(),
            told,
        })
    }

    fn of(&self) -> String {
        match &self.wish.prompt {
            Some(prompt) => format!("prompt `{prompt}`"),
            None => "`/v1/embeddings`".to_owned(),
        }
    }

    fn days(&self) -> u32 {
        self.wish.days.unwrap_or(USUAL_DAYS)
    }

    /// The calls that may hold a query, in the order in which they are drawn.
    fn calls(&self, store: &Store) -> Result<Vec<(String, CallRow)>, Error> {
        let prompt = self.wish.prompt.as_deref().map(PromptKey::parse);
        let prompt = prompt
            .transpose()
            .map_err(|error| Error::invalid("prompt", error.to_string(), None))?;
        let operation = match prompt {
            Some(_) => Operation::Chat,
            None => Operation::Embeddings,
        };
        let back = i64::from(self.days()).saturating_mul(DAY_US);
        let filter = CallFilter {
            prompt,
            operation: Some(operation),
            state: Some(CallState::Ok),
            from: Some(Timestamp(self.now.0.saturating_sub(back))),
            ..CallFilter::default()
        };
        let mut found = Vec::new();
        let (mut before, mut seen): (Option<CallId>, usize) = (None, 0);
        while seen < MOST_CALLS {
            let rows = store.calls(&filter, before, PAGE);
            let rows = rows.map_err(|error| Error::Kept {
                problem: format!("records cannot be read: {error}"),
            })?;
            let Some(last) = rows.last() else { break };
            before = Some(last.id);
            seen += rows.len();
            let traffic = rows.into_iter().filter(|row| is_traffic(row, operation));
            found.extend(traffic.map(|row| (drawn_place(self.seed, &row.id.to_string()), row)));
        }
        found.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(found)
    }

    /// The queries of a call; `None` where its request cannot be read any more.
    fn texts(&self, record: &CallRecord) -> Option<Vec<String>> {
        if self.wish.prompt.is_some() {
            let text = text_of(record, &self.wish.input);
            return Some(text.into_iter().collect());
        }
        if self.is_asked_of(record) {
            queries_of(record)
        } else {
            Some(Vec::new())
        }
    }

    /// Whether the request was one of the collection, by its name or by its model.
    fn is_asked_of(&self, record: &CallRecord) -> bool {
        let intent = &record.intent;
        let model = format!("{}/{}", intent.provider, intent.model);
        let mut manifests = self.sides.iter().map(|side| side.manifest());
        match &intent.embedding {
            Some(stamp) => manifests.any(|manifest| {
                let name: Result<SnapshotName, _> = stamp.name.parse();
                name.is_ok_and(|name| name.collection == manifest.collection)
            }),
            None => manifests
                .any(|manifest| [&model, &intent.model_asked].contains(&&manifest.space.model)),
        }
    }

    /// The hashes of the texts that stand in the snapshot, as they were sent.
    fn own_texts(&self) -> HashSet<TextHash> {
        let [a, _] = self.sides;
        let rows = 0..crate::embeddings::Rows::len(a);
        rows.filter_map(|row| a.text_hash(row)).collect()
    }

    fn sent(&self, text: &str) -> TextHash {
        let space: &Space = &self.sides[0].manifest().space;
        TextHash::of(&space.sent_text(Side::Document, text))
    }

    /// Says why there is nothing to ask.
    fn nothing(&self, calls: usize, read: usize, unreadable: usize) -> Error {
        let (of, days) = (self.of(), self.days());
        let problem = if calls == 0 {
            format!("finds no recorded call of {of} in the last {days} days")
        } else if unreadable == read {
            format!("finds {calls} recorded calls of {of}, and what they asked is not kept")
        } else {
            format!("finds {calls} recorded calls of {of}, none of which asks a query of these")
        };
        let hint = "give queries with `--queries FILE`, look further back with `--days`, or name a prompt \
                    whose requests are queries: `--prompt NAME --variable NAME`";
        Error::invalid("queries_from", problem, Some(hint))
    }
}
