//! The words everybody uses: no IO, no async, no foreign JSON.
//!
//! # Glossary
//!
//! - **prompt**: a template in Git that is answered under a name, `support/refund`.
//! - **bundle**: everything a prompt's text depends on (template, partials, schemas, tools, config);
//!   its hash is the identity of a **version**.
//! - **label**: a movable pointer to a version, `production`.
//! - **call**: one answer to one client. **attempt**: one try of a call at one provider.
//! - **record**: the stored truth about a call: an **intent** written before the provider is asked
//!   and exactly one **outcome** written at its end.
//! - **dialect**: the format in which a client asks, or a provider is asked.
//! - **run**: a suite of evals carried out once; its calls name it.
//! - **caller**: who asked, as proven by a key (or by being on loopback).

mod audit;
mod call;
mod caller;
mod dialect;
mod embedding;
mod hash;
mod money;
mod prompt;
mod release;
mod run;
mod secret;
mod time;
mod usage;

pub use audit::{AuditEvent, Audited, OverrideEnd, VersionChange};
pub use call::{
    Attempt, Body, BodyFormat, CallId, CallIntent, CallOutcome, CallRecord, CallState, CallTimes,
    Durability, Operation, PassedBody, PromptStamp, TraceContext,
};
pub use caller::{Caller, KeyId, matches_glob};
pub use dialect::{Dialect, UnknownDialect};
pub use embedding::EmbeddingStamp;
pub use hash::sha256_hex;
pub use money::{Cost, CostQuality, PicoDollars};
pub use prompt::{
    BundleHash, ParseReferenceError, PromptKey, PromptReference, Selector, nearest_names,
};
pub use release::{Arm, ArmReason, ReleaseDecision};
pub use run::{Purpose, RunId, RunRef};
pub use secret::Secret;
pub use time::{Clock, Timestamp};
pub use usage::TokenUsage;

/// Whose fault an error is, which decides the HTTP class and who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The request cannot be served as it is.
    Client,
    /// The upstream provider failed.
    Provider,
    /// Something on our side failed; the cause goes to the log, not to the client.
    Gateway,
}
