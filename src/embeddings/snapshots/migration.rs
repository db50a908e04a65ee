//! What moving a snapshot to another model will take, before anything is paid.

use crate::embeddings::pipeline::Pipeline;
use crate::embeddings::rows::Rows as _;
use crate::embeddings::snapshots::draft::DraftHead;
use crate::embeddings::snapshots::limits::LimitsWish;
use crate::embeddings::snapshots::plan::{Plan, count, keyed};
use crate::embeddings::snapshots::texts::Texts;
use crate::embeddings::snapshots::wish::{self, SnapshotWish, SpaceWish};
use crate::embeddings::snapshots::{Error, Snapshots, check_native};
use crate::embeddings::space::{Space, SpaceId};
use crate::embeddings::vault::{Manifest, NewItem, Precision, TextStorage};
use serde::{Deserialize, Serialize};

/// Bytes beside each vector in its segment: its key.
const KEY_BYTES: u64 = 32;
/// Bytes of a row's links in a search index with the usual settings: 32 neighbours in the lowest layer and
/// about one more above, 4 bytes each, and its length.
const LINK_BYTES: u64 = 33 * 4 + 4;

/// What is to be planned.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MigrationWish {
    /// The snapshot: `docs@1`.
    pub snapshot: String,
    /// The space it is to be moved to.
    pub space: SpaceWish,
    /// How exactly vectors will be kept.
    pub precision: Precision,
    /// How much is asked at once.
    pub limits: LimitsWish,
    /// How many tokens the provider takes in a minute.
    pub tokens_per_minute: Option<u64>,
    /// How many requests it takes in a minute.
    pub requests_per_minute: Option<u64>,
}

/// How many bytes vectors take at a precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// The precision.
    pub precision: Precision,
    /// The bytes, keys included.
    pub bytes: u64,
}

/// What it will take. What is not known is `null`, never 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MigrationPlan {
    /// The snapshot.
    pub snapshot: String,
    /// The space it is in.
    pub from: Space,
    /// The space it is to be moved to.
    pub to: Space,
    /// That one's id.
    pub to_space: SpaceId,
    /// Texts, tokens, money and requests.
    #[serde(flatten)]
    pub plan: Plan,
    /// How many minutes the provider's limits make it last, at least; `None` where none is known.
    pub minutes: Option<f64>,
    /// How long the new vectors are, where that is known.
    pub dimensions: Option<u32>,
    /// What they take on disk, at each precision; empty where their length is not known.
    pub sizes: Vec<Size>,
    /// What a search index over all items takes in memory and on disk.
    pub index_bytes: Option<u64>,
}

impl Snapshots {
    /// Reckons what it takes to embed the texts of a snapshot with another model. Blocks.
    ///
    /// # Errors
    ///
    /// `TextsNotKept` when the snapshot has only hashes; those of names, of what is said of the space, of
    /// the model's provider, and of the vault.
    pub fn plan_migration(&self, wanted: &MigrationWish) -> Result<MigrationPlan, Error> {
        for (what, limit) in [
            ("tokens_per_minute", wanted.tokens_per_minute),
            ("requests_per_minute", wanted.requests_per_minute),
        ] {
            if limit == Some(0) {
                let hint = "say how many the provider takes, or nothing";
                return Err(Error::invalid(what, "is 0", Some(hint)));
            }
        }
        let manifest = self.manifest(&wanted.snapshot)?;
        check_native(&manifest)?;
        let head = self.head_of(&manifest, wanted)?;
        let (items, texts) = self.texts_of(&manifest, &head.space)?;
        let (plan, ..) = self.reckon(&head, (&items, &texts), wanted.limits)?;
        let minutes = minutes(&plan, wanted);
        let dimensions = self.length_of(&head.space)?;
        let sizes = dimensions.map_or_else(Vec::new, |length| sizes(length, plan.unique));
        let index_bytes = dimensions.map(|length| {
            let row = u64::from(length)
                .saturating_mul(4)
                .saturating_add(LINK_BYTES);
            row.saturating_mul(plan.texts)
        });
        Ok(MigrationPlan {
            snapshot: manifest.name(),
            from: manifest.space,
            to_space: head.space.id(),
            to: head.space,
            plan,
            minutes,
            dimensions,
            sizes,
            index_bytes,
        })
    }

