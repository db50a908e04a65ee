//! What a cell of a column `__expected` asserts: `contains: x`, `similar(0.9): y`, or the text itself.

use crate::evals::suite::AssertionKind;
use serde_json::Value;

/// What a cell asserts.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Cell {
    /// The type, `not-` included.
    pub(super) kind: String,
    pub(super) value: Option<Value>,
    pub(super) threshold: Option<f64>,
}

/// Types that take a threshold in parentheses, with the one they have without.
const THRESHOLDS: [(AssertionKind, f64); 12] = [
    (AssertionKind::AnswerRelevance, 0.75),
    (AssertionKind::ContextFaithfulness, 0.75),
    (AssertionKind::ContextRecall, 0.75),
    (AssertionKind::ContextRelevance, 0.75),
    (AssertionKind::Cost, 0.75),
    (AssertionKind::Latency, 0.75),
    (AssertionKind::Levenshtein, 0.75),
    (AssertionKind::PerplexityScore, 0.75),
    (AssertionKind::Perplexity, 0.75),
    (AssertionKind::RougeN, 0.75),
    (AssertionKind::Similar, 0.8),
    (AssertionKind::StartsWith, 0.75),
];

/// Reads a cell that is not empty.
pub(super) fn read(cell: &str) -> Result<Cell, String> {
    let cell = cell.trim();
    let of = |kind: &str, value: &str| {
        Ok(Cell {
            kind: kind.to_owned(),
            value: Some(Value::String(value.to_owned())),
            threshold: None,
        })
    };
    for prefix in ["javascript:", "fn:", "eval:"] {
        if let Some(code) = cell.strip_prefix(prefix) {
            return of("javascript", code.trim());
        }
    }
    for prefix in ["grade:", "llm-rubric:"] {
        if let Some(rubric) = cell.strip_prefix(prefix) {
            return of("llm-rubric", rubric);
        }
    }
    if let Some(code) = cell.strip_prefix("python:") {
        return of("python", code.trim());
    }
    if let Some(file) = cell.strip_prefix("file://") {
        let path = file.rsplit_once(':').map_or(file, |(path, _)| path);
        let ends = |endings: &[&str]| {
            endings
                .iter()
                .any(|end| path.ends_with(end) || file.ends_with(end))
        };
        if ends(&[".js", ".cjs", ".mjs", ".ts"]) {
            return of("javascript", cell);
        }
        if ends(&[".py"]) {
            return of("python", cell);
        }
    }
    match typed(cell) {
        Some((negation, kind, threshold, value)) => asserted(negation, kind, threshold, value),
        None => of("equals", cell),
    }
}

/// `[not-]TYPE[(NUMBER)][:VALUE]`, the whole cell; `None` when it is anything else.
fn typed(cell: &str) -> Option<(&str, AssertionKind, Option<f64>, Option<&str>)> {
    let (negation, rest) = match cell.strip_prefix("not-") {
        Some(rest) => ("not-", rest),
        None => ("", cell),
    };
    // The longest name first: `similar:cosine` is a type, and so is `similar`.
    let mut kinds: Vec<AssertionKind> = AssertionKind::ALL.to_vec();
    kinds.sort_by_key(|kind| std::cmp::Reverse(kind.as_str().len()));
    kinds.into_iter().find_map(|kind| {
        let rest = rest.strip_prefix(kind.as_str())?;
        let (threshold, rest) = match rest.strip_prefix('(') {
            Some(inner) => {
                let (number, rest) = inner.split_once(')')?;
                (Some(plain_number(number)?), rest)
            }
            None => (None, rest),
        };
        match rest.strip_prefix(':') {
            Some(value) => Some((negation, kind, threshold, Some(value))),
            None if rest.is_empty() => Some((negation, kind, threshold, None)),
            None => None,
        }
    })
}

/// Digits with at most one point between them: no sign and no exponent.
fn plain_number(text: &str) -> Option<f64> {
    let is_plain = text.split('.').count() <= 2
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
    is_plain.then(|| text.parse().ok()).flatten()
}

fn asserted(
    negation: &str,
    kind: AssertionKind,
    threshold: Option<f64>,
    value: Option<&str>,
) -> Result<Cell, String> {
    let text = |value: &str| Value::String(value.to_owned());
    let usual = THRESHOLDS.iter().find(|(other, _)| *other == kind);
    let value = match kind {
        AssertionKind::ContainsAll
        | AssertionKind::ContainsAny
        | AssertionKind::IContainsAll
        | AssertionKind::IContainsAny => match value.filter(|value| !value.is_empty()) {
            Some(value) => Some(Value::Array(
                comma_separated(value)?
                    .into_iter()
                    .map(Value::String)
                    .collect(),
            )),
            None => value.map(text),
        },
        AssertionKind::IsJson | AssertionKind::ContainsJson => value.map(text),
        _ => value.map(|value| text(value.trim())),
    };
    Ok(Cell {
        kind: [negation, kind.as_str()].concat(),
        value,
        threshold: usual.map(|(_, usual)| threshold.unwrap_or(*usual)),
    })
}

