//! A row of a file: a text by its name, what is known of it, and its vector.

use crate::embeddings::item::{Item, Span};
use crate::embeddings::space::TextHash;

/// A text and its vector, as files carry them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Record {
    /// Its name. Whether names are unique is for the snapshot to see: a file is read once, forwards.
    pub id: String,
    /// The text.
    pub text: Option<String>,
    /// SHA-256 of the text as it was sent, where the file says it.
    pub text_hash: Option<TextHash>,
    /// Where the text stands in its source.
    pub span: Option<Span>,
    /// What else is known of it.
    pub metadata: Option<serde_json::Value>,
    /// The vector; finite.
    pub vector: Option<Vec<f32>>,
}

impl Record {
    /// Returns the item, without hash and vector.
    #[must_use]
    pub fn into_item(self) -> Item {
        Item {
            id: self.id,
            text: self.text,
            span: self.span,
            metadata: self.metadata,
        }
    }
}
