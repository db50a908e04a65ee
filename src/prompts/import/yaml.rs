//! Writes YAML as people write it: blocks, plain words where they are safe.

use serde_json::{Map, Value};
use std::fmt::Write as _;

/// Writes a mapping, one key a line.
pub(super) fn write(map: &Map<String, Value>) -> String {
    let mut out = String::new();
    mapping(&mut out, map, 0);
    out
}

fn mapping(out: &mut String, map: &Map<String, Value>, indent: usize) {
    for (key, value) in map {
        let _ = write!(out, "{}{}:", " ".repeat(indent), scalar(key));
        below(out, value, indent);
    }
}

/// Writes a value behind its key or dash.
fn below(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            out.push('\n');
            mapping(out, map, indent + 2);
        }
        Value::Array(items) if items.iter().any(|item| item.is_object() || item.is_array()) => {
            out.push('\n');
            for item in items {
                list_item(out, item, indent + 2);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            let _ = writeln!(out, " [{}]", items.join(", "));
        }
        other => {
            let _ = writeln!(out, " {}", flow(other));
        }
    }
}

fn list_item(out: &mut String, item: &Value, indent: usize) {
    let dash = " ".repeat(indent);
    match item {
        Value::Object(map) if !map.is_empty() => {
            let mut text = String::new();
            mapping(&mut text, map, indent + 2);
            let _ = write!(out, "{dash}- {}", text.trim_start());
        }
        _ => {
            let _ = write!(out, "{dash}-");
            below(out, item, indent);
        }
    }
}

fn flow(value: &Value) -> String {
    match value {
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text, plain where it can only be read as text, else as in JSON.
fn scalar(text: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || "_-./ ?()".contains(c);
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain =
        starts_well && text.chars().all(is_word) && !text.ends_with(' ') && text.len() < 200;
    let is_taken = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
        .iter()
        .any(|word| text.eq_ignore_ascii_case(word));
    if is_plain && !is_taken {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::write;
    use crate::prompts::front_matter::parse_yaml;
    use serde_json::{Value, json};

    #[test]
    fn what_is_written_reads_the_same() {
        let value = json!({
            "plain": "some words", "odd": "a: b # c", "yes": "no", "number": "1.5", "empty": {},
            "list": ["a", "b c", 1, null, true], "none": [], "text": "two\nlines \u{2028} é",
            "map": {"x?(enum, d)": ["A", "B"], "deep": {"er": [{"a": 1, "b": [1, 2]}, [], [[1]], {}]}},
            "-": "-", "é": "ü", "e": "1e5", "hex": "0x10", "date": "2026-01-01", "space": " x ",
        });
        let text = write(value.as_object().unwrap());
        let read: Value = parse_yaml(&text).unwrap();
        assert_eq!(read, value, "{text}");
    }
}
