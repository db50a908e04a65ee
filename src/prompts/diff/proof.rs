//! Proves by structure that all values of one JSON Schema are values of another: the left side is split
//! into cases, the right side into keywords, each of which every case must meet.

use crate::prompts::diff::keywords::{bound, enumerated, is_kind, multiple};
use crate::prompts::diff::schema::{REMARKS, compiled};
use serde_json::{Map, Value, json};

const TYPES: [&str; 6] = ["null", "boolean", "number", "string", "array", "object"];

/// Keywords whose meaning does not depend on those beside them: the same on both sides is met.
const SAME: [&str; 9] = [
    "contains",
    "dependentRequired",
    "format",
    "not",
    "oneOf",
    "pattern",
    "patternProperties",
    "propertyNames",
    "uniqueItems",
];

/// Schemas and references inside each other deeper than this are not followed.
const MAX_DEPTH: usize = 48;
/// Pairs of schemas that are compared in all: branches on both sides multiply.
const MAX_PAIRS: usize = 20_000;

/// Where a proof ended, and why.
#[derive(Debug)]
pub(super) struct Doubt {
    pub(super) pointer: String,
    pub(super) reason: String,
}

pub(super) fn doubt(pointer: &str, reason: impl Into<String>) -> Result<(), Doubt> {
    Err(Doubt {
        pointer: pointer.to_owned(),
        reason: reason.into(),
    })
}

/// Proves that every value of `narrow` is one of `wide`, or says where that fails.
pub(super) fn prove(narrow: &Value, wide: &Value) -> Result<(), Doubt> {
    let mut proof = Proof {
        narrow_root: narrow,
        wide_root: wide,
        assumed: Vec::new(),
        pairs: 0,
    };
    proof.schemas(narrow, wide, "", 0)
}

pub(super) struct Proof<'a> {
    narrow_root: &'a Value,
    wide_root: &'a Value,
    /// Pairs of references that are being compared: what leads back to one holds if the rest does.
    assumed: Vec<(String, String)>,
    /// Pairs that were compared.
    pairs: usize,
}

pub(super) type Fields = Map<String, Value>;

