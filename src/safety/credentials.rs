//! Credentials of known makers, by their form, and unknown ones, by the word before them.
//!
//! A form is a beginning, an alphabet and a length; the entropy of what follows tells a key from a
//! placeholder. Keys that documentation shows are known and left alone.

use crate::safety::finding::{Detector, Finding};
use std::ops::Range;
use std::sync::LazyLock;

/// How the keys of one maker look.
struct Form {
    detector: Detector,
    prefix: &'static str,
    is_part: fn(u8) -> bool,
    /// How many bytes follow the beginning.
    length: (usize, usize),
    /// The least entropy of the whole, in bits per byte.
    entropy: f64,
}

const LONGEST: usize = 4096;

const fn form(
    detector: Detector,
    prefix: &'static str,
    is_part: fn(u8) -> bool,
    length: (usize, usize),
    entropy: f64,
) -> Form {
    Form {
        detector,
        prefix,
        is_part,
        length,
        entropy,
    }
}

/// The forms there are; a longer beginning stands before its own beginning.
const FORMS: [Form; 33] = [
    form(
        Detector::AnthropicKey,
        "sk-ant-",
        is_word_or_hyphen,
        (80, 140),
        3.0,
    ),
    form(
        Detector::OpenAiKey,
        "sk-proj-",
        is_word_or_hyphen,
        (40, 200),
        3.0,
    ),
    form(
        Detector::OpenAiKey,
        "sk-svcacct-",
        is_word_or_hyphen,
        (40, 200),
        3.0,
    ),
    form(
        Detector::OpenAiKey,
        "sk-admin-",
        is_word_or_hyphen,
        (40, 200),
        3.0,
    ),
    form(Detector::OpenAiKey, "sk-", is_alphanumeric, (20, 64), 3.0),
    form(Detector::AwsKey, "AKIA", is_base32, (16, 16), 3.0),
    form(Detector::AwsKey, "ASIA", is_base32, (16, 16), 3.0),
    form(Detector::AwsKey, "ABIA", is_base32, (16, 16), 3.0),
    form(Detector::AwsKey, "ACCA", is_base32, (16, 16), 3.0),
    form(Detector::AwsKey, "A3T", is_base32, (17, 17), 3.0),
    form(
        Detector::GoogleKey,
        "AIza",
        is_word_or_hyphen,
        (35, 35),
        4.0,
    ),
    form(
        Detector::GitHubToken,
        "ghp_",
        is_alphanumeric,
        (36, 36),
        3.0,
    ),
    form(
        Detector::GitHubToken,
        "gho_",
        is_alphanumeric,
        (36, 36),
        3.0,
    ),
    form(
        Detector::GitHubToken,
        "ghu_",
        is_alphanumeric,
        (36, 36),
        3.0,
    ),
    form(
        Detector::GitHubToken,
        "ghs_",
        is_alphanumeric,
        (36, 36),
        3.0,
    ),
    form(
        Detector::GitHubToken,
        "ghr_",
        is_alphanumeric,
        (36, 36),
        3.0,
    ),
    form(Detector::GitHubToken, "github_pat_", is_word, (82, 82), 3.0),
    form(
        Detector::GitLabToken,
        "glpat-",
        is_word_or_hyphen,
        (20, 60),
        3.0,
    ),
    form(Detector::HuggingFaceToken, "hf_", is_letter, (34, 34), 2.0),
    form(
        Detector::SlackToken,
        "xoxb-",
        is_word_or_hyphen,
        (24, 100),
        3.0,
    ),
    form(
        Detector::SlackToken,
        "xoxp-",
        is_word_or_hyphen,
        (24, 100),
        3.0,
    ),
    form(
        Detector::SlackToken,
        "xoxa-",
        is_word_or_hyphen,
        (24, 100),
        3.0,
    ),
    form(
        Detector::StripeKey,
        "sk_live_",
        is_alphanumeric,
        (10, 99),
        2.5,
    ),
    form(
        Detector::StripeKey,
        "sk_test_",
        is_alphanumeric,
        (10, 99),
        2.5,
    ),
    form(
        Detector::StripeKey,
        "rk_live_",
        is_alphanumeric,
        (10, 99),
        2.5,
    ),
    form(
        Detector::StripeKey,
        "rk_test_",
        is_alphanumeric,
        (10, 99),
        2.5,
    ),
    form(
        Detector::DatabricksToken,
        "dapi",
        is_lower_hex,
        (32, 32),
        3.0,
    ),
    form(Detector::NpmToken, "npm_", is_alphanumeric, (36, 36), 3.0),
    form(
        Detector::PypiToken,
        "pypi-AgE",
        is_word_or_hyphen,
        (50, 1000),
        3.0,
    ),
    form(
        Detector::PerplexityKey,
        "pplx-",
        is_alphanumeric,
        (48, 48),
        4.0,
    ),
    form(Detector::GroqKey, "gsk_", is_alphanumeric, (40, 60), 3.0),
    form(Detector::XaiKey, "xai-", is_alphanumeric, (60, 90), 3.0),
    form(Detector::GatewayKey, "pgate_", is_word, (34, 200), 3.0),
];

