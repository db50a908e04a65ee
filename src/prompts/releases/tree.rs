//! YAML as a tree whose every node knows its line, so that a problem can be said with its place.

use crate::prompts::front_matter::parse_yaml;
use crate::prompts::problem::Problem;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use serde_saphyr::Spanned;
use std::fmt;

/// A node and where it stands.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) content: Content,
}

/// What a node is.
#[derive(Debug)]
pub(super) enum Content {
    Scalar(Value),
    List,
    Map(Vec<Field>),
}

/// A key of a mapping with its value.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) line: usize,
    pub(super) value: Node,
}

impl Node {
    /// Parses a whole file; an empty one is a `null`.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        parse_yaml::<Spanned<Content>>(text).map(Self::of)
    }

    fn of(spanned: Spanned<Content>) -> Self {
        Self {
            line: line_of(&spanned),
            content: spanned.value,
        }
    }

    /// What the node is, for messages.
    pub(super) const fn type_name(&self) -> &'static str {
        match &self.content {
            Content::Scalar(Value::Null) => "nothing",
            Content::Scalar(Value::Bool(_)) => "a boolean",
            Content::Scalar(Value::Number(_)) => "a number",
            Content::Scalar(_) => "text",
            Content::List => "a list",
            Content::Map(_) => "a mapping",
        }
    }
}

fn line_of<T>(spanned: &Spanned<T>) -> usize {
    usize::try_from(spanned.referenced.line()).map_or(1, |line| line.max(1))
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("YAML")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Scalar(value.into()))
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Scalar(Value::Null))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        // Nothing in the file is a list: that there is one is all that must be known.
        while items.next_element::<Content>()?.is_some() {}
        Ok(Content::List)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let mut fields = Vec::new();
        while let Some(key) = map.next_key::<Spanned<String>>()? {
            let value = Node::of(map.next_value::<Spanned<Content>>()?);
            fields.push(Field {
                line: line_of(&key),
                name: key.value,
                value,
            });
        }
        Ok(Content::Map(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::{Content, Node};

    #[test]
    fn every_node_knows_its_line() {
        let root = Node::parse(
            "# c\nlabels:\n  a:\n    \"*\": latest\n    b: {stable: 7,\n      canary: [1]}\n",
        )
        .unwrap();
        let Content::Map(fields) = &root.content else {
            panic!("{root:?}");
        };
        let Content::Map(labels) = &fields[0].value.content else {
            panic!("{root:?}");
        };
        let Content::Map(rules) = &labels[0].value.content else {
            panic!("{root:?}");
        };
        let Content::Map(keys) = &rules[1].value.content else {
            panic!("{root:?}");
        };
        let lines = [
            &fields[0], &labels[0], &rules[0], &rules[1], &keys[0], &keys[1],
        ];
        let lines: Vec<(&str, usize)> = lines.map(|field| (&*field.name, field.line)).to_vec();
        let wanted = [
            ("labels", 2),
            ("a", 3),
            ("*", 4),
            ("b", 5),
            ("stable", 5),
            ("canary", 6),
        ];
        assert_eq!(lines, wanted);
        assert_eq!(keys[1].value.type_name(), "a list");
        assert!(
            Node::parse("a: 1\na: 2\n")
                .unwrap_err()
                .message
                .contains("broken YAML")
        );
        assert_eq!(Node::parse("").unwrap().type_name(), "nothing");
    }
}
