//! Tokens, in Anthropic's words: its `input_tokens` are those that were neither read from the cache nor written to it.

use crate::domain::TokenUsage;
use crate::wire::openai;
use crate::wire::tree::Object;
use serde_json::{Map, Value, json};

/// Returns the tokens that `usage` reports.
pub(super) fn read_usage(usage: &Map<String, Value>) -> Option<TokenUsage> {
    let get = |key: &str| usage.get(key).cloned().unwrap_or_default();
    let thinking = usage
        .get("output_tokens_details")
        .and_then(|details| details.get("thinking_tokens"));
    let read = match get("cache_read_input_tokens") {
        // Said, it tells that cached tokens are not among the others.
        Value::Null => json!(0),
        read => read,
    };
    let spelled = json!({
        "input_tokens": get("input_tokens"),
        "output_tokens": get("output_tokens"),
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": get("cache_creation_input_tokens"),
        "cache_creation": get("cache_creation"),
        "output_tokens_details": {"reasoning_tokens": thinking},
    });
    openai::read_usage(&spelled.to_string())
}

/// Lays the counts of a later report over those of an earlier one: each of them is a total.
pub(super) fn merge(earlier: &mut Map<String, Value>, later: Map<String, Value>) {
    for (key, value) in later {
        if !value.is_null() {
            earlier.insert(key, value);
        }
    }
}

/// Returns the report of `usage`.
pub(super) fn write_usage(usage: &TokenUsage, service_tier: Option<&str>) -> Object {
    let written = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let apart = written.saturating_add(usage.cached_input);
    let creation = Object::default()
        .with("ephemeral_5m_input_tokens", usage.cache_write_5m)
        .with("ephemeral_1h_input_tokens", usage.cache_write_1h);
    let thinking = Object::default().with("thinking_tokens", usage.reasoning);
    let tier = service_tier.filter(|tier| matches!(*tier, "standard" | "priority" | "batch"));
    Object::default()
        .with("input_tokens", usage.input.saturating_sub(apart))
        .with("cache_creation_input_tokens", written)
        .with("cache_read_input_tokens", usage.cached_input)
        .with_some("cache_creation", (0 < written).then_some(creation))
        .with("output_tokens", usage.output)
        .with_some(
            "output_tokens_details",
            (0 < usage.reasoning).then_some(thinking),
        )
        .with_some("service_tier", tier)
}

#[cfg(test)]
mod tests {
    use super::{merge, read_usage, write_usage};
    use crate::domain::TokenUsage;
    use serde_json::{Map, Value};

    fn report(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn cached_tokens_are_added_and_taken_off_again() {
        let usage = read_usage(&report(
            r#"{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":100,
            "cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},
            "output_tokens":50,"output_tokens_details":{"thinking_tokens":40},"service_tier":"standard"}"#,
        ));
        let expected = TokenUsage {
            input: 140,
            output: 50,
            cached_input: 100,
            cache_write_5m: 20,
            cache_write_1h: 10,
            reasoning: 40,
            ..TokenUsage::default()
        };
        assert_eq!(usage, Some(expected));
        assert_eq!(
            write_usage(&expected, Some("standard")).to_bytes(),
            r#"{"input_tokens":10,"cache_creation_input_tokens":30,"cache_read_input_tokens":100,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10},"output_tokens":50,"output_tokens_details":{"thinking_tokens":40},"service_tier":"standard"}"#
        );
    }

    #[test]
    fn caches_are_counted_where_only_their_writing_is_told() {
        let usage = read_usage(&report(
            r#"{"input_tokens":10,"cache_creation_input_tokens":30,"output_tokens":1}"#,
        ));
        assert_eq!(
            usage.map(|usage| (usage.input, usage.cache_write_5m)),
            Some((40, 30))
        );
        assert_eq!(read_usage(&Map::new()), None);
    }

    #[test]
    fn later_counts_are_totals_and_silence_leaves_the_earlier_ones() {
        let mut usage =
            report(r#"{"input_tokens":25,"output_tokens":1,"cache_read_input_tokens":5}"#);
        merge(
            &mut usage,
            report(r#"{"output_tokens":15,"input_tokens":null}"#),
        );
        let usage = read_usage(&usage).unwrap();
        assert_eq!((usage.input, usage.output, usage.cached_input), (30, 15, 5));
    }
}
