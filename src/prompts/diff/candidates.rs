//! Values that a schema may have: to find one that another schema refuses, and to fill a prompt that
//! has no samples.

use crate::prompts::diff::schema::compiled;
use serde_json::{Map, Value, json};
use std::cell::Cell;

/// Values of one place in a schema.
const MAX_EACH: usize = 40;
/// Schemas inside each other deeper than this get no values.
const MAX_DEPTH: usize = 12;
/// Places that are visited in all: references may branch without end.
const MAX_PLACES: usize = 2_000;

/// Returns values that are near the limits of `schema`, and of `other` in the same place. Not all of
/// them are values of `schema`.
pub(super) fn candidates(schema: &Value, other: Option<&Value>) -> Vec<Value> {
    let maker = Maker {
        left: Cell::new(MAX_PLACES),
        root: schema,
        other_root: other.unwrap_or(&Value::Null),
    };
    maker.values(schema, other.unwrap_or(&Value::Null), 0)
}

/// Makes a value up for `schema`; `name` is what its texts say. `None` when none is found.
pub(super) fn made_up(name: &str, schema: &Value) -> Option<Value> {
    let validator = compiled(schema)?;
    let text = json!(format!("<{name}>"));
    let first = validator.is_valid(&text).then_some(text);
    first.or_else(|| {
        let mut all = candidates(schema, None).into_iter();
        all.find(|value| !value.is_null() && validator.is_valid(value))
    })
}

struct Maker<'a> {
    /// Places that may still be visited.
    left: Cell<usize>,
    root: &'a Value,
    other_root: &'a Value,
}

fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let mut schema = schema;
    for _ in 0..8 {
        let name = schema.get("$ref").and_then(Value::as_str);
        let target = name.and_then(|name| root.pointer(name.strip_prefix('#')?));
        match target {
            Some(target) => schema = target,
            None => return schema,
        }
    }
    schema
}

fn list<'a>(schema: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    schema
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

impl Maker<'_> {
    fn values(&self, schema: &Value, other: &Value, depth: usize) -> Vec<Value> {
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        if MAX_DEPTH < depth || left == 0 {
            return Vec::new();
        }
        let schema = resolved(self.root, schema);
        let other = resolved(self.other_root, other);
        let mut all: Vec<Value> = schema.get("const").into_iter().cloned().collect();
        all.extend(list(schema, "enum").cloned());
        for key in ["anyOf", "oneOf", "allOf"] {
            for branch in list(schema, key) {
                all.extend(self.values(branch, other, depth + 1));
            }
        }
        for kind in kinds(schema) {
            all.extend(self.of_kind(&kind, schema, other, depth));
        }
        let mut kept: Vec<Value> = Vec::new();
        for value in all {
            if MAX_EACH <= kept.len() {
                break;
            }
            if !kept.contains(&value) {
                kept.push(value);
            }
        }
        kept
    }

    fn of_kind(&self, kind: &str, schema: &Value, other: &Value, depth: usize) -> Vec<Value> {
        match kind {
            "null" => vec![Value::Null],
            "boolean" => vec![json!(true), json!(false)],
            "string" => texts(schema, other),
            "integer" => numbers(schema, other, true),
            "number" => numbers(schema, other, false),
            "array" => self.arrays(schema, other, depth),
            "object" => self.objects(schema, other, depth),
            _ => Vec::new(),
        }
    }

    fn arrays(&self, schema: &Value, other: &Value, depth: usize) -> Vec<Value> {
        let any = Value::Bool(true);
        let items = schema.get("items").unwrap_or(&any);
        let other_items = other.get("items").unwrap_or(&any);
        let values = self.values(items, other_items, depth + 1);
        let first: Vec<Value> = list(schema, "prefixItems")
            .map(|item| {
                let values = self.values(item, &any, depth + 1);
                values.into_iter().next().unwrap_or_default()
            })
            .collect();
        let mut all = vec![Value::Array(first.clone())];
        for length in limits(schema, other, "minItems", "maxItems") {
            let Some(value) = values.first() else { break };
            let missing = length.saturating_sub(first.len()).min(200);
            let filled = first.iter().chain(std::iter::repeat_n(value, missing));
            all.push(filled.cloned().collect());
        }
        let least = limits(schema, &Value::Null, "minItems", "maxItems")
            .into_iter()
            .next();
        for value in values {
            let missing = least.unwrap_or(0).saturating_sub(first.len()).clamp(1, 200);
            let filled = first.iter().chain(std::iter::repeat_n(&value, missing));
            all.push(filled.cloned().collect());
        }
        all
    }

    fn objects(&self, schema: &Value, other: &Value, depth: usize) -> Vec<Value> {
        let none = Map::new();
        let properties = schema.get("properties").and_then(Value::as_object);
        let any = Value::Bool(true);
        let inside = |name: &str| {
            let own = other.get("properties").and_then(|all| all.get(name));
            own.or_else(|| other.get("additionalProperties"))
                .unwrap_or(&any)
        };
        let mut choices: Vec<(&str, Vec<Value>)> = Vec::new();
        for (name, property) in properties.unwrap_or(&none) {
            let own = compiled(property);
            let mut values = self.values(property, inside(name), depth + 1);
            // A value of the property itself, so that the rest of an object is good.
            values.sort_by_key(|value| !own.as_ref().is_none_or(|own| own.is_valid(value)));
            choices.push((name, values));
        }
        let required: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
        let whole = |is_wanted: &dyn Fn(&str) -> bool| {
            let fields = choices.iter().filter(|(name, _)| is_wanted(name));
            let mut map: Map<String, Value> = fields
                .filter_map(|(name, values)| Some(((*name).to_owned(), values.first()?.clone())))
                .collect();
            for name in &required {
                map.entry(*name).or_insert_with(|| json!("text"));
            }
            map
        };
        let least = whole(&|name| required.contains(&name));
        let most = whole(&|_| true);
        let mut all = vec![Value::Object(most.clone()), Value::Object(least.clone())];
        for (name, values) in &choices {
            for value in values.iter().skip(usize::from(required.contains(name))) {
                let mut changed = least.clone();
                changed.insert((*name).to_owned(), value.clone());
                all.push(Value::Object(changed));
            }
        }
        let mut names: Vec<String> = vec!["extra".to_owned()];
        let others = other.get("properties").and_then(Value::as_object);
        names.extend(others.into_iter().flatten().map(|(name, _)| name.clone()));
        let rest = schema.get("additionalProperties").unwrap_or(&any);
        for name in names.iter().filter(|name| !most.contains_key(*name)) {
            for value in self.values(rest, inside(name), depth + 1) {
                let mut changed = least.clone();
                changed.insert(name.clone(), value);
                all.push(Value::Object(changed));
            }
        }
        all
    }
}

