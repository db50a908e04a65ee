//! Assertions about the text itself: sameness, parts, patterns, distance, length.

use crate::evals::grade::Grade;
use crate::evals::graders::ready::Ready;
use crate::evals::graders::{CannotJudge, Judged};
use crate::evals::script;
use crate::evals::values::{float_text, is_same, is_space, number_of, string_of, text_of, trim};
use serde_json::Value;

/// Cells of the table of an edit distance that are filled without looking at the threshold.
const MAX_CELLS: usize = 4_000_000;

/// The output is the value: a list or an object deeply, as JSON; everything else as text, nothing trimmed.
pub(super) fn equals(ready: &Ready<'_>) -> Judged {
    let value = ready.needed()?;
    let is_equal = match value {
        Value::Null | Value::Array(_) | Value::Object(_) => {
            let parsed: Option<Value> = serde_json::from_str(&ready.text).ok();
            parsed.is_some_and(|output| is_same(&output, value))
        }
        plain => string_of(plain) == ready.text,
    };
    let verb = if is_equal { "is" } else { "is not" };
    ready.plain(is_equal, format!("the output {verb} `{}`", text_of(value)))
}

/// The output contains the value.
pub(super) fn contains(ready: &Ready<'_>, is_caseless: bool) -> Judged {
    let part = match ready.needed()? {
        Value::String(text) if !text.is_empty() => text.clone(),
        Value::Number(number) => crate::evals::values::number_text(number),
        _ => {
            return Err(CannotJudge::because(
                "its `value` must be a text or a number",
            ));
        }
    };
    let found = Parts::of(ready, is_caseless).has(&part);
    let verb = if found { "has" } else { "does not have" };
    ready.plain(found, format!("the output {verb} `{part}` in it"))
}

/// The output contains one of the values.
pub(super) fn contains_any(ready: &Ready<'_>, is_caseless: bool) -> Judged {
    let wanted = listed(ready)?;
    let parts = Parts::of(ready, is_caseless);
    let found = wanted.iter().find(|part| parts.has(part));
    let reason = match found {
        Some(part) => format!("the output has `{part}` in it"),
        None => format!("the output has none of `{}` in it", wanted.join("`, `")),
    };
    ready.plain(found.is_some(), reason)
}

/// The output contains all of the values.
pub(super) fn contains_all(ready: &Ready<'_>, is_caseless: bool) -> Judged {
    let wanted = listed(ready)?;
    let parts = Parts::of(ready, is_caseless);
    let missing: Vec<&str> = wanted
        .iter()
        .filter(|part| !parts.has(part))
        .map(String::as_str)
        .collect();
    let reason = if missing.is_empty() {
        format!("the output has all of `{}` in it", wanted.join("`, `"))
    } else {
        format!("the output lacks `{}`", missing.join("`, `"))
    };
    ready.plain(missing.is_empty(), reason)
}

/// The output begins with the value, nothing trimmed.
pub(super) fn starts_with(ready: &Ready<'_>) -> Judged {
    let start = ready.needed_text()?;
    if start.is_empty() {
        return Err(CannotJudge::because("its `value` must not be empty"));
    }
    let holds = ready.text.starts_with(start);
    let verb = if holds { "begins" } else { "does not begin" };
    ready.plain(holds, format!("the output {verb} with `{start}`"))
}

/// The output matches JavaScript's regular expression. A pattern that is none fails, also as `not-regex`.
pub(super) fn regex(ready: &Ready<'_>) -> Judged {
    let pattern = ready.needed_text()?;
    if pattern.is_empty() {
        return Err(CannotJudge::because("its `value` must not be empty"));
    }
    let outcome = script::regex_matches(pattern, &ready.text)
        .map_err(|_| CannotJudge::because(format!("matching `{pattern}` does not end")))?;
    match outcome {
        Ok(is_match) => {
            let verb = if is_match {
                "matches"
            } else {
                "does not match"
            };
            ready.plain(is_match, format!("the output {verb} `{pattern}`"))
        }
        Err(words) => Ok(Grade::plain(
            false,
            format!("`{pattern}` is no JavaScript regular expression: {words}"),
        )),
    }
}

/// The edit distance to the value, in UTF-16 units, is at most the threshold (5).
pub(super) fn levenshtein(ready: &Ready<'_>) -> Judged {
    let wanted = ready.needed_text()?;
    let threshold = ready.assertion.threshold.unwrap_or(5.0);
    let limit = whole(threshold);
    let distance = limit.and_then(|limit| edit_distance(&ready.text, wanted, limit));
    let found = match distance {
        Some(distance) => format!(
            "the distance is {distance}, with {} allowed",
            float_text(threshold)
        ),
        None => format!("the distance is more than {}", float_text(threshold)),
    };
    ready.plain(
        distance.is_some_and(|distance| limit.is_some_and(|limit| distance <= limit)),
        found,
    )
}

