//! Embeddings: `batchEmbedContents` and `embedContent` of Google's AI API, and `predict`, by which Vertex AI serves its
//! older models.

use crate::wire::Error;
use crate::wire::conversation::{Embedded, TextsToEmbed};
use crate::wire::tree::Object;
use bytes::Bytes;
use serde::Deserialize;

/// The most texts of one request.
pub const MAX_TEXTS: usize = 100;

/// Writes a request for `batchEmbedContents`.
#[must_use]
pub fn write_embeddings(asked: &TextsToEmbed) -> Bytes {
    let requests: Vec<Object> = asked.texts.iter().map(|text| one(asked, text)).collect();
    Object::default().with("requests", requests).to_bytes()
}

/// Writes a request for `embedContent`, whose texts become one vector; there should be one.
#[must_use]
pub fn write_embedding(asked: &TextsToEmbed) -> Bytes {
    one(asked, &asked.texts.join("\n")).to_bytes()
}

fn one(asked: &TextsToEmbed, text: &str) -> Object {
    let model = &asked.model;
    let model = match model.starts_with("models/") {
        true => model.clone(),
        false => format!("models/{model}"),
    };
    let part = Object::default().with("text", text);
    let content = Object::default().with("parts", vec![part]);
    Object::default()
        .with("model", model)
        .with("content", content)
        .with_some("taskType", task(asked))
        .with_some("outputDimensionality", asked.dimensions)
}

/// Writes a request for Vertex AI's `predict`.
#[must_use]
pub fn write_predictions(asked: &TextsToEmbed) -> Bytes {
    let instances = asked.texts.iter().map(|text| {
        Object::default()
            .with("content", text)
            .with_some("task_type", task(asked))
    });
    let parameters = Object::default().with_some("outputDimensionality", asked.dimensions);
    Object::default()
        .with("instances", instances.collect::<Vec<_>>())
        .with_full("parameters", parameters)
        .to_bytes()
}

/// Returns what the vectors are for, in Gemini's words.
fn task(asked: &TextsToEmbed) -> Option<String> {
    let purpose = asked.purpose_word()?;
    Some(match purpose.as_str() {
        "SEARCH_DOCUMENT" | "DOCUMENT" | "PASSAGE" => "RETRIEVAL_DOCUMENT".to_owned(),
        "SEARCH_QUERY" | "QUERY" => "RETRIEVAL_QUERY".to_owned(),
        _ => purpose,
    })
}

#[derive(Deserialize)]
struct Values {
    #[serde(default)]
    values: Vec<f32>,
    statistics: Option<Statistics>,
}

#[derive(Deserialize)]
struct Statistics {
    token_count: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct UsageMetadata {
    prompt_token_count: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    embeddings: Vec<Values>,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Single {
    embedding: Values,
    usage_metadata: Option<UsageMetadata>,
}

#[derive(Deserialize)]
struct Predictions {
    predictions: Vec<Prediction>,
}

#[derive(Deserialize)]
struct Prediction {
    embeddings: Values,
}

/// Reads the answer of `batchEmbedContents`.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_embeddings(body: &[u8]) -> Result<Embedded, Error> {
    let batch: Batch = parse(body)?;
    Ok(embedded(batch.embeddings, batch.usage_metadata))
}

/// Reads the answer of `embedContent`.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_embedding(body: &[u8]) -> Result<Embedded, Error> {
    let single: Single = parse(body)?;
    Ok(embedded(vec![single.embedding], single.usage_metadata))
}

/// Reads the answer of `predict`.
///
/// # Errors
///
/// `upstream_invalid` when it is none.
pub fn read_predictions(body: &[u8]) -> Result<Embedded, Error> {
    let answer: Predictions = parse(body)?;
    let vectors = answer.predictions.into_iter();
    Ok(embedded(
        vectors.map(|prediction| prediction.embeddings).collect(),
        None,
    ))
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(body).map_err(|error| Error::reply(&error))
}

fn embedded(vectors: Vec<Values>, usage: Option<UsageMetadata>) -> Embedded {
    let told = usage.and_then(|usage| usage.prompt_token_count);
    let counted: Option<Vec<f64>> = vectors
        .iter()
        .map(|vector| vector.statistics.as_ref()?.token_count)
        .collect();
    let counted = counted.filter(|counts| !counts.is_empty());
    // By way of text, as there is no checked conversion.
    let counted =
        counted.and_then(|counts| format!("{:.0}", counts.iter().sum::<f64>()).parse().ok());
    Embedded {
        vectors: vectors.into_iter().map(|vector| vector.values).collect(),
        usage: told.or(counted).map(Embedded::usage_of),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        read_embedding, read_embeddings, read_predictions, write_embedding, write_embeddings,
        write_predictions,
    };
    use crate::wire::conversation::TextsToEmbed;
    use crate::wire::openai::VectorEncoding;

    fn asked() -> TextsToEmbed {
        TextsToEmbed {
            model: "gemini-embedding-001".to_owned(),
            texts: vec!["a".to_owned(), "b".to_owned()],
            dimensions: Some(256),
            purpose: Some("search_query".to_owned()),
        }
    }

    #[test]
    fn requests_are_written() {
        assert_eq!(
            write_embeddings(&asked()),
            r#"{"requests":[{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"a"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":256},{"model":"models/gemini-embedding-001","content":{"parts":[{"text":"b"}]},"taskType":"RETRIEVAL_QUERY","outputDimensionality":256}]}"#
        );
        let plain = TextsToEmbed {
            model: "models/m".to_owned(),
            texts: vec!["a".to_owned()],
            ..TextsToEmbed::default()
        };
        assert_eq!(
            write_embedding(&plain),
            r#"{"model":"models/m","content":{"parts":[{"text":"a"}]}}"#
        );
        assert_eq!(
            write_predictions(&asked()),
            r#"{"instances":[{"content":"a","task_type":"RETRIEVAL_QUERY"},{"content":"b","task_type":"RETRIEVAL_QUERY"}],"parameters":{"outputDimensionality":256}}"#
        );
    }

    #[test]
    fn answers_become_openais() {
        let batch = read_embeddings(
            br#"{"embeddings":[{"values":[1,-0.5]},{"values":[0.25,2]}],"usageMetadata":{"promptTokenCount":7}}"#,
        )
        .unwrap();
        assert_eq!(
            batch.to_openai("m", VectorEncoding::Float),
            r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[1.0,-0.5]},{"object":"embedding","index":1,"embedding":[0.25,2.0]}],"model":"m","usage":{"prompt_tokens":7,"total_tokens":7}}"#
        );
        let base64 = batch.to_openai("m", VectorEncoding::Base64);
        assert_eq!(
            crate::wire::openai::read_vectors(&base64, 2).unwrap(),
            batch.vectors
        );
        let one = read_embedding(br#"{"embedding":{"values":[1]}}"#).unwrap();
        assert_eq!((one.vectors.len(), one.usage), (1, None));
        let predicted = read_predictions(
            br#"{"predictions":[{"embeddings":{"values":[1],"statistics":{"token_count":3.0,"truncated":false}}}]}"#,
        )
        .unwrap();
        assert_eq!(predicted.usage.map(|usage| usage.input), Some(3));
        for body in ["", "{}", "[]", r#"{"embeddings":[{"values":["x"]}]}"#] {
            assert!(read_embeddings(body.as_bytes()).is_err(), "{body}");
        }
    }
}
