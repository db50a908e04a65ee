//! How many tokens a request has: `count_tokens`, whose request is that for an answer without what concerns the answer.

use crate::wire::Error;
use crate::wire::conversation::{Fields, Losses, ModelTraits, Request, Unsupported, Written};
use crate::wire::messages::reply::invalid;
use crate::wire::messages::write_request::{Purpose, TARGET, write};
use crate::wire::tree::Object;
use bytes::Bytes;

/// Reads a request to count tokens.
///
/// # Errors
///
/// As [`super::read_request()`].
pub fn read_count_request(body: &Bytes) -> Result<Request, Error> {
    super::read_request(body)
}

/// Writes a request to count tokens.
///
/// # Errors
///
/// As [`super::write_request()`].
pub fn write_count_request(
    request: &Request,
    traits: &ModelTraits,
) -> Result<Written, Unsupported> {
    write(request, traits, Losses::new(TARGET, false), Purpose::Count)
}

/// Reads how many tokens there are.
///
/// # Errors
///
/// `upstream_invalid` when it is not said.
pub fn read_count(body: &Bytes) -> Result<u64, Error> {
    let mut fields = Fields::parse_reply(body)?;
    let count = fields.count("input_tokens");
    count.ok_or_else(|| invalid("has no `input_tokens`".to_owned()))
}

/// Writes how many tokens there are.
#[must_use]
pub fn write_count(tokens: u64) -> Bytes {
    Object::default().with("input_tokens", tokens).to_bytes()
}
