//! The handlers, one file per noun.

pub(crate) mod adapters;
pub(crate) mod audit;
pub(crate) mod calls;
pub(crate) mod canaries;
pub(crate) mod chat;
pub(crate) mod comparisons;
pub(crate) mod drift;
pub(crate) mod embeddings;
pub(crate) mod evals;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod indexes;
pub(super) mod keys;
pub(crate) mod messages;
pub(crate) mod migrations;
pub(crate) mod models;
pub(crate) mod porting;
pub(crate) mod prompts;
pub(crate) mod raw;
pub(crate) mod releases;
pub(crate) mod responses;
pub(crate) mod schedules;
pub(crate) mod snapshots;
pub(crate) mod sync;
pub(crate) mod usage;