/// The number of words is the value, or between its `min` and `max`.
pub(super) fn word_count(ready: &Ready<'_>) -> Judged {
    let count = ready
        .text
        .split(is_space)
        .filter(|word| !word.is_empty())
        .count();
    let count = f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let (low, high) = match ready.needed()? {
        Value::Object(bounds) => {
            let bound = |name: &str| bounds.get(name).and_then(Value::as_f64);
            (bound("min"), bound("max"))
        }
        Value::Number(number) => (number.as_f64(), number.as_f64()),
        Value::String(text) => (number_of(text), number_of(text)),
        _ => (None, None),
    };
    let span = match (low, high) {
        (None, None) => {
            return Err(CannotJudge::because(
                "its `value` must be a number, or an object of `min` and `max`",
            ));
        }
        (Some(low), Some(high)) if high < low => {
            return Err(CannotJudge::because(format!(
                "its `min` {low} is above its `max` {high}"
            )));
        }
        (Some(low), Some(high)) if (high - low).abs() < f64::EPSILON => format!("{low} wanted"),
        (Some(low), Some(high)) => format!("{low} to {high} wanted"),
        (Some(low), None) => format!("at least {low} wanted"),
        (None, Some(high)) => format!("at most {high} wanted"),
    };
    let holds = low.is_none_or(|low| low <= count) && high.is_none_or(|high| count <= high);
    ready.plain(holds, format!("there are {count} words, with {span}"))
}

/// The output, made ready for looking up parts.
struct Parts {
    text: String,
    is_caseless: bool,
}

impl Parts {
    fn of(ready: &Ready<'_>, is_caseless: bool) -> Self {
        let text = if is_caseless {
            ready.text.to_lowercase()
        } else {
            ready.text.clone()
        };
        Self { text, is_caseless }
    }

    fn has(&self, part: &str) -> bool {
        if self.is_caseless {
            self.text.contains(&part.to_lowercase())
        } else {
            self.text.contains(part)
        }
    }
}

/// The values of a list, or of text that is split at commas.
fn listed(ready: &Ready<'_>) -> Result<Vec<String>, CannotJudge> {
    match ready.needed()? {
        Value::Array(items) => Ok(items.iter().map(string_of).collect()),
        Value::String(text) if !text.is_empty() => comma_separated(text),
        _ => Err(CannotJudge::because(
            "its `value` must be a list, or text with commas",
        )),
    }
}

/// Splits at commas; a field in double quotes keeps its commas, and `""` or a backslash stand for a quote in it.
/// Empty fields are left out.
pub(super) fn comma_separated(text: &str) -> Result<Vec<String>, CannotJudge> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(|c: char| c == ',' || is_space(c));
        if rest.is_empty() {
            return Ok(fields);
        }
        if let Some(quoted) = rest.strip_prefix('"') {
            let (field, after) = quoted_field(quoted)?;
            fields.push(field);
            rest = after.trim_start_matches(is_space);
            if !rest.is_empty() && !rest.starts_with(',') {
                return Err(CannotJudge::because(
                    "its `value` has text between a closing quote and the next comma",
                ));
            }
        } else {
            let (field, after) = rest.split_once(',').unwrap_or((rest, ""));
            fields.push(trim(field).to_owned());
            rest = after;
        }
    }
}

/// Returns the field behind its opening quote, and what follows its closing one.
fn quoted_field(text: &str) -> Result<(String, &str), CannotJudge> {
    let mut field = String::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let next = rest.as_str().chars().next();
        match (c, next) {
            ('\\', Some(escaped @ ('"' | '\\'))) => {
                field.push(escaped);
                rest.next();
            }
            ('"', Some('"')) => {
                field.push('"');
                rest.next();
            }
            ('"', _) => return Ok((field, rest.as_str())),
            (other, _) => field.push(other),
        }
    }
    Err(CannotJudge::because(
        "its `value` has a quote that is not closed",
    ))
}

/// The largest whole number that is no more than `number`; `None` below 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is in range"
)]
fn whole(number: f64) -> Option<usize> {
    (0.0..)
        .contains(&number)
        .then(|| number.min(f64::from(u32::MAX)) as usize)
}

/// Returns the edit distance in UTF-16 units. Where the texts are long, a distance above `limit` is `None`.
fn edit_distance(left: &str, right: &str, limit: usize) -> Option<usize> {
    let left: Vec<u16> = left.encode_utf16().collect();
    let right: Vec<u16> = right.encode_utf16().collect();
    let (left, right) = without_shared_ends(&left, &right);
    let band = if left.len().saturating_mul(right.len()) <= MAX_CELLS {
        usize::MAX
    } else {
        // Beyond the band every path costs more than is asked for.
        limit
            .min(MAX_CELLS / left.len().max(right.len()).max(1))
            .max(1)
    };
    if band < left.len().abs_diff(right.len()) {
        return None;
    }
    let distance = banded_distance(left, right, band);
    (band == usize::MAX || distance <= band).then_some(distance)
}

