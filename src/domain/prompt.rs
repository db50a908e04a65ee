//! How a prompt is named: `NAME[.VARIANT][@SELECTOR]`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;

/// The grammar of a reference, for error messages.
const GRAMMAR: &str = "NAME[.VARIANT][@LABEL | @latest | @vN | @sha-HEX | @git:REF | @pr-N]";

/// The name of a prompt with its variant, as in its file's path: `support/refund` or
/// `support/refund.terse`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PromptKey(String);

impl PromptKey {
    /// Returns the key for `text`.
    ///
    /// # Errors
    ///
    /// When `text` is empty, longer than 200 characters, or has characters other than letters,
    /// digits, `_`, `-`, `.` and single inner `/`, or a segment that starts with a dot.
    pub fn parse(text: &str) -> Result<Self, ParseReferenceError> {
        let is_good = |segment: &str| {
            !segment.is_empty()
                && !segment.starts_with('.')
                && !segment.ends_with('.')
                && segment
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
        };
        if text.len() <= 200 && text.split('/').all(is_good) {
            return Ok(Self(text.to_owned()));
        }
        Err(ParseReferenceError::new(text, "is not a prompt name"))
    }

    /// Returns the key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PromptKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The identity of a version: SHA-256 over everything the prompt's text depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BundleHash(pub [u8; 32]);

impl BundleHash {
    /// Returns the hash as 64 lowercase hex digits.
    #[must_use]
    pub fn to_hex(self) -> String {
        hex(&self.0)
    }

    /// Returns the hash as people write it: `sha-` and the first 12 hex digits.
    #[must_use]
    pub fn short(self) -> String {
        let [a, b, c, d, e, f, ..] = self.0;
        ["sha-", &hex(&[a, b, c, d, e, f])].concat()
    }

    /// Writes the hash whole, `sha-` and 64 hex digits, into `room`.
    fn write(self, room: &mut [u8; 68]) -> &str {
        let (mark, digits) = room.split_at_mut(4);
        mark.copy_from_slice(b"sha-");
        write_hex(&self.0, digits);
        std::str::from_utf8(room).unwrap_or_default()
    }
}

/// Returns lowercase hex digits. Every call writes several hashes: `format!` would cost it as much as
/// reading its request.
fn hex(bytes: &[u8]) -> String {
    let mut digits = vec![0; bytes.len() * 2];
    write_hex(bytes, &mut digits);
    String::from_utf8(digits).unwrap_or_default()
}

fn write_hex(bytes: &[u8], digits: &mut [u8]) {
    let digit = |value: u8| value + if value < 10 { b'0' } else { b'a' - 10 };
    let (pairs, _) = digits.as_chunks_mut();
    for (pair, byte) in pairs.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 0xf)];
    }
}

impl fmt::Display for BundleHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.write(&mut [0; 68]))
    }
}

impl FromStr for BundleHash {
    type Err = ParseReferenceError;

    /// Parses the full form, `sha-` and 64 hex digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = || ParseReferenceError::new(text, "is not a bundle hash");
        let hex = text
            .strip_prefix("sha-")
            .filter(|hex| hex.len() == 64)
            .ok_or_else(fail)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.as_bytes().chunks(2)) {
            let pair = std::str::from_utf8(pair).map_err(|_| fail())?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| fail())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for BundleHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.write(&mut [0; 68]))
    }
}

impl<'de> Deserialize<'de> for BundleHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// Which version of a prompt is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// None was written: the key's default label, else `production`, else latest.
    Default,
    /// `latest`: the newest version that was loaded.
    Latest,
    /// `v7`: the seventh version of the prompt in the history of the tracked branch.
    Number(u32),
    /// `sha-3f2a…`: 4 to 64 hex digits of a bundle hash.
    Hash(String),
    /// `git:REF`: the prompt as it is at a commit, tag or branch.
    GitRef(String),
    /// `pr-12`: the prompt as it is at the head of a pull request.
    PullRequest(u32),
    /// A label of `releases.yaml`.
    Label(String),
}

