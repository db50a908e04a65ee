//! What must not be written, must not be said, and must not come in: found without a model.
//!
//! There are two halves. The first keeps secrets out of everything that is written or shown, on two
//! levels: the gateway's own credentials are known exactly and are taken out everywhere, bodies
//! included; what merely looks like a credential is taken out of error texts and log fields, not out of
//! bodies: a prompt may speak of keys.
//!
//! The second looks at the answers of models: [`scan()`] says what it sees in a text, and changes nothing.
//! [`mutate`] turns a request into the forms in which attacks arrive, and [`taxonomy`] says what a
//! finding is called by those who ask for evidence.

mod canary;
mod commands;
mod credentials;
mod decode;
mod fence;
mod fetched;
mod finding;
mod fold;
mod gaps;
mod leak;
mod markup;
pub mod mutate;
mod patterns;
mod phrases;
mod pii;
mod quality;
mod refusal;
mod scan;
mod search;
mod secrets;
pub mod taxonomy;
mod tools;
mod unicode;
mod words;

pub use canary::{Canary, find_canaries};
pub use commands::find_commands;
pub use credentials::{entropy, find_secrets};
pub use fence::fence;
pub use fetched::{FetchedSecrets, SecretSource};
pub use finding::{Detector, Family, Finding, Severity};
pub use gaps::{length_gap, refusal_gap, refusal_rate};
pub use leak::{Overlap, overlap};
pub use markup::find_markup;
pub use patterns::find_key;
pub use pii::{AllowedValues, MIN_SCORE, find_pii};
pub use quality::{Script, repetition, script_share};
pub use refusal::{Extent, Language, PromptfooRefusal, Refusal, find_refusal, promptfoo_refusal};
pub use scan::{Selection, scan};
pub use secrets::{REDACTED, Secrets};
pub use tools::{
    Allowed, ArgumentRule, Error as ToolPolicyError, Pattern, ToolCall, ToolFinding, ToolPolicy,
};
pub use unicode::find_unicode;
