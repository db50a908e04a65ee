//! Adapters: maps that carry vectors of one space into another, as things that are kept, named and
//! checked.
//!
//! An adapter knows both of its sides by the ids of their spaces and refuses all others; what it makes
//! has a space of its own, so that it can never be taken for what a model made. It is fitted on documents
//! and chosen by the answers that queries get, never by how near its vectors come.

mod artifact;
mod error;
mod fit;
mod judgement;
mod lists;
mod shelf;

pub use artifact::{ADAPTER_FORMAT, Adapter, Head, Role};
pub use error::AdapterError;
pub(crate) use fit::check_queries;
pub use fit::{Found, KindWish, Pairs, Settings, eval, fit};
pub use judgement::{Advice, Cascade, JudgedBy, Judgement, LEAST_AGREEMENT, LearningPoint, Tried};
pub(crate) use lists::gather;
pub use lists::{Asked, Sides};
pub use shelf::{Shelf, Shelved};

#[cfg(test)]
mod tests;
