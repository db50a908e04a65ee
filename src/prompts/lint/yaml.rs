//! YAML with the place of every key and every value.

use crate::prompts::front_matter::parse_yaml;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;
use std::ops::Range;

/// A value and where it stands, in bytes of the file. The range of a mapping or a list is its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Scalar(String),
    Map(Vec<Entry>),
    List(Vec<Node>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_range: Range<usize>,
    pub(super) value: Node,
}

impl Node {
    /// Parses `yaml`, which starts at the byte `offset` of its file; `None` when it is broken, which
    /// is reported elsewhere.
    pub(super) fn parse(yaml: &str, offset: usize) -> Option<Self> {
        let raw: Spanned<Raw> = parse_yaml(yaml).ok()?;
        Some(node(raw, offset))
    }

    /// The entries of a mapping; none for anything else.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.kind {
            Kind::Map(entries) => entries,
            Kind::Scalar(_) | Kind::List(_) => &[],
        }
    }

    /// The items of a list; none for anything else.
    pub(super) fn items(&self) -> &[Self] {
        match &self.kind {
            Kind::List(items) => items,
            Kind::Scalar(_) | Kind::Map(_) => &[],
        }
    }

    pub(super) fn scalar(&self) -> Option<&str> {
        match &self.kind {
            Kind::Scalar(text) => Some(text),
            Kind::Map(_) | Kind::List(_) => None,
        }
    }

    pub(super) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entry at the end of a path of keys.
    pub(super) fn at(&self, path: &[&str]) -> Option<&Entry> {
        let (first, rest) = path.split_first()?;
        let entry = self.entry(first)?;
        if rest.is_empty() {
            Some(entry)
        } else {
            entry.value.at(rest)
        }
    }
}

/// The range of a location in the file.
fn range<T>(spanned: &Spanned<T>, offset: usize) -> Range<usize> {
    let span = spanned.referenced.span();
    let to_usize = |value: Option<u64>| usize::try_from(value.unwrap_or(0)).unwrap_or(0);
    let start = offset + to_usize(span.byte_offset());
    start..start + to_usize(span.byte_len())
}

fn node(raw: Spanned<Raw>, offset: usize) -> Node {
    let range = range(&raw, offset);
    let kind = match raw.value {
        Raw::Scalar(text) => Kind::Scalar(text),
        Raw::List(items) => Kind::List(items.into_iter().map(|item| node(item, offset)).collect()),
        Raw::Map(entries) => Kind::Map(
            entries
                .into_iter()
                .map(|(key, value)| Entry {
                    key_range: self::range(&key, offset),
                    key: key.value,
                    value: node(value, offset),
                })
                .collect(),
        ),
    };
    Node { range, kind }
}

/// What the parser gives.
enum Raw {
    Scalar(String),
    Map(Vec<(Spanned<String>, Spanned<Self>)>),
    List(Vec<Spanned<Self>>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any YAML")
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_owned()))
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Scalar(value.to_string()))
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(String::new()))
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Scalar(String::new()))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }
}

#[cfg(test)]
mod tests {
    use super::Node;

    #[test]
    fn keys_and_values_know_where_they_stand() {
        let text = "xx é: 1\nmodel: \"gpt\"\ninput:\n  schema:\n    a?(enum, x): [A, \"b\"]\n    \
                    f: {g: h}\n    \"q k\": yes\n";
        let yaml = text.get(3..).unwrap();
        let root = Node::parse(yaml, 3).unwrap();
        let shown = |path: &[&str]| {
            let entry = root.at(path).unwrap();
            let value = entry.value.range.clone();
            (
                text.get(entry.key_range.clone()).unwrap(),
                text.get(value).unwrap(),
            )
        };
        assert_eq!(shown(&["é"]), ("é", "1"));
        assert_eq!(shown(&["model"]), ("model", "\"gpt\""));
        assert_eq!(shown(&["input", "schema"]), ("schema", ""));
        assert_eq!(shown(&["input", "schema", "f", "g"]), ("g", "h"));
        assert_eq!(shown(&["input", "schema", "q k"]), ("\"q k\"", "yes"));
        let items = root.at(&["input", "schema", "a?(enum, x)"]).unwrap();
        let second = &items.value.items()[1];
        assert_eq!(second.scalar(), Some("b"));
        assert_eq!(text.get(second.range.clone()), Some("\"b\""));
        assert!(Node::parse("a: [", 0).is_none());
    }
}