fn without_shared_ends<'a>(left: &'a [u16], right: &'a [u16]) -> (&'a [u16], &'a [u16]) {
    let start = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let left = left.get(start..).unwrap_or_default();
    let right = right.get(start..).unwrap_or_default();
    let end = left
        .iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let cut = |units: &'a [u16]| units.get(..units.len() - end).unwrap_or_default();
    (cut(left), cut(right))
}

/// The usual table, row by row, only `band` cells to each side of the diagonal.
fn banded_distance(left: &[u16], right: &[u16], band: usize) -> usize {
    let far = left.len() + right.len() + 1;
    let mut row: Vec<usize> = (0..=right.len())
        .map(|cell| if cell <= band { cell } else { far })
        .collect();
    for (line, unit) in left.iter().enumerate() {
        let first = line.saturating_add(1).saturating_sub(band);
        let last = line.saturating_add(1).saturating_add(band).min(right.len());
        let mut diagonal = row.get(first.saturating_sub(1)).copied().unwrap_or(far);
        let mut before = far;
        if first == 0 {
            before = line + 1;
            if let Some(cell) = row.first_mut() {
                *cell = before;
            }
        } else if let Some(cell) = row.get_mut(first - 1) {
            *cell = far;
        }
        let start = first.max(1);
        let cells = row.get_mut(start..=last).into_iter().flatten();
        for (cell, other) in cells.zip(right.get(start - 1..).unwrap_or_default()) {
            let above = *cell;
            let swapped = diagonal + usize::from(unit != other);
            *cell = swapped.min(above + 1).min(before + 1);
            diagonal = above;
            before = *cell;
        }
    }
    row.last().copied().unwrap_or(far)
}

#[cfg(test)]
mod tests {
    use super::{banded_distance, comma_separated, edit_distance};
    use crate::evals::grade::Mark;
    use crate::evals::graders::tests::{hold, scored};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn sameness_trims_nothing() {
        hold(vec![
            ("equals", json!("x"), json!("x\n"), Mark::Fail),
            ("equals", json!("x"), json!("x"), Mark::Pass),
            ("equals", json!(1.0), json!("1.0"), Mark::Fail),
            ("equals", json!(1.0), json!("1"), Mark::Pass),
            ("equals", json!(true), json!("true"), Mark::Pass),
            (
                "equals",
                json!({"a": 1, "b": [2]}),
                json!(" {\"b\": [2.0], \"a\": 1} "),
                Mark::Pass,
            ),
            ("equals", json!({"a": 1}), json!({"a": 1}), Mark::Pass),
            ("equals", json!({"a": 1}), json!("text"), Mark::Fail),
            ("not-equals", json!({"a": 1}), json!("text"), Mark::Pass),
            ("not-equals", json!("x"), json!("x"), Mark::Fail),
            ("equals", json!(null), json!("x"), Mark::Error),
            ("starts-with", json!("Hi"), json!("Hi there"), Mark::Pass),
            ("starts-with", json!("Hi"), json!(" Hi there"), Mark::Fail),
            ("not-starts-with", json!("Hi"), json!(" Hi"), Mark::Pass),
            ("starts-with", json!(""), json!("x"), Mark::Error),
            ("starts-with", json!(3), json!("3"), Mark::Error),
        ]);
    }

