//! Naming a snapshot: `docs@2`, `docs@production`, `docs@latest`, `docs@snap-4f2a…`.

use crate::embeddings::Error;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest name of a collection.
const MAX_NAME: usize = 128;

/// The identity of a snapshot: `snap-` and 64 hex digits, SHA-256 of its manifest's content.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SnapshotId(pub String);

impl fmt::Display for SnapshotId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Which snapshot of a collection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Selector {
    /// The one with this number; written `2` or `v2`.
    Number(u32),
    /// The newest.
    Latest,
    /// Where a label of `embeddings.toml` points.
    Label(String),
    /// The one whose identity begins so; written `snap-` and at least 6 hex digits.
    Hash(String),
}

/// A snapshot by name. Without a selector the label `production` is meant, and where there is none, the
/// newest.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SnapshotName {
    /// The collection: `docs`, `support/faq`.
    pub collection: String,
    /// Which of its snapshots.
    pub selector: Option<Selector>,
}

impl FromStr for SnapshotName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (collection, selector) = match text.split_once('@') {
            Some((collection, selector)) => (collection, Some(selector)),
            None => (text, None),
        };
        check_collection(collection)?;
        let selector = selector.map(|selector| parse_selector(text, selector));
        Ok(Self {
            collection: collection.to_owned(),
            selector: selector.transpose()?,
        })
    }
}

impl fmt::Display for SnapshotName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.collection)?;
        match &self.selector {
            None => Ok(()),
            Some(Selector::Number(number)) => write!(formatter, "@{number}"),
            Some(Selector::Latest) => formatter.write_str("@latest"),
            Some(Selector::Label(name) | Selector::Hash(name)) => write!(formatter, "@{name}"),
        }
    }
}

/// Checks the name of a collection: letters, digits, `-`, `_`, `.` in parts divided by `/`.
///
/// # Errors
///
/// `InvalidName`.
pub fn check_collection(name: &str) -> Result<(), Error> {
    let is_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let is_part =
        |part: &str| !part.is_empty() && !part.starts_with('.') && part.chars().all(is_char);
    if name.len() <= MAX_NAME && name.split('/').all(is_part) {
        return Ok(());
    }
    Err(Error::InvalidName {
        name: name.to_owned(),
    })
}

fn parse_selector(whole: &str, text: &str) -> Result<Selector, Error> {
    let invalid = || Error::InvalidSelector {
        name: whole.to_owned(),
    };
    let number = text.strip_prefix('v').unwrap_or(text);
    if !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) {
        let number = number.parse().map_err(|_| invalid())?;
        return Ok(Selector::Number(number));
    }
    if text == "latest" {
        return Ok(Selector::Latest);
    }
    if let Some(digits) = text.strip_prefix("snap-") {
        let is_hash = (6..=64).contains(&digits.len())
            && digits
                .bytes()
                .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        return if is_hash {
            Ok(Selector::Hash(text.to_owned()))
        } else {
            Err(invalid())
        };
    }
    let is_char = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(is_char) {
        return Ok(Selector::Label(text.to_owned()));
    }
    Err(invalid())
}

#[cfg(test)]
mod tests {
    use super::{Selector, SnapshotName};

    #[test]
    fn names_are_read_and_written_alike() {
        for (text, selector) in [
            ("docs", None),
            ("support/faq@2", Some(Selector::Number(2))),
            ("docs@latest", Some(Selector::Latest)),
            (
                "docs@production",
                Some(Selector::Label("production".to_owned())),
            ),
            (
                "docs@snap-4f2a91",
                Some(Selector::Hash("snap-4f2a91".to_owned())),
            ),
        ] {
            let name: SnapshotName = text.parse().unwrap();
            assert_eq!(name.selector, selector, "{text}");
            assert_eq!(name.to_string(), text);
        }
        let name: SnapshotName = "docs@v7".parse().unwrap();
        assert_eq!(name.selector, Some(Selector::Number(7)));
        for wrong in [
            "",
            "/docs",
            "docs/",
            "..",
            "a b",
            "docs@",
            "docs@9999999999",
            "docs@snap-xyz",
            "docs@?",
        ] {
            assert!(wrong.parse::<SnapshotName>().is_err(), "{wrong}");
        }
    }
}
