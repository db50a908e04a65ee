//! Which field or column is what: by the name that was given, or by the names that people use.

use crate::embeddings::exchange::error::Fault;
use serde_json::{Map, Value};

/// The names of fields, where they are not to be guessed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fields {
    /// The name of a record.
    pub id: Option<String>,
    /// Its text.
    pub text: Option<String>,
    /// Its vector; in Qdrant the name of the vector, in an archive that of the array.
    pub vector: Option<String>,
    /// What else is known of it.
    pub metadata: Option<String>,
}

const IDS: &[&str] = &["id", "_id", "item_id", "doc_id", "chunk_id", "uuid"];
pub(super) const TEXTS: &[&str] = &[
    "text",
    "content",
    "passage",
    "page_content",
    "chunk",
    "document",
];
pub(super) const VECTORS: &[&str] = &[
    "vector",
    "embedding",
    "embeddings",
    "vectors",
    "emb",
    "values",
];
const METADATA: &[&str] = &["metadata", "meta", "payload"];

/// Where in a row its parts stand. Invariant: each place is below the number of names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Layout {
    pub(super) id: Option<usize>,
    pub(super) text: Option<usize>,
    pub(super) hash: Option<usize>,
    pub(super) span: Option<usize>,
    pub(super) metadata: Option<usize>,
    pub(super) vector: Option<usize>,
    /// What is none of these, and goes to the metadata.
    pub(super) others: Vec<usize>,
}

impl Layout {
    /// Finds the parts among the names of a row.
    pub(super) fn of(fields: &Fields, names: &[&str]) -> Result<Self, Fault> {
        let mut layout = Self {
            id: pick("id", fields.id.as_deref(), IDS, names)?,
            text: pick("text", fields.text.as_deref(), TEXTS, names)?,
            hash: pick("text_hash", None, &["text_hash"], names)?,
            span: pick("span", None, &["span"], names)?,
            metadata: pick("metadata", fields.metadata.as_deref(), METADATA, names)?,
            vector: pick("vector", fields.vector.as_deref(), VECTORS, names)?,
            others: Vec::new(),
        };
        if fields.vector.is_none() {
            refuse_two_vectors(names)?;
        }
        let Self {
            id,
            text,
            hash,
            span,
            metadata,
            vector,
            ..
        } = layout;
        let taken = [id, text, hash, span, metadata, vector];
        let is_other = |place: &usize| !taken.contains(&Some(*place));
        layout.others = (0..names.len()).filter(is_other).collect();
        Ok(layout)
    }
}

/// Finds a part: the named one, which must be there, else the first of the usual names.
fn pick(
    role: &'static str,
    named: Option<&str>,
    usual: &[&str],
    names: &[&str],
) -> Result<Option<usize>, Fault> {
    let find = |wanted: &str| names.iter().position(|name| *name == wanted);
    match named {
        None => Ok(usual.iter().find_map(|name| find(name))),
        Some(named) => find(named).map(Some).ok_or_else(|| Fault::NoField {
            role,
            found: names.iter().map(|name| (*name).to_owned()).collect(),
        }),
    }
}

/// A row with two vectors would lose one of them without a word.
fn refuse_two_vectors(names: &[&str]) -> Result<(), Fault> {
    let vectors: Vec<String> = names
        .iter()
        .filter(|name| VECTORS.contains(name))
        .map(|name| (*name).to_owned())
        .collect();
    if vectors.len() < 2 {
        return Ok(());
    }
    Err(Fault::Ambiguous {
        question: "more than one field may be the vector",
        choices: vectors,
        option: "--vector-field NAME",
    })
}

/// Lays the fields that have no role beside what stands in the metadata.
pub(super) fn with_others(
    metadata: Option<Value>,
    others: Map<String, Value>,
) -> Result<Option<Value>, Fault> {
    if others.is_empty() {
        return Ok(metadata);
    }
    let mut fields = match metadata {
        None => return Ok(Some(Value::Object(others))),
        Some(Value::Object(fields)) => fields,
        Some(value) => Map::from_iter([("metadata".to_owned(), value)]),
    };
    for (name, value) in others {
        if fields.contains_key(&name) {
            return Err(Fault::field(&name, "stands in the metadata and beside it"));
        }
        fields.insert(name, value);
    }
    Ok(Some(Value::Object(fields)))
}

#[cfg(test)]
mod tests {
    use super::{Fields, Layout, with_others};
    use serde_json::json;

    #[test]
    fn parts_are_found_by_usual_names() {
        let names = ["lang", "_id", "passage", "emb", "text_hash"];
        let layout = Layout::of(&Fields::default(), &names).unwrap();
        assert_eq!(layout.id, Some(1));
        assert_eq!(layout.text, Some(2));
        assert_eq!(layout.vector, Some(3));
        assert_eq!(layout.hash, Some(4));
        assert_eq!(layout.others, [0]);
    }

    #[test]
    fn a_given_name_is_the_only_one() {
        let fields = Fields {
            text: Some("body".to_owned()),
            vector: Some("emb".to_owned()),
            ..Fields::default()
        };
        let layout = Layout::of(&fields, &["id", "text", "body", "emb", "vector"]).unwrap();
        assert_eq!((layout.text, layout.vector), (Some(2), Some(3)));
        assert_eq!(layout.others, [1, 4]);
        let error = Layout::of(&fields, &["id", "text"]).unwrap_err();
        assert_eq!(error.to_string(), "no text was found among `id`, `text`");
        let error = Layout::of(&Fields::default(), &["emb", "vector"]).unwrap_err();
        let message = "more than one field may be the vector: `emb`, `vector`";
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn other_fields_are_metadata() {
        let others = || json!({"lang": "en"}).as_object().unwrap().clone();
        let merged = |metadata| with_others(metadata, others()).map(Option::unwrap);
        assert_eq!(merged(None).unwrap(), json!({"lang": "en"}));
        assert_eq!(
            merged(Some(json!({"a": 1}))).unwrap(),
            json!({"a": 1, "lang": "en"})
        );
        assert_eq!(
            merged(Some(json!(7))).unwrap(),
            json!({"metadata": 7, "lang": "en"})
        );
        let error = merged(Some(json!({"lang": "de"}))).unwrap_err();
        assert_eq!(
            error.to_string(),
            "`lang` stands in the metadata and beside it"
        );
    }
}