    #[test]
    fn parts_are_found() {
        let quoted = json!("foo, \"a,b\" ,bar");
        hold(vec![
            ("contains", json!("ell"), json!("hello"), Mark::Pass),
            ("contains", json!("ELL"), json!("hello"), Mark::Fail),
            ("icontains", json!("ELL"), json!("hello"), Mark::Pass),
            ("contains", json!(42), json!("it is 42."), Mark::Pass),
            ("contains", json!(""), json!("x"), Mark::Error),
            ("not-contains", json!(""), json!("x"), Mark::Error),
            ("contains", json!(["x"]), json!("x"), Mark::Error),
            ("not-contains", json!("x"), json!("y"), Mark::Pass),
            ("contains", json!("\"a\":1"), json!({"a": 1}), Mark::Pass),
            (
                "contains-any",
                quoted.clone(),
                json!("it has a,b in it"),
                Mark::Pass,
            ),
            (
                "contains-any",
                quoted.clone(),
                json!("it has a and b"),
                Mark::Fail,
            ),
            ("contains-all", json!(["a", 1]), json!("a1"), Mark::Pass),
            ("contains-all", json!("a, z"), json!("a1"), Mark::Fail),
            ("not-contains-all", json!("a, z"), json!("a1"), Mark::Pass),
            ("icontains-all", json!("A, B"), json!("ab"), Mark::Pass),
            ("icontains-any", json!("X, B"), json!("ab"), Mark::Pass),
            ("contains-any", json!("\"open"), json!("x"), Mark::Error),
            ("contains-any", json!([]), json!("x"), Mark::Fail),
            ("contains-all", json!([]), json!("x"), Mark::Pass),
        ]);
        assert_eq!(
            comma_separated(r#" a ,, "b ""c"" \" \\",d"#).unwrap(),
            ["a", "b \"c\" \" \\", "d"]
        );
        assert!(comma_separated("\"a\" b").is_err());
    }

    #[test]
    fn patterns_are_javascript() {
        hold(vec![
            ("regex", json!(r"\d+"), json!("a1"), Mark::Pass),
            ("regex", json!("^b"), json!("a\nb"), Mark::Fail),
            ("regex", json!("(?i)x"), json!("x"), Mark::Fail),
            ("not-regex", json!("(?i)x"), json!("y"), Mark::Fail),
            ("not-regex", json!("x"), json!("y"), Mark::Pass),
            ("regex", json!("(?<=a)b(?!c)"), json!("abd"), Mark::Pass),
            ("regex", json!(""), json!("x"), Mark::Error),
            (
                "regex",
                json!("^(a+)+$"),
                json!("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
                Mark::Error,
            ),
            (
                "not-regex",
                json!("^(a+)+$"),
                json!("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"),
                Mark::Error,
            ),
        ]);
    }

    #[test]
    fn distance_is_in_utf_16() {
        for (left, right, distance) in [
            ("kitten", "sitting", 3),
            ("ab", "a\u{1F600}b", 2),
            ("", "abc", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(
                edit_distance(left, right, 0),
                Some(distance),
                "{left} {right}"
            );
        }
        assert_eq!(
            scored("levenshtein", json!("sitting"), 3.0, "kitten").mark,
            Mark::Pass
        );
        assert_eq!(
            scored("levenshtein", json!("sitting"), 2.5, "kitten").mark,
            Mark::Fail
        );
        assert_eq!(
            scored("not-levenshtein", json!("sitting"), 2.0, "kitten").mark,
            Mark::Pass
        );
        let long = "ab".repeat(100_000);
        assert_eq!(edit_distance(&long, &format!("x{long}y"), 5), Some(2));
        assert_eq!(
            edit_distance(
                &format!("x{long}y"),
                &format!("u{}v", "cd".repeat(100_000)),
                5
            ),
            None
        );
    }

    #[test]
    fn words_are_counted() {
        let span = |low: u32, high: u32| json!({"min": low, "max": high});
        hold(vec![
            (
                "word-count",
                json!(3),
                json!(" one two\n three "),
                Mark::Pass,
            ),
            ("word-count", json!("3"), json!("one two three"), Mark::Pass),
            ("word-count", json!(0), json!(""), Mark::Pass),
            ("word-count", span(2, 4), json!("one two three"), Mark::Pass),
            (
                "not-word-count",
                span(2, 4),
                json!("one two three"),
                Mark::Fail,
            ),
            (
                "word-count",
                json!({"min": 4}),
                json!("one two three"),
                Mark::Fail,
            ),
            (
                "word-count",
                json!({"max": 2}),
                json!("one two three"),
                Mark::Fail,
            ),
            ("word-count", span(4, 2), json!("x"), Mark::Error),
            ("word-count", json!({}), json!("x"), Mark::Error),
            ("word-count", json!("many"), json!("x"), Mark::Error),
        ]);
    }

    fn naive(left: &[u16], right: &[u16]) -> usize {
        let mut table = vec![vec![0; right.len() + 1]; left.len() + 1];
        for i in 0..=left.len() {
            for j in 0..=right.len() {
                table[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let swap = table[i - 1][j - 1] + usize::from(left[i - 1] != right[j - 1]);
                    swap.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1)
                };
            }
        }
        table[left.len()][right.len()]
    }

    proptest! {
        #[test]
        fn the_distance_is_that_of_the_whole_table(left in "[a-c\u{1F600}]{0,14}", right in "[a-c\u{1F600}]{0,14}", band in 0_usize..16) {
            let (a, b): (Vec<u16>, Vec<u16>) = (left.encode_utf16().collect(), right.encode_utf16().collect());
            let expected = naive(&a, &b);
            prop_assert_eq!(edit_distance(&left, &right, 0), Some(expected));
            let banded = banded_distance(&a, &b, band);
            if expected <= band {
                prop_assert_eq!(banded, expected);
            } else {
                prop_assert!(band < banded);
            }
        }

        #[test]
        fn splitting_never_panics(text in any::<String>()) {
            let _ = comma_separated(&text);
        }
    }
}