impl FromStr for Selector {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fail = |problem| Err(ParseReferenceError::new(text, problem));
        let number = |digits: &str| {
            let all_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits
                .parse::<u32>()
                .ok()
                .filter(|number| all_digits && 0 < *number)
        };
        if text == "latest" {
            return Ok(Self::Latest);
        }
        if let Some(version) = text
            .strip_prefix('v')
            .and_then(number)
            .or_else(|| number(text))
        {
            return Ok(Self::Number(version));
        }
        if let Some(hex) = text.strip_prefix("sha-") {
            let is_hex =
                (4..=64).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit());
            return if is_hex {
                Ok(Self::Hash(hex.to_ascii_lowercase()))
            } else {
                fail("has a hash that is not 4 to 64 hex digits")
            };
        }
        if let Some(reference) = text.strip_prefix("git:") {
            return if is_git_reference(reference) {
                Ok(Self::GitRef(reference.to_owned()))
            } else {
                fail("has a Git reference that is empty or has unsafe characters")
            };
        }
        if let Some(request) = text.strip_prefix("pr-") {
            return number(request).map_or_else(
                || fail("has no pull request number after `pr-`"),
                |n| Ok(Self::PullRequest(n)),
            );
        }
        let looks_like_number = text
            .strip_prefix('v')
            .unwrap_or(text)
            .bytes()
            .all(|byte| byte.is_ascii_digit());
        if is_label(text) && !looks_like_number {
            return Ok(Self::Label(text.to_owned()));
        }
        fail("has a selector that is no label, `latest`, `vN`, `sha-HEX`, `git:REF` or `pr-N`")
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::Latest => formatter.write_str("latest"),
            Self::Number(number) => write!(formatter, "v{number}"),
            Self::Hash(hex) => write!(formatter, "sha-{hex}"),
            Self::GitRef(reference) => write!(formatter, "git:{reference}"),
            Self::PullRequest(number) => write!(formatter, "pr-{number}"),
            Self::Label(label) => formatter.write_str(label),
        }
    }
}

/// A prompt and the version of it that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PromptReference {
    /// The prompt with its variant.
    pub key: PromptKey,
    /// The version.
    pub selector: Selector,
}

impl FromStr for PromptReference {
    type Err = ParseReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, selector) = match text.split_once('@') {
            Some((name, selector)) => (name, selector.parse()?),
            None => (text, Selector::Default),
        };
        Ok(Self {
            key: PromptKey::parse(name)?,
            selector,
        })
    }
}

impl fmt::Display for PromptReference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.selector {
            Selector::Default => write!(formatter, "{}", self.key),
            selector => write!(formatter, "{}@{selector}", self.key),
        }
    }
}

/// A reference that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("prompt reference `{text}` {problem}; the form is {GRAMMAR}")]
pub struct ParseReferenceError {
    text: String,
    problem: &'static str,
}

impl ParseReferenceError {
    fn new(text: &str, problem: &'static str) -> Self {
        // A reference may be anything a client sends: show enough of it to recognise it.
        Self {
            text: text.chars().take(80).collect(),
            problem,
        }
    }
}

/// Whether `text` can be a label: `[a-z][a-z0-9._-]{0,35}`.
fn is_label(text: &str) -> bool {
    text.len() <= 36
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c))
}

/// Whether `text` names a revision and cannot be read as an option or an expression.
fn is_git_reference(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 200
        && !text.starts_with(['-', '/', '.'])
        && !text.contains("..")
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
}

