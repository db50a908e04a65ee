//! Why a caller is refused: little of it is for the caller's eyes.

use crate::domain::Blame;

/// A caller that is not let in. The answer is always 401.
///
/// Invariant: holds and shows nothing of the credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No credential was sent.
    #[error("an API key is needed")]
    MissingApiKey,
    /// The credential is no key that is let in. The reason is for the log: a caller that could
    /// tell a revoked key from one that never was could try out keys.
    #[error("the API key is not valid")]
    InvalidApiKey(Refusal),
}

/// What is wrong with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It does not look like a key of this gateway.
    Malformed,
    /// It looks like one, but its checksum says that it was mistyped or cut off.
    BadChecksum,
    /// No key has that id.
    Unknown,
    /// The id is known, and the secret is another.
    WrongSecret,
    /// It was revoked.
    Revoked,
    /// Its time is over.
    Expired,
}

impl Refusal {
    /// Returns the name for logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::BadChecksum => "bad_checksum",
            Self::Unknown => "unknown",
            Self::WrongSecret => "wrong_secret",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl Error {
    /// Returns the stable code of the error.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::MissingApiKey => "missing_api_key",
            Self::InvalidApiKey(_) => "invalid_api_key",
        }
    }

    /// Returns whose fault it is.
    #[must_use]
    pub const fn blame(&self) -> Blame {
        match self {
            Self::MissingApiKey | Self::InvalidApiKey(_) => Blame::Client,
        }
    }

    /// Returns what the caller can do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::MissingApiKey => {
                "send `Authorization: Bearer pgate_...`; `promptgate keys create NAME` makes a key"
            }
            Self::InvalidApiKey(Refusal::Malformed | Refusal::BadChecksum) => {
                "a key is `pgate_` and 62 more characters; check that all of it was copied, and \
                 that it is not a provider's key"
            }
            Self::InvalidApiKey(
                Refusal::Unknown | Refusal::WrongSecret | Refusal::Revoked | Refusal::Expired,
            ) => "`promptgate keys list` shows the keys, `promptgate keys create NAME` makes one",
        };
        Some(hint.to_owned())
    }
}
