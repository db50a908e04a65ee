//! What a prompt promises to other programs: the form of its answer, and the tools it calls.

use crate::prompts::picoschema;
use serde_json::{Map, Value, json};

/// What a prompt's answer must look like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutputFormat {
    /// `json`, `text`, or whatever the file says.
    pub format: Option<String>,
    /// The JSON Schema of the answer.
    pub schema: Option<Value>,
}

impl OutputFormat {
    /// Whether OpenAI's strict mode accepts the schema as it is: every object closed and every
    /// property required.
    #[must_use]
    pub fn is_strict(&self) -> bool {
        self.schema.as_ref().is_some_and(|schema| {
            schema.get("type").and_then(Value::as_str) == Some("object") && is_strict(schema)
        })
    }
}

fn is_strict(schema: &Value) -> bool {
    let Some(map) = schema.as_object() else {
        return false;
    };
    if let Some(properties) = map.get("properties").and_then(Value::as_object) {
        let required = map.get("required").and_then(Value::as_array);
        let is_required = |name: &String| {
            required.is_some_and(|names| names.iter().any(|other| other == name.as_str()))
        };
        if map.get("additionalProperties") != Some(&Value::Bool(false))
            || !properties.keys().all(is_required)
        {
            return false;
        }
        if !properties.values().all(is_strict) {
            return false;
        }
    } else if map.get("type").and_then(Value::as_str) == Some("object") {
        return false;
    }
    map.get("items").is_none_or(is_strict)
        && ["anyOf", "$defs", "definitions"]
            .iter()
            .all(|key| match map.get(*key) {
                Some(Value::Array(branches)) => branches.iter().all(is_strict),
                Some(Value::Object(named)) => named.values().all(is_strict),
                _ => true,
            })
}

/// A tool a prompt may call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
    /// The JSON Schema of its result.
    pub output_schema: Option<Value>,
}

impl Tool {
    /// Returns the tool in Dotprompt's shape.
    pub(super) fn to_value(&self) -> Value {
        let mut map = Map::new();
        map.insert("name".to_owned(), json!(self.name));
        if let Some(description) = &self.description {
            map.insert("description".to_owned(), json!(description));
        }
        map.insert("inputSchema".to_owned(), self.input_schema.clone());
        if let Some(schema) = &self.output_schema {
            map.insert("outputSchema".to_owned(), schema.clone());
        }
        Value::Object(map)
    }

    /// Reads a tool in Dotprompt's shape; `name` stands in for a missing one.
    pub(super) fn parse(
        value: &Value,
        name: Option<&str>,
        resolve: picoschema::Resolve<'_>,
    ) -> Result<Self, String> {
        let map = value.as_object().ok_or("a tool is a mapping")?;
        let text = |key: &str| map.get(key).and_then(Value::as_str).map(str::to_owned);
        let name = text("name")
            .or_else(|| name.map(str::to_owned))
            .ok_or("a tool needs a `name`")?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || 64 < name.len() || !name.chars().all(is_name) {
            return Err(format!(
                "`{name}` is no tool name: up to 64 letters, digits, `_` and `-`"
            ));
        }
        let input_schema = match map.get("inputSchema") {
            Some(schema) => picoschema::expand(schema, resolve)?,
            None => json!({"type": "object", "properties": {}, "additionalProperties": false}),
        };
        let output_schema = match map.get("outputSchema") {
            Some(schema) => Some(picoschema::expand(schema, resolve)?),
            None => None,
        };
        Ok(Self {
            name,
            description: text("description"),
            input_schema,
            output_schema,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{OutputFormat, Tool};
    use serde_json::json;

    #[test]
    fn strict_mode_needs_closed_objects_with_every_property_required() {
        let closed = |properties, required| {
            json!({"type": "object", "properties": properties, "required": required,
                   "additionalProperties": false})
        };
        for (schema, strict) in [
            (closed(json!({"a": {"type": "string"}}), json!(["a"])), true),
            (closed(json!({"a": {"type": "string"}}), json!([])), false),
            (
                closed(
                    json!({"a": {"type": "array", "items": {"type": "object"}}}),
                    json!(["a"]),
                ),
                false,
            ),
            (json!({"type": "object", "properties": {}}), false),
            (json!({"type": "string"}), false),
        ] {
            let output = OutputFormat {
                format: None,
                schema: Some(schema.clone()),
            };
            assert_eq!(output.is_strict(), strict, "{schema}");
        }
    }

    #[test]
    fn tools_need_names_that_providers_accept() {
        let mut none = |_: &str| Ok(None);
        let tool = Tool::parse(
            &json!({"inputSchema": {"a": "string"}}),
            Some("find"),
            &mut none,
        );
        assert_eq!(tool.unwrap().input_schema["required"], json!(["a"]));
        for (value, name) in [
            (json!({}), None),
            (json!({"name": "a b"}), None),
            (json!([]), None),
        ] {
            assert!(Tool::parse(&value, name, &mut none).is_err(), "{value}");
        }
    }
}
