//! What a vector was made under, as far as every room must know of it.

use serde::{Deserialize, Serialize};

/// Under which embedding version a call was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddingStamp {
    /// The snapshot whose version it is: `docs@2`; `docs@draft-…` while one is made.
    pub name: String,
    /// The label that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The space: `space-` and 64 hex digits.
    pub space: String,
    /// `query` or `document`.
    pub side: String,
}
