//! Points of Qdrant, and arrays of plain objects: what is read from long JSON documents.

use crate::embeddings::exchange::elements::Elements;
use crate::embeddings::exchange::error::{Fault, Place};
use crate::embeddings::exchange::fields::{TEXTS, with_others};
use crate::embeddings::exchange::input::Input;
use crate::embeddings::exchange::text::parse_hash;
use crate::embeddings::exchange::{
    Fields, Output, ReadOptions, Record, Sink, Source, Texts, WriteOptions, object, vector,
};
use crate::embeddings::space::TextHash;
use crate::wire::json::RawObject;
use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::io::Write as _;
use uuid::{Builder, Uuid};

/// Where the payload keeps a name that Qdrant takes for no id.
const ITEM_ID: &str = "item_id";

/// How many points one upsert has.
const BATCH: usize = 128;

/// An array of objects.
pub(super) struct Objects {
    elements: Elements,
    fields: Fields,
    is_numbered: bool,
    row: u64,
}

impl Objects {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Self {
        Self {
            elements: Elements::new(input, None),
            fields: options.fields.clone(),
            is_numbered: options.is_numbered,
            row: 0,
        }
    }
}

impl Source for Objects {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        let number = self.is_numbered.then_some(self.row);
        self.row += 1;
        let element = self.elements.read()?;
        let record = element.map(|element| object::read(&element, &self.fields, number));
        record.transpose()
    }

    fn place(&self) -> Place {
        Place::Row(self.row)
    }
}

/// Points that are read, from pages of the scroll or bodies of the upsert.
pub(super) struct Points {
    elements: Elements,
    fields: Fields,
    row: u64,
}

impl Points {
    pub(super) fn new(input: Input, options: &ReadOptions) -> Self {
        Self {
            elements: Elements::new(input, Some(b"points")),
            fields: options.fields.clone(),
            row: 0,
        }
    }
}

impl Source for Points {
    fn read(&mut self) -> Result<Option<Record>, Fault> {
        self.row += 1;
        let element = self.elements.read()?;
        let record = element.map(|element| point(&element, &self.fields));
        record.transpose()
    }

    fn place(&self) -> Place {
        Place::Row(self.row)
    }

    fn notes(&self) -> Vec<String> {
        if !self.elements.is_cut() {
            return Vec::new();
        }
        let note = "The last page of the scroll says that another follows (`next_page_offset`): the file \
                    is not the whole collection.";
        vec![note.to_owned()]
    }
}

fn parse(json: &Bytes) -> Result<RawObject, Fault> {
    RawObject::parse(json).map_err(|error| Fault::broken(error.to_string()))
}

fn point(json: &Bytes, fields: &Fields) -> Result<Record, Fault> {
    let point = parse(json)?;
    let id = point
        .get_some("id")
        .ok_or_else(|| Fault::field("id", "is missing"))?;
    let payload = point.get_some("payload").map(parse).transpose()?;
    let mut record = of_payload(payload.as_ref(), fields)?;
    if record.id.is_empty() {
        record.id = object::id_of("id", id)?;
    }
    let values = point
        .get_some("vector")
        .or_else(|| point.get_some("vectors"));
    let values = values.map(|values| vector_of(values, fields.vector.as_deref()));
    record.vector = values.transpose()?.flatten();
    Ok(record)
}

/// Reads the vector of a point: the only one, or the named one.
fn vector_of(json: &Bytes, name: Option<&str>) -> Result<Option<Vec<f32>>, Fault> {
    if !json.starts_with(b"{") {
        return object::vector_of("vector", json).map(Some);
    }
    let named = parse(json)?;
    let mut names = named.iter().map(|(name, _)| name.to_owned());
    let found = match name {
        Some(name) => named.get(name).map(|value| (name.to_owned(), value)),
        None => match (names.next(), names.next()) {
            (None, _) => return Ok(None),
            (Some(only), None) => named.get(&only).map(|value| (only, value)),
            (Some(first), Some(second)) => {
                let rest = names;
                return Err(Fault::Ambiguous {
                    question: "the point has several vectors",
                    choices: [first, second].into_iter().chain(rest).collect(),
                    option: "--vector-field NAME",
                });
            }
        },
    };
    let Some((name, value)) = found else {
        return Err(Fault::NoField {
            role: "vector",
            found: named.iter().map(|(name, _)| name.to_owned()).collect(),
        });
    };
    if value.starts_with(b"{") {
        return Err(Fault::Unsupported {
            what: format!("`{name}` is a sparse vector"),
            instead: "name a dense one: `--vector-field NAME`".to_owned(),
        });
    }
    object::vector_of(&name, value).map(Some)
}

