//! promptgate: an LLM gateway that serves versioned prompts from Git and records every call.
//!
//! # Layout
//!
//! The rooms from ground to roof; a room uses only rooms on floors below its own
//! (`tests/it/architecture.rs` enforces it, `ARCHITECTURE.md` draws it).

pub mod domain;
pub mod store;
