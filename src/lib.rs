//! promptgate: an LLM gateway that serves versioned prompts from Git and records every call.
//!
//! # Layout
//!
//! The rooms from ground to roof; a room uses only rooms on floors below its own
//! (`tests/it/architecture.rs` enforces it, `ARCHITECTURE.md` draws it).

pub mod access;
pub mod app;
pub mod cli;
pub mod domain;
pub mod embeddings;
pub mod evals;
pub mod git;
pub mod metering;
pub mod prompts;
pub mod providers;
pub mod proxy;
pub mod safety;
pub mod server;
pub mod stats;
pub mod store;
pub mod telemetry;
pub mod wire;
