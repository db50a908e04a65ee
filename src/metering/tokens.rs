//! Counting tokens where a provider reports none, and before it is asked.

use crate::metering::ranks::{CL100K, O200K};
use bytes::Bytes;
use serde::Deserialize;
use std::borrow::Cow;
use std::sync::LazyLock;
use tiktoken_rs::CoreBPE;

/// Longer texts are not counted but estimated.
const MAX_COUNTED: usize = 1024 * 1024;

/// Texts are counted in pieces of this size, so that no input has the tokenizer's worst case on more
/// than a piece.
const PIECE: usize = 16 * 1024;

/// What a model is said to read for an image of low detail; what a larger one costs is known only to
/// the provider.
const IMAGE_TOKENS: u64 = 85;

/// `None` where the program's own data is damaged: then a token is taken to be four bytes.
type Tokenizer = Option<&'static CoreBPE>;

static NEW: LazyLock<Option<CoreBPE>> = LazyLock::new(|| O200K.load());
static OLD: LazyLock<Option<CoreBPE>> = LazyLock::new(|| CL100K.load());

/// The tokenizers of `OpenAI`'s models. For other models the newest one is taken: an estimate.
///
/// A tokenizer is loaded when it is first needed, which takes a tenth of a second or two.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tokens;

impl Tokens {
    /// Loads the tokenizer of current models, so that no call waits for it.
    pub fn warm(self) {
        LazyLock::force(&NEW);
    }

    /// Returns the tokens of `text` for `model`.
    #[must_use]
    pub fn count_text(self, model: &str, text: &str) -> u64 {
        let Self = self;
        count(tokenizer(model), text)
    }

    /// Returns how many tokens two texts have in common from their start, for `model`.
    #[must_use]
    pub fn common_prefix(self, model: &str, one: &str, other: &str) -> u64 {
        let Self = self;
        let Some(tokenizer) = tokenizer(model) else {
            let common = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b);
            return as_count(common.count() / 4);
        };
        let common = tokens(tokenizer, one).zip(tokens(tokenizer, other));
        as_count(common.take_while(|(a, b)| a == b).count())
    }

    /// Returns the pieces that no cut between tokens of `model` divides: how many bytes each has, and how
    /// many tokens. A piece is one token but where a character needs several.
    #[must_use]
    pub fn pieces(self, model: &str, text: &str) -> Vec<(usize, u32)> {
        let Self = self;
        let mut found = Vec::new();
        let (mut at, mut start, mut weight) = (0, 0, 0);
        for length in lengths(tokenizer(model), text) {
            at += length;
            weight += 1;
            if text.is_char_boundary(at) {
                found.push((at - start, weight));
                (start, weight) = (at, 0);
            }
        }
        if start < text.len() {
            found.push((text.len() - start, weight.max(1)));
        }
        found
    }

    /// Returns the tokens of `messages` (JSON objects) for `model`, with what the chat format adds: three
    /// for each message, one for a name, three before the answer.
    #[must_use]
    pub fn count_messages(self, model: &str, messages: &[Bytes]) -> u64 {
        let Self = self;
        let tokenizer = tokenizer(model);
        let each = messages.iter().map(|json| count_message(tokenizer, json));
        each.sum::<u64>() + 3
    }
}

/// Returns the tokenizer of `model`'s family.
fn tokenizer(model: &str) -> Tokenizer {
    let name = model.rsplit_once('/').map_or(model, |(_, name)| name);
    let name = name.strip_prefix("ft:").unwrap_or(name);
    let is_old = name == "gpt-4"
        || [
            "gpt-4-",
            "gpt-3.5",
            "gpt-35",
            "text-embedding-",
            "text-davinci-003",
        ]
        .iter()
        .any(|family| name.starts_with(family));
    if is_old { OLD.as_ref() } else { NEW.as_ref() }
}

