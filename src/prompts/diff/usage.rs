//! What callers of a prompt did lately, as the records tell it.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The days that are looked back.
pub const USAGE_DAYS: u32 = 7;

/// The calls of one prompt in the last [`USAGE_DAYS`] days.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Calls that ended.
    pub calls: u64,
    /// The newest calls, whose requests were read to learn who sends what.
    pub read_calls: u64,
    /// Tokens that went in, where known.
    pub input_tokens: u64,
    /// Of these, from the provider's cache.
    pub cached_tokens: u64,
    /// Tokens that came out, where known.
    pub output_tokens: u64,
    /// Calls by the label that was asked for.
    pub labels: BTreeMap<String, u64>,
    /// Calls by version.
    pub versions: BTreeMap<String, u64>,
    /// Who called, by name.
    pub callers: Vec<CallerUsage>,
}

/// The calls of one caller.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CallerUsage {
    /// The caller's name.
    pub caller: String,
    /// The id of the key; absent where none is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Calls that follow the prompt: they get what is released next.
    pub calls: u64,
    /// Calls that name one version, which stays.
    pub pinned_calls: u64,
    /// Of the calls that follow: how many sent each variable.
    pub variables: BTreeMap<String, u64>,
}

/// How many callers send a variable. Only those that follow the prompt count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Senders {
    /// Callers that send it with at least one call.
    pub sending: usize,
    /// Callers that leave it out of at least one call.
    pub not_sending: usize,
    /// Callers.
    pub callers: usize,
}

impl Usage {
    /// Returns how many callers send `variable`.
    #[must_use]
    pub fn senders(&self, variable: &str) -> Senders {
        let mut senders = Senders {
            sending: 0,
            not_sending: 0,
            callers: 0,
        };
        for caller in self.callers.iter().filter(|caller| 0 < caller.calls) {
            let sent = caller.variables.get(variable).copied().unwrap_or(0);
            senders.callers += 1;
            senders.sending += usize::from(0 < sent);
            senders.not_sending += usize::from(sent < caller.calls);
        }
        senders
    }

    /// Returns the tokens that came out per call, rounded; `None` where nothing is known.
    #[must_use]
    pub fn output_per_call(&self) -> Option<u64> {
        (self.output_tokens + self.calls / 2).checked_div(self.calls)
    }
}
