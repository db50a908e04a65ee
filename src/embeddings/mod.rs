//! Embeddings: versions of them, snapshots of what they make of a corpus, and what changes from one to
//! the other.
//!
//! A vector means something only beside vectors of the same space, so everything here carries the space
//! it belongs to, and nothing compares across two of them without saying how.

pub mod adapters;
pub mod alike;
pub mod ask;
mod at_once;
pub mod chunk;
pub mod compare;
pub mod corpus;
pub mod declared;
pub mod distinct;
pub mod drift;
pub mod error;
pub mod exchange;
mod files;
pub mod geometry;
pub mod item;
mod json_fault;
pub mod migrate;
pub mod name;
pub mod pipeline;
pub mod ranking;
pub mod recorded;
mod registers;
pub mod render;
pub mod rows;
pub mod search;
pub mod snapshots;
pub mod space;
mod time;
pub mod vault;

#[cfg(test)]
mod fixtures;

pub use error::Error;
pub use item::{Item, Span};
pub use name::{Selector, SnapshotId, SnapshotName};
pub use pipeline::{Chunker, Pipeline, PipelineId};
pub use recorded::Input;
pub use rows::{Matrix, Rows};
pub use space::{Side, Space, SpaceId, TextHash, VectorKey};
