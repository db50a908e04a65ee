//! The secrets that are known, and the scrubbing of texts and bodies.

use crate::domain::Secret;
use crate::safety::fetched::FetchedSecrets;
use crate::safety::patterns;
use crate::safety::search::Needles;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Shorter secrets are not searched for: they would be found in ordinary words.
const MIN_LENGTH: usize = 8;

/// From this length on needles are searched for in long steps; shorter ones are a set of their own.
const LONG: usize = 16;

/// The secrets that must not be written anywhere.
#[derive(Clone, Default)]
pub struct Secrets {
    known: Known,
    fetched: FetchedSecrets,
}

/// Secrets in all their forms, ready to be searched for.
#[derive(Clone, Default)]
pub(super) struct Known {
    long: Option<Needles>,
    short: Option<Needles>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(***)")
    }
}

impl Secrets {
    /// Returns the set of the `exact` secrets, in all the forms in which they travel: as they are, as in
    /// JSON, percent-encoded, and inside the base64 of a Basic authorization. Secrets of fewer than
    /// eight bytes are left out.
    #[must_use]
    pub fn new(exact: &[Secret]) -> Self {
        Self::with_fetched(exact, FetchedSecrets::default())
    }

    /// As [`Secrets::new`], with those that are fetched later on.
    #[must_use]
    pub fn with_fetched(exact: &[Secret], fetched: FetchedSecrets) -> Self {
        Self {
            known: Known::new(exact),
            fetched,
        }
    }

    /// Returns those that are fetched.
    #[must_use]
    pub const fn fetched(&self) -> &FetchedSecrets {
        &self.fetched
    }

    /// Returns `body` without the known secrets and without gateway keys, which are known by their
    /// form only; the same bytes when it has none.
    #[must_use]
    pub fn scrub_bytes(&self, body: &Bytes) -> Bytes {
        let mut scrubbed = scrub(body, patterns::find_gateway_key);
        scrubbed = self.known.scrub_bytes(scrubbed);
        match self.fetched.known() {
            None => scrubbed,
            Some(known) => known.scrub_bytes(scrubbed),
        }
    }

    /// Returns `text`, an error or a log field, without the known secrets and without what looks like
    /// one.
    #[must_use]
    pub fn scrub_text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let mut scrubbed = self.known.scrub_text(Cow::Borrowed(text));
        if let Some(known) = self.fetched.known() {
            scrubbed = known.scrub_text(scrubbed);
        }
        replace(scrubbed, patterns::find)
    }
}

impl Known {
    /// Prepares the search for `exact` secrets.
    pub(super) fn new(exact: &[Secret]) -> Self {
        let forms = exact
            .iter()
            .filter(|secret| MIN_LENGTH <= secret.reveal().len())
            .flat_map(forms);
        let (long, short): (Vec<_>, Vec<_>) = forms.partition(|form| LONG <= form.len());
        Self {
            long: Needles::new(long),
            short: Needles::new(short),
        }
    }

    fn sets(&self) -> impl Iterator<Item = &Needles> {
        [&self.long, &self.short].into_iter().flatten()
    }

    fn scrub_bytes(&self, body: Bytes) -> Bytes {
        self.sets().fold(body, |body, needles| {
            scrub(&body, |body, from| needles.find(body, from))
        })
    }

    fn scrub_text<'a>(&self, text: Cow<'a, str>) -> Cow<'a, str> {
        self.sets().fold(text, |text, needles| {
            // Secrets are text, so what is found begins and ends between characters.
            replace(text, |text, from| needles.find(text.as_bytes(), from))
        })
    }
}

fn scrub(body: &Bytes, find: impl Fn(&[u8], usize) -> Option<Range<usize>>) -> Bytes {
    let Some(mut found) = find(body, 0) else {
        return body.clone();
    };
    let mut clean = BytesMut::with_capacity(body.len());
    let mut from = 0;
    loop {
        clean.extend_from_slice(body.get(from..found.start).unwrap_or_default());
        clean.extend_from_slice(REDACTED.as_bytes());
        from = found.end;
        match find(body, from) {
            Some(next) => found = next,
            None => break,
        }
    }
    clean.extend_from_slice(body.get(from..).unwrap_or_default());
    clean.freeze()
}

/// Replaces everything that `find` finds in `text`.
fn replace<'a>(
    text: Cow<'a, str>,
    find: impl Fn(&str, usize) -> Option<Range<usize>>,
) -> Cow<'a, str> {
    let Some(mut found) = find(&text, 0) else {
        return text;
    };
    let mut clean = String::with_capacity(text.len());
    let mut from = 0;
    loop {
        clean.push_str(text.get(from..found.start).unwrap_or_default());
        clean.push_str(REDACTED);
        from = found.end;
        match find(&text, from) {
            Some(next) => found = next,
            None => break,
        }
    }
    clean.push_str(text.get(from..).unwrap_or_default());
    Cow::Owned(clean)
}

