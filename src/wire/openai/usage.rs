//! The `usage` object, in the spellings of `OpenAI` and of those who imitate it.

use crate::domain::TokenUsage;
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// Returns the tokens that `usage` (JSON) reports, or `None` when it reports none.
///
/// The classes are made parts of their totals, as [`TokenUsage`] wants them:
/// - xAI and Gemini's compatible endpoint leave reasoning out of `completion_tokens` but not out of
///   `total_tokens`; what the total has more is output.
/// - Anthropic's spelling (`input_tokens` beside `cache_read_input_tokens`) leaves cached tokens out
///   of the input; they are added.
#[must_use]
pub fn read_usage(usage: &str) -> Option<TokenUsage> {
    let reported: Reported = serde_json::from_str(usage).ok()?;
    let prompt = reported.prompt_tokens_details.unwrap_or_default();
    let completion = reported.completion_tokens_details.unwrap_or_default();
    let creation = reported.cache_creation.unwrap_or_default();
    let count = |options: &[Option<Count>]| options.iter().flatten().map(|c| c.0).find(|n| 0 < *n);

    let cached = count(&[
        prompt.cached_tokens,
        reported.prompt_cache_hit_tokens,
        reported.cache_read_input_tokens,
    ])
    .unwrap_or(0);
    let written = count(&[
        prompt.cache_write_tokens,
        prompt.cache_creation_tokens,
        reported.cache_creation_input_tokens,
    ]);
    let written_1h = creation.ephemeral_1h_input_tokens.map_or(0, |c| c.0);
    let written_5m = match creation.ephemeral_5m_input_tokens {
        Some(count) => count.0,
        None => written.unwrap_or(0).saturating_sub(written_1h),
    };

    let input = match (reported.prompt_tokens, reported.input_tokens) {
        (Some(prompt), _) => prompt.0,
        (None, Some(input)) if reported.cache_read_input_tokens.is_some() => input
            .0
            .saturating_add(cached)
            .saturating_add(written_5m)
            .saturating_add(written_1h),
        (None, Some(input)) => input.0,
        (None, None) => return None,
    };
    let said_output = reported.completion_tokens.or(reported.output_tokens);
    let mut output = said_output.map_or(0, |c| c.0);
    let mut reasoning = completion.reasoning_tokens.map_or(0, |c| c.0);
    if let (Some(_), Some(total)) = (reported.completion_tokens, reported.total_tokens) {
        let unsaid = total.0.saturating_sub(input).saturating_sub(output);
        output = output.saturating_add(unsaid);
        reasoning = reasoning.max(unsaid);
    }
    Some(TokenUsage {
        input,
        output: output.max(reasoning),
        cached_input: cached.min(input),
        cache_write_5m: written_5m.min(input.saturating_sub(cached)),
        cache_write_1h: written_1h.min(input.saturating_sub(cached).saturating_sub(written_5m)),
        reasoning,
        audio_input: prompt.audio_tokens.map_or(0, |c| c.0).min(input),
        audio_output: completion.audio_tokens.map_or(0, |c| c.0).min(output),
    })
}

#[derive(Deserialize)]
struct Reported {
    prompt_tokens: Option<Count>,
    completion_tokens: Option<Count>,
    total_tokens: Option<Count>,
    input_tokens: Option<Count>,
    output_tokens: Option<Count>,
    #[serde(alias = "input_tokens_details")]
    prompt_tokens_details: Option<InputDetails>,
    #[serde(alias = "output_tokens_details")]
    completion_tokens_details: Option<OutputDetails>,
    prompt_cache_hit_tokens: Option<Count>,
    cache_read_input_tokens: Option<Count>,
    cache_creation_input_tokens: Option<Count>,
    cache_creation: Option<CacheCreation>,
}

#[derive(Deserialize, Default)]
struct InputDetails {
    cached_tokens: Option<Count>,
    cache_write_tokens: Option<Count>,
    cache_creation_tokens: Option<Count>,
    audio_tokens: Option<Count>,
}

#[derive(Deserialize, Default)]
struct OutputDetails {
    reasoning_tokens: Option<Count>,
    audio_tokens: Option<Count>,
}

#[derive(Deserialize, Default)]
struct CacheCreation {
    ephemeral_5m_input_tokens: Option<Count>,
    ephemeral_1h_input_tokens: Option<Count>,
}

