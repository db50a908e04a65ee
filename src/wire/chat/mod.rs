//! `OpenAI`'s chat completions, and those of its many imitators: requests, answers and streams, read
//! into a conversation and written from one.
//!
//! Readers are lenient where imitators differ: ids and indices may be missing, arguments may be
//! objects, roles may come again, thoughts have several names. Writers say what `OpenAI` says; what a
//! provider differs in is told by [`Target`].

mod part;
mod read_message;
mod read_reply;
mod read_request;
mod stop;
mod stream_calls;
mod stream_choice;
mod stream_reader;
mod stream_writer;
mod write_message;
mod write_reply;
mod write_request;

pub use read_reply::read_reply;
pub use read_request::read_request;
pub use stream_reader::StreamReader;
pub use stream_writer::StreamWriter;
pub use write_reply::write_reply;
pub use write_request::{CacheMarks, Target, Thoughts, write_request, write_request_dropping};

pub(in crate::wire) use part::UNKNOWN_AUDIO;
pub(in crate::wire) use read_reply::refuse_error;
pub(in crate::wire) use read_request::{choice_of_word, read_metadata, read_schema, read_user};
pub(in crate::wire) use stop::Said;
pub(in crate::wire) use write_message::file_name;
pub(in crate::wire) use write_request::{CACHE_MARK_LEFT_OUT, effort_of, insert, written_schema};
