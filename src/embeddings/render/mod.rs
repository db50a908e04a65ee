//! Every form of a comparison's report, made from the report and nothing else: pure functions from it to
//! text.
//!
//! What a report holds came from files, callers and models, so each form escapes everything and bounds what
//! it takes, and says what it left out. Colours of the terminal are the command line's: [`terminal()`] gives
//! lines whose pieces say what they stand for.

mod changed;
mod html;
mod json;
mod junit;
mod markdown;
mod numbers;
mod terminal;
mod thresholds;
mod words;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

pub use html::page;
pub use json::json;
pub use junit::junit;
pub use markdown::{markdown, marker};
pub use terminal::{Line, Piece, Role, plain, terminal};