/// Reads what a payload says of a record; what has no place of its own goes to the metadata.
fn of_payload(payload: Option<&RawObject>, fields: &Fields) -> Result<Record, Fault> {
    let mut record = Record::default();
    let Some(payload) = payload else {
        return Ok(record);
    };
    let mut others = Map::new();
    let text = match fields.text.as_deref() {
        Some(name) => Some(name),
        None => TEXTS
            .iter()
            .copied()
            .find(|name| payload.get_str(name).is_some()),
    };
    let metadata = fields.metadata.as_deref().unwrap_or("metadata");
    for (name, value) in payload.iter() {
        if value.as_ref() == b"null" {
            continue;
        }
        if Some(name) == text {
            record.text = Some(object::value_of(name, value)?);
        } else if name == metadata {
            record.metadata = Some(object::value_of(name, value)?);
        } else if name == ITEM_ID {
            record.id = object::id_of(name, value)?;
        } else if name == "text_hash" {
            let hash = parse_hash(&object::value_of::<String>(name, value)?);
            record.text_hash =
                Some(hash.ok_or_else(|| Fault::field(name, "is not 64 hex digits"))?);
        } else if name == "span" {
            record.span = Some(object::value_of(name, value)?);
        } else {
            others.insert(name.to_owned(), object::value_of(name, value)?);
        }
    }
    record.metadata = with_others(record.metadata, others)?;
    Ok(record)
}

/// Bodies of `PUT /collections/…/points`, one in each line.
pub(super) struct PointsSink {
    output: Output,
    texts: Texts,
    points: Vec<String>,
    is_begun: bool,
}

impl PointsSink {
    pub(super) const fn new(output: Output, options: &WriteOptions) -> Self {
        Self {
            output,
            texts: options.texts,
            points: Vec::new(),
            is_begun: false,
        }
    }

    fn flush(&mut self) -> Result<(), Fault> {
        self.is_begun = true;
        let body = ["{\"points\":[", &self.points.join(","), "]}\n"].concat();
        self.points.clear();
        self.output
            .write_all(body.as_bytes())
            .map_err(Fault::writing)
    }
}

impl Sink for PointsSink {
    fn write(&mut self, record: &Record) -> Result<(), Fault> {
        self.points.push(written_point(record, self.texts));
        if self.points.len() < BATCH {
            return Ok(());
        }
        self.flush()
    }

    fn finish(&mut self) -> Result<(), Fault> {
        if !self.points.is_empty() || !self.is_begun {
            self.flush()?;
        }
        self.output.flush().map_err(Fault::writing)
    }
}

/// Returns a record as a point.
fn written_point(record: &Record, texts: Texts) -> String {
    let (id, is_own) = point_id(&record.id);
    let mut payload = Map::new();
    if !is_own {
        payload.insert(ITEM_ID.to_owned(), json!(record.id));
    }
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            payload.insert(name.to_owned(), value);
        }
    };
    put("text", texts.text_of(record).map(Value::from));
    put(
        "text_hash",
        texts.hash_of(record).map(|hash| Value::from(hash.to_hex())),
    );
    put("span", record.span.as_ref().map(|span| json!(span)));
    put("metadata", record.metadata.clone());
    let vector = record
        .vector
        .as_deref()
        .map_or("{}".to_owned(), vector::to_list);
    let payload = Value::Object(payload);
    format!("{{\"id\":{id},\"vector\":{vector},\"payload\":{payload}}}")
}

