//! `assert`: what is held against an answer, one by one and in sets.

use crate::evals::suite::load::fields::Fields;
use crate::evals::suite::load::kinds::{has_negation, needs_threshold, needs_value, refusal};
use crate::evals::suite::load::models::NamedModel;
use crate::evals::suite::load::node::{Content, Node, to_map};
use crate::evals::suite::load::problem::Problem;
use crate::evals::suite::load::reading::{FILE, Loader, is_foreign_code, is_javascript};
use crate::evals::suite::{AssertNode, AssertSet, Assertion, AssertionKind, AssertionValue};
use serde_json::Value;

/// Keys of an assertion.
const KEYS: [&str; 10] = [
    "type",
    "value",
    "threshold",
    "weight",
    "provider",
    "rubricPrompt",
    "metric",
    "transform",
    "contextTransform",
    "config",
];
/// Keys of a set of assertions.
const SET_KEYS: [&str; 6] = ["type", "assert", "weight", "metric", "threshold", "config"];
/// Any finite number.
pub(super) const ANY: (f64, f64) = (f64::MIN, f64::MAX);
/// The name of a set.
const SET: &str = "assert-set";

impl Loader<'_> {
    /// Reads a list of assertions and sets.
    pub(super) fn asserts(&self, items: &[Node], models: &[NamedModel]) -> Vec<AssertNode> {
        let read = items.iter().filter_map(|item| {
            if item.get("type").and_then(Node::text) == Some(SET) {
                return self.assert_set(item, models).map(AssertNode::Set);
            }
            let assertion = self.assertion(item, models)?;
            Some(AssertNode::One(Box::new(assertion)))
        });
        read.collect()
    }

    fn assert_set(&self, node: &Node, models: &[NamedModel]) -> Option<AssertSet> {
        let fields = self.fields(node, "a set of assertions", &SET_KEYS)?;
        let Some(items) = self
            .list_at(&fields, "assert")
            .filter(|items| !items.is_empty())
        else {
            self.wrong(
                node,
                "the set has no assertions",
                "list them under `assert`",
            );
            return None;
        };
        let config = self.map_at(&fields, "config").map(to_map);
        let asserts = items.iter().filter_map(|item| {
            if item.get("type").and_then(Node::text) == Some(SET) {
                let hint = "put its assertions into the outer set";
                self.wrong(item, "a set of assertions stands inside another", hint);
                return None;
            }
            let mut assertion = self.assertion(item, models)?;
            if item.get("config").is_none() {
                assertion.config = config.clone().unwrap_or_default();
            }
            Some(assertion)
        });
        Some(AssertSet {
            asserts: asserts.collect(),
            weight: self.weight(&fields),
            threshold: self.number_at(&fields, "threshold", ANY),
            metric: self.text_at(&fields, "metric"),
            config,
            place: node.place(),
        })
    }

    fn weight(&self, fields: &Fields<'_>) -> f64 {
        // A weight below 0 makes a score count against the case, as in promptfoo.
        self.number_at(fields, "weight", ANY).unwrap_or(1.0)
    }

    fn assertion(&self, node: &Node, models: &[NamedModel]) -> Option<Assertion> {
        let fields = self.fields(node, "an assertion", &KEYS)?;
        let Some(name) = self.text_at(&fields, "type") else {
            self.wrong(
                node,
                "the assertion has no `type`",
                "write `type: contains`",
            );
            return None;
        };
        let (kind, is_negated) = self.kind(&name, fields.get("type").unwrap_or(node))?;
        let value = fields.get("value");
        let asserted = value.map(|value| self.asserted(kind, value));
        // An answer may be held against `null`; for all else that is no value.
        let is_null = kind == AssertionKind::Equals && fields.key("value").is_some();
        let null = is_null.then_some(AssertionValue::Json(Value::Null));
        let weight = self.weight(&fields);
        let threshold = self.number_at(&fields, "threshold", ANY);
        if value.is_none() && null.is_none() && needs_value(kind) {
            let hint = "say under `value` what the answer is held against";
            self.wrong(node, format!("`{name}` has no `value`"), hint);
        }
        // Without weight it is a figure, which nothing has to reach.
        if threshold.is_none() && needs_threshold(kind) && weight != 0.0 {
            let unit = match kind {
                AssertionKind::Latency => "in milliseconds",
                _ => "in dollars",
            };
            self.wrong(
                node,
                format!("`{name}` has no `threshold`"),
                format!("write it {unit}"),
            );
        }
        let script = |key: &str| fields.get(key).and_then(|node| self.script(node));
        let rubric = fields.get("rubricPrompt");
        let config = self.map_at(&fields, "config").map(to_map);
        Some(Assertion {
            kind,
            is_negated,
            value: asserted.unwrap_or(null),
            threshold,
            weight,
            metric: self.text_at(&fields, "metric"),
            grader: fields
                .get("provider")
                .and_then(|node| self.grader(node, models)),
            rubric_prompt: rubric.and_then(|node| self.rubric_prompt(node)),
            transform: script("transform"),
            context_transform: script("contextTransform"),
            config: config.unwrap_or_default(),
            place: node.place(),
        })
    }

    /// Reads a type, which may begin with `not-`.
    fn kind(&self, name: &str, node: &Node) -> Option<(AssertionKind, bool)> {
        let (base, is_negated) = match name.strip_prefix("not-") {
            Some(base) => (base, true),
            None => (name, false),
        };
        if let Some((reason, hint)) = refusal(base) {
            self.wrong(node, format!("`{name}` {reason}"), hint);
            return None;
        }
        let Some(kind) = AssertionKind::parse(base) else {
            let known: Vec<&str> = AssertionKind::ALL
                .iter()
                .map(|kind| kind.as_str())
                .collect();
            let message = format!("`{name}` is no assertion that is known");
            self.problem(Problem::unknown(node.place(), message, base, &known));
            return None;
        };
        if is_negated && !has_negation(kind) {
            let message = format!("`{base}` compares answers, and has no `not-` form");
            self.wrong(node, message, format!("write `{base}`"));
            return None;
        }
        Some((kind, is_negated))
    }

    /// Reads what an answer is held against; files in it are read.
    fn asserted(&self, kind: AssertionKind, node: &Node) -> Option<AssertionValue> {
        let Some(text) = node.text().filter(|text| text.starts_with(FILE)) else {
            if node.text().is_some_and(|text| text.starts_with("package:")) {
                self.script(node);
                return None;
            }
            return Some(AssertionValue::Json(node.to_value()));
        };
        let path = match text.rsplit_once(':') {
            Some((path, function)) if !function.contains('/') => path,
            _ => text,
        };
        if is_javascript(path) {
            return self.script_file(text, node).map(AssertionValue::Script);
        }
        if is_foreign_code(path) {
            self.refuse_code(path, node);
            return None;
        }
        let value = self.loaded_file(text, node)?;
        if kind == AssertionKind::Javascript && !value.is_string() {
            let message = format!("`{text}` holds no code");
            self.wrong(node, message, "name a `.js` file");
            return None;
        }
        // The line end that editors put at the end of a file is no part of what is wanted.
        let value = match value {
            Value::String(text) => text.trim().into(),
            other => other,
        };
        Some(AssertionValue::Json(value))
    }

    /// Reads a judge's instructions: a text, a list, or a file of either.
    pub(super) fn rubric_prompt(&self, node: &Node) -> Option<Value> {
        let value = match node.text() {
            Some(text) if text.starts_with(FILE) => self.loaded_file(text, node)?,
            _ => node.to_value(),
        };
        let is_message = |item: &Value| {
            item.is_string() || (item.get("role").is_some() && item.get("content").is_some())
        };
        match value {
            Value::String(text) => Some(Value::String(text)),
            Value::Array(items) if items.iter().all(is_message) => Some(Value::Array(items)),
            _ => {
                self.wrong(
                    node,
                    "a judge's instructions are text or messages",
                    "write a text, or a list of `{role, content}`",
                );
                None
            }
        }
    }

    /// A list of assertions under `assert`; `None` without one.
    pub(super) fn asserts_of(
        &self,
        fields: &Fields<'_>,
        models: &[NamedModel],
    ) -> Option<Vec<AssertNode>> {
        let node = fields.get("assert")?;
        let Content::List(items) = &node.content else {
            let message = format!("`assert` is a list, and this is {}", node.type_name());
            self.wrong(node, message, "begin each assertion with `- type: ...`");
            return None;
        };
        Some(self.asserts(items, models))
    }
}
