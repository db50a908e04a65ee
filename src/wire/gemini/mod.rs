//! Gemini's `generateContent` and its embeddings, as Google's AI API and Vertex AI speak them: the same bodies under
//! other addresses.
//!
//! Invariant: a thought's signature goes back to the part it came with, and only to Gemini.

mod contents;
mod embeddings;
mod fault;
mod log_probs;
mod part;
mod read_contents;
mod request;
mod stream;
mod usage;

pub use embeddings::{
    MAX_TEXTS, read_embedding, read_embeddings, read_predictions, write_embedding,
    write_embeddings, write_predictions,
};
pub use fault::read_fault;
pub use read_contents::read_contents;
pub use request::{write_request, write_request_dropping};
pub use stream::{StreamReader, read_reply};
