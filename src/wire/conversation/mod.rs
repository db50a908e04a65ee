//! A conversation with a model in no provider's words: what every dialect is read into and written from,
//! when it goes from one to another. A request that stays in its dialect never comes here.
//!
//! Invariant: whatever a dialect can say and this cannot is kept as [`Part::Foreign`] or in `rest` with the
//! dialect it came from; writing it in another dialect is an error that names the field, never a loss.

pub use crate::wire::Dialect;

mod event;
mod part;
mod reply;
mod request;

pub use event::{Delta, Event};
pub use part::{Cache, Media, Part, ToolCall, ToolKind, ToolResult};
pub use reply::{Choice, Reply, StopReason};
pub use request::{
    Form, Message, Reasoning, Request, Role, Sampling, Tool, ToolChoice, Unsupported,
};
