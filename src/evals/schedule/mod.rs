//! Suites that run by themselves: due by cron, claimed once, told to whom it concerns.

mod claim;
mod times;

pub use claim::Claims;
pub use times::{Times, TimesError};
