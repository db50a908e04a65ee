//! Embedding versions: everything that decides what a vector means, under one hash.

use crate::domain::{BundleHash, sha256_hex};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;

/// Which side of a search a text is on. Some models embed the two differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// What is searched for.
    Query,
    /// What is found.
    Document,
}

impl Side {
    /// Returns the name: `query`, `document`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Document => "document",
        }
    }
}

/// What one side of a space adds to a text.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SideRule {
    /// Written before every text.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The provider's `input_type` (or task), where it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
}

/// An embedding version. Two spaces that differ in any field are two spaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Space {
    /// The model as the gateway routes it, with its provider: `openai/text-embedding-3-small`.
    pub model: String,
    /// The revision of the model, where the provider or its owner names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// The `dimensions` parameter of the request; `None` for the model's own length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
    /// To how many leading dimensions a vector is cut here, after it came (Matryoshka models).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub truncated_to: Option<u32>,
    /// Whether vectors are brought to length 1 here.
    #[serde(default)]
    pub normalised: bool,
    /// What is done to queries.
    #[serde(default)]
    pub query: SideRule,
    /// What is done to documents.
    #[serde(default)]
    pub document: SideRule,
    /// Beyond how many tokens a text is cut, by the model; known limits only. Longer texts are counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// SHA-256 (hex) of the adapter that made the vectors from those of another space.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<String>,
}

/// The name of a space: `space-` and 64 hex digits, SHA-256 of its canonical JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpaceId(pub String);

impl SpaceId {
    /// Returns the name as people write it: the first 12 digits.
    #[must_use]
    pub fn short(&self) -> &str {
        self.0.get(..18).unwrap_or(&self.0)
    }
}

impl fmt::Display for SpaceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A setting in which two spaces (or pipelines) differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SettingChange {
    /// Its path: `query.prefix`.
    pub setting: String,
    /// Its value in the first, as JSON; `null` when it is not set.
    pub before: serde_json::Value,
    /// Its value in the second.
    pub after: serde_json::Value,
}

impl Space {
    /// Returns the space's name.
    #[must_use]
    pub fn id(&self) -> SpaceId {
        // The fields are written in their order, absent ones not at all: this is the canonical form.
        let json = serde_json::to_vec(self).unwrap_or_default();
        SpaceId(["space-", &sha256_hex(&json)].concat())
    }

    /// Returns the exact text that is sent for `text`.
    #[must_use]
    pub fn sent_text(&self, side: Side, text: &str) -> String {
        [self.side(side).prefix.as_str(), text].concat()
    }

    /// Returns what is done to texts of a side.
    #[must_use]
    pub const fn side(&self, side: Side) -> &SideRule {
        match side {
            Side::Query => &self.query,
            Side::Document => &self.document,
        }
    }

    /// Returns whether a text has the same vector on both sides.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        self.query == self.document
    }

    /// Returns in which settings two spaces differ; empty when they are one.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<SettingChange> {
        differences(self, other)
    }
}

/// Returns in which settings two values differ, by the paths of their JSON.
pub(crate) fn differences<T: Serialize>(before: &T, after: &T) -> Vec<SettingChange> {
    let flat = |value: &T| {
        let mut settings = Vec::new();
        let value = serde_json::to_value(value).unwrap_or_default();
        flatten("", &value, &mut settings);
        settings
    };
    let (before, after) = (flat(before), flat(after));
    let find = |list: &[(String, serde_json::Value)], name: &str| {
        let found = list.iter().find(|(path, _)| path == name);
        found.map_or(serde_json::Value::Null, |(_, value)| value.clone())
    };
    let mut names: Vec<&String> = before.iter().map(|(name, _)| name).collect();
    let added = after.iter().map(|(name, _)| name);
    names.extend(added.filter(|name| !before.iter().any(|(known, _)| known == *name)));
    let changes = names.into_iter().map(|name| SettingChange {
        setting: name.clone(),
        before: find(&before, name),
        after: find(&after, name),
    });
    changes
        .filter(|change| change.before != change.after)
        .collect()
}

fn flatten(path: &str, value: &serde_json::Value, into: &mut Vec<(String, serde_json::Value)>) {
    let serde_json::Value::Object(fields) = value else {
        into.push((path.to_owned(), value.clone()));
        return;
    };
    for (name, value) in fields {
        let path = if path.is_empty() {
            name.clone()
        } else {
            [path, ".", name].concat()
        };
        flatten(&path, value, into);
    }
}

/// SHA-256 of the exact bytes that are sent for a text, prefix included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TextHash(pub [u8; 32]);

/// Under what a vector is kept: SHA-256 of space and task, and text hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct VectorKey(pub [u8; 32]);

impl TextHash {
    /// Returns the hash of a text as it is sent.
    #[must_use]
    pub fn of(sent: &str) -> Self {
        Self(Sha256::digest(sent.as_bytes()).into())
    }

    /// Returns 64 lowercase hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        BundleHash(self.0).to_hex()
    }
}

impl VectorKey {
    /// Returns the key of a text on a side of a space. Sides with the same task share their vectors: the
    /// prefix is in the text's hash already.
    #[must_use]
    pub fn new(space: &Space, id: &SpaceId, side: Side, text: TextHash) -> Self {
        let mut hash = Sha256::new();
        hash.update(id.0.as_bytes());
        hash.update([0]);
        hash.update(space.side(side).task.as_deref().unwrap_or_default());
        hash.update([0]);
        hash.update(text.0);
        Self(hash.finalize().into())
    }

    /// Returns 64 lowercase hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        BundleHash(self.0).to_hex()
    }
}
