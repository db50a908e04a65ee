//! Tokens, in Gemini's words: cached ones are among those of the prompt, thoughts and what tools gave are beside.

use crate::domain::TokenUsage;
use crate::wire::conversation::Fields;
use serde_json::Value;

/// Returns the tokens that `usageMetadata` reports.
pub(super) fn read_usage(usage: &Value) -> Option<TokenUsage> {
    let map = usage.as_object()?.clone();
    let mut fields = Fields::new(String::new(), map);
    let prompt = fields.count("promptTokenCount");
    let answer = fields.count("candidatesTokenCount");
    let total = fields.count("totalTokenCount");
    if prompt.is_none() && answer.is_none() && total.is_none() {
        return None;
    }
    let thoughts = fields.count("thoughtsTokenCount").unwrap_or_default();
    let given = fields.count("toolUsePromptTokenCount").unwrap_or_default();
    let input = prompt.unwrap_or_default().saturating_add(given);
    let output = answer.unwrap_or_default().saturating_add(thoughts);
    let cached = fields.count("cachedContentTokenCount").unwrap_or_default();
    Some(TokenUsage {
        input,
        output,
        cached_input: cached.min(input),
        reasoning: thoughts,
        audio_input: sound(usage, "promptTokensDetails").min(input),
        audio_output: sound(usage, "candidatesTokensDetails").min(output),
        ..TokenUsage::default()
    })
}

/// Returns the tokens of sound among those told apart by kind.
fn sound(usage: &Value, key: &str) -> u64 {
    let details = usage.get(key).and_then(Value::as_array);
    let details = details.map_or(&[][..], Vec::as_slice);
    details
        .iter()
        .filter(|detail| detail.get("modality").and_then(Value::as_str) == Some("AUDIO"))
        .filter_map(|detail| detail.get("tokenCount")?.as_u64())
        .fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::read_usage;
    use crate::domain::TokenUsage;
    use serde_json::json;

    #[test]
    fn thoughts_and_tools_are_added() {
        let usage = read_usage(&json!({
            "promptTokenCount": 100, "cachedContentTokenCount": 60, "candidatesTokenCount": 20,
            "thoughtsTokenCount": 30, "toolUsePromptTokenCount": 5, "totalTokenCount": 155,
            "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 90}, {"modality": "AUDIO", "tokenCount": 10}],
            "candidatesTokensDetails": [{"modality": "AUDIO", "tokenCount": 7}],
        }));
        let expected = TokenUsage {
            input: 105,
            output: 50,
            cached_input: 60,
            reasoning: 30,
            audio_input: 10,
            audio_output: 7,
            ..TokenUsage::default()
        };
        assert_eq!(usage, Some(expected));
        assert_eq!(read_usage(&json!({"trafficType": "ON_DEMAND"})), None);
        assert_eq!(read_usage(&json!([])), None);
    }
}
