//! Picoschema, Dotprompt's short form of JSON Schema, expanded to JSON Schema.

use serde_json::{Map, Value, json};

pub(super) const SCALARS: [&str; 6] = ["any", "boolean", "integer", "null", "number", "string"];

/// Schemas nested deeper than this are refused.
const MAX_DEPTH: usize = 32;

/// Finds a schema by its name and returns it expanded; `Ok(None)` when there is none.
pub(super) type Resolve<'a> = &'a mut dyn FnMut(&str) -> Result<Option<Value>, String>;

/// Expands `schema`, picoschema or JSON Schema, to JSON Schema. The error is in words.
pub(super) fn expand(schema: &Value, resolve: Resolve<'_>) -> Result<Value, String> {
    match schema {
        Value::String(text) => scalar(text, resolve),
        Value::Object(map) if is_json_schema(map) => Ok(schema.clone()),
        Value::Object(map) if map.get("properties").is_some_and(Value::is_object) => {
            let mut map = map.clone();
            map.insert("type".to_owned(), json!("object"));
            Ok(Value::Object(map))
        }
        Value::Object(map) => object(map, resolve, 0),
        _ => Err("a schema is text or a mapping".to_owned()),
    }
}

fn is_json_schema(map: &Map<String, Value>) -> bool {
    let is_type = |name: &str| SCALARS.contains(&name) || matches!(name, "object" | "array");
    match map.get("type") {
        Some(Value::String(name)) => is_type(name),
        // A list of types is no picoschema either.
        Some(Value::Array(names)) => {
            !names.is_empty() && names.iter().all(|name| name.as_str().is_some_and(is_type))
        }
        _ => map.contains_key("$ref") || map.contains_key("$schema"),
    }
}

/// Splits `type, description` at the first comma.
fn split_description(text: &str) -> (&str, Option<&str>) {
    match text.split_once(',') {
        Some((kind, description)) => (kind.trim(), Some(description.trim())),
        None => (text.trim(), None),
    }
}

fn scalar(text: &str, resolve: Resolve<'_>) -> Result<Value, String> {
    let (kind, description) = split_description(text);
    let mut schema = match kind {
        "any" => Map::new(),
        _ if SCALARS.contains(&kind) => Map::from_iter([("type".to_owned(), json!(kind))]),
        _ => match resolve(kind)? {
            Some(Value::Object(map)) => map,
            Some(other) => return Ok(other),
            None => {
                return Err(format!(
                    "`{kind}` is neither a scalar type nor a schema in `schemas/`"
                ));
            }
        },
    };
    if let Some(description) = description {
        schema.insert("description".to_owned(), json!(description));
    }
    Ok(Value::Object(schema))
}

fn object(map: &Map<String, Value>, resolve: Resolve<'_>, depth: usize) -> Result<Value, String> {
    if MAX_DEPTH < depth {
        return Err(format!("the schema is nested deeper than {MAX_DEPTH}"));
    }
    let mut properties = Map::new();
    let mut required = Vec::new();
    let mut additional = Value::Bool(false);
    for (key, value) in map {
        if key == "(*)" {
            additional = any_of_picoschema(value, resolve, depth)?;
            continue;
        }
        let (name, kind) = match key.split_once('(') {
            Some((name, kind)) => {
                let kind = kind
                    .strip_suffix(')')
                    .ok_or_else(|| format!("`{key}` has no closing parenthesis"))?;
                (name.trim(), Some(kind))
            }
            None => (key.trim(), None),
        };
        let (name, is_optional) = match name.strip_suffix('?') {
            Some(name) => (name, true),
            None => (name, false),
        };
        let mut property = match kind {
            Some(kind) => parenthesised(name, kind, value, resolve, depth)?,
            None => any_of_picoschema(value, resolve, depth)?,
        };
        if is_optional {
            make_nullable(&mut property);
        } else {
            required.push(json!(name));
        }
        properties.insert(name.to_owned(), property);
    }
    let mut schema = Map::new();
    schema.insert("type".to_owned(), json!("object"));
    schema.insert("properties".to_owned(), Value::Object(properties));
    if !required.is_empty() {
        schema.insert("required".to_owned(), Value::Array(required));
    }
    schema.insert("additionalProperties".to_owned(), additional);
    Ok(Value::Object(schema))
}

/// Expands a value below the top, where a mapping is always picoschema.
fn any_of_picoschema(value: &Value, resolve: Resolve<'_>, depth: usize) -> Result<Value, String> {
    match value {
        Value::String(text) => scalar(text, resolve),
        Value::Object(map) => object(map, resolve, depth + 1),
        _ => Err("a schema is text or a mapping".to_owned()),
    }
}

fn parenthesised(
    name: &str,
    kind: &str,
    value: &Value,
    resolve: Resolve<'_>,
    depth: usize,
) -> Result<Value, String> {
    let (kind, description) = split_description(kind);
    let mut schema = match kind {
        "array" => Map::from_iter([
            ("type".to_owned(), json!("array")),
            (
                "items".to_owned(),
                any_of_picoschema(value, resolve, depth)?,
            ),
        ]),
        "object" => match any_of_picoschema(value, resolve, depth)? {
            Value::Object(map) => map,
            _ => return Err(format!("`{name}` is no object")),
        },
        "enum" => match value {
            Value::Array(options) if !options.is_empty() => {
                Map::from_iter([("enum".to_owned(), Value::Array(options.clone()))])
            }
            _ => return Err(format!("the enum `{name}` needs a list of values")),
        },
        _ => {
            return Err(format!(
                "`{name}({kind})`: the kind is `array`, `object` or `enum`"
            ));
        }
    };
    if let Some(description) = description {
        schema.insert("description".to_owned(), json!(description));
    }
    Ok(Value::Object(schema))
}

/// An optional property may be `null` as well as absent.
fn make_nullable(schema: &mut Value) {
    let Some(map) = schema.as_object_mut() else {
        return;
    };
    if let Some(Value::Array(options)) = map.get_mut("enum")
        && !options.contains(&Value::Null)
    {
        options.push(Value::Null);
    }
    if let Some(kind) = map.get_mut("type") {
        match kind {
            Value::String(_) => *kind = json!([kind.take(), "null"]),
            Value::Array(kinds) if !kinds.contains(&json!("null")) => kinds.push(json!("null")),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::expand;
    use serde_json::json;

    #[test]
    fn bad_schemas_say_what_is_wrong() {
        for (schema, words) in [
            (json!({"a": "strng"}), "`strng` is neither"),
            (json!({"a(list)": "string"}), "`array`, `object` or `enum`"),
            (json!({"a(array": "string"}), "no closing parenthesis"),
            (json!({"a(enum)": "x"}), "needs a list"),
            (json!(7), "text or a mapping"),
        ] {
            let error = expand(&schema, &mut |_| Ok(None)).unwrap_err();
            assert!(error.contains(words), "{schema}: {error}");
        }
    }

    #[test]
    fn what_the_cases_upstream_leave_open_is_decided() {
        let mut none = |_: &str| Ok(None);
        let any = expand(&json!("any, what you like"), &mut none).unwrap();
        assert_eq!(any, json!({"description": "what you like"}));
        let listed = expand(&json!({"type": ["string", "null"]}), &mut none).unwrap();
        assert_eq!(listed, json!({"type": ["string", "null"]}));
        let nested = expand(&json!({"a?": {"b": "string"}}), &mut none).unwrap();
        assert_eq!(nested["properties"]["a"]["type"], json!(["object", "null"]));
    }
}