/// Parts of the keys that documentation shows, and of what stands for a key to come; in lower case.
const EXAMPLES: [&str; 11] = [
    "example",
    "your",
    "placeholder",
    "changeme",
    "change-me",
    "dummy",
    "redacted",
    "xxxxx",
    "hqlyjwdarjtt1zdp7dc",
    "eyjzdwiioiixmjm0nty3odkw",
    "insert",
];

/// Names of values that are secret, in lower case, as they stand before `=` or `:`.
const NAMES: [&str; 14] = [
    "api_key",
    "api-key",
    "apikey",
    "api key",
    "secret",
    "token",
    "password",
    "passwd",
    "passphrase",
    "access_key",
    "access-key",
    "private_key",
    "credential",
    "credentials",
];

/// The bytes that anything here can begin with: most of a text is passed over by them.
static FIRST: LazyLock<[bool; 256]> = LazyLock::new(|| {
    let mut first = [false; 256];
    let beginnings = FORMS
        .iter()
        .map(|form| form.prefix)
        .chain(NAMES)
        .chain(["-", "ey"]);
    for byte in beginnings.filter_map(|text| text.bytes().next()) {
        for byte in [byte, byte.to_ascii_uppercase()] {
            if let Some(place) = first.get_mut(usize::from(byte)) {
                *place = true;
            }
        }
    }
    first
});

/// How long an unnamed maker's secret is.
const GENERIC_LENGTH: (usize, usize) = (10, 150);
const GENERIC_ENTROPY: f64 = 3.5;

/// Returns the entropy of the bytes of `text` after Shannon, in bits per byte: 0 for one byte over and
/// over, 8 at most.
#[must_use]
pub fn entropy(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        if let Some(count) = counts.get_mut(usize::from(byte)) {
            *count = count.saturating_add(1);
        }
    }
    let total: f64 = counts.iter().copied().map(f64::from).sum();
    counts
        .into_iter()
        .filter(|count| 0 < *count)
        .map(|count| f64::from(count) / total)
        .map(|share| -share * share.log2())
        .sum()
}

/// Returns the credentials in `text`, without those that documentation shows.
#[must_use]
pub fn find_secrets(text: &str) -> Vec<Finding> {
    let bytes = text.as_bytes();
    let mut findings = Vec::new();
    let mut from = 0;
    while let Some(byte) = bytes.get(from) {
        if !FIRST
            .get(usize::from(*byte))
            .is_some_and(|is_first| *is_first)
        {
            from += 1;
            continue;
        }
        let is_inside = from
            .checked_sub(1)
            .and_then(|before| bytes.get(before))
            .is_some_and(|before| is_alphanumeric(*before));
        let finding = if is_inside {
            None
        } else {
            at(text, from, *byte)
        };
        let end = finding
            .as_ref()
            .map_or(from + 1, |finding| finding.span.end);
        from = end.max(from + 1);
        findings.extend(finding);
    }
    findings
}

/// Returns the credential whose first byte, `first`, stands at `start`.
fn at(text: &str, start: usize, first: u8) -> Option<Finding> {
    let here = text.as_bytes().get(start..)?;
    let found = match first {
        b'-' => private_key(here),
        b'e' if here.starts_with(b"ey") => jwt(here),
        _ => known(here),
    };
    if let Some((detector, length, score)) = found {
        return report(text, detector, start..start + length, score);
    }
    let value = named_value(here)?;
    report(
        text,
        Detector::GenericSecret,
        start + value.start..start + value.end,
        0.6,
    )
}

