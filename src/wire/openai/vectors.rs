//! The numbers of embeddings: read in both encodings, cut and brought to length 1, and written again.

use crate::wire::Error;
use crate::wire::json::{RawObject, as_str, split_array};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use serde::Deserialize;
use serde_json::value::RawValue;

/// How vectors are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum VectorEncoding {
    /// An array of numbers.
    #[default]
    Float,
    /// Little-endian 32-bit floats in base64.
    Base64,
}

/// What is done to a vector after it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Shaping {
    /// To how many leading dimensions it is cut.
    pub truncated_to: Option<u32>,
    /// Whether it is brought to length 1.
    pub is_normalised: bool,
    /// How long it must be at the end, where that is known.
    pub dimensions: Option<u32>,
}

impl Shaping {
    /// Whether a vector comes out otherwise than it came.
    #[must_use]
    pub const fn changes(&self) -> bool {
        self.truncated_to.is_some() || self.is_normalised
    }

    /// Cuts and normalises a vector, in this order; a vector of zeros stays one.
    ///
    /// # Errors
    ///
    /// In words, when it is too short, has another length than it must have, or a number that is none.
    pub fn apply(&self, vector: &mut Vec<f32>) -> Result<(), String> {
        if let Some(position) = vector.iter().position(|value| !value.is_finite()) {
            return Err(format!("its number {position} is not finite"));
        }
        if let Some(wanted) = self.truncated_to.map(as_usize) {
            if vector.len() < wanted {
                return Err(format!(
                    "it has {} dimensions and is to be cut to {wanted}",
                    vector.len()
                ));
            }
            vector.truncate(wanted);
        }
        if let Some(wanted) = self.dimensions.map(as_usize)
            && vector.len() != wanted
        {
            return Err(format!(
                "it has {} dimensions, not the {wanted} of its space",
                vector.len()
            ));
        }
        if self.is_normalised {
            normalise(vector);
        }
        Ok(())
    }
}

fn as_usize(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// Brings a vector to length 1; the sum is taken in 64 bits.
fn normalise(vector: &mut [f32]) {
    let squares = vector.iter().map(|value| f64::from(*value).powi(2));
    let length = squares.sum::<f64>().sqrt();
    if 0.0 < length {
        for value in vector {
            #[expect(clippy::cast_possible_truncation, reason = "a vector has 32 bits")]
            let shorter = (f64::from(*value) / length) as f32;
            *value = shorter;
        }
    }
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    data: Vec<Item<'a>>,
}

#[derive(Deserialize)]
struct Item<'a> {
    index: Option<usize>,
    #[serde(borrow)]
    embedding: &'a RawValue,
}

/// Returns the vectors of an answer to `count` texts, in the order of the texts.
///
/// # Errors
///
/// `upstream_invalid` when it is no such answer: another count, vectors of several lengths, what is no
/// number.
pub fn read_vectors(body: &[u8], count: usize) -> Result<Vec<Vec<f32>>, Error> {
    let answer: Answer<'_> = serde_json::from_slice(body)
        .map_err(|error| invalid(format!("cannot be read: {error}")))?;
    if answer.data.len() != count {
        let found = answer.data.len();
        return Err(invalid(format!("has {found} vectors for {count} texts")));
    }
    let mut placed: Vec<Option<Vec<f32>>> = vec![None; count];
    for (position, item) in answer.data.iter().enumerate() {
        let index = item.index.unwrap_or(position);
        let vector = decode(item.embedding.get().as_bytes()).map_err(invalid)?;
        match placed.get_mut(index) {
            Some(place @ None) => *place = Some(vector),
            Some(Some(_)) => return Err(invalid(format!("has two vectors of index {index}"))),
            None => return Err(invalid(format!("has a vector of index {index}"))),
        }
    }
    let vectors: Vec<Vec<f32>> = placed.into_iter().flatten().collect();
    let length = vectors.first().map_or(0, Vec::len);
    if length == 0 || vectors.iter().any(|vector| vector.len() != length) {
        return Err(invalid(
            "has vectors of several lengths, or empty ones".to_owned(),
        ));
    }
    if vectors.iter().flatten().any(|value| !value.is_finite()) {
        return Err(invalid("has numbers that are not finite".to_owned()));
    }
    Ok(vectors)
}

fn invalid(problem: String) -> Error {
    Error::InvalidReply { problem }
}

/// Reads one vector in the encoding that it has.
fn decode(vector: &[u8]) -> Result<Vec<f32>, String> {
    let Some(text) = as_str(vector) else {
        return serde_json::from_slice(vector)
            .map_err(|error| format!("has a vector that cannot be read: {error}"));
    };
    let bytes = STANDARD
        .decode(text.as_bytes())
        .map_err(|error| format!("has a vector that is no base64: {error}"))?;
    let chunks = bytes.as_chunks::<4>();
    if !chunks.1.is_empty() {
        let length = bytes.len();
        return Err(format!(
            "has a vector of {length} bytes, which are no 32-bit floats"
        ));
    }
    Ok(chunks
        .0
        .iter()
        .map(|four| f32::from_le_bytes(*four))
        .collect())
}