    /// A draft as it would be, of the snapshot's items in the other space.
    fn head_of(&self, manifest: &Manifest, wanted: &MigrationWish) -> Result<DraftHead, Error> {
        let declared = self.declared().get();
        let asked = SnapshotWish {
            collection: manifest.collection.clone(),
            space: wanted.space.clone(),
            ..SnapshotWish::default()
        };
        let mut space = wish::space(&asked, &declared, Some(manifest))?;
        space.model = self.way(&space.model, self.clock.now())?.model;
        Ok(DraftHead {
            format: 0,
            id: String::new(),
            collection: manifest.collection.clone(),
            space,
            pipeline: Pipeline::default(),
            precision: wanted.precision,
            text_storage: manifest.text_storage,
            onto: None,
            source: None,
            sources: 0,
            items: manifest.items,
            is_complete: true,
            begun: self.clock.now(),
            content: String::new(),
        })
    }

    fn texts_of(&self, manifest: &Manifest, space: &Space) -> Result<(Vec<NewItem>, Texts), Error> {
        let not_kept = || Error::TextsNotKept {
            name: manifest.name(),
        };
        if manifest.text_storage == TextStorage::HashOnly {
            return Err(not_kept());
        }
        let snapshot = self.vault().open_snapshot(&manifest.id)?;
        let id = space.id();
        let mut items = Vec::with_capacity(snapshot.len());
        for row in 0..snapshot.len() {
            let item = snapshot.item(row)?.filter(|item| item.text.is_some());
            items.push(keyed(space, &id, item.ok_or_else(not_kept)?));
        }
        let rows = snapshot.len();
        Ok((items, Texts::of_snapshot(snapshot, rows)))
    }

    /// How long the vectors of a space are: as it says, as some snapshot of it has them, or as the model's
    /// owner documents.
    fn length_of(&self, space: &Space) -> Result<Option<u32>, Error> {
        if let Some(length) = space.truncated_to.or(space.dimensions) {
            return Ok(Some(length));
        }
        let all = self.vault().list(None)?;
        let is_like = |other: &Space| {
            other.model == space.model
                && other.dimensions.or(other.truncated_to).is_none()
                && other.adapter.is_none()
        };
        let seen = all.iter().find(|manifest| is_like(&manifest.space));
        Ok(seen
            .map(|manifest| manifest.dimensions)
            .or_else(|| documented_length(&space.model)))
    }
}

/// The length of a well-known model's vectors.
fn documented_length(model: &str) -> Option<u32> {
    match model.rsplit('/').next().unwrap_or(model) {
        "text-embedding-3-small" | "text-embedding-ada-002" => Some(1_536),
        "text-embedding-3-large" | "gemini-embedding-001" => Some(3_072),
        "text-embedding-004" | "text-embedding-005" | "nomic-embed-text" => Some(768),
        "mistral-embed" | "bge-m3" | "embed-english-v3.0" | "embed-multilingual-v3.0" => {
            Some(1_024)
        }
        _ => None,
    }
}

fn sizes(length: u32, vectors: u64) -> Vec<Size> {
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    let sizes = Precision::ALL.into_iter().map(|precision| {
        let row = count(precision.row_bytes(length)).saturating_add(KEY_BYTES);
        Size {
            precision,
            bytes: row.saturating_mul(vectors),
        }
    });
    sizes.collect()
}

/// How long the tighter of both limits makes it last.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rounded number of tokens changes no minute"
)]
fn minutes(plan: &Plan, wanted: &MigrationWish) -> Option<f64> {
    let part = |work: u64, limit: Option<u64>| limit.map(|limit| work as f64 / limit as f64);
    let tokens = part(plan.tokens, wanted.tokens_per_minute);
    let requests = part(plan.requests, wanted.requests_per_minute);
    match (tokens, requests) {
        (Some(tokens), Some(requests)) => Some(tokens.max(requests)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::{documented_length, sizes};
    use crate::embeddings::vault::Precision;

    #[test]
    fn bytes_are_those_of_rows_and_keys() {
        let found = sizes(1_536, 1_000_000);
        let bytes: Vec<u64> = found.iter().map(|size| size.bytes).collect();
        assert_eq!(
            bytes,
            [6_176_000_000, 3_104_000_000, 1_572_000_000, 224_000_000]
        );
        assert_eq!(found[1].precision, Precision::F16);
        assert_eq!(
            documented_length("openai/text-embedding-3-large"),
            Some(3_072)
        );
        assert_eq!(documented_length("openai/unheard-of"), None);
    }
}
