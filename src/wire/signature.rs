//! Whose proof of a thought it is: Gemini's are marked as they come, so that they go back to Gemini only and no other
//! proof does. All others are as they came.

const OF_GEMINI: &str = "gemini:";

/// Returns a proof of Gemini's with its mark.
pub(super) fn mark_gemini(signature: &str) -> String {
    format!("{OF_GEMINI}{signature}")
}

/// Whether `signature` is a proof of Gemini's.
pub(super) fn is_of_gemini(signature: &str) -> bool {
    signature.starts_with(OF_GEMINI)
}

/// Returns a proof of Gemini's without its mark; `None` when it is another provider's.
pub(super) fn for_gemini(signature: &str) -> Option<&str> {
    signature.strip_prefix(OF_GEMINI)
}