/// Values between commas; one in quotes may have commas, and `\"` or `""` for a quote.
fn comma_separated(text: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        while rest.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        if rest.peek().is_none() {
            return Ok(values);
        }
        let mut value = String::new();
        if rest.next_if_eq(&'"').is_none() {
            while let Some(c) = rest.next_if(|c| *c != ',') {
                value.push(c);
            }
            values.push(value.trim().to_owned());
            continue;
        }
        loop {
            match rest.next() {
                None => return Err("a value in quotes is not closed".to_owned()),
                Some('\\') if rest.peek().is_some_and(|c| matches!(c, '"' | '\\')) => {
                    value.extend(rest.next());
                }
                Some('"') if rest.next_if_eq(&'"').is_some() => value.push('"'),
                Some('"') => break,
                Some(c) => value.push(c),
            }
        }
        values.push(value);
        while rest.next_if(|c| c.is_whitespace()).is_some() {}
        if rest.peek().is_some_and(|c| *c != ',') {
            return Err("a comma is wanted behind a value in quotes".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::{Value, json};

    #[test]
    fn cells_assert_what_the_grammar_says() {
        let nothing = Value::Null;
        for (cell, kind, value, threshold) in [
            ("Paris", "equals", json!("Paris"), None),
            (" Paris ", "equals", json!("Paris"), None),
            (
                "javascript: output.length > 3 ",
                "javascript",
                json!("output.length > 3"),
                None,
            ),
            ("fn:true", "javascript", json!("true"), None),
            ("eval: x", "javascript", json!("x"), None),
            (
                "file://a.js:check",
                "javascript",
                json!("file://a.js:check"),
                None,
            ),
            ("file://a.py", "python", json!("file://a.py"), None),
            ("file://a.txt", "equals", json!("file://a.txt"), None),
            ("python: True", "python", json!("True"), None),
            ("grade: is kind", "llm-rubric", json!(" is kind"), None),
            ("llm-rubric:is kind", "llm-rubric", json!("is kind"), None),
            ("contains: x ", "contains", json!("x"), None),
            ("not-contains:foo", "not-contains", json!("foo"), None),
            ("contains:", "contains", json!(""), None),
            (
                "contains-any:a,\"b,c\",d",
                "contains-any",
                json!(["a", "b,c", "d"]),
                None,
            ),
            (
                "icontains-all: a ,, b",
                "icontains-all",
                json!(["a", "b"]),
                None,
            ),
            (
                "contains-all:\"say \\\"x\\\"\",\"y\"\"z\"",
                "contains-all",
                json!(["say \"x\"", "y\"z"]),
                None,
            ),
            ("is-json", "is-json", nothing.clone(), None),
            ("is-json: {\"a\": 1}", "is-json", json!(" {\"a\": 1}"), None),
            ("similar(0.9):hello", "similar", json!("hello"), Some(0.9)),
            ("similar:hello", "similar", json!("hello"), Some(0.8)),
            (
                "similar:cosine:hello",
                "similar:cosine",
                json!("hello"),
                None,
            ),
            ("latency(1000)", "latency", nothing.clone(), Some(1000.0)),
            ("not-rouge-n: a", "not-rouge-n", json!("a"), Some(0.75)),
            ("levenshtein(3): a", "levenshtein", json!("a"), Some(3.0)),
            (
                "levenshtein(-3): a",
                "equals",
                json!("levenshtein(-3): a"),
                None,
            ),
            ("regex:^a:b$", "regex", json!("^a:b$"), None),
            ("regex(1): a", "regex", json!("a"), None),
            (
                "contains the word",
                "equals",
                json!("contains the word"),
                None,
            ),
            ("Contains: x", "equals", json!("Contains: x"), None),
            ("contains-any: a\nb", "contains-any", json!(["a\nb"]), None),
            ("unknown-type: x", "equals", json!("unknown-type: x"), None),
        ] {
            let read = read(cell).unwrap();
            assert_eq!(read.kind, kind, "{cell}");
            assert_eq!(read.value.unwrap_or_default(), value, "{cell}");
            assert_eq!(read.threshold, threshold, "{cell}");
        }
        for (cell, reason) in [
            ("contains-any: \"a", "not closed"),
            ("contains-any: \"a\" b", "comma"),
        ] {
            assert!(read(cell).unwrap_err().contains(reason), "{cell}");
        }
    }
}
