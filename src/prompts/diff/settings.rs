//! Settings that differ: the model, its parameters, and what the gateway does with a call.

use crate::prompts::bundle::Bundle;
use crate::prompts::messages::MessagesMode;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A setting that differs. `null` where a side does not have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingDiff {
    /// `model`, `config.temperature`, `promptgate.locked`, `output.format`.
    pub name: String,
    /// As it was.
    pub base: Value,
    /// As it is.
    pub head: Value,
}

/// Returns what answers look like: `json` or `text`, unless the file names something else.
pub(super) fn format_of(bundle: &Bundle) -> &str {
    match bundle.output() {
        None => "text",
        Some(output) => match (&output.format, &output.schema) {
            (Some(format), _) => format,
            (None, Some(_)) => "json",
            (None, None) => "text",
        },
    }
}

/// Compares the settings of two versions; those that are the same are left out.
pub(super) fn compare(base: &Bundle, head: &Bundle) -> Vec<SettingDiff> {
    let (mut old, mut new) = (all(base), all(head));
    let mut found = Vec::new();
    let names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    for name in names {
        let (base, head) = (old.remove(&name), new.remove(&name));
        if base != head {
            found.push(SettingDiff {
                base: base.unwrap_or_default(),
                head: head.unwrap_or_default(),
                name,
            });
        }
    }
    // The model first, the rest by name.
    found.sort_by(|a, b| (a.name != "model", &a.name).cmp(&(b.name != "model", &b.name)));
    found
}

fn all(bundle: &Bundle) -> BTreeMap<String, Value> {
    let config = bundle.config().iter();
    let mut all: BTreeMap<String, Value> = config
        .map(|(name, value)| (format!("config.{name}"), value.clone()))
        .collect();
    let messages = match bundle.messages_mode() {
        MessagesMode::History => "history",
        MessagesMode::Append => "append",
        MessagesMode::Forbid => "forbid",
    };
    let bindings: Map<String, Value> = bundle
        .bindings()
        .iter()
        .map(|(name, source)| (name.clone(), json!(source)))
        .collect();
    for (name, value) in [
        ("model", json!(bundle.model())),
        ("output.format", json!(format_of(bundle))),
        ("promptgate.messages", json!(messages)),
        ("promptgate.locked", json!(bundle.locked())),
        ("promptgate.bind", Value::Object(bindings)),
        ("promptgate.strict", json!(bundle.is_strict())),
        ("promptgate.enforce_output", json!(bundle.enforces_output())),
    ] {
        all.insert(name.to_owned(), value);
    }
    all
}
