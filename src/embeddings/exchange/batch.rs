//! A row of a columnar file: cells that have types of their own.

use crate::embeddings::exchange::error::Fault;
use crate::embeddings::exchange::fields::{Layout, with_others};
use crate::embeddings::exchange::text::{Texts, parse_hash};
use crate::embeddings::exchange::{Record, cells, object, vector};
use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// What stands in a column at a row.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    /// Nothing.
    Null,
    /// A text.
    Text(String),
    /// A number or a boolean.
    Plain(Value),
    /// A list of floats.
    Vector(Vec<f32>),
}

/// Reads a record.
pub(super) fn read(
    layout: &Layout,
    names: &[String],
    mut row: Vec<Cell>,
    number: Option<u64>,
) -> Result<Record, Fault> {
    let mut take = |place: Option<usize>| -> Option<(&str, Cell)> {
        let place = place?;
        let cell = std::mem::replace(row.get_mut(place)?, Cell::Null);
        let name = names.get(place)?;
        (cell != Cell::Null).then_some((name.as_str(), cell))
    };
    let id = match (number, take(layout.id)) {
        (Some(number), _) => number.to_string(),
        (None, Some((_, Cell::Text(id)))) => id,
        (None, Some((_, Cell::Plain(Value::Number(number))))) => number.to_string(),
        (None, Some((name, _))) => {
            return Err(Fault::field(name, "is neither a text nor a whole number"));
        }
        (None, None) => {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            return Err(object::no_id(&names));
        }
    };
    let vector = match take(layout.vector) {
        None => None,
        Some((_, Cell::Vector(values))) => Some(values),
        Some((name, cell)) => Some(vector::parse(name, &text(name, cell)?)?),
    };
    let hash = take(layout.hash).map(|(name, cell)| {
        parse_hash(&text(name, cell)?).ok_or_else(|| Fault::field(name, "is not 64 hex digits"))
    });
    let found = take(layout.text).map(|(name, cell)| text(name, cell));
    let (span, metadata) = (json(take(layout.span))?, json(take(layout.metadata))?);
    let mut others = Map::new();
    for place in &layout.others {
        if let Some((name, cell)) = take(Some(*place)) {
            others.insert(name.to_owned(), plain(cell));
        }
    }
    Ok(Record {
        id,
        text: found.transpose()?,
        text_hash: hash.transpose()?,
        span,
        metadata: with_others(metadata, others)?,
        vector,
    })
}

fn text(name: &str, cell: Cell) -> Result<String, Fault> {
    match cell {
        Cell::Text(text) => Ok(text),
        _ => Err(Fault::field(name, "is no column of texts")),
    }
}

/// Reads JSON out of a text; another type of column is a value itself.
fn json<T: DeserializeOwned>(cell: Option<(&str, Cell)>) -> Result<Option<T>, Fault> {
    let read = cell.map(|(name, cell)| {
        let json = match cell {
            Cell::Text(text) => text,
            other => plain(other).to_string(),
        };
        object::value_of(name, &Bytes::from(json))
    });
    read.transpose()
}

fn plain(cell: Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Text(text) => Value::String(text),
        Cell::Plain(value) => value,
        Cell::Vector(values) => values.into_iter().map(Value::from).collect(),
    }
}

/// Records that wait until there are enough of them for a block of columns.
pub(super) struct Block {
    texts: Texts,
    /// The longest a block may be, in bytes.
    limit: usize,
    size: usize,
    /// The columns before the vector, as [`cells::columns`] names them.
    pub(super) columns: Vec<Vec<Option<String>>>,
    pub(super) vectors: Vec<Option<Vec<f32>>>,
}

impl Block {
    pub(super) fn new(texts: Texts, limit: usize) -> Self {
        Self {
            texts,
            limit,
            size: 0,
            columns: vec![Vec::new(); cells::columns(texts).len().saturating_sub(1)],
            vectors: Vec::new(),
        }
    }

    /// Adds a record; returns whether the block is full.
    pub(super) fn push(&mut self, record: &Record) -> Result<bool, Fault> {
        for (column, cell) in self
            .columns
            .iter_mut()
            .zip(cells::write(record, self.texts)?)
        {
            self.size += cell.as_ref().map_or(0, String::len) + size_of::<String>();
            column.push(cell);
        }
        self.size += record.vector.as_ref().map_or(0, |values| values.len() * 4) + 24;
        self.vectors.push(record.vector.clone());
        Ok(self.limit <= self.size)
    }

    pub(super) fn clear(&mut self) {
        self.size = 0;
        self.columns.iter_mut().for_each(Vec::clear);
        self.vectors.clear();
    }
}

/// Learns how long the vectors are from the first one. Once the head is written, which says the length, it is
/// too late to learn it.
pub(super) fn learn_length(
    dimensions: &mut Option<usize>,
    record: &Record,
    is_begun: bool,
) -> Result<(), Fault> {
    let found = record.vector.as_ref().map(Vec::len);
    if dimensions.is_none() && found.is_some() && is_begun {
        return Err(Fault::Unsupported {
            what:
                "so many records have no vector that the first one comes too late to say how long \
                   they are"
                    .to_owned(),
            instead: "say it: `--dimensions N`".to_owned(),
        });
    }
    *dimensions = dimensions.or(found);
    Ok(())
}
