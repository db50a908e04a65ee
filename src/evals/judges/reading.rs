//! Reads what judges write, as leniently as promptfoo where that cannot turn a verdict around.
//!
//! An object of the wrong keys is none: `{not json}` before the verdict is not taken for one. What a model
//! thought before it answered (`<think>`) is no answer.

use serde_json::{Map, Value};

/// Bytes of a reply that are looked at.
const MAX_REPLY: usize = 100_000;
/// Beginnings of objects that are tried.
const MAX_TRIES: usize = 50;

/// Returns the first JSON object in `text` with a value at one of these keys (in small letters), its own
/// keys in small letters. Prose and code fences around it, single quotes, commas too many and missing closing
/// braces do not matter.
pub(super) fn object_with(text: &str, keys: &[&str]) -> Option<Map<String, Value>> {
    let text = without_thoughts(text);
    let text = text
        .get(..text.floor_char_boundary(MAX_REPLY))
        .unwrap_or(text);
    let mut begin = 0;
    for _ in 0..MAX_TRIES {
        begin += text.get(begin..)?.find('{')?;
        let rest = text.get(begin..)?;
        if let Some((object, taken)) = strict(rest).or_else(|| lenient(rest)) {
            let object = small_keys(object);
            let has = |key: &&str| object.get(*key).is_some_and(|value| !value.is_null());
            if keys.iter().any(has) {
                return Some(object);
            }
            begin += taken.max(1);
        } else {
            begin += 1;
        }
    }
    None
}

/// Returns `text` behind what the model thought; nothing when it was cut while it thought.
pub(super) fn without_thoughts(text: &str) -> &str {
    const END: &str = "</think>";
    if !text.trim_start().starts_with("<think>") {
        return text;
    }
    let end = text.rfind(END).map(|end| end + END.len());
    end.and_then(|end| text.get(end..)).unwrap_or_default()
}

/// The object that JSON begins with, and its length.
fn strict(text: &str) -> Option<(Map<String, Value>, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    match values.next()?.ok()? {
        Value::Object(object) => Some((object, values.byte_offset())),
        _ => None,
    }
}

/// The object up to the brace that closes it, or with the braces that are missing, read as YAML, whose
/// flow style is JSON with fewer rules.
fn lenient(text: &str) -> Option<(Map<String, Value>, usize)> {
    let mut open = 0_usize;
    for (place, c) in text.char_indices() {
        match c {
            '{' => open += 1,
            '}' => open -= 1,
            _ => continue,
        }
        if open == 0 {
            let whole = text.get(..=place)?;
            return Some((flow(whole)?, whole.len()));
        }
    }
    let closed = format!("{text}{}", "}".repeat(open.min(64)));
    Some((flow(&closed)?, text.len()))
}

fn flow(text: &str) -> Option<Map<String, Value>> {
    match serde_saphyr::from_str(text).ok()? {
        Value::Object(object) => Some(object),
        _ => None,
    }
}

fn small_keys(object: Map<String, Value>) -> Map<String, Value> {
    let fields = object.into_iter();
    fields
        .map(|(key, value)| (key.to_lowercase(), value))
        .collect()
}

/// Returns a number that is one, or text that says one.
pub(super) fn number(value: Option<&Value>) -> Option<f64> {
    let number = match value? {
        Value::Number(number) => number.as_f64(),
        Value::String(text) if !text.trim().is_empty() => text.trim().parse().ok(),
        _ => None,
    };
    number.filter(|number| number.is_finite())
}

/// Returns the lines that are not empty, without white space at their ends.
pub(super) fn lines(text: &str) -> Vec<&str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect()
}

