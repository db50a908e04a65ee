//! What a snapshot is, on one page: everything needed to say what its vectors mean.
//!
//! The identity is the hash of what a snapshot holds: space, pipeline, precision, how texts are kept, and the
//! items with their texts' hashes. Neither its name nor the time nor the order of items is in it, so the same
//! corpus under the same settings has the same identity on every machine.

use crate::domain::{PicoDollars, Timestamp};
use crate::embeddings::item::Item;
use crate::embeddings::name::SnapshotId;
use crate::embeddings::space::{Space, SpaceId, TextHash, VectorKey};
use crate::embeddings::vault::Precision;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of manifests.
pub const MANIFEST_FORMAT: u32 = 1;

/// Whether a snapshot keeps its texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextStorage {
    /// It does.
    #[default]
    Text,
    /// Only their hashes: views that show texts, and migrations that embed them again, do without.
    HashOnly,
}

/// Where the items of a snapshot came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// In which way.
    pub kind: SourceKind,
    /// From what: a file's name, a table, another snapshot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// In which way items came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceKind {
    /// Texts from files, embedded here.
    File,
    /// With vectors made elsewhere.
    Import,
    /// Texts of live traffic.
    Live,
    /// Vectors made from those of another snapshot by an adapter.
    Adapter,
    /// Texts of another snapshot, embedded again.
    Snapshot,
}

/// What was counted when a snapshot was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// Vectors that are zero.
    pub zero: u64,
    /// Items whose text another item before them has too.
    pub duplicate: u64,
    /// Items whose text was longer than the model reads, where that is known.
    pub truncated: Option<u64>,
    /// Vectors that are not of length 1 (beyond 1e-3); zero ones are not counted here.
    pub not_unit: u64,
}

/// What a snapshot took to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Spent {
    /// Requests to the provider.
    pub requests: u64,
    /// Tokens, where the provider says.
    pub tokens: Option<u64>,
    /// What they cost, where prices are known.
    pub cost: Option<PicoDollars>,
    /// Requests besides that were cut off, so that nobody knows whether they were paid.
    #[serde(default, skip_serializing_if = "is_none_of_them")]
    pub cut_off: u64,
}

impl Spent {
    /// Nobody was asked.
    pub const NOTHING: Self = Self {
        requests: 0,
        tokens: Some(0),
        cost: Some(PicoDollars(0)),
        cut_off: 0,
    };

    /// Returns what both took together; what is unknown of one is unknown of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        let tokens = self.tokens.zip(other.tokens);
        let cost = self.cost.zip(other.cost);
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: tokens.map(|(one, two)| one.saturating_add(two)),
            cost: cost.map(|(one, two)| PicoDollars(one.0.saturating_add(two.0))),
            cut_off: self.cut_off.saturating_add(other.cut_off),
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the serialiser passes references"
)]
const fn is_none_of_them(number: &u64) -> bool {
    *number == 0
}

/// What embedding the same texts twice showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// How many texts were embedded again.
    pub texts: u64,
    /// The mean share of the ten nearest that stays the same.
    pub overlap: f64,
    /// The 95 % interval of that share; `None` where it was measured before intervals were kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// How many texts keep which share of their ten nearest, in 20 bins of the same width; `None` likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Vec<usize>>,
    /// The share of texts whose nearest stays the same.
    pub top_1: f64,
    /// The largest difference in a dimension.
    pub max_deviation: f64,
    /// When it was measured.
    pub measured: Timestamp,
}

/// What is known of a search index over a snapshot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IndexFacts {
    /// Of which kind it is: `hnsw`.
    pub kind: String,
    /// How it was built.
    pub parameters: Value,
    /// The share of the ten nearest it finds, measured against exact search when it was built.
    pub recall: f64,
    /// With how many queries.
    pub queries: u64,
}

/// That an item was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// SHA-256 (hex) of its id: enough to tell that it was here, not to find out what was.
    pub item: String,
    /// When.
    pub at: Timestamp,
}

/// What a snapshot is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORMAT`].
    pub format: u32,
    /// The collection: `docs`.
    pub collection: String,
    /// Its number in the collection, from 1.
    pub number: u32,
    /// Its identity.
    pub id: SnapshotId,
    /// The embedding version.
    pub space: Space,
    /// Its name.
    pub space_id: SpaceId,
    /// The pipeline's identity.
    pub pipeline_id: String,
    /// The pipeline in clear.
    pub pipeline: Value,
    /// The snapshot it follows.
    pub parent: Option<SnapshotId>,
    /// How many items there are, deleted ones not counted.
    pub items: u64,
    /// SHA-256 (hex) of the items as they are in the identity.
    pub items_hash: String,
    /// How long a vector is.
    pub dimensions: u32,
    /// How exactly vectors are kept.
    pub precision: Precision,
    /// Whether texts are kept.
    pub text_storage: TextStorage,
    /// When it was made.
    pub created: Timestamp,
    /// Which version of this program made it.
    pub made_by: String,
    /// Where its items came from.
    pub source: Source,
    /// What was counted.
    pub counts: Counts,
    /// What it took.
    pub spent: Spent,
    /// How the provider named the model in its answers.
    pub model_returned: Option<String>,
    /// What the provider's own noise is, once measured.
    pub noise: Option<NoiseFloor>,
    /// The index over it, once built.
    pub index: Option<IndexFacts>,
    /// How many snapshots with the same content were there before, each with an item deleted since.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub renewed: u32,
    /// SHA-256 (hex) of the items that are left, where some were deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items_left_hash: Option<String>,
    /// The items that were deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Redaction>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the serialiser passes references"
)]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Manifest {
    /// Returns the name with the number: `docs@2`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}@{}", self.collection, self.number)
    }

    /// Returns the hash (hex) of the items that are there now.
    #[must_use]
    pub fn hash_of_items(&self) -> &str {
        self.items_left_hash.as_ref().unwrap_or(&self.items_hash)
    }

    /// Marks an item, by the hash of its id, as deleted, unless it is marked already.
    pub(super) fn mark(&mut self, item: String, at: Timestamp) {
        if !self.redacted.iter().any(|one| one.item == item) {
            self.redacted.push(Redaction { item, at });
        }
    }
}

/// An item of a snapshot that is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewItem {
    /// The item. Its text is what its author wrote, without what the space adds; it may stay elsewhere until
    /// the snapshot is sealed.
    pub item: Item,
    /// The hash of the text as it was sent.
    pub text_hash: TextHash,
    /// Under what its vector is kept.
    pub key: VectorKey,
}

/// A snapshot that is to be. All its vectors are in the vault already.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSnapshot {
    /// Of which collection.
    pub collection: String,
    /// The embedding version.
    pub space: Space,
    /// The pipeline's identity.
    pub pipeline_id: String,
    /// The pipeline in clear.
    pub pipeline: Value,
    /// How exactly vectors are kept.
    pub precision: Precision,
    /// Whether texts are kept.
    pub text_storage: TextStorage,
    /// The items, in the order of the snapshot's rows.
    pub items: Vec<NewItem>,
    /// The snapshot it follows.
    pub parent: Option<SnapshotId>,
    /// Where the items came from.
    pub source: Source,
    /// How many texts were longer than the model reads, where that is known.
    pub truncated: Option<u64>,
    /// What it took.
    pub spent: Spent,
    /// How the provider named the model in its answers.
    pub model_returned: Option<String>,
    /// What time it is.
    pub created: Timestamp,
}

/// What became of a snapshot that was to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Sealed {
    /// The snapshot.
    pub manifest: Manifest,
    /// Whether it is new; otherwise the collection had one with the same content, and this is it.
    pub is_new: bool,
}
