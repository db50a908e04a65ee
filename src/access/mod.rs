//! Who may call: gateway keys, how they look, and the ring of those that are known.
//!
//! A key is `pgate_ID_SECRETCHECK`: a public id that names the key in records, 256 random bits, and
//! a checksum by which a typing error or a cut-off paste is told from a key that was revoked,
//! before anything is looked up. Only a hash of it is stored; the key itself is shown once.

mod error;
mod key;
mod ring;
mod signature;

pub use error::{Error, Refusal};
pub use key::{NewKey, PresentedKey, mint, parse, random_token, same_secret, verify};
pub use ring::{KeyEntry, KeyRing};
pub use signature::{is_signed, sign};