/// Returns the sentences of a text: its lines when there are several, else what ends with `.`, `!` or `?`.
/// Numbers of a list alone (`1.`) are none.
pub(super) fn sentences(text: &str) -> Vec<&str> {
    let lines = lines(text);
    if 1 < lines.len() {
        return lines;
    }
    let mut sentences = Vec::new();
    let (mut begin, mut is_end) = (0, false);
    for (place, c) in text.char_indices() {
        if c.is_whitespace() && is_end {
            sentences.push(text.get(begin..place).unwrap_or_default());
            begin = place;
        }
        is_end = matches!(c, '.' | '!' | '?');
    }
    sentences.push(text.get(begin..).unwrap_or_default());
    let is_number = |sentence: &str| {
        let digits = sentence.strip_suffix(['.', ')']);
        digits
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    let sentences = sentences.into_iter().map(str::trim);
    sentences
        .filter(|sentence| !sentence.is_empty() && !is_number(sentence))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{number, object_with, sentences, without_thoughts};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Option<Value> {
        object_with(text, &["pass", "score"]).map(Value::Object)
    }

    #[test]
    fn objects_are_found_in_what_models_write() {
        for (text, expected) in [
            (
                r#"{"pass":true,"score":1}"#,
                json!({"pass": true, "score": 1}),
            ),
            ("```json\n{\"pass\":false}\n```", json!({"pass": false})),
            (r#"So: {"score":0.7} That is all."#, json!({"score": 0.7})),
            (r#"[{"pass":true}]"#, json!({"pass": true})),
            (
                r#"{"pass":true,"score":1,}"#,
                json!({"pass": true, "score": 1}),
            ),
            (
                r"{'reason': 'q', 'pass': true}",
                json!({"reason": "q", "pass": true}),
            ),
            (
                r#"{"reason":"cut","pass":true"#,
                json!({"reason": "cut", "pass": true}),
            ),
            (
                r#"{"Reason":"r","Pass":false}"#,
                json!({"reason": "r", "pass": false}),
            ),
            (
                r#"{"reason": "py", "pass": True}"#,
                json!({"reason": "py", "pass": true}),
            ),
            (r#"{not json} {"pass":false}"#, json!({"pass": false})),
            (r#"{"a":{"pass":1}} {"pass":2}"#, json!({"pass": 2})),
            (
                r#"{"reason":"a } and a {","pass":true}"#,
                json!({"reason": "a } and a {", "pass": true}),
            ),
            (
                r#"<think>maybe {"pass": false}</think>{"pass":true}"#,
                json!({"pass": true}),
            ),
        ] {
            assert_eq!(read(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "It is fine.",
            "true",
            "{}",
            "{\"reason\":\"x\"}",
            "{",
            "}{",
            "{pass",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn thoughts_are_left_out_when_the_reply_begins_with_them() {
        assert_eq!(without_thoughts(" <think>a</think>b"), "b");
        assert_eq!(without_thoughts("<think>a"), "");
        assert_eq!(
            without_thoughts("the tag </think> closes"),
            "the tag </think> closes"
        );
    }

    #[test]
    fn numbers_may_be_written_as_text() {
        for (value, expected) in [
            (json!(0.5), Some(0.5)),
            (json!(" 9 "), Some(9.0)),
            (json!("high"), None),
            (json!(""), None),
            (json!("NaN"), None),
            (json!(true), None),
            (Value::Null, None),
        ] {
            assert_eq!(number(Some(&value)), expected, "{value}");
        }
        assert_eq!(number(None), None);
    }

    #[test]
    fn sentences_are_lines_or_end_with_a_sign() {
        assert_eq!(
            sentences("Paris is big. It is old! 1. Is it? 3.14 rains"),
            ["Paris is big.", "It is old!", "Is it?", "3.14 rains"]
        );
        assert_eq!(sentences("\na b. c d.\n"), ["a b.", "c d."]);
        assert_eq!(sentences("a b. c d.\ne"), ["a b. c d.", "e"]);
        assert_eq!(sentences(" "), Vec::<&str>::new());
    }

    proptest! {
        #[test]
        fn anything_can_be_read(text in "[{}\"'a: ,\\[\\]é]{0,60}") {
            let _ = object_with(&text, &["a"]);
            let _ = sentences(&text);
        }
    }
}
