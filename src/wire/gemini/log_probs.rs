//! Log probabilities, from Gemini's form into `OpenAI`'s.

use serde_json::{Value, json};

/// Returns `logprobsResult` in `OpenAI`'s form; `None` when nothing is told.
pub(super) fn read(result: &Value) -> Option<Value> {
    let chosen = result.get("chosenCandidates")?.as_array()?;
    let top = result.get("topCandidates").and_then(Value::as_array);
    let content = chosen.iter().enumerate().map(|(place, chosen)| {
        let others = top
            .and_then(|top| top.get(place)?.get("candidates")?.as_array())
            .map_or(&[][..], Vec::as_slice);
        let mut token = token(chosen);
        if let Some(token) = token.as_object_mut() {
            let others: Vec<Value> = others.iter().map(self::token).collect();
            token.insert("top_logprobs".to_owned(), others.into());
        }
        token
    });
    let content: Vec<Value> = content.collect();
    (!content.is_empty()).then(|| json!({"content": content, "refusal": null}))
}

fn token(candidate: &Value) -> Value {
    let token = candidate.get("token").and_then(Value::as_str);
    let token = token.unwrap_or_default();
    let probability = candidate.get("logProbability");
    // A certain token has none: zero is left out.
    let probability = probability.cloned().unwrap_or_else(|| json!(0.0));
    json!({"token": token, "logprob": probability, "bytes": token.as_bytes()})
}

#[cfg(test)]
mod tests {
    use super::read;
    use serde_json::json;

    #[test]
    fn tokens_keep_their_alternatives() {
        let found = read(&json!({
            "chosenCandidates": [{"token": "Hi", "tokenId": 7, "logProbability": -0.5}, {"token": "!"}],
            "topCandidates": [{"candidates": [{"token": "Hi", "logProbability": -0.5}, {"token": "Yo", "logProbability": -1.5}]}],
        }));
        assert_eq!(
            found,
            Some(json!({"content": [
                {"token": "Hi", "logprob": -0.5, "bytes": [72, 105], "top_logprobs": [
                    {"token": "Hi", "logprob": -0.5, "bytes": [72, 105]},
                    {"token": "Yo", "logprob": -1.5, "bytes": [89, 111]},
                ]},
                {"token": "!", "logprob": 0.0, "bytes": [33], "top_logprobs": []},
            ], "refusal": null}))
        );
        assert_eq!(read(&json!({"chosenCandidates": []})), None);
        assert_eq!(read(&json!(null)), None);
    }
}
