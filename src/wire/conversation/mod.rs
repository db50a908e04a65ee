//! A conversation with a model in no provider's words: what every dialect is read into and written from,
//! when it goes from one to another. A request that stays in its dialect never comes here.
//!
//! Invariant: whatever a dialect can say and this cannot is kept as [`Part::Foreign`] or in `rest` with the
//! dialect it came from; writing it in another dialect is an error that names the field, never a loss.

mod collect;
mod data_url;
mod embedding;
mod event;
mod fields;
mod part;
mod path;
mod reply;
mod request;
mod said;
mod traits;
mod written;

#[cfg(test)]
pub(crate) mod testing;

pub use collect::Collector;
pub use data_url::{data_url, media_of_url, text_url};
pub use embedding::{Embedded, TextsToEmbed};
pub use event::{Delta, Event};
pub use fields::{Fields, numbered, wrong_type};
pub use part::{Cache, Media, Part, ToolCall, ToolKind, ToolResult};
pub use path::{Spot, path_of_message, path_of_part};
pub use reply::{Choice, Fallback, Reply, StopReason};
pub use request::{
    Form, Message, Reasoning, Request, Role, Sampling, Tool, ToolChoice, Unsupported,
};
pub use said::{said_in, text_of};
pub use traits::ModelTraits;
pub(in crate::wire) use traits::shows_summaries;
pub use written::{Losses, Written};

pub use crate::domain::Dialect;