fn count(tokenizer: Tokenizer, text: &str) -> u64 {
    let Some(tokenizer) = tokenizer.filter(|_| text.len() <= MAX_COUNTED) else {
        return as_count(text.len() / 4);
    };
    let mut sum = 0;
    let mut rest = text;
    while let Some((piece, after)) = split_piece(rest) {
        sum += as_count(tokenizer.count_ordinary(piece));
        rest = after;
    }
    sum
}

/// Takes a piece off `text`: all of it when it is short, else up to the last blank or line end, which
/// is where tokens begin, else just up to the size.
fn split_piece(text: &str) -> Option<(&str, &str)> {
    if text.is_empty() {
        return None;
    }
    if text.len() <= PIECE {
        return Some((text, ""));
    }
    let limit = text.floor_char_boundary(PIECE);
    let (head, _) = text.split_at_checked(limit)?;
    let blank = head.rfind(|c: char| c.is_ascii_whitespace());
    text.split_at_checked(blank.filter(|place| 0 < *place).unwrap_or(limit))
}

/// The tokens of `text`, piece by piece as they are asked for.
fn tokens<'a>(tokenizer: &'a CoreBPE, text: &'a str) -> impl Iterator<Item = u32> + 'a {
    let mut rest = text;
    let pieces = std::iter::from_fn(move || {
        let (piece, after) = split_piece(rest)?;
        rest = after;
        Some(piece)
    });
    pieces.flat_map(|piece| tokenizer.encode_ordinary(piece))
}

/// The lengths of the tokens of `text`, in bytes; without a tokenizer, of four bytes each.
fn lengths(tokenizer: Tokenizer, text: &str) -> Vec<usize> {
    let Some(tokenizer) = tokenizer else {
        let whole = std::iter::repeat_n(4, text.len() / 4);
        return whole
            .chain((!text.len().is_multiple_of(4)).then_some(text.len() % 4))
            .collect();
    };
    tokens(tokenizer, text)
        .map(|token| {
            let bytes = tokenizer.decode_bytes(&[token]);
            bytes.map_or(0, |bytes| bytes.len())
        })
        .collect()
}

