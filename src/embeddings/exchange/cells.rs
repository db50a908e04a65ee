//! A record as a row of cells, each a text.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::fields::{Layout, with_others};
use crate::embeddings::exchange::text::{Texts, parse_hash};
use crate::embeddings::exchange::{Record, object, vector};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// The columns that are written, in their order; without texts the second is left out.
pub(super) const COLUMNS: [&str; 6] = ["id", "text", "text_hash", "span", "metadata", "embedding"];

/// Reads a record; a cell is `None` where the row has nothing.
pub(super) fn read(
    layout: &Layout,
    names: &[String],
    cells: &[Option<&str>],
    number: Option<u64>,
) -> Result<Record, Fault> {
    let cell = |place: Option<usize>| {
        let place = place?;
        let text = cells.get(place).copied().flatten()?;
        Some((names.get(place)?.as_str(), text))
    };
    let id = match (number, cell(layout.id)) {
        (Some(number), _) => number.to_string(),
        (None, Some((_, id))) => id.to_owned(),
        (None, None) if layout.id.is_some() => return Err(Fault::field("id", "is empty")),
        (None, None) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(object::no_id(&names));
        }
    };
    let mut others = Map::new();
    for (name, text) in layout.others.iter().filter_map(|place| cell(Some(*place))) {
        others.insert(name.to_owned(), Value::String(text.to_owned()));
    }
    let hash = cell(layout.hash).map(|(name, text)| {
        parse_hash(text).ok_or_else(|| Fault::field(name, "is not 64 hex digits"))
    });
    let vector = cell(layout.vector).map(|(name, text)| vector::parse(name, text));
    Ok(Record {
        id,
        text: cell(layout.text).map(|(_, text)| text.to_owned()),
        text_hash: hash.transpose()?,
        span: json(cell(layout.span))?,
        metadata: with_others(json(cell(layout.metadata))?, others)?,
        vector: vector.transpose()?,
    })
}

fn json<T: DeserializeOwned>(cell: Option<(&str, &str)>) -> Result<Option<T>, Fault> {
    let read =
        cell.map(|(name, text)| object::value_of(name, &Bytes::copy_from_slice(text.as_bytes())));
    read.transpose()
}

/// Returns the columns that are written.
pub(super) fn columns(texts: Texts) -> Vec<&'static str> {
    let is_written = |name: &&str| texts == Texts::WithTexts || *name != "text";
    COLUMNS.into_iter().filter(is_written).collect()
}

/// Returns the cells of a record that are written before its vector, as [`columns`] names them.
pub(super) fn write(record: &Record, texts: Texts) -> Result<Vec<Option<String>>, Fault> {
    let json = |value: Result<String, serde_json::Error>| {
        value.map_err(|error| Fault::broken(format!("the record is no JSON: {error}")))
    };
    let span = record
        .span
        .as_ref()
        .map(|span| json(serde_json::to_string(span)));
    let metadata = record.metadata.as_ref();
    let metadata = metadata.map(|metadata| json(serde_json::to_string(metadata)));
    let mut cells = vec![Some(record.id.clone())];
    if texts == Texts::WithTexts {
        cells.push(texts.text_of(record).map(str::to_owned));
    }
    cells.push(texts.hash_of(record).map(|hash| hash.to_hex()));
    cells.push(span.transpose()?);
    cells.push(metadata.transpose()?);
    Ok(cells)
}
