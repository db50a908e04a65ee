//! promptgate: an LLM gateway that serves versioned prompts from Git and records every call.
//!
//! # Layout
//!
//! The rooms from ground to roof; a room uses only rooms on floors below its own
//! (`tests/it/architecture.rs` enforces it, `ARCHITECTURE.md` draws it).

pub mod domain;
pub mod metering;
pub mod telemetry;
pub mod safety;
pub mod wire;
pub mod git;
pub mod providers;
pub mod access;
pub mod prompts;
