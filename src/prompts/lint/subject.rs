//! One prompt under the linter: its file, its front matter with places, and what it says.

use crate::domain::PromptKey;
use crate::prompts::files::Text;
use crate::prompts::front_matter::Document;
use crate::prompts::lint::finding::{Finding, Sheet};
use crate::prompts::lint::rule::Rule;
use crate::prompts::lint::walk::{self, Event};
use crate::prompts::lint::yaml::{Entry, Node};
use crate::prompts::load::Prompt;
use std::ops::Range;

/// A prompt's file whose front matter could be parsed.
#[derive(Debug)]
pub(super) struct Subject<'a> {
    pub(super) key: &'a PromptKey,
    pub(super) sheet: Sheet<'a>,
    pub(super) document: Document,
    pub(super) yaml: Node,
    /// The version; `None` when it cannot be loaded.
    pub(super) prompt: Option<&'a Prompt>,
    /// What it says; empty when it cannot be loaded.
    pub(super) events: Vec<Event<'a>>,
}

impl<'a> Subject<'a> {
    /// `None` when the file is broken, which the load reports.
    pub(super) fn read(
        key: &'a PromptKey,
        text: &'a Text,
        prompt: Option<&'a Prompt>,
    ) -> Option<Self> {
        let document = Document::parse(&text.text).ok()?;
        let yaml = Node::parse(&document.yaml, document.yaml_start)?;
        let events = prompt.map(|prompt| {
            let bundle = &prompt.bundle;
            let template = (bundle.template(), document.template_start);
            let schema = bundle.input_schema();
            walk::events(template, bundle.program(), bundle.included(), schema)
        });
        Some(Self {
            key,
            sheet: Sheet {
                path: &text.path,
                text: &text.text,
            },
            document,
            yaml,
            prompt,
            events: events.unwrap_or_default(),
        })
    }

    pub(super) fn finding(
        &self,
        rule: Rule,
        range: &Range<usize>,
        message: impl Into<String>,
    ) -> Finding {
        self.sheet.finding(rule, range, message)
    }

    /// Where a key of the front matter stands, by its path; the start of the file when it is not
    /// there.
    pub(super) fn key_place(&self, path: &[&str]) -> Range<usize> {
        self.yaml
            .at(path)
            .map_or(0..0, |entry| entry.key_range.clone())
    }

    /// Where the value of a top-level key stands; the key, when the value is no scalar.
    pub(super) fn value_place(&self, key: &str) -> Range<usize> {
        match self.yaml.entry(key) {
            Some(entry) if entry.value.scalar().is_some() => entry.value.range.clone(),
            Some(entry) => entry.key_range.clone(),
            None => 0..0,
        }
    }

    /// Where the variable `name` is declared; where it has a default; else the whole schema.
    pub(super) fn declaration(&self, name: &str) -> Range<usize> {
        let schema = self.yaml.at(&["input", "schema"]);
        let declared = schema.and_then(|schema| property(&schema.value, name));
        let default = || self.yaml.at(&["input", "default", name]);
        let entry = declared.or_else(default).or(schema);
        entry.map_or_else(
            || self.key_place(&["input"]),
            |entry| entry.key_range.clone(),
        )
    }

    /// The variables that the author vouches for: names, or `None` for all.
    pub(super) fn trusted(&self) -> Option<Vec<&str>> {
        let key = "promptgate.trusted";
        match self.document.raw.get(key) {
            Some(serde_json::Value::Bool(true)) => None,
            Some(serde_json::Value::Array(names)) => {
                Some(names.iter().filter_map(serde_json::Value::as_str).collect())
            }
            _ => Some(Vec::new()),
        }
    }
}

/// Finds the property `name` of a schema, picoschema (`name?(array, what)`) or JSON Schema.
pub(super) fn property<'n>(schema: &'n Node, name: &str) -> Option<&'n Entry> {
    let entries = schema.entries().iter();
    let is_it = |entry: &&Entry| property_name(&entry.key) == name;
    let short = entries.clone().find(is_it);
    short.or_else(|| schema.at(&["properties", name]))
}

/// `name` of `name?(array, what)`.
pub(super) fn property_name(key: &str) -> &str {
    let name = key.split_once('(').map_or(key, |(name, _)| name);
    name.trim().trim_end_matches('?')
}
