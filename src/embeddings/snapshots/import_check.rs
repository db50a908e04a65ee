//! Whether a row from elsewhere is what its embedding version says, and what stands for a text nobody knows.

use crate::embeddings::exchange::parse_hash;
use crate::embeddings::snapshots::row::VectorRow;
use crate::embeddings::space::{Side, Space, TextHash};
use crate::embeddings::vault::Precision;
use sha2::{Digest as _, Sha256};

/// How far the length of a vector may be from 1 where its version says it is 1.
const UNIT: f64 = 1e-3;

/// What is wrong with a row, and what to do about it.
pub(super) type Wrong = (String, &'static str);

/// Checks that a vector is as its embedding version says.
pub(super) fn check_vector(space: &Space, dimensions: usize, vector: &[f32]) -> Result<(), Wrong> {
    let found = vector.len();
    if found != dimensions || found == 0 {
        let hint = "all vectors of an embedding version are of one length: see `--dimensions` and `--truncate`";
        let problem = format!("has a vector of {found} dimensions, not {dimensions}");
        return Err((problem, hint));
    }
    if let Some(place) = vector.iter().position(|value| !value.is_finite()) {
        let hint = "leave it out, or make its vector again";
        let problem = format!("has in dimension {place} what is no finite number");
        return Err((problem, hint));
    }
    let squares = vector.iter().map(|value| f64::from(*value).powi(2));
    let length = squares.sum::<f64>().sqrt();
    if space.normalised && UNIT < (length - 1.0).abs() {
        let hint = "leave `--normalise` out, or bring the vectors to length 1 first";
        let problem =
            format!("has a vector of length {length:.4}, and the embedding version says 1");
        return Err((problem, hint));
    }
    Ok(())
}

/// Returns the hash of a row's text as it was sent; `None` when nothing is known of its text.
pub(super) fn known_hash(space: &Space, row: &VectorRow) -> Result<Option<TextHash>, Wrong> {
    let said = match row.text_hash.as_deref() {
        None => None,
        Some(hex) => Some(parse_hash(hex).ok_or_else(|| {
            let hint = "it is the SHA-256 of the text as it was sent, in hex";
            ("has a `text_hash` of no 64 hex digits".to_owned(), hint)
        })?),
    };
    let said = said.filter(|said| *said != stand_in(&row.id));
    let text = row.text.as_ref();
    let of_text = text.map(|text| TextHash::of(&space.sent_text(Side::Document, text)));
    match (said, of_text) {
        (Some(said), Some(of_text)) if said != of_text => {
            let hint = "say what was sent before every document: `--document-prefix`";
            let problem = "has a `text_hash` that is not that of its text as it is sent";
            Err((problem.to_owned(), hint))
        }
        (said, of_text) => Ok(of_text.or(said)),
    }
}

/// What stands for the hash of a text that is not known: that of the item's id.
pub(super) fn stand_in(id: &str) -> TextHash {
    TextHash::of(&["item\0", id].concat())
}

/// What stands for a text that is not known: the vector, as it is read again.
pub(super) fn of_vector(precision: Precision, vector: &[f32]) -> TextHash {
    let mut hash = Sha256::new();
    hash.update(b"vector\0");
    for value in precision.kept(vector) {
        hash.update(value.to_le_bytes());
    }
    TextHash(hash.finalize().into())
}
