//! Anthropic's messages: read from clients and providers, and written for both.
//!
//! Invariant: thoughts with their signatures, and thoughts that are hidden, come out as they came.

mod block;
mod citation;
mod count;
mod fault;
mod read_block;
mod read_request;
mod reply;
mod stop;
mod stream_blocks;
mod stream_reader;
mod stream_writer;
mod usage;
mod write_request;

pub use count::{read_count, read_count_request, write_count, write_count_request};
pub use fault::{event_of_fault, read_fault, write_fault};
pub(in crate::wire) use read_block::understood;
pub use read_request::read_request;
pub(in crate::wire) use read_request::understood_tool;
pub use reply::{read_reply, write_reply};
pub use stream_reader::StreamReader;
pub use stream_writer::StreamWriter;
pub use write_request::{write_request, write_request_dropping};
