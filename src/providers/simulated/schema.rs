//! Instances of JSON schemas: the smallest sensible value that a schema allows.
//!
//! What is followed: `type`, `enum`, `const`, `properties`, `required`, `items`, `prefixItems`,
//! `minItems`, `maxItems`, `uniqueItems`, bounds of numbers and lengths, `multipleOf`, `format`,
//! `$ref` within the document, `allOf`, and the first fitting of `anyOf` and `oneOf`. What is not:
//! `pattern`, `not`, `if`, and everything that depends on other values.

use super::hash;
use serde_json::{Map, Number, Value};
use std::cell::Cell;

/// From this depth on only what is required is made, and `null` is taken where it is allowed.
const DEEP: usize = 6;
/// No schema that can be satisfied at all needs to be followed further.
const TOO_DEEP: usize = 48;
/// The most values that are made: a schema that refers to itself twice doubles at each depth.
const MAX_VALUES: usize = 20_000;

/// Returns a value that `schema` allows. Of an enumeration it takes what `hint` mentions.
pub(super) fn instance(schema: &Value, hint: &str, seed: u64) -> Value {
    let made = Cell::new(0);
    let maker = Maker {
        root: schema,
        hint: hint.to_lowercase(),
        made: &made,
    };
    maker.make(schema, "value", seed, 0)
}

struct Maker<'a> {
    root: &'a Value,
    hint: String,
    /// How many values were made so far.
    made: &'a Cell<usize>,
}

