//! How values look in a prompt: printing, truth, equality, JSON.
//!
//! Numbers look as in JavaScript, where Dotprompt comes from: `1.0` is `1`.

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter};
use serde_json::{Number, Value};
use std::fmt::Write as _;
use std::io;

/// Whole floats up to here are exact integers, and are written without a point.
const EXACT_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// Appends `value` as `{{value}}` prints it. Returns whether it is an object (or has one), which
/// has no plain form and is written as JSON.
pub(super) fn print(value: &Value, out: &mut String) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => {
            out.push_str(text);
            false
        }
        Value::Bool(truth) => {
            out.push_str(if *truth { "true" } else { "false" });
            false
        }
        Value::Number(number) => {
            print_number(number, out);
            false
        }
        Value::Array(items) if !items.iter().any(|item| item.is_object() || item.is_array()) => {
            for (index, item) in items.iter().enumerate() {
                if 0 < index {
                    out.push(',');
                }
                print(item, out);
            }
            false
        }
        Value::Array(_) | Value::Object(_) => {
            out.push_str(&to_json(value, 0));
            true
        }
    }
}

fn print_number(number: &Number, out: &mut String) {
    let written = match number.as_f64().filter(|_| number.is_f64()) {
        Some(float) => match as_integer(float) {
            Some(integer) => write!(out, "{integer}"),
            None => write!(out, "{float}"),
        },
        None => write!(out, "{number}"),
    };
    // Writing to a `String` cannot fail.
    let _ = written;
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the value was just found to be whole and in range"
)]
fn as_integer(float: f64) -> Option<i64> {
    (float.fract().abs() < f64::MIN_POSITIVE && float.abs() <= EXACT_INTEGERS)
        .then_some(float as i64)
}

/// Whether `value` counts as true in `{{#if}}`: JavaScript's rule, but an empty list is false.
pub(super) fn is_truthy(value: &Value, include_zero: bool) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(truth) => *truth,
        Value::Number(number) => include_zero || number.as_f64().is_none_or(|float| float != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(_) => true,
    }
}

/// Whether two values are the same in kind and content; `1.0` equals `1`.
pub(super) fn equals(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() != b.is_f64() => {
            match (a.as_f64(), b.as_f64()) {
                (Some(a), Some(b)) => (a - b).abs() < f64::MIN_POSITIVE,
                _ => false,
            }
        }
        _ => left == right,
    }
}

/// Writes `value` as JSON, with `indent` spaces per level; 0 is compact. Numbers as in JavaScript.
#[must_use]
pub fn to_json(value: &Value, indent: usize) -> String {
    let mut bytes = Vec::with_capacity(64);
    let spaces = " ".repeat(indent);
    // Writing a `Value` to memory cannot fail: its keys are text and its numbers finite.
    let _ = if indent == 0 {
        let formatter = JsNumbers(CompactFormatter);
        value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut bytes, formatter,
        ))
    } else {
        let formatter = JsNumbers(PrettyFormatter::with_indent(spaces.as_bytes()));
        value.serialize(&mut serde_json::Serializer::with_formatter(
            &mut bytes, formatter,
        ))
    };
    String::from_utf8(bytes).unwrap_or_default()
}

/// A formatter that writes whole floats without a point.
struct JsNumbers<F>(F);

impl<F: Formatter> Formatter for JsNumbers<F> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        match as_integer(value) {
            Some(integer) => write!(writer, "{integer}"),
            None => self.0.write_f64(writer, value),
        }
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_array(writer)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array(writer)
    }

    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_array_value(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_array_value(writer)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

/// Returns the bytes of text in `value`, keys included: what a limit on variables counts.
pub(super) fn size(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(|item| 8 + size(item)).sum(),
        Value::Object(map) => map
            .iter()
            .map(|(key, item)| 8 + key.len() + size(item))
            .sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::{equals, is_truthy, print, to_json};
    use serde_json::{Value, json};

    fn printed(value: &Value) -> String {
        let mut out = String::new();
        print(value, &mut out);
        out
    }

    #[test]
    fn values_print_as_in_javascript() {
        for (value, text) in [
            (json!(1.0), "1"),
            (json!(1e3), "1000"),
            (json!(-0.5), "-0.5"),
            (json!(0.1), "0.1"),
            (json!(u64::MAX), "18446744073709551615"),
            (json!(null), ""),
            (json!([1, "x", true]), "1,x,true"),
            (json!({"a": 1.0}), r#"{"a":1}"#),
        ] {
            assert_eq!(printed(&value), text, "{value}");
        }
        assert_eq!(
            to_json(&json!({"a": [1.0, 1.5], "b": {}}), 0),
            r#"{"a":[1,1.5],"b":{}}"#
        );
        assert_eq!(
            to_json(&json!({"a": [1.0]}), 2),
            "{\n  \"a\": [\n    1\n  ]\n}"
        );
    }

    #[test]
    fn truth_and_equality_follow_handlebars() {
        for (value, truth) in [
            (json!(0), false),
            (json!(0.0), false),
            (json!(""), false),
            (json!([]), false),
            (json!({}), true),
            (json!("0"), true),
        ] {
            assert_eq!(is_truthy(&value, false), truth, "{value}");
        }
        assert!(is_truthy(&json!(0), true));
        assert!(equals(&json!(1.0), &json!(1)));
        assert!(!equals(&json!(1), &json!("1")));
        assert!(!equals(&json!(null), &json!(0)));
        assert!(!equals(&json!(1), &json!(true)));
    }
}
