//! Whether a value by the left schema meets one keyword of the right.

use crate::prompts::diff::proof::{Doubt, Fields, Proof, doubt};
use serde_json::Value;

impl Proof<'_> {
    /// A keyword about objects.
    pub(super) fn object(
        &mut self,
        key: &str,
        value: &Value,
        narrow: &Fields,
        wide: &Fields,
        (at, depth): (&str, usize),
    ) -> Result<(), Doubt> {
        match key {
            "required" => {
                for name in value
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                {
                    if !requires(narrow, name) {
                        return doubt(&below(at, name), "it is required now");
                    }
                }
                Ok(())
            }
            "properties" => {
                for (name, wide) in value.as_object().into_iter().flatten() {
                    let own = property(narrow, name);
                    self.schemas(&own, wide, &below(at, name), depth + 1)?;
                }
                Ok(())
            }
            "additionalProperties" => {
                if narrow.contains_key("patternProperties")
                    || wide.contains_key("patternProperties")
                {
                    return doubt(at, "`patternProperties` are not compared");
                }
                let declares = |name: &str| property_of(wide, name).is_some();
                for (name, own) in fields(narrow, "properties") {
                    if !declares(name) {
                        self.schemas(own, value, &below(at, name), depth + 1)?;
                    }
                }
                let own = narrow
                    .get("additionalProperties")
                    .unwrap_or(&Value::Bool(true));
                self.schemas(own, value, &below(at, "*"), depth + 1)
            }
            _ => bound(key, value, narrow, at),
        }
    }

    /// A keyword about lists.
    pub(super) fn array(
        &mut self,
        key: &str,
        value: &Value,
        narrow: &Fields,
        wide: &Fields,
        (at, depth): (&str, usize),
    ) -> Result<(), Doubt> {
        let list = |fields: &Fields| {
            let list = fields.get("prefixItems").and_then(Value::as_array);
            list.cloned().unwrap_or_default()
        };
        let (own, other) = (list(narrow), list(wide));
        let own_rest = narrow.get("items").unwrap_or(&Value::Bool(true));
        match key {
            "prefixItems" => {
                for (index, wide) in other.iter().enumerate() {
                    let narrow = own.get(index).unwrap_or(own_rest).clone();
                    self.schemas(&narrow, wide, &below(at, &index.to_string()), depth + 1)?;
                }
                Ok(())
            }
            "items" => {
                for (index, narrow) in own.iter().enumerate().skip(other.len()) {
                    self.schemas(narrow, value, &below(at, &index.to_string()), depth + 1)?;
                }
                self.schemas(own_rest, value, &below(at, "*"), depth + 1)
            }
            _ => bound(key, value, narrow, at),
        }
    }
}

fn below(at: &str, name: &str) -> String {
    format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"))
}

fn fields<'a>(schema: &'a Fields, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    schema
        .get(key)
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
}

fn property_of<'a>(schema: &'a Fields, name: &str) -> Option<&'a Value> {
    schema.get("properties")?.get(name)
}

/// What an object by `schema` may have at `name`. Patterns restrict further, which may be left out.
fn property(schema: &Fields, name: &str) -> Value {
    let own = property_of(schema, name);
    // Where a pattern may stand in for the rest, the rest does not hold.
    let rest = schema
        .get("additionalProperties")
        .filter(|_| !schema.contains_key("patternProperties"));
    own.or(rest).cloned().unwrap_or(Value::Bool(true))
}

fn requires(schema: &Fields, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|names| names.iter().any(|other| other == name))
}

pub(super) fn is_kind(kind: &str, allowed: &Value, at: &str) -> Result<(), Doubt> {
    let is_one = |allowed: &str| allowed == kind || (allowed == "number" && kind == "integer");
    let is_allowed = match allowed {
        Value::String(allowed) => is_one(allowed),
        Value::Array(all) => all.iter().filter_map(Value::as_str).any(is_one),
        _ => false,
    };
    if is_allowed {
        return Ok(());
    }
    doubt(at, format!("type {kind} is not allowed any more"))
}

/// All values of a type are in a list only where the type has few.
pub(super) fn enumerated(kind: &str, value: &Value, at: &str) -> Result<(), Doubt> {
    let all: &[Value] = match value {
        Value::Array(all) => all,
        one => std::slice::from_ref(one),
    };
    let has = |value: &Value| all.contains(value);
    let is_whole = match kind {
        "null" => has(&Value::Null),
        "boolean" => has(&Value::Bool(true)) && has(&Value::Bool(false)),
        _ => false,
    };
    if is_whole {
        return Ok(());
    }
    doubt(
        at,
        format!("only listed values are allowed now, before every {kind}"),
    )
}

/// A bound is met where the left side has one that is at least as tight.
pub(super) fn bound(key: &str, value: &Value, narrow: &Fields, at: &str) -> Result<(), Doubt> {
    let Some(limit) = value.as_f64() else {
        return doubt(at, format!("`{key}` is no number"));
    };
    let own = |key: &str| narrow.get(key).and_then(Value::as_f64);
    let is_met = match key {
        "minimum" => {
            own("minimum").is_some_and(|own| limit <= own)
                || own("exclusiveMinimum").is_some_and(|own| limit <= own)
        }
        "exclusiveMinimum" => {
            own("minimum").is_some_and(|own| limit < own)
                || own("exclusiveMinimum").is_some_and(|own| limit <= own)
        }
        "maximum" => {
            own("maximum").is_some_and(|own| own <= limit)
                || own("exclusiveMaximum").is_some_and(|own| own <= limit)
        }
        "exclusiveMaximum" => {
            own("maximum").is_some_and(|own| own < limit)
                || own("exclusiveMaximum").is_some_and(|own| own <= limit)
        }
        _ if key.starts_with("min") => limit <= 0.0 || own(key).is_some_and(|own| limit <= own),
        _ => own(key).is_some_and(|own| own <= limit),
    };
    if is_met {
        return Ok(());
    }
    doubt(at, format!("`{key}` is {value} now"))
}

pub(super) fn multiple(kind: &str, value: &Value, narrow: &Fields, at: &str) -> Result<(), Doubt> {
    let own = narrow.get("multipleOf");
    let whole = |value: &Value| value.as_u64().filter(|number| 0 < *number);
    let is_met = match (own.and_then(whole), whole(value)) {
        (_, Some(1)) if kind == "integer" => true,
        (Some(own), Some(wide)) => own % wide == 0,
        _ => own == Some(value),
    };
    if is_met {
        return Ok(());
    }
    doubt(at, format!("`multipleOf` is {value} now"))
}