/// A count; some providers write `12.0`, and -1 for "unknown", which is taken as 0.
#[derive(Clone, Copy)]
struct Count(u64);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountVisitor).map(Count)
    }
}

struct CountVisitor;

impl de::Visitor<'_> for CountVisitor {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a count")
    }

    fn visit_u64<E: de::Error>(self, count: u64) -> Result<u64, E> {
        Ok(count)
    }

    fn visit_i64<E: de::Error>(self, count: i64) -> Result<u64, E> {
        Ok(u64::try_from(count).unwrap_or(0))
    }

    fn visit_f64<E: de::Error>(self, count: f64) -> Result<u64, E> {
        // By way of text, as there is no checked conversion.
        Ok(format!("{count:.0}").parse().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::read_usage;
    use crate::domain::TokenUsage;

    const fn usage(input: u64, output: u64) -> TokenUsage {
        TokenUsage {
            input,
            output,
            cached_input: 0,
            cache_write_5m: 0,
            cache_write_1h: 0,
            reasoning: 0,
            audio_input: 0,
            audio_output: 0,
        }
    }

    const CASES: &[(&str, TokenUsage)] = &[
        // OpenAI
        (
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,
                "prompt_tokens_details":{"cached_tokens":64,"audio_tokens":3},
                "completion_tokens_details":{"reasoning_tokens":8,"audio_tokens":2,"accepted_prediction_tokens":0}}"#,
            TokenUsage {
                cached_input: 64,
                audio_input: 3,
                reasoning: 8,
                audio_output: 2,
                ..usage(100, 20)
            },
        ),
        // DeepSeek
        (
            r#"{"prompt_tokens":100,"completion_tokens":20,"total_tokens":120,
                "prompt_cache_hit_tokens":64,"prompt_cache_miss_tokens":36}"#,
            TokenUsage {
                cached_input: 64,
                ..usage(100, 20)
            },
        ),
        // xAI: reasoning beside the completion
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":115,
                "completion_tokens_details":{"reasoning_tokens":100}}"#,
            TokenUsage {
                reasoning: 100,
                ..usage(10, 105)
            },
        ),
        // Gemini: thoughts only in the total
        (
            r#"{"prompt_tokens":10,"completion_tokens":5,"total_tokens":65}"#,
            TokenUsage {
                reasoning: 50,
                ..usage(10, 55)
            },
        ),
        // Anthropic behind a compatible endpoint
        (
            r#"{"input_tokens":10,"output_tokens":5,"cache_read_input_tokens":100,
                "cache_creation_input_tokens":30,
                "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10}}"#,
            TokenUsage {
                cached_input: 100,
                cache_write_5m: 20,
                cache_write_1h: 10,
                ..usage(140, 5)
            },
        ),
        // OpenRouter
        (
            r#"{"prompt_tokens":100,"completion_tokens":2,"total_tokens":102,"cost":0.1,
                "prompt_tokens_details":{"cached_tokens":10,"cache_write_tokens":50}}"#,
            TokenUsage {
                cached_input: 10,
                cache_write_5m: 50,
                ..usage(100, 2)
            },
        ),
        // Responses' spelling
        (
            r#"{"input_tokens":7,"input_tokens_details":{"cached_tokens":4},"output_tokens":3,
                "output_tokens_details":{"reasoning_tokens":1},"total_tokens":10}"#,
            TokenUsage {
                cached_input: 4,
                reasoning: 1,
                ..usage(7, 3)
            },
        ),
        // Embeddings, floats, unknowns, nulls
        (r#"{"prompt_tokens":8,"total_tokens":8}"#, usage(8, 0)),
        (
            r#"{"prompt_tokens":8.0,"completion_tokens":-1,"prompt_tokens_details":null}"#,
            usage(8, 0),
        ),
        // More cached than there is
        (
            r#"{"prompt_tokens":8,"completion_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}"#,
            TokenUsage {
                cached_input: 8,
                ..usage(8, 1)
            },
        ),
    ];

    #[test]
    fn providers_usages_become_ours() {
        for (json, expected) in CASES {
            assert_eq!(read_usage(json), Some(*expected), "{json}");
        }
        for json in ["{}", "null", "[]", r#"{"prompt_tokens":"many"}"#] {
            assert_eq!(read_usage(json), None, "{json}");
        }
    }
}
