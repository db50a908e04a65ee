//! What a corpus is made of: texts with names, and where in their sources they stand.

use serde::{Deserialize, Serialize};

/// Where a chunk stands in its source, in bytes of the source's text.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    /// The source's id.
    pub source: String,
    /// Its first byte.
    pub start: u64,
    /// The byte after its last.
    pub end: u64,
}

/// A text of a corpus, or a chunk of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// Its name, unique in the snapshot.
    pub id: String,
    /// The text; `None` where only its hash may be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Where it stands, when it is a chunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What else is known of it; kept, never read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<serde_json::Value>,
}
