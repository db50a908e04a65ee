//! The formats of `OpenAI`'s API, as it and its many imitators speak them.

mod asked;
mod assemble;
mod chunk;
mod embeddings;
mod fault;
pub(in crate::wire) mod frames;
mod merge;
mod prompt;
mod reply;
mod request;
mod shape;
pub(in crate::wire) mod shared;
mod stream;
mod usage;
mod vectors;

pub use asked::{Asked, encode, read_facts};
pub use embeddings::{EmbeddingsFacts, EmbeddingsReply, EmbeddingsRequest};
pub(in crate::wire) use fault::is_truthy;
pub use fault::{ErrorEnvelope, ProviderFault};
pub use prompt::{ForeignPrompt, PromptParameter};
pub use reply::{ChatReply, ReplyFacts};
pub use request::ChatRequest;
pub(in crate::wire) use request::MAX_MESSAGES;
pub use stream::ChatStream;
pub use usage::read_usage;
pub use vectors::{Shaping, VectorEncoding, read_vectors, reshape};
