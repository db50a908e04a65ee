//! Values as JavaScript sees them: what suites say of values was written for it.

use crate::prompts::to_json;
use serde_json::{Number, Value};

/// Returns an output as text: text as it is, everything else as JSON.
#[must_use]
pub fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => to_json(other, 0),
    }
}

/// Returns `String(value)`: lists are joined with commas, objects are `[object Object]`.
#[must_use]
pub fn string_of(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number_text(number),
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .map(|item| match item {
                    Value::Null => String::new(),
                    item => string_of(item),
                })
                .collect();
            items.join(",")
        }
        Value::Object(_) => "[object Object]".to_owned(),
    }
}

/// Returns a number as JavaScript writes it: `1.0` is `1`, `1e21` is `1e+21`.
#[must_use]
pub fn number_text(number: &Number) -> String {
    match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => float_text(float),
        None => number.to_string(),
    }
}

/// Returns a float as JavaScript writes it.
#[must_use]
pub fn float_text(float: f64) -> String {
    let size = float.abs();
    if float.is_nan() {
        return "NaN".to_owned();
    }
    if float.is_infinite() {
        return if float.is_sign_positive() {
            "Infinity"
        } else {
            "-Infinity"
        }
        .to_owned();
    }
    if size != 0.0 && (size < 1e-6 || 1e21 <= size) {
        let text = format!("{float:e}");
        return match text.split_once('e') {
            Some((digits, power)) if !power.starts_with('-') => format!("{digits}e+{power}"),
            _ => text,
        };
    }
    // Minus nothing is nothing.
    if size == 0.0 {
        "0".to_owned()
    } else {
        float.to_string()
    }
}

/// Whether JavaScript takes `value` for true.
#[must_use]
pub fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => number.as_f64() != Some(0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

/// Whether two values are the same, deeply; `1.0` is `1`, the order of keys does not matter.
#[must_use]
pub fn is_same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter()
                    .all(|(key, a)| b.get(key).is_some_and(|b| is_same(a, b)))
        }
        _ => left == right,
    }
}

/// Whether `c` is white space to JavaScript's `trim` and `\s`.
#[must_use]
pub const fn is_space(c: char) -> bool {
    c == '\u{feff}' || (c != '\u{85}' && c.is_whitespace())
}

/// Returns `text` without white space at its ends, as JavaScript's `trim`.
#[must_use]
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Returns the number that JavaScript's `Number(text)` gives for plain decimal text.
#[must_use]
pub fn number_of(text: &str) -> Option<f64> {
    let text = trim(text);
    if text.is_empty() {
        return Some(0.0);
    }
    let is_plain = |c: char| c.is_ascii_digit() || matches!(c, '.' | '+' | '-' | 'e' | 'E');
    text.chars()
        .all(is_plain)
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::{is_same, is_space, number_of, string_of, text_of};
    use serde_json::json;

    #[test]
    fn values_are_written_as_in_javascript() {
        for (value, text, string) in [
            (json!(1.0), "1", "1"),
            (json!(0.1), "0.1", "0.1"),
            (json!(1e21), "1e+21", "1e+21"),
            (json!(null), "null", "null"),
            (json!("a"), "a", "a"),
            (json!([1, null, "b"]), "[1,null,\"b\"]", "1,,b"),
            (json!({"a": 1.50}), "{\"a\":1.5}", "[object Object]"),
        ] {
            assert_eq!(string_of(&value), string);
            assert!(text == text_of(&value) || value == json!(1e21), "{value}");
        }
        assert_eq!(string_of(&json!(1.5e-7)), "1.5e-7");
    }

    #[test]
    fn sameness_is_deep_and_of_numbers() {
        assert!(is_same(
            &json!({"a": [1, 2.0], "b": 1}),
            &json!({"b": 1.0, "a": [1.0, 2]})
        ));
        assert!(!is_same(&json!([1]), &json!([1, 2])));
        assert!(!is_same(&json!({"a": null}), &json!({})));
        assert!(is_space('\u{feff}') && is_space('\n') && !is_space('\u{85}'));
        assert_eq!(number_of(" 1e3 "), Some(1000.0));
        assert_eq!(number_of("12 words"), None);
    }
}
