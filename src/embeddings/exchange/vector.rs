//! A vector as text: a list of numbers, or base64 of their bytes.

use crate::embeddings::exchange::error::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt::Write as _;

/// The longest vector that is read. PostgreSQL's limit is 16 000.
pub(super) const MAX_DIMENSIONS: usize = 65_536;

/// Reads `[1,2]` (JSON, pgvector), `{1,2}` (a PostgreSQL array) or base64 of little-endian `f32`. `field` is
/// what the vector is called in errors.
pub(super) fn parse(field: &str, text: &str) -> Result<Vec<f32>, Fault> {
    let text = text.trim();
    let inner = bracketed(text, '[', ']').or_else(|| bracketed(text, '{', '}'));
    match inner {
        Some(inner) => numbers(field, inner),
        None if text.starts_with(['[', '{']) => {
            Err(Fault::field(field, "is a list that does not end"))
        }
        None => from_base64(field, text),
    }
}

fn bracketed(text: &str, open: char, close: char) -> Option<&str> {
    text.strip_prefix(open)?.strip_suffix(close)
}

fn numbers(field: &str, inner: &str) -> Result<Vec<f32>, Fault> {
    if inner.trim().is_empty() {
        return Ok(Vec::new());
    }
    let mut values = Vec::with_capacity((inner.len() / 8).min(MAX_DIMENSIONS));
    for word in inner.split(',') {
        let word = word.trim();
        let value = word
            .parse::<f32>()
            .map_err(|_| Fault::field(field, not_a_number(word, values.len())))?;
        if MAX_DIMENSIONS <= values.len() {
            return Err(too_long());
        }
        values.push(value);
    }
    Ok(values)
}

/// Says what stands where a number should: a list in a list is several vectors.
fn not_a_number(word: &str, place: usize) -> String {
    if word.starts_with(['[', '{']) {
        return "is a list of lists: one vector for each row is read".to_owned();
    }
    let shown: String = word.chars().take(24).collect();
    format!("holds `{shown}` at position {place}, which is no number")
}

fn from_base64(field: &str, text: &str) -> Result<Vec<f32>, Fault> {
    if MAX_DIMENSIONS * 6 < text.len() {
        return Err(too_long());
    }
    let bytes = STANDARD
        .decode(text)
        .map_err(|_| Fault::field(field, "is neither a list of numbers nor base64"))?;
    if !bytes.len().is_multiple_of(4) {
        let problem = format!(
            "is base64 of {} bytes, no whole number of `f32`",
            bytes.len()
        );
        return Err(Fault::field(field, problem));
    }
    let (words, _) = bytes.as_chunks();
    Ok(words.iter().map(|word| f32::from_le_bytes(*word)).collect())
}

/// Returns the fault of a vector that is too long.
pub(super) fn too_long() -> Fault {
    Fault::TooLarge {
        what: "a vector".to_owned(),
        limit: format!("{MAX_DIMENSIONS} dimensions"),
    }
}

/// Returns `[0.5,-1.0]`: the shortest digits that give the same `f32` again.
pub(super) fn to_list(values: &[f32]) -> String {
    let mut text = String::with_capacity(values.len() * 12 + 2);
    text.push('[');
    for (place, value) in values.iter().enumerate() {
        if 0 < place {
            text.push(',');
        }
        // A string takes everything.
        let _ = write!(text, "{value:?}");
    }
    text.push(']');
    text
}

/// Returns base64 of little-endian `f32`.
pub(super) fn to_base64(values: &[f32]) -> String {
    let bytes: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::{parse, to_base64, to_list};
    use crate::embeddings::exchange::tests::{matrix, reference};
    use proptest::prelude::*;

    #[test]
    fn the_reference_is_read_and_written() {
        let reference = reference();
        let formats = &reference["formats"];
        for (row, values) in matrix(&reference).iter().enumerate() {
            let text = formats["pgvector_text"][row].as_str().unwrap();
            assert_eq!(parse("v", text).unwrap(), *values);
            assert_eq!(parse("v", &to_list(values)).unwrap(), *values);
            let base64 = formats["openai_base64_embedding_f32le"][row]
                .as_str()
                .unwrap();
            assert_eq!(parse("v", base64).unwrap(), *values);
            assert_eq!(to_base64(values), base64);
        }
    }

    #[test]
    fn lists_are_read_in_every_dialect() {
        for (text, values) in [
            ("[1, 2.5 ,-3e-2]", vec![1.0, 2.5, -0.03]),
            (" {1,2}\n", vec![1.0, 2.0]),
            ("[]", vec![]),
            ("[ ]", vec![]),
            ("[1e-45]", vec![1e-45]),
        ] {
            assert_eq!(parse("v", text).unwrap(), values, "{text}");
        }
        for (text, message) in [
            ("[1,2", "`v` is a list that does not end"),
            ("[1,,2]", "`v` holds `` at position 1, which is no number"),
            (
                "[1,null]",
                "`v` holds `null` at position 1, which is no number",
            ),
            (
                "[[1],[2]]",
                "`v` is a list of lists: one vector for each row is read",
            ),
            ("abc", "`v` is neither a list of numbers nor base64"),
            ("AAAA", "`v` is base64 of 3 bytes, no whole number of `f32`"),
        ] {
            assert_eq!(parse("v", text).unwrap_err().to_string(), message);
        }
        let long = ["[", &"1,".repeat(70_000), "1]"].concat();
        assert!(parse("v", &long).unwrap_err().to_string().contains("65536"));
    }

    proptest! {
        #[test]
        fn every_number_comes_back(bits in proptest::collection::vec(any::<u32>(), 0..20)) {
            let values: Vec<f32> = bits.into_iter().map(f32::from_bits).filter(|v| v.is_finite()).collect();
            let same = |read: Vec<f32>| read.iter().map(|v| v.to_bits()).eq(values.iter().map(|v| v.to_bits()));
            prop_assert!(same(parse("v", &to_list(&values)).unwrap()));
            prop_assert!(values.is_empty() || same(parse("v", &to_base64(&values)).unwrap()));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = parse("v", &text);
        }
    }
}
