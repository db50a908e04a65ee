//! `is-json` and `contains-json`, with or without a schema.

use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::prompts::violations;
use serde_json::Value;

/// Bytes of one object in a text.
const MAX_OBJECT: usize = 100_000;
/// Bytes that are looked at in search of objects, all tries together.
const MAX_SCANNED: usize = 20_000_000;

/// The whole output is JSON, which fits the schema if there is one.
pub(super) fn is_json(ready: &Ready<'_>) -> Judged {
    let parsed: Value = match serde_json::from_str(&ready.text) {
        Ok(parsed) => parsed,
        Err(error) => return ready.plain(false, format!("the output is not JSON: {error}")),
    };
    let Some(schema) = schema_of(ready)? else {
        return ready.plain(true, "the output is JSON");
    };
    let broken = held_against(&schema, &parsed)?;
    let reason = if broken.is_empty() {
        "the output is JSON that fits the schema".to_owned()
    } else {
        format!(
            "the output is JSON that does not fit the schema: {}",
            broken.join("; ")
        )
    };
    ready.plain(broken.is_empty(), reason)
}

/// There is an object in the output, as JSON or nearly so, which fits the schema if there is one.
pub(super) fn contains_json(ready: &Ready<'_>) -> Judged {
    let schema = schema_of(ready)?;
    let objects = objects_in(&ready.text)?;
    let Some(schema) = schema else {
        let found = format!("there are {} JSON objects in the output", objects.len());
        return ready.plain(!objects.is_empty(), found);
    };
    let mut reason = "there is no JSON object in the output".to_owned();
    for object in &objects {
        let broken = held_against(&schema, object)?;
        if broken.is_empty() {
            return ready.plain(true, "a JSON object in the output fits the schema");
        }
        reason = format!(
            "no JSON object in the output fits the schema: {}",
            broken.join("; ")
        );
    }
    ready.plain(false, reason)
}

/// The schema: an object, or text that is YAML.
fn schema_of(ready: &Ready<'_>) -> Result<Option<Value>, CannotJudge> {
    match &ready.value {
        None | Some(Value::Null | Value::Bool(false)) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            let schema = lenient(text)
                .ok_or_else(|| CannotJudge::because("its `value` is neither JSON nor YAML"))?;
            Ok(Some(schema))
        }
        Some(schema @ Value::Object(_)) => Ok(Some(schema.clone())),
        Some(_) => Err(CannotJudge::because("its `value` must be a JSON Schema")),
    }
}

fn held_against(schema: &Value, value: &Value) -> Result<Vec<String>, CannotJudge> {
    violations(schema, value).map_err(CannotJudge::because)
}

/// Returns the objects in a text: from each `{` to the `}` that balances it, or to the end with what is
/// missing added. They may be written as YAML allows, with comments behind `//`.
fn objects_in(text: &str) -> Result<Vec<Value>, CannotJudge> {
    let bytes = text.as_bytes();
    let (mut objects, mut place, mut scanned) = (Vec::new(), 0, 0);
    while let Some(start) = next_brace(bytes, place) {
        let (end, open) = balanced_end(bytes, start);
        scanned += end - start;
        if MAX_SCANNED < scanned {
            return Err(CannotJudge::because(
                "the output has too many braces to look for JSON",
            ));
        }
        // A brace alone at the end begins nothing.
        let is_bare = 0 < open && end == start + 1;
        let object = text
            .get(start..end)
            .filter(|_| !is_bare)
            .and_then(|text| lenient(&format!("{text}{}", "}".repeat(open))));
        match object {
            Some(object) if object.is_object() => {
                objects.push(object);
                place = end;
            }
            _ => place = start + 1,
        }
    }
    Ok(objects)
}

fn next_brace(bytes: &[u8], place: usize) -> Option<usize> {
    let rest = bytes.get(place..)?;
    Some(place + memchr::memchr(b'{', rest)?)
}

