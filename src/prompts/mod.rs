//! Prompts.

mod compile;
#[cfg(test)]
mod conformance;
mod contract;
mod evaluate;
mod front_matter;
mod messages;
mod metadata;
mod picoschema;
mod problem;
mod scope;
mod syntax;
mod usage;
mod value;