fn encode(vector: &[f32], encoding: VectorEncoding) -> Bytes {
    match encoding {
        // Finite numbers can be written.
        VectorEncoding::Float => serde_json::to_vec(vector).unwrap_or_default().into(),
        VectorEncoding::Base64 => {
            let mut bytes = BytesMut::with_capacity(vector.len() * 4);
            for value in vector {
                bytes.put_f32_le(*value);
            }
            format!("\"{}\"", STANDARD.encode(bytes)).into()
        }
    }
}

/// Returns an answer whose vectors are shaped and in the encoding that was asked for; everything else in
/// it is as it came.
///
/// # Errors
///
/// `upstream_invalid` when it is no answer with vectors, or one of them cannot be shaped so.
pub fn reshape(body: &Bytes, shaping: &Shaping, encoding: VectorEncoding) -> Result<Bytes, Error> {
    let mut answer = RawObject::parse(body)?;
    let data = answer.get("data").and_then(split_array);
    let data = data.ok_or_else(|| invalid("has no `data`".to_owned()))?;
    let mut written = BytesMut::with_capacity(body.len());
    written.put_u8(b'[');
    for (position, item) in data.iter().enumerate() {
        let mut item = RawObject::parse(item)?;
        let vector = item.get("embedding").map(|vector| decode(vector));
        let vector = vector.unwrap_or_else(|| Err("has no `embedding`".to_owned()));
        let mut vector = vector.map_err(invalid)?;
        let shaped = shaping.apply(&mut vector);
        shaped.map_err(|problem| invalid(format!("has a vector {position}: {problem}")))?;
        item.set("embedding", encode(&vector, encoding));
        if 0 < position {
            written.put_u8(b',');
        }
        written.extend_from_slice(&item.to_bytes());
    }
    written.put_u8(b']');
    answer.set("data", written.freeze());
    Ok(answer.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::{Shaping, VectorEncoding, read_vectors, reshape};
    use bytes::Bytes;

    #[test]
    fn vectors_come_in_both_encodings_and_in_the_order_of_the_texts() {
        let body = br#"{"data":[{"index":1,"embedding":"AACAPwAAAEA="},{"index":0,"embedding":[1.5,-2]}]}"#;
        let vectors = read_vectors(body, 2).unwrap();
        assert_eq!(vectors, [[1.5, -2.0], [1.0, 2.0]]);
        for (wrong, problem) in [
            (r#"{"data":[]}"#, "has 0 vectors for 1 texts"),
            (r#"{"data":[{"index":1,"embedding":[1]}]}"#, "index 1"),
            (r#"{"data":[{"embedding":[]}]}"#, "empty"),
            (r#"{"data":[{"embedding":"AAA="}]}"#, "2 bytes"),
            (r#"{"data":[{"embedding":"AADAfw=="}]}"#, "not finite"),
            (r#"{"data":[{"embedding":[1,"x"]}]}"#, "cannot be read"),
            (r"{}", "missing field `data`"),
        ] {
            let error = read_vectors(wrong.as_bytes(), 1).unwrap_err();
            assert!(error.to_string().contains(problem), "{wrong}: {error}");
        }
        let two = br#"{"data":[{"embedding":[1]},{"embedding":[1,2]}]}"#;
        assert!(read_vectors(two, 2).is_err());
    }

    #[test]
    fn a_body_is_cut_and_normalised_and_keeps_the_rest() {
        let body = Bytes::from_static(
            br#"{"object":"list","data":[{"object":"embedding","embedding":[3,4,9],"index":0}],"usage":{"prompt_tokens":1}}"#,
        );
        let shaping = Shaping {
            truncated_to: Some(2),
            is_normalised: true,
            dimensions: Some(2),
        };
        let text = |encoding| {
            let bytes = reshape(&body, &shaping, encoding).unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        assert_eq!(
            text(VectorEncoding::Float),
            r#"{"object":"list","data":[{"object":"embedding","embedding":[0.6,0.8],"index":0}],"usage":{"prompt_tokens":1}}"#
        );
        let again = read_vectors(text(VectorEncoding::Base64).as_bytes(), 1).unwrap();
        assert_eq!(again, [[0.6, 0.8]]);
        let too_long = Shaping {
            truncated_to: Some(4),
            ..shaping
        };
        let error = reshape(&body, &too_long, VectorEncoding::Float).unwrap_err();
        assert!(error.to_string().contains("cut to 4"), "{error}");
        let mut zero = vec![0.0, 0.0];
        shaping.apply(&mut zero).unwrap();
        assert_eq!(zero, [0.0, 0.0]);
    }
}
