//! Drafts -> cases: defaults under them, lists of values written out, files of values read.

use crate::domain::sha256_hex;
use crate::evals::suite::load::drafts::Draft;
use crate::evals::suite::load::files::extension;
use crate::evals::suite::load::models::{NamedModel, is_meant};
use crate::evals::suite::load::node::{Content, Field, Node};
use crate::evals::suite::load::prompts::NamedPrompt;
use crate::evals::suite::load::reading::{FILE, Loader, is_foreign_code, is_javascript};
use crate::evals::suite::{AssertNode, Case, CaseId, CaseOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Cases of a suite.
pub(super) const MAX_CASES: usize = 200_000;
/// Cases that one case with lists of values becomes.
const MAX_COMBINATIONS: usize = 10_000;

/// What cases are laid over, and choose from.
pub(super) struct Around<'a> {
    pub(super) models: &'a [NamedModel],
    pub(super) prompts: &'a [NamedPrompt],
    pub(super) default: Option<Draft>,
    /// Models that single cases bring.
    pub(super) extra: RefCell<Vec<NamedModel>>,
}

impl Loader<'_> {
    /// Makes cases of a draft.
    pub(super) fn cases_of(&self, own: Draft, around: &Around<'_>, cases: &mut Vec<Case>) {
        let own_asserts = own.asserts.clone();
        let own_switches = self.switches(&own.options);
        let merged = match &around.default {
            None => own,
            Some(default) if own_switches.is_without_default_asserts => own.over(&Draft {
                asserts: Vec::new(),
                ..default.clone()
            }),
            Some(default) => own.over(default),
        };
        let is_expanded = !self.switches(&merged.options).is_without_expansion;
        let options = self.options(&merged.options, &merged.node, around.models);
        let models = self.models_of(&merged, around);
        let prompts = self.prompts_of(&merged, around);
        let combinations = self.combinations(&merged.vars, is_expanded, &merged.node);
        if MAX_CASES < cases.len() + combinations.len() {
            let message = format!("there are more than {MAX_CASES} cases");
            self.wrong(&self.anywhere(), message, "split the suite");
            return;
        }
        for vars in combinations {
            cases.push(Case {
                id: CaseId(own_id(&vars, &own_asserts, &merged.metadata)),
                description: merged.description.clone(),
                vars,
                asserts: merged.asserts.clone(),
                threshold: merged.threshold,
                scoring: merged.scoring.clone(),
                options: CaseOptions { ..options.clone() },
                metadata: merged.metadata.clone(),
                models: models.clone(),
                prompts: prompts.clone(),
                given_output: merged.given_output.clone(),
                cluster: None,
                slices: BTreeMap::new(),
                messages: None,
                group: None,
                place: merged.node.place(),
            });
        }
    }

    /// The labels of the models that a case is for; empty for all.
    fn models_of(&self, draft: &Draft, around: &Around<'_>) -> Vec<String> {
        if let Some(node) = &draft.provider {
            return self.own_model(node, around).into_iter().collect();
        }
        let Some(wanted) = &draft.providers else {
            return Vec::new();
        };
        let mut labels = Vec::new();
        for name in wanted {
            let meant = around
                .models
                .iter()
                .filter(|model| is_meant(name, &[&model.entry.label, &model.id]));
            let before = labels.len();
            labels.extend(meant.map(|model| model.entry.label.clone()));
            if before == labels.len() {
                let message = format!("the case is for `{name}`, and no provider is called so");
                self.wrong(&draft.node, message, "name a provider by its label or id");
            }
        }
        labels.sort();
        labels.dedup();
        labels
    }

    /// The label of the model that a case brings, or of the suite's own that it names.
    fn own_model(&self, node: &Node, around: &Around<'_>) -> Option<String> {
        let known = |name: &str| {
            let mut models = around.models.iter();
            let found = models.find(|model| model.entry.label == name || model.id == name)?;
            Some(found.entry.label.clone())
        };
        if let Some(label) = node.text().and_then(known) {
            return Some(label);
        }
        let mut model = self.model(node)?;
        let mut extra = around.extra.borrow_mut();
        let is_same = |other: &&NamedModel| {
            other.id == model.id
                && other.entry.config == model.entry.config
                && other.entry.transform == model.entry.transform
        };
        if let Some(same) = extra.iter().find(is_same) {
            return Some(same.entry.label.clone());
        }
        let labels = around.models.iter().chain(extra.iter());
        let labels: Vec<String> = labels.map(|model| model.entry.label.clone()).collect();
        model.entry.label = super::models::unique(&model.entry.label, &labels);
        let label = model.entry.label.clone();
        extra.push(model);
        Some(label)
    }

    fn prompts_of(&self, draft: &Draft, around: &Around<'_>) -> Vec<String> {
        let wanted = draft.prompts.iter().flatten();
        let mut labels = Vec::new();
        for name in wanted {
            let meant = around.prompts.iter().filter(|prompt| {
                let mut names: Vec<&str> = prompt.names.iter().map(String::as_str).collect();
                names.push(&prompt.entry.label);
                is_meant(name, &names)
            });
            let before = labels.len();
            labels.extend(meant.map(|prompt| prompt.entry.label.clone()));
            if before == labels.len() {
                let message = format!("the case is for `{name}`, and no prompt is called so");
                self.wrong(&draft.node, message, "name a prompt by its label");
            }
        }
        labels
    }

    /// Every combination of the values of variables that are lists of texts.
    fn combinations(
        &self,
        vars: &[Field],
        is_expanded: bool,
        at: &Node,
    ) -> Vec<Map<String, Value>> {
        let mut combinations = vec![Map::new()];
        for field in vars {
            let values = if is_expanded {
                self.values(&field.value)
            } else {
                vec![field.value.to_value()]
            };
            if MAX_COMBINATIONS < combinations.len() * values.len() {
                let message = format!(
                    "the lists of values make more than {MAX_COMBINATIONS} cases of this one"
                );
                let hint = "set `options.disableVarExpansion` where a list is one value";
                self.wrong(at, message, hint);
                return Vec::new();
            }
            combinations = combinations
                .into_iter()
                .flat_map(|combination| {
                    values.iter().map(move |value| {
                        let mut next = combination.clone();
                        next.insert(field.name.clone(), value.clone());
                        next
                    })
                })
                .collect();
        }
        combinations
    }

    /// The values of a variable, each of which makes a case.
    fn values(&self, node: &Node) -> Vec<Value> {
        match &node.content {
            Content::Scalar(Value::String(text)) if text.starts_with(FILE) => {
                self.file_values(text, node)
            }
            // A list that begins with anything but text is one value.
            Content::List(items) if items.first().is_some_and(|item| item.text().is_some()) => {
                let values = items.iter().flat_map(|item| match item.text() {
                    Some(text) if text.starts_with(FILE) => self.file_values(text, item),
                    _ => vec![trimmed(item.to_value())],
                });
                values.collect()
            }
            _ => vec![trimmed(node.to_value())],
        }
    }

    fn file_values(&self, reference: &str, node: &Node) -> Vec<Value> {
        if is_javascript(reference) || is_foreign_code(reference) {
            let message = format!("`{reference}` is a program that makes a value, and none is run");
            let hint = "write the value, or change it with `options.transformVars` (JavaScript)";
            self.wrong(node, message, hint);
            return Vec::new();
        }
        let paths = self.paths_of(reference, node);
        paths
            .iter()
            .filter_map(|path| self.file_value(path, node))
            .collect()
    }

    fn file_value(&self, path: &str, node: &Node) -> Option<Value> {
        let image = match extension(path).as_str() {
            "yaml" | "yml" => {
                let value = self.document(path, node)?.to_value();
                return Some(Value::String(value.to_string()));
            }
            "png" => "image/png",
            "jpg" | "jpeg" => "image/jpeg",
            "gif" => "image/gif",
            "webp" => "image/webp",
            ending @ ("pdf" | "mp3" | "wav" | "mp4" | "mov" | "docx") => {
                let message = format!("`{path}` is no text, and `.{ending}` is not read");
                self.wrong(node, message, "save its text as `.txt`");
                return None;
            }
            _ => {
                let text = self.text(path, node)?;
                return Some(Value::String(text.trim().to_owned()));
            }
        };
        let bytes = self.bytes(path, node)?;
        let data = STANDARD.encode(bytes);
        Some(Value::String(format!("data:{image};base64,{data}")))
    }
}

