//! Hashes as they are written: SHA-256 in hex.

use crate::domain::BundleHash;
use sha2::{Digest as _, Sha256};

/// Returns the SHA-256 of bytes as 64 lowercase hex digits.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    BundleHash(Sha256::digest(bytes).into()).to_hex()
}

#[cfg(test)]
mod tests {
    use super::sha256_hex;

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        // printf '{"a":1}' | sha256sum
        let known = "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862";
        assert_eq!(sha256_hex(br#"{"a":1}"#), known);
    }
}
