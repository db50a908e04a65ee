//! How pieces of a streamed value become the value.

use serde_json::{Map, Value};

/// Merges `piece` into `whole` as the deltas of a stream are meant: strings are concatenated, arrays
/// merged by the `index` of their elements (or appended, without one), objects merged key by key,
/// everything else replaced. Returns how many bytes of text came with it.
pub(super) fn merge(whole: &mut Value, piece: Value) -> usize {
    match (whole, piece) {
        (_, Value::Null) => 0,
        (Value::String(text), Value::String(more)) => {
            text.push_str(&more);
            more.len()
        }
        (Value::Array(elements), Value::Array(more)) => merge_arrays(elements, more),
        (Value::Object(fields), Value::Object(more)) => merge_objects(fields, more),
        (whole, piece) => {
            let bytes = text_bytes(&piece);
            // An array starts empty, so that elements of one piece that share an index are merged.
            if let Value::Array(more) = piece {
                let mut elements = Vec::new();
                let bytes = merge_arrays(&mut elements, more);
                *whole = Value::Array(elements);
                return bytes;
            }
            *whole = piece;
            bytes
        }
    }
}

/// Merges the fields of `more` into `fields`.
pub(super) fn merge_objects(fields: &mut Map<String, Value>, more: Map<String, Value>) -> usize {
    let mut bytes = 0;
    for (key, piece) in more {
        let Some(whole) = fields.get_mut(&key) else {
            let mut whole = Value::Null;
            bytes += merge(&mut whole, piece);
            fields.insert(key, whole);
            continue;
        };
        bytes += match (key.as_str(), &piece) {
            // These name a thing: the first chunk has them, and some providers repeat them in every
            // chunk or send them empty.
            ("id" | "type" | "role" | "index" | "format", Value::String(name)) => {
                if !name.is_empty() {
                    *whole = piece;
                }
                0
            }
            ("name", name) if name == whole => 0,
            _ => merge(whole, piece),
        };
    }
    bytes
}

fn merge_arrays(elements: &mut Vec<Value>, more: Vec<Value>) -> usize {
    let mut bytes = 0;
    for piece in more {
        let index = piece.get("index").and_then(Value::as_u64);
        let same = index.and_then(|_| {
            let index_of = |element: &Value| element.get("index").and_then(Value::as_u64);
            elements
                .iter_mut()
                .find(|element| index_of(element) == index)
        });
        bytes += match same {
            Some(whole) => merge(whole, piece),
            None => {
                let mut whole = Value::Null;
                let bytes = merge(&mut whole, piece);
                elements.push(whole);
                bytes
            }
        };
    }
    bytes
}

/// Returns the bytes of text in a value, all strings below it together.
fn text_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(elements) => elements.iter().map(text_bytes).sum(),
        Value::Object(fields) => fields.values().map(text_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::merge;
    use serde_json::{Value, json};

    #[test]
    fn pieces_become_the_value() {
        let cases = [
            (vec![json!("a"), json!(null), json!("b")], json!("ab")),
            (vec![json!(1), json!(2)], json!(2)),
            (
                vec![
                    json!([{"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":""}}]),
                    json!([{"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":"{"}}]),
                    json!([{"index":0,"id":"","type":"function","function":{"name":"f","arguments":"{}"}}]),
                    json!([{"index":1,"function":{"arguments":"}"}}]),
                ],
                json!([
                    {"index":0,"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}},
                    {"index":1,"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}}
                ]),
            ),
            (
                vec![
                    json!({"content":[{"token":"a"}]}),
                    json!({"content":[{"token":"b"}]}),
                ],
                json!({"content":[{"token":"a"},{"token":"b"}]}),
            ),
            (
                vec![json!([{"index":0,"a":"x"},{"index":0,"a":"y"}])],
                json!([{"index":0,"a":"xy"}]),
            ),
            (
                vec![json!({"name":"get_"}), json!({"name":"weather"})],
                json!({"name":"get_weather"}),
            ),
            (vec![json!({"a":null}), json!({"a":"x"})], json!({"a":"x"})),
            (vec![json!("a"), json!(["b"])], json!(["b"])),
        ];
        for (pieces, expected) in cases {
            let mut whole = Value::Null;
            for piece in pieces {
                merge(&mut whole, piece);
            }
            assert_eq!(whole, expected);
        }
    }

    #[test]
    fn text_is_measured() {
        let mut whole = json!(null);
        assert_eq!(merge(&mut whole, json!([{"index":0,"t":"abc"}])), 3);
        assert_eq!(merge(&mut whole, json!([{"index":0,"t":"de"}])), 2);
    }
}
