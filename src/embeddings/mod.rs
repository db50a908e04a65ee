//! Embeddings: versions of them, snapshots of what they make of a corpus, and what changes from one to
//! the other.
//!
//! A vector means something only beside vectors of the same space, so everything here carries the space
//! it belongs to, and nothing compares across two of them without saying how.

pub mod compare;
pub mod error;
pub mod exchange;
pub mod item;
pub mod name;
pub mod rows;
pub mod space;

pub use error::Error;
pub use item::{Item, Span};
pub use name::{Selector, SnapshotId, SnapshotName};
pub use rows::{Matrix, Rows};
pub use space::{Side, Space, SpaceId, TextHash, VectorKey};