/// Returns the forms in which `secret` is looked for.
fn forms(secret: &Secret) -> Vec<Vec<u8>> {
    let secret = secret.reveal();
    let encoded: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let percent = encoded.replace('+', "%20");
    let json = serde_json::to_string(secret).unwrap_or_default();
    let inner = json.get(1..json.len().saturating_sub(1));
    let json = inner.unwrap_or_default().to_owned();
    let mut forms = vec![secret.to_owned(), encoded, percent, json];
    forms.extend((0..3).filter_map(|offset| base64_core(secret, offset)));
    forms.sort();
    forms.dedup();
    forms.into_iter().map(String::into_bytes).collect()
}

/// Returns the base64 digits that `secret` gives when it stands `offset` bytes (modulo three) behind
/// the start: those that no neighbour has a part in.
fn base64_core(secret: &str, offset: usize) -> Option<String> {
    let mut padded = vec![0; offset];
    padded.extend(secret.as_bytes());
    let digits = STANDARD_NO_PAD.encode(&padded);
    let start = (offset * 8).div_ceil(6);
    let end = padded.len() * 8 / 6;
    let core = digits.get(start..end)?;
    (MIN_LENGTH <= core.len()).then(|| core.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{REDACTED, Secrets};
    use crate::domain::Secret;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use bytes::Bytes;
    use std::borrow::Cow;

    const KEY: &str = "canary/+ \"7f3a9c20d1e84b56\"";
    const SHORT: &str = "hunter22";

    fn secrets() -> Secrets {
        Secrets::new(&[Secret::new(KEY), Secret::new(SHORT), Secret::new("abc")])
    }

    #[test]
    fn secrets_go_in_every_form() {
        let basic = |user: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{KEY}")));
        for form in [
            KEY.to_owned(),
            serde_json::to_string(KEY).unwrap(),
            "canary%2F%2B%20%227f3a9c20d1e84b56%22".to_owned(),
            "canary%2F%2B+%227f3a9c20d1e84b56%22".to_owned(),
            basic(""),
            basic("a"),
            basic("ab"),
            basic("abc"),
            SHORT.to_owned(),
        ] {
            let body = Bytes::from(format!("{{\"a\":\"{form}\",\"b\":\"{form}\"}}"));
            let clean = secrets().scrub_bytes(&body);
            let text = String::from_utf8(clean.to_vec()).unwrap();
            assert_eq!(text.matches(REDACTED).count(), 2, "{form}: {text}");
            assert!(!text.contains("7f3a9c20d1e84b56") && !text.contains(SHORT));
            let line = secrets()
                .scrub_text(std::str::from_utf8(&body).unwrap())
                .into_owned();
            assert!(
                line.contains(REDACTED) && !line.contains("7f3a9c20d1e84b56"),
                "{line}"
            );
        }
    }

    #[test]
    fn clean_bodies_are_not_copied() {
        let body =
            Bytes::from_static(b"abc is too short, and Bearer 1234567890 is a matter of taste");
        let clean = secrets().scrub_bytes(&body);
        assert_eq!(clean.as_ptr(), body.as_ptr());
        assert_eq!(clean, body);
        assert_eq!(Secrets::default().scrub_bytes(&body), body);
        assert!(matches!(
            secrets().scrub_text("all is well"),
            Cow::Borrowed(_)
        ));
    }

    #[test]
    fn what_looks_like_a_credential_goes_from_texts() {
        let long = "a1B2".repeat(8);
        for (text, expected) in [
            (
                "key pgate_live_abc123 failed".to_owned(),
                "key [redacted] failed",
            ),
            (
                format!("Incorrect API key: sk-proj-{long}."),
                "Incorrect API key: [redacted].",
            ),
            (
                format!("authorization: Bearer {long}=="),
                "authorization: Bearer [redacted]",
            ),
            (format!("bearer\t{long}"), ""),
            (
                "GET /v1?key=abc%20d&alt=sse".to_owned(),
                "GET /v1?key=[redacted]&alt=sse",
            ),
            (
                "?API_KEY=x&api-key=y".to_owned(),
                "?API_KEY=[redacted]&api-key=[redacted]",
            ),
            (format!("AIza{long}"), "[redacted]"),
            ("a task-force-of-more-than-twenty-letters".to_owned(), ""),
            ("sk-short".to_owned(), ""),
            ("the bearer of news, monkey=1".to_owned(), ""),
            (format!("ünï pgate_{long}ü"), "ünï [redacted]ü"),
        ] {
            let expected = if expected.is_empty() {
                text.as_str()
            } else {
                expected
            };
            assert_eq!(Secrets::default().scrub_text(&text), expected);
        }
    }

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", secrets()), "Secrets(***)");
    }
}
