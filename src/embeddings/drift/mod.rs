//! Drift of live traffic: whether what is asked now is another than what was asked before, where, and how
//! sure that is.
//!
//! A window of the traffic is held against a frozen reference. What may go wrong by chance is not a level of
//! a test but a budget: so many false alarms a month.

mod alarm;
mod budget;
mod busy;
mod detect;
mod examples;
mod retrieval;
mod shelf;
mod webhook;
mod words;

pub mod canary;
pub mod monitor;

pub use alarm::{Alarm, Message, documents_message, message};
pub use budget::{Budget, Standing};
pub use detect::{FEWEST, Finding, Kind, Region, examine, permutations_for};
pub use examples::{Group, KnownTopic, Told, groups};
pub use retrieval::Retrieval;
pub use words::telling_words;

pub(in crate::embeddings) use webhook::check as check_webhook;

use detect::picked;
use examples::short;

#[cfg(test)]
mod tests;