/// Returns the id that Qdrant takes, a number or a UUID, and whether it is the record's own. Else it is made
/// from the record's, so that the same record is always the same point.
fn point_id(id: &str) -> (Value, bool) {
    if let Ok(number) = id.parse::<u64>()
        && number.to_string() == id
    {
        return (Value::from(number), true);
    }
    if Uuid::parse_str(id).is_ok_and(|uuid| uuid.to_string() == id) {
        return (Value::from(id), true);
    }
    let mut bytes = [0; 16];
    for (byte, hashed) in bytes.iter_mut().zip(TextHash::of(id).0) {
        *byte = hashed;
    }
    let made = Builder::from_custom_bytes(bytes).into_uuid();
    (Value::from(made.to_string()), false)
}

#[cfg(test)]
mod tests {
    use super::{Points, point_id};
    use crate::embeddings::exchange::{Fields, ReadOptions, Record, Source as _};
    use serde_json::json;

    fn read(text: &str, fields: Fields) -> Result<Vec<Record>, String> {
        let options = ReadOptions {
            fields,
            ..ReadOptions::default()
        };
        let input = Box::new(std::io::Cursor::new(text.to_owned()));
        let mut points = Points::new(input, &options);
        let mut records = Vec::new();
        while let Some(record) = points.read().map_err(|fault| fault.to_string())? {
            records.push(record);
        }
        Ok(records)
    }

    #[test]
    fn points_of_a_scroll_are_records() {
        let page = r#"{"result":{"points":[
            {"id":7,"payload":{"page_content":"hello","metadata":{"lang":"en"},"source":"a.md"},"vector":[1,2],"version":3},
            {"id":"5c56c793-69f3-4fbf-87e6-c4bf54c28c26","payload":null,"vector":{"dense":[3,4]}},
            {"id":9,"payload":{},"vector":{}}
        ],"next_page_offset":null},"status":"ok","time":0.001}"#;
        let records = read(page, Fields::default()).unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[0].id, "7");
        assert_eq!(records[0].text.as_deref(), Some("hello"));
        assert_eq!(
            records[0].metadata,
            Some(json!({"lang": "en", "source": "a.md"}))
        );
        assert_eq!(records[1].id, "5c56c793-69f3-4fbf-87e6-c4bf54c28c26");
        assert_eq!(records[1].vector.as_deref(), Some(&[3.0, 4.0][..]));
        assert_eq!(records[2].vector, None);
    }

    #[test]
    fn one_of_several_vectors_is_named() {
        let page = r#"{"points":[{"id":1,"vector":{"a":[1],"b":[2],"s":{"indices":[1],"values":[2]},"m":[[1],[2]]}}]}"#;
        let named = |name: &str| Fields {
            vector: Some(name.to_owned()),
            ..Fields::default()
        };
        assert_eq!(
            read(page, named("b")).unwrap()[0].vector.as_deref(),
            Some(&[2.0][..])
        );
        for (fields, message) in [
            (
                Fields::default(),
                "the point has several vectors: `a`, `b`, `s`, `m`",
            ),
            (named("c"), "no vector was found among `a`, `b`, `s`, `m`"),
            (named("s"), "`s` is a sparse vector"),
            (
                named("m"),
                "`m` is a list of lists: one vector for each row is read",
            ),
        ] {
            assert_eq!(read(page, fields).unwrap_err(), message);
        }
    }

    #[test]
    fn ids_are_numbers_uuids_or_made() {
        assert_eq!(point_id("7"), (json!(7), true));
        let uuid = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26";
        assert_eq!(point_id(uuid), (json!(uuid), true));
        for id in [
            "007",
            "-7",
            "docs/a#3",
            "5C56C793-69F3-4FBF-87E6-C4BF54C28C26",
        ] {
            let (made, is_own) = point_id(id);
            assert!(!is_own, "{id}");
            assert_eq!(point_id(id).0, made);
            let made: uuid::Uuid = made.as_str().unwrap().parse().unwrap();
            assert_eq!(made.get_version_num(), 8);
        }
    }
}
