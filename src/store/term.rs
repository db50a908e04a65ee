//! The terms a query can be narrowed by: values of which there are few.

use crate::domain::{CallState, PromptKey};
use crate::store::Error;
use crate::store::index::{Bucket, NAME, bucket_in, key_of};
use crate::store::row::CallRow;

/// What a query can be narrowed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Dimension {
    Prompt,
    Version,
    Model,
    Key,
    State,
}

impl Dimension {
    const fn code(self) -> u8 {
        match self {
            Self::Prompt => b'p',
            Self::Version => b'v',
            Self::Model => b'm',
            Self::Key => b'k',
            Self::State => b's',
        }
    }
}

/// A value of a dimension, as the start of a key: 6 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Term([u8; 6]);

impl Term {
    /// Returns the term of the parts of a value.
    pub(super) fn new(dimension: Dimension, parts: &[&str]) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        for part in parts {
            hasher.update(part.as_bytes());
            hasher.update(&[0]);
        }
        let [a, b, c, d] = hasher.finalize().to_be_bytes();
        Self([b't', dimension.code(), a, b, c, d])
    }

    /// Returns the term of a state.
    pub(super) fn state(state: CallState) -> Self {
        Self::new(Dimension::State, &[code_of(state)])
    }

    /// Returns the term of a state together with a value of another dimension. Not for `ok`: most
    /// calls are, and narrow nothing.
    pub(super) fn failure(state: CallState, dimension: Dimension, value: &str) -> Option<Self> {
        let other = char::from(dimension.code()).to_string();
        let is_rare = state != CallState::Ok;
        is_rare.then(|| Self::new(Dimension::State, &[code_of(state), &other, value]))
    }

    /// Calls `note` with the terms of a row.
    pub(super) fn of_row(row: &CallRow, mut note: impl FnMut(Self)) {
        if let Some((prompt, version)) = row.prompt.as_ref().zip(row.version()) {
            note(Self::new(Dimension::Version, &[prompt.as_str(), &version]));
        }
        row.state.map(Self::state).map(&mut note);
        let values = [
            (
                Dimension::Prompt,
                row.prompt.as_ref().map(PromptKey::as_str),
            ),
            (Dimension::Key, row.key.as_ref().map(|key| key.0.as_str())),
            (Dimension::Model, Some(row.model.as_str())),
        ];
        for (dimension, value) in values {
            let Some(value) = value else { continue };
            note(Self::new(dimension, &[value]));
            let failure = row
                .state
                .and_then(|state| Self::failure(state, dimension, value));
            failure.map(&mut note);
        }
    }

    /// Returns the index's key that says that `bucket` has rows with this term.
    pub(super) fn key(self, bucket: Bucket) -> Vec<u8> {
        key_of(&self.0, bucket, &[])
    }

    /// Returns the largest bucket up to `at` that has rows with this term.
    pub(super) fn last_bucket(self, tree: &sled::Db, at: Bucket) -> Result<Option<Bucket>, Error> {
        let to = self.key(at);
        let found = tree.range(self.0.as_slice()..=to.as_slice()).next_back();
        let found = found.transpose().map_err(Error::sled(NAME))?;
        Ok(found.and_then(|(key, _)| bucket_in(&key, self.0.len())))
    }
}

const fn code_of(state: CallState) -> &'static str {
    match state {
        CallState::Ok => "ok",
        CallState::ClientGone => "client_gone",
        CallState::UpstreamError => "upstream_error",
        CallState::Timeout => "timeout",
        CallState::Refused => "refused",
        CallState::CrashRecovered => "crash_recovered",
    }
}
