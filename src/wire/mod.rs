//! Foreign JSON formats, read and written without IO.
//!
//! Bodies are never turned into trees of values on the way of a call: a request is its top-level
//! fields ([`json::RawObject`]), each a slice of the bytes that came in, and a stream's bytes pass
//! through as they are while [`openai::ChatStream`] reads along.

pub mod escape;
pub mod json;
pub mod openai;
pub mod page;
pub mod plain;
pub mod sarif;
pub mod sse;

mod dialect;
mod error;
mod scan;
mod strict;
mod text;

#[cfg(test)]
pub(crate) mod testing;

pub use dialect::{Asked, Dialect};
pub use error::Error;
