//! Suites that run by themselves: due by cron, claimed once, told to whom it concerns.
//!
//! ```text
//! shelf     files -> suites with a schedule     claim   one process of all gets a due time
//! due       what a time of day makes due        kept    what outlives the process
//! scheduler sleeps, claims, begins              job     one due time, from plan to alert
//! sentinel  runs of the same over time          alerts  who is told
//! ```
//!
//! **Invariants**
//! - A due time is claimed before anything is asked, and is never run twice, whatever clocks do.
//! - What was claimed is kept before it is begun, so that a process that dies goes on with it.

mod alerts;
mod claim;
mod due;
mod job;
mod kept;
mod scheduler;
mod sentinel;
mod shelf;
mod times;
mod view;

pub use claim::{Claimed, Claims};
pub(in crate::evals) use job::BY;
pub use scheduler::{Config, Scheduler};
pub use times::{Times, TimesError};
pub use view::{Listing, SentinelView, View};
