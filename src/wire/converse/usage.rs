//! Tokens, in Bedrock's words: its `inputTokens` are those that were neither read from the cache nor written to it.

use crate::domain::TokenUsage;
use serde_json::Value;

/// Returns the tokens that `usage` reports.
pub(super) fn read_usage(usage: &Value) -> Option<TokenUsage> {
    let count = |key: &str| usage.get(key).and_then(Value::as_u64);
    let said = count("inputTokens");
    let output = count("outputTokens");
    if said.is_none() && output.is_none() {
        return None;
    }
    let read = count("cacheReadInputTokens").unwrap_or_default();
    let written = count("cacheWriteInputTokens").unwrap_or_default();
    let details = usage.get("cacheDetails").and_then(Value::as_array);
    let hour = details
        .map_or(&[][..], Vec::as_slice)
        .iter()
        .filter(|detail| detail.get("ttl").and_then(Value::as_str) == Some("1h"))
        .filter_map(|detail| detail.get("inputTokens")?.as_u64())
        .fold(0, u64::saturating_add)
        .min(written);
    let input = said
        .unwrap_or_default()
        .saturating_add(read)
        .saturating_add(written);
    Some(TokenUsage {
        input,
        output: output.unwrap_or_default(),
        cached_input: read,
        cache_write_5m: written.saturating_sub(hour),
        cache_write_1h: hour,
        ..TokenUsage::default()
    })
}

#[cfg(test)]
mod tests {
    use super::read_usage;
    use crate::domain::TokenUsage;
    use serde_json::json;

    #[test]
    fn cached_tokens_are_added() {
        let usage = read_usage(&json!({
            "inputTokens": 4, "outputTokens": 118, "totalTokens": 5096,
            "cacheReadInputTokens": 4900, "cacheWriteInputTokens": 74,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 70}, {"ttl": "5m", "inputTokens": 4}],
        }));
        let expected = TokenUsage {
            input: 4978,
            output: 118,
            cached_input: 4900,
            cache_write_5m: 4,
            cache_write_1h: 70,
            ..TokenUsage::default()
        };
        assert_eq!(usage, Some(expected));
        assert_eq!(read_usage(&json!({"totalTokens": 1})), None);
    }
}