impl Maker<'_> {
    fn make(&self, schema: &Value, name: &str, seed: u64, depth: usize) -> Value {
        self.made.set(self.made.get() + 1);
        let may_go_on = depth < TOO_DEEP && self.made.get() < MAX_VALUES;
        let Some(fields) = schema.as_object().filter(|_| may_go_on) else {
            return if schema == &Value::Bool(true) {
                Value::from("simulated")
            } else {
                Value::Null
            };
        };
        if let Some(reference) = fields.get("$ref").and_then(Value::as_str) {
            return self.make(self.resolve(reference), name, seed, depth + 1);
        }
        if let Some(value) = fields.get("const") {
            return value.clone();
        }
        if let Some(values) = fields.get("enum").and_then(Value::as_array) {
            return self.pick(values, seed);
        }
        if let Some(parts) = fields.get("allOf").and_then(Value::as_array) {
            let merged = self.merge(fields, parts, depth);
            return self.make(&merged, name, seed, depth + 1);
        }
        let alternatives = fields.get("anyOf").or_else(|| fields.get("oneOf"));
        if let Some(options) = alternatives.and_then(Value::as_array) {
            let merged = self.with_option(fields, options, depth);
            return self.make(&merged, name, seed, depth + 1);
        }
        match kind(fields, depth) {
            "object" => self.object(fields, seed, depth),
            "array" => self.array(fields, name, seed, depth),
            "integer" => integer(fields, seed),
            "number" => number(fields, seed),
            "boolean" => Value::Bool(seed & 1 == 0),
            "null" => Value::Null,
            _ => Value::from(string(fields, name, seed)),
        }
    }

    /// Returns the schema that `reference` points at in this document.
    fn resolve(&self, reference: &str) -> &Value {
        let pointer = reference.strip_prefix('#').unwrap_or(reference);
        self.root.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Follows references until a schema of its own.
    fn target<'s>(&'s self, schema: &'s Value) -> &'s Value {
        let mut target = schema;
        for _ in 0..TOO_DEEP {
            match target.get("$ref").and_then(Value::as_str) {
                Some(reference) => target = self.resolve(reference),
                None => break,
            }
        }
        target
    }

    fn pick(&self, values: &[Value], seed: u64) -> Value {
        let is_mentioned = |value: &&Value| {
            let text = value.as_str().unwrap_or("").to_lowercase();
            !text.is_empty() && self.hint.contains(&text)
        };
        let chosen = values.iter().find(is_mentioned);
        chosen
            .or_else(|| values.get(hash::below(seed, values.len())))
            .cloned()
            .unwrap_or(Value::Null)
    }

    /// Returns one schema for `fields` with all of `parts`.
    fn merge(&self, fields: &Map<String, Value>, parts: &[Value], depth: usize) -> Value {
        let mut merged = fields.clone();
        merged.remove("allOf");
        for part in parts {
            let Some(part) = self.target(part).as_object() else {
                continue;
            };
            let nested = match part.get("allOf").and_then(Value::as_array) {
                Some(parts) if depth < TOO_DEEP => self.merge(part, parts, depth + 1),
                _ => Value::Object(part.clone()),
            };
            if let Value::Object(nested) = nested {
                overlay(&mut merged, nested);
            }
        }
        Value::Object(merged)
    }

    /// Returns one schema for `fields` with one of `options`: the first that is not `null`, unless
    /// it is time to end.
    fn with_option(&self, fields: &Map<String, Value>, options: &[Value], depth: usize) -> Value {
        let is_null = |option: &&Value| {
            let target = self.target(option);
            target.get("type") == Some(&Value::from("null"))
                || target.get("const") == Some(&Value::Null)
        };
        let is_simple = |option: &&Value| {
            option.get("$ref").is_none() && !matches!(kind_of(option), Some("object" | "array"))
        };
        let chosen = if depth < DEEP {
            options.iter().find(|option| !is_null(option))
        } else {
            let ending = options.iter().find(is_null);
            ending.or_else(|| options.iter().find(is_simple))
        };
        let mut merged = fields.clone();
        merged.remove("anyOf");
        merged.remove("oneOf");
        let chosen = chosen.or(options.first()).map(|option| self.target(option));
        if let Some(Value::Object(option)) = chosen {
            overlay(&mut merged, option.clone());
        }
        Value::Object(merged)
    }

    fn object(&self, fields: &Map<String, Value>, seed: u64, depth: usize) -> Value {
        let empty = Map::new();
        let properties = fields.get("properties").and_then(Value::as_object);
        let properties = properties.unwrap_or(&empty);
        let required: Vec<&str> = list(fields, "required").filter_map(Value::as_str).collect();
        let limit = size(fields, "maxProperties").unwrap_or(usize::MAX);
        let mut optional_left = match depth < DEEP {
            true => limit.saturating_sub(required.len()),
            false => 0,
        };
        let mut made = Map::new();
        for (name, schema) in properties {
            let is_required = required.contains(&name.as_str());
            if is_required || 0 < optional_left {
                optional_left -= usize::from(!is_required);
                let own = hash::of([&seed.to_le_bytes(), name.as_bytes()]);
                made.insert(name.clone(), self.make(schema, name, own, depth + 1));
            }
        }
        // Names that are required (or counted) without being described take any value.
        let any = fields
            .get("additionalProperties")
            .filter(|schema| schema.is_object())
            .unwrap_or(&Value::Bool(true));
        let counted = (1..).map(|number| format!("key_{number}"));
        let least = size(fields, "minProperties").unwrap_or(0);
        let missing = least.saturating_sub(made.len().max(required.len()));
        let named = required.iter().map(|name| (*name).to_owned());
        for name in named.chain(counted.take(missing)) {
            if !made.contains_key(&name) {
                let own = hash::of([&seed.to_le_bytes(), name.as_bytes()]);
                let value = self.make(any, &name, own, depth + 1);
                made.insert(name, value);
            }
        }
        Value::Object(made)
    }

    fn array(&self, fields: &Map<String, Value>, name: &str, seed: u64, depth: usize) -> Value {
        let prefix: Vec<&Value> = list(fields, "prefixItems").collect();
        let items = fields.get("items");
        let least = size(fields, "minItems").unwrap_or(0);
        let most = size(fields, "maxItems").unwrap_or(usize::MAX);
        let usual = match items {
            _ if DEEP <= depth => 0,
            Some(Value::Bool(false)) => prefix.len(),
            _ => prefix.len().max(2),
        };
        let count = usual.clamp(least.min(most), most).min(1_000);
        let is_unique = fields.get("uniqueItems") == Some(&Value::Bool(true));
        let mut made: Vec<Value> = Vec::new();
        // Some more tries than items, for those that must differ.
        for turn in 0_u64..10_000 {
            if count <= made.len() {
                break;
            }
            let schema = prefix.get(made.len()).copied().or(items);
            let schema = schema.unwrap_or(&Value::Bool(true));
            let item_name = format!("{name} {}", made.len() + 1);
            let own = hash::mix(seed ^ turn);
            // The hint would choose the same value of an enumeration each time.
            let value = if is_unique && 0 < turn {
                self.without_hint().make(schema, &item_name, own, depth + 1)
            } else {
                self.make(schema, &item_name, own, depth + 1)
            };
            if !is_unique || !made.contains(&value) {
                made.push(value);
            }
            if is_unique && least <= made.len() && 100 < turn {
                break;
            }
        }
        Value::Array(made)
    }

    fn without_hint(&self) -> Self {
        Maker {
            root: self.root,
            hint: String::new(),
            made: self.made,
        }
    }
}

