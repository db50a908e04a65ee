//! Scenarios: a client, the real binary, and a provider that does as it is told.
//!
//! Every test starts its own gateway on a free port with its own data, and waits for conditions,
//! never for time to pass.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a scenario that cannot go on has failed"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "the fake provider and the clients of a test are tasks of that test"
)]

mod actors;
mod adapters;
mod architecture;
mod chat;
mod cli;
mod comparisons;
mod crash;
mod dialects;
mod diff;
mod drafts;
mod drift;
mod embeddings;
mod evals;
mod evals_inputs;
mod evals_reports;
mod faults;
mod full_disk;
mod health;
mod import;
mod judges;
mod keys;
mod limits;
mod lint;
mod meaning;
mod memory;
mod migrations;
mod models;
mod naming;
mod numbers;
mod odd_upstreams;
mod porting;
mod promptfoo;
mod prompts;
mod pushes;
mod releases;
mod reload;
mod schedules;
mod secrets;
mod shutdown;
mod sources;
mod streaming;
mod suites;
mod support;
mod torture;
mod traces;
mod uploads;
