//! The form of a key: made, read, and compared without telling how much of it was right.

use crate::access::error::{Error, Refusal};
use crate::domain::{KeyId, Secret};
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const PREFIX: &str = "pgate_";
const ID_CHARS: usize = 12;
/// Characters of base 62 that hold 256 bits.
const SECRET_CHARS: usize = 43;
/// Characters of base 62 that hold a CRC-32.
const CHECKSUM_CHARS: usize = 6;
const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// What is stored of a key that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// Its public name.
    pub id: KeyId,
    /// SHA-256 of the whole key.
    pub secret_hash: [u8; 32],
}

/// A credential that has the form of a key; whether it is one is another question.
#[derive(Clone, Copy)]
pub struct PresentedKey<'a> {
    text: &'a str,
    id: &'a str,
}

impl<'a> PresentedKey<'a> {
    /// Returns the public name that the key claims.
    #[must_use]
    pub const fn id(&self) -> &'a str {
        self.id
    }
}

impl std::fmt::Debug for PresentedKey<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("PresentedKey")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Makes a key: the text to show once, and what to store.
#[must_use]
pub fn mint() -> (Secret, NewKey) {
    let mut random = rand::rng();
    let id = Alphanumeric.sample_string(&mut random, ID_CHARS);
    let secret = Alphanumeric.sample_string(&mut random, SECRET_CHARS);
    let body = format!("{PREFIX}{id}_{secret}");
    let text = format!("{body}{}", checksum(&body));
    let key = NewKey {
        id: KeyId(id),
        secret_hash: hash(&text),
    };
    (Secret::new(text), key)
}

/// Reads a credential as a key, checksum included.
///
/// # Errors
///
/// [`Refusal::Malformed`] when it has another form, [`Refusal::BadChecksum`] when it was damaged.
pub fn parse(credential: &str) -> Result<PresentedKey<'_>, Error> {
    let malformed = Error::InvalidApiKey(Refusal::Malformed);
    let rest = credential.strip_prefix(PREFIX).ok_or(malformed)?;
    let (id, secret) = rest.split_once('_').ok_or(malformed)?;
    let is_base_62 = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let has_form = id.len() == ID_CHARS
        && secret.len() == SECRET_CHARS + CHECKSUM_CHARS
        && is_base_62(id)
        && is_base_62(secret);
    if !has_form {
        return Err(malformed);
    }
    let (body, claimed) = credential
        .split_at_checked(credential.len() - CHECKSUM_CHARS)
        .ok_or(malformed)?;
    if checksum(body) != claimed {
        return Err(Error::InvalidApiKey(Refusal::BadChecksum));
    }
    Ok(PresentedKey {
        text: credential,
        id,
    })
}

/// Whether `presented` is the key whose hash is stored, in a time that does not depend on it.
#[must_use]
pub fn verify(presented: PresentedKey<'_>, stored_hash: &[u8; 32]) -> bool {
    hash(presented.text).ct_eq(stored_hash).into()
}

/// Makes a token of 256 random bits, for the admin plane.
#[must_use]
pub fn random_token() -> Secret {
    Secret::new(Alphanumeric.sample_string(&mut rand::rng(), SECRET_CHARS))
}

/// Whether `shown` is `secret`, in a time that depends on the length of `shown` alone.
#[must_use]
pub fn same_secret(shown: &str, secret: &Secret) -> bool {
    hash(shown).ct_eq(&hash(secret.reveal())).into()
}

/// A fast hash will do: what is hashed has 256 random bits, which nobody can try out.
fn hash(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = [b'0'; CHECKSUM_CHARS];
    for digit in digits.iter_mut().rev() {
        let place = usize::try_from(rest % 62).unwrap_or(0);
        *digit = BASE_62.get(place).copied().unwrap_or(b'0');
        rest /= 62;
    }
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use super::{checksum, mint, parse, random_token, same_secret, verify};
    use crate::access::{Error, Refusal};
    use crate::domain::Secret;
    use std::collections::BTreeSet;

    #[test]
    fn a_key_is_read_back_and_no_other_is() {
        let (secret, key) = mint();
        let presented = parse(secret.reveal()).unwrap();
        assert_eq!(presented.id(), key.id.0);
        assert!(verify(presented, &key.secret_hash));
        let (other, _) = mint();
        assert!(!verify(parse(other.reveal()).unwrap(), &key.secret_hash));
        assert_eq!(secret.reveal().len(), 6 + 62);
        assert!(!format!("{presented:?} {key:?}").contains(secret.reveal()));
    }

    #[test]
    fn the_form_is_fixed() {
        // A key that was handed out must be read by every later version.
        let body = "pgate_AbCdEfGhIjKl_0123456789012345678901234567890123456789abc";
        assert_eq!(checksum(body), "2CTafl");
        let presented = format!("{body}{}", checksum(body));
        assert_eq!(parse(&presented).unwrap().id(), "AbCdEfGhIjKl");
    }

    #[test]
    fn what_is_no_key_is_told_from_a_damaged_one() {
        let (secret, _) = mint();
        let text = secret.reveal();
        for (credential, refusal) in [
            (String::new(), Refusal::Malformed),
            ("sk-proj-abc".to_owned(), Refusal::Malformed),
            (text.chars().take(60).collect(), Refusal::Malformed),
            (format!("{text}x"), Refusal::Malformed),
            (text.replacen("pgate_", "PGATE_", 1), Refusal::Malformed),
            (
                text.chars().take(66).chain(['é']).collect(),
                Refusal::Malformed,
            ),
        ] {
            let error = parse(&credential).unwrap_err();
            assert_eq!(error, Error::InvalidApiKey(refusal), "{credential}");
        }
        // Every single changed character is noticed, without a look at any stored key.
        for place in (6..text.len()).filter(|place| *place != 18) {
            let mut bytes = text.as_bytes().to_vec();
            bytes[place] = if bytes[place] == b'x' { b'y' } else { b'x' };
            let damaged = String::from_utf8(bytes).unwrap();
            let error = parse(&damaged).unwrap_err();
            assert_eq!(error, Error::InvalidApiKey(Refusal::BadChecksum), "{place}");
        }
    }

    #[test]
    fn keys_and_tokens_do_not_repeat() {
        let ids: BTreeSet<String> = (0..200).map(|_| mint().1.id.0).collect();
        let tokens: BTreeSet<String> = (0..200)
            .map(|_| random_token().reveal().to_owned())
            .collect();
        assert_eq!((ids.len(), tokens.len()), (200, 200));
        let token = Secret::new("abc");
        for (shown, expected) in [("abc", true), ("abd", false), ("ab", false), ("", false)] {
            assert_eq!(same_secret(shown, &token), expected);
        }
    }
}
