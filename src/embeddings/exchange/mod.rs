//! Vectors from and for other tools: files are read and written record by record.
//!
//! A file is read once, forwards, and never as a whole: what is held is one line, one row or one block.
//! Sizes that a file merely claims reserve nothing; they are held against the file's length, or memory
//! grows with the bytes that come. What does not belong is refused with its place, and nothing is left out
//! without a word: what a format has no column for goes to the metadata, or to [`Reader::notes`].
//!
//! Numbers are `f32` here, as in the models that make them: `f16` is widened, `f64` is rounded. Only finite
//! ones are taken.

mod arrow;
mod batch;
mod cells;
mod columnar;
mod columns;
mod companion;
mod digest;
mod elements;
mod error;
mod fields;
mod format;
mod framing;
mod input;
mod lines;
mod npy;
mod npz;
mod object;
mod open;
mod pages;
mod parquet;
mod parquet_sink;
mod pgbinary;
mod pgtext;
mod postgres;
mod qdrant;
mod reader;
mod record;
mod table;
mod text;
mod vecs;
mod vector;
mod writer;

pub use columns::{Column, ColumnKind};
pub use companion::companion_of;
pub use digest::{Digest, digest};
pub use error::{Error, Fault, Place};
pub use fields::Fields;
pub use format::{Direction, Format};
pub use open::{open_reader, open_writer, stream_reader, stream_writer};
pub use reader::{ReadOptions, Reader};
pub use record::Record;
pub(crate) use text::parse_hash;
pub use text::{Texts, canonical_hash, canonical_text};
pub use writer::{VectorText, WriteOptions, Writer, Written, WrittenFile};

use reader::Source;
use writer::{Output, Sink};

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