impl Proof<'_> {
    pub(super) fn schemas(
        &mut self,
        narrow: &Value,
        wide: &Value,
        at: &str,
        depth: usize,
    ) -> Result<(), Doubt> {
        self.pairs += 1;
        if MAX_DEPTH < depth || MAX_PAIRS < self.pairs {
            return doubt(at, "the schemas are too large or nested too deeply");
        }
        let empty = Fields::new();
        let (narrow, wide) = match (narrow, wide) {
            (Value::Bool(false), _) | (_, Value::Bool(true)) => return Ok(()),
            (_, Value::Bool(false)) => return doubt(at, "it is not allowed any more"),
            (Value::Bool(true), Value::Object(wide)) => (&empty, wide),
            (Value::Object(narrow), Value::Object(wide)) => (narrow, wide),
            _ => return doubt(at, "a schema is a mapping or true or false"),
        };
        if let Some(outcome) = self.references(narrow, wide, at, depth) {
            return outcome;
        }
        self.narrow(narrow, wide, at, depth)
    }

    /// Whether both sides say the same under a keyword; a reference may mean something else on each.
    fn is_same(&self, key: &str, narrow: &Fields, wide: &Fields) -> bool {
        let roots_agree = ["$defs", "definitions"]
            .iter()
            .all(|key| self.narrow_root.get(key) == self.wide_root.get(key));
        narrow.get(key) == wide.get(key)
            && (roots_agree
                || !narrow
                    .get(key)
                    .is_some_and(|value| value.to_string().contains("$ref")))
    }

    /// Follows a reference on either side.
    fn references(
        &mut self,
        narrow: &Fields,
        wide: &Fields,
        at: &str,
        depth: usize,
    ) -> Option<Result<(), Doubt>> {
        let name = |fields: &Fields| {
            let name = fields.get("$ref").and_then(Value::as_str);
            name.map(str::to_owned)
        };
        let names = (name(narrow), name(wide));
        if names == (None, None) {
            return None;
        }
        let pair = (
            names
                .0
                .clone()
                .unwrap_or_else(|| Value::from(narrow.clone()).to_string()),
            names
                .1
                .clone()
                .unwrap_or_else(|| Value::from(wide.clone()).to_string()),
        );
        if self.assumed.contains(&pair) {
            return Some(Ok(()));
        }
        let left = target(self.narrow_root, narrow, names.0.as_deref());
        let right = target(self.wide_root, wide, names.1.as_deref());
        let (Some(left), Some(right)) = (left, right) else {
            return Some(doubt(
                at,
                "a `$ref` has keywords beside it or leads out of the schema",
            ));
        };
        self.assumed.push(pair);
        let outcome = self.schemas(&left, &right, at, depth + 1);
        self.assumed.pop();
        Some(outcome)
    }

    /// Splits the left side into cases until each has one type.
    fn narrow(
        &mut self,
        narrow: &Fields,
        wide: &Fields,
        at: &str,
        depth: usize,
    ) -> Result<(), Doubt> {
        if let Some(values) = listed(narrow) {
            return self.values(&values, narrow, wide, at);
        }
        for key in ["anyOf", "oneOf"] {
            if let Some(branches) = narrow.get(key).and_then(Value::as_array)
                && !self.is_same(key, narrow, wide)
            {
                return self.cases(narrow, (key, branches), wide, at, depth);
            }
        }
        if let Some(Value::Array(parts)) = narrow.get("allOf") {
            // Each part alone allows more than all of them together.
            let rest = Value::Object(without(narrow, "allOf"));
            let wide = Value::Object(wide.clone());
            let mut last = Ok(());
            for part in parts.iter().chain([&rest]) {
                last = self.schemas(part, &wide, at, depth + 1);
                if last.is_ok() {
                    return last;
                }
            }
            return last;
        }
        match narrow.get("type") {
            Some(Value::String(kind)) => self.wide(kind, narrow, wide, at, depth),
            Some(Value::Array(kinds)) => {
                let kinds: Vec<&str> = kinds.iter().filter_map(Value::as_str).collect();
                self.kinds(&kinds, narrow, wide, at, depth)
            }
            _ => self.kinds(&TYPES, narrow, wide, at, depth),
        }
    }

    fn kinds(
        &mut self,
        kinds: &[&str],
        narrow: &Fields,
        wide: &Fields,
        at: &str,
        depth: usize,
    ) -> Result<(), Doubt> {
        for kind in kinds {
            self.wide(kind, narrow, wide, at, depth)?;
        }
        Ok(())
    }

    /// Every branch, with what stands beside the branches, must be allowed.
    fn cases(
        &mut self,
        narrow: &Fields,
        (key, branches): (&str, &[Value]),
        wide: &Fields,
        at: &str,
        depth: usize,
    ) -> Result<(), Doubt> {
        let rest = without(narrow, key);
        let wide = Value::Object(wide.clone());
        if rest.keys().any(|key| !REMARKS.contains(&key.as_str()))
            && self
                .schemas(&Value::Object(rest.clone()), &wide, at, depth + 1)
                .is_ok()
        {
            return Ok(());
        }
        for branch in branches {
            let merged = match branch {
                Value::Object(fields) if fields.keys().all(|key| !rest.contains_key(key)) => {
                    let mut merged = rest.clone();
                    merged.extend(fields.clone());
                    Value::Object(merged)
                }
                other => other.clone(),
            };
            self.schemas(&merged, &wide, at, depth + 1)?;
        }
        Ok(())
    }

    /// Single values are asked of a validator.
    fn values(
        &self,
        values: &[Value],
        narrow: &Fields,
        wide: &Fields,
        at: &str,
    ) -> Result<(), Doubt> {
        let mut wide = wide.clone();
        for key in ["$defs", "definitions"] {
            if let Some(definitions) = self.wide_root.get(key) {
                wide.insert(key.to_owned(), definitions.clone());
            }
        }
        let Some(is_wide) = compiled(&Value::Object(wide)) else {
            return doubt(at, "the schema cannot be compiled by itself");
        };
        let own = without(&without(narrow, "enum"), "const");
        let is_own = compiled(&Value::Object(own));
        for value in values {
            let is_possible = is_own.as_ref().is_none_or(|own| own.is_valid(value));
            if is_possible && !is_wide.is_valid(value) {
                return doubt(at, format!("`{value}` is not allowed any more"));
            }
        }
        Ok(())
    }

    /// Splits the right side: all of its parts, one of its branches, its own keywords.
    fn wide(
        &mut self,
        kind: &str,
        narrow: &Fields,
        wide: &Fields,
        at: &str,
        depth: usize,
    ) -> Result<(), Doubt> {
        let mut one = narrow.clone();
        one.insert("type".to_owned(), json!(kind));
        let whole = Value::Object(one.clone());
        if let Some(Value::Array(parts)) = wide.get("allOf") {
            for part in parts {
                self.schemas(&whole, part, at, depth + 1)?;
            }
        }
        if let Some(Value::Array(branches)) = wide.get("anyOf")
            && !self.is_same("anyOf", narrow, wide)
        {
            let mut last = doubt(at, "no branch of `anyOf` allows it");
            for branch in branches {
                let outcome = self.schemas(&whole, branch, at, depth + 1);
                if outcome.is_ok() {
                    last = outcome;
                    break;
                }
            }
            last?;
        }
        for (key, value) in wide {
            self.keyword((key, value), kind, &one, wide, (at, depth))?;
        }
        Ok(())
    }

    /// Whether a value of type `kind` by `narrow` meets one keyword of the right side.
    fn keyword(
        &mut self,
        (key, value): (&str, &Value),
        kind: &str,
        narrow: &Fields,
        wide: &Fields,
        (at, depth): (&str, usize),
    ) -> Result<(), Doubt> {
        if REMARKS.contains(&key) || matches!(key, "allOf" | "anyOf") {
            return Ok(());
        }
        match key {
            "type" => is_kind(kind, value, at),
            "enum" | "const" => enumerated(kind, value, at),
            "required"
            | "properties"
            | "additionalProperties"
            | "minProperties"
            | "maxProperties" => {
                if kind == "object" {
                    return self.object(key, value, narrow, wide, (at, depth));
                }
                Ok(())
            }
            "items" | "prefixItems" | "minItems" | "maxItems" => {
                if kind == "array" {
                    return self.array(key, value, narrow, wide, (at, depth));
                }
                Ok(())
            }
            "minLength" | "maxLength" if kind != "string" => Ok(()),
            "minLength" | "maxLength" => bound(key, value, narrow, at),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf"
                if !matches!(kind, "number" | "integer") =>
            {
                Ok(())
            }
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                bound(key, value, narrow, at)
            }
            "multipleOf" => multiple(kind, value, narrow, at),
            "pattern" | "format" if kind != "string" => Ok(()),
            "uniqueItems" | "contains" if kind != "array" => Ok(()),
            _ if SAME.contains(&key) && self.is_same(key, narrow, wide) => Ok(()),
            _ => doubt(at, format!("`{key}` is not compared")),
        }
    }
}

/// What a side stands for: itself, or what its reference names. A reference has nothing beside it.
fn target(root: &Value, fields: &Fields, name: Option<&str>) -> Option<Value> {
    let Some(name) = name else {
        return Some(Value::Object(fields.clone()));
    };
    let is_alone = fields
        .keys()
        .all(|key| key == "$ref" || REMARKS.contains(&key.as_str()));
    let pointer = name.strip_prefix('#').filter(|_| is_alone)?;
    root.pointer(pointer).cloned()
}

fn listed(fields: &Fields) -> Option<Vec<Value>> {
    match (fields.get("const"), fields.get("enum")) {
        (Some(value), _) => Some(vec![value.clone()]),
        (None, Some(Value::Array(values))) => Some(values.clone()),
        _ => None,
    }
}

fn without(fields: &Fields, key: &str) -> Fields {
    let mut fields = fields.clone();
    fields.shift_remove(key);
    fields
}
