//! YAML and JSON as a tree whose every node knows where it stands.

use crate::evals::suite::Place;
use crate::evals::suite::load::problem::Problem;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use serde_saphyr::Spanned;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

/// Bytes of YAML that are parsed; data belongs into JSONL or CSV.
const MAX_YAML_BYTES: usize = 4 << 20;

/// A node and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::evals) struct Node {
    pub(in crate::evals) file: Arc<str>,
    pub(in crate::evals) line: u32,
    pub(in crate::evals) column: u32,
    pub(in crate::evals) content: Content,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::evals) enum Content {
    /// Text, a number, a boolean or null.
    Scalar(Value),
    List(Vec<Node>),
    Map(Vec<Field>),
}

/// A key of a mapping with its value.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::evals) struct Field {
    pub(in crate::evals) name: String,
    pub(in crate::evals) place: Place,
    pub(in crate::evals) value: Node,
}

impl Node {
    /// Parses YAML; an empty file is a null.
    pub(in crate::evals) fn yaml(text: &str, file: &str) -> Result<Self, Problem> {
        let at = |line, column| Place {
            file: file.to_owned(),
            line,
            column,
        };
        if MAX_YAML_BYTES < text.len() {
            let message = format!("the file has more than {MAX_YAML_BYTES} bytes of YAML");
            return Err(Problem::new(at(0, 0), message).hint("keep cases in a JSONL or CSV file"));
        }
        // No less than the largest suite needs, and no alias may make much out of little.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
            budget: serde_saphyr::budget! { max_depth: 64, max_nodes: 500_000, max_aliases: 10_000 },
            alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: 200_000 },
        };
        let parsed = serde_saphyr::from_str_with_options::<Spanned<Nested>>(text, options);
        let raw = parsed.map_err(|error| {
            let place = error.location().map(|place| (place.line(), place.column()));
            let words = error.without_snippet().to_string();
            let words = words.lines().next().unwrap_or_default();
            let (line, column) = place.unwrap_or_default();
            let said = format!(" at line {line}, column {column}");
            let words = words.replace(&said, "");
            let twice = words.strip_prefix("duplicate mapping key: ");
            let twice = twice.and_then(|rest| rest.split_once(", set "));
            let message = match twice {
                Some((key, _)) => format!("broken YAML: the key `{key}` stands twice"),
                None => format!("broken YAML: {words}"),
            };
            Problem::new(at(number(line), number(column)), message)
        })?;
        let (line, column, content) = raw.unpack();
        Ok(node(content, (line, column), &Arc::from(file)))
    }

    /// Parses JSON. Places are known when it is YAML too, as nearly all is.
    pub(in crate::evals) fn json(text: &str, file: &str) -> Result<Self, Problem> {
        if text.len() <= MAX_YAML_BYTES
            && let Ok(node) = Self::yaml(text, file)
        {
            // What YAML reads otherwise (a comment, a word without quotes) is no JSON.
            if serde_json::from_str::<Flat>(text).is_ok() {
                return Ok(node);
            }
        }
        Self::json_at(text, file, None)
    }

    /// Parses JSON that stands on one `line` of its file; else the line is that of the error.
    pub(in crate::evals) fn json_at(
        text: &str,
        file: &str,
        line: Option<u32>,
    ) -> Result<Self, Problem> {
        let parsed: Result<Flat, _> = serde_json::from_str(text);
        let flat = parsed.map_err(|error| {
            let words = error.to_string();
            let said = format!(" at line {} column {}", error.line(), error.column());
            let place = Place {
                file: file.to_owned(),
                line: line.unwrap_or_else(|| u32::try_from(error.line()).unwrap_or(0)),
                column: u32::try_from(error.column()).unwrap_or(0),
            };
            Problem::new(place, format!("broken JSON: {}", words.replace(&said, "")))
        })?;
        let place = (line.unwrap_or(0), 0);
        Ok(node(flat.0, place, &Arc::from(file)))
    }

    /// Where the node stands.
    pub(in crate::evals) fn place(&self) -> Place {
        Place {
            file: self.file.to_string(),
            line: self.line,
            column: self.column,
        }
    }

    /// A node with this content at the place of this one.
    pub(in crate::evals) fn with(&self, content: Content) -> Self {
        Self {
            file: Arc::clone(&self.file),
            line: self.line,
            column: self.column,
            content,
        }
    }

    /// What the node is, for messages.
    pub(in crate::evals) const fn type_name(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }

    /// The text, when it is one.
    pub(in crate::evals) fn text(&self) -> Option<&str> {
        match &self.content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The value at `key` of a mapping.
    pub(in crate::evals) fn get(&self, key: &str) -> Option<&Self> {
        let Content::Map(fields) = &self.content else {
            return None;
        };
        fields
            .iter()
            .find(|field| field.name == key)
            .map(|field| &field.value)
    }

    /// The same as JSON, without places.
    pub(in crate::evals) fn to_value(&self) -> Value {
        match &self.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => Value::Array(items.iter().map(Self::to_value).collect()),
            Content::Map(fields) => Value::Object(to_map(fields)),
        }
    }

    /// How many nodes there are.
    pub(super) fn size(&self) -> usize {
        match &self.content {
            Content::Scalar(_) => 1,
            Content::List(items) => 1 + items.iter().map(Self::size).sum::<usize>(),
            Content::Map(fields) => {
                1 + fields.iter().map(|field| field.value.size()).sum::<usize>()
            }
        }
    }
}

