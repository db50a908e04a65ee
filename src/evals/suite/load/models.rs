//! `providers`: who answers the prompts of a suite.

use crate::evals::suite::load::files::extension;
use crate::evals::suite::load::model_names::{Mapped, map_model};
use crate::evals::suite::load::node::{Content, Node};
use crate::evals::suite::load::reading::{FILE, Loader};
use crate::evals::suite::{ModelEntry, ModelSource};
use serde_json::{Map, Value};

/// Keys of a provider.
const KEYS: [&str; 7] = [
    "id",
    "label",
    "config",
    "prompts",
    "transform",
    "delay",
    "env",
];

/// A model entry, with the name it has in the file: cases choose by either.
#[derive(Debug, Clone)]
pub(super) struct NamedModel {
    pub(super) id: String,
    pub(super) entry: ModelEntry,
}

impl Loader<'_> {
    /// Reads `providers` (or `targets`).
    pub(super) fn models(&self, node: &Node) -> Vec<NamedModel> {
        let mut models = Vec::new();
        self.collect_models(node, &mut models, 0);
        let mut labels: Vec<String> = Vec::new();
        for model in &mut models {
            model.entry.label = unique(&model.entry.label, &labels);
            labels.push(model.entry.label.clone());
        }
        models
    }

    fn collect_models(&self, node: &Node, models: &mut Vec<NamedModel>, depth: usize) {
        match &node.content {
            Content::List(items) => {
                for item in items {
                    self.collect_models(item, models, depth);
                }
            }
            Content::Scalar(Value::String(text))
                if text.starts_with(FILE) && is_data(text) && depth < 4 =>
            {
                for path in self.paths_of(text, node) {
                    if let Some(mut file) = self.document(&path, node) {
                        self.fill_environment(&mut file);
                        self.collect_models(&file, models, depth + 1);
                    }
                }
            }
            _ => models.extend(self.model(node)),
        }
    }

    /// Reads one provider: a name, an object, or `{NAME: object}`.
    pub(super) fn model(&self, node: &Node) -> Option<NamedModel> {
        if let Some(name) = node.text() {
            let entry = self.entry(name, node)?;
            return Some(NamedModel {
                id: name.to_owned(),
                entry,
            });
        }
        if let Content::Map(fields) = &node.content
            && let [field] = fields.as_slice()
            && field.name.contains(':')
        {
            return self.model_object(&field.value, Some(&field.name));
        }
        self.model_object(node, None)
    }

    fn model_object(&self, node: &Node, name: Option<&str>) -> Option<NamedModel> {
        let fields = self.fields(node, "a provider", &KEYS)?;
        let id = self.text_at(&fields, "id");
        let Some(id) = id.or_else(|| name.map(str::to_owned)) else {
            self.wrong(
                node,
                "the provider has no `id`",
                "write `id: openai:gpt-5-mini`, or `id: gateway:MODEL`",
            );
            return None;
        };
        if fields.get("env").is_some() {
            self.warn(format!(
                "{}: `env` of a provider is ignored: the gateway's config decides as whom is asked",
                node.place()
            ));
        }
        let entry = self.entry(&id, fields.get("id").unwrap_or(node))?;
        let config = self.map_at(&fields, "config");
        let config = config.map(|config| self.parameters(config, "a provider"));
        let delay = self.count_at(&fields, "delay", (0, 3_600_000));
        Some(NamedModel {
            entry: ModelEntry {
                label: self.text_at(&fields, "label").unwrap_or(entry.label),
                config: config.unwrap_or_default(),
                prompts: self.texts_at(&fields, "prompts").unwrap_or_default(),
                transform: fields.get("transform").and_then(|node| self.script(node)),
                delay_ms: delay.unwrap_or(0),
                place: node.place(),
                ..entry
            },
            id,
        })
    }

    fn entry(&self, name: &str, node: &Node) -> Option<ModelEntry> {
        let source = self.model_source(name, node)?;
        Some(ModelEntry {
            label: name.to_owned(),
            source,
            config: Map::new(),
            prompts: Vec::new(),
            transform: None,
            delay_ms: 0,
            place: node.place(),
        })
    }

    /// What the name of a provider means; a refusal is noted.
    pub(super) fn model_source(&self, name: &str, node: &Node) -> Option<ModelSource> {
        match map_model(name) {
            Mapped::Model(source, note) => {
                if let Some(note) = note {
                    self.warn(note);
                }
                Some(source)
            }
            Mapped::Refused(reason, hint) => {
                self.wrong(node, reason, hint);
                None
            }
        }
    }

    /// Reads who judges: the name of a provider, an object with `id`, or one of these by purpose.
    /// Names become routes.
    pub(super) fn grader(&self, node: &Node, models: &[NamedModel]) -> Option<Value> {
        if let Some(name) = node.text() {
            return self.grader_name(name, node, models);
        }
        let Content::Map(fields) = &node.content else {
            let message = format!(
                "a judge is a model's name, and this is {}",
                node.type_name()
            );
            self.wrong(node, message, "write `provider: openai:gpt-5-mini`");
            return None;
        };
        let purposes = ["text", "embedding", "classification", "moderation"];
        if fields
            .iter()
            .any(|field| purposes.contains(&field.name.as_str()))
        {
            self.fields(node, "judges by purpose", &purposes)?;
            let by_purpose: Option<Map<String, Value>> = fields
                .iter()
                .map(|field| Some((field.name.clone(), self.grader(&field.value, models)?)))
                .collect();
            return by_purpose.map(Value::Object);
        }
        let model = self.model(node)?;
        let id = match model.entry.source {
            ModelSource::Route(route) => route,
            ModelSource::OfPrompt | ModelSource::Echo => return self.no_judge(&model.id, node),
        };
        let mut grader = Map::new();
        grader.insert("id".to_owned(), Value::String(id));
        if !model.entry.config.is_empty() {
            grader.insert("config".to_owned(), Value::Object(model.entry.config));
        }
        Some(Value::Object(grader))
    }

    fn grader_name(&self, name: &str, node: &Node, models: &[NamedModel]) -> Option<Value> {
        let known = models
            .iter()
            .find(|model| model.entry.label == name || model.id == name);
        let source = match known {
            Some(model) => model.entry.source.clone(),
            None if name.starts_with(FILE) && is_data(name) => {
                let path = self.path_of(name, node)?;
                let file = self.document(&path, node)?;
                return self.grader(&file, &[]);
            }
            None => self.model_source(name, node)?,
        };
        let ModelSource::Route(route) = source else {
            return self.no_judge(name, node);
        };
        match known.map(|model| &model.entry.config) {
            Some(config) if !config.is_empty() => {
                Some(serde_json::json!({"id": route, "config": config}))
            }
            _ => Some(Value::String(route)),
        }
    }

    fn no_judge(&self, name: &str, node: &Node) -> Option<Value> {
        self.wrong(
            node,
            format!("`{name}` cannot judge"),
            "name a model, as in `gateway:openai/gpt-5-mini`",
        );
        None
    }
}

/// Whether a reference is to a file of data.
pub(super) fn is_data(reference: &str) -> bool {
    matches!(extension(reference).as_str(), "yaml" | "yml" | "json")
}

/// Returns `label`, with a number behind it when it is taken.
pub(super) fn unique(label: &str, taken: &[String]) -> String {
    let is_free = |label: &str| !taken.iter().any(|other| other == label);
    if is_free(label) {
        return label.to_owned();
    }
    let numbered = (2_u32..).map(|number| format!("{label} #{number}"));
    numbered
        .into_iter()
        .find(|label| is_free(label))
        .unwrap_or_else(|| label.to_owned())
}

/// Whether `wanted`, a name in a filter, means something that has these names: the name itself, the
/// group before a colon, or the start before a `*`.
pub(super) fn is_meant(wanted: &str, names: &[&str]) -> bool {
    names.iter().any(|name| {
        let is_group = name
            .strip_prefix(wanted)
            .is_some_and(|rest| rest.starts_with(':'));
        let is_start = wanted
            .strip_suffix('*')
            .is_some_and(|start| name.starts_with(start));
        *name == wanted || is_group || is_start
    })
}
