//! A prompt on its way: what is known of it, and the files it becomes.

use crate::domain::PromptKey;
use crate::prompts::front_matter::Document;
use crate::prompts::import::template::{Node, Turn, variables, write};
use crate::prompts::import::{PromptReport, yaml};
use serde_json::{Map, Value, json};

/// A prompt, read from another tool's file.
#[derive(Debug, Default)]
pub(super) struct Imported {
    /// The file it came from.
    pub(super) from: String,
    /// As the other tool calls it.
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) model: Option<String>,
    pub(super) config: Map<String, Value>,
    /// Picoschema or JSON Schema of the variables.
    pub(super) input: Option<Value>,
    pub(super) defaults: Map<String, Value>,
    /// `format` and `schema`.
    pub(super) output: Map<String, Value>,
    pub(super) tools: Vec<Value>,
    pub(super) turns: Vec<Turn>,
    /// Named sample inputs.
    pub(super) samples: Vec<(String, Map<String, Value>)>,
    pub(super) changed: Vec<String>,
    pub(super) dropped: Vec<String>,
    pub(super) alias: Option<String>,
}

type Written = (Vec<(String, String)>, PromptReport);

impl Imported {
    /// A prompt called `name`, which may be a path of files that are called prompts there too.
    pub(super) fn new(from: &str, name: &str) -> Self {
        let name = name.strip_prefix("prompts/").unwrap_or(name);
        Self {
            from: from.to_owned(),
            name: name.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn changed(&mut self, what: impl Into<String>) {
        self.changed.push(what.into());
    }

    /// Notes a change that only matters where there are variables.
    pub(super) fn needs_variables(&mut self, what: &str) {
        if !variables(&self.turns).is_empty() {
            self.changed(what);
        }
    }

    pub(super) fn dropped(&mut self, what: impl Into<String>) {
        self.dropped.push(what.into());
    }

    /// Writes the files. The error says what cannot be written.
    pub(super) fn write(mut self) -> Result<Written, String> {
        let name = self.key()?;
        let last = match self.turns.last() {
            Some(Turn::Message(_, nodes)) => nodes.last(),
            _ => None,
        };
        if matches!(last, Some(Node::Text(text)) if text.ends_with(char::is_whitespace)) {
            self.changed("white space at the end of the last message is gone");
        }
        let front = self.front();
        let yaml = yaml::write(&front);
        let template = write(&self.turns)?;
        let text = format!("---\n{yaml}---\n{template}\n");
        let document = Document::parse(&text).map_err(|problem| problem.message)?;
        if document.raw != front || document.template != template {
            return Err("the settings cannot be written without changing them".to_owned());
        }
        let mut files = vec![(format!("{name}.prompt"), text)];
        if !self.samples.is_empty() {
            let samples: Vec<Value> = self
                .samples
                .iter()
                .map(|(name, variables)| json!({"name": name, "variables": variables}))
                .collect();
            let map = Map::from_iter([("samples".to_owned(), Value::from(samples))]);
            files.push((format!("{name}.samples.yaml"), yaml::write(&map)));
        }
        let report = PromptReport {
            from: self.from.clone(),
            name,
            files: files.iter().map(|(path, _)| path.clone()).collect(),
            carried: self.carried(),
            changed: self.changed,
            dropped: self.dropped,
            alias: self.alias,
        };
        Ok((files, report))
    }

    /// The name as it may be here: other characters become `-`.
    fn key(&mut self) -> Result<String, String> {
        let mut name = String::new();
        for c in self.name.chars() {
            let is_good = c.is_ascii_alphanumeric() || "_-./".contains(c);
            if is_good {
                name.push(c);
            } else if !name.ends_with(['-', '/']) {
                name.push('-');
            }
        }
        let parts = name
            .split('/')
            .map(|part| part.trim_matches(['-', '.', '_']));
        let name = parts
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join("/");
        if PromptKey::parse(&name).is_err() {
            return Err(format!("`{}` gives no name for a prompt", self.name));
        }
        if name != self.name {
            let change = format!("the name `{}` became `{name}`", self.name);
            self.changed.push(change);
        }
        Ok(name)
    }

    fn front(&self) -> Map<String, Value> {
        let mut front = Map::new();
        let mut put = |key: &str, value: Option<Value>| {
            if let Some(value) = value {
                front.insert(key.to_owned(), value);
            }
        };
        let object =
            |map: &Map<String, Value>| (!map.is_empty()).then(|| Value::Object(map.clone()));
        put("description", self.description.clone().map(Value::from));
        put("model", self.model.clone().map(Value::from));
        put("config", object(&self.config));
        let mut input = Map::new();
        if let Some(defaults) = object(&self.defaults) {
            input.insert("default".to_owned(), defaults);
        }
        if let Some(schema) = &self.input {
            input.insert("schema".to_owned(), schema.clone());
        }
        put("input", object(&input));
        put("output", object(&self.output));
        put(
            "toolDefs",
            (!self.tools.is_empty()).then(|| Value::from(self.tools.clone())),
        );
        // A file needs a front matter, and an empty one is no front matter.
        if front.is_empty() {
            front.insert(
                "description".to_owned(),
                json!(format!("Imported from {}.", self.from)),
            );
        }
        front
    }

    fn carried(&self) -> Vec<String> {
        let messages = self
            .turns
            .iter()
            .filter(|turn| matches!(turn, Turn::Message(..)));
        let mut carried = vec![count(messages.count(), "message")];
        if let Some(model) = &self.model {
            carried.push(format!("model {model}"));
        }
        if !self.config.is_empty() {
            let names: Vec<&str> = self.config.keys().map(String::as_str).collect();
            carried.push(format!("settings {}", names.join(", ")));
        }
        if self.input.is_some() {
            carried.push("the schema of the variables".to_owned());
        }
        if !self.defaults.is_empty() {
            carried.push(count(self.defaults.len(), "default"));
        }
        if self.output.contains_key("schema") {
            carried.push("the schema of the answer".to_owned());
        }
        if !self.tools.is_empty() {
            carried.push(count(self.tools.len(), "tool"));
        }
        if !self.samples.is_empty() {
            carried.push(count(self.samples.len(), "sample"));
        }
        carried
    }
}

/// `2 tools`.
pub(super) fn count(number: usize, noun: &str) -> String {
    let ending = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{ending}")
}