fn report(text: &str, detector: Detector, span: Range<usize>, score: f64) -> Option<Finding> {
    let value = text.get(span.clone())?.to_ascii_lowercase();
    let is_example = EXAMPLES.iter().any(|example| value.contains(example));
    (!is_example).then(|| Finding::new(detector, span, score))
}

fn known(here: &[u8]) -> Option<(Detector, usize, f64)> {
    FORMS.iter().find_map(|form| {
        let rest = here.strip_prefix(form.prefix.as_bytes())?;
        let length = run(rest, form.is_part);
        let (shortest, longest) = form.length;
        let whole = form.prefix.len() + length;
        let is_key = (shortest..=longest).contains(&length)
            && form.entropy <= entropy(std::str::from_utf8(here.get(..whole)?).ok()?)
            && (form.detector != Detector::OpenAiKey || has_digit(rest.get(..length)?));
        is_key.then_some((form.detector, whole, 0.95))
    })
}

/// Three parts of base64 with dots between; the first two are JSON objects.
fn jwt(here: &[u8]) -> Option<(Detector, usize, f64)> {
    let head = run(here, is_word_or_hyphen);
    let rest = here.get(head..)?.strip_prefix(b".ey")?;
    let body = run(rest, is_word_or_hyphen);
    let rest = rest.get(body..)?.strip_prefix(b".")?;
    let signature = run(rest, is_word_or_hyphen);
    let is_token = 17 <= head && 15 <= body && 10 <= signature;
    is_token.then_some((Detector::Jwt, head + 3 + body + 1 + signature, 0.9))
}

fn private_key(here: &[u8]) -> Option<(Detector, usize, f64)> {
    let rest = here.strip_prefix(b"-----BEGIN ")?;
    let name = run(rest, |byte| byte.is_ascii_uppercase() || byte == b' ');
    let is_key =
        rest.get(..name)?.ends_with(b"PRIVATE KEY") && rest.get(name..)?.starts_with(b"-----");
    is_key.then_some((Detector::PrivateKey, 11 + name + 5, 0.95))
}

/// Returns where the value stands behind a name of [`NAMES`], a sign, and perhaps quotes.
fn named_value(here: &[u8]) -> Option<Range<usize>> {
    let name = NAMES.iter().find(|name| {
        here.get(..name.len())
            .is_some_and(|head| head.eq_ignore_ascii_case(name.as_bytes()))
    })?;
    let filler = |from: usize, is_part: fn(u8) -> bool| {
        let rest = here.get(from..).unwrap_or_default();
        from + run(rest.get(..rest.len().min(4)).unwrap_or_default(), is_part)
    };
    let sign = filler(name.len(), |byte| {
        matches!(byte, b' ' | b'"' | b'\'' | b'`')
    });
    let after = filler(sign, |byte| matches!(byte, b'=' | b':' | b'>'));
    if after == sign {
        return None;
    }
    let start = filler(after, |byte| matches!(byte, b' ' | b'"' | b'\'' | b'`'));
    let length = run(here.get(start..)?, |byte| {
        is_word_or_hyphen(byte)
            || matches!(byte, b'.' | b'=' | b'+' | b'/' | b'!' | b'#' | b'@' | b'$')
    });
    let value = here.get(start..start + length)?;
    let (shortest, longest) = GENERIC_LENGTH;
    let is_secret = (shortest..=longest).contains(&length)
        && has_digit(value)
        && value.iter().any(u8::is_ascii_alphabetic)
        && GENERIC_ENTROPY <= entropy(std::str::from_utf8(value).ok()?);
    is_secret.then_some(start..start + length)
}

fn has_digit(bytes: &[u8]) -> bool {
    bytes.iter().any(u8::is_ascii_digit)
}

fn run(bytes: &[u8], is_part: fn(u8) -> bool) -> usize {
    bytes
        .iter()
        .take(LONGEST)
        .take_while(|byte| is_part(**byte))
        .count()
}

const fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

const fn is_letter(byte: u8) -> bool {
    byte.is_ascii_alphabetic()
}

const fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

const fn is_word_or_hyphen(byte: u8) -> bool {
    is_word(byte) || byte == b'-'
}

const fn is_base32(byte: u8) -> bool {
    matches!(byte, b'A'..=b'Z' | b'2'..=b'7')
}

const fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::{entropy, find_secrets};
    use crate::safety::finding::Detector;

    /// Letters and digits that no maker gave out, so that nothing here is a key in the source.
    fn noise(length: usize) -> String {
        let letters = "q7Zp2LmX9vRt4KsW8bNc6HdY3fGj5TaVeUiQoBzM1xPwSrCkDlEnFgAhJyIu";
        letters.chars().cycle().take(length).collect()
    }

    #[test]
    fn entropy_is_that_of_shannon() {
        for (text, bits) in [
            ("", 0.0),
            ("aaaaaaaa", 0.0),
            ("abcdefgh", 3.0),
            ("password", 2.75),
            ("AKIAIOSFODNN7EXAMPLE", 3.684_183_719_7),
        ] {
            assert!(
                (entropy(text) - bits).abs() < 1e-6,
                "{text}: {}",
                entropy(text)
            );
        }
    }

    #[test]
    fn keys_of_every_maker_are_found() {
        use Detector as D;
        let base32: String = noise(80).to_uppercase().replace(['8', '9', '1', '0'], "K");
        let hex: String = (0..32)
            .map(|place| char::from_digit(place * 7 % 16, 16).unwrap())
            .collect();
        let letters: String = noise(60)
            .chars()
            .filter(char::is_ascii_alphabetic)
            .take(34)
            .collect();
        for (detector, key) in [
            (D::OpenAiKey, format!("sk-proj-{}", noise(48))),
            (D::OpenAiKey, format!("sk-{}", noise(48))),
            (D::AnthropicKey, format!("sk-ant-api03-{}AA", noise(93))),
            (D::AwsKey, format!("AKIA{}", base32.get(..16).unwrap())),
            (D::GoogleKey, format!("AIza{}", noise(35))),
            (D::GitHubToken, format!("ghp_{}", noise(36))),
            (D::GitHubToken, format!("github_pat_{}", noise(82))),
            (D::GitLabToken, format!("glpat-{}", noise(20))),
            (D::HuggingFaceToken, format!("hf_{letters}")),
            (D::SlackToken, format!("xoxb-123456789012-{}", noise(24))),
            (D::StripeKey, format!("sk_live_{}", noise(24))),
            (D::DatabricksToken, format!("dapi{hex}")),
            (D::NpmToken, format!("npm_{}", noise(36))),
            (D::PypiToken, format!("pypi-AgEIcHlwaS5vcmc{}", noise(60))),
            (D::PerplexityKey, format!("pplx-{}", noise(48))),
            (D::GroqKey, format!("gsk_{}", noise(52))),
            (D::XaiKey, format!("xai-{}", noise(80))),
            (D::GatewayKey, format!("pgate_live_{}", noise(40))),
            (
                D::Jwt,
                format!("eyJ{}.eyJ{}.{}", noise(20), noise(30), noise(43)),
            ),
            (
                D::PrivateKey,
                ["-----BEGIN RSA ", "PRIVATE KEY-----"].concat(),
            ),
        ] {
            let text = format!("use `{key}` for now");
            let findings = find_secrets(&text);
            assert_eq!(findings.len(), 1, "{detector}");
            assert_eq!(findings[0].detector, detector);
            assert_eq!(text.get(findings[0].span.clone()), Some(key.as_str()));
        }
    }

    #[test]
    fn named_values_are_found_by_their_entropy() {
        let value = noise(24);
        for text in [
            format!("API_KEY={value}"),
            format!("\"client_secret\": \"{value}\""),
            format!("password: {value}"),
            format!("token => '{value}'"),
        ] {
            let findings = find_secrets(&text);
            assert_eq!(findings.len(), 1, "{text}");
            assert_eq!(
                text.get(findings[0].span.clone()),
                Some(value.as_str()),
                "{text}"
            );
        }
    }

    #[test]
    fn examples_and_words_are_left_alone() {
        for text in [
            "",
            "AKIAIOSFODNN7EXAMPLE",
            "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "api_key=YOUR_API_KEY_HERE_1",
            "sk-your-key-here-0123456789abcdef",
            "export OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxx",
            "password: correct horse battery staple",
            "the token: a story about 1984",
            "secret = environment.variables",
            "task-force-of-more-than-twenty-letters",
            "-----BEGIN CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
            "eyebrow.eyelid.eyelash",
            "npm_config_registry",
            "token: 1111111111111111111",
        ] {
            assert_eq!(find_secrets(text), [], "{text}");
        }
    }
}