/// A text loses the line break at its end, which block scalars of YAML have.
fn trimmed(value: Value) -> Value {
    match value {
        Value::String(mut text) => {
            if text.ends_with('\n') {
                text.pop();
            }
            Value::String(text)
        }
        other => other,
    }
}

/// `metadata.id`, or 12 hex digits of what is asked and asserted by the case itself.
fn own_id(
    vars: &Map<String, Value>,
    asserts: &[AssertNode],
    metadata: &Map<String, Value>,
) -> String {
    match metadata.get("id") {
        Some(Value::String(id)) if !id.trim().is_empty() => return id.clone(),
        Some(Value::Number(id)) => return id.to_string(),
        _ => {}
    }
    let asserts: Vec<Value> = asserts.iter().map(without_place).collect();
    let identity = json!({"vars": vars, "asserts": asserts}).to_string();
    sha256_hex(identity.as_bytes()).chars().take(12).collect()
}

/// An assertion without the lines it stands on.
fn without_place(node: &AssertNode) -> Value {
    let drop_place = |mut value: Value| {
        if let Some(fields) = value.as_object_mut() {
            fields.shift_remove("place");
        }
        value
    };
    let shown = |value: Result<Value, serde_json::Error>| drop_place(value.unwrap_or_default());
    match node {
        AssertNode::One(assertion) => shown(serde_json::to_value(assertion)),
        AssertNode::Set(set) => {
            let mut value = shown(serde_json::to_value(set));
            let inner: Vec<Value> = set
                .asserts
                .iter()
                .map(|assertion| shown(serde_json::to_value(assertion)))
                .collect();
            if let Some(fields) = value.as_object_mut() {
                fields.insert("asserts".to_owned(), Value::Array(inner));
            }
            value
        }
    }
}
