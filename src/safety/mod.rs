//! Keeping secrets out of everything that is written or shown.
//!
//! There are two levels. The gateway's own credentials are known exactly and are taken out everywhere,
//! bodies included. What merely looks like a credential is taken out of error texts and log fields,
//! not out of bodies: a prompt may speak of keys.

mod patterns;
mod search;
mod secrets;

pub use patterns::find_key;
pub use secrets::{REDACTED, Secrets};