/// Returns where the object that begins at `start` ends, and how many braces are still open there.
fn balanced_end(bytes: &[u8], start: usize) -> (usize, usize) {
    let mut open = 0_usize;
    let scope = bytes.get(start..).unwrap_or_default();
    for (place, byte) in scope.iter().enumerate().take(MAX_OBJECT) {
        match byte {
            b'{' => open += 1,
            b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open == 0 {
            return (start + place + 1, 0);
        }
    }
    let mut end = start + scope.len().min(MAX_OBJECT);
    // Not in the middle of a character.
    while bytes.get(end).is_some_and(|byte| byte & 0xC0 == 0x80) {
        end += 1;
    }
    (end, open)
}

/// Parses JSON, else YAML with `//` comments.
fn lenient(text: &str) -> Option<Value> {
    if let Ok(value) = serde_json::from_str(text) {
        return Some(value);
    }
    let options = serde_saphyr::options! {
        strict_booleans: true,
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
        non_finite_float_policy: serde_saphyr::options::NonFiniteFloatPolicy::Reject,
    };
    serde_saphyr::from_str_with_options(&with_yaml_comments(text), options).ok()
}

/// Turns `// comment` into `# comment`, outside of quotes and addresses.
fn with_yaml_comments(text: &str) -> String {
    if !text.contains("//") {
        return text.to_owned();
    }
    let lines: Vec<String> = text.split('\n').map(line_with_yaml_comment).collect();
    lines.join("\n")
}

fn line_with_yaml_comment(line: &str) -> String {
    let (mut quote, mut before, mut is_escaped) = (None, ' ', false);
    for (place, c) in line.char_indices() {
        let rest = line.get(place..).unwrap_or_default();
        match (quote, c) {
            (None, '"') => quote = Some('"'),
            (None, '\'') if !before.is_ascii_alphabetic() => quote = Some('\''),
            (Some(open), c) if c == open && !is_escaped => {
                let next = rest.chars().nth(1).unwrap_or(' ');
                if open == '"' || !next.is_ascii_alphabetic() {
                    quote = None;
                }
            }
            (None, '/') if rest.starts_with("//") && !is_address(line, place) => {
                let slashes = rest.len() - rest.trim_start_matches('/').len();
                let kept = line.get(..place).unwrap_or_default();
                return format!(
                    "{kept}{}{}",
                    "#".repeat(slashes / 2),
                    rest.trim_start_matches('/')
                );
            }
            _ => {}
        }
        is_escaped = c == '\\' && !is_escaped;
        before = c;
    }
    line.to_owned()
}

/// Whether the two slashes at `place` belong to something like `https://`.
fn is_address(line: &str, place: usize) -> bool {
    let before = line.get(..place).unwrap_or_default();
    let word = before
        .rsplit(char::is_whitespace)
        .next()
        .unwrap_or_default();
    word.ends_with(':')
}

#[cfg(test)]
mod tests {
    use super::objects_in;
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::hold;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_whole_output_is_json() {
        let schema =
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "number"}}});
        hold(vec![
            ("is-json", json!(null), json!("1"), Mark::Pass),
            (
                "is-json",
                json!(null),
                json!("```json\n{}\n```"),
                Mark::Fail,
            ),
            ("is-json", json!(null), json!("{\"a\":1,}"), Mark::Fail),
            ("not-is-json", json!(null), json!("text"), Mark::Pass),
            ("not-is-json", json!(null), json!("{}"), Mark::Fail),
            ("is-json", schema.clone(), json!("{\"a\":1}"), Mark::Pass),
            (
                "is-json",
                schema.clone(),
                json!("{\"a\":\"x\"}"),
                Mark::Fail,
            ),
            (
                "not-is-json",
                schema.clone(),
                json!("{\"a\":\"x\"}"),
                Mark::Pass,
            ),
            ("not-is-json", schema, json!("text"), Mark::Pass),
            (
                "is-json",
                json!("type: object\nrequired: [a]\n"),
                json!("{}"),
                Mark::Fail,
            ),
            (
                "is-json",
                json!({"type": "string", "format": "date"}),
                json!("\"2024-13-45\""),
                Mark::Fail,
            ),
            ("is-json", json!({"type": 7}), json!("{}"), Mark::Error),
            ("not-is-json", json!({"type": 7}), json!("{}"), Mark::Error),
            ("is-json", json!(3), json!("{}"), Mark::Error),
            ("is-json", json!(null), json!({"a": 1}), Mark::Pass),
        ]);
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "a table")]
    fn objects_are_found_in_text() {
        let schema = json!({"required": ["a"]});
        hold(vec![
            ("contains-json", json!(null), json!("[1,2]"), Mark::Fail),
            (
                "contains-json",
                json!(null),
                json!("so: {a: 1, b: 'q',} there"),
                Mark::Pass,
            ),
            (
                "contains-json",
                json!(null),
                json!("cut {\"a\": {\"b\": [1, 2]"),
                Mark::Pass,
            ),
            (
                "contains-json",
                json!(null),
                json!("```json\n{\"a\": 1}\n```"),
                Mark::Pass,
            ),
            ("contains-json", json!(null), json!("no braces"), Mark::Fail),
            (
                "not-contains-json",
                json!(null),
                json!("no braces"),
                Mark::Pass,
            ),
            ("not-contains-json", json!(null), json!("{}"), Mark::Fail),
            (
                "contains-json",
                schema.clone(),
                json!("{\"b\":1} {\"a\":1}"),
                Mark::Pass,
            ),
            (
                "contains-json",
                schema.clone(),
                json!("{\"b\":1}"),
                Mark::Fail,
            ),
            (
                "not-contains-json",
                schema.clone(),
                json!("{\"b\":1}"),
                Mark::Pass,
            ),
            (
                "not-contains-json",
                schema,
                json!("{\"b\":1} {\"a\":1}"),
                Mark::Fail,
            ),
        ]);
        let commented = "{\n  \"a\": 1, // one\n  \"b\": \"http://x\" // two\n}";
        assert_eq!(
            objects_in(commented).unwrap(),
            [json!({"a": 1, "b": "http://x"})]
        );
        assert_eq!(objects_in("{\"a\":{\"b\":1}} {\"c\":2}").unwrap().len(), 2);
        assert_eq!(objects_in("{ \"a\": tru, {\"b\": 2}").unwrap().len(), 1);
        assert!(objects_in("{").unwrap().is_empty());
        assert_eq!(objects_in("{\"a\":1").unwrap().len(), 1);
        assert!(objects_in(&"{".repeat(1_000_000)).is_err());
    }

    proptest! {
        #[test]
        fn looking_never_panics(text in "[{}\\[\\]:,\"'/# a\u{e9}1\\n-]{0,60}") {
            let _ = objects_in(&text);
        }
    }
}
