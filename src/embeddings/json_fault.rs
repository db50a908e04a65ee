//! What is wrong with a line that should be JSON, said of the line: its number is told elsewhere.

/// What other programs write for numbers that are none.
const NO_NUMBERS: [&str; 4] = ["NaN", "Infinity", "-Infinity", "nan"];

/// Returns what is wrong with `json`, with the column, and names a number that is none; `None` where it is JSON.
pub(crate) fn json_fault(json: &[u8]) -> Option<String> {
    let error = serde_json::from_slice::<serde::de::IgnoredAny>(json).err()?;
    let column = error.column();
    let word = word_before(json, column);
    if NO_NUMBERS.contains(&word) {
        return Some(format!(
            "is no JSON: `{word}` at column {column} is no number JSON has; leave the row out, or write `null`"
        ));
    }
    let problem = error.to_string();
    let problem = problem.split(" at line ").next().unwrap_or_default();
    Some(format!("is no JSON: {problem} at column {column}"))
}

/// The word that the parser stumbled over: it stands at the column, counted from 1 in bytes, or a letter before.
fn word_before(json: &[u8], column: usize) -> &str {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
    let (before, after) = json.split_at_checked(column).unwrap_or((json, &[]));
    let begin = before.iter().rev().take_while(|byte| is_part(byte)).count();
    let end = after.iter().take_while(|byte| is_part(byte)).count();
    let begin = before.len() - begin;
    let word = json.get(begin..before.len() + end).unwrap_or_default();
    std::str::from_utf8(word).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::json_fault;

    #[test]
    fn the_column_is_told_and_what_is_no_number_is_named() {
        for (json, fault) in [
            (r#"{"a": 1}"#, None),
            (
                r#"{"a": [1.0, NaN, 2]}"#,
                Some("`NaN` at column 13 is no number JSON has"),
            ),
            (r#"{"a": -Infinity}"#, Some("`-Infinity` at column")),
            (r#"{"a": nan}"#, Some("`nan` at column")),
            (
                r#"{"a": oops}"#,
                Some("is no JSON: expected value at column 7"),
            ),
            (
                r#"{"a": "#,
                Some("is no JSON: EOF while parsing a value at column 6"),
            ),
        ] {
            let found = json_fault(json.as_bytes());
            let is_told = match (&found, fault) {
                (Some(found), Some(fault)) => found.contains(fault) && !found.contains("line"),
                (found, fault) => found.is_none() && fault.is_none(),
            };
            assert!(is_told, "{json}: {found:?}");
        }
    }
}
