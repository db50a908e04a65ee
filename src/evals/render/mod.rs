//! Every form of a report, made from the report and nothing else: pure functions from it to text.
//!
//! What a report holds came from models, from callers and from files, so each form escapes everything and
//! bounds what it takes: an output of a megabyte, a table that never ends, a word that closes a comment.
//! The form for a terminal is the command line's; it says the same words ([`words`]).

pub mod changes;
pub mod evidence;
mod github;
mod html;
mod json;
mod junit;
mod lists;
mod markdown;
mod sarif;
pub mod shift;
mod units;
pub mod words;

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;

pub use github::annotations;
pub use html::page;
pub use json::{json, jsonl};
pub use junit::junit;
pub use markdown::{comment, marker, summary};
pub use sarif::sarif;