/// Lays one schema over another: `properties` and `required` are joined, the rest is replaced.
fn overlay(under: &mut Map<String, Value>, over: Map<String, Value>) {
    for (key, value) in over {
        match (key.as_str(), under.get_mut(&key), value) {
            ("properties", Some(Value::Object(old)), Value::Object(new)) => old.extend(new),
            ("required", Some(Value::Array(old)), Value::Array(new)) => old.extend(new),
            (_, _, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Returns the type to make; of several the first that is not `null`, unless it is time to end.
fn kind(fields: &Map<String, Value>, depth: usize) -> &str {
    if let Some(Value::Array(kinds)) = fields.get("type") {
        let wants_null = DEEP <= depth;
        let mut kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
        kinds.sort_by_key(|kind| (*kind == "null") != wants_null);
        return kinds.first().copied().unwrap_or("string");
    }
    if let Some(Value::String(kind)) = fields.get("type") {
        return kind;
    }
    let has = |names: &[&str]| names.iter().any(|name| fields.contains_key(*name));
    if has(&["properties", "required", "additionalProperties"]) {
        "object"
    } else if has(&["items", "prefixItems", "minItems"]) {
        "array"
    } else if has(&[
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "multipleOf",
    ]) {
        "number"
    } else {
        "string"
    }
}

fn kind_of(schema: &Value) -> Option<&str> {
    schema.as_object().map(|fields| kind(fields, 0))
}

fn list<'a>(fields: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    fields
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn size(fields: &Map<String, Value>, name: &str) -> Option<usize> {
    usize::try_from(fields.get(name)?.as_u64()?).ok()
}

fn integer(fields: &Map<String, Value>, seed: u64) -> Value {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    let low = bound("minimum")
        .map(f64::ceil)
        .or_else(|| bound("exclusiveMinimum").map(|bound| bound.floor() + 1.0));
    let high = bound("maximum")
        .map(f64::floor)
        .or_else(|| bound("exclusiveMaximum").map(|bound| bound.ceil() - 1.0));
    let step = bound("multipleOf")
        .filter(|step| 1.0 <= *step)
        .unwrap_or(1.0);
    let first =
        (low.unwrap_or_else(|| high.map_or(0.0, |high| (high - 100.0).min(0.0))) / step).ceil();
    let last = (high.unwrap_or(first * step + 100.0) / step).floor();
    let steps = (last - first).clamp(0.0, 100.0);
    whole(((first + (hash::fraction(seed) * (steps + 1.0)).floor().min(steps)) * step).round())
}

/// Returns a JSON integer for a number without fraction.
#[expect(
    clippy::cast_possible_truncation,
    reason = "`as` saturates, and bounds beyond 64 bits are not met anyway"
)]
fn whole(value: f64) -> Value {
    Value::from(value as i64)
}

fn number(fields: &Map<String, Value>, seed: u64) -> Value {
    let bound = |name: &str| fields.get(name).and_then(Value::as_f64);
    let low = bound("minimum").or_else(|| bound("exclusiveMinimum"));
    let high = bound("maximum").or_else(|| bound("exclusiveMaximum"));
    if bound("multipleOf").is_some_and(|step| 1.0 <= step) {
        return integer(fields, seed);
    }
    let (low, high) = match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + 1.0),
        (None, Some(high)) => (high - 1.0, high),
        (None, None) => (0.0, 1.0),
    };
    // Away from the ends, which may be excluded.
    let exact = low + (high - low) * (0.1 + 0.8 * hash::fraction(seed));
    let step = bound("multipleOf").unwrap_or(0.01);
    let rounded = (exact / step).round() * step;
    // Removes the tail of 0.57 = 57 x 0.01.
    let rounded = (rounded * 1e9).round() / 1e9;
    let value = if low < rounded && rounded < high {
        rounded
    } else {
        exact
    };
    let value = if high <= low { low } else { value };
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn string(fields: &Map<String, Value>, name: &str, seed: u64) -> String {
    let text = match fields.get("format").and_then(Value::as_str) {
        Some("date") => "2026-01-15".to_owned(),
        Some("time") => "12:30:00Z".to_owned(),
        Some("date-time") => "2026-01-15T12:30:00Z".to_owned(),
        Some("duration") => "PT5M".to_owned(),
        Some("email" | "idn-email") => "simulated@example.com".to_owned(),
        Some("hostname" | "idn-hostname") => "simulated.example.com".to_owned(),
        Some("ipv4") => "192.0.2.1".to_owned(),
        Some("ipv6") => "2001:db8::1".to_owned(),
        Some("uri" | "iri" | "uri-reference") => "https://example.com/simulated".to_owned(),
        Some("uuid") => format!("00000000-0000-4000-8000-{:012x}", seed >> 16),
        _ => format!("simulated {name}"),
    };
    let least = size(fields, "minLength").unwrap_or(0).min(100_000);
    let most = size(fields, "maxLength").unwrap_or(usize::MAX);
    let missing = least.saturating_sub(text.chars().count());
    text.chars()
        .chain(std::iter::repeat_n('.', missing))
        .take(most)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::instance;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn check(schema: &Value, hint: &str, seed: u64) -> Value {
        let value = instance(schema, hint, seed);
        let validator = jsonschema::options()
            .should_validate_formats(true)
            .build(schema)
            .unwrap();
        let faults: Vec<String> = validator
            .iter_errors(&value)
            .map(|e| e.to_string())
            .collect();
        assert!(faults.is_empty(), "{schema}\n{value}\n{faults:?}");
        value
    }

    #[test]
    fn instances_validate() {
        for schema in [
            json!({}),
            json!({"type": "object"}),
            json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a", "b"]}),
            json!({"type": "object", "minProperties": 3, "additionalProperties": {"type": "integer"}}),
            json!({"type": "object", "maxProperties": 1, "properties": {"a": {}, "b": {}}, "required": ["b"]}),
            json!({"type": "array", "items": {"enum": ["a", "b", "c"]}, "minItems": 3, "uniqueItems": true}),
            json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "null"}], "items": false}),
            json!({"type": "array", "maxItems": 0}),
            json!({"type": "string", "minLength": 40}),
            json!({"type": "string", "maxLength": 3}),
            json!({"type": "string", "format": "email"}),
            json!({"type": "string", "format": "uuid"}),
            json!({"type": "string", "format": "date-time"}),
            json!({"type": "integer", "minimum": 5, "maximum": 5}),
            json!({"type": "integer", "exclusiveMinimum": 5, "exclusiveMaximum": 7}),
            json!({"type": "integer", "maximum": -3}),
            json!({"type": "integer", "multipleOf": 7, "minimum": 1}),
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.001}),
            json!({"type": "number", "maximum": -10.5}),
            json!({"const": {"a": 1}}),
            json!({"type": ["null", "boolean"]}),
            json!({"anyOf": [{"type": "null"}, {"type": "integer"}]}),
            json!({"oneOf": [{"type": "string"}, {"type": "null"}]}),
            json!({
                "allOf": [{"$ref": "#/$defs/named"}, {"properties": {"b": {"type": "boolean"}}, "required": ["b"]}],
                "$defs": {"named": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
            }),
            json!({
                "$ref": "#/$defs/node",
                "$defs": {"node": {
                    "type": "object",
                    "additionalProperties": false,
                    "required": ["value", "next"],
                    "properties": {
                        "value": {"type": "integer"},
                        "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
                    },
                }},
            }),
            json!({
                "type": "object",
                "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "name": {"type": "string"}},
                "required": ["name", "children"],
                "additionalProperties": false,
            }),
        ] {
            for seed in 0..20 {
                check(&schema, "", seed);
            }
        }
    }

    #[test]
    fn an_enumeration_takes_what_was_mentioned() {
        let schema = json!({"type": "object", "properties": {"mood": {"enum": ["good", "bad", "mixed"]}}, "required": ["mood"]});
        for (hint, mood) in [("All BAD news", "bad"), ("a mixed bag", "mixed")] {
            assert_eq!(check(&schema, hint, 1), json!({"mood": mood}));
        }
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        assert_eq!(instance(&json!({"$ref": "#"}), "", 1), Value::Null);
        let endless =
            json!({"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#"}}});
        assert!(instance(&endless, "", 1).is_object());
        let doubling = json!({
            "type": "object",
            "required": ["a", "b"],
            "properties": {"a": {"$ref": "#"}, "b": {"$ref": "#"}},
        });
        assert!(instance(&doubling, "", 1).to_string().len() < 1_000_000);
    }

    proptest! {
        #[test]
        fn bounds_are_kept(low in -1000_i64..1000, span in 0_i64..1000, seed: u64) {
            check(&json!({"type": "integer", "minimum": low, "maximum": low + span}), "", seed);
            check(&json!({"type": "number", "minimum": low, "maximum": low + span}), "", seed);
        }
    }
}