/// Returns up to three of `names` that are most like `wanted`, best first, for hints.
pub fn nearest_names<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut scored: Vec<(f64, &str)> = names
        .map(|name| (strsim::jaro_winkler(wanted, name), name))
        .filter(|(score, _)| 0.7 <= *score)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::{BundleHash, PromptKey, PromptReference, Selector};
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    #[test]
    fn references_read_as_they_are_written() {
        for (text, selector) in [
            ("support/refund", Selector::Default),
            ("support/refund.terse@latest", Selector::Latest),
            ("a@v7", Selector::Number(7)),
            ("a@sha-3F2A", Selector::Hash("3f2a".to_owned())),
            (
                "a@git:release/1.2",
                Selector::GitRef("release/1.2".to_owned()),
            ),
            ("a@pr-12", Selector::PullRequest(12)),
            ("a@production", Selector::Label("production".to_owned())),
            ("a@v7-beta", Selector::Label("v7-beta".to_owned())),
        ] {
            let reference: PromptReference = text.parse().unwrap();
            assert_eq!(reference.selector, selector, "{text}");
        }
        let bare: Selector = "7".parse().unwrap();
        assert_eq!(bare, Selector::Number(7));
    }

    #[test]
    fn bad_references_name_the_grammar() {
        for text in [
            "",
            "/a",
            "a/",
            "a//b",
            "../a",
            "a b",
            ".a",
            "a@",
            "a@sha-xyz",
            "a@git:",
            "a@git:--upload-pack=x",
            "a@git:HEAD..x",
            "a@pr-",
            "a@v0",
            "a@UPPER",
            "a@b@c",
        ] {
            let error = text.parse::<PromptReference>().unwrap_err().to_string();
            assert!(error.contains("NAME[.VARIANT]"), "{text}: {error}");
        }
    }

    /// Every selector that can be written.
    fn selectors() -> impl Strategy<Value = Selector> {
        let label = "[a-z][a-z0-9._-]{0,35}";
        let reference = "[A-Za-z0-9_][A-Za-z0-9._/-]{0,40}";
        prop_oneof![
            Just(Selector::Latest),
            (1..=u32::MAX).prop_map(Selector::Number),
            "[0-9a-f]{4,64}".prop_map(Selector::Hash),
            reference
                .prop_filter("has no range in it", |text| !text.contains(".."))
                .prop_map(Selector::GitRef),
            (1..=u32::MAX).prop_map(Selector::PullRequest),
            label
                .prop_filter("looks like another form", |text| !looks_like_another(text))
                .prop_map(Selector::Label),
        ]
    }

    /// Whether a text that could be a label is kept for another form.
    fn looks_like_another(text: &str) -> bool {
        let is_digits = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_digit());
        text == "latest"
            || text.starts_with("sha-")
            || text.starts_with("pr-")
            || text.strip_prefix('v').is_some_and(is_digits)
    }

    proptest! {
        #[test]
        fn selectors_read_as_they_are_printed(selector in selectors()) {
            prop_assert_eq!(selector.to_string().parse::<Selector>(), Ok(selector));
        }

        #[test]
        fn references_read_as_they_are_printed(
            name in "[A-Za-z0-9_-]{1,12}(/[A-Za-z0-9_-]{1,12}){0,3}([.][a-z]{1,8})?",
            selector in selectors(),
        ) {
            let key = PromptKey::parse(&name).unwrap();
            for selector in [selector, Selector::Default] {
                let key = key.clone();
                let reference = PromptReference { key, selector };
                prop_assert_eq!(reference.to_string().parse::<PromptReference>(), Ok(reference));
            }
        }

        /// A text is a label or another form, never both, and says so in every spelling it prints.
        #[test]
        fn no_text_means_two_things(text in "(v|sha-|pr-|git:|latest|[a-z])?[a-z0-9._-]{0,40}") {
            let is_label_like = super::is_label(&text);
            match text.parse::<Selector>() {
                Ok(Selector::Label(label)) => {
                    prop_assert!(is_label_like && !looks_like_another(&text));
                    prop_assert_eq!(label, text);
                }
                Ok(other) => {
                    prop_assert!(!is_label_like || looks_like_another(&text), "{:?}", other);
                    prop_assert_eq!(other.to_string().parse::<Selector>(), Ok(other));
                }
                Err(_) => prop_assert!(!is_label_like || looks_like_another(&text)),
            }
        }

        #[test]
        fn nothing_that_is_sent_can_panic(text in any::<String>()) {
            if let Ok(reference) = text.parse::<PromptReference>() {
                prop_assert_eq!(reference.to_string().parse::<PromptReference>(), Ok(reference));
            }
        }
    }

    #[test]
    fn hashes_round_trip() {
        let hash = BundleHash([0xab; 32]);
        assert_eq!(hash.to_string().parse::<BundleHash>().unwrap(), hash);
        assert_eq!(hash.short(), "sha-abababababab");
    }
}
