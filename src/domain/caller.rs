//! Who is calling: the proof that authentication took place.

use crate::domain::PromptKey;
use serde::{Deserialize, Serialize};

/// The public part of a gateway key; names the key in records, never the secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(pub String);

/// An authenticated caller. Functions that need authentication take one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The key that was shown; `None` for a caller on an open loopback.
    pub key: Option<KeyId>,
    /// The key's name, or `local`.
    pub name: String,
    /// Globs of prompts the caller may use (`support/*`); empty means all.
    pub prompts: Vec<String>,
    /// Globs of models the caller may name; empty means all.
    pub models: Vec<String>,
    /// The label that a reference without selector means for this caller.
    pub default_label: Option<String>,
}

impl Caller {
    /// The caller on an open loopback: may do everything on the data plane.
    #[must_use]
    pub fn local() -> Self {
        Self {
            key: None,
            name: "local".to_owned(),
            prompts: Vec::new(),
            models: Vec::new(),
            default_label: None,
        }
    }

    /// Whether the caller may use `prompt`.
    #[must_use]
    pub fn may_use_prompt(&self, prompt: &PromptKey) -> bool {
        self.prompts.is_empty()
            || self
                .prompts
                .iter()
                .any(|glob| matches_glob(glob, prompt.as_str()))
    }

    /// Whether the caller may name `model`.
    #[must_use]
    pub fn may_use_model(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|glob| matches_glob(glob, model))
    }
}

/// Whether `text` matches `glob`, in which `*` stands for any run of characters, `/` included.
#[must_use]
pub fn matches_glob(glob: &str, text: &str) -> bool {
    let Some((head, rest)) = glob.split_once('*') else {
        return glob == text;
    };
    let Some(mut remaining) = text.strip_prefix(head) else {
        return false;
    };
    let mut pieces: Vec<&str> = rest.split('*').collect();
    let tail = pieces.pop().unwrap_or_default();
    for piece in pieces {
        let Some((_, after)) = remaining.split_once(piece) else {
            return false;
        };
        remaining = after;
    }
    remaining.ends_with(tail)
}

#[cfg(test)]
mod tests {
    use super::matches_glob;

    #[test]
    fn globs_match_whole_names() {
        for (glob, text, expected) in [
            ("support/refund", "support/refund", true),
            ("support/refund", "support/refunds", false),
            ("support/*", "support/refund", true),
            ("support/*", "sales/refund", false),
            ("*", "", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-d", false),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches_glob(glob, text), expected, "{glob} {text}");
        }
    }
}