fn as_count(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn count_message(tokenizer: Tokenizer, json: &[u8]) -> u64 {
    let Ok(message) = serde_json::from_slice::<Message<'_>>(json) else {
        // What is no message is counted as the text it is.
        return 3 + as_count(json.len() / 4);
    };
    let text = |text: &Option<Cow<'_, str>>| count(tokenizer, text.as_deref().unwrap_or_default());
    let mut sum = 3 + text(&message.role) + text(&message.refusal);
    if message.name.is_some() {
        sum += 1 + text(&message.name);
    }
    sum += match &message.content {
        Some(Content::Text(content)) => count(tokenizer, content),
        Some(Content::Parts(parts)) => parts
            .iter()
            .map(|part| match (&part.text, part.kind.as_deref()) {
                (Some(text), _) => count(tokenizer, text),
                (None, Some("image_url" | "input_image")) => IMAGE_TOKENS,
                (None, _) => 0,
            })
            .sum(),
        Some(Content::Other(_)) | None => 0,
    };
    let calls = message.tool_calls.iter().flatten();
    for function in calls.filter_map(|call| call.function.as_ref()) {
        sum += 3 + text(&function.name) + text(&function.arguments);
    }
    sum
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    refusal: Option<Cow<'a, str>>,
    #[serde(borrow)]
    content: Option<Content<'a>>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    #[serde(borrow)]
    Parts(Vec<Part<'a>>),
    Other(serde::de::IgnoredAny),
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    function: Option<Function<'a>>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    arguments: Option<Cow<'a, str>>,
}

#[cfg(test)]
mod tests {
    use super::{MAX_COUNTED, PIECE, Tokens, split_piece};
    use bytes::Bytes;

    fn messages(json: &[&'static str]) -> Vec<Bytes> {
        json.iter()
            .map(|m| Bytes::from_static(m.as_bytes()))
            .collect()
    }

    #[test]
    fn texts_have_the_known_counts() {
        // The counts that OpenAI's cookbook prints for these texts.
        for (model, text, expected) in [
            ("gpt-4", "antidisestablishmentarianism", 6),
            ("gpt-4o", "antidisestablishmentarianism", 6),
            ("gpt-3.5-turbo", "2 + 2 = 4", 7),
            ("gpt-4o", "2 + 2 = 4", 7),
            ("gpt-4", "お誕生日おめでとう", 9),
            ("gpt-4o", "お誕生日おめでとう", 8),
            ("text-embedding-3-small", "tiktoken is great!", 6),
            ("openai/gpt-4o-mini", "", 0),
        ] {
            assert_eq!(Tokens.count_text(model, text), expected, "{model} {text}");
        }
    }

    #[test]
    fn messages_have_the_known_counts() {
        // The cookbook's example conversation: 129 tokens by gpt-4, 124 by gpt-4o.
        let cookbook = messages(&[
            r#"{"role":"system","content":"You are a helpful, pattern-following assistant that translates corporate jargon into plain English."}"#,
            r#"{"role":"system","name":"example_user","content":"New synergies will help drive top-line growth."}"#,
            r#"{"role":"system","name":"example_assistant","content":"Things working well together will increase revenue."}"#,
            r#"{"role":"system","name":"example_user","content":"Let's circle back when we have more bandwidth to touch base on opportunities for increased leverage."}"#,
            r#"{"role":"system","name":"example_assistant","content":"Let's talk later when we're less busy about how to do better."}"#,
            r#"{"role":"user","content":"This late pivot means we don't have time to boil the ocean for the client deliverable."}"#,
        ]);
        assert_eq!(Tokens.count_messages("gpt-4", &cookbook), 129);
        assert_eq!(Tokens.count_messages("gpt-4o", &cookbook), 124);
    }

    #[test]
    fn parts_and_calls_are_counted() {
        let plain = messages(&[r#"{"role":"user","content":"hello world"}"#]);
        let parts = messages(&[
            r#"{"role":"user","content":[{"type":"text","text":"hello world"},{"type":"image_url","image_url":{"url":"data:,"}}]}"#,
        ]);
        let call = messages(&[
            r#"{"role":"user","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"hello","arguments":" world"}}]}"#,
        ]);
        let base = Tokens.count_messages("gpt-4o", &plain);
        assert_eq!(base, 3 + 3 + 1 + 2);
        assert_eq!(Tokens.count_messages("gpt-4o", &parts), base + 85);
        assert_eq!(Tokens.count_messages("gpt-4o", &call), base + 3);
        assert_eq!(
            Tokens.count_messages("gpt-4o", &messages(&["[1,2,3,4]"])),
            3 + 3 + 2
        );
    }

    #[test]
    fn long_texts_are_counted_in_pieces() {
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(1000);
        let whole = tiktoken_rs::o200k_base_singleton().count_ordinary(&text);
        let counted = usize::try_from(Tokens.count_text("gpt-4o", &text)).unwrap();
        assert!(
            counted.abs_diff(whole) <= text.len() / PIECE,
            "{counted} {whole}"
        );
        let dense = "é".repeat(PIECE);
        let (piece, rest) = split_piece(&dense).unwrap();
        assert!(piece.len() <= PIECE && piece.len() + rest.len() == dense.len());
        assert_eq!(
            Tokens.count_text("gpt-4o", &"x".repeat(MAX_COUNTED + 4)),
            262_145
        );
    }

    #[test]
    fn hostile_texts_come_to_an_end() {
        for unit in ["a", " ", "\n", "!", "aA", "\u{300}", "1"] {
            let text = unit.repeat(200_000 / unit.len());
            assert!(0 < Tokens.count_text("gpt-4o", &text), "{unit:?}");
        }
    }
}