fn kinds(schema: &Value) -> Vec<String> {
    let all = || {
        [
            "string", "null", "boolean", "integer", "number", "array", "object",
        ]
    };
    match schema {
        Value::Bool(false) => Vec::new(),
        Value::Bool(true) => all().map(str::to_owned).to_vec(),
        _ => match schema.get("type") {
            Some(Value::String(kind)) => vec![kind.clone()],
            Some(Value::Array(kinds)) => kinds
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            _ if schema.get("enum").is_some() || schema.get("const").is_some() => Vec::new(),
            _ => all().map(str::to_owned).to_vec(),
        },
    }
}

/// Counts at the limits of both schemas and beside them.
fn limits(schema: &Value, other: &Value, least: &str, most: &str) -> Vec<usize> {
    let mut counts = Vec::new();
    for (schema, key) in [
        (schema, least),
        (schema, most),
        (other, least),
        (other, most),
    ] {
        let count = schema.get(key).and_then(Value::as_u64);
        if let Some(count) = count.and_then(|count| usize::try_from(count).ok()) {
            counts.extend([count, count.saturating_sub(1), count.saturating_add(1)]);
        }
    }
    counts
}

fn texts(schema: &Value, other: &Value) -> Vec<Value> {
    let mut all = vec![json!("text")];
    all.extend(
        list(other, "enum")
            .filter(|value| value.is_string())
            .cloned(),
    );
    all.push(json!(""));
    for length in limits(schema, other, "minLength", "maxLength") {
        all.push(Value::from("x".repeat(length.min(4096))));
    }
    for text in [
        "2026-11-23",
        "2026-11-23T10:00:00Z",
        "a@example.com",
        "https://example.com/",
        "A1",
        "a-1",
        "12345",
        "12345678-1234-1234-1234-123456789abc",
    ] {
        all.push(json!(text));
    }
    all
}

fn numbers(schema: &Value, other: &Value, is_whole: bool) -> Vec<Value> {
    let mut all = vec![json!(1), json!(0), json!(-1)];
    if !is_whole {
        all.push(json!(0.5));
    }
    for schema in [schema, other] {
        for key in [
            "minimum",
            "maximum",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
        ] {
            let Some(limit) = schema.get(key) else {
                continue;
            };
            all.push(limit.clone());
            if let Some(limit) = limit.as_i64() {
                let near = [
                    limit.saturating_sub(1),
                    limit.saturating_add(1),
                    limit.saturating_mul(2),
                ];
                all.extend(near.map(Value::from));
            }
            if let Some(limit) = limit.as_f64().filter(|_| !is_whole) {
                all.extend([json!(limit - 0.5), json!(limit + 0.5)]);
            }
        }
    }
    all
}
