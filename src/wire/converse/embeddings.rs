//! Embeddings of the models that Bedrock serves through `InvokeModel`: Amazon's Titan, which takes one text, and Cohere's.

use crate::wire::Error;
use crate::wire::conversation::{Embedded, TextsToEmbed};
use crate::wire::tree::{Json, Object};
use bytes::Bytes;
use serde::Deserialize;

/// The most texts of one request to Cohere's models.
pub const MAX_COHERE_TEXTS: usize = 96;

/// Writes a request for one text to a Titan model.
#[must_use]
pub fn write_titan(asked: &TextsToEmbed, text: &str) -> Bytes {
    Object::default()
        .with("inputText", text)
        .with_some("dimensions", asked.dimensions)
        .to_bytes()
}

/// Writes a request to a Cohere model. It wants to know what the vectors are for: documents unless it was said.
#[must_use]
pub fn write_cohere(asked: &TextsToEmbed) -> Bytes {
    let purpose = match asked.purpose_word().as_deref() {
        None | Some("RETRIEVAL_DOCUMENT" | "DOCUMENT" | "PASSAGE") => "search_document".to_owned(),
        Some("RETRIEVAL_QUERY" | "QUERY") => "search_query".to_owned(),
        Some(other) => other.to_ascii_lowercase(),
    };
    let length = asked.dimensions;
    let kinds = length.map(|_| vec![Json::from("float")]);
    Object::default()
        .with("texts", asked.texts.as_slice())
        .with("input_type", purpose)
        .with_some("output_dimension", length)
        .with_some("embedding_types", kinds)
        .to_bytes()
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Titan {
    embedding: Vec<f32>,
    input_text_token_count: Option<u64>,
}

#[derive(Deserialize)]
struct Cohere {
    embeddings: Vectors,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Vectors {
    Plain(Vec<Vec<f32>>),
    ByType { float: Vec<Vec<f32>> },
}

/// Reads the answer of a Titan model.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_titan(body: &[u8]) -> Result<Embedded, Error> {
    let titan: Titan = serde_json::from_slice(body).map_err(|error| Error::reply(&error))?;
    Ok(Embedded {
        vectors: vec![titan.embedding],
        usage: titan.input_text_token_count.map(Embedded::usage_of),
    })
}

/// Reads the answer of a Cohere model; `input_tokens` is the header `x-amzn-bedrock-input-token-count`, as the body does
/// not tell.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_cohere(body: &[u8], input_tokens: Option<u64>) -> Result<Embedded, Error> {
    let cohere: Cohere = serde_json::from_slice(body).map_err(|error| Error::reply(&error))?;
    let (Vectors::Plain(vectors) | Vectors::ByType { float: vectors }) = cohere.embeddings;
    Ok(Embedded {
        vectors,
        usage: input_tokens.map(Embedded::usage_of),
    })
}

#[cfg(test)]
mod tests {
    use super::{read_cohere, read_titan, write_cohere, write_titan};
    use crate::wire::conversation::TextsToEmbed;

    #[test]
    fn requests_are_written() {
        let asked = TextsToEmbed {
            texts: vec!["a".to_owned(), "b".to_owned()],
            dimensions: Some(512),
            purpose: Some("RETRIEVAL_QUERY".to_owned()),
            ..TextsToEmbed::default()
        };
        assert_eq!(
            write_titan(&asked, "a"),
            r#"{"inputText":"a","dimensions":512}"#
        );
        assert_eq!(
            write_cohere(&asked),
            r#"{"texts":["a","b"],"input_type":"search_query","output_dimension":512,"embedding_types":["float"]}"#
        );
        let plain = TextsToEmbed {
            texts: vec!["a".to_owned()],
            ..TextsToEmbed::default()
        };
        assert_eq!(
            write_cohere(&plain),
            r#"{"texts":["a"],"input_type":"search_document"}"#
        );
    }

    #[test]
    fn answers_are_read() {
        let titan = read_titan(br#"{"embedding":[0.5,1],"inputTextTokenCount":3}"#).unwrap();
        assert_eq!(titan.vectors, [[0.5, 1.0]]);
        assert_eq!(titan.usage.map(|usage| usage.input), Some(3));
        for body in [
            r#"{"embeddings":[[1,2]],"id":"x","response_type":"embeddings_floats"}"#,
            r#"{"embeddings":{"float":[[1,2]]},"response_type":"embeddings_by_type"}"#,
        ] {
            let cohere = read_cohere(body.as_bytes(), Some(2)).unwrap();
            assert_eq!(cohere.vectors, [[1.0, 2.0]]);
        }
        assert!(read_titan(b"{}").is_err());
        assert!(read_cohere(br#"{"embeddings":{"int8":[[1]]}}"#, None).is_err());
    }
}
