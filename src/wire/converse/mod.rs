//! Bedrock's `Converse` and `ConverseStream`, and the bodies of the embedding models that it serves. The model, and
//! whether a stream is wanted, stand in the address; the answer's id stands in a header.

mod block;
mod embeddings;
mod fault;
mod frame;
mod read_block;
mod read_messages;
mod reply;
mod request;
mod stream;
mod usage;

pub use embeddings::{MAX_COHERE_TEXTS, read_cohere, read_titan, write_cohere, write_titan};
pub use fault::read_fault;
pub use read_messages::read_messages;
pub use reply::{Origin, read_reply};
pub use request::{write_request, write_request_dropping};
pub use stream::StreamReader;
