//! Whether every value of one JSON Schema is a value of another.
//!
//! *Yes* is proven by structure. *No* comes with an example that a real validator accepts by the one
//! schema and refuses by the other. Everything else cannot be decided, and is said to be so.
//!
//! Structure knows: `type`, `enum`, `const`, `properties`, `required`, `additionalProperties`, `items`,
//! `prefixItems`, the bounds of numbers, lengths and counts, `multipleOf`, `anyOf`, `oneOf` and `allOf`
//! on the left, `anyOf` and `allOf` on the right, and `$ref` inside the schema. `pattern`, `format`,
//! `not` and the like count as met only where both sides say the same. Titles, descriptions, defaults
//! and examples restrict nothing.

use crate::prompts::diff::candidates::candidates;
use crate::prompts::diff::proof::{Doubt, prove};
use jsonschema::Validator;
use jsonschema::error::ValidationErrorKind;
use serde::Serialize;
use serde_json::Value;

/// Keywords that restrict nothing.
pub(super) const REMARKS: [&str; 11] = [
    "$comment",
    "$defs",
    "$schema",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "readOnly",
    "title",
    "writeOnly",
];

/// Whether all values of one schema are values of another.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Subset {
    /// They are.
    Yes,
    /// They are not.
    No {
        /// Where structure found a difference, as a JSON pointer into the value.
        pointer: String,
        /// What differs there.
        reason: String,
        /// A value of the one that is none of the other.
        example: Value,
    },
    /// Structure proves nothing, and no example was found.
    CannotDecide {
        /// Where the proof ended.
        pointer: String,
        /// Why.
        reason: String,
    },
}

/// Returns whether every value of `narrow` is a value of `wide`.
#[must_use]
pub fn is_subset(narrow: &Value, wide: &Value) -> Subset {
    let Err(Doubt { pointer, reason }) = prove(narrow, wide) else {
        return Subset::Yes;
    };
    let (Some(is_narrow), Some(is_wide)) = (compiled(narrow), compiled(wide)) else {
        return Subset::CannotDecide {
            pointer: String::new(),
            reason: "one of the schemas is no valid JSON Schema".to_owned(),
        };
    };
    let mut examples = candidates(narrow, Some(wide));
    examples.retain(|value| is_narrow.is_valid(value) && !is_wide.is_valid(value));
    // The best example shows what structure found; any other one tells its own difference.
    let shown = examples
        .iter()
        .position(|value| shows(value, &pointer, &is_wide));
    if let Some(place) = shown {
        let example = examples.swap_remove(place);
        return Subset::No {
            pointer,
            reason,
            example,
        };
    }
    match examples.into_iter().next() {
        Some(example) => {
            let error = is_wide.iter_errors(&example).next();
            let found = error.map(|error| (error.instance_path().to_string(), error.to_string()));
            let (pointer, reason) = found.unwrap_or((pointer, reason));
            Subset::No {
                pointer,
                reason,
                example,
            }
        }
        None => Subset::CannotDecide { pointer, reason },
    }
}

/// Whether `value` is refused because of what lies, or is missing, at `pointer`, and of nothing else.
fn shows(value: &Value, pointer: &str, validator: &Validator) -> bool {
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    let is_there = value.pointer(pointer).is_some();
    validator.iter_errors(value).all(|error| {
        let path = error.instance_path().to_string();
        path == pointer
            || match error.kind() {
                ValidationErrorKind::Required { .. } => path == parent && !is_there,
                ValidationErrorKind::AdditionalProperties { .. } => path == parent && is_there,
                _ => false,
            }
    })
}

/// Returns `schema` without what restricts nothing.
pub(super) fn without_remarks(schema: &Value) -> Value {
    match schema {
        Value::Object(map) => {
            let fields = map
                .iter()
                .filter(|(key, _)| !REMARKS.contains(&key.as_str()) || is_definitions(key));
            let strip = |(key, value): (&String, &Value)| {
                let value = match (key.as_str(), value) {
                    // Here the keys are names, not keywords.
                    (
                        "properties" | "$defs" | "definitions" | "patternProperties",
                        Value::Object(named),
                    ) => named
                        .iter()
                        .map(|(name, schema)| (name.clone(), without_remarks(schema)))
                        .collect(),
                    ("enum" | "const" | "required", value) => value.clone(),
                    (_, value) => without_remarks(value),
                };
                (key.clone(), value)
            };
            fields.map(strip).collect()
        }
        Value::Array(items) => items.iter().map(without_remarks).collect(),
        other => other.clone(),
    }
}

fn is_definitions(key: &str) -> bool {
    matches!(key, "$defs" | "definitions")
}

pub(super) fn compiled(schema: &Value) -> Option<Validator> {
    jsonschema::validator_for(schema).ok()
}

