//! Holds a value against a JSON Schema, for those above who must not know the validator.

use jsonschema::{Draft, Validator};
use serde_json::Value;

/// Violations that are told.
const MOST_TOLD: usize = 20;

/// Returns what `value` breaks of `schema`, each with its place in the value: at most 20, empty when it
/// fits. A schema without `$schema` is draft 7; formats are checked; nothing is fetched.
///
/// # Errors
///
/// When the schema is none, in words.
pub fn violations(schema: &Value, value: &Value) -> Result<Vec<String>, String> {
    let validator = compile(schema)?;
    let told = validator.iter_errors(value).take(MOST_TOLD);
    Ok(told
        .map(|error| match error.instance_path().as_str() {
            "" => error.to_string(),
            place => format!("`{place}`: {error}"),
        })
        .collect())
}

fn compile(schema: &Value) -> Result<Validator, String> {
    let mut options = jsonschema::options()
        .should_validate_formats(true)
        .should_ignore_unknown_formats(true)
        .offline();
    if schema.get("$schema").is_none() {
        options = options.with_draft(Draft::Draft7);
    }
    options
        .build(schema)
        .map_err(|error| format!("broken JSON Schema at `{}`: {error}", error.instance_path()))
}

#[cfg(test)]
mod tests {
    use super::violations;
    use serde_json::json;

    #[test]
    fn values_are_held_against_draft_7_with_formats() {
        let schema = json!({"type": "object", "required": ["a"], "properties": {
            "a": {"type": "integer"}, "mail": {"format": "email"}, "pair": {"items": [{"type": "string"}]}}});
        for (value, count) in [
            (json!({"a": 1}), 0),
            (json!({}), 1),
            (json!({"a": "x", "mail": "no"}), 2),
            (json!({"a": 1, "pair": [1]}), 1),
        ] {
            assert_eq!(violations(&schema, &value).unwrap().len(), count, "{value}");
        }
        assert!(violations(&json!({"type": 3}), &json!(1)).is_err());
        let remote = json!({"$ref": "https://example.com/schema.json"});
        assert!(violations(&remote, &json!(1)).is_err());
    }
}
