//! The identity of a version: one hash over everything its text and its call depend on.
//!
//! The hash is taken over the *text* of a JSON document, with keys sorted and strings escaped as in
//! RFC 8785 and numbers as they are written, because a float that is parsed and written again may
//! come out different.

use crate::domain::BundleHash;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;

/// What stands before the document in the hash: the format and its version.
const PREFIX: &str = "promptbundle/1\n";

/// Returns the hash of `document`, JSON text.
pub(super) fn hash_of(document: &str) -> Result<BundleHash, serde_json::Error> {
    let mut canonical = String::with_capacity(document.len() + PREFIX.len());
    canonical.push_str(PREFIX);
    canonicalise(document, &mut canonical)?;
    Ok(BundleHash(Sha256::digest(canonical.as_bytes()).into()))
}

/// Appends `json` in canonical form.
fn canonicalise(json: &str, out: &mut String) -> Result<(), serde_json::Error> {
    let json = json.trim();
    match json.chars().next() {
        Some('{') => {
            let fields: HashMap<String, &RawValue> = serde_json::from_str(json)?;
            let mut fields: Vec<_> = fields.into_iter().collect();
            // RFC 8785 sorts by UTF-16 code units.
            fields.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push('{');
            for (index, (key, value)) in fields.iter().enumerate() {
                if 0 < index {
                    out.push(',');
                }
                out.push_str(&serde_json::to_string(key)?);
                out.push(':');
                canonicalise(value.get(), out)?;
            }
            out.push('}');
        }
        Some('[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json)?;
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if 0 < index {
                    out.push(',');
                }
                canonicalise(item.get(), out)?;
            }
            out.push(']');
        }
        Some('"') => {
            let text: String = serde_json::from_str(json)?;
            out.push_str(&serde_json::to_string(&text)?);
        }
        _ => out.push_str(json),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{canonicalise, hash_of};

    #[test]
    fn the_canonical_form_sorts_keys_and_keeps_numbers_as_written() {
        let mut out = String::new();
        let json =
            r#" { "b" : [1.0, 1e-7, -0 , "\u0041\/\n"], "a":{"\ud83d\ude00":1,"\ufb33":2} } "#;
        canonicalise(json, &mut out).unwrap();
        // The emoji is a surrogate pair, so it sorts before U+FB33.
        assert_eq!(
            out,
            "{\"a\":{\"\u{1f600}\":1,\"\u{fb33}\":2},\"b\":[1.0,1e-7,-0,\"A/\\n\"]}"
        );
    }

    #[test]
    fn the_hash_is_fixed_for_all_time() {
        let hash = hash_of(r#"{"template":"Hello, {{name}}!","model":null}"#).unwrap();
        assert_eq!(
            hash.to_hex(),
            "e3de765419bcbd62cca1ca8954cef14fdae67cc01a80aca22b52b08cb1efd337"
        );
        assert_eq!(
            hash,
            hash_of(r#"{"model":null, "template":"Hello, {{name}}!"}"#).unwrap()
        );
        assert_ne!(
            hash,
            hash_of(r#"{"model":"","template":"Hello, {{name}}!"}"#).unwrap()
        );
    }
}
