//! Foreign JSON formats, read and written without IO.
//!
//! Bodies are never turned into trees of values on the way of a call: a request is its top-level
//! fields ([`json::RawObject`]), each a slice of the bytes that came in, and a stream's bytes pass
//! through as they are while [`openai::ChatStream`] reads along. Only a call that goes from one dialect to
//! another is read as a whole, into a [`conversation`].

pub mod answer;
pub mod chat;
pub mod conversation;
pub mod converse;
pub mod count;
pub mod escape;
pub mod gemini;
pub mod json;
pub mod messages;
pub mod openai;
pub mod page;
pub mod plain;
pub mod responses;
pub mod rpc_status;
pub mod sarif;
pub mod sse;
pub mod translate;

mod asked;
mod error;
mod json_events;
mod names;
mod scan;
mod signature;
mod strict;
mod text;
mod tree;
mod turns;

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod identity;
#[cfg(test)]
pub(crate) mod testing;

pub use error::Error;
