//! A record as a JSON object, read and written.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::fields::{Fields, Layout, with_others};
use crate::embeddings::exchange::text::{Texts, parse_hash};
use crate::embeddings::exchange::{Record, VectorText, vector};
use crate::embeddings::item::Span;
use crate::embeddings::json_fault::json_fault;
use crate::wire::{self, json::RawObject};
use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// Reads a record. `number` is its name where rows are numbered.
pub(super) fn read(json: &Bytes, fields: &Fields, number: Option<u64>) -> Result<Record, Fault> {
    let object = RawObject::parse(json).map_err(|error| no_object(json, &error))?;
    let entries: Vec<(&str, &Bytes)> = object.iter().collect();
    let names: Vec<&str> = entries.iter().map(|(name, _)| *name).collect();
    let layout = Layout::of(fields, &names)?;
    let entry = |place: Option<usize>| {
        let found = place.and_then(|place| entries.get(place)).copied();
        found.filter(|(_, value)| value.as_ref() != b"null")
    };
    let id = match (number, entry(layout.id)) {
        (Some(number), _) => number.to_string(),
        (None, Some((name, value))) => id_of(name, value)?,
        (None, None) => return Err(no_id(&names)),
    };
    let mut others = Map::new();
    for (name, value) in layout.others.iter().filter_map(|place| entries.get(*place)) {
        others.insert((*name).to_owned(), value_of(name, value)?);
    }
    let read_hash = |(name, value): (&str, &Bytes)| {
        let hex: String = value_of(name, value)?;
        parse_hash(&hex).ok_or_else(|| Fault::field(name, "is not 64 hex digits"))
    };
    let metadata = entry(layout.metadata).map(|(name, value)| value_of(name, value));
    let text = entry(layout.text).map(|(name, value)| value_of(name, value));
    let span = entry(layout.span).map(|(name, value)| value_of::<Span>(name, value));
    let vector = entry(layout.vector).map(|(name, value)| vector_of(name, value));
    Ok(Record {
        id,
        text: text.transpose()?,
        text_hash: entry(layout.hash).map(read_hash).transpose()?,
        span: span.transpose()?,
        metadata: with_others(metadata.transpose()?, others)?,
        vector: vector.transpose()?,
    })
}

/// Says what is wrong with a row: what a parser says is of a body.
fn no_object(json: &Bytes, error: &wire::Error) -> Fault {
    match (json_fault(json), error) {
        (Some(fault), _) => Fault::broken(format!("it {fault}")),
        (None, wire::Error::NotAnObject { found }) => {
            Fault::broken(format!("it must be a JSON object, but is {found}"))
        }
        (None, wire::Error::DuplicateKey { key }) => {
            Fault::broken(format!("the key `{key}` stands in it twice"))
        }
        (None, other) => Fault::broken(other.to_string()),
    }
}

/// Returns the fault of a row without a name.
pub(super) fn no_id(names: &[&str]) -> Fault {
    Fault::NoField {
        role: "id",
        found: names.iter().map(|name| (*name).to_owned()).collect(),
    }
}

/// Reads a value as what it must be.
pub(super) fn value_of<T: DeserializeOwned>(name: &str, json: &Bytes) -> Result<T, Fault> {
    serde_json::from_slice(json).map_err(|error| {
        // The place in the value says nothing: where the value stands is told already.
        let why = error.to_string();
        let why = why.split(" at line ").next().unwrap_or_default();
        Fault::field(name, format!("cannot be read: {why}"))
    })
}

/// Reads a name: a string, or a whole number as it is written.
pub(super) fn id_of(name: &str, json: &Bytes) -> Result<String, Fault> {
    let text = crate::embeddings::exchange::input::utf8(json)?;
    if text.parse::<u64>().is_ok() || text.parse::<i64>().is_ok() {
        return Ok(text.to_owned());
    }
    if text.starts_with('"') {
        return value_of(name, json);
    }
    Err(Fault::field(name, "is neither a string nor a whole number"))
}

/// Reads a vector: an array of numbers, or a string of base64 or of a list.
pub(super) fn vector_of(name: &str, json: &Bytes) -> Result<Vec<f32>, Fault> {
    if json.starts_with(b"\"") {
        return vector::parse(name, &value_of::<String>(name, json)?);
    }
    if json.starts_with(b"[") {
        return vector::parse(name, crate::embeddings::exchange::input::utf8(json)?);
    }
    Err(Fault::field(name, "is neither an array nor a string"))
}

/// A record as it is written.
#[derive(Serialize)]
struct Line<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<&'a Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vector: Option<Box<RawValue>>,
}

/// Returns a record as one line of JSON, without its end.
pub(super) fn line(record: &Record, texts: Texts, vectors: VectorText) -> Result<Vec<u8>, Fault> {
    let as_written = |values: &Vec<f32>| match vectors {
        VectorText::List => vector::to_list(values),
        VectorText::Base64 => ["\"", &vector::to_base64(values), "\""].concat(),
    };
    write_line(record, texts, record.vector.as_ref().map(as_written))
}

/// Returns a record as one line of JSON without its vector, which stands elsewhere.
pub(super) fn line_without_vector(record: &Record, texts: Texts) -> Result<Vec<u8>, Fault> {
    write_line(record, texts, None)
}

fn write_line(record: &Record, texts: Texts, vector: Option<String>) -> Result<Vec<u8>, Fault> {
    let vector = vector.map(RawValue::from_string).transpose();
    let line = Line {
        id: &record.id,
        text: texts.text_of(record),
        text_hash: texts.hash_of(record).map(|hash| hash.to_hex()),
        span: record.span.as_ref(),
        metadata: record.metadata.as_ref(),
        vector: vector.map_err(unwritable)?,
    };
    serde_json::to_vec(&line).map_err(unwritable)
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn unwritable(error: serde_json::Error) -> Fault {
    Fault::broken(format!("the record is no JSON: {error}"))
}
