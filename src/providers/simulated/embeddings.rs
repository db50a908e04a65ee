//! Embeddings: unit vectors that are equal for equal texts and near for similar ones.
//!
//! Words and their trigrams are hashed onto a few dimensions each, so that the cosine of two texts
//! grows with what they share. The model's name is hashed with them: another name is another space.

use super::options::Options;
use super::request::{Request, count_tokens};
use super::{Answer, Refusal, hash};
use crate::providers::Outgoing;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

const DEFAULT_DIMENSIONS: u64 = 256;
const MAX_DIMENSIONS: u64 = 8_192;
/// The most inputs of one request, as at `OpenAI`.
const MAX_INPUTS: usize = 2_048;
/// Over how many dimensions a feature is spread; more would make the sums less distinct.
const SPREAD: u64 = 4;

/// Answers an embeddings request.
pub(super) fn answer(
    request: &Request,
    options: &Options,
    _outgoing: &Outgoing,
) -> Result<Answer, Refusal> {
    let texts = inputs(request)?;
    let dimensions = request.number("dimensions").unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MAX_DIMENSIONS).contains(&dimensions) {
        let message = "`dimensions` is not from 1 to 8192";
        return Err(Refusal::new(message, Some("dimensions")));
    }
    let is_base64 = match request.get("encoding_format").and_then(Value::as_str) {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => {
            let message = "`encoding_format` is not `float` or `base64`";
            return Err(Refusal::new(message, Some("encoding_format")));
        }
    };
    let data: Vec<Value> = texts
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = embed(text, &options.model, dimensions);
            let embedding = if is_base64 {
                let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
                Value::from(STANDARD.encode(bytes))
            } else {
                vector.into_iter().collect()
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let mut body = json!({"object": "list", "data": data, "model": options.model});
    if let (false, Some(fields)) = (options.hides_usage, body.as_object_mut()) {
        let tokens: u64 = texts.iter().map(|text| count_tokens(text)).sum();
        let usage = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        fields.insert("usage".to_owned(), usage);
    }
    Ok(Answer::Whole(Bytes::from(body.to_string())))
}

/// Returns the texts of `input`: a text, texts, token ids, or lists of token ids.
fn inputs(request: &Request) -> Result<Vec<String>, Refusal> {
    let bad = |message| Refusal::new(message, Some("input"));
    let of_tokens = |tokens: &[Value]| {
        let ids: Option<Vec<String>> = tokens
            .iter()
            .map(|token| token.as_u64().map(|id| id.to_string()))
            .collect();
        ids.filter(|ids| !ids.is_empty()).map(|ids| ids.join(" "))
    };
    let texts: Option<Vec<String>> = match request.get("input") {
        Some(Value::String(text)) => Some(vec![text.clone()]),
        Some(Value::Array(items)) if items.first().is_some_and(Value::is_number) => {
            of_tokens(items).map(|text| vec![text])
        }
        Some(Value::Array(items)) if !items.is_empty() => items
            .iter()
            .map(|item| match item {
                Value::String(text) => Some(text.clone()),
                Value::Array(tokens) => of_tokens(tokens),
                _ => None,
            })
            .collect(),
        _ => None,
    };
    let texts = texts.ok_or_else(|| bad("`input` is no text, texts or lists of token ids"))?;
    if texts.iter().any(String::is_empty) {
        return Err(bad("`input` has an empty text"));
    }
    if MAX_INPUTS < texts.len() {
        return Err(bad("`input` has more than 2048 texts"));
    }
    Ok(texts)
}

/// Returns the unit vector of `text` in the space of `model`.
fn embed(text: &str, model: &str, dimensions: u64) -> Vec<f32> {
    let mut sums = vec![0.0_f64; usize::try_from(dimensions).unwrap_or(1)];
    let mut add = |feature: &str, weight: f64| {
        let mut state = hash::of([model.as_bytes(), feature.as_bytes()]);
        for _ in 0..SPREAD {
            state = hash::mix(state);
            let sign = if state & 1 == 0 { weight } else { -weight };
            let place = hash::below(state >> 1, sums.len());
            if let Some(sum) = sums.get_mut(place) {
                *sum += sign;
            }
        }
    };
    let lower = text.to_lowercase();
    for word in lower.split(|c: char| !c.is_alphanumeric()) {
        if word.is_empty() {
            continue;
        }
        add(word, 1.0);
        let padded: Vec<char> = format!("^{word}$").chars().collect();
        for trigram in padded.windows(3) {
            add(&trigram.iter().collect::<String>(), 0.5);
        }
    }
    // Texts without words, and sums that cancel out, still need a direction; and two texts of the
    // same words in another order are not quite the same.
    add(&format!("text:{lower}"), 0.1);
    let norm = sums.iter().map(|x| x * x).sum::<f64>().sqrt();
    if norm == 0.0 {
        sums.iter_mut().take(1).for_each(|x| *x = 1.0);
        return sums.into_iter().map(narrow).collect();
    }
    sums.into_iter().map(|x| narrow(x / norm)).collect()
}

/// Rounds to what an embedding holds; the values are within -1 and 1.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to 32 bits is meant, and the values are small"
)]
const fn narrow(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::embed;

    fn cosine(a: &[f32], b: &[f32]) -> f32 {
        a.iter().zip(b).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn similar_texts_are_near_and_models_have_their_own_space() {
        let refund = embed("How do I get a refund for my order?", "m", 256);
        let refunds = embed("how to get refunds for an order", "m", 256);
        let weather = embed("Tomorrow it will rain in Oslo", "m", 256);
        let other = embed("How do I get a refund for my order?", "n", 256);
        assert_eq!(
            refund,
            embed("How do I get a refund for my order?", "m", 256)
        );
        assert!(
            0.5 < cosine(&refund, &refunds),
            "{}",
            cosine(&refund, &refunds)
        );
        assert!(cosine(&refund, &weather) < 0.3);
        assert!(cosine(&refund, &other).abs() < 0.3);
        for text in ["", "!?", "ä", "one two three"] {
            for dimensions in [1, 2, 7, 1536] {
                let vector = embed(text, "m", dimensions);
                assert!(
                    (cosine(&vector, &vector) - 1.0).abs() < 1e-4,
                    "{text} {dimensions}"
                );
            }
        }
    }
}
