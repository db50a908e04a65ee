//! `OpenAI`'s responses: requests, answers and streams, read into a conversation and written from one.
//!
//! A response has one answer, a list of items; thoughts, messages and calls of tools are items of their
//! own there and parts of one message here. What a response repeats of its request is an [`Echo`].

mod echo;
mod input;
mod item;
mod output;
mod read_reply;
mod read_request;
mod stream_items;
mod stream_reader;
mod stream_writer;
mod write_item;
mod write_reply;
mod write_request;
mod written_items;
mod written_thoughts;

pub use echo::Echo;
pub use read_reply::read_reply;
pub use read_request::read_request;
pub use stream_reader::StreamReader;
pub use stream_writer::{StreamWriter, failed_event};
pub use write_reply::write_reply;
pub use write_request::{Target, write_request, write_request_dropping};
