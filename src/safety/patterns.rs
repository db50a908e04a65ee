//! What looks like a credential in a text.

use memchr::memmem::Finder;
use std::ops::Range;
use std::sync::LazyLock;

/// Beginnings of keys, and how long such a key is at least, beginning included.
const PREFIXES: [(&str, usize); 9] = [
    ("pgate_", 7),
    ("sk-", 23),
    ("gsk_", 24),
    ("xai-", 24),
    ("AIza", 30),
    ("ghp_", 24),
    ("gho_", 24),
    ("github_pat_", 24),
    ("hf_", 24),
];

/// The same, of what is a key beyond doubt.
const CERTAIN: [(&str, usize); 13] = [
    ("pgate_", GATEWAY_KEY),
    ("sk-", 23),
    ("gsk_", 24),
    ("xai-", 24),
    ("AIza", 30),
    ("AKIA", 20),
    ("ghp_", 24),
    ("gho_", 24),
    ("github_pat_", 24),
    ("glpat-", 24),
    ("hf_", 24),
    ("xoxb-", 24),
    ("-----BEGIN", 10),
];

/// Words after which a credential follows, and what may stand between: matched without case.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// Names of query parameters and fields that hold credentials, matched without case.
const PARAMETERS: [&str; 5] = ["key=", "api_key=", "api-key=", "apikey=", "access_token="];

/// How long a gateway key is at least, by which it is told from a mention of its beginning.
const GATEWAY_KEY: usize = 40;

/// What gateway keys begin with.
static MARK: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"pgate_"));

/// Returns where the first gateway key at or after `from` stands in `body`.
pub(super) fn find_gateway_key(body: &[u8], from: usize) -> Option<Range<usize>> {
    let mut from = from;
    loop {
        let rest = body.get(from..)?;
        let start = from + MARK.find(rest)?;
        let length = run(body.get(start..)?, |byte| {
            byte.is_ascii_alphanumeric() || byte == b'_'
        });
        if GATEWAY_KEY <= length {
            return Some(start..start + length);
        }
        from = start + length;
    }
}

/// Returns where the first credential-shaped piece at or after `from` stands in `text`.
pub(super) fn find(text: &str, from: usize) -> Option<Range<usize>> {
    find_with(text, from, match_at)
}

fn find_with(
    text: &str,
    from: usize,
    match_at: impl Fn(&[u8], usize) -> Option<Range<usize>>,
) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    (from..bytes.len()).find_map(|start| {
        let is_word_start = start
            .checked_sub(1)
            .and_then(|before| bytes.get(before))
            .is_none_or(|byte| !byte.is_ascii_alphanumeric());
        let here = bytes.get(start..)?;
        is_word_start.then(|| match_at(here, start)).flatten()
    })
}

/// Returns where the first key that can only be one stands in `text` at or after `from`.
///
/// It is known by its beginning, its length, and digits in it. Words before it do not make something
/// a key here, so that this can be asked of texts that speak of keys.
#[must_use]
pub fn find_key(text: &str, from: usize) -> Option<Range<usize>> {
    let mut from = from;
    loop {
        let range = find_with(text, from, |here, start| {
            let length = CERTAIN.iter().find_map(|(prefix, shortest)| {
                let length = here
                    .starts_with(prefix.as_bytes())
                    .then(|| run(here, is_key))?;
                (*shortest <= length).then_some(length)
            })?;
            Some(start..start + length)
        })?;
        let key = text.get(range.clone()).unwrap_or_default();
        if key.starts_with("-----") || key.bytes().any(|byte| byte.is_ascii_digit()) {
            return Some(range);
        }
        from = range.end;
    }
}

fn match_at(here: &[u8], start: usize) -> Option<Range<usize>> {
    let key = PREFIXES.iter().find_map(|(prefix, shortest)| {
        let length = here
            .starts_with(prefix.as_bytes())
            .then(|| run(here, is_key))?;
        (*shortest <= length).then_some(start..start + length)
    });
    key.or_else(|| value_after(here, start, &SCHEMES, 8, is_token))
        .or_else(|| value_after(here, start, &PARAMETERS, 1, is_value))
}

/// Returns where the value after one of `words` stands, when it has at least `shortest` bytes.
fn value_after(
    here: &[u8],
    start: usize,
    words: &[&str],
    shortest: usize,
    is_part: fn(u8) -> bool,
) -> Option<Range<usize>> {
    let word = words.iter().find(|word| {
        here.get(..word.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(word.as_bytes()))
    })?;
    let length = run(here.get(word.len()..)?, is_part);
    let value = start + word.len();
    (shortest <= length).then_some(value..value + length)
}

fn run(bytes: &[u8], is_part: fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| is_part(**byte)).count()
}

const fn is_key(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

const fn is_token(byte: u8) -> bool {
    is_key(byte) || matches!(byte, b'.' | b'+' | b'/' | b'=' | b'~')
}

const fn is_value(byte: u8) -> bool {
    is_token(byte) || matches!(byte, b'%' | b':')
}