#[cfg(test)]
mod tests {
    use super::{Subset, compiled, is_subset};
    use crate::prompts::diff::candidates::candidates;
    use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, proptest};
    use proptest::strategy::Union;
    use serde_json::{Map, Value, json};

    fn shown(narrow: &Value, wide: &Value) -> String {
        match is_subset(narrow, wide) {
            Subset::Yes => "yes".to_owned(),
            Subset::No {
                pointer,
                reason,
                example,
            } => format!("no at {pointer:?}: {reason}; {example}"),
            Subset::CannotDecide { pointer, reason } => format!("? at {pointer:?}: {reason}"),
        }
    }

    fn object(properties: &Value, required: &Value) -> Value {
        json!({"type": "object", "properties": properties, "required": required,
            "additionalProperties": false})
    }

    #[test]
    fn what_is_a_subset_and_what_is_not_and_what_is_not_known() {
        let cases = scalars().into_iter().chain(composed());
        for (narrow, wide, answer) in cases {
            assert_eq!(shown(&narrow, &wide), answer, "{narrow} in {wide}");
        }
    }

    type Case = (Value, Value, &'static str);

    fn scalars() -> Vec<Case> {
        let text = || json!({"type": "string"});
        let length = |most: u8| json!({"type": "string", "maxLength": most});
        vec![
            (json!({"type": "integer"}), json!({"type": "number"}), "yes"),
            (
                json!({"type": "number"}),
                json!({"type": "integer"}),
                "no at \"\": type number is not allowed any more; 0.5",
            ),
            (text(), json!({"type": ["string", "null"]}), "yes"),
            (
                json!({"type": ["string", "null"]}),
                text(),
                "no at \"\": type null is not allowed any more; null",
            ),
            (length(5), length(9), "yes"),
            (
                length(9),
                length(5),
                "no at \"\": `maxLength` is 5 now; \"xxxxxxxxx\"",
            ),
            (
                json!({"type": "integer", "minimum": 3}),
                json!({"type": "integer", "exclusiveMinimum": 2}),
                "yes",
            ),
            (
                json!({"enum": ["a", 1]}),
                json!({"anyOf": [text(), {"type": "integer"}]}),
                "yes",
            ),
            (
                json!({"type": "string", "pattern": "^a"}),
                json!({"type": "string", "pattern": "^a"}),
                "yes",
            ),
            (
                json!({"type": "string", "pattern": "^abc$"}),
                json!({"type": "string", "pattern": "^a"}),
                "? at \"\": `pattern` is not compared",
            ),
            (
                json!({"type": "string", "description": "one"}),
                json!({"type": "string", "title": "t"}),
                "yes",
            ),
            (json!({"allOf": [text(), {"minLength": 2}]}), text(), "yes"),
            (json!(true), json!({}), "yes"),
            (
                json!({}),
                text(),
                "no at \"\": type null is not allowed any more; null",
            ),
        ]
    }

    fn composed() -> Vec<Case> {
        let text = || json!({"type": "string"});
        let topic = |values: Value| object(&json!({"topic": {"enum": values}}), &json!(["topic"]));
        let two = || json!({"a": text(), "b": text()});
        let tree = || {
            json!({"$defs": {"node": {"type": "object", "additionalProperties": false,
                "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"})
        };
        let list = |items: Value| json!({"type": "array", "items": items});
        vec![
            (topic(json!(["a"])), topic(json!(["a", "b"])), "yes"),
            (
                topic(json!(["a", "b"])),
                topic(json!(["a"])),
                "no at \"/topic\": `\"b\"` is not allowed any more; {\"topic\":\"b\"}",
            ),
            (
                object(&two(), &json!(["a", "b"])),
                object(&two(), &json!(["a"])),
                "yes",
            ),
            (
                object(&two(), &json!(["a"])),
                object(&two(), &json!(["a", "b"])),
                "no at \"/b\": it is required now; {\"a\":\"text\"}",
            ),
            (
                object(&two(), &json!([])),
                object(&json!({"a": text()}), &json!([])),
                "no at \"/b\": it is not allowed any more; {\"a\":\"text\",\"b\":\"text\"}",
            ),
            (
                list(json!({"type": "integer"})),
                list(json!({"type": "number"})),
                "yes",
            ),
            (
                list(text()),
                json!({"type": "array", "items": text(), "minItems": 1}),
                "no at \"\": `minItems` is 1 now; []",
            ),
            (
                json!({"anyOf": [text(), {"type": "null"}]}),
                json!({"type": ["null", "string"]}),
                "yes",
            ),
            (tree(), tree(), "yes"),
        ]
    }

    #[test]
    fn schemas_that_branch_without_end_are_given_up_soon() {
        let names = ["a", "b", "c", "d", "e", "f"];
        let tree = |leaf: &Value| {
            let mut properties: Map<String, Value> = names
                .iter()
                .map(|name| ((*name).to_owned(), json!({"$ref": "#/$defs/node"})))
                .collect();
            properties.insert("leaf".to_owned(), leaf.clone());
            json!({"$defs": {"node": {"type": "object", "properties": properties}},
                "$ref": "#/$defs/node"})
        };
        let (text, number) = (json!({"type": "string"}), json!({"type": "number"}));
        assert_eq!(shown(&tree(&text), &tree(&text)), "yes");
        assert!(shown(&tree(&text), &tree(&number)).starts_with("no at"));
        let mut wide = json!({"type": "string"});
        let mut narrow = json!({"type": "number"});
        for _ in 0..14 {
            wide = json!({"anyOf": [wide, wide, {"type": "null"}]});
            narrow = json!({"oneOf": [narrow, narrow]});
        }
        assert!(shown(&json!({"type": "boolean"}), &wide).starts_with("no at"));
        assert!(!shown(&narrow, &wide).starts_with("yes"));
    }

    /// Small schemas that have much in common.
    fn schema() -> impl Strategy<Value = Value> {
        let leaf = Union::new([
            Just(json!({"type": "string"})).boxed(),
            Just(json!({"type": ["string", "null"]})).boxed(),
            Just(json!({"type": "boolean"})).boxed(),
            Just(json!(true)).boxed(),
            (0..3_u8)
                .prop_map(|length| json!({"type": "string", "minLength": length}))
                .boxed(),
            (0..3_u8)
                .prop_map(|length| json!({"type": "string", "maxLength": length}))
                .boxed(),
            (-1..3_i8)
                .prop_map(|limit| json!({"type": "integer", "minimum": limit}))
                .boxed(),
            (-1..3_i8)
                .prop_map(|limit| json!({"type": "number", "exclusiveMaximum": limit}))
                .boxed(),
            (1..4_u8)
                .prop_map(|of| json!({"type": "integer", "multipleOf": of}))
                .boxed(),
            prop::collection::vec(
                prop::sample::select(vec![json!("text"), json!(1), json!(null), json!("")]),
                1..3,
            )
            .prop_map(|values| json!({"enum": values}))
            .boxed(),
        ]);
        leaf.prop_recursive(3, 16, 3, |inner| {
            let names = prop::sample::subsequence(vec!["a", "b"], 0..=2);
            let properties = prop::collection::btree_map(prop::sample::select(vec!["a", "b"]), inner.clone(), 0..3);
            let objects = (properties, names, prop::option::of(inner.clone()), any::<bool>()).prop_map(
                |(properties, required, rest, is_closed)| {
                    let mut schema = Map::new();
                    schema.insert("type".to_owned(), json!("object"));
                    schema.insert("properties".to_owned(), json!(properties));
                    schema.insert("required".to_owned(), json!(required));
                    if is_closed {
                        schema.insert("additionalProperties".to_owned(), json!(false));
                    } else if let Some(rest) = rest {
                        schema.insert("additionalProperties".to_owned(), rest);
                    }
                    Value::Object(schema)
                },
            );
            let pair = prop::collection::vec(inner.clone(), 1..3);
            Union::new([
                objects.boxed(),
                (inner, 0..2_u8)
                    .prop_map(|(items, least)| json!({"type": "array", "items": items, "minItems": least}))
                    .boxed(),
                pair.clone().prop_map(|branches| json!({"anyOf": branches})).boxed(),
                pair.clone().prop_map(|branches| json!({"oneOf": branches})).boxed(),
                pair.prop_map(|branches| json!({"allOf": branches})).boxed(),
            ])
        })
    }

    proptest! {
        // Compiling validators takes its time.
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn no_value_contradicts_an_answer(narrow in schema(), wide in schema()) {
            let (is_narrow, is_wide) = (compiled(&narrow).unwrap(), compiled(&wide).unwrap());
            match is_subset(&narrow, &wide) {
                Subset::Yes => {
                    let all = candidates(&narrow, Some(&wide)).into_iter().chain(candidates(&wide, Some(&narrow)));
                    for value in all.filter(|value| is_narrow.is_valid(value)) {
                        assert!(is_wide.is_valid(&value), "{value} by {narrow}, not by {wide}");
                    }
                }
                Subset::No { example, .. } => {
                    assert!(is_narrow.is_valid(&example) && !is_wide.is_valid(&example));
                }
                Subset::CannotDecide { .. } => {}
            }
        }

        #[test]
        fn a_schema_is_a_subset_of_itself_or_not_known_to_be_none(schema in schema()) {
            let answer = is_subset(&schema, &schema);
            assert!(!matches!(answer, Subset::No { .. }), "{schema}: {answer:?}");
        }
    }
}
