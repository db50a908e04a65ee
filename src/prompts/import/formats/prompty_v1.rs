//! Prompty's first version, in the words of the second.

use crate::prompts::import::file::Imported;
use serde_json::{Map, Value, json};

/// Returns the front matter as the second version would have it. Samples go to `prompt`.
pub(super) fn upgrade(front: &Map<String, Value>, prompt: &mut Imported) -> Map<String, Value> {
    let mut new = Map::new();
    let mut sample = front
        .get("sample")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    for (key, value) in front {
        match key.as_str() {
            "model" => {
                new.insert("model".to_owned(), model(value, prompt));
            }
            "inputs" => {
                new.insert("inputs".to_owned(), inputs(value, &mut sample));
            }
            "sample" | "version" | "authors" | "tags" => {
                if key != "sample" {
                    prompt.dropped(format!("`{key}`: Git knows authors and versions"));
                }
            }
            _ => {
                new.insert(key.clone(), value.clone());
            }
        }
    }
    if !sample.is_empty() {
        prompt.samples.push(("sample".to_owned(), sample));
    }
    new
}

fn model(value: &Value, prompt: &mut Imported) -> Value {
    let field = |map: &str, key: &str| value.get(map).and_then(|map| map.get(key)).cloned();
    let mut model = Map::new();
    let id = field("configuration", "azure_deployment")
        .or_else(|| field("configuration", "name"))
        .or_else(|| field("configuration", "model"));
    if let Some(id) = id {
        model.insert("id".to_owned(), id);
    }
    if let Some(Value::String(api)) = value.get("api") {
        model.insert("apiType".to_owned(), json!(api));
    }
    if value.get("configuration").is_some() {
        prompt.dropped("`model.configuration`: providers are set in promptgate.toml");
    }
    let mut options = value
        .get("parameters")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if let Some(Value::Array(_)) = options.get("tools") {
        options.shift_remove("tools");
        prompt.dropped("`model.parameters.tools`: write them under `toolDefs`");
    }
    if !options.is_empty() {
        model.insert("options".to_owned(), Value::Object(options));
    }
    Value::Object(model)
}

/// `type` is `kind` now, and a sample is no default.
fn inputs(value: &Value, sample: &mut Map<String, Value>) -> Value {
    let mut inputs = Map::new();
    for (name, input) in value.as_object().into_iter().flatten() {
        let mut fields = input.as_object().cloned().unwrap_or_default();
        if let Some(kind) = fields.shift_remove("type") {
            let kind = match kind.as_str() {
                Some("number") => json!("float"),
                Some("list") => json!("array"),
                _ => kind,
            };
            fields.insert("kind".to_owned(), kind);
        }
        if let Some(value) = fields.shift_remove("sample") {
            sample.entry(name.clone()).or_insert(value);
        }
        inputs.insert(name.clone(), Value::Object(fields));
    }
    Value::Object(inputs)
}
