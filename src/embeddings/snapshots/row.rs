//! A text with its vector, as it travels between a file and the vault: JSON, the vector as base64.

use crate::embeddings::exchange::{Record, parse_hash};
use crate::embeddings::item::Span;
use crate::embeddings::space::TextHash;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An item with its vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VectorRow {
    /// Its name, unique in the snapshot.
    pub id: String,
    /// Its text, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// SHA-256 (hex) of the text as it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_hash: Option<String>,
    /// Where it stands in its source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<Span>,
    /// What else is known of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Value>,
    /// The vector.
    #[serde(with = "as_base64")]
    pub vector: Vec<f32>,
}

impl VectorRow {
    /// Returns the row of a record; `None` when it has no vector.
    #[must_use]
    pub fn of(record: Record) -> Option<Self> {
        Some(Self {
            id: record.id,
            text: record.text,
            text_hash: record.text_hash.map(TextHash::to_hex),
            span: record.span,
            metadata: record.metadata,
            vector: record.vector?,
        })
    }

    /// Returns it as files carry it.
    #[must_use]
    pub fn into_record(self) -> Record {
        Record {
            id: self.id,
            text: self.text,
            text_hash: self.text_hash.as_deref().and_then(parse_hash),
            span: self.span,
            metadata: self.metadata,
            vector: Some(self.vector),
        }
    }

    /// Returns about how many bytes it takes on its way.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let text = self.text.as_ref().map_or(0, String::len);
        self.id.len() + text + self.vector.len() * 6 + 128
    }
}

/// A vector as base64 of little-endian `f32`: a third of what its numbers take.
mod as_base64 {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(vector: &[f32], to: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = vector
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        to.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<f32>, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = STANDARD
            .decode(text)
            .map_err(|_| D::Error::custom("`vector` is no base64"))?;
        let (words, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            let length = bytes.len();
            let problem = format!("`vector` is base64 of {length} bytes, no whole number of `f32`");
            return Err(D::Error::custom(problem));
        }
        Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::VectorRow;
    use crate::embeddings::exchange::Record;
    use serde_json::json;

    #[test]
    fn a_record_travels_as_it_is() {
        let record = Record {
            id: "a".to_owned(),
            text: Some("text".to_owned()),
            text_hash: Some(crate::embeddings::TextHash::of("text")),
            metadata: Some(json!({"lang": "en"})),
            vector: Some(vec![1.0, -0.5]),
            span: None,
        };
        let row = VectorRow::of(record.clone()).unwrap();
        let text = serde_json::to_value(&row).unwrap();
        assert_eq!(text["vector"], "AACAPwAAAL8=");
        let back: VectorRow = serde_json::from_value(text).unwrap();
        assert_eq!(back.into_record(), record);
        assert_eq!(VectorRow::of(Record::default()), None);
        for vector in ["AACA", "?"] {
            let bad = serde_json::from_value::<VectorRow>(json!({"id": "a", "vector": vector}));
            assert!(bad.is_err(), "{vector}");
        }
    }
}
