//! HMAC-SHA256 (RFC 2104): proves that a message comes from who knows a secret, and is whole.

use crate::domain::Secret;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use subtle::ConstantTimeEq as _;

/// SHA-256 works in blocks of so many bytes.
const BLOCK: usize = 64;

/// Returns the signature of `pieces`, one after the other, as 64 hex digits.
#[must_use]
pub fn sign(secret: &Secret, pieces: &[&[u8]]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in hmac(secret.reveal().as_bytes(), pieces) {
        // Writing to a `String` cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Whether `signature` (hex digits) is that of `pieces`. Takes as long for a wrong one as for a right one.
#[must_use]
pub fn is_signed(secret: &Secret, pieces: &[&[u8]], signature: &str) -> bool {
    let expected = sign(secret, pieces);
    let given = signature.trim().to_ascii_lowercase();
    expected.as_bytes().ct_eq(given.as_bytes()).into()
}

fn hmac(key: &[u8], pieces: &[&[u8]]) -> [u8; 32] {
    let mut block = [0_u8; BLOCK];
    let hashed: [u8; 32];
    let key = if BLOCK < key.len() {
        hashed = Sha256::digest(key).into();
        &hashed[..]
    } else {
        key
    };
    for (to, from) in block.iter_mut().zip(key) {
        *to = *from;
    }
    let mut inner = Sha256::new();
    inner.update(block.map(|byte| byte ^ 0x36));
    for piece in pieces {
        inner.update(piece);
    }
    let mut outer = Sha256::new();
    outer.update(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::{is_signed, sign};
    use crate::domain::Secret;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // RFC 4231, cases 1, 2 and 6; and the example in GitHub's documentation of webhooks.
        let long = "\u{aa}".repeat(65);
        assert_eq!(long.len(), 130);
        for (secret, message, signature) in [
            (
                "\u{b}".repeat(20),
                "Hi There",
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                "Jefe".to_owned(),
                "what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                "It's a Secret to Everybody".to_owned(),
                "Hello, World!",
                "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            ),
        ] {
            let secret = Secret::new(secret);
            assert_eq!(sign(&secret, &[message.as_bytes()]), signature);
            let (head, tail) = message.as_bytes().split_at(3);
            assert!(is_signed(&secret, &[head, tail], &signature.to_uppercase()));
            assert!(!is_signed(&secret, &[head], signature));
        }
        let secret = Secret::new(long);
        let signature = sign(&secret, &[b"x"]);
        assert!(is_signed(&secret, &[b"x"], &signature));
        for wrong in ["", "0", signature.split_at(1).1, &format!("{signature}0")] {
            assert!(!is_signed(&secret, &[b"x"], wrong), "{wrong}");
        }
    }
}
