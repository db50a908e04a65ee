//! Embeddings: the request and the answer, without touching the numbers.

use crate::domain::TokenUsage;
use crate::wire::Error;
use crate::wire::json::{RawObject, as_str, split_array};
use crate::wire::openai::fault::is_truthy;
use crate::wire::openai::reply::{owned, parse};
use crate::wire::openai::request::{optional_u64, required_model, wrong_type};
use crate::wire::openai::{ProviderFault, read_usage};
use crate::wire::text::Text;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A request for embeddings.
#[derive(Debug, Clone)]
pub struct EmbeddingsRequest {
    /// The whole body.
    pub object: RawObject,
    /// The model, never empty.
    pub model: String,
    /// The input as it came: a string, an array of strings, of tokens, or of arrays of tokens.
    pub input: Bytes,
    /// The length of vector that is asked for.
    pub dimensions: Option<u64>,
    /// `float` or `base64`.
    pub encoding_format: Option<String>,
    /// The end user.
    pub user: Option<String>,
}

impl EmbeddingsRequest {
    /// Decodes `body`.
    ///
    /// # Errors
    ///
    /// What [`RawObject::parse`] finds; a missing `model` or `input`; a parameter of the wrong type.
    pub fn decode(body: &Bytes) -> Result<Self, Error> {
        let object = RawObject::parse(body)?;
        let input = object
            .get_some("input")
            .ok_or_else(|| Error::missing("input"))?
            .clone();
        if !input.starts_with(b"\"") && !input.starts_with(b"[") {
            return Err(wrong_type("input", "a string or an array", &input));
        }
        Ok(Self {
            model: required_model(&object)?,
            dimensions: optional_u64(&object, "dimensions")?,
            encoding_format: object.get_str("encoding_format").map(Into::into),
            user: object.get_str("user").map(Into::into),
            input,
            object,
        })
    }

    /// Returns the texts of the input, for counting; tokens are counted by [`Self::token_count`].
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let whole = as_str(&self.input).map(|text| vec![text.into_owned()]);
        whole.unwrap_or_else(|| {
            let elements = split_array(&self.input).unwrap_or_default();
            elements
                .iter()
                .filter_map(|element| as_str(element).map(Into::into))
                .collect()
        })
    }

    /// Returns how many inputs there are: texts, or lists of tokens.
    #[must_use]
    pub fn count(&self) -> usize {
        let is_number = |raw: &Bytes| {
            raw.first()
                .is_some_and(|byte| byte.is_ascii_digit() || *byte == b'-')
        };
        match split_array(&self.input) {
            Some(inputs) if inputs.first().is_some_and(|first| !is_number(first)) => inputs.len(),
            _ => 1,
        }
    }

    /// Returns how many tokens stand in the input as numbers.
    #[must_use]
    pub fn token_count(&self) -> usize {
        let is_number = |value: &Bytes| value.first().is_some_and(u8::is_ascii_digit);
        let elements = split_array(&self.input).unwrap_or_default();
        elements
            .iter()
            .map(|element| match split_array(element) {
                Some(tokens) => tokens.iter().filter(|token| is_number(token)).count(),
                None => usize::from(is_number(element)),
            })
            .sum()
    }
}

/// What is recorded of an answer with embeddings.
#[derive(Debug, Clone, Default)]
pub struct EmbeddingsFacts {
    /// The model the provider says it used.
    pub model: Option<String>,
    /// The tokens, where they were reported.
    pub usage: Option<TokenUsage>,
    /// The `usage` object as it came.
    pub usage_reported: Option<Box<RawValue>>,
    /// How many vectors there are.
    pub count: usize,
    /// How long the first vector is; 0 when there is none.
    pub dimensions: usize,
    /// The error, when the answer is one in spite of its good status.
    pub fault: Option<ProviderFault>,
}

/// Reader of answers with embeddings.
#[derive(Debug, Clone, Copy)]
pub struct EmbeddingsReply;

