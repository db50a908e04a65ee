//! Token counts of a call, by the classes that are priced differently.

use serde::{Deserialize, Serialize};

/// Tokens of one call as the provider reported them (or as they were counted here).
///
/// Invariant: the classes are parts of their total, as `OpenAI` reports them: `cached_input`,
/// `cache_write_*` and `audio_input` are contained in `input`; `reasoning` and `audio_output` in
/// `output`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct TokenUsage {
    /// All tokens that went in.
    pub input: u64,
    /// All tokens that came out.
    pub output: u64,
    /// Input tokens read from the provider's prompt cache.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cached_input: u64,
    /// Input tokens written to the provider's cache for five minutes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_5m: u64,
    /// Input tokens written to the provider's cache for one hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub cache_write_1h: u64,
    /// Output tokens spent on reasoning.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reasoning: u64,
    /// Audio tokens that went in.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Audio tokens that came out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub audio_output: u64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands the field by reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
