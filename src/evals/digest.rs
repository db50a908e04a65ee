//! Hashes: the names under which questions, cells, plans and files are known again.

use crate::domain::sha256_hex;
use serde::Serialize;

/// Returns the SHA-256 of a value's JSON, as 64 hex digits.
pub(super) fn digest<T: Serialize>(value: &T) -> String {
    // What is hashed here has string keys and finite numbers, so that writing it cannot fail; if it did,
    // the hash would be that of what was written so far.
    sha256_hex(&serde_json::to_vec(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::digest;
    use serde_json::json;

    #[test]
    fn the_hash_is_that_of_the_json() {
        // printf '{"a":1}' | sha256sum
        let known = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
        assert_eq!(digest(&json!({"a": 1})), known);
        assert_ne!(digest(&json!({"a": 2})), known);
    }
}
