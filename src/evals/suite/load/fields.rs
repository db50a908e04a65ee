//! Mappings with known keys: a key that nobody reads is a problem, and so is a value of another type.

use crate::evals::suite::load::node::{Content, Field, Node};
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::Loader;
use serde_json::Value;

/// A mapping whose keys are all known.
#[derive(Clone, Copy)]
pub(in crate::evals) struct Fields<'a> {
    pub(super) node: &'a Node,
    fields: &'a [Field],
}

impl<'a> Fields<'a> {
    /// The value at `key`; a null counts as absent.
    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        let field = self.fields.iter().find(|field| field.name == key)?;
        let is_null = field.value.content == Content::Scalar(Value::Null);
        (!is_null).then_some(&field.value)
    }

    /// The place of `key`, for what is wrong with it as a whole.
    pub(super) fn key(&self, key: &str) -> Option<Node> {
        let field = self.fields.iter().find(|field| field.name == key)?;
        let mut node = field.value.with(Content::Scalar(Value::Null));
        (node.line, node.column) = (field.place.line, field.place.column);
        Some(node)
    }
}

impl Loader<'_> {
    /// Takes a mapping apart. `what` says what it is, `known` which keys it may have; keys that
    /// begin with `x-` are for the author, to keep anchors in.
    pub(super) fn fields<'a>(
        &self,
        node: &'a Node,
        what: &str,
        known: &[&str],
    ) -> Option<Fields<'a>> {
        let Content::Map(fields) = &node.content else {
            let message = format!("{what} must be a mapping, and this is {}", node.type_name());
            self.problem(Problem::new(node.place(), message).hint("write `key: value` lines"));
            return None;
        };
        // That a reference leads nowhere has been said.
        if fields.iter().any(|field| field.name == "$ref") && self.has_problems() {
            return None;
        }
        for field in fields {
            if !known.contains(&field.name.as_str()) && !field.name.starts_with("x-") {
                let message = format!("`{}` is no key of {what}", field.name);
                let place = field.place.clone();
                self.problem(Problem::unknown(place, message, &field.name, known));
            }
        }
        Some(Fields { node, fields })
    }

    fn expected(&self, node: &Node, key: &str, wanted: &str) {
        let message = format!("`{key}` must be {wanted}, and this is {}", node.type_name());
        self.problem(Problem::new(node.place(), message));
    }

    /// The text at `key`. A number or a boolean is read as it was written.
    pub(super) fn text_at(&self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let node = fields.get(key)?;
        let text = scalar_text(node);
        if text.is_none() {
            self.expected(node, key, "text");
        }
        text
    }

    /// The number at `key`, which must lie in `low..=high`.
    pub(super) fn number_at(
        &self,
        fields: &Fields<'_>,
        key: &str,
        (low, high): (f64, f64),
    ) -> Option<f64> {
        let node = fields.get(key)?;
        let Content::Scalar(Value::Number(number)) = &node.content else {
            self.expected(node, key, "a number");
            return None;
        };
        let number = number.as_f64()?;
        if number < low || high < number {
            let bounds = match (low.is_finite(), high.is_finite()) {
                (true, true) => format!("from {low} to {high}"),
                (true, false) => format!("{low} or more"),
                _ => "finite".to_owned(),
            };
            self.wrong(
                node,
                format!("`{key}` is {number}"),
                format!("it must be {bounds}"),
            );
            return None;
        }
        Some(number)
    }

    /// The whole number at `key`, which must lie in `low..=high`.
    pub(super) fn count_at(
        &self,
        fields: &Fields<'_>,
        key: &str,
        (low, high): (u64, u64),
    ) -> Option<u64> {
        let node = fields.get(key)?;
        let count = match &node.content {
            Content::Scalar(Value::Number(number)) => number.as_u64(),
            _ => None,
        };
        match count {
            Some(count) if (low..=high).contains(&count) => Some(count),
            _ => {
                let hint = format!("write a whole number from {low} to {high}");
                self.wrong(node, format!("`{key}` is no such number"), hint);
                None
            }
        }
    }

    /// The boolean at `key`.
    pub(super) fn bool_at(&self, fields: &Fields<'_>, key: &str) -> Option<bool> {
        let node = fields.get(key)?;
        if let Content::Scalar(Value::Bool(value)) = node.content {
            return Some(value);
        }
        self.wrong(
            node,
            format!(
                "`{key}` must be a boolean, and this is {}",
                node.type_name()
            ),
            "write `true` or `false`",
        );
        None
    }

    /// The list at `key`.
    pub(super) fn list_at<'a>(&self, fields: &Fields<'a>, key: &str) -> Option<&'a [Node]> {
        let node = fields.get(key)?;
        if let Content::List(items) = &node.content {
            return Some(items);
        }
        self.expected(node, key, "a list");
        None
    }

    /// The texts at `key`: a list, or one.
    pub(super) fn texts_at(&self, fields: &Fields<'_>, key: &str) -> Option<Vec<String>> {
        let node = fields.get(key)?;
        if let Some(text) = node.text() {
            return Some(vec![text.to_owned()]);
        }
        let items = self.list_at(fields, key)?;
        let texts = items.iter().filter_map(|item| {
            let text = scalar_text(item);
            if text.is_none() {
                self.expected(item, key, "a list of texts");
            }
            text
        });
        Some(texts.collect())
    }

    /// The mapping at `key`, whatever its keys.
    pub(super) fn map_at<'a>(&self, fields: &Fields<'a>, key: &str) -> Option<&'a [Field]> {
        let node = fields.get(key)?;
        if let Content::Map(fields) = &node.content {
            return Some(fields);
        }
        self.expected(node, key, "a mapping");
        None
    }
}

/// A scalar as text; `None` for a null, a list or a mapping.
pub(super) fn scalar_text(node: &Node) -> Option<String> {
    match &node.content {
        Content::Scalar(Value::String(text)) => Some(text.clone()),
        Content::Scalar(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
        _ => None,
    }
}
