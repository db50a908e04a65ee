//! One way to write what is hashed: JSON with sorted keys, texts without their accidents.

use crate::domain::sha256_hex;
use icu_normalizer::ComposingNormalizerBorrowed;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;

/// Returns JSON without spaces, the keys of every object sorted by their bytes.
pub(super) fn json(value: &Value) -> String {
    let mut text = String::new();
    write(value, &mut text);
    text
}

fn write(value: &Value, into: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            into.push('{');
            for (number, (name, value)) in fields.into_iter().enumerate() {
                if 0 < number {
                    into.push(',');
                }
                into.push_str(&Value::from(name.as_str()).to_string());
                into.push(':');
                write(value, into);
            }
            into.push('}');
        }
        Value::Array(values) => {
            into.push('[');
            for (number, value) in values.iter().enumerate() {
                if 0 < number {
                    into.push(',');
                }
                write(value, into);
            }
            into.push(']');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            into.push_str(&value.to_string());
        }
    }
}

/// Returns SHA-256 of a text whose ends of lines are `\n` and whose characters are composed (NFC). Texts that
/// agree in it look the same to a reader; a model sees them apart, so no vector is shared by it.
pub(super) fn text_hash(text: &str) -> [u8; 32] {
    let lines = if text.contains('\r') {
        Cow::Owned(text.replace("\r\n", "\n"))
    } else {
        Cow::Borrowed(text)
    };
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&lines);
    Sha256::digest(composed.as_bytes()).into()
}

/// Returns the hash (hex) under which a manifest remembers a deleted item.
pub(in crate::embeddings) fn item_hash(id: &str) -> String {
    sha256_hex(id.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{json, text_hash};
    use crate::domain::BundleHash;
    use serde_json::{Value, json};

    #[test]
    fn keys_are_sorted_at_every_depth() {
        let value = json!({"b": [1, {"z": null, "a": "ü\n"}], "a": 0.5});
        assert_eq!(json(&value), r#"{"a":0.5,"b":[1,{"a":"ü\n","z":null}]}"#);
    }

    #[test]
    fn texts_hash_as_the_fixture_says() {
        let fixture = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/embeddings/quantisation_formats.json"
        ));
        let fixture: Value = serde_json::from_str(fixture).unwrap();
        let cases = fixture["hashes"].as_array().unwrap();
        assert!(!cases.is_empty());
        for case in cases {
            let text = case["text"].as_str().unwrap();
            let hash = BundleHash(text_hash(text)).to_hex();
            assert_eq!(hash, case["sha256_canonical"], "{text:?}");
        }
    }
}