/// Fields as a JSON object.
pub(in crate::evals) fn to_map(fields: &[Field]) -> Map<String, Value> {
    let pairs = fields
        .iter()
        .map(|field| (field.name.clone(), field.value.to_value()));
    pairs.collect()
}

fn number(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(0)
}

fn node(raw: Raw, (line, column): (u32, u32), file: &Arc<str>) -> Node {
    let content = match raw {
        Raw::Scalar(value) => Content::Scalar(value),
        Raw::List(items) => {
            let items = items.into_iter();
            Content::List(
                items
                    .map(|(line, column, item)| node(item, (line, column), file))
                    .collect(),
            )
        }
        Raw::Map(entries) => Content::Map(
            entries
                .into_iter()
                .map(|entry| Field {
                    name: entry.name,
                    place: Place {
                        file: file.to_string(),
                        line: if entry.at.0 == 0 { line } else { entry.at.0 },
                        column: entry.at.1,
                    },
                    value: {
                        let (at, column, value) = entry.value;
                        node(value, (if at == 0 { line } else { at }, column), file)
                    },
                })
                .collect(),
        ),
    };
    Node {
        file: Arc::clone(file),
        line,
        column,
        content,
    }
}

/// What a parser gives.
enum Raw {
    Scalar(Value),
    List(Vec<(u32, u32, Self)>),
    Map(Vec<RawEntry>),
}

struct RawEntry {
    name: String,
    at: (u32, u32),
    value: (u32, u32, Raw),
}

/// A node of a parser that knows places, or of one that does not.
trait Child: for<'de> Deserialize<'de> {
    /// Its key in a mapping.
    type Key: for<'de> Deserialize<'de>;

    /// Line, column and content; 0 where it is not known.
    fn unpack(self) -> (u32, u32, Raw);

    /// Line, column and name of a key.
    fn unpack_key(key: Self::Key) -> (u32, u32, String);
}

struct Nested(Raw);

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(RawVisitor::<Spanned<Self>>(PhantomData))
            .map(Self)
    }
}

impl Child for Spanned<Nested> {
    type Key = Spanned<String>;

    fn unpack(self) -> (u32, u32, Raw) {
        let place = self.defined;
        (number(place.line()), number(place.column()), self.value.0)
    }

