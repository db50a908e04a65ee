//! Variables that came, went, or are other ones.

use crate::prompts::bundle::Bundle;
use crate::prompts::diff::schema::{Subset, is_subset, without_remarks};
use crate::prompts::diff::usage::{Senders, Usage};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// A variable as one version declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Variable {
    /// Its type, in short.
    pub r#type: String,
    /// Whether a call must send it: it is required, and has neither a default nor a binding.
    pub required: bool,
    /// What it is when a call does not send it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether the gateway fills it from the last user message.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub bound: bool,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(skip)]
    pub(super) schema: Value,
}

/// What became of a variable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VariableDiff {
    /// Its name.
    pub name: String,
    /// As it was; absent when it is new.
    pub base: Option<Variable>,
    /// As it is; absent when it is gone.
    pub head: Option<Variable>,
    /// Whether every value of before is allowed now; absent when its type is the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fits: Option<Subset>,
    /// Who sends it; absent when there are no records.
    pub senders: Option<Senders>,
}

/// Returns a variable of `bundle`.
fn variable(bundle: &Bundle, name: &str) -> Option<Variable> {
    let (_, required) = bundle
        .variables()
        .into_iter()
        .find(|(own, _)| *own == name)?;
    let schema = property(bundle, name);
    let bound = bundle.bindings().iter().any(|(own, _)| own == name);
    Some(Variable {
        r#type: type_of(&schema),
        required: required && !bound,
        default: bundle.defaults().get(name).cloned(),
        bound,
        description: schema
            .get("description")
            .and_then(Value::as_str)
            .map(str::to_owned),
        schema,
    })
}

/// Returns the variables of `bundle`, by name.
#[must_use]
pub fn variables(bundle: &Bundle) -> Vec<(String, Variable)> {
    let names = bundle.variables().into_iter();
    let all = names.filter_map(|(name, _)| Some((name.to_owned(), variable(bundle, name)?)));
    all.collect()
}

/// Returns the schema of a variable, with the definitions that it may refer to.
pub(super) fn property(bundle: &Bundle, name: &str) -> Value {
    let Some(root) = bundle.input_schema() else {
        return json!({});
    };
    let property = root.get("properties").and_then(|all| all.get(name));
    let mut property = property.cloned().unwrap_or_else(|| json!({}));
    if let Value::Object(fields) = &mut property {
        for key in ["$defs", "definitions"] {
            if let Some(definitions) = root.get(key) {
                fields.insert(key.to_owned(), definitions.clone());
            }
        }
    }
    property
}

/// Returns the type in short: `string`, `"a" | "b"`, `array of string`.
fn type_of(schema: &Value) -> String {
    let listed = schema.get("enum").and_then(Value::as_array);
    if let Some(values) = listed {
        let values: Vec<String> = values.iter().map(Value::to_string).collect();
        return values.join(" | ");
    }
    if let Some(value) = schema.get("const") {
        return value.to_string();
    }
    let one = |kind: &str| match (kind, schema.get("items")) {
        ("array", Some(items)) => format!("array of {}", type_of(items)),
        _ => kind.to_owned(),
    };
    match schema.get("type") {
        Some(Value::String(kind)) => one(kind),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<String> = kinds.iter().filter_map(Value::as_str).map(one).collect();
            kinds.join(" | ")
        }
        _ => "any".to_owned(),
    }
}

/// Compares the variables of two versions; those that are the same are left out.
pub(super) fn compare(base: &Bundle, head: &Bundle, usage: Option<&Usage>) -> Vec<VariableDiff> {
    let names: BTreeSet<&str> = [base, head]
        .into_iter()
        .flat_map(Bundle::variables)
        .map(|(name, _)| name)
        .collect();
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (variable(base, name), variable(head, name));
        if old == new {
            continue;
        }
        let fits = match (&old, &new) {
            (Some(old), Some(new))
                if without_remarks(&old.schema) != without_remarks(&new.schema) =>
            {
                Some(is_subset(&old.schema, &new.schema))
            }
            _ => None,
        };
        found.push(VariableDiff {
            name: name.to_owned(),
            base: old,
            head: new,
            fits,
            senders: usage.map(|usage| usage.senders(name)),
        });
    }
    found
}