impl EmbeddingsReply {
    /// Returns the facts of `body`, an answer with status 200.
    ///
    /// # Errors
    ///
    /// `upstream_invalid` when `body` is not a JSON object, or has neither `data` nor `error`.
    pub fn read(body: &Bytes) -> Result<EmbeddingsFacts, Error> {
        let reply: Reply<'_> = parse(body)?;
        let fault = reply.error.map(RawValue::get).filter(|e| is_truthy(e));
        if reply.data.is_none() && fault.is_none() {
            return Err(Error::InvalidReply {
                problem: "has no `data`".to_owned(),
            });
        }
        let data = reply.data.unwrap_or_default();
        let first = data.first().and_then(|item| item.embedding);
        Ok(EmbeddingsFacts {
            model: owned(reply.model),
            usage: reply.usage.and_then(|usage| read_usage(usage.get())),
            usage_reported: reply.usage.map(ToOwned::to_owned),
            count: data.len(),
            dimensions: first.map_or(0, |vector| dimensions_of(vector.get())),
            fault: fault.map(ProviderFault::from_error),
        })
    }
}

/// Returns the length of a vector: numbers in an array, or 32-bit floats in base64.
fn dimensions_of(vector: &str) -> usize {
    let bytes = vector.as_bytes();
    if let Some(base64) = as_str(bytes) {
        return base64.trim_end_matches('=').len() * 3 / 4 / 4;
    }
    let commas = memchr::memchr_iter(b',', bytes).count();
    let is_empty = !bytes.iter().any(u8::is_ascii_digit);
    if is_empty { 0 } else { commas + 1 }
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    model: Option<Text<'a>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    data: Option<Vec<Item<'a>>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    embedding: Option<&'a RawValue>,
}

#[cfg(test)]
mod tests {
    use super::{EmbeddingsReply, EmbeddingsRequest};
    use bytes::Bytes;

    fn decode(body: &str) -> Result<EmbeddingsRequest, super::Error> {
        EmbeddingsRequest::decode(&Bytes::copy_from_slice(body.as_bytes()))
    }

    #[test]
    fn inputs_of_all_four_forms_are_read() {
        for (input, texts, tokens) in [
            (r#""a\n""#, &["a\n"][..], 0),
            (r#"["a", "b, c"]"#, &["a", "b, c"][..], 0),
            ("[1, 2, 3]", &[][..], 3),
            ("[[1, 2], [3]]", &[][..], 3),
        ] {
            let request = decode(&format!(
                r#"{{"input":{input},"model":"m","dimensions":256}}"#
            ));
            let request = request.unwrap();
            assert_eq!(request.texts(), texts);
            assert_eq!(request.token_count(), tokens);
            assert_eq!(request.dimensions, Some(256));
        }
        for (body, param) in [
            (r#"{"model":"m"}"#, "input"),
            (r#"{"input":"a"}"#, "model"),
            (r#"{"input":{},"model":"m"}"#, "input"),
            (
                r#"{"input":"a","model":"m","dimensions":"x"}"#,
                "dimensions",
            ),
        ] {
            assert_eq!(decode(body).unwrap_err().param(), Some(param), "{body}");
        }
    }

    #[test]
    fn replies_are_measured() {
        let read = |body: &str| EmbeddingsReply::read(&Bytes::copy_from_slice(body.as_bytes()));
        let facts = read(
            r#"{"object":"list","data":[{"index":0,"embedding":[0.1,-2e-3,3]},{"embedding":[]}],
            "model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}"#,
        )
        .unwrap();
        assert_eq!((facts.count, facts.dimensions), (2, 3));
        assert_eq!(facts.usage.map(|u| (u.input, u.output)), Some((8, 0)));
        // Three floats are twelve bytes: sixteen characters.
        let facts = read(r#"{"data":[{"embedding":"AACAPwAAAEAAAEBA"}]}"#).unwrap();
        assert_eq!((facts.count, facts.dimensions), (1, 3));
        // Two floats are eight bytes: eleven characters and one of padding.
        let facts = read(r#"{"data":[{"embedding":"AACAPwAAAEA="}]}"#).unwrap();
        assert_eq!(facts.dimensions, 2);
        assert_eq!(read(r#"{"data":[]}"#).unwrap().count, 0);
        assert!(read(r#"{"error":"no"}"#).unwrap().fault.is_some());
        assert_eq!(read("{}").unwrap_err().kind(), "upstream_invalid");
    }
}