    fn unpack_key(key: Self::Key) -> (u32, u32, String) {
        let place = key.defined;
        (number(place.line()), number(place.column()), key.value)
    }
}

struct Flat(Raw);

impl<'de> Deserialize<'de> for Flat {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer
            .deserialize_any(RawVisitor::<Self>(PhantomData))
            .map(Self)
    }
}

impl Child for Flat {
    type Key = String;

    fn unpack(self) -> (u32, u32, Raw) {
        (0, 0, self.0)
    }

    fn unpack_key(key: Self::Key) -> (u32, u32, String) {
        (0, 0, key)
    }
}

struct RawVisitor<C>(PhantomData<C>);

impl<'de, C: Child> Visitor<'de> for RawVisitor<C> {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element::<C>()? {
            items.push(item.unpack());
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries: Vec<RawEntry> = Vec::new();
        let mut names = std::collections::HashSet::new();
        while let Some(key) = access.next_key::<C::Key>()? {
            let (line, column, name) = C::unpack_key(key);
            if !names.insert(name.clone()) {
                return Err(A::Error::custom(format!("the key `{name}` stands twice")));
            }
            let value = access.next_value::<C>()?.unpack();
            entries.push(RawEntry {
                name,
                at: (line, column),
                value,
            });
        }
        Ok(Raw::Map(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::Node;
    use serde_json::json;

    #[test]
    fn every_node_knows_its_place() {
        let text = "a: 1\nb:\n  - x: {y: \"z\"}\n  - &t [1.5, yes]\nc: *t\n";
        let root = Node::yaml(text, "s.yaml").unwrap();
        assert_eq!(
            root.to_value(),
            json!({"a": 1, "b": [{"x": {"y": "z"}}, [1.5, "yes"]], "c": [1.5, "yes"]})
        );
        let y = root.get("b").unwrap();
        assert_eq!(y.place().to_string(), "s.yaml:3:3");
        // What an alias stands for is shown where it was written.
        assert_eq!(root.get("c").unwrap().place().to_string(), "s.yaml:4:8");
    }

    #[test]
    fn json_is_read_strictly() {
        let text = "{\n  \"a\": [1, \"\\ud83d\\ude00\", \"\\/\"]\n}";
        let root = Node::json(text, "s.json").unwrap();
        assert_eq!(root.to_value(), json!({"a": [1, "😀", "/"]}));
        let placed = Node::json("{\n \"a\": {\"b\": 1}}", "s.json").unwrap();
        let b = placed.get("a").unwrap().get("b").unwrap();
        assert_eq!(b.place().to_string(), "s.json:2:13");
        let line = Node::json_at("{\"a\": 1}", "d.jsonl", Some(7)).unwrap();
        assert_eq!(line.get("a").unwrap().place().to_string(), "d.jsonl:7");
        for (text, message) in [
            (
                "{\"a\": 1, \"a\": 2}",
                "s.json:1:12: broken JSON: the key `a` stands twice",
            ),
            ("{a: 1}", "s.json:1:2: broken JSON: key must be a string"),
            ("[1,\n", "s.json:2: broken JSON: EOF while parsing a value"),
        ] {
            assert_eq!(Node::json(text, "s.json").unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn bombs_are_refused() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let inner = format!("*a{}, ", level - 1).repeat(10);
            bomb += &format!("a{level}: &a{level} [{inner}]\n");
        }
        let deep = "[".repeat(2000);
        for text in [bomb, deep, "a: &x [*x]\n".to_owned()] {
            let error = Node::yaml(&text, "s.yaml").unwrap_err();
            assert!(error.message.contains("broken YAML"), "{error}");
        }
        let deep = format!("{}{}", "[".repeat(2000), "]".repeat(2000));
        assert!(Node::json(&deep, "s.json").is_err());
        let large = " ".repeat(5 << 20);
        assert!(Node::yaml(&large, "s.yaml").is_err());
    }
}
